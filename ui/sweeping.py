"""Visitors' files, deleted when their time is over.

Gradio deletes what it remembers of a session, and forgets what is handed out by a component that changed, and uploads
that broke off; and its sweeper ends for good at the first upload that comes while it looks. This goes by the folder.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from pathlib import Path

KEEP_SECONDS = 1800  # a visitor's files are deleted from the server when they are this old; clips take a while
SWEEP_SECONDS = 60  # and looked for this often


def sweep(folder: Path, keep_seconds: float) -> None:
    """Delete the files below a folder that have lain there for so long, and folders that are empty for as long."""
    over = time.time() - keep_seconds
    for place, folders, files in os.walk(folder, topdown=False):
        for remove, names in ((Path.unlink, files), (Path.rmdir, folders)):
            for path in (Path(place, name) for name in names):
                with suppress(OSError):  # another hand was quicker, or the folder is not empty
                    if path.lstat().st_ctime < over:
                        remove(path)


class Sweeper(threading.Thread):
    """Sweeps a folder again and again, until the program or `stop` ends it."""

    def __init__(self, folder: Path, keep_seconds: float, every_seconds: float) -> None:
        """Sweep what is older, so often."""
        super().__init__(name="sweep", daemon=True)
        self._folder, self._keep, self._every = folder, keep_seconds, every_seconds
        self._stopped = threading.Event()

    def run(self) -> None:
        """Body of the thread."""
        while not self._stopped.wait(self._every):
            sweep(self._folder, self._keep)

    def stop(self) -> None:
        """Sweep no more."""
        self._stopped.set()
