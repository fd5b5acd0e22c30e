"""Ids over frames, smoothing and the steady label, on generated sequences."""

import math
from itertools import pairwise

import numpy as np
import pytest

from emotion_model import EMOTIONS, Face, FaceTracker, TrackingConfig

RATES = [1 / 3, 1, 2, 5, 10, 30]  # frames per second


def face(x, y=100.0, size=80.0, probabilities=None):
    if probabilities is None:
        probabilities = np.full(7, 1 / 7, np.float32)
    return Face((round(x), round(y), round(size), round(size)), probabilities)


def ids(faces):
    return [one.track_id for one in faces]


def softmax(logits):
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return (e / e.sum(axis=-1, keepdims=True)).astype(np.float32)


def leaning(emotion, strength=2.5):
    logits = np.full(7, -1.0)
    logits[EMOTIONS.index(emotion)] = strength
    return logits


def test_no_face_is_an_empty_list():
    tracker = FaceTracker()
    assert tracker.update([], 0.0) == [] and tracker.update([], 1.0) == []


def test_a_face_without_extent_is_followed_too():
    tracker = FaceTracker()
    assert [ids(tracker.update([face(100, size=0)], time)) for time in (0.0, 0.1)] == [[1], [1]]


@pytest.mark.parametrize("smoothing", [0, 2.0])
def test_what_is_done_to_a_result_changes_no_other(smoothing):
    def answers(after):
        tracker, given = FaceTracker(TrackingConfig(smoothing)), face(100, probabilities=softmax(leaning("happy")))
        first = tracker.update([given], 0.0)[0]
        before = given.probabilities.copy()
        after(first)
        assert (first.raw_probabilities == before).all()
        return tracker.update([face(100)], 0.1)[0].probabilities

    assert (answers(lambda first: first.probabilities.fill(0)) == answers(lambda first: None)).all()


@pytest.mark.parametrize("rate", RATES)
def test_a_jittering_face_keeps_its_id(rate):
    rng, tracker = np.random.default_rng(0), FaceTracker()
    for i in range(math.ceil(rate * 15)):
        one = face(300 + rng.normal(0, 3), 200 + rng.normal(0, 3), 80 * math.exp(rng.normal(0, 0.05)))
        assert ids(tracker.update([one], i / rate)) == [1]


@pytest.mark.parametrize("rate", RATES)
def test_two_faces_keep_their_ids_in_whatever_order_they_come(rate):
    rng, tracker = np.random.default_rng(0), FaceTracker()
    assert ids(tracker.update([face(100), face(400)], 0.0)) == [1, 2]
    for i in range(1, math.ceil(rate * 12)):
        places = [100, 400] if rng.random() < 0.5 else [400, 100]
        expected = [1, 2] if places[0] == 100 else [2, 1]
        assert ids(tracker.update([face(x + rng.normal(0, 3)) for x in places], i / rate)) == expected


def test_irregular_times_do_not_matter():
    rng, tracker, time = np.random.default_rng(1), FaceTracker(), 0.0
    for _ in range(100):
        time += rng.uniform(0.02, 0.8)
        assert ids(tracker.update([face(100 + 30 * time), face(900 - 30 * time, 400)], time)) == [1, 2]


@pytest.mark.parametrize("rate", [2, 5, 10, 30])
@pytest.mark.parametrize("speed", [60, 160])  # pixels per second; the faces are 80 wide
def test_two_faces_cross_with_the_hidden_one_not_detected(rate, speed):
    tracker, hidden = FaceTracker(), 0
    for i in range(math.ceil(600 / speed * rate) + 1):
        left, right = 100 + speed * i / rate, 700 - speed * i / rate
        # In front is the one from the left; the other is not found while it is more than half hidden.
        visible = abs(left - right) > 40
        hidden += not visible
        found = tracker.update([face(left)] + [face(right)] * visible, i / rate)
        assert ids(found) == [1, 2][: len(found)]
    assert hidden


@pytest.mark.parametrize("rate", [2, 5, 10, 30])
def test_missed_detections_and_a_short_occlusion_keep_the_id(rate):
    tracker = FaceTracker()
    for i in range(6 * rate):
        time = i / rate
        missed = i % 4 == 3 or 2.0 < time < 2.8
        found = tracker.update([] if missed else [face(100 + 40 * time)], time)
        assert ids(found) == ([] if missed else [1])


def test_a_face_that_was_gone_for_longer_is_a_new_one():
    tracker = FaceTracker(TrackingConfig(patience=1.0))
    assert ids(tracker.update([face(100)], 0.0)) == [1]
    assert ids(tracker.update([face(100)], 1.0)) == [1]
    tracker.update([], 1.5)
    assert ids(tracker.update([face(100)], 2.5)) == [2]


@pytest.mark.parametrize("rate", [0.5, 1, 1.5])
def test_where_frames_are_rare_one_that_missed_a_face_ends_nobody(rate):
    tracker = FaceTracker()
    for i, seen in enumerate([True, True, False, True, False, True]):
        assert ids(tracker.update([face(100)] * seen, i / rate)) == [1] * seen
    for i in (6, 7, 8):
        tracker.update([], i / rate)
    assert ids(tracker.update([face(100)], 9 / rate)) == [2]


def test_without_patience_a_missed_face_is_a_new_one():
    tracker = FaceTracker(TrackingConfig(patience=0))
    seen = [ids(tracker.update([face(100)] * found, float(i))) for i, found in enumerate([1, 1, 0, 1])]
    assert seen == [[1], [1], [], [2]]


def test_a_face_is_there_for_as_long_as_its_frame_is_shown():
    tracker = FaceTracker()
    tracker.update([face(100)], 0.0, duration=20.0)
    assert ids(tracker.update([face(110)], 20.0, duration=1000.0)) == [1]
    assert ids(tracker.update([], 20.1)) == [], "whatever the file says, the next frame shows that nobody is there"
    assert ids(tracker.update([face(110)], 21.5)) == [2]


def test_a_face_is_not_followed_over_a_very_long_gap():
    tracker = FaceTracker()
    assert ids(tracker.update([face(100)], 0.0)) == [1]
    assert ids(tracker.update([face(100)], 4.0)) == [1]
    assert ids(tracker.update([face(100)], 10.0)) == [2]


def test_a_face_is_followed_at_one_frame_in_five_seconds_though_some_come_a_little_late():
    tracker = FaceTracker()
    assert [ids(tracker.update([face(100)], time)) for time in (0.0, 5.02, 10.03, 15.0, 20.04)] == [[1]] * 5


def test_another_face_elsewhere_or_of_another_size_is_a_new_one():
    tracker = FaceTracker()
    tracker.update([face(100)], 0.0)
    assert ids(tracker.update([face(500)], 0.1)) == [2]
    assert ids(tracker.update([face(460, 60, 160)], 0.2)) == [3]


def test_a_cut_starts_new_ids_and_a_new_clock():
    tracker = FaceTracker()
    happy, sad = softmax(leaning("happy")), softmax(leaning("sad"))
    tracker.update([face(100, probabilities=happy)], 5.0)
    tracker.cut()
    (found,) = tracker.update([face(100, probabilities=sad)], 0.0)
    assert found.track_id == 2 and found.emotion == "sad"
    np.testing.assert_array_equal(found.probabilities, sad)


@pytest.mark.parametrize("time", [0.9, math.nan])
def test_time_does_not_run_backwards(time):
    tracker = FaceTracker()
    tracker.update([face(100)], 1.0)
    with pytest.raises(ValueError, match="time="):
        tracker.update([face(100)], time)
    assert ids(tracker.update([face(100)], 1.0)) == [1]


@pytest.mark.parametrize("rate", RATES)
def test_smoothing_is_the_same_at_every_rate(rate):
    tracker = FaceTracker(TrackingConfig(smoothing=0.5))
    before, after = softmax(leaning("happy", 1)), softmax(leaning("happy", 3))
    for time in (-1.0, 0.0):
        tracker.update([face(100, probabilities=before)], time)
    for i in range(1, math.ceil(rate) + 1):
        (found,) = tracker.update([face(100, probabilities=after)], i / rate)
    expected = after + (before - after) * math.exp(-i / rate / 0.5)
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-5)
    np.testing.assert_array_equal(found.raw_probabilities, after)
    assert found.probabilities.dtype == np.float32 and found.probabilities.sum() == pytest.approx(1, abs=1e-5)


def test_after_a_real_change_the_shown_probabilities_are_soon_those_of_now():
    tracker = FaceTracker()
    for i in range(180):
        raw = softmax(leaning("happy" if i < 120 else "sad"))
        (found,) = tracker.update([face(100, probabilities=raw)], i / 30)
    np.testing.assert_allclose(found.probabilities, raw, atol=0.1)


def test_no_smoothing_gives_the_raw_probabilities():
    rng, tracker = np.random.default_rng(0), FaceTracker(TrackingConfig(smoothing=0))
    for i in range(50):
        raw = softmax(rng.normal(0, 2, 7))
        (found,) = tracker.update([face(100, probabilities=raw)], i / 10)
        np.testing.assert_allclose(found.probabilities, raw, atol=1e-6)
        assert found.emotion == EMOTIONS[int(raw.argmax())] and found.confidence == pytest.approx(raw.max(), abs=1e-6)


def changes_in_ten_seconds(rate, seed, lead, noise):
    """How often label and raw label change for a face between happy and neutral; lead and noise are in logits."""
    rng = np.random.default_rng(seed)
    logits = leaning("happy", 1.5)
    logits[EMOTIONS.index("neutral")] = 1.5 - lead
    tracker, labels, raw_labels = FaceTracker(), [], []
    for i in range(10 * rate):
        raw = softmax(logits + rng.normal(0, noise, 7))
        (found,) = tracker.update([face(100, probabilities=raw)], i / rate)
        labels.append(found.emotion)
        raw_labels.append(int(raw.argmax()))
    return sum(a != b for a, b in pairwise(labels)), sum(a != b for a, b in pairwise(raw_labels))


@pytest.mark.parametrize("rate", [5, 10, 30])
@pytest.mark.parametrize("seed", range(5))
def test_the_label_of_a_still_face_with_noise_changes_at_most_once_in_ten_seconds(rate, seed):
    changes, raw_changes = changes_in_ten_seconds(rate, seed, lead=0.3, noise=0.5)
    assert changes <= 1 < raw_changes


@pytest.mark.parametrize("rate", [1, 2, 5, 10, 30])
def test_an_exact_tie_with_little_noise_holds_still_at_every_rate(rate):
    counted = [changes_in_ten_seconds(rate, seed, lead=0, noise=0.25) for seed in range(10)]
    assert max(changes for changes, _ in counted) <= 1 < max(raw_changes for _, raw_changes in counted)


@pytest.mark.parametrize("rate", [1, 2])
@pytest.mark.parametrize("lead", [0, 0.3])
def test_few_frames_cannot_even_out_all_noise_but_nearly_always_do(rate, lead):
    counted = np.array([changes_in_ten_seconds(rate, seed, lead, noise=0.5) for seed in range(100)])
    often, raw_often = (counted > 1).mean(axis=0)
    assert often <= 0.1 and raw_often >= 0.8


@pytest.mark.parametrize("rate", [1, 2, 5, 10, 30])
@pytest.mark.parametrize("seed", range(5))
def test_a_real_change_shows_within_half_a_second_or_two_frames_and_so_does_the_way_back(rate, seed):
    within = max(0.5, 1 / rate)
    rng, tracker, shown = np.random.default_rng(seed), FaceTracker(), []
    for i in range(6 * rate):
        emotion = "sad" if 2 * rate <= i < 4 * rate else "happy"
        raw = softmax(leaning(emotion) + rng.normal(0, 0.5, 7))
        (found,) = tracker.update([face(100, probabilities=raw)], i / rate)
        shown.append(found.emotion)
    times = [i / rate for i in range(1, len(shown)) if shown[i] != shown[i - 1]]
    assert len(times) == 2
    assert 2 <= times[0] <= 2 + within and 4 <= times[1] <= 4 + within


def test_a_single_odd_frame_does_not_change_the_label():
    tracker = FaceTracker()
    for i in range(50):
        raw = softmax(leaning("sad" if i == 25 else "happy"))
        (found,) = tracker.update([face(100, probabilities=raw)], i / 10)
        assert found.emotion == "happy"
    assert found.to_dict()["face_id"] == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"smoothing": -1},
        {"smoothing": math.nan},
        {"label_lead": 1},
        {"label_evidence": -0.1},
        {"patience": -1},
        {"reach": 0},
        {"speed": -1},
        {"size_ratio": 1},
    ],
    ids=str,
)
def test_invalid_values_are_refused_by_name(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"{name}=.*: "):
        TrackingConfig(**wrong)


def test_what_is_no_number_is_refused_by_name():
    with pytest.raises(TypeError, match="smoothing='a': give a number"):
        TrackingConfig(smoothing="a")


def test_memory_does_not_grow_with_the_faces_that_have_left():
    tracker = FaceTracker()
    for i in range(500):
        tracker.update([face(100 + 700 * (i % 2), 100 + i, 50 + 100 * (i % 2))], i * 10.0)
    assert len(tracker._tracks) == 1
