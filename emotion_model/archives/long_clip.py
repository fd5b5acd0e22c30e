"""A long clip that several workers share: which parts were looked at, which are joined, and where the rows are."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from emotion_model.archives.answers import Cut, Joined, Part, Result, done_row
from emotion_model.archives.folder import LongTable
from emotion_model.archives.sources import Source


class LongClip:
    """The state of a clip that was cut.

    Attributes:
        source: the clip.
        duration: its length in seconds, as its header says.
        table: where the rows go.
        over: whether nothing more is to be done for it.
        media: seconds of it that were looked at; `work`: seconds that this took.
    """

    def __init__(self, source: Source, cut: Cut, table: LongTable) -> None:
        self.source, self.duration, self.table = source, cut.duration, table
        self.over = False
        self.media = self.work = 0.0
        self._size = (cut.width, cut.height)
        ends = pairwise([0.0, *cut.bounds, None])
        self._parts = [Part(start or 0.0, end) for start, end in ends]
        self._looked: dict[int, bytes] = {}  # parts that wait for those before them
        self._joined = self._frames = self._faces = 0
        self._joining = False
        self._state: bytes | None = None

    def parts(self) -> Iterator[tuple[int, Part]]:
        """What is to be looked at, with its number."""
        return iter(enumerate(self._parts))

    def looked(self, number: int, frames: bytes) -> None:
        """Take in the frames of a part."""
        self._looked[number] = frames

    def next_join(self) -> tuple[Any, ...] | None:
        """What `Reader.join` is to be called with next, besides the source; None if it is not time for that."""
        if self.over or self._joining or self._joined not in self._looked:
            return None
        self._joining = True
        last = self._joined == len(self._parts) - 1
        return self._looked.pop(self._joined), self._state, self.duration if last else None

    def joined(self, rows: Joined) -> Result | None:
        """Take in the rows of the next part; the clip's result after the last one."""
        self.table.write(rows.faces)
        self._joining, self._state = False, rows.state
        self._joined += 1
        self._frames += rows.frames
        self._faces += rows.shown
        if rows.people is None:
            return None
        self.over = True
        file = done_row(
            self.source,
            self._size,
            self._frames,
            self._faces,
            self.work,
            rows.notice,
            duration=round(rows.end, 3),
            people=rows.people.num_rows,
        )
        return Result(self.source, file, None, rows.people)

    def abandon(self) -> None:
        """Leave no rows."""
        self.over = True
        self._looked.clear()
        self.table.abandon()
