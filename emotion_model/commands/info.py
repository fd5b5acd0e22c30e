"""`info`: the model and the face detector in use."""

from __future__ import annotations

import argparse
import json
import textwrap
from collections.abc import Iterator
from typing import Any

from emotion_model import EmotionDetector, ModelConfig
from emotion_model.commands.results import EXIT_OK
from emotion_model.network.cost import spent

HELP = "describe model and face detector"

# A split's scores as people read them: their name in the record, what it is, how it is written.
MEASURES = (
    ("images", "faces", "{:,}"),
    ("accuracy", "accuracy", "{:.1%}"),
    ("macro_f1", "macro-F1", "{:.3f}"),
    ("ferplus_majority_accuracy", "accuracy by the FER+ majority", "{:.1%}"),
    ("ece", "calibration error", "{:.3f}"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument("--json", action="store_true", help="print everything that is on record, as JSON")


def run(detector: EmotionDetector, options: argparse.Namespace) -> int:
    """Print a screen about model and detector, or all that is on record; returns the exit status."""
    classifier = detector.classifier
    notice = " ".join(part.notice for part in (classifier, detector.faces) if part.notice)
    values = {"source": classifier.source, "detector": detector.faces.name, "notice": notice}
    if options.json:
        # ASCII, whatever can be printed here
        print(json.dumps(values | json.loads(classifier.config.to_json()), indent=1))
    else:
        print("\n".join(_lines(values, classifier.config)))
    return EXIT_OK


def _lines(values: dict[str, str], config: ModelConfig) -> Iterator[str]:
    yield f"Model      {values['source']}"
    yield f"Detector   {values['detector']}"
    if values["notice"]:
        yield textwrap.fill(f"Note       {values['notice']}", 100, subsequent_indent=" " * 11)
    yield f"Emotions   {', '.join(config.emotions)}"
    yield f"Input      grey, {config.image_size} x {config.image_size} pixels"
    if config.weights.get("parameters"):
        yield (
            f"Size       {config.weights['parameters']:,} parameters, "
            f"{config.weights['multiply_adds'] / 1e6:,.0f} million multiply-adds a face, "
            f"{config.weights['bytes'] / 1e6:.1f} MB"
        )
    if config.training.get("config"):
        yield f"Training   {_training(config.training)}"
    yield from _table(config.scores)
    yield ""
    yield "info --json prints everything that is on record."


def _training(record: dict[str, Any]) -> str:
    start, took = record.get("start") or {}, spent(record)
    on_gpu = f" ({took['gpu_minutes']:,.0f} on a GPU)" if took.get("gpu_minutes") else ""
    parts = [
        f"{record['epochs']} epochs" + (f" after {start['epochs']}" if start.get("epochs") else ""),
        f"{took['minutes']:,.0f} minutes in all{on_gpu}",
    ]
    environment = record.get("environment", {})
    if environment.get("backend"):
        parts.append(f"Keras {environment.get('keras', '')} on {environment['backend']}")
    if faces := record.get("data", {}).get("train"):
        parts.append(f"{faces:,} faces")
    return ", ".join(parts)


def _table(scores: dict[str, dict[str, Any]]) -> Iterator[str]:
    """A column for each split: what all its faces together come to, and the F1 of each emotion."""
    if not scores:
        return
    yield ""
    yield f"{'Scores':<32}" + "".join(f"{split:>12}" for split in scores)
    for name, what, form in MEASURES:
        if any(one.get(name) is not None for one in scores.values()):
            cells = ("" if one.get(name) is None else form.format(one[name]) for one in scores.values())
            yield f"  {what:<30}" + "".join(f"{cell:>12}" for cell in cells)
    for emotion in next(iter(scores.values())).get("per_class", {}):
        cells = (f"{one['per_class'][emotion]['f1']:.2f}" for one in scores.values())
        yield f"  {f'F1 of {emotion}':<30}" + "".join(f"{cell:>12}" for cell in cells)
