"""Which change helps, and by how much: run a plan of experiments, then a table and a plot of what came out.

    python -m train.ablate PLAN.toml --data DIR --out DIR

A plan is a TOML file: `preset`, `seeds`, a table `[common]` of settings for every run, and a table `[runs.NAME]` for
each run with the settings that it changes; the first run is what the others are compared with. Every run with every
seed is a `python -m train` of its own: a failed one does not stop the rest, and the same command goes on where a
stopped one was. Everything is measured on validation.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from emotion_model.files import copy_file
from emotion_model.interrupts import end_politely
from emotion_model.network.config import ModelError
from train.config import explain
from train.experiments.ablation import ablate, hardware
from train.experiments.plans import read_plan
from train.runs import RESULTS


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m train.ablate", description="Run a plan of experiments.")
    parser.add_argument("plan", type=Path, help="a TOML file, such as train/plans/tutorial.toml")
    parser.add_argument("--data", type=Path, required=True, help="folder with FER2013")
    parser.add_argument("--out", type=Path, required=True, help="where runs, table and plot go; found runs go on")
    parser.add_argument("--only", nargs="+", metavar="RUN", help="make these runs of the plan, and the first, alone")
    parser.add_argument("--limit", type=int, help="use only this many training faces, for a quick try")
    parser.add_argument("--robustness", action="store_true", help="also measure each run on damaged faces")
    parser.add_argument("--corrected", action="store_true", help="also measure each run as an export would correct it")
    parser.add_argument("--keep", action="store_true", help="also keep table and plot in train/results/")
    options = parser.parse_args(arguments)
    if options.limit is not None and options.limit < 1:
        parser.error(f"--limit {options.limit}: use a number of at least 1")
    if options.keep and options.only:
        parser.error("--keep keeps the table of a whole plan: leave out --only")
    end_politely()  # the run in hand saves itself
    try:
        plan = read_plan(options.plan)
        if options.only:
            plan = plan.only(options.only)
        rows = ablate(plan, options.data, options.out, options.limit, options.robustness, options.corrected)
        if options.keep:
            for suffix in (".csv", ".png"):
                copy_file(options.out / f"results{suffix}", RESULTS / f"{plan.name}-{hardware()}{suffix}")
    except (ModelError, ValueError, OSError) as error:
        print(f"error: {explain(error, options.out)}", file=sys.stderr)
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
