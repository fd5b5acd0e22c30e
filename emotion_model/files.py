"""Files that stand under their name only when they are whole, JSON, digests, files for oneself, and names as text."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

try:
    import fcntl
except ImportError:  # Windows: two programs are not kept apart there
    fcntl = None  # type: ignore[assignment]


def disk_is_full(error: BaseException) -> bool:
    """Whether an error of the system, or of FFmpeg, says that the disk or one's share of it has no room left."""
    return getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def whole_file(target: Path, within: Path | None = None) -> Iterator[Path]:
    """The path of a partial file beside the target: renamed to it at the end, removed if anything goes wrong.

    It lies `within` another folder of the same disk where everything beside the target is taken for whole.

    An interrupted run so leaves neither a broken file under the target's name nor a lost older one. A target that is a
    link stays one: what it leads to is written.

        with whole_file(Path("out.csv")) as partial:
            partial.write_text(...)

    Raises:
        OSError: the target is a folder or a device, which no file may take the place of.
    """
    if target.exists() and not target.is_file():
        raise OSError(errno.EINVAL, "not a regular file", str(target))
    target = Path(os.path.realpath(target))
    if os.name == "nt" and target.exists():
        target.open("r+b").close()  # what a program such as Excel has open could not be replaced at the end
    partial = (within or target.parent) / f".partial-{target.name}"
    try:
        yield partial
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def to_disk(path: Path) -> None:
    """Wait until a file is on the disk: a power cut after it was renamed could else leave its name without content."""
    with path.open("r+b") as file:  # Windows does this only for who may write
        os.fsync(file.fileno())


def copy_file(source: Path, target: Path) -> None:
    """Copy a file so that a reader never sees half of it."""
    with whole_file(target) as partial:
        shutil.copyfile(source, partial)


def identity(path: Path) -> tuple[int, int] | None:
    """The same for every name of a file; None where there is no file to be seen."""
    try:
        found = path.stat()
    except (OSError, ValueError):  # no file can have that name
        return None
    return found.st_dev, found.st_ino


def digest_of(path: Path) -> str:
    """By which records and programs know the content of a file: its sha256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def place(path: Path) -> str:
    """The same for all paths that may become one file: some disks do not tell capitals from small letters."""
    return str(path.resolve()).casefold()


def spelled_out(name: str) -> str:
    """A file's name as tables and people are given it: bytes that are no UTF-8 become `\\xe9` and the like."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def write_json(path: Path, value: Any) -> None:
    """Write JSON so that a reader never sees half a file, nor finds an empty one after a power cut."""
    with whole_file(path) as partial:
        text = json.dumps(value, indent=1, ensure_ascii=False) + "\n"
        partial.write_text(text, encoding="utf-8", errors="backslashreplace")  # names of files may be no text
        to_disk(partial)


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no JSON.
    """
    return json.loads(path.read_text(encoding="utf-8"))


def lock(file: IO[str] | int) -> bool | None:
    """Have an open file, or a folder's descriptor, for oneself; False where another program has it.

    The system takes it back from a program that closes it or ends, however it ends. None where nobody can tell: some
    shared disks cannot lock, and Windows does not know this.
    """
    if fcntl is None:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True
