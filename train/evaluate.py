"""Measure a model on one split of FER2013.

python -m train.evaluate --model bundled --data DIR --split test --json
python -m train.evaluate --model runs/a runs/b --data DIR            the mean of several models
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from emotion_model.network.config import ModelError
from emotion_model.network.ensemble import EmotionEnsemble
from train.evaluation.scores import evaluate, print_progress
from train.runs import load_model


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
    except (ModelError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    print(json.dumps(result) if options.json else _table(result, classifier.emotions))
    return 0


def _table(result: dict[str, Any], emotions: Sequence[str]) -> str:
    width = max(map(len, emotions))
    lines = [
        f"{result['split']}, {result['images']:,} images: accuracy {result['accuracy']:.4f}, "
        f"macro-F1 {result['macro_f1']:.4f}, calibration error {result['ece']:.4f}",
        *(
            f"with {views}: accuracy {result[name]['accuracy']:.4f}, macro-F1 {result[name]['macro_f1']:.4f}"
            for name, views in (("flip", "flip averaging"), ("ten_crop", "ten crops"))
            if name in result
        ),
    ]
    if "deduplicated" in result:
        lines.append(
            f"without the images of other splits ({result['deduplicated']['images']:,}): "
            f"accuracy {result['deduplicated']['accuracy']:.4f}"
        )
    else:
        lines.append("every image also stands in another split")
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
