"""What the commands share: exit statuses, which files are read, and where results go."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Sequence
from glob import glob
from pathlib import Path

from emotion_model.faces.images import ENDINGS
from emotion_model.files import identity, place

EXIT_OK, EXIT_SOME_FAILED, EXIT_UNUSABLE, EXIT_INTERRUPTED = 0, 1, 2, 130
EXIT_UNREAD = 141  # as of programs that a closed pipe ends


def status_of(failed: int, asked: int) -> int:
    """The exit status where so many of the files that were asked for failed."""
    if not failed:
        return EXIT_OK
    return EXIT_UNUSABLE if failed == asked else EXIT_SOME_FAILED


def refused(why: str | Exception) -> int:
    """Say why nothing can be done; returns the exit status for that."""
    print(f"error: {why}", file=sys.stderr)
    return EXIT_UNUSABLE


def tell_failure(path: Path, error: Exception, hint: str = "") -> None:
    """Say in one line which file failed, and why; `hint`: what else could be done with it."""
    message = str(error) if str(path) in str(error) else f"{path}: {error}"
    print(f"error: {message} {hint}".rstrip(), file=sys.stderr)


def sources_of(paths: Sequence[Path]) -> list[Path]:
    """The files that paths stand for: a glob for those that fit, as shells on Windows hand it over as it is.

    What nothing fits stands for itself, and is named when it is read; so does a file whose name looks like a glob.
    """
    return [one for path in paths for one in _fitting(path)]


def _fitting(path: Path) -> list[Path]:
    if os.path.lexists(path):
        return [path]
    fitting = glob(str(path), recursive=True)  # noqa: PTH207 - what is hidden is passed over, as by shells
    return sorted(map(Path, fitting)) or [path]


def targets_of(
    sources: Sequence[Path], outs: Sequence[Path], endings: Callable[[Path], Sequence[str]]
) -> list[list[Path]]:
    """Where the results go, settled before any work: for each source a path for each OUT.

    That is OUT itself, or a file in the folder OUT, which is made; never a source, nor a picture beside those
    of a sequence, never two under one name.

    Args:
        sources: the files that will be read.
        outs: what is asked for.
        endings: what a source's files in folders end in, for each OUT.

    Raises:
        ValueError: a result cannot go there; the message says what to do.
    """
    folders = [_leads_to_folder(out, len(sources) > 1) for out in outs]
    sequences = {path.resolve() for path in sources if identity(path) and path.is_dir()}
    read, taken = identities(sources), set[str]()
    targets: list[list[Path]] = []
    for path in sources:
        targets.append([])
        for out, folder, ending in zip(outs, folders, endings(path), strict=True):
            target = _named_after(path, out, ending, taken) if folder else out
            require_free(target, read, taken)
            if target.suffix.lower() in ENDINGS and target.resolve().parent in sequences:
                raise ValueError(f"{target} would become one of the pictures that are read: save in another folder.")
            taken.add(place(target))
            targets[-1].append(target)
    return targets


def identities(sources: Sequence[Path]) -> set[tuple[int, int] | None]:
    """Of the files that are read, by which `require_free` knows them."""
    return {identity(path) for path in sources} - {None}


def require_free(target: Path, read: Collection[tuple[int, int] | None], taken: Collection[str]) -> None:
    """Refuse a place for a result that one of the sources has, or another result.

    Raises:
        ValueError: it is one; the message says what to do.
    """
    if identity(target) in read:
        raise ValueError(f"{target} is a source itself: save under another name, or in another folder.")
    if place(target) in taken:
        raise ValueError(f"{target}: two results cannot have one name: give each its own.")


def require_parent(out: Path) -> None:
    """Refuse a result whose folder is not there.

    Raises:
        ValueError: it is not.
    """
    if not out.parent.is_dir():
        raise ValueError(f"{out}: there is no folder {out.parent}: make it, or save elsewhere.")


def _leads_to_folder(out: Path, several: bool) -> bool:
    """Whether OUT is a folder, which is made, or else a file's path."""
    if not out.is_dir() and out.suffix:
        if several:
            raise ValueError(f"{out} is one file's name, and several are to be read: give a folder.")
        require_parent(out)
        return False
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"{out}: no folder can be made there ({error.strerror}): save elsewhere.") from error
    return True


def _named_after(path: Path, folder: Path, ending: str, taken: Collection[str]) -> Path:
    target = folder / f"{path.stem}_emotions{ending}"
    number = 2
    while place(target) in taken:  # a/face.jpg and b/face.jpg both want the same name
        target = folder / f"{path.stem}_emotions_{number}{ending}"
        number += 1
    return target
