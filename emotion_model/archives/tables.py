"""The three tables of an archive: faces, people, files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from emotion_model.labels import RECORDING, UNCLEAR
from emotion_model.timelines.summary import ClipSummary
from emotion_model.timelines.table import columns

FILES = pa.schema(
    [
        ("source", pa.string()),
        ("kind", pa.string()),
        ("status", pa.string()),  # done or failed
        ("duration", pa.float64()),  # s; null for photos
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("frames", pa.int64()),  # that were looked at
        ("faces", pa.int64()),  # in all of them together
        ("people", pa.int64()),  # of a clip
        ("seconds", pa.float64()),  # that the work took
        ("bytes", pa.int64()),
        ("part", pa.int32()),  # the number of the file in faces/ with its rows
        ("annotated", pa.string()),  # the annotated copy, inside of the folder
        ("code", pa.string()),  # what was wrong, for programs
        ("error", pa.string()),  # the same for people
    ]
)

_TYPES = {
    "time": pa.float64(),
    "frame": pa.int64(),
    "face_id": pa.int32(),
    **dict.fromkeys("xywh", pa.int32()),
    "emotion": pa.string(),
    "clear": pa.bool_(),
}


def faces_schema(emotions: Sequence[str]) -> pa.Schema:
    """One row for each face in each frame, and one for each frame without a face: the columns of a clip's CSV file,
    and `source`, `kind`, `model` and `detector`."""
    source, kind, *made_by = [(name, pa.string()) for name in RECORDING]
    seen = [(name, _TYPES.get(name, pa.float32())) for name in columns(emotions)]
    return pa.schema([source, kind, *seen, *made_by])


def people_schema(emotions: Sequence[str]) -> pa.Schema:
    """One row for each person of each clip: when and how long they are seen (s), which share of that time each emotion
    was theirs (0..1), means, changes, and the moment (s) and probability of each emotion's peak."""
    values = ["first", "last", "seconds", "valence", "arousal"]
    shares = [f"share_{name}" for name in (*emotions, UNCLEAR.name)]
    peaks = [column for name in emotions for column in (f"peak_{name}", f"peak_{name}_time")]
    return pa.schema(
        [
            ("source", pa.string()),
            ("face_id", pa.int32()),
            *((name, pa.float64()) for name in values),
            ("changes", pa.int32()),
            *((name, pa.float64()) for name in (*shares, *peaks)),
        ]
    )


def faces_table(rows: Sequence[dict[str, Any]], emotions: Sequence[str], same: dict[str, str]) -> pa.Table:
    """Rows of `frame_rows` with what is the same in all of them: source, kind, model, detector."""
    return pa.Table.from_pylist([same | row for row in rows], faces_schema(emotions))


def people_table(source: str, summary: ClipSummary) -> pa.Table:
    """Everybody whom a clip shows."""
    emotions = [label.name for label in summary.labels]
    rows = []
    for person in summary.people:
        told = person.to_dict(summary.labels)
        shares = {f"share_{name}": share for name, share in told["shares"].items()}
        peaks = {f"peak_{name}": round(peak.probability, 4) for name, peak in person.peaks.items()}
        times = {f"peak_{name}_time": round(peak.time, 3) for name, peak in person.peaks.items()}
        rows.append({"source": source} | told | shares | peaks | times)
    return pa.Table.from_pylist(rows, people_schema(emotions))
