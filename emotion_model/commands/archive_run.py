"""What `archive` does: it reads the recordings, and tells of it."""

from __future__ import annotations

import argparse
import json
import sys
import time
from contextlib import suppress
from typing import Any

from tqdm import tqdm

from emotion_model import EmotionDetector
from emotion_model.archives.answers import Result
from emotion_model.archives.folder import ArchiveFolder
from emotion_model.archives.progress import Progress
from emotion_model.archives.reading import Reader
from emotion_model.archives.report import write_page
from emotion_model.archives.run import ArchiveRun
from emotion_model.archives.settings import ArchiveSettings
from emotion_model.archives.sources import CLIP, KINDS, PHOTO, Source, find_sources
from emotion_model.archives.workers import Workers, WorkersError
from emotion_model.commands.results import EXIT_INTERRUPTED, EXIT_SOME_FAILED, status_of
from emotion_model.interrupts import interruptible
from emotion_model.timelines.clock import clock

TOLD_SECONDS = 1.0  # between two lines of progress in JSON
NAMED = 5  # of the slowest and of the failed files, in the closing report


def read_archive(detector: EmotionDetector, options: argparse.Namespace) -> int:
    """Read the archive and write its tables; returns the exit status.

    Raises:
        ValueError: an option, a source or the folder cannot be used.
        WorkersError: no worker can be had, and nothing is done.
        OSError: the folder cannot be written.
        BrokenPipeError: nobody reads on what is told; what is done is kept.
    """
    settings = ArchiveSettings(
        rate=options.rate,
        models=tuple(options.model or ()),
        detector=options.detector,
        annotated=options.annotated,
        part_seconds=options.part,
        patience=options.patience,
    )
    if options.workers is not None and options.workers < 1:
        raise ValueError(f"--workers {options.workers}: use 1 or more")
    sources = _sources(options)
    with ArchiveFolder(options.out.absolute(), settings.record(detector)) as folder:
        return _read(sources, folder, settings, detector, options)


def _sources(options: argparse.Namespace) -> list[Source]:
    kinds = (PHOTO,) if options.photos_only else (CLIP,) if options.clips_only else KINDS
    sources, others = find_sources(options.sources, kinds, without=options.out / "annotated")
    if others and not options.json:
        print(f"passed over, as neither photos nor clips: {others:,} file{'' if others == 1 else 's'}", file=sys.stderr)
    if not sources:
        raise ValueError("there is no photo and no clip among these sources")
    if all(source.fault for source in sources):
        raise ValueError(f"{sources[0].told}: {sources[0].fault}")
    return sources


def _read(
    sources: list[Source],
    folder: ArchiveFolder,
    settings: ArchiveSettings,
    detector: EmotionDetector,
    options: argparse.Namespace,
) -> int:
    if settings.annotated and any(
        folder.is_done(one.told) and not folder.files[one.told]["annotated"] for one in sources
    ):
        raise ValueError(
            f"{folder.path} has rows of files that were read without --annotated: use another folder for the copies too"
        )
    folder.forget_outdated(sources)
    missing = sum(not folder.is_done(source.told) for source in sources)
    stopped = False
    progress = Progress(before=len(sources))
    broken: Exception | None = None
    if missing:
        arguments = (settings, folder.path, folder.record)
        with Workers(Reader, arguments, options.workers, options.address) as workers:
            run = ArchiveRun(sources, folder, workers, settings)
            broken = _run(run, folder, sources, options.json)
            stopped, progress = run.stopped, run.progress
    try:
        if folder.files:
            write_page(folder, detector.classifier.config.labels)
    except OSError as error:
        broken = broken or error
    _close(sources, folder, progress, options.json)
    others = len(set(folder.files) - {source.told for source in sources})
    if others and not options.json:
        print(f"not among these sources, their rows stay: {others:,} file{'' if others == 1 else 's'}", file=sys.stderr)
    if broken:
        print(f"error: {broken}\nended early; the same command goes on from here", file=sys.stderr)
        return EXIT_SOME_FAILED
    if stopped:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return EXIT_INTERRUPTED
    return status_of(sum(not folder.is_done(source.told) for source in sources), len(sources))


def _run(run: ArchiveRun, folder: ArchiveFolder, sources: list[Source], as_json: bool) -> Exception | None:
    """Read the recordings, and tell of it: what ended it early, such as a full disk, where there are files done."""
    try:
        with interruptible(run), _Teller(run, as_json) as teller:
            for result in run:
                teller.tell(result)
    except (WorkersError, OSError) as error:
        with suppress(OSError):
            folder.commit()
        if isinstance(error, BrokenPipeError) or not any(folder.is_done(one.told) for one in sources):
            raise  # the first: nobody reads what is told, nor would the report be
        return error
    return None


class _Teller:
    """Tells what happens: a bar and failed files for people, lines of JSON for programs."""

    def __init__(self, run: ArchiveRun, as_json: bool) -> None:
        self._progress, self._json = run.progress, as_json
        self._told = 0.0
        self._bar: Any = None

    def __enter__(self) -> _Teller:
        if not self._json:
            self._bar = tqdm(total=1.0, disable=None, bar_format="{percentage:3.0f}%|{bar:20}| {desc}")
            self._show()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._show()
            self._bar.close()

    def tell(self, result: Result | None) -> None:
        """A file that is done or has failed, or just that time has passed."""
        if result is not None and self._json:
            _print_json({"event": "file"} | result.file)
        elif result is not None and (said := result.file.get("error")):
            kind = "error: " if result.file["status"] == "failed" else ""
            tqdm.write(f"{kind}{result.source.told}: {said}", file=sys.stderr)
        if time.monotonic() - self._told < TOLD_SECONDS:
            return
        self._told = time.monotonic()
        if self._json:
            _print_json({"event": "progress"} | self._progress.to_dict())
        else:
            self._show()

    def _show(self) -> None:
        now, left = self._progress, self._progress.seconds_left
        failed = f", {now.failed:,} failed" if now.failed else ""
        time_left = "" if left is None else f", {clock(left)} left"
        said = f"{now.done + now.failed:,} of {now.files:,} files{failed}, {clock(now.media_seconds)} of clips"
        said += f", {now.workers} worker{'' if now.workers == 1 else 's'}"
        self._bar.set_description_str(f"{said}, {clock(now.elapsed)} so far{time_left}", refresh=False)
        self._bar.n = now.share
        self._bar.refresh()


def _close(sources: list[Source], folder: ArchiveFolder, progress: Progress, as_json: bool) -> None:
    """The closing report."""
    rows = [folder.files[source.told] for source in sources if source.told in folder.files]
    failed = [row for row in rows if row["status"] == "failed"]
    slowest = sorted((row for row in rows if row["status"] == "done"), key=lambda row: -row["seconds"])[:NAMED]
    if as_json:
        named = {"slowest": slowest, "failed_files": failed}
        _print_json({"event": "end", "out": str(folder.path), "listed": len(sources)} | progress.to_dict() | named)
        return
    elapsed = f" in {clock(progress.elapsed)}" if progress.files else ""
    print(f"{len(rows) - len(failed):,} of {len(sources):,} files are done, {len(failed):,} failed{elapsed}")
    if slowest:
        print("slowest:")
        for row in slowest:
            length = f" for {clock(row['duration'])}" if row["duration"] else ""
            print(f"  {row['seconds']:7.1f} s{length}  {row['source']}")
    if failed:
        print("failed:")
        for row in failed[:NAMED]:
            print(f"  {row['source']}: {row['error']}")
        if len(failed) > NAMED:
            print(f"  and {len(failed) - NAMED:,} more, named in files.parquet; the same command tries them again")
    print(f"tables and summary.html: {folder.path}")


def _print_json(values: dict[str, Any]) -> None:
    print(json.dumps(values), flush=True)  # ASCII, whatever can be printed here
