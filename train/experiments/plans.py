"""Plans of experiments: which settings change, and with which seeds."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from train.config import LARGEST_SEED, PRESETS, with_settings
from train.flags import require_flags

BUNDLED = "bundled"  # start of a plan: the weights of the model that this project brings along


class PlanError(ValueError):
    """A plan cannot be run; the message names what is wrong and where."""


@dataclass(frozen=True)
class Plan:
    """Experiments to run.

    Attributes:
        name: of the plan's file.
        preset: what every run starts from.
        seeds: each run is made once with each.
        runs: name -> settings, those of every run included; the first is the one to compare with.
        changes: name -> the settings that set this run apart.
        start: the weights that every run begins with, as `python -m train --start` takes them; None: random ones.
        frozen_blocks: how many of the first blocks keep those.
    """

    name: str
    preset: str
    seeds: tuple[int, ...]
    runs: dict[str, dict[str, Any]]
    changes: dict[str, dict[str, Any]]
    start: str | None = None
    frozen_blocks: int = 0

    @property
    def beginning(self) -> list[str]:
        """The flags for what every run begins with."""
        return ["--start", self.start, "--frozen-blocks", str(self.frozen_blocks)] if self.start else []

    def only(self, names: Sequence[str]) -> Plan:
        """The plan with these runs alone, and the one that they are compared with.

        Raises:
            PlanError: it has no run of such a name.
        """
        unknown = sorted(set(names) - set(self.runs))
        if unknown:
            raise PlanError(f"{self.name}: no run {', '.join(unknown)}; it has {', '.join(self.runs)}")
        kept = [name for place, name in enumerate(self.runs) if place == 0 or name in names]
        runs, changes = ({name: of[name] for name in kept} for of in (self.runs, self.changes))
        return replace(self, runs=runs, changes=changes)


def read_toml(path: Path, entries: Sequence[str]) -> dict[str, Any]:
    """What a plan's file holds, in these entries alone.

    Raises:
        PlanError: it cannot be read, or holds another one.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PlanError(f"{path}: cannot be read as TOML ({error})") from error
    unknown = sorted(set(values) - set(entries))
    if unknown:
        expected = f"{', '.join(entries[:-1])} and {entries[-1]}"
        raise PlanError(f"{path}: unknown entry {', '.join(unknown)}; expected {expected}")
    return values


def require_seeds(seeds: Any) -> tuple[int, ...]:
    """The seeds of a plan.

    Raises:
        ValueError: they are no different whole numbers, or none that random numbers can begin with.
    """
    whole = isinstance(seeds, list) and all(type(seed) is int and 0 <= seed <= LARGEST_SEED for seed in seeds)
    if not whole or not seeds or len(set(seeds)) != len(seeds):
        raise ValueError(f"seeds = {seeds!r}: give different whole numbers from 0 to {LARGEST_SEED}, such as [0, 1]")
    return tuple(seeds)


def require_preset(name: Any) -> str:
    """The preset of a plan.

    Raises:
        ValueError: there is none of this name.
    """
    if not isinstance(name, str) or name not in PRESETS:
        raise ValueError(f"preset = {name!r}: choose one of {', '.join(sorted(PRESETS))}")
    return name


def require_blocks(frozen: Any, blocks: int, start: str | None) -> None:
    """Refuse what is no number of blocks that could keep the weights of a start.

    Raises:
        ValueError: it is none, or there is no start.
    """
    if type(frozen) is not int or not 0 <= frozen <= blocks:
        raise ValueError(f"frozen_blocks = {frozen!r}: give a whole number from 0 to {blocks}, the network's blocks")
    if frozen and start is None:
        raise ValueError(f"frozen_blocks = {frozen}: they keep the weights of a start; give that too, or 0")


def read_plan(path: Path) -> Plan:
    """Read a plan and check every setting in it, before hours are spent on it.

    Raises:
        PlanError: not a plan, or a run in it cannot be built.
    """
    values = read_toml(path, ("preset", "seeds", "start", "frozen_blocks", "common", "runs"))
    preset, seeds, changes = values.get("preset", "seed"), values.get("seeds", [0]), values.get("runs", {})
    common = values.get("common", {})
    tables = [common, changes, *(changes.values() if isinstance(changes, dict) else ())]
    if not all(isinstance(table, dict) for table in tables):
        raise PlanError(f"{path}: settings stand in tables, such as [common] and [runs.no_attention]")
    try:
        preset, seeds = require_preset(preset), require_seeds(seeds)
    except ValueError as error:
        raise PlanError(f"{path}: {error}") from error
    if not changes:
        raise PlanError(f"{path}: holds no run; add a table such as [runs.no_attention]")
    runs = {name: common | own for name, own in changes.items()}
    plan = Plan(path.stem, preset, seeds, runs, changes, *_beginning(path, values))
    for name, settings in runs.items():
        if "seed" in settings:
            raise PlanError(f"{path}: [runs.{name}]: seed is no setting of a run, each is made with all of `seeds`")
        try:
            recipe = with_settings(PRESETS[preset], settings)
            require_flags(settings)
            require_blocks(plan.frozen_blocks, len(recipe.architecture.filters), plan.start)
            if recipe.training.distillation:
                raise ValueError("distillation needs a teacher, which no run of such a plan has: leave it out")
        except (ValueError, TypeError) as error:
            raise PlanError(f"{path}: [runs.{name}]: {error}") from error
    return plan


def _beginning(path: Path, values: dict[str, Any]) -> tuple[str | None, int]:
    """What every run of a plan begins with; a path counts from the plan's folder."""
    start, frozen = values.get("start"), values.get("frozen_blocks", 0)
    if start is not None and not isinstance(start, str):
        raise PlanError(f"{path}: start = {start!r}: give `bundled`, or the folder of a model or of a finished run")
    if type(frozen) is not int or frozen < 0 or (frozen and not start):
        raise PlanError(f"{path}: frozen_blocks = {frozen!r}: give a whole number, and the start that they keep")
    if start in (None, BUNDLED):
        return start, frozen
    folder = (path.parent / start).resolve()
    if not folder.exists():
        raise PlanError(f"{path}: start = {start!r}: {folder} is not there")
    return str(folder), frozen
