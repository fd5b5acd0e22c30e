"""Processes and what descends from them, as Linux tells."""

from __future__ import annotations

from pathlib import Path


def descendants(pid: int) -> dict[int, str]:
    """Every process below this one, and what it is called."""
    parents: dict[int, int] = {}
    names: dict[int, str] = {}
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                stat = (process / "stat").read_text()
                names[int(process.name)] = (process / "cmdline").read_text().replace("\0", " ").strip()
            except OSError:  # gone meanwhile
                continue
            parents[int(process.name)] = int(stat.rpartition(")")[2].split()[1])
    found: dict[int, str] = {}
    for one in parents:
        above: int | None = one
        while above in parents and above != pid:
            above = parents[above]
        if above == pid and one != pid:
            found[one] = names.get(one, "")
    return found


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and whose parent has not looked yet does not."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
