"""What the runs of a plan came to, as a table and a plot."""

from __future__ import annotations

import csv
import io
import json
import statistics
import time
from pathlib import Path
from typing import Any

from train.config import PRESETS
from train.experiments.plans import Plan, folder_of

COLUMNS = (
    "run", "changes", "seeds", "accuracy", "accuracy_spread", "difference", "macro_f1", "macro_f1_spread", "parameters",
    "multiply_adds", "ms_per_face", "minutes", "epochs", "train_faces", "failed",
)  # fmt: skip
TIMED_BATCH = 16


def collect(plan: Plan, out: Path, timed: bool = False) -> list[dict[str, Any]]:
    """The table as far as runs are complete; `timed` also measures the forward pass, which takes some seconds a run."""
    rows: list[dict[str, Any]] = []
    for name, settings in plan.runs.items():
        folders = [folder_of(out, name, seed) for seed in plan.seeds]
        complete = [f for f in folders if (f / "metrics.json").exists()]
        row: dict[str, Any] = dict.fromkeys(COLUMNS, "")
        row |= {"run": name, "changes": _text(plan.changes[name]), "seeds": len(complete)}
        row["failed"] = sum((f / "log.txt").exists() for f in folders) - len(complete)
        row["epochs"] = settings.get("epochs", PRESETS[plan.preset].training.epochs)
        if complete:
            metrics = [json.loads((f / "metrics.json").read_text()) for f in complete]
            for column in ("accuracy", "macro_f1"):
                values = [m["validation"][column] for m in metrics]
                row[column] = round(statistics.mean(values), 4)
                row[f"{column}_spread"] = round(statistics.stdev(values), 4) if len(values) > 1 else ""
            row["parameters"], row["multiply_adds"] = metrics[0]["parameters"], metrics[0]["multiply_adds"]
            row["minutes"] = round(statistics.mean(m["minutes"] for m in metrics), 1)
            row["epochs"] = metrics[0]["epochs"]
            row["train_faces"] = json.loads((complete[0] / "config.json").read_text())["data"]["train"]
            row["ms_per_face"] = _milliseconds(complete[0] / "model.keras") if timed else ""
        rows.append(row)
    base = rows[0]["accuracy"]
    for row in rows:
        if base != "" and row["accuracy"] != "":
            row["difference"] = round(row["accuracy"] - base, 4)
    return rows


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
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    partial = out / "results.csv.partial"
    partial.write_text(text.getvalue(), encoding="utf-8")
    partial.replace(out / "results.csv")
    draw(rows, out / "results.png")


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Plot accuracy against the first run's, with the spread over the seeds; best at the top."""
    from matplotlib.figure import Figure

    rows = sorted((row for row in rows if row["accuracy"] != ""), key=lambda row: row["accuracy"])
    if not rows:
        return
    figure = Figure(figsize=(7.5, 1.4 + 0.3 * len(rows)), layout="constrained")
    axes = figure.subplots()
    places = range(len(rows))
    values = [100 * row["accuracy"] for row in rows]
    spreads = [100 * float(row["accuracy_spread"] or 0) for row in rows]
    reference = next((row for row in rows if row["difference"] == 0 and not row["changes"]), None)
    if reference:
        axes.axvline(100 * reference["accuracy"], color="#8d909a", linewidth=1, linestyle="--", zorder=0)
    colours = ["#0e5cff" if row is not reference else "#20242c" for row in rows]
    axes.errorbar(values, places, xerr=spreads, fmt="none", ecolor="#9db6ee", elinewidth=3, zorder=1)
    axes.scatter(values, places, c=colours, s=36, zorder=2)
    axes.set_yticks(list(places), [row["run"].replace("_", " ") for row in rows])
    axes.grid(axis="x", color="#e6e8ee")
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0)
    axes.set_xlabel("validation accuracy in %, mean over the seeds; bar: their standard deviation")
    partial = path.with_name(f"partial-{path.name}")
    figure.savefig(partial, dpi=130)
    partial.replace(path)
