"""Rows of a session, as CSV and JSON."""

import csv
import io
import json

import numpy as np
import pytest

from emotion_model import EMOTIONS, Face, FaceTracker, TimelineWriter
from emotion_model.timelines.table import columns, frame_rows

COLUMNS = (
    "time,frame,face_id,x,y,w,h,angry,disgust,fear,happy,neutral,sad,surprise,emotion,confidence,intensity,valence,"
    "arousal,clear,raw_angry,raw_disgust,raw_fear,raw_happy,raw_neutral,raw_sad,raw_surprise"
)


def session():
    """Two faces, then none, then one of them again."""
    tracker = FaceTracker()
    happy = np.array([0, 0, 0, 0.8, 0.2, 0, 0], np.float32)
    sad = np.array([0, 0, 0, 0.1, 0, 0.9, 0], np.float32)
    left, right = (20, 30, 80, 90), (300, 30, 70, 70)
    frames = [[Face(left, happy), Face(right, sad)], [], [Face(left, sad)]]
    return [
        frame_rows(i * 0.1 + 0.00004, i, tracker.update(faces, i * 0.1), EMOTIONS) for i, faces in enumerate(frames)
    ]


def written(form, rows=None, emotions=EMOTIONS):
    file = io.StringIO(newline="")
    with TimelineWriter(file, form, emotions) as timeline:
        for frame in session() if rows is None else rows:
            timeline.write(frame)
    return file.getvalue()


def test_the_columns_are_the_documented_ones():
    assert ",".join(columns()) == COLUMNS
    assert written("csv", []) == COLUMNS + "\n"
    assert columns(("calm", "cross"))[7:9] == ("calm", "cross") and columns(("calm", "cross"))[-1] == "raw_cross"


def test_csv_has_a_row_for_each_face_and_for_a_frame_without_one():
    rows = list(csv.DictReader(io.StringIO(written("csv"))))
    assert [(row["time"], row["frame"], row["face_id"]) for row in rows] == [
        ("0.0", "0", "1"),
        ("0.0", "0", "2"),
        ("0.1", "1", ""),
        ("0.2", "2", "1"),
    ]
    assert [rows[0][name] for name in "xywh"] == ["20", "30", "80", "90"]
    assert rows[0]["emotion"] == "happy" and float(rows[0]["confidence"]) == pytest.approx(0.8)
    assert all(rows[2][name] == "" for name in columns()[2:])


def test_raw_values_stand_beside_the_smoothed_ones():
    row = session()[2][0]
    assert row["raw_sad"] == 0.9 and 0 < row["sad"] < 0.9
    assert row["emotion"] == "happy" and row["confidence"] == row["happy"]


def test_json_is_a_list_of_the_same_rows():
    rows = json.loads(written("json"))
    assert rows == [row for frame in session() for row in frame]
    assert all(tuple(row) == columns() for row in rows)
    assert rows[2]["face_id"] is None
    assert json.loads(written("json", [])) == []


def test_a_time_and_a_number_of_numpy_are_json_too():
    frame = frame_rows(np.float32(1.5), np.int64(3), [])
    assert [(row["time"], row["frame"]) for row in json.loads(written("json", [frame]))] == [(1.5, 3)]


def test_a_record_ends_once():
    file = io.StringIO()
    with TimelineWriter(file, "json") as timeline:
        timeline.close()
    assert json.loads(file.getvalue()) == []


def test_other_classes_have_their_own_columns():
    emotions = ("calm", "cross")
    face = Face((1, 2, 3, 4), np.array([0.25, 0.75], np.float32), emotions=emotions)
    (row,) = csv.DictReader(io.StringIO(written("csv", [frame_rows(0, 0, [face], emotions)], emotions)))
    assert row["emotion"] == "cross" and row["calm"] == "0.25" and row["raw_cross"] == "0.75" and row["face_id"] == ""


def test_an_unknown_form_is_refused():
    with pytest.raises(ValueError, match="csv, json"):
        TimelineWriter(io.StringIO(), "xlsx")
