"""Measure a model on one split of FER2013.

python -m train.evaluate --model bundled --data DIR --split test --json
python -m train.evaluate --model runs/a runs/b --data DIR            the mean of several models
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emotion_model.network.config import ModelError
from emotion_model.network.ensemble import EmotionEnsemble
from emotion_model.network.protocol import Classifier
from train.data.fer2013 import SPLITS, DataError, FaceDataset, load_split, without_images_of
from train.evaluation.robustness import robustness_curves
from train.runs import load_model

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
    images that also stand in another split, `ferplus_majority_accuracy` the agreement with the FER+ taggers' majority
    where they have a clear one, and `ferplus_majority_label_agreement` that of FER2013's labels themselves: what a
    model would have that makes no mistake by those labels.

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
    progress("single views")
    single = classifier.predict(dataset.images)
    progress("mirrored views")
    flipped = classifier.predict(dataset.images, flip=True)
    result = {"split": split, **single_view_scores(dataset, single, classifier.emotions)}
    result["flip"] = _brief(labels, flipped, classifier.emotions)
    if ten_crop:
        progress("ten crops")
        result["ten_crop"] = _brief(labels, _ten_crop(classifier, dataset.images), classifier.emotions)
    keep = _only_here(dataset, data_dir, split)
    result["deduplicated"] = _brief(labels[keep], single[keep], classifier.emotions)
    result["deduplicated"]["flip_accuracy"] = _brief(labels[keep], flipped[keep], classifier.emotions)["accuracy"]
    if robustness:
        result["robustness"] = robustness_curves(classifier, dataset.images, labels, progress=progress)
    return result


def print_progress(split: str) -> Callable[[str], None]:
    """A `progress` for `evaluate` that prints to stderr, so that stdout stays what was asked for."""
    return lambda what: print(f"{split}: {what}", file=sys.stderr, flush=True)


def class_order(dataset: FaceDataset, emotions: Sequence[str]) -> np.ndarray:
    """Index of each of the data's classes among a model's, whose order may differ, int `(classes of the data,)`.

    Raises:
        DataError: the model lacks a class of the data.
    """
    if not set(dataset.emotions) <= set(emotions):
        raise DataError(f"the data has the classes {dataset.emotions}, the model {emotions}")
    return np.array([emotions.index(emotion) for emotion in dataset.emotions])


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


def classification_metrics(labels: np.ndarray, probabilities: np.ndarray, emotions: Sequence[str]) -> dict[str, Any]:
    """Accuracy, macro-F1, per-class precision / recall / F1, confusion matrix and calibration error.

    Args:
        labels: int `(n,)`, true class indices.
        probabilities: float32 `(n, classes)`, rows summing to 1.
        emotions: class names in label order.

    Returns:
        JSON-ready values; rows of `confusion` are true classes, columns predicted ones. `macro_f1` is the unweighted
        mean of the F1 of the classes that have faces; a class never predicted has precision 0.
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
        "macro_f1": round(float(f1[true > 0].mean()), 4),
        "ece": round(expected_calibration_error(labels, probabilities), 4),
        "reliability": reliability(labels, probabilities),
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


def expected_calibration_error(labels: np.ndarray, probabilities: np.ndarray, bins: int = 15) -> float:
    """Mean gap between confidence and accuracy over the bins of `reliability`, by their images; 0 is best."""
    filled = [entry for entry in reliability(labels, probabilities, bins) if entry["images"]]
    return sum(abs(e["accuracy"] - e["confidence"]) * e["images"] for e in filled) / max(1, len(labels))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m train.evaluate", description="Measure a model on FER2013.")
    parser.add_argument(
        "--model",
        nargs="+",
        default=["bundled"],
        help="`bundled`, a .keras file or its folder, or a run, whose confidence is not calibrated; several are "
        "averaged (default: bundled)",
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with FER2013")
    parser.add_argument("--split", choices=("validation", "test"), default="validation")
    parser.add_argument("--ten-crop", action="store_true", help="also average over ten crops")
    parser.add_argument("--robustness", action="store_true", help="also measure damaged pictures (takes minutes)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args(arguments)
    try:
        members = [load_model(model) for model in options.model]
        classifier = members[0] if len(members) == 1 else EmotionEnsemble(members)
        result = evaluate(
            classifier,
            options.data,
            options.split,
            options.ten_crop,
            options.robustness,
            print_progress(options.split),
        )
    except (DataError, ModelError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(json.dumps(result) if options.json else _table(result, classifier.emotions))
    return 0


def _table(result: dict[str, Any], emotions: Sequence[str]) -> str:
    width = max(map(len, emotions))
    lines = [
        f"{result['split']}, {result['images']:,} images: accuracy {result['accuracy']:.4f}, "
        f"macro-F1 {result['macro_f1']:.4f}, calibration error {result['ece']:.4f}",
        f"with flip averaging: accuracy {result['flip']['accuracy']:.4f}, macro-F1 {result['flip']['macro_f1']:.4f}",
        *(
            [
                f"with ten crops: accuracy {result['ten_crop']['accuracy']:.4f}, "
                f"macro-F1 {result['ten_crop']['macro_f1']:.4f}"
            ]
            if "ten_crop" in result
            else []
        ),
        f"without the images of other splits ({result['deduplicated']['images']:,}): "
        f"accuracy {result['deduplicated']['accuracy']:.4f}",
    ]
    if result["ferplus_majority_accuracy"] is not None:
        lines.append(
            f"agreement with the FER+ majority ({result['ferplus_majority_images']:,} images): "
            f"{result['ferplus_majority_accuracy']:.4f} (FER2013's labels themselves: "
            f"{result['ferplus_majority_label_agreement']:.4f})"
        )
    lines += ["", f"{'':{width}}  precision  recall      f1  images"]
    for name, scores in result["per_class"].items():
        numbers = f"{scores['precision']:9.4f}  {scores['recall']:6.4f}  {scores['f1']:6.4f}  {scores['images']:6}"
        lines.append(f"{name:{width}}  {numbers}")
    for name, curve in result.get("robustness", {}).items():
        points = ", ".join(f"{point['value']:g}: {point['accuracy']:.3f}" for point in curve["points"])
        lines.append(f"{name} ({curve['unit']}): {points}")
    lines += ["", "confusion matrix, rows true, columns predicted:"]
    lines.append(" " * width + "".join(f"{name[:8]:>9}" for name in emotions))
    lines += [
        f"{name:{width}}" + "".join(f"{n:9}" for n in row)
        for name, row in zip(emotions, result["confusion"], strict=True)
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
