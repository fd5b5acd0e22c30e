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
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from emotion_model.faces.cropping import network_input
from emotion_model.hub.card import spent
from emotion_model.network.classifier import EmotionClassifier
from emotion_model.network.config import ModelError
from train.config import explain, write_json
from train.data.fer2013 import DataError, FaceDataset, load_split
from train.evaluate import single_view_scores
from train.runs import RECORDS, is_run, load_model

SHARES = tuple(round(share, 1) for share in np.linspace(0, 1, 11).tolist())


class Blend:
    """A model, and the mean of others of the same network, as one, in changing shares.

    Raises:
        ValueError: they are of different networks or have different classes, several of the others did not begin with
            the same weights, or an emotion of `bias` is not theirs.
    """

    def __init__(self, other: EmotionClassifier, tuned: Sequence[EmotionClassifier], bias: Mapping[str, float]) -> None:
        self.emotions = other.emotions
        for one in tuned:
            if other.config.architecture != one.config.architecture or one.emotions != self.emotions:
                raise ValueError(f"{other.source} and {one.source} are different networks: their weights have no mean")
        begun = {_begun(one) for one in tuned}
        if len(tuned) > 1 and (len(begun) > 1 or None in begun):
            raise ValueError("--run: only runs that began with the same weights (--start) can be averaged")
        if len({one.config.weights["sha256"] for one in tuned}) < len(tuned):
            raise ValueError("--run: the same run is given twice")
        unknown = sorted(set(bias) - set(self.emotions))
        if unknown:
            raise ValueError(f"--logit-bias {unknown[0]}: choose among {', '.join(self.emotions)}")
        means = [sum(arrays) / len(tuned) for arrays in zip(*(one.model.get_weights() for one in tuned), strict=True)]
        self._ends = other.model.get_weights(), means
        self._bias = np.array([bias.get(emotion, 0.0) for emotion in self.emotions], np.float32)
        self._network = tuned[0].model

    def network(self, share: float) -> keras.Model:
        """The network with this share, 0..1, of the tuned models' mean weights; one object, whatever the share."""
        self._network.set_weights([(1 - share) * a + share * b for a, b in zip(*self._ends, strict=True)])
        logits = self._network.get_layer("logits").bias
        logits.assign(logits + self._bias)
        return self._network

    def scores(self, share: float, faces: FaceDataset) -> dict[str, Any]:
        """What `train.evaluate` says of the blend's single views.

        Raises:
            DataError: the faces have a class that the models lack.
        """
        network = self.network(share)
        probabilities = network.predict(network_input(faces.images, network.input_shape[1]), batch_size=256, verbose=0)
        return single_view_scores(faces, probabilities, self.emotions)


def write_run(network: keras.Model, scores: dict[str, Any], record: dict[str, Any], run_dir: Path, out: Path) -> None:
    """Make a run of a blended network: the first tuned run's records, its own validation scores, how it was blended."""
    partial = out.with_name(f"{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    own = {"config": {"blend": record}, "metrics": {"validation": scores}}
    for name in RECORDS:
        values = json.loads((run_dir / f"{name}.json").read_text())
        write_json(partial / f"{name}.json", values | own[name] if name in own else values)
    network.save(partial / "model.keras")
    partial.rename(out)


def _begun(model: EmotionClassifier) -> str | None:
    """The digest of the weights that a model's training began with; None: random ones."""
    return (model.config.training.get("start") or {}).get("sha256")


def _further(model: EmotionClassifier) -> dict[str, Any]:
    """A run that is averaged with the first, and what it took beyond the weights that both began with."""
    training = model.config.training
    alone = {name: training[name] for name in ("minutes", "environment")}
    origin = {"run": Path(model.source).name, "sha256": model.config.weights["sha256"], "epochs": training["epochs"]}
    return origin | spent(alone)


def _table(rows: Sequence[tuple[float, dict[str, Any]]]) -> str:
    lines = ["share  accuracy  macro-F1  lowest F1         FER+ majority"]
    for share, scores in rows:
        lowest = min(scores["per_class"], key=lambda name: scores["per_class"][name]["f1"])
        votes = scores["ferplus_majority_accuracy"]
        lines.append(
            f"{share:5g}  {scores['accuracy']:8.4f}  {scores['macro_f1']:8.4f}  "
            f"{scores['per_class'][lowest]['f1']:.4f} {lowest:10}  {'no votes' if votes is None else f'{votes:.4f}'}"
        )
    return "\n".join(lines)


def _bias(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text}: write an emotion and a number, such as fear=0.2") from None


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m train.blend", description="Average the weights of two models.")
    parser.add_argument(
        "--run", type=Path, nargs="+", required=True, help="folder of a finished run, or several to be averaged first"
    )
    parser.add_argument("--with", dest="other", required=True, metavar="MODEL", help="such as the model it began with")
    parser.add_argument("--data", type=Path, required=True, help="folder with FER2013; its validation split is used")
    parser.add_argument("--share", type=float, nargs="+", default=SHARES, help="of the run's weights, 0 to 1")
    parser.add_argument(
        "--logit-bias", type=_bias, nargs="+", default=[], metavar="EMOTION=B", help="added to its logit, such as 0.2"
    )
    parser.add_argument("--out", type=Path, help="make a run of the blend with the one --share that is given")
    options = parser.parse_args(arguments)
    try:
        for run_dir in options.run:
            if not is_run(run_dir):
                raise ValueError(f"{run_dir} is no run of `python -m train`")
        for share in options.share:
            if not 0 <= share <= 1:
                raise ValueError(f"--share {share:g}: use values from 0 to 1")
        if options.out and len(options.share) != 1:
            raise ValueError("--out needs one --share: choose it from the table that this command prints without --out")
        if options.out and options.out.exists():
            raise ValueError(f"{options.out} is there already: choose another --out or remove it")
        validation = load_split(options.data, "validation")
        other, tuned = load_model(options.other), [load_model(run_dir) for run_dir in options.run]
        bias = dict(options.logit_bias)
        blend = Blend(other, tuned, bias)
        rows = [(share, blend.scores(share, validation)) for share in options.share]
        print(_table(rows))
        if options.out:
            [(share, scores)] = rows
            weights = other.config.weights.get("sha256")
            record = {"with": Path(other.source).name, "sha256": weights, "share": share, "logit_bias": bias}
            if weights != _begun(tuned[0]):
                record |= spent(other.config.training)
            if tuned[1:]:
                record["averaged"] = [_further(one) for one in tuned[1:]]
            write_run(blend.network(share), scores, record, options.run[0], options.out)
    except (DataError, ModelError, ValueError, OSError) as error:
        print(f"error: {explain(error, options.out or options.run[0])}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
