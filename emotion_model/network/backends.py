"""Which framework Keras runs on, decided before Keras is first imported."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Sequence
from typing import Any

from emotion_model.runtime import import_openvino

TRAINING = ("tensorflow", "torch", "jax")
SERVING = ("openvino", *TRAINING)  # OpenVINO starts fastest and needs the least memory

_log = logging.getLogger(__name__)


class BackendError(RuntimeError):
    """Keras has nothing to run on; the message says why and what to do."""


def import_keras(backends: Sequence[str] = SERVING) -> Any:
    """The `keras` module.

    Where the program has imported Keras already, it stays as it is. Otherwise `choose_backend` decides.

    Raises:
        BackendError: there is no backend for it.
    """
    if "keras" not in sys.modules:
        asked = os.environ.get("KERAS_BACKEND")
        os.environ["KERAS_BACKEND"] = choose_backend(backends)
        try:
            importlib.import_module("keras")
        finally:  # what this program starts decides for itself
            if asked is None:
                del os.environ["KERAS_BACKEND"]
            else:
                os.environ["KERAS_BACKEND"] = asked
    return sys.modules["keras"]


def choose_backend(backends: Sequence[str] = SERVING) -> str:
    """The backend that KERAS_BACKEND names, else the framework that the program has imported, else the first one here.

    One that cannot be used is told of in a warning, and the next one serves.

    Args:
        backends: those that will do, the best first.

    Raises:
        BackendError: none can be used.
    """
    asked = os.environ.get("KERAS_BACKEND")
    reasons = []
    if asked and asked not in backends:
        reasons.append(f"KERAS_BACKEND={asked}: choose {alternatives(backends)}")
    first = [asked] if asked in backends else [name for name in backends if name in sys.modules]
    for name in dict.fromkeys([*first, *backends]):
        try:
            import_openvino() if name == "openvino" else importlib.import_module(name)
        except Exception as error:  # a broken installation fails in many ways
            missing = isinstance(error, ModuleNotFoundError) and error.name == name
            # Of OpenVINO the program has been told, or will be when it looks for faces.
            if name == asked or not (missing or name == "openvino"):
                reasons.append(f"{'KERAS_BACKEND=' if name == asked else ''}{name} cannot be used ({error})")
            continue
        if reasons:
            _log.warning("%s; Keras runs on %s.", "; ".join(reasons), name)
        return name
    reasons.append(f"Keras has nothing to run on: install {alternatives(backends)}")
    raise BackendError("; ".join(reasons))


def alternatives(names: Sequence[str]) -> str:
    """Names as a sentence has them: `a, b or c`."""
    return ", ".join(names[:-1]) + f" or {names[-1]}"
