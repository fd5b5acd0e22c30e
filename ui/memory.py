"""Memory of a server of many threads, of which Linux's C library keeps much that is free; elsewhere nothing is done.

Without either, a busy server grows by a tenth within minutes, though nothing in it does.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress

from emotion_model import runtime
from emotion_model.processes import usable_cores

_MMAP_THRESHOLD, _ARENA_MAX = -3, -8  # as glibc's malloc.h has them
_PICTURE = 2**19  # bytes from which a piece of memory goes back by itself: pictures of all sizes leave holes otherwise


def share_memory() -> None:
    """Let threads take their memory from as few stores as there are cores, not eight times as many: each keeps some.

    To be called before the threads start.
    """
    _call("mallopt", _ARENA_MAX, usable_cores())
    _call("mallopt", _MMAP_THRESHOLD, _PICTURE)


def give_back_memory() -> None:
    """Hand memory that is free again, also inside of the networks, back to the system."""
    runtime.give_back_memory()
    _call("malloc_trim", 0)


def _call(name: str, *arguments: int) -> None:
    with suppress(AttributeError, OSError, TypeError):  # other systems have no such function
        getattr(ctypes.CDLL(None), name)(*arguments)
