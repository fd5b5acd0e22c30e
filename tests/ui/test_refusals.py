"""What Gradio would refuse without saying what to do."""

import pytest
from starlette.exceptions import HTTPException

from ui.refusals import EXCEPTION_HANDLERS


@pytest.mark.parametrize(
    ("status", "detail", "said"),
    [
        (413, "File size exceeded maximum allowed size of 5767168 bytes.", "make it smaller"),
        (503, "Queue is full. Max size is 64 and size is 64.", "try again in a minute"),
        (404, "Not Found", "Not Found"),
    ],
)
def test_a_refusal_says_what_to_do_and_keeps_its_status(status, detail, said):
    answer = EXCEPTION_HANDLERS[HTTPException](None, HTTPException(status, detail))
    assert answer.status_code == status
    assert said in answer.body.decode()
