"""One program at a time in the folder of a run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: two programs on one folder are not kept apart there
    fcntl = None  # type: ignore[assignment]


@contextmanager
def alone_in(run_dir: Path) -> Iterator[None]:
    """Have a folder for oneself; the system takes it back from a program that ends, however it ends.

    Raises:
        ValueError: another program trains there.
    """
    if fcntl is None:
        yield
        return
    folder = os.open(run_dir, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(
                f"{run_dir} is being trained by another program: wait for it, or choose another --out"
            ) from error
        except OSError:  # some shared disks cannot
            pass
        yield
    finally:
        os.close(folder)
