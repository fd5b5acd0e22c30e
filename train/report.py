"""Figures of what a model can do, from the scores in its `config.json`; with the data also where it is surely wrong.

    python -m train.report --model bundled                 what config.json tells
    python -m train.report --model bundled --data DIR      and the statistics of its confident mistakes

Without `--out` the figures go to `figures/` beside the weights, where the page and the model card look for them.
They are drawn for the width of a phone and say in their own metadata, under `Description`, what they show.
No face of the data set is drawn or written.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from emotion_model.network.config import ModelError
from train.config import explain
from train.evaluation.report import FIGURES, make_report


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
    except (ModelError, ValueError, OSError) as error:
        print(f"error: {explain(error, options.out or Path(options.model))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; the same command begins anew", file=sys.stderr)
        return 130
    for name in FIGURES:
        if name in left_out:
            print(f"{name}.png left out: {left_out[name]}", file=sys.stderr)
        else:
            print(out / f"{name}.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
