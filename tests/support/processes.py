"""Processes and what descends from them, as Linux tells."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def descendants(pid: int) -> dict[int, str]:
    """Every process below this one, and what it is called."""
    parents = {int(name): _parent(name) for name in os.listdir("/proc") if name.isdigit()}  # noqa: PTH208 - asked often
    found: dict[int, str] = {}
    for one in parents:
        above: int | None = one
        while above in parents and above != pid:
            above = parents[above]
        if above == pid and one != pid:
            with suppress(OSError):  # gone meanwhile
                found[one] = (Path("/proc") / str(one) / "cmdline").read_text().replace("\0", " ").strip()
    return found


def _parent(process: str) -> int | None:
    try:
        with open(f"/proc/{process}/stat") as stat:  # noqa: PTH123 - likewise
            return int(stat.read().rpartition(")")[2].split()[1])
    except OSError:
        return None


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and whose parent has not looked yet does not."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
