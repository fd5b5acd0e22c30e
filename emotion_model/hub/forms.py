"""A model as a folder with every form that its users expect: what is pushed to the Hub.

Besides the Keras file: PyTorch weights with the code for transformers, ONNX, the handler of an Inference Endpoint,
figures and the model card. Each form is run beside the Keras network, and a folder in which they differ is refused.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from emotion_model.files import write_json
from emotion_model.hub.card import CARD_FILE, LICENSE, model_card
from emotion_model.hub.conversion import (
    CODE_DIR,
    CONVERTERS,
    IMAGE_CODE,
    MODEL_CODE,
    keras_answers,
    require_equal,
    require_packages,
    sample_faces,
    torch_module,
    write_onnx,
)
from emotion_model.network.architecture import ArchitectureConfig
from emotion_model.network.calibration import scale_confidence
from emotion_model.network.classifier import EmotionClassifier
from emotion_model.network.config import (
    CONFIG_FILE,
    FIGURES_DIR,
    FIGURES_KEY,
    FIGURES_RECORD,
    ModelConfig,
    ModelError,
    figures_are_of,
)

TORCH_FILE = "model.safetensors"
IMAGE_CONFIG_FILE = "preprocessor_config.json"
NEEDS = (*CONVERTERS, "safetensors", "onnxruntime")
LICENSE_FILE = Path(__file__).parents[2] / "LICENSE"
ENDPOINT_NEEDS = "transformers>=4.57\ntorch\npillow>=11.3\n"  # an endpoint's own may be older


def prepare(
    model: Path, out: Path, repo_id: str, figures: Path | None = None, license_id: str | None = None
) -> list[str]:
    """Write everything that is published about a model into the empty folder `out`.

    The result depends on the model and the name alone: the same twice gives the same bytes.

    Args:
        model: a `.keras` file, or its folder.
        out: a folder.
        repo_id: the name it is published under.
        figures: folder that `python -m train.report` filled; by default `figures` in the model's folder.
        license_id: of the weights; by default that of the project.

    Returns:
        Notes for whoever publishes, such as why there are no figures.

    Raises:
        ModelError: a package is missing, the model cannot be loaded or converted, its records lack what a card must
            show, or there are no figures of it in the folder that was named.
    """
    require_packages(NEEDS, "publishing")
    from safetensors.torch import save_model

    classifier = EmotionClassifier.load(model)
    config = classifier.config
    weights = str(config.weights.get("file", ""))
    if Path(weights).name != weights or Path(weights).suffix != ".keras":  # a foreign one could name any file
        raise ModelError(
            f"{CONFIG_FILE} names {weights!r} as its weights, which is no .keras file beside it: make it with "
            "`python -m train.export`."
        )
    source = Path(classifier.source)
    folder = figures or source.parent / FIGURES_DIR
    found, notes = _figures(folder, config)
    if figures and not found:  # mistyped, say: without any, those that are published already would be removed
        raise ModelError(notes[0])
    card = model_card(config, repo_id, {path.stem: _description(path) for path in found}, license_id or LICENSE)
    if license_id is None and "report" in config.training:
        notes.append(f"your own model goes out under the {LICENSE.upper()} licence; --license names another")

    shutil.copyfile(source, out / weights)
    module = torch_module(classifier)
    config = write_onnx(classifier, out, module)
    published = [*found, folder / FIGURES_RECORD] if found else []  # with it who pulls them can publish them again
    drawn = {FIGURES_KEY: [path.name for path in published]}
    write_json(out / CONFIG_FILE, config.to_dict() | drawn | _transformers_keys(config))
    write_json(out / IMAGE_CONFIG_FILE, _image_processor(config))
    (out / CARD_FILE).write_text(card, encoding="utf-8")
    save_model(module, str(out / TORCH_FILE), {"format": "pt"})
    for path in CODE_DIR.glob("*.py"):
        shutil.copyfile(path, out / path.name)
    shutil.copyfile(LICENSE_FILE, out / LICENSE_FILE.name)  # which the code wants in all copies
    (out / "requirements.txt").write_text(ENDPOINT_NEEDS, encoding="utf-8")
    if published:
        (out / FIGURES_DIR).mkdir()
        for path in published:
            shutil.copyfile(path, out / FIGURES_DIR / path.name)
    _check(classifier, module, out / config.weights["onnx"]["file"])
    return notes


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
    found = sorted(one for one in folder.glob("*.png") if not one.name.startswith("."))
    if not found:
        return [], [f"no figures in {folder}: {mend}"]
    if not figures_are_of(config, folder):
        return [], [f"the figures in {folder} are not about these weights: {mend}"]
    return found, []


def _description(path: Path) -> str:
    from PIL import Image

    with Image.open(path) as picture:
        text = picture.info.get("Description", path.stem)
    return " ".join(text.split()).replace("[", "(").replace("]", ")")


def _check(classifier: EmotionClassifier, module: Any, onnx_path: Path) -> None:
    """Run the published forms as their users will, on the same made-up faces."""
    import onnxruntime
    import torch

    config = classifier.config
    faces = sample_faces(config.image_size)
    expected = scale_confidence(keras_answers(classifier, faces), config.temperature)
    with torch.no_grad():
        logits = module(torch.from_numpy(faces.transpose(0, 3, 1, 2))).logits
    require_equal("PyTorch", logits.softmax(dim=1).numpy(), expected)
    session = onnxruntime.InferenceSession(onnx_path, providers=["CPUExecutionProvider"])
    require_equal("ONNX", session.run(["probabilities"], {"grey_pixels": faces})[0], expected)
