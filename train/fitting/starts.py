"""Weights that a run begins with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from emotion_model.files import read_json
from emotion_model.network.classifier import EmotionClassifier
from emotion_model.network.config import short_name
from emotion_model.network.cost import origin
from train.config import Preset, same_network
from train.runs import is_run, load_model


@dataclass(frozen=True)
class Start:
    """Weights that a run begins with.

    Attributes:
        weights: as `keras.Model.get_weights` gives them, for the same architecture.
        record: where they come from, for `config.json`.
        emotions: names of the classes, in the order of the outputs; None: those of the training faces.
        trainable: which layers learn; the others keep their weights and statistics. None: all.
    """

    weights: list[np.ndarray]
    record: dict[str, Any]
    emotions: tuple[str, ...] | None = None
    trainable: Callable[[keras.layers.Layer], bool] | None = None

    @classmethod
    def of(cls, name: str | Path, preset: Preset) -> Start:
        """The weights of `bundled`, of an exported model or of a finished run, of the same network.

        Raises:
            ModelError: there is no such model, or it cannot be loaded.
            ValueError: the run is not finished, or the model is of another network.
        """
        model = load_model(name)
        if not same_network(model.config.architecture, preset.architecture):
            raise ValueError(f"{model.source} is another network: start from a model of the same architecture")
        measured = read_json(Path(name) / "metrics.json") if is_run(name) else model.config.metrics
        accuracy = measured.get("validation", {}).get("accuracy")
        return cls(model.model.get_weights(), _origin(model, accuracy), tuple(model.emotions))


def _origin(model: EmotionClassifier, validation_accuracy: float | None) -> dict[str, Any]:
    """Where weights come from, and what they took with all runs before them, for the record of a run that goes on."""
    training = model.config.training
    before = training.get("start") or {}
    teachers = {one["sha256"]: one for one in (*before.get("teacher", ()), *training.get("teacher", ()))}
    record = {
        "run": short_name(model.source),
        "epochs": training.get("epochs", 0) + before.get("epochs", 0),
        "validation_accuracy": validation_accuracy,
    } | origin(model.config.weights.get("sha256"), training)
    if "runs" in before or not before:  # older records do not count them
        record["runs"] = 1 + before.get("runs", 0)
    if teachers:
        shares = training.get("config", {}).get("distillation", 0), before.get("distillation", 0)
        record |= {"teacher": list(teachers.values()), "distillation": max(shares)}
    return record
