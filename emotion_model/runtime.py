"""OpenVINO: what runs both networks at the processor's own speed."""

from __future__ import annotations

import importlib
import logging
import os
import sys
import threading
import weakref
from collections.abc import Callable
from functools import cache
from typing import Any, NoReturn

import numpy as np

from emotion_model.processes import usable_cores


class RuntimeUnavailableError(RuntimeError):
    """OpenVINO cannot be used here; the message says why and what to do."""

    def tell(self) -> None:
        """Warn of it, once in a program: for the face detector and for the network the reason is the same."""
        _warn(f"{self} Until then Keras names the emotions and OpenCV looks for the faces, more slowly.")


class ForkedError(RuntimeUnavailableError):
    """OpenVINO runs in the process that this one was forked off, and so not in this one."""

    def tell(self) -> None:
        """Warn of it, once in a program; Keras may run on OpenVINO too, and then nothing names the emotions."""
        _warn(str(self))


@cache
def _warn(message: str) -> None:
    logging.getLogger(__name__).warning(message)


class Network:
    """A network file, compiled once for inputs of every size that it takes; may be used by any thread.

    One answer is worked out at a time, by all cores: two at once would take as long, and twice the memory.

    A process that is forked off later may go on using it, with one core: OpenVINO's threads do not come along.
    A fork waits for the answers that are being worked out.
    """

    def __init__(
        self, model: bytes, weights: bytes = b"", prepared: Callable[[Any], Any] = lambda model: model
    ) -> None:
        """Read and compile a network.

        Args:
            model: content of an ONNX file, or of an OpenVINO file (`.xml`); it may not refer to other files.
            weights: content of the `.bin` that belongs to an OpenVINO file.
            prepared: takes the `openvino.Model` that was read, gives the one to compile.

        Raises:
            RuntimeUnavailableError: openvino is missing, too old or broken, or this process was forked after it had
                started.
            RuntimeError: this is no network that it can run.
        """
        # Not pinned to cores: a server's other threads need them too. Never bfloat16: answers would depend on the
        # processor.
        options = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
            "ENABLE_CPU_PINNING": False,
            "INFERENCE_NUM_THREADS": usable_cores(),
            # What it prepares for each size of picture takes some megabytes, and by default it keeps 5,000 such things.
            "CPU_RUNTIME_CACHE_CAPACITY": 100,
        }
        self._lock = threading.RLock()  # reentrant, as a signal's handler may fork while this thread holds it
        with _compiling:
            core = _core()
            self._compiled = core.compile_model(prepared(core.read_model(model, weights)), "CPU", options)
            self._renew()
            _networks.add(self)

    def __reduce__(self) -> NoReturn:
        """A copy would have nothing to run.

        Raises:
            TypeError: always, and says what to do.
        """
        raise TypeError(
            "A loaded network stays in its process: load the model in each worker, in processes that were started with "
            "multiprocessing.get_context('spawn')."
        )

    def _renew(self) -> None:
        self._request = self._compiled.create_infer_request()

    @property
    def inputs(self) -> list[tuple[int | None, ...]]:
        """Shapes of the inputs; None for a side of any length."""
        return [_shape(one) for one in self._compiled.inputs]

    @property
    def outputs(self) -> list[tuple[int | None, ...]]:
        """Shapes of the outputs; None for a side of any length."""
        return [_shape(one) for one in self._compiled.outputs]

    @property
    def names(self) -> set[str]:
        """Names of the outputs."""
        return {name for output in self._compiled.outputs for name in output.get_names()}

    def position(self, name: str) -> int:
        """Where the output of this name stands among the outputs.

        Raises:
            RuntimeError: there is none.
        """
        for index, output in enumerate(self._compiled.outputs):
            if name in output.get_names():
                return index
        raise RuntimeError(f"the network has no output {name}")

    def __call__(self, values: np.ndarray) -> list[np.ndarray]:
        """The outputs for one input."""
        with self._lock:
            return list(self._request.infer({0: values}, share_inputs=True).values())


_networks: weakref.WeakSet[Network] = weakref.WeakSet()
_compiling = threading.RLock()  # one network at a time, and none while this process forks
_halted: list[Network] = []  # networks that wait for a fork to be over


def give_back_memory() -> None:
    """Give back what the networks keep of their largest inputs, 440 MB of a photo of 12 megapixels.

    What the next input needs is taken anew, which makes its answer some milliseconds late, of a large one 200.
    """
    with _compiling:
        for network in _networks:
            with network._lock:
                network._compiled.release_memory()


def _before_fork() -> None:
    """Wait until no thread is inside of OpenVINO: its own locks would stay held in the child for ever."""
    _compiling.acquire()
    for network in _networks:
        network._lock.acquire()
        _halted.append(network)


def _after_fork() -> None:
    while _halted:
        _halted.pop()._lock.release()
    _compiling.release()


def _after_fork_in_child() -> None:
    for network in _networks:
        network._renew()
    _after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child)


def _shape(port: Any) -> tuple[int | None, ...]:
    return tuple(one.get_length() if one.is_static else None for one in port.partial_shape)


def import_openvino() -> Any:
    """The `openvino` module, which otherwise reports that it was imported, with an id that it keeps in the home folder.

    Raises:
        RuntimeUnavailableError: it is missing, too old or broken.
    """
    telemetry = "openvino_telemetry"
    if "openvino" not in sys.modules and telemetry not in sys.modules:
        sys.modules[telemetry] = None  # type: ignore[assignment] # to be imported in vain: openvino takes that for a no
    try:
        openvino = importlib.import_module("openvino")
        if not hasattr(openvino, "Core"):
            raise ImportError(f"version {getattr(openvino, '__version__', 'unknown')} is too old")
        return openvino
    except Exception as error:  # a broken installation fails in many ways
        raise RuntimeUnavailableError(f"OpenVINO cannot start ({error}): pip install -U openvino.") from error
    finally:
        if sys.modules.get(telemetry, ...) is None:
            del sys.modules[telemetry]


@cache
def _started() -> tuple[Any, int]:
    return import_openvino().Core(), os.getpid()


def _core() -> Any:
    core, process = _started()
    if process != os.getpid():
        raise ForkedError(
            "This process was forked off one that had loaded a network: load it in the worker alone, or start workers "
            'with multiprocessing.get_context("spawn").'
        )
    return core
