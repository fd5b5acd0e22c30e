"""`info`: the model and the face detector in use."""

from __future__ import annotations

import argparse
import json
import textwrap
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from emotion_model import EmotionDetector, ModelConfig
from emotion_model.commands.results import EXIT_OK
from emotion_model.network.cost import spent

HELP = "describe model and face detector"

# A model's size as people read it: its name in the record, how it is written, in which unit.
SIZES = (
    ("parameters", "{:,.0f} parameters", 1),
    ("multiply_adds", "{:,.0f} million multiply-adds a face", 1e6),
    ("bytes", "{:.1f} MB", 1e6),
)

# A split's scores as people read them: their name in the record, what it is, how it is written.
MEASURES = (
    ("images", "faces", "{:,}"),
    ("accuracy", "accuracy", "{:.2%}"),
    ("macro_f1", "macro-F1", "{:.3f}"),
    ("ferplus_majority_accuracy", "accuracy by the FER+ majority", "{:.2%}"),
    ("ece", "calibration error", "{:.3f}"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument("--json", action="store_true", help="print everything that is on record, as JSON")


def run(detector: EmotionDetector, options: argparse.Namespace) -> int:
    """Print a screen about model and detector, or all that is on record; returns the exit status."""
    classifier = detector.classifier
    values = {"source": classifier.source, "detector": detector.faces.name, "notice": detector.notice}
    if options.json:
        # ASCII, whatever can be printed here
        print(json.dumps(values | classifier.config.to_dict(), indent=1))
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
    sizes = [form.format(config.weights[name] / unit) for name, form, unit in SIZES if config.weights.get(name)]
    for head, parts in (("Size", sizes), ("Training", _training(config.training))):
        if parts:
            yield f"{head:<11}{', '.join(parts)}"
    yield from _table(config.scores)
    yield ""
    yield "info --json prints everything that is on record."


def _training(record: dict[str, Any]) -> list[str]:
    """What is told of a training, as far as it is on record."""
    try:
        took = spent(record)
    except (AttributeError, LookupError, TypeError):  # parts of it are of another kind, or null: told without minutes
        took = {}
    start = record.get("start") or {}
    environment, data = record.get("environment") or {}, record.get("data") or {}
    parts = []
    if record.get("epochs"):
        parts.append(f"{record['epochs']} epochs" + (f" after {start['epochs']}" if start.get("epochs") else ""))
    if took.get("minutes"):
        on_gpu = f" ({took['gpu_minutes']:,.0f} on a GPU)" if took.get("gpu_minutes") else ""
        parts.append(f"{took['minutes']:,.0f} minutes in all{on_gpu}")
    if environment.get("backend"):
        parts.append(f"Keras {environment.get('keras') or ''} on {environment['backend']}")
    if data.get("train"):
        parts.append(f"{data['train']:,} faces")
    return parts


def _table(scores: dict[str, dict[str, Any]]) -> Iterator[str]:
    """A column for each split: what all its faces together come to, and the F1 of each emotion."""
    if not scores:
        return
    yield ""
    yield f"{'Scores':<32}" + "".join(f"{split:>12}" for split in scores)
    for name, what, form in MEASURES:
        yield from _row(what, form, [one.get(name) for one in scores.values()])
    classes = [one.get("per_class") or {} for one in scores.values()]
    for emotion in dict.fromkeys(chain.from_iterable(classes)):
        yield from _row(f"F1 of {emotion}", "{:.2f}", [one.get(emotion, {}).get("f1") for one in classes])


def _row(what: str, form: str, values: Sequence[float | None]) -> Iterator[str]:
    """A line with a value for each split; none where it was measured on none."""
    if any(value is not None for value in values):
        cells = ("" if value is None else form.format(value) for value in values)
        yield f"  {what:<30}" + "".join(f"{cell:>12}" for cell in cells)
