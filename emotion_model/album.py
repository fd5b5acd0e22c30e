"""A table of many photos: a row for each face."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from emotion_model.face import Face
from emotion_model.files import whole_file
from emotion_model.labels import EMOTIONS, SCORES, UNCLEAR

_SHOWN = SCORES[:-1]  # the note says what is unclear


def album_columns(emotions: Sequence[str] = EMOTIONS) -> tuple[str, ...]:
    """Names of the values in a row, in order, for a model with these classes.

    `photo`, its name; `face`, a number from 1, the largest face first; `emotion`, `confidence`, `intensity` (0..1),
    `valence`, `arousal` (-1..1), a probability per emotion, the box `x,y,w,h` in pixels, and `note`: that a face is
    unclear, that there is none, or why the photo could not be read.
    """
    return ("photo", "face", *_SHOWN, *emotions, *"xywh", "note")


def album_rows(name: str, faces: Sequence[Face], emotions: Sequence[str] = EMOTIONS) -> list[list[Any]]:
    """The rows of one photo, values as `album_columns` names them; without a face one row that says so."""
    if not faces:
        return [album_note(name, "no face found", emotions)]
    rows = []
    for number, face in enumerate(faces, start=1):
        values = face.to_dict()
        scores = [values[score] for score in _SHOWN]
        note = "" if face.clear else UNCLEAR.name
        rows.append([name, number, *scores, *values["probabilities"].values(), *values["box"], note])
    return rows


def album_note(name: str, note: str, emotions: Sequence[str] = EMOTIONS) -> list[Any]:
    """The row of a photo of which there is nothing but this to be said."""
    return [name, *[None] * (len(album_columns(emotions)) - 2), note]


def write_album(path: Path, rows: Iterable[Sequence[Any]], emotions: Sequence[str] = EMOTIONS) -> None:
    """Write rows and their head as CSV, which Excel takes for UTF-8 by the mark with which it begins.

    Raises:
        OSError: the file cannot be written; an older one of that name stays.
    """
    with whole_file(path) as partial, partial.open("w", encoding="utf-8-sig", newline="") as text:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(album_columns(emotions))
        writer.writerows(rows)
