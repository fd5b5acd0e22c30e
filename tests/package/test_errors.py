"""Errors on their way from one process to another."""

import copy
import pickle

import pytest

from emotion_model import ImageError, MediaError
from emotion_model.archives.sources import SourceError
from emotion_model.download import HubError
from ui.live.sessions import SessionError


@pytest.mark.parametrize(
    "error",
    [
        ImageError("damaged", "The picture is damaged."),
        MediaError("too_long", "The clip is too long."),
        SourceError("s3://name:secret@server/clips", "there is no such folder."),
        SessionError("busy", "All places are taken."),
        HubError("There is no such model.", final=True),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_is_the_same_in_another_process(error):
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301 - made here
        assert type(other) is type(error) and str(other) == str(error) and vars(other) == vars(error)
