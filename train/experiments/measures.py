"""What is measured of a run besides its own scores: once, and kept in its folder, which may lose its weights then."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import softmax

from emotion_model.files import read_json, write_json
from train.data.fer2013 import FaceDataset
from train.evaluation.metrics import classification_metrics
from train.evaluation.robustness import robustness_curves
from train.evaluation.scores import class_order, label_shares
from train.exporting.correction import choose_correction
from train.runs import load_model

FOLDS = 5  # of the faces; each is corrected by what was chosen on the others


def damaged_accuracy(folder: Path, faces: FaceDataset) -> float:
    """Mean accuracy of a run under every damage, mild and severe; kept in its `robustness.json`."""
    kept = folder / "robustness.json"
    if kept.exists():
        found = read_json(kept)
    else:
        classifier = load_model(folder)
        labels = class_order(faces, classifier.emotions)[faces.labels]
        found = {"faces": len(faces), "curves": robustness_curves(classifier, faces.images, labels)}
        write_json(kept, found)
    points = [point["accuracy"] for curve in found["curves"].values() for point in curve["points"][1:]]
    return statistics.mean(points)


def corrected_scores(folder: Path, faces: FaceDataset, train: FaceDataset) -> dict[str, Any]:
    """Scores of a run after the correction that an export would make; kept in its `corrected.json`.

    Args:
        folder: of the run.
        faces: of validation. A fifth of them at a time is corrected by what was chosen on the others.
        train: what the run learned from.
    """
    kept = folder / "corrected.json"
    if kept.exists():
        return read_json(kept)
    classifier = load_model(folder)
    shares = label_shares(train, classifier.emotions)
    labels, probabilities = class_order(faces, classifier.emotions)[faces.labels], classifier.predict(faces.images)
    logits = np.log(np.maximum(probabilities, 1e-9))
    fold = np.random.default_rng(0).permutation(len(labels)) % FOLDS
    for one in range(FOLDS):
        here = fold == one
        logits[here] += choose_correction(labels[~here], probabilities[~here], shares).shift
    found = classification_metrics(labels, softmax(logits, axis=1), classifier.emotions)
    write_json(kept, found)
    return found
