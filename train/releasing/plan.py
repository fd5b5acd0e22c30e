"""Plans of releases: stages of training, each from those before it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from train.config import PRESETS, Preset, same_network, with_settings
from train.experiments.plans import PlanError, read_toml, require_blocks, require_preset, require_seeds
from train.flags import require_flags

PLANS = Path(__file__).parents[1] / "plans" / "releases"
SMOKE_FACES = 256  # training faces of each run of a smoke test


@dataclass(frozen=True)
class Stage:
    """Runs that differ in their seed alone.

    Attributes:
        name: of the stage.
        preset: network and recipe that `settings` change.
        settings: as `train.config.settings` names them.
        seeds: a run is made with each.
        start: the stage whose weights it begins with; None: random ones.
        teachers: the stages whose networks teach it.
        frozen_blocks: how many of its first blocks keep the weights that it begins with.
    """

    name: str
    preset: str
    settings: Mapping[str, Any]
    seeds: tuple[int, ...] = (0,)
    start: str | None = None
    teachers: tuple[str, ...] = ()
    frozen_blocks: int = 0

    @property
    def needs(self) -> tuple[str, ...]:
        """The stages that must be complete before it begins."""
        return (*self.teachers, *((self.start,) if self.start else ()))

    def recipe(self, seed: int) -> Preset:
        """Network and recipe of one run.

        Raises:
            ValueError: a setting is unknown or out of range.
        """
        return with_settings(PRESETS[self.preset], {**self.settings, "seed": seed})


@dataclass(frozen=True)
class ReleasePlan:
    """How a model is made.

    Attributes:
        name: of the plan's file.
        stages: each after those that it needs; the runs of the last one, averaged, become the model.
        together: how many runs may train at the same time.
        faces: training faces of a run; None: all.
    """

    name: str
    stages: tuple[Stage, ...]
    together: int = 1
    faces: int | None = None

    def of(self, name: str) -> Stage:
        """The stage of this name."""
        return next(stage for stage in self.stages if stage.name == name)

    def smoke(self) -> ReleasePlan:
        """The same stages, so short that only their working together is tried: narrow, one epoch of few faces."""
        return replace(self, stages=tuple(_short(stage) for stage in self.stages), faces=SMOKE_FACES)


def _short(stage: Stage) -> Stage:
    preset = stage.recipe(0)
    narrow = [max(4, filters // 16) for filters in preset.architecture.filters]
    short = {"epochs": 1, "gentle_epochs": 0, "batch_size": 64, "filters": narrow, "precision": "float32"}
    return replace(stage, settings={**stage.settings, **short})


def read_plan(path: Path) -> ReleasePlan:
    """Read a plan and check all of it, before hours are spent on it.

    Raises:
        PlanError: not a plan, or a stage of it cannot be run.
    """
    values = read_toml(path, ("together", "common", "stages"))
    together, common, tables = values.get("together", 1), values.get("common", {}), values.get("stages", {})
    if not isinstance(together, int) or together < 1:
        raise PlanError(f"{path}: together = {together!r}: give a whole number of at least 1")
    if not tables or not all(isinstance(table, dict) for table in (common, tables, *tables.values())):
        raise PlanError(f"{path}: stages stand in tables, such as [common] and [stages.student]")
    stages: list[Stage] = []
    for name, own in tables.items():
        with _faults_of(path, name):
            stages.append(_stage(name, common | own, {stage.name: stage for stage in stages}))
    for stage in stages:
        with _faults_of(path, stage.name):
            _require_used(stage, stages)
    return ReleasePlan(path.stem, tuple(stages), together)


@contextmanager
def _faults_of(path: Path, stage: str) -> Iterator[None]:
    """Say where in a plan a fault is.

    Raises:
        PlanError: there is one.
    """
    try:
        yield
    except (ValueError, TypeError) as error:
        raise PlanError(f"{path}: [stages.{stage}]: {error}") from error


def _stage(name: str, values: dict[str, Any], before: Mapping[str, Stage]) -> Stage:
    """One stage, checked.

    Raises:
        ValueError: it cannot be run.
    """
    settings = dict(values)
    preset, seeds = require_preset(settings.pop("preset", "compact")), require_seeds(settings.pop("seeds", [0]))
    start, teachers = _needs(settings.pop("start", None), settings.pop("teachers", []), before)
    frozen = settings.pop("frozen_blocks", 0)
    if "seed" in settings:
        raise ValueError("seed is no setting of a stage, each is run with all of `seeds`")
    stage = Stage(name, preset, settings, seeds, start, teachers, frozen)
    recipe = stage.recipe(seeds[0])
    require_flags(settings)
    require_blocks(frozen, len(recipe.architecture.filters), start)
    if start and not same_network(before[start].recipe(seeds[0]).architecture.to_dict(), recipe.architecture):
        raise ValueError(f"start = {start!r}: that is another network")
    if bool(recipe.training.distillation) != bool(teachers):
        raise ValueError("give both teachers and a distillation above 0, or neither")
    if recipe.training.device_augmentation:
        _require_same_size(recipe, [before[teacher] for teacher in teachers])
    return stage


def _needs(start: Any, teachers: Any, before: Mapping[str, Stage]) -> tuple[str | None, tuple[str, ...]]:
    """The stages that a stage begins with and is taught by.

    Raises:
        ValueError: they are no names, or no stages before it.
    """
    if start is not None and not isinstance(start, str):
        raise ValueError(f"start = {start!r}: give the name of one stage, such as 'student'")
    if not isinstance(teachers, list) or not all(isinstance(teacher, str) for teacher in teachers):
        raise ValueError(f"teachers = {teachers!r}: give a list of stages' names, such as ['deep', 'plain']")
    for one in (*teachers, *([] if start is None else [start])):
        if one not in before:
            raise ValueError(f"{one} is no stage before it; those are {', '.join(before) or 'none'}")
    return start, tuple(teachers)


def _require_used(stage: Stage, stages: Sequence[Stage]) -> None:
    """Refuse runs that would be made for nothing, and a mean of networks that have nothing in common.

    Raises:
        ValueError: the stage has some.
    """
    started = [one.name for one in stages if one.start == stage.name]
    taught = [one.name for one in stages if stage.name in one.teachers]
    several = f"seeds = {list(stage.seeds)}" if len(stage.seeds) > 1 else ""
    if stage is stages[-1]:
        if several and not stage.start:
            raise ValueError(
                f"{several} without a start: the last stage's runs are averaged, which only those can be that began "
                "with the same weights; give it a start, or one seed"
            )
    elif not started and not taught:
        raise ValueError(f"no later stage uses it: name {stage.name} there as start or teacher, or remove it")
    elif several and not taught:
        raise ValueError(f"{several}: {started[0]} begins with the first alone; give one seed")


def _require_same_size(recipe: Preset, teachers: Sequence[Stage]) -> None:
    """Refuse teachers that could not look at the student's faces, as they do with `device_augmentation`.

    Raises:
        ValueError: one of them looks at faces of another size.
    """
    size = recipe.architecture.image_size
    for teacher in teachers:
        other = teacher.recipe(0).architecture.image_size
        if other != size:
            raise ValueError(
                f"its teacher {teacher.name} looks at faces of {other} pixels, it itself at {size}: with "
                "device_augmentation give both the same image_size"
            )
