"""Which change helps, and by how much: run a plan of experiments, then a table and a plot of what came out.

    python -m train.ablate PLAN.toml --data DIR --out DIR

A plan is a TOML file: `preset`, `seeds`, a table `[common]` of settings for every run, and a table `[runs.NAME]` for
each run with the settings that it changes; the first run is what the others are compared with. Every run with every
seed is a `python -m train` of its own: a failed one does not stop the rest, and the same command goes on where a
stopped one was. Everything is measured on validation.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from train import usable_cores
from train.__main__ import command_parser, flag
from train.config import PRESETS, Preset, differences, with_settings
from train.runs import recorded_config

COLUMNS = (
    "run", "changes", "seeds", "accuracy", "accuracy_spread", "difference", "macro_f1", "macro_f1_spread", "parameters",
    "multiply_adds", "ms_per_face", "minutes", "epochs", "train_faces", "failed",
)  # fmt: skip
TIMED_BATCH = 16
ROOT = Path(__file__).parent.parent


class PlanError(ValueError):
    """A plan cannot be run; the message names what is wrong and where."""


@dataclass(frozen=True)
class Plan:
    """Experiments to run.

    Attributes:
        name: of the plan's file.
        preset: what every run starts from.
        seeds: each run is made once with each.
        runs: name -> settings, those of every run included; the first is the one to compare with.
        changes: name -> the settings that set this run apart.
    """

    name: str
    preset: str
    seeds: tuple[int, ...]
    runs: dict[str, dict[str, Any]]
    changes: dict[str, dict[str, Any]]

    def only(self, names: Sequence[str]) -> Plan:
        """The plan with these runs alone, and the one that they are compared with.

        Raises:
            PlanError: it has no run of such a name.
        """
        unknown = sorted(set(names) - set(self.runs))
        if unknown:
            raise PlanError(f"{self.name}: no run {', '.join(unknown)}; it has {', '.join(self.runs)}")
        kept = [name for place, name in enumerate(self.runs) if place == 0 or name in names]
        runs, changes = ({name: of[name] for name in kept} for of in (self.runs, self.changes))
        return replace(self, runs=runs, changes=changes)


def read_plan(path: Path) -> Plan:
    """Read a plan and check every setting in it, before hours are spent on it.

    Raises:
        PlanError: not a plan, or a run in it cannot be built.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PlanError(f"{path}: cannot be read as TOML ({error})") from error
    unknown = sorted(set(values) - {"preset", "seeds", "common", "runs"})
    if unknown:
        raise PlanError(f"{path}: unknown entry {', '.join(unknown)}; expected preset, seeds, common and runs")
    preset, seeds, changes = values.get("preset", "seed"), values.get("seeds", [0]), values.get("runs", {})
    common = values.get("common", {})
    tables = [common, changes, *(changes.values() if isinstance(changes, dict) else ())]
    if not all(isinstance(table, dict) for table in tables):
        raise PlanError(f"{path}: settings stand in tables, such as [common] and [runs.no_attention]")
    if not isinstance(preset, str) or preset not in PRESETS:
        raise PlanError(f"{path}: preset = {preset!r}: choose one of {', '.join(sorted(PRESETS))}")
    whole = isinstance(seeds, list) and all(type(seed) is int for seed in seeds)
    if not whole or not seeds or len(set(seeds)) != len(seeds):
        raise PlanError(f"{path}: seeds = {seeds!r}: give different whole numbers, such as [0, 1]")
    if not changes:
        raise PlanError(f"{path}: holds no run; add a table such as [runs.no_attention]")
    runs = {name: common | own for name, own in changes.items()}
    plan = Plan(path.stem, preset, tuple(seeds), runs, changes)
    for name, settings in runs.items():
        if "seed" in settings:
            raise PlanError(f"{path}: [runs.{name}]: seed is no setting of a run, each is made with all of `seeds`")
        try:
            with_settings(PRESETS[preset], settings)
            _parse(command_line(plan, name, seeds[0], Path(), Path(), None))
        except (ValueError, TypeError) as error:
            raise PlanError(f"{path}: [runs.{name}]: {error}") from error
    return plan


def _parse(command: Sequence[str]) -> None:
    """Refuse what `python -m train` would not understand.

    Raises:
        ValueError: with what it says.
    """
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            command_parser().parse_args(command[3:])
    except SystemExit:
        raise ValueError(said.getvalue().strip().splitlines()[-1].partition("error: ")[2]) from None


def command_line(plan: Plan, name: str, seed: int, data: Path, out: Path, limit: int | None) -> list[str]:
    """The command that makes one run, for anybody to repeat."""
    command = [sys.executable, "-m", "train", "--preset", plan.preset, "--data", str(data), "--out", str(out)]
    command += ["--seed", str(seed)] + (["--limit", str(limit)] if limit else [])
    for setting, value in plan.runs[name].items():
        if isinstance(value, bool):
            command.append(flag(setting) if value else flag("no_" + setting))
        elif isinstance(value, list):
            command.append(flag(setting))
            command += [",".join(map(str, item)) if isinstance(item, list) else str(item) for item in value]
        else:
            command += [flag(setting), str(value)]
    return command


def ablate(plan: Plan, data: Path, out: Path, limit: int | None = None) -> list[dict[str, Any]]:
    """Make every run of a plan that is not complete, and collect the table after each.

    Args:
        plan: what to run.
        data: folder with FER2013.
        out: a folder per run and seed, `results.csv` and `results.png`.
        limit: use only this many training faces.

    Returns:
        The rows of the table, one per run.

    Raises:
        PlanError: `out` holds a complete run that was made with other settings.
    """
    out.mkdir(parents=True, exist_ok=True)
    # A first answer to everything, then the spread.
    jobs = [(name, seed, _folder(out, name, seed)) for seed in plan.seeds for name in plan.runs]
    for name, seed, folder in jobs:
        if (folder / "metrics.json").exists():
            _require_same(folder, with_settings(PRESETS[plan.preset], plan.runs[name] | {"seed": seed}), limit)
    started, done = time.monotonic(), 0
    for number, (name, seed, folder) in enumerate(jobs, start=1):
        if (folder / "metrics.json").exists():
            continue
        print(
            f"[{number}/{len(jobs)}] {name}, seed {seed}{_time_left(started, done, len(jobs) - number + 1)}", flush=True
        )
        status = _run(command_line(plan, name, seed, data, folder, limit), folder)
        if status in (130, -signal.SIGINT, -signal.SIGTERM):
            raise KeyboardInterrupt
        done += 1
        if status:
            print(f"    failed with status {status}: {_last_line(folder / 'log.txt')}", flush=True)
        else:
            metrics = json.loads((folder / "metrics.json").read_text())
            score = metrics["validation"]
            print(
                f"    validation accuracy {score['accuracy']:.4f}, macro-F1 {score['macro_f1']:.4f}, "
                f"{metrics['minutes']} min",
                flush=True,
            )
        _write(collect(plan, out), out)
    rows = collect(plan, out, timed=True)
    _write(rows, out)
    return rows


def _folder(out: Path, name: str, seed: int) -> Path:
    return out / f"{name}-seed{seed}"


def _require_same(folder: Path, preset: Preset, limit: int | None) -> None:
    """Refuse a complete run that was made with other settings.

    Raises:
        PlanError: it was.
    """
    found, expected = recorded_config(folder), preset.training.to_dict()
    if not found["training"]["ferplus_weight"]:  # as in data without votes
        expected["ferplus_weight"] = 0.0
    expected, architecture = json.loads(json.dumps([expected, preset.architecture.to_dict()]))
    log = folder / "log.txt"
    commands = re.findall(r"^\$ .*", log.read_text(errors="replace") if log.exists() else "", re.MULTILINE)
    limits = {int(number) for line in commands[-1:] for number in re.findall(r"--limit (\d+)", line)}
    changed = differences(found["architecture"], architecture) + differences(found["training"], expected)
    if commands and limits != ({limit} if limit else set()):
        changed += differences({"limit": next(iter(limits), None)}, {"limit": limit})
    if changed:
        raise PlanError(
            f"{folder} is a run with other settings than plan and --limit now have ({'; '.join(changed)}): remove it "
            "or choose another --out"
        )


def _run(command: Sequence[str], folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log.txt").open("a") as log:
        log.write("$ " + " ".join(command) + "\n")
        log.flush()
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
        try:
            return process.wait()
        except KeyboardInterrupt:  # the run has the signal too where a terminal sent it; let it write its checkpoint
            process.terminate()
            process.wait()
            raise


def collect(plan: Plan, out: Path, timed: bool = False) -> list[dict[str, Any]]:
    """The table as far as runs are complete; `timed` also measures the forward pass, which takes some seconds a run."""
    rows: list[dict[str, Any]] = []
    for name, settings in plan.runs.items():
        folders = [_folder(out, name, seed) for seed in plan.seeds]
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


def _time_left(started: float, done: int, left: int) -> str:
    if not done:
        return ""
    minutes = round((time.monotonic() - started) / done * left / 60)
    return f", about {minutes} min left"


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "nothing was printed"


def _write(rows: list[dict[str, Any]], out: Path) -> None:
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


def hardware() -> str:
    """A short name of this machine for the name of a results file, such as `2-cores-torch`."""
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    cores = usable_cores()
    return f"{cores}-core{'s' if cores > 1 else ''}-{backend}"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m train.ablate", description="Run a plan of experiments.")
    parser.add_argument("plan", type=Path, help="a TOML file, such as train/plans/tutorial.toml")
    parser.add_argument("--data", type=Path, required=True, help="folder with FER2013")
    parser.add_argument("--out", type=Path, required=True, help="where runs, table and plot go; found runs go on")
    parser.add_argument("--only", nargs="+", metavar="RUN", help="make these runs of the plan, and the first, alone")
    parser.add_argument("--limit", type=int, help="use only this many training faces, for a quick try")
    parser.add_argument("--keep", action="store_true", help="also keep table and plot in train/results/")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stop as for Ctrl-C: the run in hand saves itself
    try:
        plan = read_plan(options.plan)
        if options.only:
            plan = plan.only(options.only)
        rows = ablate(plan, options.data, options.out, options.limit)
        if options.keep:
            for suffix in (".csv", ".png"):
                kept = ROOT / "train" / "results" / f"{plan.name}-{hardware()}{suffix}"
                kept.write_bytes((options.out / f"results{suffix}").read_bytes())
    except (PlanError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here")
        return 130
    for row in rows:
        print(f"{row['run']:24} {row['accuracy']!s:8} {row['difference']!s:8} {row['macro_f1']!s:8} {row['changes']}")
    print(options.out / "results.csv")
    return 1 if any(row["failed"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
