"""A run ends between two batches when it is asked to."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


class StoppedError(Exception):
    """The run was asked to stop; the same command goes on from its checkpoint."""


@contextmanager
def stop_on_signal() -> Iterator[dict[str, bool]]:
    """Turn SIGINT and SIGTERM into a flag, so that a run ends between two batches, or two executions of several."""
    stop = {"asked": False}

    def ask(*_: object) -> None:
        stop["asked"] = True

    previous = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
