"""The model card, filled from a model's `config.json`, never by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emotion_model.faces.cropping import LEAST_CONTRAST, MEAN_BRIGHTNESS
from emotion_model.network.config import ModelConfig, ModelError
from emotion_model.network.cost import cost

if TYPE_CHECKING:
    from huggingface_hub import ModelCardData

TEMPLATE = Path(__file__).parents[2] / "model_card.md"
CARD_FILE = "README.md"  # the Hub shows it as the page of a repository
LICENSE = "mit"  # of the code, and of the weights where nothing else is said
OFTENEST = 5  # confusions that the card names
MEND = "make it with `python -m train.export` or `train.finetune`"

# What every card shows: of a model's records, of the scores on each split, and of those on the split that it is about.
RECORDS = (
    "weights.file", "weights.parameters", "weights.multiply_adds", "weights.bytes",
    "training.config", "training.epochs", "training.environment",
)  # fmt: skip
SCORES = ("images", "accuracy", "macro_f1", "ece")
CLOSELY = ("per_class", "confusion")


def model_card(
    config: ModelConfig,
    repo_id: str = "USER/emotion-cnn",
    figures: Mapping[str, str] | None = None,
    license_id: str = LICENSE,
) -> str:
    """The text of the card for a model, with the metadata that the Hub reads.

    Args:
        config: the model's; a model that was trained on FER2013 or fine-tuned on other pictures.
        repo_id: where it is published; its examples name it.
        figures: name of each file in the folder `figures` without `.png` -> what it shows.
        license_id: of the weights, as the Hub abbreviates it.

    Raises:
        ModelError: the config lacks what a card must show, or has it in a form that cannot be shown.
    """
    from jinja2 import TemplateError

    metrics = config.scores
    if not metrics:
        raise ModelError(f"config.json has no metrics: {MEND}.")
    if not TEMPLATE.is_file():
        raise ModelError(f"{TEMPLATE}: missing; publish from a checkout of the project.")
    split = "test" if "test" in metrics else list(metrics)[-1]
    _require(config, metrics, split)
    try:
        return _filled(config, metrics, split, repo_id, figures or {}, license_id)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, TemplateError) as error:
        raise ModelError(f"config.json has a record that a card cannot show ({error}): {MEND}.") from error


def _require(config: ModelConfig, metrics: Mapping[str, Any], split: str) -> None:
    places = (place.split(".") for place in RECORDS)
    lacking = [f"{record}.{name}" for record, name in places if getattr(config, record).get(name) is None]
    lacking += [
        f"{name} on {one}"
        for one, scores in metrics.items()
        for name in (*SCORES, *(CLOSELY if one == split else ()))
        if scores.get(name) is None
    ]
    if lacking:
        raise ModelError(f"config.json lacks {', '.join(lacking)}: {MEND}.")


def _filled(
    config: ModelConfig,
    metrics: Mapping[str, Any],
    split: str,
    repo_id: str,
    figures: Mapping[str, str],
    license_id: str,
) -> str:
    from huggingface_hub import ModelCard

    report = config.training.get("report")  # of fine-tuning
    card = ModelCard.from_template(
        _metadata(metrics, repo_id, own=bool(report), license_id=license_id),
        template_path=str(TEMPLATE),
        repo_id=repo_id,
        config=config,
        onnx_file=f"{Path(config.weights['file']).stem}.onnx",
        labels=list(config.emotions),
        own=bool(report),
        pictures=sum(sum(counts.values()) for counts in report["pictures"].values()) if report else 0,
        metrics=metrics,
        scores=metrics[split],
        split=split,
        tendencies=tendencies(metrics[split]["confusion"], metrics[split].get("emotions", config.emotions)),
        training=config.training,
        recipe=json.dumps(
            {"architecture": config.architecture, "training": config.training["config"]}, indent=1, ensure_ascii=False
        ),
        **cost(config.training),
        framing=config.framing.get("yunet"),
        least_contrast=LEAST_CONTRAST,
        mean_brightness=MEAN_BRIGHTNESS,
        figures=dict(figures),
        license=license_id.upper() if license_id == LICENSE else license_id,
        code_license=LICENSE.upper(),
    )
    return str(card)


def _metadata(metrics: Mapping[str, Any], repo_id: str, own: bool, license_id: str) -> ModelCardData:
    """What the Hub reads at the head of a card; `own`: the model was fine-tuned on pictures of its maker's."""
    from huggingface_hub import EvalResult, ModelCardData

    results = [
        EvalResult(
            task_type="image-classification",
            task_name="Facial emotion recognition",
            dataset_type="other" if own else "fer2013",
            dataset_name="Pictures of its own" if own else "FER2013",
            dataset_split=name,
            metric_type=metric,
            metric_name=title,
            metric_value=scores[key],
        )
        for name, scores in metrics.items()
        for metric, title, key in (
            ("accuracy", "Accuracy", "accuracy"),
            ("f1", "Macro F1", "macro_f1"),
            ("ece", "Expected calibration error", "ece"),
        )
    ]
    return ModelCardData(
        model_name=repo_id.split("/")[-1],
        library_name="transformers",  # whose snippet on the Hub works; that of Keras wants hf://
        pipeline_tag="image-classification",
        license=license_id,
        datasets=None if own else ["fer2013"],
        metrics=["accuracy", "f1"],
        tags=["emotion-recognition", "facial-expression-recognition", "fer2013", "keras", "onnx", "transformers"],
        eval_results=results,
    )


def tendencies(confusion: Sequence[Sequence[int]], emotions: Sequence[str]) -> dict[str, Any]:
    """What a confusion matrix (rows true, columns named) says about a model's leanings.

    Returns:
        `named`: per class that occurs, `(emotion, images, times named, named / images)`, the most over-named first;
        `confusions`: the OFTENEST `(true, named, images, share of the true class)`.
    """
    named = [sum(column) for column in zip(*confusion, strict=True)]
    ratios = [
        (emotion, sum(row), count, count / sum(row))
        for emotion, row, count in zip(emotions, confusion, named, strict=True)
        if sum(row)
    ]
    errors = [
        (emotions[i], emotions[j], count, count / sum(row))
        for i, row in enumerate(confusion)
        for j, count in enumerate(row)
        if i != j and count
    ]
    return {
        "named": sorted(ratios, key=lambda one: -one[3]),
        "confusions": sorted(errors, key=lambda one: -one[2])[:OFTENEST],
    }
