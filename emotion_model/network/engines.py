"""What works out a network's answers: OpenVINO from the ONNX file, or Keras from its own."""

from __future__ import annotations

import logging
import os
import re
import tempfile
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from emotion_model.network.backends import TRAINING, BackendError, alternatives, import_keras
from emotion_model.network.config import ModelConfig, ModelError, require_digest
from emotion_model.processes import Lock
from emotion_model.runtime import ForkedError, Network, RuntimeUnavailableError

# Outputs of the ONNX file; the first, "probabilities", is calibrated, for whoever runs the file without this package.
UNCALIBRATED, ATTENTION = "uncalibrated_probabilities", "attention"
PADDED_SIZES = (1, 2, 4, 8, 16, 32, 64)  # Keras compiles for each size of batch: batches are padded up to one of these

_log = logging.getLogger(__name__)


class Engine(Protocol):
    """A loaded network; may be used by any thread."""

    name: str
    shapes: tuple[tuple[int | None, ...], tuple[int | None, ...]]  # of inputs and probabilities; None: any number

    def probabilities(self, inputs: np.ndarray) -> np.ndarray:
        """Grey pixels, float32 `(n, size, size, 1)` in 0..255 -> float32 `(n, classes)`, not calibrated."""

    def attention(self, inputs: np.ndarray) -> np.ndarray | None:
        """What the last spatial attention lets through: float32 `(n, height, width)` in 0..1; None without one."""


class OpenVinoEngine:
    """A network on OpenVINO, which needs a third of the memory and of the start-up time of any framework."""

    name = "OpenVINO"

    def __init__(self, network: Network, answer: int, attention: int | None) -> None:
        """Run a network whose outputs at these positions are the probabilities and, if it has any, the attention."""
        self._network, self._answer, self._attention = network, answer, attention
        self.shapes = network.inputs[0], network.outputs[answer]

    @classmethod
    def of_onnx(cls, content: bytes) -> OpenVinoEngine:
        """Compile a network in the ONNX form that `emotion_model.hub.conversion` writes.

        Raises:
            RuntimeUnavailableError: OpenVINO cannot be used.
            RuntimeError: it cannot run this network.
        """
        network = Network(content)
        attention = network.position(ATTENTION) if ATTENTION in network.names else None
        return cls(network, network.position(UNCALIBRATED), attention)

    @classmethod
    def of_keras(cls, model: Any) -> OpenVinoEngine:
        """Compile a network that Keras has loaded on its OpenVINO backend.

        Keras itself would run it in bfloat16 where the processor has that, and compile it for every size of batch.

        Raises:
            RuntimeUnavailableError: OpenVINO cannot be used.
            RuntimeError: it cannot run this network.
        """
        attention = _attention_of(model)
        outputs = [model.output] if attention is None else [model.output, attention]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "network.xml")
            import_keras().Model(model.inputs, outputs).export(str(path), format="openvino", verbose=False)
            network = Network(path.read_bytes(), path.with_suffix(".bin").read_bytes())
        engine = cls(network, 0, None if attention is None else 1)
        engine.name = "Keras on OpenVINO"
        return engine

    def probabilities(self, inputs: np.ndarray) -> np.ndarray:
        """See `Engine.probabilities`."""
        return self._network(inputs)[self._answer]

    def attention(self, inputs: np.ndarray) -> np.ndarray | None:
        """See `Engine.attention`."""
        return None if self._attention is None else self._network(inputs)[self._attention][..., 0]


class KerasEngine:
    """A network on the framework that Keras runs on: TensorFlow, PyTorch or JAX."""

    def __init__(self, model: Any) -> None:
        """Run a `keras.Model`."""
        backend = import_keras().backend.backend()
        self.name = f"Keras on {backend}"
        self.shapes = model.input_shape, model.output_shape
        self._model = model
        self._lock = Lock()
        self._forward = _compiled(model, backend)

    def probabilities(self, inputs: np.ndarray) -> np.ndarray:
        """See `Engine.probabilities`."""
        size = next(size for size in PADDED_SIZES if size >= len(inputs))
        padded = np.zeros((size, *inputs.shape[1:]), dtype=np.float32)
        padded[: len(inputs)] = inputs
        with self._lock:
            return np.asarray(self._forward(padded), dtype=np.float32)[: len(inputs)]

    def attention(self, inputs: np.ndarray) -> np.ndarray | None:
        """See `Engine.attention`."""
        with self._lock:
            return None if self._attending is None else np.asarray(self._attending.predict_on_batch([inputs]))[..., 0]

    @cached_property
    def _attending(self) -> Any:
        attention = _attention_of(self._model)
        return None if attention is None else import_keras().Model(self._model.inputs, attention)


def _attention_of(model: Any) -> Any:
    """The output of the last spatial attention of `build_model`, or None."""
    layers = [layer for layer in model.layers if re.fullmatch(r"block\d+_attention", layer.name)]
    return layers[-1].output if layers else None


def load_keras(path: Path) -> Any:
    """The `keras.Model` in a `.keras` file, loaded without any code in it.

    Raises:
        ModelError: it cannot be loaded, or Keras cannot run.
    """
    try:
        keras = import_keras()
    except (BackendError, ImportError) as error:
        raise ModelError(str(error)) from error
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises many kinds for damaged and unsafe files
        raise ModelError(f"{path}: cannot be loaded as a Keras model ({error}).") from error


def _compiled(model: Any, backend: str) -> Callable[[np.ndarray], Any]:
    """`numpy batch -> probabilities`; under TensorFlow traced once per batch size: a fifth of `predict`'s time."""
    if backend != "tensorflow":
        return model.predict_on_batch
    import tensorflow as tf

    function = tf.function(lambda batch: model(batch, training=False), reduce_retracing=False)
    return lambda batch: function(tf.constant(batch)).numpy()


def start_engine(path: Path, config: ModelConfig, model: Callable[[], Any]) -> Engine:
    """The fastest engine for a network.

    OpenVINO where the network's ONNX file is there, unless KERAS_BACKEND asks for a framework; else Keras.

    Args:
        path: the `.keras` file.
        config: what lies beside it.
        model: loads it with Keras.

    Raises:
        ModelError: a file is damaged, or Keras cannot load the network.
    """
    onnx = read_onnx(path, config) if os.environ.get("KERAS_BACKEND") in (None, "", "openvino") else None
    if onnx:
        try:
            return OpenVinoEngine.of_onnx(onnx)
        except RuntimeUnavailableError as error:
            error.tell()
        except RuntimeError as error:
            _log.warning("%s: OpenVINO cannot run its ONNX form (%s); Keras serves.", path, error)
    loaded = model()
    if import_keras().backend.backend() == "openvino":
        try:
            return OpenVinoEngine.of_keras(loaded)
        except ForkedError as error:
            raise ModelError(str(error)) from error
        except Exception as error:
            raise ModelError(
                f"{path}: OpenVINO cannot run it ({error}); set KERAS_BACKEND to {alternatives(TRAINING)}."
            ) from error
    return KerasEngine(loaded)


def read_onnx(path: Path, config: ModelConfig) -> bytes | None:
    """The content of the ONNX file beside a `.keras` file; None where there is none.

    Raises:
        ModelError: it is not the one that the config names.
    """
    record = config.weights.get("onnx")
    file = path.with_name(Path(str(record["file"])).name) if record else None
    if not record or not file or not file.is_file():
        return None
    content = file.read_bytes()
    require_digest(file, content, record.get("sha256"))
    return content
