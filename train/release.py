"""Make the released model with one command: stages of training, a mean, its correction, the export and its report.

    python -m train.release --data DIR --out DIR             by the plan for the hardware found
    python -m train.release --data DIR --out DIR --smoke     every step in small, in minutes

A plan is a TOML file of stages (`train/plans/releases/`). Each run of a stage is a `python -m train` with a folder and
a log of its own; stopped, the same command goes on where they were.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from emotion_model.files import copy_file
from emotion_model.interrupts import end_politely
from emotion_model.network.config import ModelError
from train.config import explain
from train.fitting.hardware import device_name
from train.releasing.plan import PLANS, read_plan
from train.releasing.stages import RunFailedError, Stages


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m train.release", description="Make the released model.")
    parser.add_argument("--data", type=Path, required=True, help="folder with FER2013")
    parser.add_argument("--out", type=Path, required=True, help="where runs and model go; found runs go on")
    parser.add_argument("--plan", default="auto", metavar="cpu|gpu|FILE", help="default: by the hardware found")
    parser.add_argument("--smoke", action="store_true", help="every step in small: narrow networks, few faces")
    parser.add_argument("--train-only", action="store_true", help="end with the last run; elsewhere the rest is made")
    options = parser.parse_args(arguments)
    end_politely()  # the runs in hand save themselves
    print(f"backend: {os.environ['KERAS_BACKEND']}", flush=True)  # that `train` has chosen
    try:
        plan_file = _plan_file(options.plan, options.out)
        plan = read_plan(plan_file)
        if options.smoke:
            plan = plan.smoke()
        options.out.mkdir(parents=True, exist_ok=True)
        stages = Stages(plan, options.data, options.out)
        stages.require_same()
        _keep(plan_file, options.out)
        stages.train()
        if options.train_only:
            return 0
        from train.releasing.model import MODEL, RECORD, make_model  # with Keras, for seconds in which no run begins

        config = make_model(stages, measure_test=not options.smoke)
    except (RunFailedError, ModelError, ValueError, OSError) as error:
        print(f"error: {explain(error, options.out)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here")
        return 130
    for split, scores in config.metrics.items():
        print(f"{split}: accuracy {scores['accuracy']:.4f}, macro-F1 {scores['macro_f1']:.4f}, ECE {scores['ece']:.4f}")
    print(f"{options.out / MODEL} has the model, its figures and its card; {options.out / RECORD} how it came about")
    return 0


def _plan_file(name: str, out: Path) -> Path:
    """The plan that was begun in `out`, on whatever machine; else the one for this machine, or the one asked for.

    Raises:
        ValueError: another one is asked for than was begun there, with whose runs its own would mix.
    """
    begun = [path for one in ("cpu", "gpu") if (path := out / f"{one}.toml").is_file()]
    if begun:
        last = max(begun, key=lambda path: path.stat().st_mtime)
        if name not in ("auto", last.stem) and Path(name).resolve() != last.resolve():
            raise ValueError(f"{out} holds the plan {last.stem}, begun there: choose another --out for --plan {name}")
        if name == "auto":
            print(f"plan: {last.stem}, as begun", flush=True)
        return PLANS / last.name if name == last.stem else last
    if name == "auto":
        name = "gpu" if device_name() else "cpu"
        print(f"plan: {name}", flush=True)
    return PLANS / f"{name}.toml" if name in ("cpu", "gpu") else Path(name)


def _keep(plan: Path, out: Path) -> None:
    """Lay the plan beside its runs: what is begun on a GPU is ended elsewhere by the same line."""
    if plan.parent == PLANS:
        copy_file(plan, out / plan.name)


if __name__ == "__main__":
    sys.exit(main())
