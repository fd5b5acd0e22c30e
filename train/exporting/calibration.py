"""Temperatures, fitted on validation."""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import minimize

from emotion_model.network.calibration import scale_confidence

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
    found = minimize(loss, np.zeros(classes), method="Powell", bounds=[(-math.log(4), math.log(4))] * classes)
    return tuple(round(math.exp(log), 4) for log in found.x)
