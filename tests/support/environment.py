"""What the tests, and the programs that they start, run on."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from support.paths import ROOT


def choose() -> None:
    """PyTorch where it is there: it starts and trains small networks in a third of the time that TensorFlow takes.

    A thread each: what pytest runs side by side shares the processor, and what a small network learns depends on how
    its sums are split.
    """
    if find_spec("torch"):
        os.environ.setdefault("KERAS_BACKEND", "torch")
    os.environ.setdefault("RAY_worker_niceness", "0")  # or archives would wait for whatever pytest runs beside them
    os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")  # what it compiles here runs for a moment only
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(name, "1")


def of_users(**more: str) -> dict[str, str]:
    """For a program as users start it: with the Keras backend that they have."""
    return {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"} | more


def run_program(code: str, **more: str) -> subprocess.CompletedProcess[str]:
    """A Python program in a fresh interpreter, as users run it; what it printed and how it ended."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=of_users(**more),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@contextmanager
def as_users_have_it() -> Iterator[None]:
    """What is loaded meanwhile is loaded as for users, not on the backend that the tests train with."""
    backend = os.environ.pop("KERAS_BACKEND", None)
    try:
        yield
    finally:
        if backend:
            os.environ["KERAS_BACKEND"] = backend
