"""The mistakes that a model is sure of."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emotion_model.labels import Label
from emotion_model.network.calibration import scale_confidence
from emotion_model.network.classifier import EmotionClassifier
from train.data.fer2013 import load_split
from train.evaluation.charts import AMBER, BLUE, GREY, INK, LIGHT, LINE, new_figure, titled
from train.evaluation.metrics import expected_calibration_error, reliability
from train.evaluation.scores import class_order, ferplus_majority

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MISTAKES_FILE = "mistakes.json"
CONFIDENT = 0.8  # what counts as a confident answer
MOST_CONFIDENT = 200  # mistakes, counted from the surest one
PAIRS_SHOWN = 10


def confident_mistakes(classifier: EmotionClassifier, data_dir: str | Path, split: str) -> dict[str, Any]:
    """Statistics of the answers that contradict the label although the network was sure, JSON-ready.

    Returns:
        `weights` (sha256 of the model's), `split`, `images`, `confident` (the threshold), `confident_answers` (how many
        reach it), `ece` and `ece_without_temperature`, and under `groups` the statistics of `correct`, `mistakes`,
        `confident_mistakes` and `most_confident_mistakes`: `images`, `mean_confidence`, `brightness` and `contrast`
        (mean of the faces' mean and standard deviation, grey levels 0..255), `pairs` (true, predicted, images; most
        frequent first) and `ferplus`, the shares whose FER+ majority sides `with_network`, `with_label` or
        `with_another` emotion, or that have `no_clear_majority`. Means and shares of no face, and `ferplus` of a data
        set without votes, are None.

    Raises:
        DataError: the data cannot be used, or has other classes than the model.
    """
    dataset = load_split(data_dir, split)
    emotions = classifier.emotions
    order = class_order(dataset, emotions)
    labels = order[dataset.labels]
    majority = ferplus_majority(dataset)
    majority = np.where(majority >= 0, order[majority], -1)
    plain = copy.copy(classifier)
    plain.config = replace(classifier.config, temperature=1.0)
    uncalibrated = plain.predict(dataset.images)
    probabilities = scale_confidence(uncalibrated, classifier.config.temperature)
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    brightness, contrast = dataset.images.mean(axis=(1, 2)), dataset.images.std(axis=(1, 2))

    def group(chosen: np.ndarray) -> dict[str, Any]:
        label, claim = labels[chosen], predicted[chosen]
        return {
            "images": len(chosen),
            "mean_confidence": _mean(confidence[chosen]),
            "brightness": _mean(brightness[chosen], 1),
            "contrast": _mean(contrast[chosen], 1),
            "pairs": _pairs(label, claim, emotions),
            "ferplus": None if dataset.votes is None else _sides(majority[chosen], label, claim),
        }

    mistakes = np.flatnonzero(predicted != labels)
    mistakes = mistakes[np.argsort(-confidence[mistakes], kind="stable")]
    return {
        "weights": classifier.config.weights.get("sha256"),
        "split": split,
        "images": len(labels),
        "confident": CONFIDENT,
        "confident_answers": int((confidence >= CONFIDENT).sum()),
        "ece": round(expected_calibration_error(reliability(labels, probabilities)), 4),
        "ece_without_temperature": round(expected_calibration_error(reliability(labels, uncalibrated)), 4),
        "groups": {
            "correct": group(np.flatnonzero(predicted == labels)),
            "mistakes": group(mistakes),
            "confident_mistakes": group(mistakes[confidence[mistakes] >= CONFIDENT]),
            "most_confident_mistakes": group(mistakes[:MOST_CONFIDENT]),
        },
    }


def _mean(values: np.ndarray, digits: int = 4) -> float | None:
    return round(float(values.mean()), digits) if len(values) else None


def _pairs(labels: np.ndarray, predicted: np.ndarray, emotions: Sequence[str]) -> list[dict[str, Any]]:
    pairs = Counter((emotions[t], emotions[p]) for t, p in zip(labels, predicted, strict=True) if t != p)
    return [{"true": t, "predicted": p, "images": count} for (t, p), count in pairs.most_common()]


def _sides(majority: np.ndarray, labels: np.ndarray, predicted: np.ndarray) -> dict[str, float | None]:
    """Whom the FER+ majority sides with; -1 stands for none."""
    return {
        "with_network": _mean(majority == predicted),
        "with_label": _mean(majority == labels),
        "with_another": _mean((majority >= 0) & (majority != predicted) & (majority != labels)),
        "no_clear_majority": _mean(majority < 0),
    }


def draw_mistakes(statistics: dict[str, Any], labels: Sequence[Label], path: Path) -> None:
    """What `confident_mistakes` found: the confusions, what FER+ says, brightness and contrast."""
    groups = statistics["groups"]
    confident = groups["confident_mistakes"]
    names = {
        "correct": "correct",
        "mistakes": "all mistakes",
        "confident_mistakes": f"confidence ≥ {100 * statistics['confident']:.0f} %",
        "most_confident_mistakes": f"{groups['most_confident_mistakes']['images']} most confident",
    }
    pairs = confident["pairs"][:PAIRS_SHOWN]
    description = (
        f"Mistakes on {statistics['split']} made with at least {100 * statistics['confident']:.0f} % confidence: "
        f"{confident['images']:,} of {groups['mistakes']['images']:,} mistakes."
    )
    if pairs:
        first = pairs[0]
        description += f" Most often {first['true']} is taken for {first['predicted']} ({first['images']} faces)."
    has_votes = confident["images"] and confident["ferplus"]
    if has_votes:
        description += (
            f" The FER+ majority sides with the network in {100 * confident['ferplus']['with_network']:.0f} % of them."
        )
    filled = {name: group for name, group in groups.items() if group["images"]}
    heights = (0.8 + 0.22 * max(1, len(pairs)), 1.6 if has_votes else 0, 0.8 + 0.22 * len(filled))
    with new_figure(path, sum(heights) + 0.5, description) as figure:
        rows = [height for height in heights if height]
        grid = figure.add_gridspec(len(rows), 2, height_ratios=rows)
        _draw_pairs(figure.add_subplot(grid[0, :]), pairs, confident["images"], statistics, labels)
        if has_votes:
            wrong = {names[name]: group["ferplus"] for name, group in filled.items() if name != "correct"}
            _draw_votes(figure.add_subplot(grid[1, :]), wrong)
        for column, measure in enumerate(("brightness", "contrast")):
            axes = figure.add_subplot(grid[-1, column])
            _draw_bars(axes, {names[name]: group[measure] for name, group in filled.items()}, [LINE] * len(filled))
            axes.margins(x=0.2)
            axes.tick_params(labelleft=column == 0)
            axes.set_title(f"Mean {measure}")
            axes.set_xlabel("grey levels of 255")


def _draw_pairs(
    axes: Axes, pairs: list[dict[str, Any]], images: int, statistics: dict[str, Any], labels: Sequence[Label]
) -> None:
    colours = {label.name: label.colour for label in labels}
    _draw_bars(
        axes,
        {f"{pair['true']} → {pair['predicted']}": pair["images"] for pair in pairs},
        [colours.get(pair["predicted"], GREY) for pair in pairs],
    )
    axes.margins(x=0.1)
    axes.set_xlabel("faces, true → predicted" if pairs else "no mistake was so confident")
    sure = f"≥ {100 * statistics['confident']:.0f} %"
    axes.set_title(f"{images:,} mistakes with confidence {sure}: {statistics['split']}", loc="right")


def _draw_bars(axes: Axes, values: dict[str, float], colours: Sequence[str]) -> None:
    axes.barh(range(len(values)), list(values.values()), 0.7, color=colours)
    for place, value in enumerate(values.values()):
        axes.text(value, place, f" {value:.0f}", va="center", fontsize=8)
    axes.set_yticks(range(len(values)), list(values))
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)


def _draw_votes(axes: Axes, shares: dict[str, dict[str, float]]) -> None:
    sides = (
        ("with_network", "the network", BLUE, "white"),
        ("with_label", "the label", AMBER, INK),
        ("with_another", "another emotion", LINE, INK),
        ("no_clear_majority", "no clear majority", LIGHT, INK),
    )
    starts = np.zeros(len(shares))
    handles = []
    for side, name, colour, ink in sides:
        widths = np.array([100 * votes[side] for votes in shares.values()])
        handles.append(axes.barh(range(len(shares)), widths, 0.7, left=starts, color=colour, label=name))
        for place, (start, width) in enumerate(zip(starts, widths, strict=True)):
            if width >= 6:
                axes.text(start + width / 2, place, f"{width:.0f}", ha="center", va="center", fontsize=8, color=ink)
        starts = starts + widths
    axes.set_yticks(range(len(shares)), list(shares))
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.set_xlim(0, 100)
    axes.set_xlabel("mistakes in %")
    titled(axes, "With whom the FER+ majority sides", handles, columns=2)
