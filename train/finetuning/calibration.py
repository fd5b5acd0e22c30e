"""How sure a fine-tuned model may be."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import harmonic_mean

import numpy as np

from emotion_model.network.classifier import EmotionClassifier
from emotion_model.network.config import ModelConfig
from train.data.fer2013 import FaceDataset
from train.exporting.calibration import clear_limit, fit_temperature
from train.finetuning.settings import FEWEST_MISTAKES


def fitted_temperature(uncalibrated: EmotionClassifier, measured: Sequence[FaceDataset]) -> tuple[float, ...] | None:
    """Fitted on faces that were not trained on, each set weighing the same; sets with few mistakes are left out.

    None where every set has too few.
    """
    sets = _telling(uncalibrated, measured)
    if not sets:
        return None
    # Together they count for as many faces as tell that much when weighed like this (Kish, 1965): were a small set
    # blown up to the size of a large one, its chances would be taken for knowledge.
    sizes = [len(labels) for labels, _ in sets]
    weights = np.concatenate([np.full(size, harmonic_mean(sizes) / size) for size in sizes])
    labels, probabilities = (np.concatenate(parts) for parts in zip(*sets, strict=True))
    return fit_temperature(labels, probabilities, weights)


def fitted_limit(calibrated: EmotionClassifier, measured: Sequence[FaceDataset]) -> float:
    """The confidence from which on the emotion is clear on each of the sets that its temperature was fitted on.

    Together the largest set alone would decide. A set whose emotions are always clear, or which has too few faces to
    tell, has a limit of 0.
    """
    return max(clear_limit(labels, probabilities) for labels, probabilities in _telling(calibrated, measured))


def _telling(model: EmotionClassifier, measured: Sequence[FaceDataset]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Labels and a model's answers of each set with enough mistakes; calibrated or not, those are the same ones."""
    sets = [(faces.labels, model.predict(faces.images)) for faces in measured]
    return [(labels, p) for labels, p in sets if (p.argmax(axis=1) != labels).sum() >= FEWEST_MISTAKES]


def kept_temperature(base: ModelConfig, emotions: Sequence[str]) -> float | tuple[float, ...]:
    """The base model's temperature for other classes: a new one gets the geometric mean of those that were there."""
    if not isinstance(base.temperature, tuple):
        return base.temperature
    known = dict(zip(base.emotions, base.temperature, strict=True))
    usual = round(float(np.exp(np.log(base.temperature).mean())), 4)
    return tuple(known.get(emotion, usual) for emotion in emotions)
