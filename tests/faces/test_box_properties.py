"""What holds for any box, any landmarks and any picture."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from emotion_model import EmotionDetector, ImageError, ModelConfig
from emotion_model.faces.boxes import Detection, overlap
from emotion_model.faces.cropping import Framing, crop_face, network_input, square_crop
from emotion_model.faces.detection import OVERLAP, _merge
from emotion_model.faces.images import as_rgb, to_grey
from support.strategies import SIDE, boxes, colours, faces, probabilities

pictures = st.integers(0, 2**32 - 1).flatmap(
    lambda seed: st.tuples(st.integers(1, 60), st.integers(1, 60)).map(
        lambda size: np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    )
)
points = st.lists(st.floats(-5000, 5000, width=32), min_size=10, max_size=10).map(
    lambda values: np.array(values, np.float32).reshape(5, 2)
)
framings = st.builds(Framing, side=st.floats(0.2, 5), dx=st.floats(-1, 1), dy=st.floats(-1, 1))
detections = st.builds(Detection, boxes, st.none() | points, st.floats(0.01, 1))


def detector(score=None):
    """The real way from detections to faces, with a model that answers at once."""
    answer = np.full(7, 1 / 7, np.float32) if score is None else score
    model = SimpleNamespace(
        config=ModelConfig(),
        emotions=ModelConfig().emotions,
        predict=lambda crops, flip: np.tile(answer, (len(crops), 1)),
    )
    return EmotionDetector(model, SimpleNamespace(name="yunet"))


@given(boxes, boxes)
def test_overlap_is_a_share_and_the_same_from_both_sides(one, other):
    assert 0 <= overlap(one, other) <= 1 + 1e-3
    assert overlap(one, other) == overlap(other, one)


@given(boxes)
def test_a_box_overlaps_itself_wholly_and_a_box_beside_it_not_at_all(box):
    x, y, width, height = box
    assert overlap(box, box) == pytest.approx(1, abs=1e-2)
    assert overlap(box, (x + width + 1, y, width, height)) == 0


@given(boxes, st.floats(0.05, 1), st.floats(0.05, 1))
def test_a_box_inside_another_overlaps_it_by_its_share_of_the_area(box, wide, high):
    x, y, width, height = box
    assert overlap(box, (x, y, width * wide, height * high)) == pytest.approx(wide * high, abs=1e-2)


close_boxes = st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(5, 60), st.integers(5, 60))


@given(st.lists(st.builds(Detection, close_boxes, st.none(), st.floats(0.01, 1)), max_size=12))
def test_merged_boxes_are_some_of_those_found_and_no_two_show_one_face(found):
    kept = _merge(found)
    assert all(any(one is other for other in found) for one in kept)
    for i, one in enumerate(kept):
        assert all(overlap(one.box, other.box) <= OVERLAP + 1e-6 for other in kept[:i])


@given(st.lists(st.builds(Detection, close_boxes, st.none(), st.floats(0.01, 1)), max_size=12))
def test_a_box_is_merged_only_into_one_that_is_as_sure(found):
    kept = _merge(found)
    for one in found:
        if not any(one is other for other in kept):
            rivals = [other for other in kept if overlap(one.box, other.box) > OVERLAP - 1e-6]
            # Scores are compared as float32.
            assert any(np.float32(other.score) >= np.float32(one.score) for other in rivals)


@given(st.lists(st.builds(Detection, close_boxes, st.none(), st.floats(0.01, 1)), max_size=12))
def test_merging_twice_changes_nothing(found):
    kept = _merge(found)
    assert {id(one) for one in _merge(kept)} == {id(one) for one in kept}


@given(pictures, st.data())
def test_a_face_that_touches_the_picture_has_a_box_inside_it(picture, data):
    height, width = picture.shape[:2]
    x, y = data.draw(st.floats(-90, width, exclude_max=True)), data.draw(st.floats(-90, height, exclude_max=True))
    # As FaceDetector gives them: no box lies wholly outside.
    wide = data.draw(st.floats(max(-x, 0), 200, exclude_min=True))
    high = data.draw(st.floats(max(-y, 0), 200, exclude_min=True))
    (face,) = detector().detect_many([picture], [[Detection((x, y, wide, high), None, 1.0)]])[0]
    left, top, right, bottom = face.box[0], face.box[1], face.box[0] + face.box[2], face.box[1] + face.box[3]
    assert 0 <= left < right <= width and 0 <= top < bottom <= height
    assert all(isinstance(value, int) for value in face.box)


@pytest.mark.parametrize("box", [(19.7, 5.0, 10.0, 4.0), (5.0, 9.8, 4.0, 10.0), (-4.0, -4.0, 4.2, 4.2)])
def test_a_box_that_only_just_reaches_into_the_picture_is_drawn_in_its_last_pixels(box):
    (face,) = detector().detect_many([np.zeros((10, 20, 3), np.uint8)], [[Detection(box, None, 1.0)]])[0]
    x, y, width, height = face.box
    assert x >= 0 and x + width <= 20 and y >= 0 and y + height <= 10 and min(width, height) >= 1


@given(pictures, st.lists(detections, max_size=4), probabilities())
def test_there_is_a_face_for_each_detection_in_their_order(picture, found, score):
    shown = detector(score).detect_many([picture], [found])[0]
    assert [face.detection_score for face in shown] == [one.score for one in found]
    assert all(np.array_equal(face.probabilities, score) for face in shown)


@given(pictures, boxes, st.none() | points, framings, st.integers(8, 64))
def test_a_crop_has_its_shape_and_no_grey_that_the_picture_lacks(picture, box, landmarks, framing, side):
    grey = to_grey(picture)
    crop = crop_face(grey, box, landmarks, framing, side)
    assert crop.shape == (side, side) and crop.dtype == np.uint8
    assert grey.min() <= crop.min() and crop.max() <= grey.max()


@given(st.integers(0, 255), boxes, st.none() | points, framings)
def test_a_crop_of_a_plain_picture_is_plain(level, box, landmarks, framing):
    crop = crop_face(np.full((40, 50), level, np.uint8), box, landmarks, framing, 24)
    assert (crop == level).all()


@given(pictures, st.data(), st.integers(1, 96))
def test_a_thumbnail_has_its_shape_for_any_face_of_the_picture(picture, data, side):
    face = data.draw(faces())
    scale = np.array([*picture.shape[1::-1]] * 2) / SIDE
    box = tuple(int(value) for value in np.array(face.box) * scale)
    face = type(face)((box[0], box[1], max(box[2], 1), max(box[3], 1)), face.probabilities)
    thumbnail = square_crop(picture, face, side)
    assert thumbnail.shape == (side, side, 3) and thumbnail.dtype == np.uint8


@given(st.lists(pictures, max_size=4), st.integers(8, 64))
def test_network_input_has_a_plane_per_face_within_the_faces_greys(found, side):
    batch = network_input(found, side)
    assert batch.shape == (len(found), side, side, 1) and batch.dtype == np.float32
    for plane, picture in zip(batch, found, strict=True):
        grey = to_grey(picture)
        assert grey.min() - 1e-3 <= plane.min() and plane.max() <= grey.max() + 1e-3


@given(
    arrays.arrays(
        st.sampled_from([np.uint8, np.uint16, np.int16, np.float32, np.bool_, np.complex64]),
        arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
    )
)
def test_an_array_becomes_rgb_of_its_size_or_is_refused_with_what_was_given(array):
    try:
        rgb = as_rgb(array)
    except ImageError as error:
        assert error.code == "bad_array" and (str(array.dtype) in str(error) or str(array.shape) in str(error))
    else:
        assert rgb.shape == (*array.shape[:2], 3) and rgb.dtype == np.uint8
        assert to_grey(array).shape == array.shape[:2]


@given(colours, st.integers(0, 255))
def test_transparency_shows_between_the_colour_and_white(colour, alpha):
    rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    (shown,) = as_rgb(np.array([[[*rgb, alpha]]], np.uint8))[0]
    assert all(level <= seen <= 255 for level, seen in zip(rgb, shown, strict=True))
