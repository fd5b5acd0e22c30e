"""What the runs of a plan came to, as a table and a plot."""

from __future__ import annotations

import csv
import json
import statistics
import time
from pathlib import Path
from typing import Any

from emotion_model.files import read_json, whole_file
from train.config import PRESETS
from train.data.fer2013 import FaceDataset
from train.evaluation.charts import BLUE, GREY, INK, new_figure, tint
from train.experiments.measures import corrected_scores, damaged_accuracy
from train.experiments.plans import Plan
from train.experiments.running import folder_of
from train.runs import is_complete

COLUMNS = (
    "run", "changes", "seeds", "accuracy", "accuracy_spread", "difference", "macro_f1", "macro_f1_spread", "worst_f1",
    "worst_f1_spread", "worst_emotion", "corrected_accuracy", "corrected_accuracy_spread", "corrected_macro_f1",
    "corrected_macro_f1_spread", "corrected_worst_f1", "corrected_worst_f1_spread", "corrected_worst_emotion",
    "damaged", "damaged_spread", "parameters", "multiply_adds", "ms_per_face", "minutes", "epochs", "train_faces",
    "failed",
)  # fmt: skip
TIMED_BATCH = 16
DRAWN = {
    "accuracy": "accuracy in %",
    "macro_f1": "macro-F1 in %",
    "worst_f1": "F1 of the worst emotion in %",
    "damaged": "accuracy on damaged faces in %",
}


def collect(
    plan: Plan,
    out: Path,
    timed: bool = False,
    faces: FaceDataset | None = None,
    corrected: tuple[FaceDataset, FaceDataset] | None = None,
) -> list[dict[str, Any]]:
    """The table as far as runs are complete.

    Args:
        plan: what was run.
        out: its folder.
        timed: also measure the forward pass, which takes some seconds a run.
        faces: also measure these with every damage of `robustness_curves`, which takes a minute a run; a run keeps it.
        corrected: also measure the first of these after the correction of an export; a run has learned from the second.
    """
    rows: list[dict[str, Any]] = []
    first: dict[int, float] = {}  # accuracy of the run that the others are compared with, by seed
    for name, settings in plan.runs.items():
        folders = {seed: folder_of(out, name, seed) for seed in plan.seeds}
        complete = {seed: folder for seed, folder in folders.items() if is_complete(folder)}
        row: dict[str, Any] = dict.fromkeys(COLUMNS, "")
        row |= {"run": name, "changes": _text(plan.changes[name]), "seeds": len(complete)}
        row["failed"] = sum((f / "log.txt").exists() for seed, f in folders.items() if seed not in complete)
        row["epochs"] = settings.get("epochs", PRESETS[plan.preset].training.epochs)
        if complete:
            places = list(complete.values())
            metrics = [read_json(folder / "metrics.json") for folder in places]
            row |= _scores([m["validation"] for m in metrics])
            accuracy = {seed: m["validation"]["accuracy"] for seed, m in zip(complete, metrics, strict=True)}
            first = first if rows else accuracy
            row["difference"] = _difference(accuracy, first)
            if corrected is not None:
                scores = _scores([corrected_scores(folder, *corrected) for folder in places])
                row |= {f"corrected_{column}": value for column, value in scores.items()}
            if faces is not None:
                row |= _mean_and_spread("damaged", [damaged_accuracy(folder, faces) for folder in places])
            row["parameters"], row["multiply_adds"] = metrics[0]["parameters"], metrics[0]["multiply_adds"]
            row["minutes"] = round(statistics.mean(m["minutes"] for m in metrics), 1)
            row["epochs"] = metrics[0]["epochs"]
            row["train_faces"] = read_json(places[0] / "config.json")["data"]["train"]
            weights = places[0] / "model.keras"  # may have been left behind
            row["ms_per_face"] = _milliseconds(weights) if timed and weights.exists() else ""
        rows.append(row)
    return rows


def _difference(accuracy: dict[int, float], first: dict[int, float]) -> float | str:
    """How much better a run is than the first one with the same seeds: another one alone makes half a point."""
    shared = accuracy.keys() & first.keys()
    return round(statistics.mean(accuracy[seed] - first[seed] for seed in shared), 4) if shared else ""


def _scores(validation: list[dict[str, Any]]) -> dict[str, Any]:
    """What the runs of all seeds came to; the worst emotion is the one whose mean F1 is lowest."""
    f1 = {
        name: [score["per_class"][name]["f1"] for score in validation]
        for name, one in validation[0]["per_class"].items()
        if one["images"]
    }
    worst = min(f1, key=lambda name: statistics.mean(f1[name]))
    values = {column: [score[column] for score in validation] for column in ("accuracy", "macro_f1")}
    values["worst_f1"] = f1[worst]
    row: dict[str, Any] = {"worst_emotion": worst}
    for column, each in values.items():
        row |= _mean_and_spread(column, each)
    return row


def _mean_and_spread(column: str, values: list[float]) -> dict[str, Any]:
    spread = round(statistics.stdev(values), 4) if len(values) > 1 else ""
    return {column: round(statistics.mean(values), 4), f"{column}_spread": spread}


def _milliseconds(path: Path) -> float:
    """Median time of a forward pass per face, in batches, on this machine and backend."""
    import keras
    import numpy as np

    model = keras.saving.load_model(path, safe_mode=True)
    batch = np.zeros((TIMED_BATCH, *model.input_shape[1:]), dtype=np.float32)
    times = []
    for _ in range(25):
        started = time.perf_counter()
        model.predict_on_batch(batch)
        times.append(time.perf_counter() - started)
    return round(statistics.median(times[5:]) * 1000 / TIMED_BATCH, 2)


def _text(changes: dict[str, Any]) -> str:
    return ", ".join(f"{name} {json.dumps(value)}" for name, value in changes.items())


def write_table(rows: list[dict[str, Any]], out: Path) -> None:
    """Write the rows as `results.csv`, and draw them as `results.png`."""
    with whole_file(out / "results.csv") as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    draw(rows, out / "results.png")


def _drawn(rows: list[dict[str, Any]]) -> dict[str, str]:
    """The columns to draw, and what each is called: scores after a correction take the place of those before it."""
    drawn = {}
    for column, name in DRAWN.items():
        for choice, told in ((f"corrected_{column}", f"{name}, corrected"), (column, name)):
            if any(row.get(choice, "") != "" for row in rows):
                drawn[choice] = told
                break
    return drawn


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Plot what was measured of each run, with the spread over the seeds; best on top, the first run as a line."""
    first = rows[0]
    columns = _drawn(rows)
    if not columns:
        return
    order = next(iter(columns))
    rows = sorted((row for row in rows if row[order] != ""), key=lambda row: row[order])
    width, height = 2.5 + 2.6 * len(columns), 1.4 + 0.3 * len(rows)
    places = range(len(rows))
    said = f"{', '.join(columns.values())}, of each of {len(rows)} runs on validation, as points with their spread."
    with new_figure(path, height, said, width) as figure:
        for axes, column in zip(figure.subplots(1, len(columns), sharey=True, squeeze=False)[0], columns, strict=True):
            values = [100 * row[column] for row in rows]
            spreads = [100 * float(row[f"{column}_spread"] or 0) for row in rows]
            if first[column] != "":
                axes.axvline(100 * first[column], color=GREY, linewidth=1, linestyle="--", zorder=0)
            colours = [BLUE if row is not first else INK for row in rows]
            axes.errorbar(values, places, xerr=spreads, fmt="none", ecolor=tint(BLUE, 0.4), elinewidth=3, zorder=1)
            axes.scatter(values, places, c=colours, s=36, zorder=2)
            axes.set_yticks(list(places), [row["run"].replace("_", " ") for row in rows])
            axes.grid(visible=False, axis="y")
            axes.spines["left"].set_visible(False)
            axes.set_xlabel(columns[column])
        figure.supxlabel("validation, mean over the seeds; bar: their standard deviation", fontsize="small")
