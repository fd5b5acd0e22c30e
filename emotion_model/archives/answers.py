"""What those who read recordings answer to those who write the tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from emotion_model.archives.sources import Source

UNLISTED = "unlisted"  # the code of what could not be listed, or of what a list named in vain


@dataclass(frozen=True)
class Sign:
    """A sign of life: so many seconds of the clip were read by this job, of so many."""

    passing = True  # the next one says as much

    seconds: float
    of: float


@dataclass(frozen=True)
class Fetched:
    """A sign of life: so many bytes have come of what lies elsewhere."""

    passing = True

    bytes: int


@dataclass(frozen=True)
class Cut:
    """The clip is long: read its parts instead. `bounds` are their ends but for the last one, in seconds."""

    duration: float
    width: int
    height: int
    bounds: tuple[float, ...]


@dataclass(frozen=True)
class Looked:
    """The frames of a part, pickled: `AnalyzedFrame`s without pictures in a list, and the reader's end and notice."""

    frames: bytes


@dataclass(frozen=True)
class Joined:
    """The rows of a part, and what the next one goes on with, pickled; of the last one, the people, its end and the
    reader's notice instead.

    `frames` and `shown` count the frames and the faces in them.
    """

    faces: pa.Table
    frames: int
    shown: int
    state: bytes
    people: pa.Table | None = None
    end: float = 0.0  # s; of the clip
    notice: str = ""


@dataclass(frozen=True)
class Result:
    """What became of a recording: its row in the table of files, and its rows in the others."""

    source: Source
    file: dict[str, Any]
    faces: pa.Table | None = None
    people: pa.Table | None = None


@dataclass(frozen=True)
class Part:
    """A part of a long clip: from its start up to its end, in seconds; None for the clip's end."""

    start: float
    end: float | None


def done_row(
    source: Source, size: tuple[int, int], frames: int, faces: int, seconds: float, notice: str = "", **more: Any
) -> dict[str, Any]:
    """The row of a recording that was read, in the table of files.

    Args:
        source: the recording.
        size: width and height of its pictures.
        frames: how many were looked at.
        faces: in all of them together.
        seconds: that the work took.
        notice: where a clip breaks off before its header says.
        more: other columns of the table.
    """
    width, height = size
    file = {"status": "done", "width": width, "height": height, "frames": frames, "faces": faces}
    cut_off = {"code": "cut_off", "error": notice} if notice else {}
    return _file_row(source) | file | {"seconds": round(seconds, 3)} | more | cut_off


def failure(source: Source, code: str, error: str, seconds: float = 0.0) -> Result:
    """The result of a recording that could not be read."""
    file = {"status": "failed", "code": code, "error": error, "seconds": round(seconds, 3)}
    return Result(source, _file_row(source) | file)


def _file_row(source: Source) -> dict[str, Any]:
    """How the row of a recording in the table of files begins."""
    return {"source": source.told, "kind": source.kind, "bytes": source.bytes}
