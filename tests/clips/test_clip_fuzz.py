"""Damaged clips: each is read to its end or refused with a sentence, in time and without much memory."""

import pytest

from emotion_model import MediaError, MediaLimits, VideoReader
from support.damage import CLIPS, Outcome, clips, require_outcomes, try_clip

SEED, COUNT, PIECES = 7, 210, 6

pytestmark = [
    pytest.mark.fuzz,
    pytest.mark.filterwarnings("ignore"),  # decoders warn of what is damaged
]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return clips(tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize("name", CLIPS)
def test_whole_clips_are_read(files, name, tmp_path):
    (tmp_path / name).write_bytes(files[name])
    assert try_clip(tmp_path / name).code == "read"


@pytest.mark.parametrize("piece", range(PIECES))
def test_damaged_clips_are_read_or_refused_with_a_sentence(files, piece, tmp_path):
    def attempt(name: str, data: bytes) -> Outcome:
        (tmp_path / name).write_bytes(data)
        return try_clip(tmp_path / name)

    require_outcomes(files, SEED, range(piece, COUNT, PIECES), attempt)


@pytest.mark.parametrize("name", ["h264.mp4", "h264.mov"])
def test_a_clip_that_lists_no_frames_is_damaged_also_where_its_length_has_to_be_measured(files, name, tmp_path):
    path = tmp_path / name
    path.write_bytes(files[name].replace(b"stsz", b"free"))  # the table with the frames' sizes
    for limits in (MediaLimits(), MediaLimits(seconds=0.1)):
        with pytest.raises(MediaError) as refused:
            VideoReader(path, limits)
        assert refused.value.code == "damaged"
