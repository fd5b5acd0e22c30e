"""Fit a network: the loop, its checkpoints and the files a run leaves behind.

A run directory holds `config.json`, `environment.json`, `history.json` (one entry per epoch), `curves.png`,
`model.keras` (the best epoch on validation, without optimizer state), `metrics.json` and, until the run is complete,
`checkpoint/`.
The loop drives `train_on_batch` itself, so that a run can stop after any batch and go on from there.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from train.config import Preset, differences, write_json
from train.data.fer2013 import FaceDataset
from train.fitting.environment import record_environment
from train.fitting.run import Run
from train.fitting.signals import stop_on_signal
from train.fitting.starts import Start
from train.fitting.teachers import Teacher, require_teacher
from train.fitting.tracker import tracker
from train.runs import recorded_config


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
        StoppedError: on SIGINT or SIGTERM, after the checkpoint is written; with `device_augmentation` at once.
        ValueError: `run_dir` holds a run of another configuration, a teacher is missing or not asked for, or `start`
            has other classes than the faces.
    """
    require_teacher(preset, teacher is not None)
    if start and start.emotions not in (None, train.emotions):
        raise ValueError(
            f"{start.record.get('run')} has the classes {', '.join(start.emotions)}, the data "
            f"{', '.join(train.emotions)}: a start needs the same, in the same order"
        )
    config = _record(preset, train, validation, dropped_duplicates, start, teacher)
    config_path = run_dir / "config.json"
    if config_path.exists():
        _require_same(run_dir, config)
    run_dir.mkdir(parents=True, exist_ok=True)
    run = Run(preset, train, validation, run_dir, start, draw, teacher)
    if run.complete:
        print(f"{run_dir}: already complete")
    else:
        write_json(config_path, config)
        record_environment(run_dir / "environment.json", run.networks.precision)
        with stop_on_signal() as stop:  # from here on a signal is remembered, even while a checkpoint is read
            run.resume()
            with tracker(run_dir, config) if track else nullcontext() as run.track:
                run.train(stop)
        run.finish()
    return json.loads((run_dir / "metrics.json").read_text())


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
        "data": {"train": len(train), "validation": len(validation), "train_duplicates_dropped": dropped_duplicates},
        **({"start": start.record} if start else {}),
        **({"teacher": teacher.record} if teacher else {}),
    }


def _require_same(run_dir: Path, config: dict[str, Any]) -> None:
    """Refuse to go on with a run that had another configuration."""
    changed = differences(_identity(recorded_config(run_dir)), _identity(json.loads(json.dumps(config))))
    if changed:
        raise ValueError(
            f"{run_dir} holds a run of another configuration ({'; '.join(changed)}): choose another --out, where "
            f"--start {run_dir} begins with the weights of a finished run, or remove it"
        )


def _identity(config: dict[str, Any]) -> dict[str, Any]:
    """What makes two runs the same: which weights and teachers they had, whatever else is recorded of those."""
    start = {name: config.get("start", {}).get(name) for name in ("sha256", "frozen_blocks", "finetune")}
    return config | {"start": start, "teacher": [one["sha256"] for one in config.get("teacher", ())]}
