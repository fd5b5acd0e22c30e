"""The model card, filled from a model's `config.json`, never by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emotion_model.network.config import ModelConfig, ModelError

if TYPE_CHECKING:
    from huggingface_hub import ModelCardData

TEMPLATE = Path(__file__).parents[2] / "model_card.md"
CARD_FILE = "README.md"  # the Hub shows it as the page of a repository
FIGURES_RECORD = "figures.json"  # in the folder of figures; says which weights they are about
LICENSE = "mit"  # of code and weights
OFTENEST = 5  # confusions that the card names
WATTS_PER_CORE = 15  # assumed for the estimate of energy; nothing was metered
WATTS_PER_GPU = 700  # likewise: what a large one may draw


def model_card(
    config: ModelConfig,
    repo_id: str = "USER/emotion-cnn",
    figures: Mapping[str, str] | None = None,
) -> str:
    """The text of the card for a model, with the metadata that the Hub reads.

    Args:
        config: the model's; a model that was trained on FER2013 or fine-tuned on other pictures.
        repo_id: where it is published; its examples name it.
        figures: name of each file in the folder `figures` without `.png` -> what it shows.

    Raises:
        ModelError: the config lacks the metrics or the training record that a card must show.
    """
    from huggingface_hub import ModelCard

    report = config.training.get("report")  # of fine-tuning
    metrics = config.scores
    if not metrics or not config.training:
        raise ModelError("config.json has no metrics: make it with `python -m train.export` or `train.finetune`.")
    if not TEMPLATE.is_file():
        raise ModelError(f"{TEMPLATE}: missing; publish from a checkout of the project.")
    split = "test" if "test" in metrics else list(metrics)[-1]
    card = ModelCard.from_template(
        _metadata(metrics, repo_id, own=bool(report)),
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
        **_cost(config.training),
        framing=config.framing.get("yunet"),
        figures=dict(figures or {}),
        license=LICENSE.upper(),
    )
    return str(card)


def _metadata(metrics: Mapping[str, Any], repo_id: str, own: bool) -> ModelCardData:
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
        library_name="keras",
        pipeline_tag="image-classification",
        license=LICENSE,
        datasets=None if own else ["fer2013"],
        metrics=["accuracy", "f1"],
        tags=["emotion-recognition", "facial-expression-recognition", "fer2013", "keras", "onnx", "transformers"],
        eval_results=results,
    )


def _cost(training: Mapping[str, Any]) -> dict[str, Any]:
    """What a card says of time and energy."""
    environment, total = training["environment"], spent(training)
    gpu_minutes = total.get("gpu_minutes", 0)
    minutes = total["minutes"] - gpu_minutes
    # A run may have gone on elsewhere: the most cores that any part of it had.
    cores = max(place["cpu_count"] for place in (environment, *environment.get("resumed", ())))
    return {
        "hours": minutes / 60,
        "cores": cores,
        "core_hours": minutes / 60 * cores,
        "kilowatt_hours": (minutes * cores * WATTS_PER_CORE + gpu_minutes * WATTS_PER_GPU) / 60 / 1000,
        "watts_per_core": WATTS_PER_CORE,
        "gpu": total.get("gpu"),
        "gpu_minutes": gpu_minutes,
        "watts_per_gpu": WATTS_PER_GPU,
    }


def spent(training: Mapping[str, Any]) -> dict[str, Any]:
    """What a model's training took, with all that it rests on: runs that it began with, teachers, averaged runs.

    Args:
        training: the record of a model's `config.json`.

    Returns:
        `minutes`, and where some of them were on a GPU `gpu`, its name, and `gpu_minutes`, how many.
    """
    start = training.get("start") or {}
    # A start's minutes hold those of its teachers, and it may be a teacher itself.
    counted = {start.get("sha256"), *(one["sha256"] for one in start.get("teacher", ()) if "minutes" in one)}
    blend = training.get("blend") or {}
    parts = [start, *(one for one in training.get("teacher", ()) if one["sha256"] not in counted)]
    parts += [blend, *blend.get("averaged", ())]
    if training.get("base"):
        parts.append(spent(training["base"]))
    own = {"minutes": training.get("minutes", 0)}
    if training.get("environment", {}).get("gpu"):
        own |= {"gpu": training["environment"]["gpu"], "gpu_minutes": own["minutes"]}
    parts.append(own)
    total: dict[str, Any] = {"minutes": round(sum(part.get("minutes", 0) for part in parts), 1)}
    gpus = [part["gpu"] for part in parts if part.get("gpu")]
    if gpus:
        total |= {"gpu": gpus[-1], "gpu_minutes": round(sum(part.get("gpu_minutes", 0) for part in parts), 1)}
    return total


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
