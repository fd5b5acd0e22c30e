"""How far an archive has come, and how long it still takes."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from emotion_model.archives.sources import KINDS, Source


@dataclass
class _Sum:
    """Of the recordings of one kind."""

    left: int = 0  # bytes of those that are not done
    done: int = 0  # bytes of the others
    seconds: float = 0.0  # of work in them


@dataclass(frozen=True)
class _UnderWay:
    """A clip that is being read."""

    source: Source
    media: float  # s that were read
    share: float  # 0..1 of all
    work: float  # s


@dataclass
class Progress:
    """Counts of a run.

    Attributes:
        files: to be read in this run; `done` and `failed` of them so far; `before` were done in earlier runs.
        frames, faces: so far.
        workers: that are reading just now.
    """

    files: int = 0
    before: int = 0
    done: int = 0
    failed: int = 0
    frames: int = 0
    faces: int = 0
    workers: int = 0
    _media: float = 0.0  # s of clips that are done
    _under_way: dict[str, _UnderWay] = field(default_factory=dict)
    _sums: dict[str, _Sum] = field(default_factory=lambda: {kind: _Sum() for kind in KINDS})
    _began: float = field(default_factory=time.monotonic)

    def expect(self, source: Source) -> None:
        """A recording is to be read."""
        self.files += 1
        self._sums[source.kind].left += _size(source)

    def heard(self, source: Source, media: float, of: float, work: float) -> None:
        """So many seconds of a clip were read, of so many, in so many seconds of work."""
        self._under_way[source.uri] = _UnderWay(source, media, min(media / of, 1.0) if of > 0 else 1.0, work)

    def finished(self, source: Source, file: dict[str, Any]) -> None:
        """A recording is done, or has failed."""
        self._under_way.pop(source.uri, None)
        one, size = self._sums[source.kind], _size(source)
        one.left -= size
        if file["status"] == "failed":
            self.failed += 1
            return
        self.done += 1
        self.frames += file["frames"]
        self.faces += file["faces"]
        self._media += file.get("duration") or 0.0
        one.done += size
        one.seconds += file["seconds"]

    @property
    def media_seconds(self) -> float:
        """Seconds of clips that were read, of those under way too."""
        return self._media + sum(one.media for one in self._under_way.values())

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._began

    @property
    def share(self) -> float:
        """How much is done, 0..1, by the size of the files."""
        part = sum(one.share * _size(one.source) for one in self._under_way.values())
        done = sum(one.done for one in self._sums.values()) + part
        left = sum(one.left for one in self._sums.values()) - part
        return done / (done + left) if done + left > 0 else 1.0

    @property
    def seconds_left(self) -> float | None:
        """About how long it still takes, by the size of what is left; None while that is unknown."""
        total = 0.0
        for kind, one in self._sums.items():
            reading = [clip for clip in self._under_way.values() if clip.source.kind == kind]
            part = sum(clip.share * _size(clip.source) for clip in reading)
            done, work = one.done + part, one.seconds + sum(clip.work for clip in reading)
            if one.left and not done:
                return None
            total += (one.left - part) * work / done if one.left else 0.0
        return total / max(self.workers, 1)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        left = self.seconds_left
        return {
            "files": self.files,
            "done": self.done,
            "failed": self.failed,
            "done_before": self.before,
            "frames": self.frames,
            "faces": self.faces,
            "media_seconds": round(self.media_seconds, 1),
            "share": round(self.share, 4),
            "elapsed": round(self.elapsed, 1),
            "seconds_left": None if left is None else round(left, 1),
            "workers": self.workers,
        }


def _size(source: Source) -> int:
    return max(source.bytes, 1)
