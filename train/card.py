"""The model card, filled from a model's `config.json`, never by hand.

python -m train.card [--model PATH] [--out FILE]
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from emotion_model.classifier import BUNDLED_DIR, CONFIG_FILE, ModelConfig, ModelError

TEMPLATE = Path(__file__).parent.parent / "model_card.md"


def model_card(config: ModelConfig, template: Path = TEMPLATE) -> str:
    """The text of the card for a model, with the metadata that the Hub reads.

    Raises:
        ModelError: the config lacks the metrics or the training record that a card must show.
    """
    from huggingface_hub import EvalResult, ModelCard, ModelCardData

    if not config.metrics or not config.training:
        raise ModelError("config.json has no metrics: make it with `python -m train.export`.")
    results = [
        EvalResult(
            task_type="image-classification",
            task_name="Facial emotion recognition",
            dataset_type="fer2013",
            dataset_name="FER2013",
            dataset_split=split,
            metric_type=metric,
            metric_value=scores[name],
        )
        for split, scores in config.metrics.items()
        for metric, name in (("accuracy", "accuracy"), ("f1", "macro_f1"))
    ]
    card_data = ModelCardData(
        model_name="Emotion CNN",
        library_name="keras",
        pipeline_tag="image-classification",
        tags=["emotion-recognition", "facial-expression", "fer2013"],
        eval_results=results,
    )
    card = ModelCard.from_template(
        card_data,
        template_path=str(template),
        labels=list(config.emotions),
        parameters=config.weights["parameters"],
        metrics=config.metrics,
        training=config.training,
        recipe=json.dumps(
            {"architecture": config.architecture, "training": config.training["config"]}, indent=1, ensure_ascii=False
        ),
        temperature=config.temperature,
        image_size=config.image_size,
        framing_yunet=config.framing["yunet"],
    )
    return str(card)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m train.card", description="Fill the model card.")
    parser.add_argument("--model", type=Path, default=BUNDLED_DIR, help="a model's folder (default: the bundled one)")
    parser.add_argument("--out", type=Path, help="where it goes (default: printed)")
    options = parser.parse_args(arguments)
    try:
        text = model_card(ModelConfig.from_json((options.model / CONFIG_FILE).read_text(encoding="utf-8")))
    except (ModelError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    else:
        print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
