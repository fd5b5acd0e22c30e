"""A Keras network as PyTorch and as ONNX, and the proof that they give the same answers."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from emotion_model.network.architecture import ArchitectureConfig
from emotion_model.network.backends import import_keras
from emotion_model.network.classifier import EmotionClassifier
from emotion_model.network.config import CONFIG_FILE, ModelConfig, ModelError
from emotion_model.network.engines import ATTENTION, UNCALIBRATED, KerasEngine, OpenVinoEngine
from emotion_model.runtime import RuntimeUnavailableError

CODE_DIR = Path(__file__).parent / "published"
MODEL_CODE, IMAGE_CODE = "modeling_emotion_cnn", "image_processing_emotion_cnn"
CONVERTERS = ("torch", "transformers", "onnx", "onnxscript")
TOLERANCE = 1e-4  # between the probabilities of two forms


def write_onnx(classifier: EmotionClassifier, folder: Path, module: Any = None) -> ModelConfig:
    """Write a network's ONNX form into `folder`; returns its config, which now names the file.

    Args:
        classifier: the network.
        folder: where to.
        module: the same network as `torch_module` gives it, where it has been made already.

    Raises:
        ModelError: a package is missing, the network is not one that `build_model` builds, or its ONNX form gives other
            answers, or none.
    """
    require_packages(CONVERTERS, "the ONNX form")
    config = classifier.config
    path = folder / Path(str(config.weights["file"])).with_suffix(".onnx").name
    save_onnx(module or torch_module(classifier), config, path)
    content = path.read_bytes()
    faces = sample_faces(config.image_size)
    require_equal("ONNX", _answers_of(content, faces), keras_answers(classifier, faces))
    record = {"file": path.name, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    return replace(config, weights=config.weights | {"onnx": record})


def _answers_of(onnx: bytes, faces: np.ndarray) -> np.ndarray:
    """What OpenVINO, which is to serve it, says with an ONNX form: float32 `(n, classes)`, not calibrated."""
    try:
        return OpenVinoEngine.of_onnx(onnx).probabilities(faces)
    except RuntimeUnavailableError as error:
        raise ModelError(str(error)) from error
    except RuntimeError as error:
        raise ModelError(f"OpenVINO cannot run the ONNX form ({error}): pip install -U openvino.") from error


def require_packages(names: Sequence[str], what: str) -> None:
    """Refuse to make something whose packages are not installed.

    Raises:
        ModelError: some are missing.
    """
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise ModelError(f"{what} needs {', '.join(missing)}: pip install -r requirements-hub.txt, in a checkout.")


def sample_faces(size: int) -> np.ndarray:
    """Made-up faces, among them black and white ones: float32 `(5, size, size, 1)` in 0..255."""
    pixels = np.random.default_rng(0).integers(0, 256, (5, size, size, 1)).astype(np.float32)
    pixels[0], pixels[1] = 0, 255
    return pixels


def keras_answers(classifier: EmotionClassifier, faces: np.ndarray) -> np.ndarray:
    """What Keras itself says of such faces, computed in float32: float32 `(n, classes)`, not calibrated."""
    model, backend = classifier.model, import_keras().backend.backend()
    if backend == "openvino":  # which Keras itself would let compute in bfloat16
        return OpenVinoEngine.of_keras(model).probabilities(faces)
    with _in_float32(backend):
        return KerasEngine(model).probabilities(faces)


@contextmanager
def _in_float32(backend: str) -> Iterator[None]:
    """Meanwhile no GPU rounds to TensorFloat-32: that alone would make more difference than the tolerance."""
    with ExitStack() as restored:
        if backend == "jax":
            import jax

            restored.enter_context(jax.default_matmul_precision("float32"))
        elif backend == "tensorflow":
            from tensorflow.config import experimental as switches

            restored.callback(switches.enable_tensor_float_32_execution, switches.tensor_float_32_execution_enabled())
            switches.enable_tensor_float_32_execution(False)
        else:
            import torch

            for part in (torch.backends.cudnn, torch.backends.cuda.matmul):
                restored.callback(setattr, part, "allow_tf32", part.allow_tf32)
                part.allow_tf32 = False
        yield


def require_equal(form: str, probabilities: np.ndarray, expected: np.ndarray) -> None:
    """Refuse a form of a model that gives other answers than Keras, both float `(n, classes)`.

    Raises:
        ModelError: they differ by more than the tolerance.
    """
    difference = float(np.abs(probabilities - expected).max())
    if not difference < TOLERANCE:
        raise ModelError(f"{form} differs from Keras by {difference:.2g}: it is not made of this model.")


def torch_module(classifier: EmotionClassifier) -> Any:
    """The network as the PyTorch module of `published/`, in evaluation mode; its logits are calibrated.

    Raises:
        ModelError: the network is not one that `build_model` builds.
    """
    import torch

    from emotion_model.hub.published import modeling_emotion_cnn as code

    config = classifier.config
    try:
        shape = ArchitectureConfig(**config.architecture).to_dict()
    except (TypeError, ValueError) as error:
        raise ModelError(f"{CONFIG_FILE}: architecture is not that of `build_model` ({error}).") from error
    module = code.EmotionCNNForImageClassification(
        code.EmotionCNNConfig(
            architecture=shape, temperature=config.temperature, id2label=dict(enumerate(config.emotions))
        )
    )
    state = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in _torch_weights(classifier).items()}
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        why = " ".join(str(error).split()).rstrip(".")
        raise ModelError(f"the weights do not fit the architecture in {CONFIG_FILE} ({why}).") from error
    return module.eval()


def _torch_weights(classifier: EmotionClassifier) -> dict[str, np.ndarray]:
    """The Keras weights under PyTorch's names and in its order of axes."""
    weights: dict[str, np.ndarray] = {}
    for layer in classifier.model.layers:
        values = layer.get_weights()
        kind = type(layer).__name__
        if kind == "BatchNormalization" and len(values) == 4:
            names = ["weight", "bias", "running_mean", "running_var"]
        elif kind in ("Conv2D", "Dense") and len(values) == 2:
            names = ["weight", "bias"]
            values[0] = values[0].transpose(3, 2, 0, 1) if kind == "Conv2D" else values[0].T
        elif values:
            raise ModelError(f"layer {layer.name} ({kind}) has no counterpart: only networks of `build_model` convert.")
        else:
            continue
        weights |= {f"{layer.name}.{name}": value for name, value in zip(names, values, strict=True)}
    return weights


def save_onnx(module: Any, config: ModelConfig, path: Path) -> None:
    """Write the network of `torch_module` as ONNX: `grey_pixels` float32 `(n, size, size, 1)` in 0..255 for any n, ->
    `probabilities` float32 `(n, classes)`, calibrated; `uncalibrated_probabilities`; and, of a network that has it, the
    last spatial `attention` `(n, height, width, 1)`. The labels are in its metadata.
    """
    import onnx
    import torch

    network = _with_all_outputs(module)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it tells of packages that are not needed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PyTorch's own
        exported = torch.onnx.export(
            network,
            (torch.zeros(2, config.image_size, config.image_size, 1),),
            input_names=["grey_pixels"],
            output_names=["probabilities", UNCALIBRATED, *([ATTENTION] if network.attending else [])],
            dynamic_shapes=({0: torch.export.Dim("faces")},),
            dynamo=True,
            verbose=False,
        ).model_proto
    # The exporter notes where on this machine each step came from: nobody's business, and not the same twice.
    for part in (exported.graph, *exported.graph.node, *exported.graph.input, *exported.graph.output):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    for value in (*exported.graph.value_info, *exported.graph.initializer):
        value.ClearField("metadata_props")
    del exported.metadata_props[:]
    onnx.helper.set_model_props(exported, {"labels": json.dumps(config.emotions, ensure_ascii=False)})
    onnx.checker.check_model(exported)
    path.write_bytes(exported.SerializeToString(deterministic=True))


def _with_all_outputs(module: Any) -> Any:
    """The PyTorch module with the layout of the Keras network's input, and all outputs of the ONNX form."""
    import torch

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = module
            attentions = [layer for name, layer in module.named_modules() if name.endswith("_attention")]
            self.attending = attentions[-1] if attentions else None

        def forward(self, grey_pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
            inner: dict[str, torch.Tensor] = {}
            watched = {"logits": self.module.logits} | ({"attention": self.attending} if self.attending else {})
            hooks = [
                layer.register_forward_hook(lambda _, __, output, name=name: inner.update({name: output}))
                for name, layer in watched.items()
            ]
            calibrated = self.module(grey_pixels.permute(0, 3, 1, 2)).logits
            for hook in hooks:
                hook.remove()
            outputs = calibrated.softmax(dim=1), inner["logits"].softmax(dim=1)
            if self.attending is None:
                return outputs
            return *outputs, inner["attention"].sigmoid().permute(0, 2, 3, 1)

    return Network().eval()
