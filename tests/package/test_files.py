"""Files that stand under their name only when they are whole."""

import os

import pytest

from emotion_model.files import whole_file


def test_what_a_link_leads_to_is_written_and_the_link_stays(tmp_path):
    (tmp_path / "far").mkdir()
    link, file = tmp_path / "link.csv", tmp_path / "far" / "file.csv"
    link.symlink_to(file)
    for text in ("first", "second"):  # where nothing is yet, and over what is there
        with whole_file(link) as partial:
            partial.write_text(text)
        assert link.is_symlink() and file.read_text() == text
    assert list(file.parent.iterdir()) == [file]


def test_what_is_no_file_is_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="not a regular file"), whole_file(pipe):
        pytest.fail("it began")
    assert list(tmp_path.iterdir()) == [pipe] and pipe.is_fifo()
