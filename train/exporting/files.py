"""The files of a model: its fast form, and all of them put in place."""

from __future__ import annotations

import shutil
import sys
from contextlib import ExitStack
from pathlib import Path

from emotion_model.files import whole_file
from emotion_model.hub.conversion import write_onnx
from emotion_model.network.classifier import EmotionClassifier
from emotion_model.network.config import CONFIG_FILE, ModelConfig, ModelError


def with_onnx(classifier: EmotionClassifier, folder: Path) -> ModelConfig:
    """Write the ONNX form into `folder`; returns the config that names it.

    It starts and answers fastest, and is all that browsers read. Where it cannot be made, a note says why and the
    config stays: Keras serves the model then.
    """
    try:
        return write_onnx(classifier, folder)
    except ModelError as error:
        print(f"note: without its ONNX form this model starts slower and no browser has it: {error}", file=sys.stderr)
        return classifier.config


def move_in(made: Path, folder: Path) -> None:
    """Move the files of a model to where it is used; an interruption leaves the model that was there.

    The config comes last: it names its weights by their digests, so that no half of another model is used.
    """
    with ExitStack() as moved:  # ends in the reverse order
        for path in sorted(made.iterdir(), key=lambda path: path.name != CONFIG_FILE):
            shutil.copyfile(path, moved.enter_context(whole_file(folder / path.name)))
    for weights in made.glob("*.keras"):  # an ONNX form of the model before would lie there for nothing
        if not (made / weights.name).with_suffix(".onnx").exists():
            (folder / weights.name).with_suffix(".onnx").unlink(missing_ok=True)
