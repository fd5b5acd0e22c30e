"""A whole archive: jobs handed to workers, their answers put together file by file, and written when they are whole."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from emotion_model.archives.answers import Cut, Fetched, Joined, Looked, Result, Sign, failure
from emotion_model.archives.folder import ArchiveFolder, LongTable
from emotion_model.archives.long_clip import LongClip
from emotion_model.archives.progress import Progress
from emotion_model.archives.settings import PATIENCE_RATE, ArchiveSettings
from emotion_model.archives.sources import PHOTO, Source
from emotion_model.archives.workers import Died, Ended, Workers
from emotion_model.clips.analysis import BATCH_FRAMES

PHOTOS_AT_ONCE = 16  # in one job: handing over a single one costs a tenth of reading it
ATTEMPTS = 2  # a worker may die for other reasons than the file that it reads, but hardly twice


@dataclass(eq=False)
class _Job:
    """What a worker has in hand: a method of `Reader` for recordings, or for a part of a long clip."""

    method: str
    sources: list[Source]  # without those that were answered
    arguments: tuple[Any, ...] = ()
    clip: LongClip | None = None
    part: int = 0
    attempts: int = 0
    began: float = 0.0
    seconds: float = 0.0  # of the clip, that were read

    @property
    def call(self) -> tuple[Any, ...]:
        return (self.sources,) if self.clip is None else (self.clip.source, *self.arguments)

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.began


def _planned(sources: Sequence[Source]) -> list[_Job]:
    """A job for each clip and for some photos together; mixed evenly, so that it is soon known how long both take."""
    photos = [one for one in sources if one.kind == PHOTO]
    together = [photos[i : i + PHOTOS_AT_ONCE] for i in range(0, len(photos), PHOTOS_AT_ONCE)]
    clips = [[one] for one in sources if one.kind != PHOTO]
    placed = [((i + 0.5) / len(group), job) for group in (together, clips) for i, job in enumerate(group)]
    return [_Job("read", job) for _, job in sorted(placed, key=lambda one: one[0])]


class ArchiveRun:
    """Reads recordings into a folder.

        run = ArchiveRun(sources, folder, workers, settings)
        for result in run:  # as they come, and None now and then
            print(run.progress.to_dict())

    Attributes:
        progress: how far it has come.
        stopped: whether it was ended early.
    """

    def __init__(
        self, sources: Sequence[Source], folder: ArchiveFolder, workers: Workers, settings: ArchiveSettings
    ) -> None:
        """Plan what is missing in the folder, or failed before."""
        self._folder, self._workers, self._settings = folder, workers, settings
        missing = [one for one in sources if not folder.is_done(one.told)]
        self.progress = Progress(before=len(sources) - len(missing))
        for source in missing:
            self.progress.expect(source)
        self._queue = deque(_planned(missing))
        self._jobs: set[_Job] = set()  # under way
        self._clips: set[LongClip] = set()  # under way
        self._results: list[Result] = []
        self.stopped = False

    def stop(self) -> None:
        """End soon: what is done is kept, what is under way is given up."""
        self.stopped = True

    def __iter__(self) -> Iterator[Result | None]:
        while (self._queue or self._jobs) and not self.stopped:
            while self._queue and self._workers.idle:
                self._begin(self._queue.popleft())
            for job, message in self._workers.messages(timeout=0.5):
                self._take(job, message)
            self._give_up_the_late()
            self._folder.commit_if_due()
            self.progress.workers = len(self._jobs)
            results, self._results = self._results, []
            yield from results
            yield None
        for clip in self._clips:
            clip.abandon()
        self._folder.commit()

    def _put_first(self, jobs: Iterable[_Job]) -> None:
        """Put jobs in front of the queue, in their order."""
        self._queue.extendleft(reversed(list(jobs)))

    def _begin(self, job: _Job) -> None:
        if job.clip is not None and job.clip.over:
            return
        job.began, job.seconds = time.monotonic(), 0.0
        self._jobs.add(job)
        self._workers.start(job, job.method, job.call)

    def _take(self, job: _Job, message: Any) -> None:
        match message:
            case Ended():
                self._jobs.discard(job)
            case Died():
                self._jobs.discard(job)
                self._again(job, message.reason)
            case Fetched():
                job.began = time.monotonic()  # the reading of it has not
            case Sign():
                job.seconds = message.seconds
                self._tell(job, message.of)
            case Result():
                self._answered(job, message)
            case Cut():
                self._cut(job, message)
            case Looked() | Joined():
                if job.clip is not None:
                    self._go_on(job, job.clip, message)

    def _tell(self, job: _Job, of: float) -> None:
        """How far the clip of this job has come, of so many seconds."""
        clip = job.clip
        if clip is None:
            self.progress.heard(job.sources[0], job.seconds, of, job.elapsed)
        elif not clip.over:
            looking = [one for one in self._jobs if one.clip is clip and one.method == "look" and one.sources]
            media = clip.media + sum(one.seconds for one in looking)
            self.progress.heard(clip.source, media, clip.duration, clip.work + sum(one.elapsed for one in looking))

    def _answered(self, job: _Job, result: Result) -> None:
        if result.file.get("code") == "disk_full":  # which no other annotated copy would find otherwise
            raise OSError(result.file["error"])
        job.sources.remove(result.source)
        job.began = time.monotonic()  # of the next photo
        self._settle(job, result)

    def _settle(self, job: _Job, result: Result) -> None:
        """A recording is done or has failed; of a long clip one part failed, and so it has."""
        if job.clip is None:
            self._finish(result)
        elif not job.clip.over:
            job.clip.abandon()
            self._clips.discard(job.clip)
            self._finish(result)

    def _finish(self, result: Result, table: LongTable | None = None) -> None:
        self.progress.finished(result.source, result.file)
        self._folder.add(result, table)
        self._results.append(result)

    def _again(self, job: _Job, reason: str) -> None:
        """The worker died: what it had in hand is read once more, each file by itself; but not for ever."""
        if len(job.sources) > 1:
            self._put_first(_Job(job.method, [one]) for one in job.sources)
        elif job.sources and job.attempts + 1 < ATTEMPTS:
            job.attempts += 1
            self._queue.appendleft(job)
        elif job.sources:
            why = f"Reading it ended the worker {ATTEMPTS} times ({reason}): the file may be damaged."
            self._settle(job, failure(job.sources[0], "crashed", why, job.elapsed))

    def _give_up_the_late(self) -> None:
        # The first sign comes when all frames are decoded that are looked at together: at low rates, of many minutes.
        patience = max(self._settings.patience, BATCH_FRAMES / (self._settings.rate or math.inf))
        for job in list(self._jobs):
            passed = job.arguments[0].start if job.method == "look" else 0.0  # what lies before a part is read too
            limit = patience + PATIENCE_RATE * job.seconds + passed
            if job.elapsed > limit and job.sources:
                self._workers.end(job)
                self._jobs.discard(job)
                late, *others = job.sources
                self._put_first(_Job(job.method, [one]) for one in others)
                why = f"Reading it took more than {limit:.0f} s: it may be damaged, or its place too slow."
                self._settle(job, failure(late, "too_slow", why, job.elapsed))

    def _cut(self, job: _Job, cut: Cut) -> None:
        source = job.sources.pop()
        clip = LongClip(source, cut, self._folder.long_table())
        self._clips.add(clip)
        self._put_first(_Job("look", [source], (part,), clip, number) for number, part in clip.parts())

    def _go_on(self, job: _Job, clip: LongClip, message: Looked | Joined) -> None:
        """A part of a long clip was looked at, or joined to those before it."""
        job.sources.clear()
        if clip.over:
            return
        clip.work += job.elapsed
        if isinstance(message, Looked):
            clip.media += job.seconds
            clip.looked(job.part, message.frames)
        elif result := clip.joined(message):
            self._clips.discard(clip)
            self._finish(result, clip.table)
        if arguments := clip.next_join():
            self._queue.appendleft(_Job("join", [clip.source], arguments, clip))
