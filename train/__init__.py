"""Everything needed to make the model: data, augmentation, training, evaluation and export."""

import os
import sys
from importlib.util import find_spec

from emotion_model.network.backends import TRAINING, alternatives
from train.fitting.hardware import fastest_backend


def _choose_backend() -> None:
    """Name a backend that trains to all that imports Keras from here on, and to the programs that it starts.

    Where nobody has named one, that is a framework which is imported already, else the fastest.

    Ends the program with one sentence where there is none: Keras itself would end it with a traceback.
    """
    asked = os.environ.get("KERAS_BACKEND")
    usable = [name for name in TRAINING if find_spec(name)]
    mend = f"choose {alternatives(TRAINING)}, and install it"
    if asked and asked not in usable:
        raise SystemExit(f"error: KERAS_BACKEND={asked}: {mend}")
    if not usable:
        raise SystemExit("error: there is nothing to train on: pip install -r requirements-train.txt")
    if "keras" in sys.modules and sys.modules["keras"].backend.backend() not in TRAINING:
        raise SystemExit("error: Keras runs on OpenVINO here, which does not train: train in a program of its own")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # several programs may share the memory of a GPU
    if not asked:
        imported = next((name for name in usable if name in sys.modules), None)
        os.environ["KERAS_BACKEND"] = imported or fastest_backend() or usable[0]


_choose_backend()
