"""Where the probabilities carry no word, every door says so."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from emotion_model import EMOTIONS, LABELS, Face, FaceTracker, TrackingConfig, draw_faces
from emotion_model.labels import UNCLEAR
from emotion_model.timelines.subtitles import subtitles
from emotion_model.timelines.summary import ClipSummary
from emotion_model.timelines.table import frame_rows
from ui.cards import face_cards

LIMIT = 0.4


def face(emotion, confidence, **more):
    probabilities = np.full(7, (1 - confidence) / 6, np.float32)
    probabilities[EMOTIONS.index(emotion)] = confidence
    return Face((30, 20, 60, 60), probabilities, clear_from=LIMIT, **more)


def test_a_face_below_the_limit_is_unclear_and_its_emotion_stays():
    doubtful, sure = face("sad", 0.35), face("sad", 0.45)
    assert (doubtful.emotion, doubtful.clear, doubtful.word) == ("sad", False, "unclear")
    assert (sure.emotion, sure.clear, sure.word) == ("sad", True, "sad")
    assert doubtful.to_dict()["clear"] is False and doubtful.to_dict()["emotion"] == "sad"
    assert doubtful.likeliest[0] == ("sad", pytest.approx(0.35))
    assert replace(doubtful, clear_from=0.0).clear, "a model without a limit says every word"
    [row] = frame_rows(0, 0, [doubtful])
    assert row["clear"] is False


def test_cards_and_pictures_say_unclear_with_the_two_likeliest():
    picture = np.full((120, 160, 3), 90, np.uint8)
    html = face_cards(picture, [face("sad", 0.35)], LABELS)
    assert "<h2>Unclear</h2>" in html and "sad 35% or " in html
    assert "unclear" not in face_cards(picture, [face("sad", 0.5)], LABELS).lower()
    drawn = draw_faces(picture, [face("sad", 0.35)])
    assert (drawn == UNCLEAR.rgb).all(axis=2).sum() > 100
    assert not (draw_faces(picture, [face("sad", 0.5)]) == UNCLEAR.rgb).all(axis=2).any()


def test_a_tracked_face_at_the_limit_does_not_flicker():
    rng, tracker, clear = np.random.default_rng(0), FaceTracker(), []
    for i in range(300):
        (found,) = tracker.update([face("happy", LIMIT + rng.normal(0, 0.02))], i / 30)
        clear.append(found.clear)
    assert sum(a != b for a, b in pairwise(clear)) <= 1


def test_a_tracked_face_becomes_unclear_and_clear_again():
    tracker, clear = FaceTracker(), []
    for i in range(450):
        (found,) = tracker.update([face("happy", 0.25 if 90 <= i < 270 else 0.9)], i / 30)
        clear.append(found.clear)
    assert clear[80] and not clear[269] and clear[-1]


def test_without_smoothing_a_tracked_face_is_clear_as_it_is_by_itself():
    tracker = FaceTracker(TrackingConfig(smoothing=0))
    seen = [face("happy", confidence) for confidence in (0.3, 0.42, 0.9, 0.38)]
    assert [tracker.update([one], time)[0].clear for time, one in enumerate(seen)] == [one.clear for one in seen]


def test_a_summary_counts_the_time_that_is_unclear_apart():
    summary = ClipSummary(0)
    for time, one in ((0, face("happy", 0.9)), (1, face("sad", 0.3)), (3, face("happy", 0.8)), (4, face("fear", 0.9))):
        summary.add(time, [replace(one, track_id=1)])
    summary.finish(5)
    [person] = summary.people
    assert person.shares == pytest.approx({"happy": 2, "unclear": 2, "fear": 1})
    assert person.changes == 1, "it was happy before and after"
    assert [peak.emotion for peak in person.moments] == ["happy", "fear"]
    assert summary.to_dict()["people"][0]["shares"]["unclear"] == pytest.approx(0.4)
    assert "Person 1: unclear" in subtitles(summary.people)
