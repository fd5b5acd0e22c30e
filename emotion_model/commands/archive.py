"""`archive`: everybody's emotions in thousands of photos and clips."""

from __future__ import annotations

import argparse
import json
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from emotion_model import EmotionDetector
from emotion_model.commands.interrupts import interruptible
from emotion_model.commands.results import EXIT_INTERRUPTED, EXIT_SOME_FAILED, refused, status_of
from emotion_model.timelines.clock import clock

if TYPE_CHECKING:  # loaded when there is an archive to read, not by the other commands
    from emotion_model.archives.answers import Result
    from emotion_model.archives.folder import ArchiveFolder
    from emotion_model.archives.progress import Progress
    from emotion_model.archives.run import ArchiveRun
    from emotion_model.archives.settings import ArchiveSettings
    from emotion_model.archives.sources import Source

HELP = "read whole archives of photos and clips, on one machine or a cluster"
TOLD_SECONDS = 1.0  # between two lines of progress in JSON
NAMED = 5  # of the slowest and of the failed files, in the closing report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help="files, folders, globs, .zip files, lists (.txt, .csv), or URLs such as s3://... and hf://...",
    )
    parser.add_argument("--out", type=_folder, required=True, metavar="DIR", help="folder for the tables")
    parser.add_argument(
        "--rate", type=_rate, default=5.0, metavar="N", help="look at N frames per second of clips, or all (default: 5)"
    )
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--photos-only", action="store_true", help="pass over clips")
    kinds.add_argument("--clips-only", action="store_true", help="pass over photos")
    parser.add_argument("--workers", type=int, metavar="N", help="files at a time, a core each (default: all cores)")
    parser.add_argument(
        "--address", default="local", help="a Ray cluster: auto, or ray://HOST:10001 (default: this machine alone)"
    )
    parser.add_argument("--annotated", action="store_true", help="write annotated copies too")
    parser.add_argument(
        "--part",
        type=float,
        default=180.0,
        metavar="SECONDS",
        help="cut long clips into parts of about this length, which several workers share (default: 180)",
    )
    parser.add_argument(
        "--patience",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="give a file up after so long, and 20 s more for each second of clip that was read (default: 60)",
    )
    parser.add_argument("--json", action="store_true", help="tell the progress as lines of JSON")


def _folder(text: str) -> Path:
    if "://" in text:
        raise argparse.ArgumentTypeError(f"{text!r}: give a folder of this machine, and copy it there when it is done")
    return Path(text)


def _rate(text: str) -> float | None:
    try:
        return None if text == "all" else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: give frames per second, such as 5, or all") from None


def from_root(models: list[str] | None) -> list[str] | None:
    """Models as workers find them, whose folders are others: paths from the root, where they are paths of files."""
    return models and [
        str(Path(model).absolute()) if model != "bundled" and Path(model).exists() else model for model in models
    ]


def run(detector: EmotionDetector, options: argparse.Namespace) -> int:
    """Read the archive and write its tables; returns the exit status."""
    try:
        from emotion_model.archives.folder import ArchiveFolder, FolderError
        from emotion_model.archives.settings import ArchiveSettings
        from emotion_model.archives.sources import SourceError
        from emotion_model.archives.workers import WorkersError
    except ImportError as error:
        return refused(
            f"{error.name or error} is missing: pip install -r requirements-archive.txt, or, without a checkout, "
            "pip install 'emotion-model[archive]'"
        )
    try:
        settings = ArchiveSettings(
            options.rate,
            tuple(options.model or ()),
            options.detector,
            options.annotated,
            part_seconds=options.part,
            patience=options.patience,
        )
        if options.workers is not None and options.workers < 1:
            raise ValueError(f"--workers {options.workers}: use 1 or more")
        sources = _sources(options)
        with ArchiveFolder(options.out.absolute(), settings.record(detector)) as folder:
            return _read(sources, folder, settings, detector, options)
    except (SourceError, FolderError, WorkersError, ValueError, OSError) as error:
        return refused(error)


def _sources(options: argparse.Namespace) -> list[Source]:
    from emotion_model.archives.sources import CLIP, KINDS, PHOTO, find_sources

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
    from emotion_model.archives.progress import Progress
    from emotion_model.archives.reading import Reader
    from emotion_model.archives.report import write_page
    from emotion_model.archives.run import ArchiveRun
    from emotion_model.archives.workers import Workers

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
    if broken:
        print(f"error: {broken}\nended early; the same command goes on from here", file=sys.stderr)
        return EXIT_SOME_FAILED
    if stopped:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return EXIT_INTERRUPTED
    return status_of(sum(not folder.is_done(source.told) for source in sources), len(sources))


def _run(run: ArchiveRun, folder: ArchiveFolder, sources: list[Source], as_json: bool) -> Exception | None:
    """Read the recordings, and tell of it: what ended it early, such as a full disk, where there are files done."""
    from emotion_model.archives.workers import WorkersError

    try:
        with interruptible(run), _Teller(run, as_json) as teller:
            for result in run:
                teller.tell(result)
    except (WorkersError, OSError) as error:
        with suppress(OSError):
            folder.commit()
        if not any(folder.is_done(one.told) for one in sources):
            raise
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
