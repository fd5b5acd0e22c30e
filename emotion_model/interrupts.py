"""Ctrl-C ends long work politely."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Protocol, TypeVar


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


Work = TypeVar("Work", bound=Stoppable)


@contextmanager
def interruptible(run: Work, patient: bool = False) -> Iterator[Work]:
    """Ctrl-C, or a polite kill, ends the run with whole files; a second one ends it at once, without.

    `patient`: a second one changes nothing, since all that was done would be lost without those files.
    """

    def stop(number: int, _: object) -> None:
        if run.stopped and not patient:
            raise KeyboardInterrupt
        run.stop()

    before = _heed(stop, signal.SIGINT, signal.SIGTERM)
    try:
        yield run
    finally:
        for one, handler in before:
            signal.signal(one, handler)


def end_politely() -> None:
    """From now on a polite kill ends the program as Ctrl-C does: by a KeyboardInterrupt."""
    _heed(signal.default_int_handler, signal.SIGTERM)


def _heed(handler: Callable[[int, FrameType | None], object], *numbers: int) -> list[tuple[int, Any]]:
    """Let signals be handled so; returns how they were before.

    One that is ignored stays so: whoever began the program in the background wants that.
    """
    heeded = [one for one in numbers if signal.getsignal(one) is not signal.SIG_IGN]
    return [(one, signal.signal(one, handler)) for one in heeded]
