"""What holds for the faces between any two frames of a clip."""

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from emotion_model.clips.analysis import AnalyzedFrame
from emotion_model.clips.annotating import faces_between
from emotion_model.faces.boxes import Detection
from support.gliding import gliding
from support.strategies import known_crowds

shares = st.floats(0, 1)
landmarks = st.lists(st.floats(-500, 500, width=32), min_size=10, max_size=10).map(
    lambda values: np.array(values, np.float32).reshape(5, 2)
)


@st.composite
def rows_of_faces(draw):
    """Faces a good way apart, and the same a little later: `(before, after)`, index by index."""
    before, after = [], []
    known = draw(st.booleans())
    for number in range(draw(st.integers(0, 5))):
        box = (number * 300.0, draw(st.floats(0, 50)), draw(st.floats(60, 100)), draw(st.floats(60, 100)))
        moved = tuple(value + draw(st.floats(-4, 4)) for value in box)
        for frame, place in ((before, box), (after, moved)):
            frame.append(Detection(place, draw(landmarks) if known else None, draw(st.floats(0, 1))))
    return before, after


def values(one):
    points = () if one.landmarks is None else one.landmarks.ravel().tolist()
    return np.array([*one.box, *points, one.score])


@given(rows_of_faces(), shares, st.randoms(use_true_random=False))
def test_faces_that_are_apart_glide_evenly_in_whatever_order_they_come(rows, share, random):
    before, after = rows
    found = gliding(before, random.sample(after, len(after)), share)
    assert len(found) == len(before)
    for one, start, end in zip(found, before, after, strict=True):
        expected = values(start) + share * (values(end) - values(start))
        assert values(one) == pytest.approx(expected, abs=1e-3)
        assert one.landmarks is None or (one.landmarks.shape == (5, 2) and one.landmarks.dtype == np.float32)


@given(rows_of_faces())
def test_gliding_begins_at_the_earlier_and_ends_at_the_later_faces(rows):
    before, after = rows
    for share, frame in ((0.0, before), (1.0, after)):
        for one, expected in zip(gliding(before, after, share), frame, strict=True):
            assert values(one) == pytest.approx(values(expected), abs=1e-3)


@st.composite
def crowded_rows(draw):
    """Faces that overlap, and the same a few pixels on, in another order; sometimes one has gone."""
    near = st.integers(0, 30)
    before = draw(st.lists(st.tuples(near, near, st.integers(60, 100), st.integers(60, 100)), max_size=4))
    after = [tuple(value + draw(st.integers(-8, 8)) for value in box) for box in before]
    after = draw(st.permutations(after))[: draw(st.sampled_from([4, 4, 4, 3]))]
    return tuple([Detection(tuple(map(float, box)), None, 0.9) for box in frame] for frame in (before, after))


TWO_NEAR_ONE = (  # the same later box overlaps most with both
    [Detection((0.0, 0.0, 100.0, 100.0), None, 0.9), Detection((10.0, 0.0, 100.0, 100.0), None, 0.9)],
    [Detection((6.0, 0.0, 100.0, 100.0), None, 0.9), Detection((26.0, 0.0, 100.0, 100.0), None, 0.9)],
)


@given(crowded_rows(), shares)
@example(TWO_NEAR_ONE, 0.5)
def test_what_glides_lies_between_a_face_before_and_a_face_after_each_used_once(rows, share):
    before, after = rows
    found, ends = gliding(before, after, share), gliding(before, after, 1.0)
    if len(before) != len(after):
        assert found is ends is None
    elif ends is not None:
        assert sorted(end.box for end in ends) == sorted(one.box for one in after)
        for one, start, end in zip(found, before, ends, strict=True):
            assert lies_between(one.box, start.box, end.box)


def lies_between(box, start, end):
    return all(min(a, b) - 1e-3 <= value <= max(a, b) + 1e-3 for value, a, b in zip(box, start, end, strict=True))


@given(rows_of_faces(), shares, st.data())
def test_nothing_glides_where_a_face_comes_goes_or_jumps(rows, share, data):
    before, after = rows
    assume(before)
    number = data.draw(st.integers(0, len(before) - 1))
    rest = [one for i, one in enumerate(after) if i != number]
    jumped = Detection((9000.0, 0.0, 80.0, 80.0), after[number].landmarks, 1.0)
    assert gliding(before, rest, share) is None
    assert gliding(before, [*after, jumped], share) is None
    assert gliding(before, [*rest, jumped], share) is None


@st.composite
def moments(draw):
    """Two analysed frames and a time from the earlier one up to the later."""
    start = draw(st.floats(0, 1000))
    end = start + draw(st.floats(0.001, 5))
    cut = draw(st.none() | st.floats(start, end))
    before = AnalyzedFrame(0, start, draw(known_crowds()), None)
    return before, AnalyzedFrame(1, end, draw(known_crowds()), None, cut), draw(st.floats(start, end))


def by_id(faces):
    return {face.track_id: face for face in faces}


@given(moments())
def test_between_frames_everybody_is_shown_once_and_nobody_else(moment):
    before, after, time = moment
    first, second, shown = by_id(before.faces), by_id(after.faces), faces_between(*moment)
    ids = [face.track_id for face in shown]
    assert len(set(ids)) == len(ids)
    assert set(first) & set(second) <= set(ids) <= set(first) | set(second)
    if time > before.time:
        late = time >= ((before.time + after.time) / 2 if after.cut is None else after.cut)
        assert set(ids) == (set(first) & set(second)) | set(second if late else first)


@given(moments())
def test_between_frames_boxes_and_probabilities_lie_between_those_of_the_frames(moment):
    before, after, _ = moment
    first, second = by_id(before.faces), by_id(after.faces)
    for face in faces_between(*moment):
        start = first.get(face.track_id, second.get(face.track_id))
        end = second.get(face.track_id, start)
        assert all(isinstance(value, int) for value in face.box)
        assert lies_between(face.box, start.box, end.box)
        assert lies_between(face.probabilities, start.probabilities, end.probabilities)
        assert face.probabilities.dtype == np.float32
        assert float(face.probabilities.sum()) == pytest.approx(1, abs=1e-5)


@given(moments())
def test_at_the_time_of_the_earlier_frame_its_faces_are_shown_as_they_are(moment):
    before, after, _ = moment
    assert faces_between(before, after, before.time) == before.faces
    assert faces_between(before, None, after.time) == before.faces
    assert faces_between(None, after, before.time) == []
