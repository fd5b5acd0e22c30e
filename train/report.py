"""Figures of what a model can do, from the scores in its `config.json`; with the data also where it is surely wrong.

    python -m train.report --model bundled                 what config.json tells
    python -m train.report --model bundled --data DIR      and the statistics of its confident mistakes

Without `--out` the figures go to `figures/` beside the weights, where the page and the model card look for them.
They are drawn for the width of a phone and say in their own metadata, under `Description`, what they show.
No face of the data set is drawn or written.
"""

from __future__ import annotations

import argparse
import copy
import math
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from emotion_model.hub.card import FIGURES_RECORD
from emotion_model.labels import Label
from emotion_model.network.calibration import scale_confidence
from emotion_model.network.classifier import EmotionClassifier
from emotion_model.network.config import BUNDLED_DIR, CONFIG_FILE, FIGURES_DIR, HELD_OUT, ModelConfig, ModelError
from train.config import write_json
from train.data.fer2013 import DataError, load_split
from train.evaluate import class_order, expected_calibration_error, ferplus_majority
from train.runs import best_epoch

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FIGURES = ("confusion", "per_class", "reliability", "curves", "robustness", "mistakes")
MISTAKES_FILE = "mistakes.json"
CONFIDENT = 0.8  # what counts as a confident answer
MOST_CONFIDENT = 200  # mistakes, counted from the surest one
PAIRS_SHOWN = 10

WIDTH = 4.8  # inches: at the width of a phone, points come out as about as many CSS pixels
DPI = 200
INK, GREY, LINE, LIGHT = "#20242c", "#70747f", "#c9ccd6", "#e6e8ee"
BLUE, AMBER = "#0e5cff", "#b78300"
STYLE = {
    "font.size": 9.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": LINE,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LIGHT,
    "grid.linewidth": 0.8,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    # White and opaque with a margin, so that a figure is as easy to read on a dark page.
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "savefig.transparent": False,
    "figure.constrained_layout.w_pad": 0.12,
    "figure.constrained_layout.h_pad": 0.12,
}


def find_config(model: str | Path) -> Path:
    """Path of the config of a model: `bundled`, a `.keras` file or its folder.

    Raises:
        ModelError: no such model.
    """
    path = BUNDLED_DIR if str(model) == "bundled" else Path(model)
    if not path.exists():
        raise ModelError(f"{path}: no such model; give `bundled`, a .keras file or its folder with {CONFIG_FILE}.")
    return path / CONFIG_FILE if path.is_dir() else path.with_name(CONFIG_FILE)


def read_config(path: Path) -> ModelConfig:
    """The config of a model; its weights are not read.

    Raises:
        ModelError: it is missing or not a config.
    """
    try:
        return ModelConfig.from_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: cannot be read; `python -m train.export` writes it beside the weights.") from error


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
        statistics = confident_mistakes(EmotionClassifier.load(model), data_dir, split)
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
    damaged = next((name for name in (split, *config.scores) if config.scores[name].get("robustness")), split)
    blend = config.training.get("blend")
    share = blend["share"] / (1 + len(blend.get("averaged", ()))) if blend else 1.0
    sources = {
        "confusion": (scores.get("confusion"), lambda found, path: draw_confusion(found, config.emotions, split, path)),
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


def draw_confusion(confusion: Sequence[Sequence[int]], emotions: Sequence[str], split: str, path: Path) -> None:
    """Heat map of a confusion matrix: colour and percentage by row, and the counts; rows true, columns predicted."""
    from matplotlib.colors import LinearSegmentedColormap

    counts = np.array(confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    wrong = np.where(np.eye(len(counts), dtype=bool), -1, shares)
    true, predicted = np.unravel_index(wrong.argmax(), wrong.shape)
    recalls = ", ".join(f"{name} {100 * shares[i, i]:.0f} %" for i, name in enumerate(emotions))
    description = (
        f"Confusion matrix on {split}, {counts.sum():,} faces. Recognised: {recalls}. The most frequent confusion is "
        f"{emotions[true]} taken for {emotions[predicted]}, {100 * shares[true, predicted]:.0f} % of its faces."
    )
    width = max(WIDTH, 1.3 + 0.5 * len(emotions))
    with _figure(path, width * 0.98, description, width) as figure:
        axes = figure.subplots()
        colours = LinearSegmentedColormap.from_list("shares", [(0, "white"), (0.8, BLUE), (1, "#0a3ea8")])
        axes.imshow(shares, cmap=colours, vmin=0, vmax=1)
        for (row, column), share in np.ndenumerate(shares):
            ink = "white" if share > 0.65 else INK
            text = {"ha": "center", "color": ink}
            axes.text(column, row - 0.12, f"{100 * share:.0f} %", va="center", fontsize=9, **text)
            axes.text(column, row + 0.24, f"{counts[row, column]:,}", va="center", fontsize=7.5, **text)
        axes.set_xticks(range(len(emotions)), emotions, rotation=40, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(emotions)), emotions)
        axes.set_xticks(np.arange(len(emotions) - 1) + 0.5, minor=True)
        axes.set_yticks(np.arange(len(emotions) - 1) + 0.5, minor=True)
        axes.grid(visible=False)
        axes.grid(which="minor", color=LIGHT)
        axes.tick_params(which="minor", length=0)
        axes.spines[:].set_visible(False)
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        axes.set_title(f"Who is taken for whom: {split}, {counts.sum():,} faces")


def draw_per_class(per_class: dict[str, dict[str, Any]], labels: Sequence[Label], split: str, path: Path) -> None:
    """Bars of precision, recall and F1 per emotion, each in its own colour."""
    from matplotlib.patches import Patch

    metrics = (("precision", 0.3), ("recall", 0.6), ("f1", 1.0))  # and how strong its colour is
    best, worst = (choose(per_class, key=lambda name: per_class[name]["f1"]) for choose in (max, min))
    description = (
        f"Precision, recall and F1 per emotion on {split}. F1 is highest for {best} ({per_class[best]['f1']:.2f}) and "
        f"lowest for {worst} ({per_class[worst]['f1']:.2f})."
    )
    with _figure(path, 1.3 + 0.56 * len(per_class), description) as figure:
        axes = figure.subplots()
        colours = {label.name: label.colour for label in labels}
        for place, (name, scores) in enumerate(per_class.items()):
            for offset, (metric, strength) in zip((-0.27, 0, 0.27), metrics, strict=True):
                value = scores[metric]
                axes.barh(place + offset, value, 0.25, color=_tint(colours.get(name, GREY), strength))
                axes.text(value + 0.01, place + offset, f"{value:.2f}", va="center", fontsize=7.5)
        ticks = [f"{name}\n{scores['images']:,} faces" for name, scores in per_class.items()]
        axes.set_yticks(range(len(per_class)), ticks)
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)
        axes.set_xlim(0, 1.06)
        axes.set_ylim(len(per_class) - 0.5, -0.5)
        axes.set_xlabel("score, 0 to 1")
        names = {"f1": "F1"}
        handles = [Patch(color=_tint(INK, strength), label=names.get(name, name)) for name, strength in metrics]
        _title(axes, f"Scores per emotion: {split}", handles)


def draw_reliability(bins: Sequence[dict[str, Any]], split: str, path: Path) -> None:
    """Accuracy against confidence, over a histogram of the confidence."""
    filled = [entry for entry in bins if entry["images"]]
    images = sum(entry["images"] for entry in filled)
    error = sum(abs(e["accuracy"] - e["confidence"]) * e["images"] for e in filled) / max(1, images)
    furthest = max(filled, key=lambda e: abs(e["accuracy"] - e["confidence"]) * e["images"])
    description = (
        f"Reliability diagram on {split}: accuracy against confidence in {len(bins)} bins, with a histogram of the "
        f"confidence below. The calibration error is {error:.4f}; most of it comes from answers given with "
        f"{100 * furthest['confidence']:.0f} % confidence, of which {100 * furthest['accuracy']:.0f} % are right."
    )
    with _figure(path, 5.4, description) as figure:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        upper.plot((0, 100), (0, 100), color=GREY, linewidth=1, linestyle="--", label="as sure as right")
        lows, widths = zip(*((100 * e["low"], 100 * (e["high"] - e["low"])) for e in filled), strict=True)
        bars = {"align": "edge", "edgecolor": "white", "linewidth": 1}
        upper.bar(lows, [100 * e["accuracy"] for e in filled], widths, color="#9db6ee", label="accuracy", **bars)
        upper.plot(
            [100 * e["confidence"] for e in filled],
            [100 * e["accuracy"] for e in filled],
            "o",
            color=BLUE,
            markersize=4,
            label="bin's mean confidence",
        )
        upper.set_ylim(0, 100)
        upper.set_ylabel("accuracy in %")
        upper.legend(loc="upper left", fontsize=9)
        upper.set_title(f"Is it right when it is sure? ECE {error:.3f} on {split}")
        lower.bar(lows, [100 * e["images"] / images for e in filled], widths, color=LINE, **bars)
        lower.set_xlim(0, 100)
        lower.set_xlabel("confidence in %")
        lower.set_ylabel("faces in %")


def draw_curves(history: Sequence[dict[str, float]], path: Path, share: float = 1.0) -> None:
    """Loss, accuracy and learning rate over the epochs, the best one marked; cheap enough for the end of each epoch.

    Args:
        history: one entry per epoch with `epoch`, `val_accuracy` and, as far as known, `loss`, `accuracy`, `val_loss`
            and `learning_rate`.
        path: the PNG to write; a reader never sees half of it.
        share: of this run in a model that is a mean of weights (`train.blend`), whose own accuracy is another one.

    Raises:
        ValueError: no epoch.
    """
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    if not history:
        raise ValueError("history=[]: there is nothing to draw before the first epoch")
    epochs = [entry["epoch"] for entry in history]
    best = best_epoch(history)
    description = (
        f"Loss, accuracy and learning rate over {len(history)} epochs. Validation accuracy is best in epoch "
        f"{best['epoch']} with {100 * best['val_accuracy']:.2f} %, and ends at "
        f"{100 * history[-1]['val_accuracy']:.2f} %."
    )
    title = f"Best: {100 * best['val_accuracy']:.2f} % on validation, epoch {best['epoch']}"
    if share < 1:
        description += f" The model is a mean of weights, {100 * share:.0f} % this run's, and has other scores."
        title = f"The run that {100 * share:.0f} % of the weights come from"
    panels = (
        ("loss", (("loss", "training"), ("val_loss", "validation"))),
        ("accuracy in %", (("accuracy", "training"), ("val_accuracy", "validation"))),
        ("learning rate", (("learning_rate", ""),)),
    )
    with _figure(path, 5.4, description) as figure:
        rows = figure.subplots(3, 1, sharex=True, height_ratios=(3, 3, 2))
        for axes, (unit, series) in zip(rows, panels, strict=True):
            axes.axvline(best["epoch"], color=GREY, linewidth=1, linestyle="--")
            for name, label in series:
                scale = 100 if name.endswith("accuracy") else 1
                values = [scale * entry.get(name, math.nan) for entry in history]
                if all(map(math.isnan, values)):
                    continue
                colour = GREY if label == "training" else BLUE
                # A line through one or two points is hardly seen.
                marker = {"marker": "o", "markersize": 3} if len(history) < 10 else {}
                axes.plot(epochs, values, color=colour, linewidth=1.6, label=label, **marker)
            axes.set_ylabel(unit)
        _title(
            rows[0],
            title,
            [line for line in rows[0].lines if not line.get_label().startswith("_")],
        )
        rows[1].plot(best["epoch"], 100 * best["val_accuracy"], "o", color=BLUE, markersize=5)
        rows[2].set_ylim(bottom=0)
        rows[2].yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        rows[2].xaxis.set_major_locator(MaxNLocator(integer=True))
        rows[2].set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
        rows[2].set_xlabel("epoch")
        figure.align_ylabels(rows)


def draw_robustness(curves: dict[str, dict[str, Any]], split: str, path: Path) -> None:
    """Accuracy as pictures get worse: a small panel per kind of damage, worse to the right."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, MultipleLocator, NullLocator

    clean = next(iter(curves.values()))["points"][0]["accuracy"]
    strongest = {name: curve["points"][-1] for name, curve in curves.items()}
    worst, mildest = (choose(strongest, key=lambda name: strongest[name]["accuracy"]) for choose in (min, max))
    description = (
        f"Accuracy on damaged faces of {split}, one panel per kind of damage; {100 * clean:.0f} % undamaged. At the "
        f"strongest level {damage_name(worst)} costs most, down to {100 * strongest[worst]['accuracy']:.0f} %, and "
        f"{damage_name(mildest)} least, {100 * strongest[mildest]['accuracy']:.0f} %."
    )
    columns = 2
    rows = -(-len(curves) // columns)
    with _figure(path, 0.5 + 1.45 * rows, description) as figure:
        figure.get_layout_engine().set(h_pad=0.06)
        grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
        top = 100 * max(point["accuracy"] for curve in curves.values() for point in curve["points"])
        for axes, (name, curve) in zip(grid.flat, curves.items(), strict=False):
            values = [point["value"] for point in curve["points"]]
            axes.axhline(100 * clean, color=GREY, linewidth=1, linestyle="--")
            accuracies = [100 * point["accuracy"] for point in curve["points"]]
            axes.plot(values, accuracies, "o-", color=BLUE, linewidth=1.6, markersize=3.5)
            below = accuracies[-1] > top / 3
            axes.annotate(
                f"{accuracies[-1]:.0f}",
                (values[-1], accuracies[-1]),
                xytext=(0, -6 if below else 6),
                textcoords="offset points",
                ha="center",
                va="top" if below else "bottom",
                fontsize=8,
            )
            axes.xaxis.set_major_locator(FixedLocator(values))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            if values[0] > values[-1]:
                axes.invert_xaxis()
            axes.grid(visible=False, axis="x")
            axes.yaxis.set_major_locator(MultipleLocator(20))
            axes.set_ylim(0, min(104, top + 8))
            axes.tick_params(labelsize=8)
            axes.set_title(damage_name(name).capitalize() if name != "jpeg" else damage_name(name), fontsize=9.5)
            axes.set_xlabel(textwrap.fill(curve["unit"], 34), fontsize=8)
        for axes in list(grid.flat)[len(curves) :]:
            axes.set_visible(False)
        figure.suptitle(
            f"Accuracy in % on damaged pictures: {split}", x=0.02, ha="left", fontsize=10.5, weight="bold", color=INK
        )


def damage_name(name: str) -> str:
    """The name of a kind of damage for people to read."""
    return "JPEG" if name == "jpeg" else name.replace("_", " ")


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

    def mean(values: np.ndarray, digits: int = 4) -> float | None:
        return round(float(values.mean()), digits) if len(values) else None

    def group(chosen: np.ndarray) -> dict[str, Any]:
        says, label, claim = majority[chosen], labels[chosen], predicted[chosen]
        pairs = Counter((emotions[t], emotions[p]) for t, p in zip(label, claim, strict=True) if t != p)
        return {
            "images": len(chosen),
            "mean_confidence": mean(confidence[chosen]),
            "brightness": mean(brightness[chosen], 1),
            "contrast": mean(contrast[chosen], 1),
            "pairs": [{"true": t, "predicted": p, "images": count} for (t, p), count in pairs.most_common()],
            "ferplus": None
            if dataset.votes is None
            else {
                "with_network": mean(says == claim),
                "with_label": mean(says == label),
                "with_another": mean((says >= 0) & (says != claim) & (says != label)),
                "no_clear_majority": mean(says < 0),
            },
        }

    mistakes = np.flatnonzero(predicted != labels)
    mistakes = mistakes[np.argsort(-confidence[mistakes], kind="stable")]
    return {
        "weights": classifier.config.weights.get("sha256"),
        "split": split,
        "images": len(labels),
        "confident": CONFIDENT,
        "confident_answers": int((confidence >= CONFIDENT).sum()),
        "ece": round(expected_calibration_error(labels, probabilities), 4),
        "ece_without_temperature": round(expected_calibration_error(labels, uncalibrated), 4),
        "groups": {
            "correct": group(np.flatnonzero(predicted == labels)),
            "mistakes": group(mistakes),
            "confident_mistakes": group(mistakes[confidence[mistakes] >= CONFIDENT]),
            "most_confident_mistakes": group(mistakes[:MOST_CONFIDENT]),
        },
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
    with _figure(path, sum(heights) + 0.5, description) as figure:
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
    _title(axes, "With whom the FER+ majority sides", handles, columns=2)


def _title(axes: Axes, title: str, handles: Sequence[Any], columns: int = 3) -> None:
    """A title with the legend between it and the axes, where no curve can run through it."""
    axes.set_title(title, pad=8 + 13 * math.ceil(len(handles) / columns))
    axes.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        borderaxespad=0.2,
        borderpad=0,
        ncols=columns,
        handlelength=1,
        columnspacing=1.4,
        labelspacing=0.3,
        fontsize=8.5,
    )


def _tint(colour: str, strength: float) -> tuple[float, ...]:
    """A colour mixed with white; unlike transparency it hides the grid behind it."""
    from matplotlib.colors import to_rgb

    return tuple(1 - strength * (1 - part) for part in to_rgb(colour))


@contextmanager
def _figure(path: Path, height: float, description: str, width: float = WIDTH) -> Iterator[Figure]:
    """A figure in the common style, in inches; written to `path` at the end, whole or not at all."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ValueError("figures need matplotlib: pip install -r requirements-train.txt") from error
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        partial = path.with_name(f"partial-{path.name}")
        figure.savefig(partial, dpi=DPI)
    said = PngInfo()
    said.add_text("Description", description)
    with Image.open(partial) as picture:  # a few dozen colours say the same in a third of the bytes
        picture.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(partial, "PNG", optimize=True, pnginfo=said)
    partial.replace(path)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m train.report", description="Draw what a model can do.")
    parser.add_argument("--model", default="bundled", help="`bundled`, a .keras file or its folder (default: bundled)")
    parser.add_argument("--data", type=Path, help="folder with FER2013, for the statistics of confident mistakes")
    parser.add_argument("--split", choices=("validation", "test"), help="default: test where the model has it measured")
    parser.add_argument("--out", type=Path, help="folder for the figures (default: `figures` beside the weights)")
    options = parser.parse_args(arguments)
    try:
        out, left_out = make_report(options.model, options.data, options.split, options.out)
    except (DataError, ModelError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for name in FIGURES:
        if name in left_out:
            print(f"{name}.png left out: {left_out[name]}", file=sys.stderr)
        else:
            print(out / f"{name}.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
