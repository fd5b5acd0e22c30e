"""Fit a network in a folder of its own: a new run, or on with the one that is found there.

A run directory holds `config.json`, `environment.json`, `history.json` (one entry per epoch: what it came to, its
seconds with validation and all that was written, when it `ended` in Unix time, and whether `on_gpu`), `curves.png`,
`model.keras` (the best epoch on validation, without optimizer state), `metrics.json`, until the run is complete
`checkpoint/`, and `tracked.json`, the name of its live curves, where it has some.
The epochs are in `run.py`; a run can stop after any batch and go on from there by what `checkpoint.py` keeps.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from emotion_model.files import read_json, write_json
from emotion_model.interrupts import Interruption, interruptible
from train.config import Preset, differences
from train.data.fer2013 import FaceDataset, digest
from train.fitting.alone import alone_in
from train.fitting.environment import record_environment
from train.fitting.hardware import what_trains
from train.fitting.run import Run
from train.fitting.starts import Start
from train.fitting.teachers import Teacher, require_teacher
from train.fitting.tracker import tracker
from train.runs import is_complete, recorded_config, require_writable


def fit(
    preset: Preset,
    train: FaceDataset,
    validation: FaceDataset,
    run_dir: Path,
    dropped_duplicates: int,
    track: bool = False,
    start: Start | None = None,
    draw: Callable[[np.random.Generator], np.ndarray] | None = None,
    teacher: Teacher | None = None,
) -> dict[str, Any]:
    """Train a network, or go on with the run in `run_dir`; returns what `metrics.json` says.

    Args:
        preset: the network and its recipe.
        train: faces to fit on, without any that stand in another split.
        validation: faces to choose the epoch on.
        run_dir: where everything is written; a checkpoint found there is resumed.
        dropped_duplicates: how many training faces were left out, for the record.
        track: send loss, accuracy and learning rate to trackio while the run trains.
        start: weights to begin with instead of random ones.
        draw: chooses the training faces of an epoch, as indices, always as many; by default each is seen once.
        teacher: its probabilities are the share `distillation` of the targets.

    Raises:
        StoppedError: on SIGINT or SIGTERM, after the checkpoint is written; with `device_augmentation` on JAX after the
            epoch.
        ValueError: another program trains in `run_dir`, or it holds a run of another configuration; a teacher is
            missing or not asked for, `start` has other classes than the faces, or `run_dir` cannot be written.
    """
    require_teacher(preset, teacher is not None)
    if start and start.emotions not in (None, train.emotions):
        raise ValueError(
            f"{start.record.get('run')} has the classes {', '.join(start.emotions)}, the data "
            f"{', '.join(train.emotions)}: a start needs the same, in the same order"
        )
    config = _record(preset, train, validation, dropped_duplicates, start, teacher)
    if teacher and not _is_done(run_dir, config):
        require_writable(run_dir)  # before teachers are asked for minutes
        teacher = teacher.asked()  # before anything is written
    run_dir.mkdir(parents=True, exist_ok=True)
    with alone_in(run_dir):
        if _is_done(run_dir, config):
            print(f"{run_dir}: already complete")
        else:
            _train(Run(preset, train, validation, run_dir, start, draw, teacher), run_dir, config, track)
    return read_json(run_dir / "metrics.json")


def _train(run: Run, run_dir: Path, config: dict[str, Any], track: bool) -> None:
    print(f"on {what_trains(run.networks.precision)}", flush=True)
    write_json(run_dir / "config.json", config)
    # From here on a signal is remembered, even while a checkpoint is read, and a second one waits for its end too.
    with interruptible(Interruption(), patient=True) as stop:
        goes_on = run.resume()
        record_environment(run_dir / "environment.json", run.networks.precision, goes_on)
        with tracker(run_dir, config, goes_on) if track else nullcontext() as run.track:
            run.train(stop)
    run.finish()


def _record(
    preset: Preset,
    train: FaceDataset,
    validation: FaceDataset,
    dropped_duplicates: int,
    start: Start | None,
    teacher: Teacher | None,
) -> dict[str, Any]:
    """What `config.json` of a run says."""
    return {
        "architecture": preset.architecture.to_dict(),
        "training": preset.training.to_dict(),
        "emotions": list(train.emotions),
        "data": {
            "train": len(train),
            "validation": len(validation),
            "train_duplicates_dropped": dropped_duplicates,
            "sha256": digest(train, validation),
            "votes": train.votes is not None,
        },
        **({"start": start.record} if start else {}),
        **({"teacher": teacher.record} if teacher else {}),
    }


def _is_done(run_dir: Path, config: dict[str, Any]) -> bool:
    """Whether a run has come to its end; refuses one of another configuration, or of other data."""
    if (run_dir / "config.json").exists():
        _require_same(run_dir, config)
    return is_complete(run_dir)


def _require_same(run_dir: Path, config: dict[str, Any]) -> None:
    """Refuse to go on with a run that had another configuration, or other data."""
    recorded = recorded_config(run_dir)
    told = recorded.get("data", {})  # a run may have begun before some of it was recorded
    config = config | {"data": {name: value for name, value in config["data"].items() if name in told}}
    changed = differences(_identity(recorded), _identity(json.loads(json.dumps(config))))
    if changed:
        raise ValueError(
            f"{run_dir} holds a run of another configuration ({'; '.join(changed)}): choose another --out, where "
            f"--start {run_dir} begins with the weights of a finished run, or remove it"
        )


def _identity(config: dict[str, Any]) -> dict[str, Any]:
    """What makes two runs the same: which weights and teachers they had, whatever else is recorded of those."""
    start = {name: config.get("start", {}).get(name) for name in ("sha256", "frozen_blocks", "finetune")}
    return config | {"start": start, "teacher": [one["sha256"] for one in config.get("teacher", ())]}
