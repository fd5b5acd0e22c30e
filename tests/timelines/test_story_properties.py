"""What holds for the rows, the sums and the subtitles of any film."""

import csv
import io
import json
import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotion_model import EMOTIONS, Face
from emotion_model.timelines.clock import clock, stamp
from emotion_model.timelines.subtitles import subtitles
from emotion_model.timelines.summary import MAX_BINS, ClipSummary
from emotion_model.timelines.table import TimelineWriter, columns, frame_rows
from support.strategies import faces, films, known_crowds, labels, probabilities


@st.composite
def tables(draw):
    """The classes of a model and the rows of a few frames."""
    emotions = tuple(label.name for label in draw(labels().filter(lambda found: usable(found))))
    rows = []
    for frame in range(draw(st.integers(0, 4))):
        scores = draw(st.lists(probabilities(len(emotions)), max_size=3))
        found = [Face((1, 2, 3, 4), p, track_id=i + 1, emotions=emotions) for i, p in enumerate(scores)]
        rows += frame_rows(draw(st.integers(0, 10**8)) / 1000, frame, found, emotions)
    return emotions, rows


def usable(found):
    """No class is named like another column."""
    names = [label.name for label in found]
    return len(set(columns(names))) == len(columns(names))


def written(rows, form, emotions):
    file = io.StringIO(newline="")
    with TimelineWriter(file, form, emotions) as timeline:
        timeline.write(rows)
    return file.getvalue()


@given(tables())
def test_rows_come_back_from_json_as_they_were(table):
    emotions, rows = table
    assert json.loads(written(rows, "json", emotions)) == rows


def in_csv(value):
    return str(value).lower() if isinstance(value, bool) else str(value)


@given(tables())
def test_rows_come_back_from_csv_with_every_column_and_empty_cells_for_what_is_missing(table):
    emotions, rows = table
    read = list(csv.reader(io.StringIO(written(rows, "csv", emotions), newline="")))
    assert read[0] == list(columns(emotions)) and len(set(read[0])) == 13 + 2 * len(emotions)
    expected = [["" if row[name] is None else in_csv(row[name]) for name in columns(emotions)] for row in rows]
    assert read[1:] == expected


@given(st.lists(faces(1), max_size=4), st.integers(0, 10**6), st.floats(0, 1e6))
def test_a_frame_has_a_row_per_face_or_one_without_values(found, frame, time):
    rows = frame_rows(time, frame, found)
    assert len(rows) == max(len(found), 1)
    for row in rows:
        assert tuple(row) == columns() and row["frame"] == frame and row["time"] == pytest.approx(time, abs=6e-4)
    for face, row in zip(found, rows, strict=False):
        assert (row["x"], row["y"], row["w"], row["h"]) == face.box
        assert [row[name] for name in EMOTIONS] == pytest.approx(face.probabilities.tolist(), abs=6e-5)
        assert [row[f"raw_{name}"] for name in EMOTIONS] == [row[name] for name in EMOTIONS]


@st.composite
def summed(draw, longest=4000):
    """A finished summary, the film it is of, and its end in seconds."""
    film = draw(films(known_crowds(3), longest=longest))
    end = film[-1][0] + draw(st.integers(1, longest)) / 1000
    summary = ClipSummary(start=film[0][0])
    times = [*(time for time, _ in film), end]
    for (time, found), after in zip(film, times[1:], strict=True):
        summary.add(time, found, duration=after - time)
    summary.finish(end)
    return summary, film, end


lasting = summed() | summed(longest=3_000_000)  # up to hours, so that the timeline's steps double


@given(lasting)
def test_shares_segments_and_steps_each_sum_to_the_seconds_somebody_is_seen(made):
    summary, film, end = made
    times = [*(time for time, _ in film), end]
    for person in summary.people:
        seen = sum(
            after - before
            for (before, after), (_, found) in zip(pairwise(times), film, strict=True)
            if any(face.track_id == person.number for face in found)
        )
        assert person.seconds == pytest.approx(seen)
        assert sum(person.shares.values()) == pytest.approx(seen)
        assert sum(segment.end - segment.start for segment in person.segments) == pytest.approx(seen)
        assert sum(total[0] for total in person.bins.values()) == pytest.approx(seen, abs=1e-6)


@given(lasting)
def test_segments_are_in_order_apart_and_within_the_time_somebody_is_there(made):
    summary, film, end = made
    assert (summary.start, summary.end, summary.frames) == (film[0][0], end, len(film))
    assert summary.empty_frames == sum(not found for _, found in film)
    for person in summary.people:
        assert summary.start <= person.first == person.segments[0].start
        assert person.segments[-1].end == person.last <= summary.end
        assert all(segment.start < segment.end for segment in person.segments)
        assert all(one.end <= other.start + 1e-9 for one, other in pairwise(person.segments))
        assert person.changes <= len(person.segments) - 1
        assert {segment.emotion for segment in person.segments} == set(person.shares) <= set(person.peaks)


@given(lasting)
def test_the_steps_of_the_timeline_cover_who_is_seen_and_are_few(made):
    summary, *_ = made
    for person in summary.people:
        assert all(0 <= number < MAX_BINS for number in person.bins)
        assert all(0 < total[0] <= summary.bin_seconds + 1e-6 for total in person.bins.values())
        for segment in person.segments:
            middle = (segment.start + segment.end) / 2 - summary.start
            assert int(middle / summary.bin_seconds) in person.bins


@given(lasting)
def test_the_values_of_the_timeline_are_means_of_probabilities_and_moods(made):
    summary, *_ = made
    for person in summary.people:
        rows = summary.timeline(person)
        assert len(rows) == len(person.bins)
        assert all(one["time"] < other["time"] for one, other in pairwise(rows))
        for row in rows:
            assert sum(row[name] for name in EMOTIONS) == pytest.approx(1, abs=4e-4)
            assert all(0 <= row[name] <= 1 for name in EMOTIONS)
            assert -1 <= row["valence"] <= 1 and -1 <= row["arousal"] <= 1


@given(lasting)
def test_the_summary_is_json_with_shares_that_sum_to_one(made):
    summary, *_ = made
    values = json.loads(json.dumps(summary.to_dict()))
    assert values == summary.to_dict()
    for person in values["people"]:
        assert sum(person["shares"].values()) == pytest.approx(1, abs=4e-4)
        assert [peak["time"] for peak in person["peaks"]] == sorted(peak["time"] for peak in person["peaks"])


@given(summed(), st.sampled_from(["vtt", "srt"]))
def test_subtitles_have_a_well_formed_cue_per_segment_in_order_of_time(made, form):
    summary, *_ = made
    text = subtitles(summary.people, form=form)
    mark = r"\." if form == "vtt" else ","
    time = rf"\d\d+:[0-5]\d:[0-5]\d{mark}\d{{3}}"
    head = "" if form == "vtt" else r"(?P<count>\d+)\n"
    cue = re.compile(rf"{head}(?P<start>{time}) --> (?P<end>{time})\nPerson \d+: \w+ \S+\n?", re.ASCII)
    assert text.startswith("WEBVTT\n\n") or form == "srt"
    blocks = [block for block in text.removeprefix("WEBVTT\n\n").split("\n\n") if block]
    cues = [cue.fullmatch(block) for block in blocks]
    assert all(cues) and len(cues) == sum(len(person.segments) for person in summary.people)
    assert all(one["start"] < one["end"] for one in cues)
    assert all(one["start"] <= other["start"] for one, other in pairwise(cues))
    if form == "srt":
        assert [int(one["count"]) for one in cues] == list(range(1, len(cues) + 1))


@given(st.integers(0, 10**9))
def test_a_stamp_tells_the_very_millisecond(milliseconds):
    hours, minutes, seconds = stamp(milliseconds / 1000, "vtt").split(":")
    assert round((int(hours) * 60 + int(minutes)) * 60_000 + float(seconds) * 1000) == milliseconds
    assert stamp(milliseconds / 1000, "srt") == stamp(milliseconds / 1000, "vtt").replace(".", ",")


@given(st.floats(0, 1e6))
def test_a_clock_tells_the_time_to_half_a_second(seconds):
    total = 0
    for part in clock(seconds).split(":"):
        total = total * 60 + int(part)
    assert abs(total - seconds) <= 0.5


@given(faces())
def test_what_follows_from_a_face_is_in_range_and_json(face):
    values = json.loads(json.dumps(face.to_dict()))
    assert values == face.to_dict() and values["emotion"] == EMOTIONS[int(np.argmax(face.probabilities))]
    assert 0 <= values["confidence"] <= 1 and 0 <= values["intensity"] <= 1
    assert -1 <= values["valence"] <= 1 and -1 <= values["arousal"] <= 1
