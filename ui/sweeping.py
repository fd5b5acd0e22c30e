"""Visitors' files, deleted when their time is over.

Gradio's own sweeper deletes what it remembers of a session, and forgets what is handed out by a component that changed,
and uploads that broke off; and it ends for good at the first upload that comes while it looks. This one goes by the
folder, which a server has for itself.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from emotion_model.files import lock
from ui.memory import give_back_memory

KEEP_SECONDS = 1800  # a visitor's files are deleted from the server when they are this old; clips take a while
SWEEP_SECONDS = 60  # and looked for this often


_FOLDERS = "emotion-lens-"  # what the names of servers' folders begin with
_HELD = "held"  # a file in each, locked as long as its server runs


@contextmanager
def own_folder(place: str | None = None) -> Iterator[Path]:
    """A folder for visitors' files, removed at the end; those of servers that were killed are removed now.

    Args:
        place: where to make it; None: where temporary files lie.
    """
    place = place or tempfile.gettempdir()
    Path(place).mkdir(parents=True, exist_ok=True)
    _remove_left(Path(place))
    # Threads may still write into it at the end, which is no error of the one that ends.
    folder = tempfile.TemporaryDirectory(prefix=_FOLDERS, dir=place, ignore_cleanup_errors=True)
    with folder as name, Path(name, _HELD).open("w") as held:
        while lock(held) is False:  # a server that starts looks whether this one runs
            time.sleep(0.01)
        held.write(f"{os.getpid()}")  # from now on it is known by the lock whether this server runs
        held.flush()
        try:
            yield Path(name)
        finally:
            _empty(Path(name))


@contextmanager
def kept_if_filled(folder: Path) -> Iterator[Path]:
    """A folder among visitors' files, removed at once where it cannot be filled; else it goes when they do."""
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _remove_left(place: Path) -> None:
    for path in place.glob(f"{_FOLDERS}*/{_HELD}"):
        with suppress(OSError):
            if not path.is_file() or (hasattr(os, "getuid") and path.stat().st_uid != os.getuid()):
                continue  # on a shared machine others may make what looks like a server's folder
            if os.name == "nt":  # which knows no such lock, but removes nothing that a server has open
                path.unlink()
                shutil.rmtree(path.parent)
                continue
            with path.open("rb") as held:
                if lock(held.fileno()) and held.read():
                    _empty(path.parent)
                    shutil.rmtree(path.parent)


def _empty(folder: Path) -> None:
    """Remove all but what tells that it is a server's: if this breaks off, the next one that starts goes on."""
    for path in folder.iterdir():
        if path.name != _HELD:
            with suppress(OSError):
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def sweep(folder: Path, keep_seconds: float) -> None:
    """Delete the files below a folder that have lain there for so long, and folders that are empty for as long."""
    over = time.time() - keep_seconds
    for place, folders, files in os.walk(folder, topdown=False):
        for remove, names in ((Path.unlink, files), (Path.rmdir, folders)):
            for path in (Path(place, name) for name in names):
                with suppress(OSError):  # another hand was quicker, or the folder is not empty
                    times = path.lstat()
                    if max(times.st_ctime, times.st_mtime) < over:  # on Windows the first is when it was made
                        remove(path)


class Sweeper(threading.Thread):
    """Sweeps a folder, and the memory, again and again, until the program or `stop` ends it."""

    def __init__(self, folder: Path, keep_seconds: float, every_seconds: float, swept: Callable[[], None]) -> None:
        """Sweep what is older, so often; `swept` is called after each time."""
        super().__init__(name="sweep", daemon=True)
        self._folder, self._keep, self._every, self._swept = folder, keep_seconds, every_seconds, swept
        self._stopped = threading.Event()

    def run(self) -> None:
        """Body of the thread."""
        while not self._stopped.wait(self._every):
            sweep(self._folder, self._keep)
            self._swept()
            give_back_memory()

    def stop(self) -> None:
        """Sweep no more."""
        self._stopped.set()
