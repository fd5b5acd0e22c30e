"""Which framework Keras runs on, decided before Keras is first imported."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Sequence
from typing import Any

from emotion_model.processes import Lock
from emotion_model.runtime import RuntimeUnavailableError, import_openvino

TRAINING = ("tensorflow", "torch", "jax")
SERVING = ("openvino", *TRAINING)  # OpenVINO starts fastest and needs the least memory

_importing = Lock()  # by one thread at a time: KERAS_BACKEND is another one meanwhile
_log = logging.getLogger(__name__)


class BackendError(RuntimeError):
    """Keras has nothing to run on; the message says why and what to do."""


def import_keras(backends: Sequence[str] = SERVING) -> Any:
    """The `keras` module.

    Where the program has imported Keras already, it stays as it is. Otherwise `choose_backend` decides.

    Raises:
        BackendError: there is no backend for it.
    """
    with _importing:
        if "keras" not in sys.modules:
            asked = os.environ.get("KERAS_BACKEND")
            try:
                choose_backend(backends)
                importlib.import_module("keras")
            finally:  # what this program starts decides for itself
                if asked is None:
                    os.environ.pop("KERAS_BACKEND", None)
                else:
                    os.environ["KERAS_BACKEND"] = asked
        return importlib.import_module("keras")  # whole, also where a thread of the program is just importing it


def choose_backend(backends: Sequence[str] = SERVING) -> str:
    """The backend that KERAS_BACKEND names, else the framework that the program has imported, else the first one here.

    OpenVINO does not count as imported: that is what looks for the faces.

    One that cannot be used is told of in a warning, and the next one serves. KERAS_BACKEND names it from then on.

    Args:
        backends: those that will do, the best first.

    Raises:
        BackendError: none can be used.
    """
    asked = os.environ.get("KERAS_BACKEND")
    reasons = []
    if asked and asked not in backends:
        reasons.append(f"KERAS_BACKEND={asked}: choose {alternatives(backends)}")
    first = [asked] if asked in backends else [name for name in backends if name in TRAINING and name in sys.modules]
    for name in dict.fromkeys([*first, *backends]):
        try:
            os.environ["KERAS_BACKEND"] = name  # TensorFlow imports Keras along with itself
            import_openvino() if name == "openvino" else importlib.import_module(name)
        except Exception as error:  # a broken installation fails in many ways
            reason = error.__cause__ if isinstance(error, RuntimeUnavailableError) else error
            missing = isinstance(reason, ModuleNotFoundError) and reason.name == name
            if isinstance(error, RuntimeUnavailableError) and name != asked and not missing:
                error.tell()  # as whatever else runs on OpenVINO does, and once only
            elif name == asked or not missing:
                reasons.append(f"{'KERAS_BACKEND=' if name == asked else ''}{name} cannot be used ({reason})")
            continue
        if reasons:
            _log.warning("%s; Keras runs on %s.", "; ".join(reasons), name)
        return name
    reasons.append(f"Keras has nothing to run on: install {alternatives(backends)}")
    raise BackendError("; ".join(reasons))


def alternatives(names: Sequence[str]) -> str:
    """Names as a sentence has them: `a, b or c`."""
    return ", ".join(names[:-1]) + f" or {names[-1]}"
