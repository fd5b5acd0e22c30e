import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from emotion_model import EMOTIONS, LABELS, Face, Label, draw_emoji, draw_faces
from emotion_model.drawing.strip import Strip


def face(box, emotion="happy", emotions=EMOTIONS):
    probabilities = np.full(len(emotions), 0.01, np.float32)
    probabilities[emotions.index(emotion)] = 1 - 0.01 * (len(emotions) - 1)
    return Face(box, probabilities, emotions=emotions)


@pytest.fixture
def grey():
    return np.full((300, 400, 3), 120, np.uint8)


def test_no_faces_leave_the_picture_as_it_is(grey):
    assert (draw_faces(grey, []) == grey).all()


def test_the_given_picture_is_not_changed(grey):
    draw_faces(grey, [face((100, 100, 80, 80))])
    assert (grey == 120).all()


def test_whatever_is_read_can_be_drawn_on(grey, tmp_path):
    Image.fromarray(grey).save(tmp_path / "grey.png")
    one = [face((100, 100, 80, 80))]
    rgba = np.dstack([grey, np.full(grey.shape[:2], 255, np.uint8)])
    for picture in (grey[..., 0].copy(), rgba, Image.fromarray(grey), tmp_path / "grey.png"):
        assert (draw_faces(picture, one) == draw_faces(grey, one)).all()


@pytest.mark.parametrize("label", LABELS, ids=EMOTIONS)
def test_the_box_has_the_colour_of_the_emotion(grey, label):
    drawn = draw_faces(grey, [face((100, 100, 80, 80), label.name)])
    assert tuple(drawn[140, 100]) == label.rgb and tuple(drawn[179, 140]) == label.rgb
    assert (drawn[120:160, 120:160] == 120).all(), "the face itself stays visible"


@pytest.mark.parametrize("box", [(0, 0, 40, 40), (360, 260, 40, 40), (0, 0, 400, 300), (395, 295, 5, 5), (0, 0, 1, 1)])
def test_faces_at_the_edge_are_drawn(grey, box):
    drawn = draw_faces(grey, [face(box)])
    assert drawn.shape == grey.shape and (drawn != grey).any()


@pytest.mark.parametrize("size", [(1, 1), (8, 500), (3000, 4000)])
def test_pictures_of_any_size_can_be_drawn_on(size):
    picture = np.zeros((*size, 3), np.uint8)
    assert draw_faces(picture, [face((0, 0, 1, 1))]).shape == picture.shape


def label_height(shape):
    """Of the label over a face of a tenth of the picture's height."""
    picture = np.full((*shape, 3), 120, np.uint8)
    side = shape[0] // 10
    top = shape[0] // 2
    drawn = draw_faces(picture, [face((shape[1] // 2, top, side, side))])
    return int((drawn[: top - 2] != picture[: top - 2]).any(axis=(1, 2)).sum())


def test_labels_leave_a_panorama_to_be_seen():
    assert label_height((800, 8000)) < 800 / 8 and label_height((8000, 800)) < 8000 / 8
    assert label_height((300, 600)) == label_height((450, 600)) == label_height((600, 600))


def test_labels_of_large_photos_fill_no_memory():
    picture = np.zeros((3000, 4000, 3), np.uint8)
    tracemalloc.start()
    try:
        for number in range(12):
            draw_faces(picture, [replace(face((1000, 1000, 800, 800)), track_id=number)])
        assert tracemalloc.get_traced_memory()[0] < 5_000_000  # twelve labels have 24
    finally:
        tracemalloc.stop()


def test_twenty_labels_stay_readable(grey):
    faces = [face((20 + 75 * (i % 5), 30 + 65 * (i // 5), 30, 35)) for i in range(20)]
    drawn = draw_faces(grey, faces)
    for one in faces:
        x, y, width, height = one.box
        around = drawn[max(0, y - 22) : y + height + 22, max(0, x - 25) : x + width + 25]
        assert (around.min(axis=2) > 240).any(), "no white text near a face"


def test_a_class_without_colour_or_emoji_of_its_own_is_drawn(grey):
    labels = (*LABELS, Label("contempt", "😏", "#0000ff"))
    one = face((100, 100, 80, 80), "contempt", (*EMOTIONS, "contempt"))
    assert tuple(draw_faces(grey, [one], labels)[140, 100]) == (0, 0, 255)
    assert draw_faces(grey, [one]).shape == grey.shape


def test_class_names_may_have_accents_and_other_alphabets(grey):
    # What a font lacks it draws as one and the same box: then names that differ only there would look alike.
    for one, other in (("müde", "mõde"), ("грусть", "грубть"), ("χαρά", "χορά")):
        drawn = [draw_faces(grey, [face((100, 100, 80, 80), name, ("x", name))]) for name in (one, other)]
        assert (drawn[0] != drawn[1]).any(), one
        assert ((drawn[0] != grey).any(axis=2) & (drawn[0].min(axis=2) > 200)).sum() > 20, "no white text"
    assert (draw_emoji("ärger", 64) != draw_emoji("öde", 64)).any()


@pytest.mark.parametrize("emotion", [*EMOTIONS, "contempt"])
def test_each_emoji_is_a_round_head_of_its_own(emotion):
    emoji = draw_emoji(emotion, 64)
    assert emoji.shape == (64, 64, 4) and emoji.dtype == np.uint8
    assert emoji[0, 0, 3] == 0 and emoji[32, 32, 3] == 255
    others = [draw_emoji(other, 64) for other in EMOTIONS if other != emotion]
    assert all((other != emoji).any(axis=2).mean() > 0.05 for other in others)


def test_an_emoji_of_no_size_is_refused():
    with pytest.raises(ValueError, match="size=0"):
        draw_emoji("happy", 0)


def test_the_strip_shows_each_stretch_in_the_emotion_of_its_frame(grey):
    strip = Strip((400, 300), start=5, end=25, labels=LABELS)
    for time, faces in ((5, ["happy"]), (10, ["sad"]), (15, []), (20, ["angry"])):
        picture = grey.copy()
        strip.draw(picture, time, [replace(face((0, 0, 50, 50), emotion), track_id=1) for emotion in faces])
    colours = {label.name: label.rgb for label in LABELS}
    seen = {name: [x for x in range(400) if tuple(picture[-1, x]) == colour] for name, colour in colours.items()}
    assert seen["happy"] == list(range(100)) and seen["sad"] == list(range(100, 200))
    assert seen["angry"] == [], "its stretch is yet to come"
