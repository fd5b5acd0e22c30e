"""A model as a folder with every form that its users expect: what is pushed to the Hub.

Besides the Keras file: PyTorch weights with the code for transformers, ONNX, the handler of an Inference Endpoint,
figures and the model card. Each form is run beside the Keras network, and a folder in which they differ is refused.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from emotion_model.hub.card import CARD_FILE, FIGURES_RECORD, model_card
from emotion_model.network.architecture import ArchitectureConfig
from emotion_model.network.calibration import scale_confidence
from emotion_model.network.classifier import EmotionClassifier
from emotion_model.network.config import CONFIG_FILE, FIGURES_DIR, FIGURES_KEY, ModelConfig, ModelError

CODE_DIR = Path(__file__).parent / "published"
MODEL_CODE, IMAGE_CODE = "modeling_emotion_cnn", "image_processing_emotion_cnn"
TORCH_FILE = "model.safetensors"
IMAGE_CONFIG_FILE = "preprocessor_config.json"
TOLERANCE = 1e-4  # between the probabilities of two forms
NEEDS = ("torch", "transformers", "safetensors", "onnx", "onnxscript", "onnxruntime")


def prepare(model: Path, out: Path, repo_id: str, figures: Path | None = None) -> list[str]:
    """Write everything that is published about a model into the empty folder `out`.

    The result depends on the model and the name alone: the same twice gives the same bytes.

    Args:
        model: a `.keras` file, or its folder.
        out: a folder.
        repo_id: the name it is published under.
        figures: folder that `python -m train.report` filled; by default `figures` in the model's folder.

    Returns:
        Notes for whoever publishes, such as why there are no figures.

    Raises:
        ModelError: a package is missing, the model cannot be loaded or converted, or its records lack what a card must
            show.
    """
    missing = [name for name in NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise ModelError(f"publishing needs {', '.join(missing)}: pip install -r requirements-hub.txt")
    classifier = EmotionClassifier.load(model)
    config = classifier.config
    if not config.weights.get("file"):
        raise ModelError(f"{CONFIG_FILE} does not name its weights: make it with `python -m train.export`.")
    source = Path(classifier.source)
    found, notes = _figures(source.parent / FIGURES_DIR if figures is None else figures, config)
    card = model_card(config, repo_id, {path.stem: _description(path) for path in found})

    module = torch_module(classifier)
    weights = config.weights["file"]
    shutil.copyfile(source, out / weights)
    drawn = {FIGURES_KEY: [path.name for path in found]}
    _write_json(out / CONFIG_FILE, json.loads(config.to_json()) | drawn | _transformers_keys(config))
    _write_json(out / IMAGE_CONFIG_FILE, _image_processor(config))
    (out / CARD_FILE).write_text(card, encoding="utf-8")
    _save_torch(module, out / TORCH_FILE)
    onnx_file = Path(weights).with_suffix(".onnx").name
    save_onnx(module, config, out / onnx_file)
    for path in CODE_DIR.glob("*.py"):
        shutil.copyfile(path, out / path.name)
    if found:
        (out / FIGURES_DIR).mkdir()
        for path in found:
            shutil.copyfile(path, out / FIGURES_DIR / path.name)
    _check(classifier, module, out / onnx_file)
    return notes


def torch_module(classifier: EmotionClassifier) -> Any:
    """The network as the PyTorch module of `published/`, in evaluation mode; its logits are calibrated.

    Raises:
        ModelError: the network is not one that `build_model` builds.
    """
    import torch

    config = classifier.config
    try:
        shape = ArchitectureConfig(**config.architecture).to_dict()
    except (TypeError, ValueError) as error:
        raise ModelError(f"{CONFIG_FILE}: architecture is not that of `build_model` ({error}).") from error
    code = _import_code(MODEL_CODE)
    module = code.EmotionCNNForImageClassification(
        code.EmotionCNNConfig(
            architecture=shape, temperature=config.temperature, id2label=dict(enumerate(config.emotions))
        )
    )
    state = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in _torch_weights(classifier).items()}
    counters = {name for name in module.state_dict() if name.endswith(".num_batches_tracked")}  # training's alone
    try:
        left_out, unknown = module.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise ModelError(f"the weights do not fit the architecture in {CONFIG_FILE} ({error}).") from error
    if unknown or set(left_out) - counters:
        layers = sorted({*unknown, *left_out} - counters)
        raise ModelError(f"the network is not the architecture in {CONFIG_FILE}: {', '.join(layers)} differ.")
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
    """Write the network as ONNX: `grey_pixels` float32 `(n, size, size, 1)` in 0..255, as for Keras, ->
    `probabilities` float32 `(n, classes)`, calibrated; any n. The labels are in its metadata.
    """
    import onnx
    import torch

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, grey_pixels: torch.Tensor) -> torch.Tensor:
            return self.module(grey_pixels.permute(0, 3, 1, 2)).logits.softmax(dim=1)

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it tells of packages that are not needed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PyTorch's own
        exported = torch.onnx.export(
            Network().eval(),
            (torch.zeros(2, config.image_size, config.image_size, 1),),
            input_names=["grey_pixels"],
            output_names=["probabilities"],
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


def _save_torch(module: Any, path: Path) -> None:
    from safetensors.torch import save_file

    save_file({name: value.contiguous() for name, value in module.state_dict().items()}, path, {"format": "pt"})


def _transformers_keys(config: ModelConfig) -> dict[str, Any]:
    return {
        "model_type": "emotion_cnn",
        "architectures": ["EmotionCNNForImageClassification"],
        "auto_map": {
            "AutoConfig": f"{MODEL_CODE}.EmotionCNNConfig",
            "AutoModelForImageClassification": f"{MODEL_CODE}.EmotionCNNForImageClassification",
        },
        "id2label": {str(index): emotion for index, emotion in enumerate(config.emotions)},
        "label2id": {emotion: index for index, emotion in enumerate(config.emotions)},
        "problem_type": "single_label_classification",
        "dtype": "float32",
        # Defaults of older files are filled in, so that the module need not know them.
        "architecture": ArchitectureConfig(**config.architecture).to_dict(),
    }


def _image_processor(config: ModelConfig) -> dict[str, Any]:
    return {
        "image_processor_type": "EmotionCNNImageProcessor",
        "auto_map": {"AutoImageProcessor": f"{IMAGE_CODE}.EmotionCNNImageProcessor"},
        "size": {"height": config.image_size, "width": config.image_size},
    }


def _figures(folder: Path, config: ModelConfig) -> tuple[list[Path], list[str]]:
    """The figures to publish, and why there are none: figures of other weights are worse than none."""
    mend = "draw them with `python -m train.report --model MODEL --out FOLDER`"
    found = sorted(folder.glob("*.png"))
    if not found:
        return [], [f"no figures in {folder}: {mend}"]
    record = folder / FIGURES_RECORD
    about = json.loads(record.read_text(encoding="utf-8")).get("weights_sha256") if record.is_file() else None
    if about is None or about != config.weights.get("sha256"):
        return [], [f"the figures in {folder} are not about these weights: {mend}"]
    return found, []


def _description(path: Path) -> str:
    from PIL import Image

    with Image.open(path) as picture:
        text = picture.info.get("Description", path.stem)
    return " ".join(text.split()).replace("[", "(").replace("]", ")")


def _check(classifier: EmotionClassifier, module: Any, onnx_path: Path) -> None:
    """Run all forms on the same made-up faces."""
    import onnxruntime
    import torch

    size = classifier.config.image_size
    pixels = np.random.default_rng(0).integers(0, 256, (5, size, size, 1)).astype(np.float32)
    pixels[0], pixels[1] = 0, 255
    raw = np.asarray(classifier.model.predict_on_batch(pixels), dtype=np.float32)
    expected = scale_confidence(raw, classifier.config.temperature)
    with torch.no_grad():
        logits = module(torch.from_numpy(pixels.transpose(0, 3, 1, 2))).logits
    session = onnxruntime.InferenceSession(onnx_path, providers=["CPUExecutionProvider"])
    forms: Mapping[str, np.ndarray] = {
        "PyTorch": logits.softmax(dim=1).numpy(),
        "ONNX": session.run(None, {"grey_pixels": pixels})[0],
    }
    for name, probabilities in forms.items():
        difference = float(np.abs(probabilities - expected).max())
        if not difference < TOLERANCE:
            raise ModelError(f"{name} differs from Keras by {difference:.2g}: the model is not published.")


def _import_code(name: str) -> Any:
    """A module of `published/`, which is no package: its files stand by themselves where they are published."""
    spec = importlib.util.spec_from_file_location(name, CODE_DIR / f"{name}.py")
    if spec is None or spec.loader is None:
        raise ImportError(name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
