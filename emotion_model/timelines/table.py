"""The record of a session or a clip: one row for each face in each frame, and one for each frame without a face."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from typing import Any, TextIO

from emotion_model.face import Face
from emotion_model.labels import EMOTIONS, PLACE, RAW, SCORES

FORMS = ("csv", "json")


def columns(emotions: Sequence[str] = EMOTIONS) -> tuple[str, ...]:
    """Names of the values in a row, in order, for a model with these classes.

    `time` in seconds, `frame` counted from 0, `face_id`, the box `x,y,w,h` in pixels, a probability per emotion
    (smoothed where the faces were tracked), `emotion`, `confidence`, `intensity` (0..1), `valence`, `arousal` (-1..1),
    `clear` (false where the probabilities carry no word), and the probabilities as the network gave them, as
    `raw_<emotion>`.
    """
    return (*PLACE, *emotions, *SCORES, *(RAW + name for name in emotions))


def frame_rows(
    time: float, frame: int, faces: Sequence[Face], emotions: Sequence[str] = EMOTIONS
) -> list[dict[str, Any]]:
    """The rows of one frame, JSON-ready, with the keys of `columns`; without a face one row with None for the rest.

    Args:
        time: of the frame, in seconds; kept to the millisecond.
        frame: its number, from 0.
        faces: what `FaceTracker.update` or `EmotionDetector.detect` gave; an untracked face has None for an id.
        emotions: the model's classes.
    """
    start = {"time": round(float(time), 3), "frame": int(frame)}
    if not faces:
        return [dict.fromkeys(columns(emotions)) | start]
    rows = []
    for face in faces:
        values = face.to_dict()
        raw = face.probabilities if face.raw_probabilities is None else face.raw_probabilities
        rows.append(
            start
            | {"face_id": face.track_id}
            | dict(zip("xywh", face.box, strict=True))
            | values["probabilities"]
            | {name: values[name] for name in SCORES}
            | {RAW + name: round(float(p), 4) for name, p in zip(emotions, raw, strict=True)}
        )
    return rows


_IN_CSV = {True: "true", False: "false", None: None}


class TimelineWriter:
    """Writes rows to a text file as they come, so that a long clip takes no memory: CSV with a head, or a JSON list.

        with open("clip.csv", "w", newline="") as file, TimelineWriter(file) as timeline:
            timeline.write(frame_rows(time, frame, faces))

    In CSV a missing value is an empty cell, in JSON it is null.
    """

    def __init__(self, file: TextIO, form: str = "csv", emotions: Sequence[str] = EMOTIONS) -> None:
        """Begin the file, which the caller opened (for CSV with `newline=""`) and closes.

        Raises:
            ValueError: the form is neither `csv` nor `json`.
        """
        if form not in FORMS:
            raise ValueError(f"form {form!r}: choose one of {', '.join(FORMS)}")
        self._file, self._form = file, form
        self._started = self._ended = False
        self._csv = csv.DictWriter(file, columns(emotions), lineterminator="\n")
        if form == "csv":
            self._csv.writeheader()
        else:
            file.write("[")

    def write(self, rows: Sequence[dict[str, Any]]) -> None:
        """Append the rows of a frame."""
        if self._form == "csv":
            self._csv.writerows(row | {"clear": _IN_CSV[row["clear"]]} for row in rows)
            return
        for row in rows:
            self._file.write((",\n" if self._started else "\n") + json.dumps(row, ensure_ascii=False))
            self._started = True

    def close(self) -> None:
        """End the record, once; the file itself stays open."""
        if self._form == "json" and not self._ended:
            self._file.write("\n]\n")
        self._ended = True

    def __enter__(self) -> TimelineWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
