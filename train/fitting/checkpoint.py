"""What a stopped run needs to go on as if it never had stopped."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import keras
import numpy as np

from emotion_model.files import read_json, to_disk, write_json
from train.fitting.networks import Networks

CHECKPOINT = "checkpoint"  # the folder; beside it stands, for moments, a new or an old one

# What Keras' callbacks keep between epochs and forget at a restart.
_CALLBACK_STATE = ("best", "wait", "cooldown_counter")


@dataclass
class Position:
    """Where a run stands."""

    epoch: int = 0  # epochs that are done
    batch: int = 0  # batches of the epoch in work that are done
    seconds: float = 0.0  # that the epoch in work has taken before the last checkpoint
    sums: dict[str, float] = field(default_factory=dict)  # loss and metrics of its faces so far, added up
    history: list[dict[str, float]] = field(default_factory=list)  # an entry per epoch


def save(folder: Path, networks: Networks, position: Position, callbacks: Sequence[keras.callbacks.Callback]) -> None:
    """Write everything a resume needs into a new folder, then swap it in: a crash leaves the old or the new one."""
    new, current, old = (folder / f"{CHECKPOINT}{ending}" for ending in (".new", "", ".old"))
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    # Values alone: the network and its optimizer are built anew from the config.
    np.savez(new / "model.npz", *networks.model.get_weights())
    np.savez(new / "optimizer.npz", *(_numpy(variable) for variable in networks.learner.optimizer.variables))
    if networks.averaged is not None:
        np.savez(new / "averaged.npz", *networks.averaged.get_weights())
    state = vars(position) | {
        "averaged_at": networks.averaged_at,
        "stop_training": bool(networks.learner.stop_training),
        # Keras does not save where the dropout layers stand in their random sequences.
        "dropout": {layer.name: _numpy(layer.seed_generator.state).tolist() for layer in networks.random_layers},
        "callbacks": [
            {name: _plain(getattr(callback, name)) for name in _CALLBACK_STATE if hasattr(callback, name)}
            for callback in callbacks
        ],
    }
    write_json(new / "state.json", state)
    for file in new.iterdir():
        to_disk(file)
    if current.exists():  # else the older one is all that there is
        shutil.rmtree(old, ignore_errors=True)
        current.rename(old)
    new.rename(current)
    shutil.rmtree(old, ignore_errors=True)


def resume(folder: Path, networks: Networks, callbacks: Sequence[keras.callbacks.Callback]) -> Position | None:
    """Take up the checkpoint of a run; None if there is none.

    Raises:
        ValueError: it is damaged.
    """
    current = next((one for ending in ("", ".old") if (one := folder / f"{CHECKPOINT}{ending}").exists()), None)
    if current is None:
        return None
    try:
        return _taken_up(current, networks, callbacks)
    except (BadZipFile, EOFError, FileNotFoundError, KeyError, ValueError) as error:
        raise ValueError(
            f"{current} is damaged ({error or type(error).__name__}): remove it and run again, which begins anew"
        ) from error


def _taken_up(current: Path, networks: Networks, callbacks: Sequence[keras.callbacks.Callback]) -> Position:
    state = read_json(current / "state.json")
    networks.model.set_weights(_arrays(current / "model.npz"))
    optimizer = networks.learner.optimizer
    optimizer.build(networks.learner.trainable_variables)
    for variable, value in zip(optimizer.variables, _arrays(current / "optimizer.npz"), strict=True):
        variable.assign(value)
    if networks.averaged is not None:
        networks.averaged.set_weights(_arrays(current / "averaged.npz"))
    for layer in networks.random_layers:
        layer.seed_generator.state.assign(state["dropout"][layer.name])
    for callback, values in zip(callbacks, state["callbacks"], strict=False):
        for name, value in values.items():
            setattr(callback, name, value)
    networks.averaged_at = state["averaged_at"]
    networks.learner.stop_training = state["stop_training"]
    return Position(state["epoch"], state["batch"], state["seconds"], state["sums"], state["history"])


def remove(folder: Path) -> None:
    """Take away the checkpoint of a run that is complete."""
    shutil.rmtree(folder / CHECKPOINT, ignore_errors=True)


def _arrays(path: Path) -> list[np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return [file[name] for name in file.files]


def _numpy(value: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(value)


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value
