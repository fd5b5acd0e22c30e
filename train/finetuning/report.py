"""What a fine-tuned model can do, before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from emotion_model.network.classifier import EmotionClassifier
from train.data.fer2013 import FaceDataset
from train.evaluation.metrics import classification_metrics
from train.finetuning.rehearsal import Rehearsal
from train.finetuning.settings import FEW_HELD_OUT

SPLITS = ("train", "validation", "held_out")


def report_of(
    base: EmotionClassifier, tuned: EmotionClassifier, own: Mapping[str, FaceDataset], rehearsal: Rehearsal | None
) -> dict[str, Any]:
    """What `report.json` says: pictures, classes, scores before and after, and what to know about them."""
    old, new, held_out = base.emotions, tuned.emotions, own["held_out"]
    counts = {split: np.bincount(own[split].labels, minlength=len(new)).tolist() for split in SPLITS}
    added, dropped = [name for name in new if name not in old], [name for name in old if name not in new]
    idle = [name for name, count in zip(new, counts["train"], strict=True) if not count]

    def scores(faces: FaceDataset) -> dict[str, Any]:
        return {"before": scores_of(base, faces, dropped), "after": scores_of(tuned, faces, dropped)}

    report: dict[str, Any] = {
        "pictures": {split: dict(zip(new, counts[split], strict=True)) for split in SPLITS},
        "classes": {"added": added, "dropped": dropped, "without_pictures": idle},
        "held_out": scores(held_out),
        "fer2013_validation": scores(rehearsal.validation) if rehearsal else None,
    }
    notes = []
    if len(held_out) < FEW_HELD_OUT:
        notes.append(f"{len(held_out)} held-out pictures: one more or less is {100 / len(held_out):.1f} points")
    if added:
        notes.append(f"the base model lacks {', '.join(added)}: before, those pictures count as mistakes")
    if idle:
        notes.append(f"without pictures of its own, so perhaps named less often: {', '.join(idle)}")
    if rehearsal is None:
        notes.append("what was forgotten was not measured: give FER2013 with --fer2013")
    elif dropped or added:
        notes.append("FER2013: without faces of dropped classes; naming a class that it lacks is a mistake")
    for name, text in (("held_out", "the held-out pictures"), ("fer2013_validation", "FER2013 validation")):
        if report[name] and (lost := report[name]["before"]["accuracy"] - report[name]["after"]["accuracy"]) > 0:
            notes.append(f"the new model is worse than the base model on {text}, by {100 * lost:.1f} points")
    return report | {"notes": notes}


def scores_of(classifier: EmotionClassifier, faces: FaceDataset, dropped: Sequence[str]) -> dict[str, Any]:
    """Scores as `train.evaluate` has them, over the classes of both models."""
    emotions = [*faces.emotions, *dropped]
    probabilities = np.zeros((len(faces), len(emotions)), dtype=np.float32)
    probabilities[:, [emotions.index(name) for name in classifier.emotions]] = classifier.predict(faces.images)
    return {"emotions": emotions, **classification_metrics(faces.labels, probabilities, emotions)}


def table_of(report: dict[str, Any]) -> str:
    """The report as a table for the terminal: each class before and after."""
    lines = [f"{'':32}before   after"]
    for name, title in (("held_out", "held-out pictures"), ("fer2013_validation", "FER2013 validation")):
        if not report[name]:
            continue
        before, after = report[name]["before"], report[name]["after"]
        names = {"accuracy": "accuracy", "macro-F1": "macro_f1", "calibration error": "ece"}
        rows = [(text, before[key], after[key]) for text, key in names.items()]
        for emotion, one in after["per_class"].items():
            if one["images"]:
                rows.append((f"F1 of {emotion}, {one['images']:,}", before["per_class"][emotion]["f1"], one["f1"]))
        lines.append(f"{title}, {after['images']:,}")
        lines += [f"  {text:30}{old:.4f}  {new:.4f}" for text, old, new in rows]
    return "\n".join([*lines, *report["notes"]])
