"""The runs of a plan, one after another."""

from __future__ import annotations

import os
import re
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from emotion_model.files import read_json
from emotion_model.processes import usable_cores
from emotion_model.timelines.clock import clock
from train.config import PRESETS, Preset, differences, same_network, with_settings
from train.data.fer2013 import learning_faces
from train.experiments.plans import Plan, PlanError
from train.experiments.running import STOPPED, begin, changed_settings, command_of, data_digest, folder_of, last_line
from train.experiments.table import collect, write_table
from train.fitting.hardware import device_name
from train.runs import is_complete, load_model, told

DAMAGED_FACES = 500  # of validation, each with 44 damages


def ablate(
    plan: Plan, data: Path, out: Path, limit: int | None = None, robustness: bool = False, corrected: bool = False
) -> list[dict[str, Any]]:
    """Make every run of a plan that is not complete, and collect the table after each.

    Args:
        plan: what to run.
        data: folder with FER2013.
        out: a folder per run and seed, `results.csv` and `results.png`.
        limit: use only this many training faces.
        robustness: also measure each run, as soon as it is complete, on damaged faces; that takes about a minute.
        corrected: likewise after the correction that an export would make.

    Returns:
        The rows of the table, one per run.

    Raises:
        PlanError: `out` holds a complete run that was made with other settings or from other data, or the plan's start
            is another network than a run's.
        DataError: the faces cannot be read.
        ModelError: there is no such start, or it cannot be loaded.
        ValueError: the run that it is to start from is not finished.
    """
    held = data_digest(data, limit)
    weights = _beginning(plan)
    out.mkdir(parents=True, exist_ok=True)
    # A first answer to everything, then the spread.
    jobs = [(name, seed, folder_of(out, name, seed)) for seed in plan.seeds for name in plan.runs]
    complete = [job for job in jobs if is_complete(job[2])]
    for name, seed, folder in complete:
        preset = with_settings(PRESETS[plan.preset], plan.runs[name] | {"seed": seed})
        _require_same(folder, plan, preset, held, weights)
    measured = _measured(data, robustness, corrected)
    waiting = [job for job in jobs if job not in complete]
    took: list[float] = []  # seconds, of each run that came to its end
    for place, (name, seed, folder) in enumerate(waiting):
        number, left, began = len(complete) + place + 1, len(waiting) - place, time.monotonic()
        print(f"[{number}/{len(jobs)}] {name}, seed {seed}{_time_left(took, left)}", flush=True)
        command = command_of(plan.preset, plan.runs[name], seed, data.resolve(), folder.resolve(), limit)
        status = _run(command + plan.beginning, folder)
        if status in STOPPED:
            raise KeyboardInterrupt
        if status:
            print(f"    failed with status {status}: {last_line(folder / 'log.txt')}", flush=True)
        else:
            metrics = read_json(folder / "metrics.json")
            print(f"    {told(metrics)}, {metrics['minutes']} min", flush=True)
        write_table(collect(plan, out, **measured), out)
        if not status:  # a run that failed tells nothing of how long the others take
            took.append(time.monotonic() - began)
    rows = collect(plan, out, timed=True, **measured)
    write_table(rows, out)
    return rows


def _measured(data: Path, robustness: bool, corrected: bool) -> dict[str, Any]:
    """The faces on which `collect` measures."""
    if not (robustness or corrected):
        return {}
    train, validation, _ = learning_faces(data)
    return {
        "faces": validation.sample(DAMAGED_FACES) if robustness else None,
        "corrected": (validation, train) if corrected else None,
    }


def _beginning(plan: Plan) -> str | None:
    """The digest of the weights that every run begins with.

    Raises:
        PlanError: they are of another network than a run's.
    """
    if plan.start is None:
        return None
    config = load_model(plan.start).config
    for name, settings in plan.runs.items():
        if not same_network(config.architecture, with_settings(PRESETS[plan.preset], settings).architecture):
            raise PlanError(f"{plan.name}: [runs.{name}]: start = {plan.start!r}: that is another network")
    return config.weights["sha256"]


def _require_same(folder: Path, plan: Plan, preset: Preset, data: str, weights: str | None) -> None:
    """Refuse a complete run that was made with other settings or from other data, or that began with other weights.

    Raises:
        PlanError: it was.
    """
    begun = read_json(folder / "config.json").get("start") or {}
    changed = changed_settings(folder, preset, data) + differences(
        {"weights to begin with": begun.get("sha256"), "frozen_blocks": begun.get("frozen_blocks", 0)},
        {"weights to begin with": weights, "frozen_blocks": plan.frozen_blocks},
    )
    if changed:
        raise PlanError(
            f"{folder} is a run with other settings than plan and --limit now have ({'; '.join(changed)}): remove it "
            "or choose another --out"
        )


def _run(command: Sequence[str], folder: Path) -> int:
    process = begin(command, folder)
    try:
        return process.wait()
    except KeyboardInterrupt:  # the run has the signal too where a terminal sent it; let it write its checkpoint
        process.terminate()
        process.wait()
        raise


def _time_left(took: Sequence[float], left: int) -> str:
    """How long so many runs still take, by the seconds that others took."""
    return f", about {clock(statistics.mean(took) * left)} left" if took else ""


def hardware() -> str:
    """A short name of what trains here for the name of a results file, such as `2-cores-torch` or `nvidia-h200-jax`."""
    cores = usable_cores()
    device = device_name() or f"{cores} core{'s' if cores > 1 else ''}"
    backend = os.environ["KERAS_BACKEND"]  # `train` has chosen it
    return re.sub("[^a-z0-9]+", "-", f"{device} {backend}".lower())
