"""Models that a student learns from."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from emotion_model.network.classifier import EmotionClassifier
from emotion_model.network.config import short_name
from emotion_model.network.cost import origin
from emotion_model.network.ensemble import EmotionEnsemble
from train.config import Preset
from train.data.fer2013 import FaceDataset
from train.runs import load_model

TEACHER_BATCH = 512  # faces between steps of its progress bar


@dataclass(frozen=True, eq=False)
class Teacher:
    """What a student learns from besides the labels (Hinton et al., 2015): what models say before calibration.

    Whether faces are varied by the processor or on a device, a model teaches the same, exported or not.

    Attributes:
        record: which models they are, for `config.json`.
        probabilities: float32 `(n, classes)`, a row for each training face as it is.
        models: instead of those, models to be asked about each varied face, where `device_augmentation` is on.
        ask: gives the probabilities where they are not there yet.
    """

    record: list[dict[str, Any]]
    probabilities: np.ndarray | None = None
    models: tuple[EmotionClassifier, ...] = ()
    ask: Callable[[], np.ndarray] | None = None

    @classmethod
    def beside(cls, paths: Sequence[str | Path], emotions: Sequence[str]) -> Teacher:
        """Models that look at each varied face together with the student.

        Raises:
            ModelError: a model cannot be loaded.
            ValueError: a model has other classes, or has them in another order.
        """
        models = tuple(load_model(path) for path in paths)
        for model in models:
            if list(model.emotions) != list(emotions):
                raise ValueError(
                    f"{model.source} has the classes {', '.join(model.emotions)}, the data {', '.join(emotions)}: "
                    "with device_augmentation they must be the same, in the same order"
                )
        return cls(_origins(models), models=models)

    @classmethod
    def of_models(cls, paths: Sequence[str | Path], faces: FaceDataset) -> Teacher:
        """The mean of the models' uncalibrated probabilities over the faces and their mirror images, not `asked` yet.

        They are asked as they serve, so that they see dark and flat faces with usual levels, where teachers beside the
        student see each face as the student does.

        Raises:
            ModelError: a model cannot be loaded.
            ValueError: a model has other classes than the faces.
        """
        models = [load_model(path) for path in paths]
        for model in models:
            model.config = replace(model.config, temperature=1.0)
        ensemble = EmotionEnsemble(models)
        if set(ensemble.emotions) != set(faces.emotions):
            raise ValueError(
                f"the teacher has the classes {', '.join(ensemble.emotions)}, the data {', '.join(faces.emotions)}"
            )
        return cls(_origins(models), ask=lambda: _answers(ensemble, faces))

    def asked(self) -> Teacher:
        """The same with its probabilities, which takes minutes where faces are many."""
        return replace(self, probabilities=self.ask(), ask=None) if self.ask else self


def _answers(ensemble: EmotionEnsemble, faces: FaceDataset) -> np.ndarray:
    """Probabilities in the faces' order of the classes, with progress for the terminal."""
    count = len(ensemble.members)
    print(f"asking {count} teacher{'s' * (count > 1)} about {len(faces):,} faces", flush=True)
    progress = keras.utils.Progbar(len(faces), verbose=int(sys.stdout.isatty()), unit_name="face")
    answers = []
    for start in range(0, len(faces), TEACHER_BATCH):
        answers.append(ensemble.predict(faces.images[start : start + TEACHER_BATCH], flip=True))
        progress.add(len(answers[-1]))
    return np.concatenate(answers)[:, [ensemble.emotions.index(emotion) for emotion in faces.emotions]]


def _origins(models: Sequence[EmotionClassifier]) -> list[dict[str, Any]]:
    return [
        {"source": short_name(model.source)} | origin(model.config.weights.get("sha256"), model.config.training)
        for model in models
    ]


def require_teacher(preset: Preset, given: bool) -> None:
    """Refuse a teacher whose probabilities would not be used, and a share for a teacher that is not there.

    Raises:
        ValueError: one of the two is missing.
    """
    share = preset.training.distillation
    if given != bool(share):
        raise ValueError(
            f"distillation={share:g} and {'a' if given else 'no'} teacher: give both, a share above 0 and a teacher, "
            "or neither"
        )
