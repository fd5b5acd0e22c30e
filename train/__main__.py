"""Train a network.

python -m train --data DIR --preset compact --out RUN_DIR     train, or go on with a stopped run
python -m train --preset seed --summary                       print its size as JSON, train nothing
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import replace
from pathlib import Path

from emotion_model.architecture import build_model, count_multiply_adds
from train.config import PRESETS
from train.data import DataError, load_split, without_images_of
from train.fit import StoppedError, fit


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m train", description="Train an emotion network on FER2013.")
    parser.add_argument("--data", type=Path, help="folder with FER2013 as Parquet, CSV or image folders")
    parser.add_argument("--preset", choices=sorted(PRESETS), default="compact", help="network and recipe")
    parser.add_argument("--out", type=Path, help="run folder; a stopped run found there goes on")
    parser.add_argument("--epochs", type=int, help="instead of the preset's")
    parser.add_argument("--seed", type=int, help="instead of the preset's")
    parser.add_argument("--limit", type=int, help="use only this many training faces, for a quick try")
    parser.add_argument("--summary", action="store_true", help="print parameters and multiply-adds as JSON and end")
    options = parser.parse_args(arguments)

    preset = PRESETS[options.preset]
    try:
        changes = {name: getattr(options, name) for name in ("epochs", "seed") if getattr(options, name) is not None}
        preset = replace(preset, training=replace(preset.training, **changes))
        if options.summary:
            model = build_model(preset.architecture)
            summary = {
                "preset": options.preset,
                "trainable_parameters": sum(math.prod(weight.shape) for weight in model.trainable_weights),
                "multiply_adds": count_multiply_adds(model),
            }
            print(json.dumps(summary))
            return 0
        if options.data is None or options.out is None:
            parser.error("--data and --out are needed to train")

        validation, test = load_split(options.data, "validation"), load_split(options.data, "test")
        train, dropped = without_images_of(load_split(options.data, "train"), [validation, test])
        print(f"{len(train):,} training faces ({dropped:,} dropped: they also stand in validation or test), ", end="")
        print(f"{len(validation):,} validation faces", flush=True)
        if options.limit:
            train = train[: options.limit]
        if train.votes is None and preset.training.ferplus_weight:
            print(f"no FER+ votes in this form of the data: ferplus_weight {preset.training.ferplus_weight} becomes 0")
            preset = replace(preset, training=replace(preset.training, ferplus_weight=0.0))
        metrics = fit(preset, train, validation, options.out, dropped)
    except StoppedError as stopped:
        print(stopped)
        return 130
    except (DataError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    score = metrics["validation"]
    print(f"validation accuracy {score['accuracy']:.4f}, macro-F1 {score['macro_f1']:.4f} -> {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
