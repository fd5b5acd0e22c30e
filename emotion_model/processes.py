"""What a process may use of the processor, and locks that are free in one that is forked off."""

from __future__ import annotations

import os
import threading
import weakref
from pathlib import Path

_CGROUP_LIMIT = Path("/sys/fs/cgroup/cpu.max")  # "QUOTA PERIOD" or "max PERIOD", in microseconds
_LIMITS: list[int] = []  # of cores, by `limit_cores`


def limit_cores(count: int) -> None:
    """Let networks that are loaded from here on use so many cores at most, for others that run beside this process."""
    _LIMITS.append(count)


def usable_cores() -> int:
    """Processor cores that this process may use: fewer than the machine has where a container is limited."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = _CGROUP_LIMIT.read_text().split()
        limit = max(1, round(int(quota) / int(period)))
    except (OSError, ValueError):  # no such limit
        limit = cores
    return min(cores, limit, *_LIMITS)


class Lock:
    """For one thread at a time, and free in a process that is forked off: there nobody would ever release it."""

    def __init__(self) -> None:
        """A lock that nobody holds."""
        self._renew()
        _locks.add(self)

    def _renew(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


_locks: weakref.WeakSet[Lock] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for lock in _locks:
        lock._renew()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_after_fork_in_child)
