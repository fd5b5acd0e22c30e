"""The runs that visitors have under way."""

from __future__ import annotations

import math
import os
import tempfile
import threading
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gradio.utils import get_upload_folder

from emotion_model import EmotionDetector, MediaError, MediaLimits, VideoConfig, VideoReader, video_detector
from emotion_model.clips.outputs import VideoOutputs
from emotion_model.clips.run import VideoProgress, VideoRun
from emotion_model.clips.writing import writing
from emotion_model.timelines.summary import ClipSummary
from ui.inputs import MOST_BYTES, MOST_PIXELS
from ui.sweeping import kept_if_filled
from ui.turns import Turns, remember

REPORT_SECONDS = 0.5  # between two looks at a run
LOOK_SECONDS = 0.2  # between two looks whether a visitor still waits for a place
CLIPS = "video"  # Gradio's name of the queue where they wait, by whichever door they come
CLIPS_IN_QUEUE = 16  # of all that wait there
WAITING = 8  # clips for a place at a time, each in one of the 40 threads that all answers of the server need
_ENDINGS = {
    "csv": "emotions.csv",
    "json": "emotions.json",
    "vtt": "emotions.vtt",
    "srt": "emotions.srt",
    "plot": "timeline.png",
    "summary": "summary.json",
    "page": "page.html",
    "zip": "all.zip",
    "annotated": "annotated.mp4",
}
ALL_FILES = tuple(_ENDINGS)
FILES = tuple(name for name in ALL_FILES if name != "annotated")


@dataclass(frozen=True)
class VideoLimits:
    """What the page takes; the defaults suit two processors and free storage."""

    seconds: float = field(default_factory=lambda: _from_environment("EMOTION_VIDEO_SECONDS", 600))
    megabytes: float = field(default_factory=lambda: _from_environment("EMOTION_VIDEO_MB", 200))
    pictures: int = 3000  # of a sequence
    at_once: int = 2  # clips in work at the same time; others wait

    @property
    def length(self) -> str:
        """How long a clip may be, for people."""
        minutes = self.seconds / 60
        return f"{minutes:g} minutes" if minutes.is_integer() and minutes > 1 else f"{self.seconds:g} seconds"

    def __post_init__(self) -> None:
        for name in ("seconds", "megabytes", "pictures", "at_once"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}={getattr(self, name)}: must be above 0")


def _from_environment(name: str, otherwise: float) -> float:
    text = os.environ.get(name) or str(otherwise)
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise ValueError(f"{name}={text}: give a number above 0, or nothing for {otherwise:g}")
    return number


class Replaced(Exception):  # noqa: N818 - no error, but the way out of a run
    """The visitor has gone on to another clip, or to none."""


@dataclass(frozen=True, eq=False)
class Step:
    """What a run reports: its progress and new rows, and at the end its files, which go when visitors' files do.

    The first one has neither: a place is free, and the clip is being opened. Nor has the one after the last frame.
    """

    progress: VideoProgress | None
    rows: list[dict[str, Any]]
    summary: ClipSummary
    outputs: VideoOutputs | None = None
    stopped: bool = False
    writing: bool = False  # the files are being finished
    notice: str = ""  # at the end, if the clip breaks off


class Analysis:
    """Reads clips for visitors, each in a session of its own."""

    def __init__(self, detector: EmotionDetector, limits: VideoLimits) -> None:
        """Read with the model of this detector, and the quick look for faces that moving pictures need."""
        self.limits = limits
        # Held here too: who calls an endpoint in one step does not wait in Gradio's queue.
        self._places = threading.BoundedSemaphore(limits.at_once)
        self._waiting = threading.BoundedSemaphore(WAITING)
        self._detector = video_detector(detector)
        # session -> what tells its run to stop, from before the clip is opened until its files are whole
        self._runs: dict[str, threading.Event] = {}
        # session -> what its visitor has handed in last, and the settings and the question's number of the reading of
        # it, once that has begun
        self._wanted: dict[str, tuple[Any, Any, int]] = {}
        self._turns = Turns()
        self._lock = threading.Lock()

    def steps(
        self, source: Any, config: VideoConfig, wanted: Iterable[str], session: str
    ) -> Generator[Step, None, None]:
        """What a run has come to, again and again while it goes on; it can be stopped or dropped from now on.

        Args:
            source: a clip's path, or those of the pictures of a sequence.
            config: how the clip is looked at.
            wanted: names of the files to write, of `ALL_FILES`; without any no picture of a face is kept either.
            session: name of the visitor; another run of the same takes the place of this one.

        Raises:
            MediaError: the clip cannot be read, or is over the limits, or too many wait.
            Replaced: the visitor has gone on to another clip, or to none.
        """
        with self._lock:
            self._drop(session)
            halt = self._runs[session] = threading.Event()
        return _closed_aside(self._steps(source, config, tuple(wanted), session, halt))

    def _steps(
        self, source: Any, config: VideoConfig, wanted: tuple[str, ...], session: str, halt: threading.Event
    ) -> Generator[Step, None, None]:
        try:
            with _folder() if wanted else nullcontext(Path()) as folder:
                last = yield from self._read(source, config, _outputs(source, folder, wanted), session, halt)
                self._check(session, halt)  # to finish the files took a while
            yield last
        except Exception:
            self._check(session, halt)  # what was wrong with a clip that is gone concerns nobody
            raise
        finally:
            with self._lock:
                if self._runs.get(session) is halt:
                    del self._runs[session]

    def _read(
        self, source: Any, config: VideoConfig, outputs: VideoOutputs, session: str, halt: threading.Event
    ) -> Generator[Step, None, Step]:
        """All steps but the last one, which is returned once its files are whole."""
        limits = MediaLimits(
            megabytes=self.limits.megabytes,
            seconds=self.limits.seconds,
            pixels=4096 * 2304,
            picture_megabytes=MOST_BYTES / 2**20,
            picture_pixels=MOST_PIXELS,
        )
        rows: list[dict[str, Any]] = []
        with self._place(session, halt):
            yield Step(None, [], ClipSummary(0.0))
            pictured = bool(outputs.written())
            with (
                VideoReader(source, limits) as reader,
                VideoRun(reader, self._detector, outputs, config, thumbnails=pictured) as run,
            ):
                told = time.monotonic()
                for progress in run:
                    rows += progress.rows
                    if halt.is_set():
                        run.stop()
                    elif time.monotonic() - told >= REPORT_SECONDS:
                        yield Step(progress, rows, run.summary)
                        rows, told = [], time.monotonic()
                self._check(session, halt)  # no file is finished for nobody
                yield Step(None, [], run.summary, writing=True)
        return Step(None, rows, run.summary, outputs, run.stopped, notice=reader.notice)

    @contextmanager
    def _place(self, session: str, halt: threading.Event) -> Iterator[None]:
        """One of the clips that are read at a time; waits for it."""
        if not self._waiting.acquire(blocking=False):
            raise MediaError("busy", "Too many clips wait to be read: try again in a few minutes.")
        try:
            while not self._places.acquire(timeout=LOOK_SECONDS):
                self._check(session, halt)
        finally:
            self._waiting.release()
        try:
            yield
        finally:
            self._places.release()

    def stop(self, session: str) -> None:
        """End the run of a visitor who still wants what is done of it."""
        with self._lock:
            if session in self._runs:
                self._runs[session].set()

    def want(self, session: str, source: Any, number: int) -> bool:
        """Note what a visitor has handed in, None for nothing; the run before ends at once.

        Where that question comes to its turn after a newer one, by the numbers of both, nothing is noted.
        """
        with self._lock:
            newest = self._turns.note(session, number)
            if newest:
                remember(self._wanted, session, (source, None, 0))
                self._drop(session)
        return newest

    def begin(self, session: str, source: Any, settings: Any, number: int) -> bool:
        """Whether this is what the visitor waits for, and is to be read now.

        It is not read a second time, but for a newer question, by the numbers of both, with other settings: that is
        what Analyse was pressed for while the one before still waited.
        """
        with self._lock:
            wanted, begun, before = self._wanted.get(session, (source, None, 0))
            begins = bool(wanted == source) and begun != settings and number > before
            if begins:
                remember(self._wanted, session, (source, settings, number))
                self._drop(session)
        return begins

    def wants(self, session: str, number: int) -> bool:
        """Whether the reading that began for this question is still what the visitor waits for."""
        return self._wanted.get(session, (None, None, number))[2] == number

    def leave(self, session: str) -> None:
        """The visitor is gone."""
        with self._lock:
            self._wanted.pop(session, None)
            self._drop(session)

    def _drop(self, session: str) -> None:
        """End the run of a visitor who wants nothing of it; the lock is held."""
        if session in self._runs:
            self._runs.pop(session).set()

    def _check(self, session: str, halt: threading.Event) -> None:
        """Go on only where the visitor still waits for this run.

        Raises:
            Replaced: for another one, or for none.
        """
        with self._lock:
            if self._runs.get(session) is not halt:
                raise Replaced


def _closed_aside(steps: Generator[Step, None, None]) -> Generator[Step, None, None]:
    """The steps; whoever leaves them before their end does not wait until all that is open is closed.

    Gradio leaves what a visitor cancels in the thread that answers everybody, and a run has threads and files to end.
    """
    try:
        for step in steps:  # noqa: UP028 - `yield from` would close them here
            yield step
    except GeneratorExit:
        threading.Thread(target=steps.close, name="close-clip").start()
        raise


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder for the files of a run, removed where it comes to none; else when visitors' files are.

    It lies where Gradio shows files from: it copies others, of hundreds of megabytes, while nobody is answered.

    Raises:
        MediaError: there is no room for it.
    """
    place = Path(get_upload_folder())
    with writing(place):
        place.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="clip-", dir=place))
    with kept_if_filled(folder):
        yield folder


def _outputs(source: Any, folder: Path, wanted: tuple[str, ...]) -> VideoOutputs:
    first = str(source) if isinstance(source, str | Path) else str(source[0])
    stem = "".join(c if c.isalnum() or c in "-_" else "_" for c in Path(first).stem)[:40] or "clip"
    return VideoOutputs(**{name: folder / f"{stem}_{_ENDINGS[name]}" for name in wanted})
