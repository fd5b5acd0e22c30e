"""Ctrl-C ends long work politely."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Stoppable(Protocol):
    """Work that can be ended early."""

    @property
    def stopped(self) -> bool:
        """Whether it was."""
        ...

    def stop(self) -> None:
        """End it soon."""
        ...


class Interruption:
    """Whether work that goes step by step was asked to end."""

    stopped = False

    def stop(self) -> None:
        """Ask it to."""
        self.stopped = True


@contextmanager
def interruptible(run: Stoppable) -> Iterator[None]:
    """Ctrl-C, or a polite kill, ends the run with whole files; a second one ends it at once, without.

    A signal that is ignored stays so: whoever began the program in the background wants that.
    """

    def stop(number: int, _: object) -> None:
        if run.stopped:
            raise KeyboardInterrupt
        run.stop()

    heeded = [one for one in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(one) is not signal.SIG_IGN]
    before = [(one, signal.signal(one, stop)) for one in heeded]
    try:
        yield
    finally:
        for one, handler in before:
            signal.signal(one, handler)
