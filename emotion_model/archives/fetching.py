"""A recording as a file of this machine: what lies elsewhere is fetched, and removed when it was read."""

from __future__ import annotations

import glob
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
from fsspec.caching import ReadAheadCache
from fsspec.spec import AbstractBufferedFile

from emotion_model.archives.sources import Source, is_local, is_on_the_web

_PIECE = 1 << 20  # bytes, that are fetched at a time
_AHEAD = 1 << 16  # bytes, that are asked for besides: a zip file is looked at in small pieces
_PROCESSES = Path("/proc/self/ns/pid")  # a link to what tells one container's processes from another's


def _copies() -> str:
    """How the names of folders with copies begin; the number of their process follows, which says nothing elsewhere."""
    processes = re.sub(r"\D", "", str(_PROCESSES.readlink())) if _PROCESSES.is_symlink() else ""
    return f"archive-copy-{platform.node()}-{processes}-"


def remove_left_copies() -> None:
    """Remove the copies that `local_copy` made in processes of this machine that were killed since.

    Other machines and containers may have the same folder for such files, and processes of the same number.
    """
    if os.name == "nt":  # where to ask for a process may end it
        return
    ours = _copies()
    for folder in Path(tempfile.gettempdir()).glob(f"{glob.escape(ours)}*-*"):
        number = folder.name.removeprefix(ours).split("-")[0]
        if number.isdecimal() and not _runs(int(number)):
            shutil.rmtree(folder, ignore_errors=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)  # asks only
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True


@dataclass(frozen=True)
class LocalCopy:
    """A recording as a file of this machine, once it has been fetched."""

    source: Source
    path: Path

    def fetch(self) -> Iterator[int]:
        """Fetch it, where it lies elsewhere: the bytes so far, after each megabyte or sooner.

        Raises:
            OSError: it cannot be had.
        """
        if is_local(self.source.uri):
            return
        try:
            yield from self._fetched()
        except ValueError:  # of a server that knows no ranges: from there it comes in one stream
            if not is_on_the_web(self.source.uri):
                raise
            yield from self._fetched(block_size=0)

    def _fetched(self, **options: Any) -> Iterator[int]:
        system, path = _placed(self.source.uri)
        _ask_for_little_more(getattr(system, "fo", None))  # the file that this one lies in, if it does
        try:
            with system.open(path, "rb", **options) as file, self.path.open("wb") as written:
                _ask_for_little_more(file)
                while piece := file.read(_PIECE):
                    written.write(piece)
                    yield written.tell()
        except Exception:
            _opened.cache_clear()  # what leads there may have broken
            raise


def _placed(uri: str) -> tuple[Any, str]:
    """The file system that a file lies in, and where."""
    inner, _, outer = uri.partition("::")
    scheme, lies_in_file, path = inner.partition("://")
    if not (outer and lies_in_file):
        return fsspec.core.url_to_fs(uri)
    system = _opened(f"{scheme}://::{outer}")
    return system, system._strip_protocol(path)


@lru_cache(maxsize=1)
def _opened(address: str) -> Any:
    """A file with files in it, left open for the next of them: to open it takes the longer, the more there are."""
    return fsspec.core.url_to_fs(address)[0]


def _ask_for_little_more(file: Any) -> None:
    """Let a file ask its place for hardly more than is read of it: most ask for 5 MiB more, and nothing is heard."""
    if isinstance(file, AbstractBufferedFile):
        file.cache = ReadAheadCache(_AHEAD, file.cache.fetcher, file.size)


@contextmanager
def local_copy(source: Source) -> Iterator[LocalCopy]:
    """The recording as a file of this machine: itself where it is one, else a copy, which is removed at the end."""
    if is_local(source.uri):
        yield LocalCopy(source, Path(source.uri))
        return
    with tempfile.TemporaryDirectory(prefix=f"{_copies()}{os.getpid()}-") as folder:
        yield LocalCopy(source, Path(folder) / f"copy{PurePosixPath(source.name).suffix}")
