"""What the commands share: exit statuses, and where results go."""

from __future__ import annotations

import sys
from pathlib import Path

from emotion_model import ImageError

EXIT_OK, EXIT_SOME_FAILED, EXIT_UNUSABLE, EXIT_INTERRUPTED = 0, 1, 2, 130


def status_of(failed: int, asked: int) -> int:
    """The exit status where so many of the files that were asked for failed."""
    if not failed:
        return EXIT_OK
    return EXIT_UNUSABLE if failed == asked else EXIT_SOME_FAILED


def tell_failure(path: Path, error: Exception) -> None:
    """Say in one line which file failed, and why."""
    message = str(error) if str(path) in str(error) else f"{path}: {error}"
    print(f"error: {message}", file=sys.stderr)


def target_of(path: Path, out: Path, suffix: str, several: bool, written: set[Path]) -> Path:
    """Where a result goes: OUT itself, or a file in the folder OUT; never the source, never two under one name."""
    target = out
    if several or out.is_dir() or not out.suffix:
        out.mkdir(parents=True, exist_ok=True)
        target = out / f"{path.stem}_emotions{suffix}"
        number = 2
        while target in written:  # a/face.jpg and b/face.jpg both want the same name
            target = out / f"{path.stem}_emotions_{number}{suffix}"
            number += 1
    if target.exists() and target.samefile(path):
        raise ImageError("unreadable", f"{target} is the source itself: save under another name.")
    return target
