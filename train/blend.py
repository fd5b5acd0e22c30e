"""Average the weights of two models of one network, and choose how much of each on validation.

    python -m train.blend --run runs/tuned --with bundled --data DIR                          a table of shares
    python -m train.blend --run runs/tuned --with bundled --data DIR --share 0.3 --out runs/blended

A run that went on from a model and learned something else often keeps more of both when its weights are averaged with
those it began with (Wortsman et al., "Robust fine-tuning of zero-shot models", 2022). Several runs that went on from
the same weights, such as those of several seeds, are averaged first (Wortsman et al., "Model soups", 2022). It costs
no training, and the result is one network. `--logit-bias fear=0.2` also names an emotion more often. `--out` makes a
run that `train.export` takes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from emotion_model.files import read_json
from emotion_model.network.config import ModelError, short_name
from emotion_model.network.cost import origin
from train.config import explain
from train.data.fer2013 import load_split
from train.experiments.blending import SHARES, Blend, began_with, further
from train.runs import is_run, load_model, write_run


def _table(rows: Sequence[tuple[float, dict[str, Any]]]) -> str:
    lines = ["share  accuracy  macro-F1  lowest F1         FER+ majority"]
    for share, scores in rows:
        f1 = {name: score["f1"] for name, score in scores["per_class"].items() if score["images"]}
        lowest = min(f1, key=lambda name: f1[name])
        votes = scores["ferplus_majority_accuracy"]
        lines.append(
            f"{share:5g}  {scores['accuracy']:8.4f}  {scores['macro_f1']:8.4f}  "
            f"{f1[lowest]:.4f} {lowest:10}  {'no votes' if votes is None else f'{votes:.4f}'}"
        )
    return "\n".join(lines)


def _bias(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text}: write an emotion and a number, such as fear=0.2") from None


def _require_usable(options: argparse.Namespace) -> None:
    for run_dir in options.run:
        if not is_run(run_dir):
            raise ValueError(f"{run_dir} is no run of `python -m train`")
        if read_json(run_dir / "config.json").get("blend"):
            raise ValueError(
                f"--run {run_dir}: that is a blend, whose record would be lost: give the run that it was made from, or "
                "the blend as --with"
            )
    for share in options.share:
        if not 0 <= share <= 1:
            raise ValueError(f"--share {share:g}: use values from 0 to 1")
    if options.out and len(options.share) != 1:
        raise ValueError("--out needs one --share: choose it from the table that this command prints without --out")
    if options.out and options.out.exists():
        raise ValueError(f"{options.out} is there already: choose another --out or remove it")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m train.blend", description="Average the weights of two models.")
    parser.add_argument(
        "--run", type=Path, nargs="+", required=True, help="folder of a finished run, or several to be averaged first"
    )
    parser.add_argument("--with", dest="other", required=True, metavar="MODEL", help="such as the model it began with")
    parser.add_argument("--data", type=Path, required=True, help="folder with FER2013; its validation split is used")
    parser.add_argument(
        "--share",
        type=float,
        nargs="+",
        default=SHARES,
        help="of the run's weights, 0 to 1; with --out exactly one (default: every tenth)",
    )
    parser.add_argument(
        "--logit-bias", type=_bias, nargs="+", default=[], metavar="EMOTION=B", help="added to its logit, such as 0.2"
    )
    parser.add_argument("--out", type=Path, help="make a run of the blend with the one --share that is given")
    options = parser.parse_args(arguments)
    try:
        _require_usable(options)
        validation = load_split(options.data, "validation")
        other, tuned = load_model(options.other), [load_model(run_dir) for run_dir in options.run]
        bias = dict(options.logit_bias)
        blend = Blend(other, tuned, bias)
        rows = [(share, blend.scores(share, validation)) for share in options.share]
        print(_table(rows))
        if options.out:
            [(share, scores)] = rows
            weights = other.config.weights.get("sha256")
            record = {"with": short_name(other.source), "sha256": weights, "share": share, "logit_bias": bias}
            if weights != began_with(tuned[0]):
                record |= origin(weights, other.config.training)
            if tuned[1:]:
                record["averaged"] = [further(one) for one in tuned[1:]]
            own = {"config": {"blend": record}, "metrics": {"validation": scores}}
            write_run(blend.network(share), options.run[0], options.out, **own)
    except (ModelError, ValueError, OSError) as error:
        print(f"error: {explain(error, options.out or options.run[0])}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
