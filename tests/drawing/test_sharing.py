"""The picture to share."""

import numpy as np
import pytest

from emotion_model import Face
from emotion_model.drawing.sharing import LONGEST_SIDE, share_picture

CAPTION = "Emotion Lens · 1 January 2026 · model: bundled"


def face(box):
    return Face(box, np.array([0, 0, 0, 1, 0, 0, 0], np.float32))


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(0).integers(0, 256, (400, 600, 3), dtype=np.uint8)


def test_faces_are_hidden_and_nothing_else(noise):
    one = face((200, 150, 80, 100))
    shown = share_picture(noise, [one], CAPTION)
    hidden = share_picture(noise, [one], CAPTION, hide_faces=True)
    assert shown.shape == hidden.shape and shown.shape[0] > 400 and shown.dtype == np.uint8
    inside = hidden[190:240, 215:265].reshape(-1, 3)
    assert len(np.unique(inside, axis=0)) <= 36  # coarse blocks
    np.testing.assert_array_equal(shown[300:400], hidden[300:400])
    np.testing.assert_array_equal(shown[:400, 320:], hidden[:400, 320:])
    assert noise.std() > 70, "the picture itself is as it was"


@pytest.mark.parametrize("box", [(0, 0, 1, 1), (599, 399, 1, 1), (0, 0, 600, 400), (590, 0, 10, 400)])
def test_faces_at_the_edges_are_hidden_too(noise, box):
    assert share_picture(noise, [face(box)], CAPTION, hide_faces=True).shape[1] == 600


@pytest.mark.parametrize("size", [(8, 8), (3000, 50), (50, 3000), (2500, 4000)])
def test_pictures_of_all_sizes_get_their_line(size):
    picture = share_picture(np.full((*size, 3), 200, np.uint8), [], CAPTION)
    assert max(picture.shape[:2]) <= LONGEST_SIDE + 60
    assert (picture[-1] < 40).all()


def test_without_faces_it_is_the_picture(noise):
    np.testing.assert_array_equal(share_picture(noise, [], CAPTION, hide_faces=True)[:400], noise)
