"""Everything that a model is measured by on a split."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emotion_model.network.protocol import Classifier
from train.data.fer2013 import SPLITS, DataError, FaceDataset, load_split, without_images_of
from train.evaluation.metrics import classification_metrics, clear_scores
from train.evaluation.robustness import robustness_curves

TEN_CROP_SIDE = 44 / 48  # of the picture's side: four corners and the centre, each also mirrored


def evaluate(
    classifier: Classifier,
    data_dir: str | Path,
    split: str,
    ten_crop: bool = False,
    robustness: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Scores of a model on one split, JSON-ready.

    Single-view scores stand at the top level; `flip` has those with flip averaging, `deduplicated` those without the
    images that also stand in another split, where any are left, `unclear` what it brings to say so of faces below the
    model's `clear_from`, `ferplus_majority_accuracy` the agreement with the FER+ taggers' majority where they have a
    clear one, and `ferplus_majority_label_agreement` that of FER2013's labels themselves: what a model would have that
    makes no mistake by those labels.

    Args:
        classifier: one model or an ensemble.
        data_dir: folder with FER2013.
        split: `validation` or `test`.
        ten_crop: also average over ten crops (ten times the work).
        robustness: also measure damaged pictures (44 times the work).
        progress: is told what is measured next.

    Raises:
        DataError: the data cannot be used (all three splits are needed to find the duplicates), or has other classes
            than the model.
    """
    dataset = load_split(data_dir, split)
    labels = class_order(dataset, classifier.emotions)[dataset.labels]
    keep = _only_here(dataset, data_dir, split)
    progress("single views")
    single = classifier.predict(dataset.images)
    progress("mirrored views")
    flipped = classifier.predict(dataset.images, flip=True)
    result = {"split": split, **single_view_scores(dataset, single, classifier.emotions)}
    if classifier.config.clear_from:
        result["unclear"] = clear_scores(labels, single, classifier.config.clear_from)
    result["flip"] = _brief(labels, flipped, classifier.emotions)
    if ten_crop:
        progress("ten crops")
        result["ten_crop"] = _brief(labels, _ten_crop(classifier, dataset.images), classifier.emotions)
    if len(keep):
        flip_accuracy = _brief(labels[keep], flipped[keep], classifier.emotions)["accuracy"]
        alone = _brief(labels[keep], single[keep], classifier.emotions)
        result["deduplicated"] = alone | {"flip_accuracy": flip_accuracy}
    if robustness:
        result["robustness"] = robustness_curves(classifier, dataset.images, labels, progress=progress)
    return result


def class_order(dataset: FaceDataset, emotions: Sequence[str]) -> np.ndarray:
    """Index of each of the data's classes among a model's, whose order may differ, int `(classes of the data,)`.

    Raises:
        DataError: the model lacks a class of the data.
    """
    if not set(dataset.emotions) <= set(emotions):
        raise DataError(f"the data has the classes {dataset.emotions}, the model {emotions}")
    return np.array([emotions.index(emotion) for emotion in dataset.emotions])


def label_shares(dataset: FaceDataset, emotions: Sequence[str]) -> np.ndarray:
    """How often each of a model's classes is the label of a face, as a share of them all, float `(classes,)`.

    Raises:
        DataError: the model lacks a class of the data.
    """
    labels = class_order(dataset, emotions)[dataset.labels]
    return np.bincount(labels, minlength=len(emotions)) / len(labels)


def single_view_scores(dataset: FaceDataset, probabilities: np.ndarray, emotions: Sequence[str]) -> dict[str, Any]:
    """`classification_metrics` and what `evaluate` says of FER+, for one answer to each face.

    Args:
        dataset: the faces.
        probabilities: float32 `(n, classes)`, in the order of `emotions`.
        emotions: names of the model's classes.

    Raises:
        DataError: the model lacks a class of the data.
    """
    order = class_order(dataset, emotions)
    labels, majority = order[dataset.labels], ferplus_majority(dataset)
    clear = majority >= 0
    result = classification_metrics(labels, probabilities, emotions)
    result["ferplus_majority_images"] = int(clear.sum())
    for name, answers in (("accuracy", probabilities.argmax(axis=1)), ("label_agreement", labels)):
        agreeing = answers[clear] == order[majority[clear]]
        result[f"ferplus_majority_{name}"] = round(float(agreeing.mean()), 4) if clear.any() else None
    return result


def _ten_crop(classifier: Classifier, images: np.ndarray) -> np.ndarray:
    """Mean probabilities over four corners and the centre, each also mirrored (Krizhevsky et al., 2012)."""
    size = images.shape[1]
    side = round(size * TEN_CROP_SIDE)
    far = size - side
    corners = ((0, 0), (0, far), (far, 0), (far, far), (far // 2, far // 2))
    return np.mean([classifier.predict(images[:, y : y + side, x : x + side], flip=True) for y, x in corners], axis=0)


def ferplus_majority(dataset: FaceDataset) -> np.ndarray:
    """The emotion that over half of the FER+ taggers chose, int `(n,)`; -1 where there is none among the classes."""
    if dataset.votes is None:
        return np.full(len(dataset), -1)
    everybody = dataset.votes.sum(axis=1)
    if dataset.other_votes is not None:
        everybody = everybody + dataset.other_votes.sum(axis=1)
    return np.where(dataset.votes.max(axis=1) > everybody / 2, dataset.votes.argmax(axis=1), -1)


def _only_here(dataset: FaceDataset, data_dir: str | Path, split: str) -> np.ndarray:
    others = [load_split(data_dir, other) for other in SPLITS if other != split]
    indexed = FaceDataset(dataset.images, np.arange(len(dataset)))
    return without_images_of(indexed, others)[0].labels


def _brief(labels: np.ndarray, probabilities: np.ndarray, emotions: Sequence[str]) -> dict[str, Any]:
    scores = classification_metrics(labels, probabilities, emotions)
    return {name: scores[name] for name in ("images", "accuracy", "macro_f1", "ece")}


def print_progress(split: str) -> Callable[[str], None]:
    """A `progress` for `evaluate` that prints to stderr, so that stdout stays what was asked for."""
    return lambda what: print(f"{split}: {what}", file=sys.stderr, flush=True)
