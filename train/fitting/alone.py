"""One program at a time in the folder of a run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from emotion_model.files import lock


@contextmanager
def alone_in(run_dir: Path) -> Iterator[None]:
    """Have a folder for oneself.

    Raises:
        ValueError: another program trains there.
    """
    if os.name == "nt":  # where folders cannot be opened
        yield
        return
    folder = os.open(run_dir, os.O_RDONLY)
    try:
        if lock(folder) is False:
            raise ValueError(f"{run_dir} is being trained by another program: wait for it, or choose another --out")
        yield
    finally:
        os.close(folder)
