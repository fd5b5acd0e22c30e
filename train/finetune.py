"""Adapt a model to your own pictures: another camera, other people, a class that FER2013 does not have.

    python -m train.finetune --data FOLDER [--fer2013 DIR] [--out DIR]

FOLDER holds a folder per emotion, with photos of any size; the largest face of each is found and cropped exactly as the
model will be given it later. A folder with a new name adds a class; a class without a folder stays as it is.

Of each class a share is held out for the report and as much again chooses the epoch; the rest is trained on, mildly
varied: first the classifier alone on top of the frozen convolutions, then the whole network at a tenth of the rate.
Batch norm keeps the statistics of the base model, since tens of pictures would only blur them (as in Keras' guide
"Transfer learning and fine-tuning"). With `--fer2013` half of the faces of every epoch come from FER2013 (rehearsal:
Robins, 1995), and what is forgotten is measured on its validation split.

The new model, `report.json`, `figures/` and `pictures.csv` (what became of every picture) are left in `--out`.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from pathlib import Path

from emotion_model.faces.detection import DetectorError, FaceDetector
from emotion_model.interrupts import end_politely
from emotion_model.network.classifier import EmotionClassifier
from emotion_model.network.config import ModelError
from train.config import explain
from train.finetuning.report import table_of
from train.finetuning.settings import Settings
from train.finetuning.tuning import finetune
from train.fitting.signals import StoppedError


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m train.finetune", description="Adapt a model to your own pictures.")
    parser.add_argument("--data", type=Path, required=True, help="folder with a folder of pictures per emotion")
    parser.add_argument("--fer2013", type=Path, metavar="DIR", help="FER2013, to rehearse and to measure forgetting")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("runs/finetuned"),
        help="where the model goes; a stopped run found there goes on (default: runs/finetuned)",
    )
    parser.add_argument("--model", default="bundled", help="`bundled`, a .keras file or its folder (default: bundled)")
    parser.add_argument("--drop", nargs="+", default=[], metavar="CLASS", help="classes to leave out")
    for field in fields(Settings):
        flag, default, meaning = "--" + field.name.replace("_", "-"), field.default, field.metadata["meaning"]
        parser.add_argument(flag, type=type(default), default=default, help=f"{meaning} (default: {default})")
    options = parser.parse_args(arguments)
    end_politely()  # faces that were found are kept
    try:
        settings = Settings(**{field.name: getattr(options, field.name) for field in fields(Settings)})
        base, detector = EmotionClassifier.load(options.model), FaceDetector()
        report = finetune(base, options.data, options.out, settings, options.fer2013, options.drop, detector)
    except StoppedError as stopped:
        print(stopped)
        return 130
    except KeyboardInterrupt:
        print("stopped; run again to go on")
        return 130
    except (DetectorError, ModelError, ValueError, OSError) as error:
        print(f"error: {explain(error, options.out)}", file=sys.stderr)
        return 2
    print(f"\n{table_of(report)}\n-> {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
