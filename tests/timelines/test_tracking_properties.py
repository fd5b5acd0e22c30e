"""What holds for the faces of any film: ids, smoothed probabilities, labels that hold still."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotion_model import EMOTIONS, FaceTracker, TrackingConfig
from emotion_model.timelines.tracking import LONGEST_GAP, EmotionSmoother
from support.strategies import crowds, faces, films, probabilities

configs = st.builds(
    TrackingConfig,
    smoothing=st.just(0) | st.floats(0.001, 60),
    label_lead=st.floats(0, 0.99),
    label_evidence=st.floats(0, 5),
    patience=st.floats(0, 10),
    reach=st.floats(0.01, 5),
    speed=st.floats(0, 10),
    size_ratio=st.floats(1.01, 10),
)
strips = st.lists(st.tuples(st.integers(1, 4000), probabilities()), min_size=1, max_size=20)


def tracked(film, config):
    tracker = FaceTracker(config)
    return [(time, tracker.update(found, time)) for time, found in film]


@given(films(crowds()), configs)
def test_ids_are_unique_in_a_frame_count_up_from_one_and_never_skip(film, config):
    highest = 0
    for _, found in tracked(film, config):
        ids = [face.track_id for face in found]
        assert len(set(ids)) == len(ids)
        new = sorted(number for number in ids if number > highest)
        assert new == list(range(highest + 1, highest + 1 + len(new)))
        highest += len(new)


@given(films(crowds()), configs)
def test_an_id_out_of_sight_for_longer_than_patience_never_comes_back(film, config):
    seen = {}
    for time, found in tracked(film, config):
        for face in found:
            assert time - seen.get(face.track_id, time) <= max(config.patience, LONGEST_GAP)
            seen[face.track_id] = time


@given(films(crowds()), configs)
def test_the_order_the_boxes_and_what_the_network_said_are_kept(film, config):
    for (_, given_faces), (_, found) in zip(film, tracked(film, config), strict=True):
        assert [face.box for face in found] == [face.box for face in given_faces]
        assert all(b.raw_probabilities is a.probabilities for a, b in zip(given_faces, found, strict=True))
        assert all(face.track_id is None and face.raw_probabilities is None for face in given_faces)


@given(films(crowds()), configs)
def test_what_is_shown_sums_to_one_and_is_led_by_the_label(film, config):
    shown = {}
    for _, found in tracked(film, config):
        for face in found:
            shown.setdefault(face.track_id, []).append(face.raw_probabilities)
            seen = np.stack(shown[face.track_id])
            assert face.probabilities.dtype == np.float32
            assert float(face.probabilities.sum()) == pytest.approx(1, abs=1e-5)
            assert face.probabilities.min() >= 0 and face.probabilities.max() <= seen.max() + 1e-3
            assert face.steady_emotion == EMOTIONS[int(face.probabilities.argmax())]


@given(films(crowds()), configs)
def test_the_same_film_gives_the_same_faces(film, config):
    for (_, first), (_, second) in zip(tracked(film, config), tracked(film, config), strict=True):
        for one, other in zip(first, second, strict=True):
            assert (one.track_id, one.emotion) == (other.track_id, other.emotion)
            assert np.array_equal(one.probabilities, other.probabilities)


@given(films(crowds()), configs)
def test_after_a_cut_nobody_keeps_an_id_and_the_clock_begins_anew(film, config):
    tracker = FaceTracker(config)
    before = {face.track_id for time, found in film for face in tracker.update(found, time)}
    tracker.cut()
    after = {face.track_id for time, found in film for face in tracker.update(found, time)}
    assert not before & after


@given(films(crowds()), st.floats(1e-6, 1e6) | st.just(math.nan), st.data())
def test_a_clock_that_runs_backwards_is_refused_and_changes_nothing(film, back, data):
    tracker, other = FaceTracker(), FaceTracker()
    for time, found in film:
        shown, expected = tracker.update(found, time), other.update(found, time)
        with pytest.raises(ValueError, match="must not be before"):
            tracker.update(data.draw(crowds(2)), time - back)
        assert [face.track_id for face in shown] == [face.track_id for face in expected]


@given(faces(), st.lists(st.integers(1, 4000), max_size=20), configs)
def test_a_face_that_stays_as_it_is_keeps_id_label_and_probabilities(face, gaps, config):
    tracker, time = FaceTracker(config), 0.0
    for gap in [0, *gaps]:
        time += gap / 1000
        (found,) = tracker.update([face], time)
        assert (found.track_id, found.emotion) == (1, face.emotion)
        assert np.array_equal(found.probabilities, face.probabilities)


@given(strips, configs)
def test_the_label_is_the_most_probable_emotion_of_what_is_shown(strip, config):
    smoother, time = EmotionSmoother(), 0.0
    for gap, raw in strip:
        time += gap / 1000
        smoother.update(raw, time, config)
        assert smoother.probabilities[smoother.label] == smoother.probabilities.max()


@given(strips)
def test_without_smoothing_the_probabilities_are_the_raw_ones(strip):
    smoother, time = EmotionSmoother(), 0.0
    for gap, raw in strip:
        time += gap / 1000
        smoother.update(raw, time, TrackingConfig(smoothing=0))
        assert smoother.probabilities == pytest.approx(raw, abs=1e-6)


@given(probabilities(), st.floats(0, 1), st.floats(0.01, 60), st.lists(st.floats(0.001, 1), min_size=1, max_size=10))
def test_the_frame_rate_does_not_matter_to_the_running_mean(first, share, smoothing, gaps):
    config, often, once = TrackingConfig(smoothing=smoothing), EmotionSmoother(), EmotionSmoother()
    then = first * np.float32(1 - share)
    then[first.argmax()] += np.float32(share)  # the same leader, more or less clear
    time = smoothing
    for smoother in (often, once):
        smoother.update(first, 0.0, config)
        smoother.update(first, time, config)
    for gap in gaps:
        time += gap
        often.update(then, time, config)
    once.update(then, time, config)
    assert often.probabilities == pytest.approx(once.probabilities, abs=1e-5)


@given(
    st.sampled_from(["smoothing", "label_lead", "label_evidence", "patience", "reach", "speed", "size_ratio"]),
    st.floats(max_value=-1e-9) | st.just(math.nan),
)
def test_settings_below_their_range_are_refused_by_name_and_value(name, value):
    with pytest.raises(ValueError) as refused:
        TrackingConfig(**{name: value})
    assert f"{name}={value}" in str(refused.value)
