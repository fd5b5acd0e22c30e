"""Temperatures, fitted on validation."""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import minimize

from emotion_model.network.calibration import scale_confidence

CLEAR = 0.4  # a word is said where it is right at least so often at its own confidence
FEWEST = 50  # faces that say how often it is right
NEIGHBOURS = 0.04  # of the confidence; faces within it have the same, when that is counted
LARGEST_TEMPERATURE = 4.0  # one over it is the smallest
TEMPERATURE_SPREAD = 0.2  # standard deviation of the classes' log temperatures that is expected beforehand


def fit_temperature(
    labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray | float = 1.0
) -> tuple[float, ...]:
    """A temperature per class for `scale_confidence`, each in 0.25..4: the most likely ones.

    How far a class may differ from the others has a prior, so that one with few faces stays near them.

    Args:
        labels: int `(n,)`.
        probabilities: float32 `(n, classes)`, not calibrated.
        weights: `(n,)`, how many faces each counts for.
    """
    rows = np.arange(len(labels))

    def loss(logs: np.ndarray) -> float:
        true = scale_confidence(probabilities, np.exp(logs))[rows, labels]
        surprise = -(weights * np.log(np.maximum(true, 1e-12), dtype=np.float64)).sum()
        return float(surprise + ((logs - logs.mean()) ** 2).sum() / (2 * TEMPERATURE_SPREAD**2))

    classes = probabilities.shape[1]
    furthest = math.log(LARGEST_TEMPERATURE)
    found = minimize(loss, np.zeros(classes), method="Powell", bounds=[(-furthest, furthest)] * classes)
    return tuple(round(math.exp(log), 4) for log in found.x)


def clear_limit(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The confidence from which on the named emotion is right at least `CLEAR` of the times, in steps of 0.01.

    Args:
        labels: int `(n,)`.
        probabilities: float32 `(n, classes)`, calibrated.

    Returns:
        The first confidence above all those at which it is right less often; 0 where it is always right often enough.
    """
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    limit = 0.0
    for step in np.arange(0.1, 0.9, 0.01):
        near = np.abs(confidence - step) < NEIGHBOURS
        if near.sum() >= FEWEST and right[near].mean() < CLEAR:
            limit = float(step) + 0.01
    return round(limit, 2)
