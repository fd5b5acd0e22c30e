"""The runs of a plan, each a `python -m train` of its own, as soon as what it needs is there."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emotion_model.files import digest_of, read_json
from train.config import differences
from train.experiments.plans import PlanError
from train.experiments.running import STOPPED, begin, changed_settings, command_of, data_digest, folder_of, last_line
from train.releasing.plan import ReleasePlan, Stage
from train.runs import is_complete, told

LOOK_SECONDS = 0.5  # between looks at the runs that train


class RunFailedError(RuntimeError):
    """A run of a plan failed; the message has its last words."""


@dataclass
class Stages:
    """What a plan trains, in one folder.

    Attributes:
        plan: the stages.
        data: folder with FER2013.
        out: a folder per run.
    """

    plan: ReleasePlan
    data: Path
    out: Path
    _training: dict[Path, subprocess.Popen[bytes]] = field(default_factory=dict)

    def folder(self, stage: Stage, seed: int) -> Path:
        """Where a run is, complete or not."""
        return folder_of(self.out, stage.name, seed)

    def folders(self, name: str) -> list[Path]:
        """Those of a stage."""
        stage = self.plan.of(name)
        return [self.folder(stage, seed) for seed in stage.seeds]

    def require_same(self) -> None:
        """Refuse complete runs that the plan would make otherwise.

        Raises:
            DataError: there are complete runs, and the data cannot be used.
            PlanError: one was made with other settings, or from other data or weights.
        """
        complete = [one for one in self._runs() if self._is_complete(*one)]
        held = data_digest(self.data, self.plan.faces) if complete else ""
        for stage, seed in complete:
            self._require_same(stage, seed, held)

    def train(self) -> None:
        """Make every run that is not complete; returns when all are.

        Raises:
            KeyboardInterrupt: it was asked to stop; each run has saved itself.
            RunFailedError: a run failed; those beside it have been stopped.
        """
        waiting = [one for one in self._runs() if not self._is_complete(*one)]
        with self._ended():
            while waiting or self._training:
                self._reap()
                for stage, seed in waiting:
                    if len(self._training) < self.plan.together and self._ready(stage):
                        self._begin(stage, seed)
                        waiting.remove((stage, seed))
                        break
                else:
                    time.sleep(LOOK_SECONDS)

    def _runs(self) -> list[tuple[Stage, int]]:
        return [(stage, seed) for stage in self.plan.stages for seed in stage.seeds]

    def _is_complete(self, stage: Stage, seed: int) -> bool:
        return is_complete(self.folder(stage, seed))

    def _ready(self, stage: Stage) -> bool:
        return all(is_complete(folder) for name in stage.needs for folder in self.folders(name))

    def _begin(self, stage: Stage, seed: int) -> None:
        folder = self.folder(stage, seed)
        command = self.command(stage, seed)
        print(f"{folder.name} begins; its log: {folder / 'log.txt'}", flush=True)
        self._training[folder] = begin(command, folder)

    def command(self, stage: Stage, seed: int) -> list[str]:
        """The command that makes one run, for anybody to repeat."""
        data, folder = self.data.resolve(), self.folder(stage, seed).resolve()
        command = command_of(stage.preset, stage.settings, seed, data, folder, self.plan.faces)
        if stage.start:
            command += ["--start", str(self.folders(stage.start)[0].resolve())]
            command += ["--frozen-blocks", str(stage.frozen_blocks)]
        if stage.teachers:
            command += ["--teacher", *(str(path.resolve()) for name in stage.teachers for path in self.folders(name))]
        return command

    def _reap(self) -> None:
        """Take note of runs that have ended.

        Raises:
            KeyboardInterrupt: one was asked to stop.
            RunFailedError: one failed.
        """
        for folder, process in list(self._training.items()):
            status = process.poll()
            if status is None:
                continue
            del self._training[folder]
            if status in STOPPED:
                raise KeyboardInterrupt
            if status:
                raise RunFailedError(f"{folder.name} failed: {last_line(folder / 'log.txt')}")
            metrics = read_json(folder / "metrics.json")
            print(f"{folder.name}: {metrics['epochs']} epochs in {metrics['minutes']} min, {told(metrics)}", flush=True)

    @contextmanager
    def _ended(self) -> Iterator[None]:
        """However this ends, no run goes on alone; each saves itself first."""
        try:
            yield
        finally:
            for process in self._training.values():
                process.terminate()
            for process in self._training.values():
                process.wait()

    def _require_same(self, stage: Stage, seed: int, data: str) -> None:
        """Refuse a complete run that was made with other settings, other data, or other weights than its stages have.

        `data`: the digest of the data as they are now.

        Raises:
            PlanError: it was.
        """
        folder = self.folder(stage, seed)
        config = read_json(folder / "config.json")
        starts = self.folders(stage.start)[:1] if stage.start else []
        teachers = [path for name in stage.teachers for path in self.folders(name)]
        changed = changed_settings(folder, stage.recipe(seed), data)
        changed += _changed_weights("start", [config["start"]] if config.get("start") else [], starts)
        frozen = (config.get("start") or {}).get("frozen_blocks", 0)
        changed += differences({"frozen_blocks": frozen}, {"frozen_blocks": stage.frozen_blocks})
        changed += _changed_weights("teachers", config.get("teacher") or [], teachers)
        if changed:
            raise PlanError(
                f"{folder} is a run with other settings than the plan now has ({'; '.join(changed)}): remove it or "
                "choose another --out"
            )


def _changed_weights(what: str, recorded: Sequence[Mapping[str, Any]], now: Sequence[Path]) -> list[str]:
    """In what the runs that a run came from are others now, for people.

    Args:
        what: they are to the run.
        recorded: those that it tells of.
        now: the folders of those that the plan gives it; one that was brought along may lack its weights.
    """
    if len(recorded) != len(now):
        names = [_name(one) for one in recorded], [folder.name for folder in now]
        return [f"{what} {', now '.join(', '.join(some) or 'none' for some in names)}"]
    told = []
    for before, folder in zip(recorded, now, strict=True):
        weights, name = folder / "model.keras", _name(before)
        if name != folder.name:
            told.append(f"{what} {name}, now {folder.name}")
        elif not is_complete(folder):
            told.append(f"{what} {folder.name}, which would be trained anew")
        elif weights.exists() and digest_of(weights) != before["sha256"]:
            told.append(f"{what} {folder.name}, which has other weights now")
    return told


def _name(run: Mapping[str, Any]) -> str:
    """What a run's folder is called, by the record of one that came from it."""
    return Path(run.get("run") or run["source"]).name
