"""`archive`: everybody's emotions in thousands of photos and clips."""

from __future__ import annotations

import argparse
from pathlib import Path

from emotion_model import EmotionDetector
from emotion_model.archives.settings import PATIENCE_RATE, ArchiveSettings
from emotion_model.commands.results import refused

HELP = "read whole archives of photos and clips, on one machine or a cluster"


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
        "--rate",
        type=_rate,
        default=ArchiveSettings.rate,
        metavar="N",
        help="look at N frames per second of clips, or all (default: %(default)g)",
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
        default=ArchiveSettings.part_seconds,
        metavar="SECONDS",
        help="cut long clips into parts of about this length, which several workers share (default: %(default)g)",
    )
    parser.add_argument(
        "--patience",
        type=float,
        default=ArchiveSettings.patience,
        metavar="SECONDS",
        help=f"give a file up after so long, and {PATIENCE_RATE:g} s more for each second of clip that was read "
        "(default: %(default)g)",
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
    try:  # loaded here, as the other commands need none of its packages
        from emotion_model.archives.workers import WorkersError
        from emotion_model.commands.archive_run import read_archive

        return read_archive(detector, options)
    except ImportError as error:
        return refused(
            f"{error.name or error} is missing: pip install -r requirements-archive.txt, or, without a checkout, "
            "pip install 'emotion-model[archive]'"
        )
    except BrokenPipeError:  # nobody reads on: `emotion_model.__main__` ends it
        raise
    except (WorkersError, ValueError, OSError) as error:
        return refused(error)
