"""Everything needed to make the model: data, augmentation, training, evaluation and export."""

import os
from importlib.util import find_spec

_backend = os.environ.get("KERAS_BACKEND", "tensorflow")
if _backend not in ("tensorflow", "torch", "jax") or not find_spec(_backend):
    # Ends a command line with one sentence; Keras itself would end it with a traceback.
    raise SystemExit(f"error: KERAS_BACKEND={_backend}: choose tensorflow, torch or jax, and install it")


def usable_cores() -> int:
    """Processor cores that this process may use, which can be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
