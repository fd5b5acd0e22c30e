"""Measure a model on one split of FER2013.

    python -m train.evaluate --model bundled --data DIR --split test --json
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def classification_metrics(labels: np.ndarray, probabilities: np.ndarray, emotions: Sequence[str]) -> dict[str, Any]:
    """Accuracy, macro-F1, per-class precision / recall / F1, confusion matrix and calibration error.

    Args:
        labels: int `(n,)`, true class indices.
        probabilities: float32 `(n, classes)`, rows summing to 1.
        emotions: class names in label order.

    Returns:
        JSON-ready values; rows of `confusion` are true classes, columns predicted ones. `macro_f1` is the unweighted
        mean of the classes' F1; a class never predicted has precision 0.
    """
    classes = len(emotions)
    predicted = probabilities.argmax(axis=1)
    confusion = np.zeros((classes, classes), dtype=int)
    np.add.at(confusion, (labels, predicted), 1)
    hits, true, claimed = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    precision = hits / np.maximum(claimed, 1)
    recall = hits / np.maximum(true, 1)
    f1 = 2 * hits / np.maximum(true + claimed, 1)
    return {
        "images": len(labels),
        "accuracy": round(float((predicted == labels).mean()), 4),
        "macro_f1": round(float(f1.mean()), 4),
        "ece": round(expected_calibration_error(labels, probabilities), 4),
        "per_class": {
            emotion: {
                "precision": round(float(precision[i]), 4),
                "recall": round(float(recall[i]), 4),
                "f1": round(float(f1[i]), 4),
                "images": int(true[i]),
            }
            for i, emotion in enumerate(emotions)
        },
        "confusion": confusion.tolist(),
    }


def expected_calibration_error(labels: np.ndarray, probabilities: np.ndarray, bins: int = 15) -> float:
    """Mean gap between confidence and accuracy over equal-width confidence bins (Guo et al., 2017); 0 is best."""
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [
        abs(correct[bin_of == b].mean() - confidence[bin_of == b].mean()) * (bin_of == b).mean()
        for b in range(bins)
        if (bin_of == b).any()
    ]
    return float(sum(gaps))
