"""All figures of a model, in one folder."""

from __future__ import annotations

from pathlib import Path

from emotion_model.files import write_json
from emotion_model.network.config import (
    CONFIG_FILE,
    FIGURES_DIR,
    FIGURES_RECORD,
    HELD_OUT,
    ModelConfig,
    ModelError,
    find_config,
    read_config,
)
from train.evaluation.figures import draw_confusion, draw_curves, draw_per_class, draw_reliability, draw_robustness
from train.evaluation.mistakes import MISTAKES_FILE, confident_mistakes, draw_mistakes
from train.runs import load_served

FIGURES = ("confusion", "per_class", "reliability", "curves", "robustness", "mistakes")


def make_report(
    model: str | Path, data_dir: Path | None = None, split: str | None = None, out_dir: Path | None = None
) -> tuple[Path, dict[str, str]]:
    """Draw everything that is known of a model.

    Args:
        model: `bundled`, a `.keras` file or its folder.
        data_dir: folder with FER2013, for the statistics of confident mistakes.
        split: whose scores; by default test where the model has it measured, else validation, and for a fine-tuned
            model the pictures held out of it.
        out_dir: where the figures go; by default `figures` beside the weights.

    Returns:
        The folder, and the figures left out: name -> why.

    Raises:
        DataError: the data cannot be used.
        ModelError: no such model, or it has no scores of that split.
    """
    config_path = find_config(model)
    config = read_config(config_path)
    out_dir = out_dir or config_path.parent / FIGURES_DIR
    split = split or next((name for name in ("test", "validation", HELD_OUT) if name in config.scores), "test")
    out_dir.mkdir(parents=True, exist_ok=True)
    left_out = draw_report(config, split, out_dir)
    mistakes = (out_dir / MISTAKES_FILE, out_dir / "mistakes.png")
    if data_dir and split != HELD_OUT:
        statistics = confident_mistakes(load_served(model), data_dir, split)
        write_json(mistakes[0], statistics)
        draw_mistakes(statistics, config.labels, mistakes[1])
    else:
        for path in mistakes:
            path.unlink(missing_ok=True)
        left_out["mistakes"] = (
            "they are counted on FER2013, and this model's scores are of other pictures"
            if split == HELD_OUT
            else "they are counted on the data set; give its folder with --data"
        )
    write_json(out_dir / FIGURES_RECORD, {"weights_sha256": config.weights.get("sha256"), "split": split})
    return out_dir, left_out


def draw_report(config: ModelConfig, split: str, out_dir: Path) -> dict[str, str]:
    """Draw every figure that the scores in a config allow, as `out_dir/<name>.png`.

    A figure left out is removed if it stands there already, so that the folder never mixes two models.

    Returns:
        The figures left out: name -> why.

    Raises:
        ModelError: the config has no scores of `split`.
    """
    if split not in config.scores:
        has = ", ".join(config.scores) or "none"
        raise ModelError(
            f"{CONFIG_FILE} has no scores of {split} (it has {has}): make it with `python -m train.export`."
        )
    scores = config.scores[split]
    emotions = scores.get("emotions", config.emotions)  # those that a model dropped are among them
    damaged = next((name for name in (split, *config.scores) if config.scores[name].get("robustness")), split)
    blend, release = config.training.get("blend"), config.training.get("release")
    share = blend["share"] / (1 + len(blend.get("averaged", ()))) if blend else 1.0
    if release:  # the curves are those of one of the runs whose weights were averaged
        share /= sum(one["taken"] for one in release["soup"])
    sources = {
        "confusion": (scores.get("confusion"), lambda found, path: draw_confusion(found, emotions, split, path)),
        "per_class": (scores.get("per_class"), lambda found, path: draw_per_class(found, config.labels, split, path)),
        "reliability": (scores.get("reliability"), lambda found, path: draw_reliability(found, split, path)),
        "curves": (config.training.get("history"), lambda found, path: draw_curves(found, path, share)),
        "robustness": (
            config.scores[damaged].get("robustness"),
            lambda found, path: draw_robustness(found, damaged, path),
        ),
    }
    left_out = {}
    for name, (found, draw) in sources.items():
        path = out_dir / f"{name}.png"
        if found:
            draw(found, path)
        else:
            path.unlink(missing_ok=True)
            what = "training history" if name == "curves" else name.replace("_", " ")
            mend = "" if split == HELD_OUT else "; a new `python -m train.export` adds it"
            left_out[name] = f"{CONFIG_FILE} has no {what}{mend}"
    return left_out
