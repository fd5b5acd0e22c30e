"""Scores of probabilities against labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
        mean of the F1 of the classes that have faces; a class never predicted has precision 0.

    Raises:
        ValueError: no faces.
    """
    if not len(labels):
        raise ValueError("no faces: there is nothing to measure")
    classes = len(emotions)
    predicted = probabilities.argmax(axis=1)
    bins = reliability(labels, probabilities)
    confusion = np.zeros((classes, classes), dtype=int)
    np.add.at(confusion, (labels, predicted), 1)
    hits, true, claimed = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    precision = hits / np.maximum(claimed, 1)
    recall = hits / np.maximum(true, 1)
    f1 = 2 * hits / np.maximum(true + claimed, 1)
    return {
        "images": len(labels),
        "accuracy": round(float((predicted == labels).mean()), 4),
        "macro_f1": round(float(f1[true > 0].mean()), 4),
        "ece": round(expected_calibration_error(bins), 4),
        "reliability": bins,
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


def reliability(labels: np.ndarray, probabilities: np.ndarray, bins: int = 15) -> list[dict[str, Any]]:
    """How often the model is right when it is so sure: equal-width bins of confidence (Guo et al., 2017), JSON-ready.

    Returns:
        One entry per bin: its edges `low` and `high`, how many `images` fell in it, their mean `confidence` and their
        `accuracy`; both are None for an empty bin.
    """
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    entries = []
    for number in range(bins):
        inside = bin_of == number
        entry: dict[str, Any] = {"low": round(number / bins, 4), "high": round((number + 1) / bins, 4)}
        entry |= {"images": int(inside.sum()), "confidence": None, "accuracy": None}
        if inside.any():
            entry["confidence"] = round(float(confidence[inside].mean()), 6)
            entry["accuracy"] = round(float(correct[inside].mean()), 6)
        entries.append(entry)
    return entries


def expected_calibration_error(bins: Sequence[Mapping[str, Any]]) -> float:
    """Mean gap between confidence and accuracy over the bins of `reliability`, by their images; 0 is best."""
    filled = [entry for entry in bins if entry["images"]]
    gaps = sum(abs(entry["accuracy"] - entry["confidence"]) * entry["images"] for entry in filled)
    return gaps / max(1, sum(entry["images"] for entry in filled))


def clear_scores(labels: np.ndarray, probabilities: np.ndarray, limit: float) -> dict[str, float]:
    """What is gained by calling faces below the limit unclear.

    Args:
        labels: int `(n,)`.
        probabilities: float32 `(n, classes)`, calibrated.
        limit: the model's `clear_from`.

    Returns:
        `share` of the faces that are unclear, `accuracy` of the others, and `accuracy_of_unclear`, had it been said.
    """
    clear, right = probabilities.max(axis=1) >= limit, probabilities.argmax(axis=1) == labels
    return {
        "share": round(float(1 - clear.mean()), 4),
        "accuracy": round(float(right[clear].mean()), 4) if clear.any() else 0.0,
        "accuracy_of_unclear": round(float(right[~clear].mean()), 4) if not clear.all() else 0.0,
    }
