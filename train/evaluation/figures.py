"""Figures of a model's scores and of its training."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emotion_model.labels import Label
from train.evaluation.charts import BLUE, GREY, INK, LIGHT, LINE, WIDTH, new_figure, tint, titled
from train.evaluation.metrics import expected_calibration_error
from train.runs import best_epoch

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_confusion(confusion: Sequence[Sequence[int]], emotions: Sequence[str], split: str, path: Path) -> None:
    """Heat map of a confusion matrix: colour and percentage by row, and the counts; rows true, columns predicted."""
    from matplotlib.colors import LinearSegmentedColormap

    counts = np.array(confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    wrong = np.where(np.eye(len(counts), dtype=bool), -1, shares)
    true, predicted = divmod(int(wrong.argmax()), len(wrong))
    seen = counts.sum(axis=1) > 0
    recalls = ", ".join(f"{name} {100 * shares[i, i]:.0f} %" for i, name in enumerate(emotions) if seen[i])
    description = f"Confusion matrix on {split}, {counts.sum():,} faces. Recognised: {recalls}."
    if wrong.max() > 0:
        description += (
            f" The most frequent confusion is {emotions[true]} taken for {emotions[predicted]}, "
            f"{100 * shares[true, predicted]:.0f} % of its faces."
        )
    width = max(WIDTH, 1.3 + 0.5 * len(emotions))
    with new_figure(path, width * 0.98, description, width) as figure:
        axes = figure.subplots()
        colours = LinearSegmentedColormap.from_list("shares", [(0, "white"), (0.8, BLUE), (1, "#0a3ea8")])
        axes.imshow(shares, cmap=colours, vmin=0, vmax=1)
        for (row, column), share in np.ndenumerate(shares):
            ink = "white" if share > 0.65 else INK
            text: dict[str, Any] = {"ha": "center", "color": ink}
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
    per_class = {name: scores for name, scores in per_class.items() if scores["images"]}
    best, worst = (choose(per_class, key=lambda name: per_class[name]["f1"]) for choose in (max, min))
    description = (
        f"Precision, recall and F1 per emotion on {split}. F1 is highest for {best} ({per_class[best]['f1']:.2f}) and "
        f"lowest for {worst} ({per_class[worst]['f1']:.2f})."
    )
    with new_figure(path, 1.3 + 0.56 * len(per_class), description) as figure:
        axes = figure.subplots()
        colours = {label.name: label.colour for label in labels}
        for place, (name, scores) in enumerate(per_class.items()):
            for offset, (metric, strength) in zip((-0.27, 0, 0.27), metrics, strict=True):
                value = scores[metric]
                axes.barh(place + offset, value, 0.25, color=tint(colours.get(name, GREY), strength))
                axes.text(value + 0.01, place + offset, f"{value:.2f}", va="center", fontsize=7.5)
        ticks = [f"{name}\n{scores['images']:,} faces" for name, scores in per_class.items()]
        axes.set_yticks(range(len(per_class)), ticks)
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)
        axes.set_xlim(0, 1.06)
        axes.set_ylim(len(per_class) - 0.5, -0.5)
        axes.set_xlabel("score, 0 to 1")
        names = {"f1": "F1"}
        handles = [Patch(color=tint(INK, strength), label=names.get(name, name)) for name, strength in metrics]
        titled(axes, f"Scores per emotion: {split}", handles)


def draw_reliability(bins: Sequence[dict[str, Any]], split: str, path: Path) -> None:
    """Accuracy against confidence, over a histogram of the confidence."""
    filled = [entry for entry in bins if entry["images"]]
    images, error = sum(entry["images"] for entry in filled), expected_calibration_error(bins)
    furthest = max(filled, key=lambda e: abs(e["accuracy"] - e["confidence"]) * e["images"])
    description = (
        f"Reliability diagram on {split}: accuracy against confidence in {len(bins)} bins, with a histogram of the "
        f"confidence below. The calibration error is {error:.4f}; most of it comes from answers given with "
        f"{100 * furthest['confidence']:.0f} % confidence, of which {100 * furthest['accuracy']:.0f} % are right."
    )
    with new_figure(path, 5.4, description) as figure:
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
    with new_figure(path, 5.4, description) as figure:
        rows = figure.subplots(3, 1, sharex=True, height_ratios=(3, 3, 2))
        for axes, (unit, series) in zip(rows, panels, strict=True):
            axes.axvline(best["epoch"], color=GREY, linewidth=1, linestyle="--")
            for name, label in series:
                _draw_series(axes, history, name, label)
            axes.set_ylabel(unit)
        titled(rows[0], title, [line for line in rows[0].lines if not line.get_label().startswith("_")])
        rows[1].plot(best["epoch"], 100 * best["val_accuracy"], "o", color=BLUE, markersize=5)
        rows[2].set_ylim(bottom=0)
        rows[2].yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        rows[2].xaxis.set_major_locator(MaxNLocator(integer=True))
        rows[2].set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
        rows[2].set_xlabel("epoch")
        figure.align_ylabels(rows)


def _draw_series(axes: Axes, history: Sequence[dict[str, float]], name: str, label: str) -> None:
    scale = 100 if name.endswith("accuracy") else 1
    values = [scale * entry.get(name, math.nan) for entry in history]
    if all(map(math.isnan, values)):
        return
    colour = GREY if label == "training" else BLUE
    # A line through one or two points is hardly seen.
    marker: dict[str, Any] = {"marker": "o", "markersize": 3} if len(history) < 10 else {}
    axes.plot([entry["epoch"] for entry in history], values, color=colour, linewidth=1.6, label=label, **marker)


def draw_robustness(curves: dict[str, dict[str, Any]], split: str, path: Path) -> None:
    """Accuracy as pictures get worse: a small panel per kind of damage, worse to the right."""
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
    with new_figure(path, 0.5 + 1.45 * rows, description) as figure:
        figure.set_layout_engine("constrained", h_pad=0.06)
        grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
        top = 100 * max(point["accuracy"] for curve in curves.values() for point in curve["points"])
        for axes, (name, curve) in zip(grid.flat, curves.items(), strict=False):
            _draw_damage(axes, name, curve, clean, top)
        for axes in list(grid.flat)[len(curves) :]:
            axes.set_visible(False)
        figure.suptitle(
            f"Accuracy in % on damaged pictures: {split}", x=0.02, ha="left", fontsize=10.5, weight="bold", color=INK
        )


def _draw_damage(axes: Axes, name: str, curve: dict[str, Any], clean: float, top: float) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, MultipleLocator, NullLocator

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


def damage_name(name: str) -> str:
    """The name of a kind of damage for people to read."""
    return "JPEG" if name == "jpeg" else name.replace("_", " ")
