"""The weights of two networks of one kind, averaged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from emotion_model.faces.cropping import served_input
from emotion_model.network.architecture import ArchitectureConfig
from emotion_model.network.classifier import EmotionClassifier
from emotion_model.network.config import short_name
from emotion_model.network.cost import spent
from train.config import same_network
from train.data.fer2013 import FaceDataset
from train.evaluation.scores import single_view_scores

Weights = Sequence[np.ndarray]  # of a network, as `keras.Model.get_weights` gives them

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
            if not _same_network(other, one) or one.emotions != self.emotions:
                raise ValueError(f"{other.source} and {one.source} are different networks: their weights have no mean")
        starts = {began_with(one) for one in tuned}
        if len(tuned) > 1 and (len(starts) > 1 or None in starts):
            raise ValueError("--run: only runs that began with the same weights (--start) can be averaged")
        if len({one.config.weights["sha256"] for one in tuned}) < len(tuned):
            raise ValueError("--run: the same run is given twice")
        unknown = sorted(set(bias) - set(self.emotions))
        if unknown:
            raise ValueError(f"--logit-bias {unknown[0]}: choose among {', '.join(self.emotions)}")
        self._ends = other.model.get_weights(), mean_weights([one.model.get_weights() for one in tuned])
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
        probabilities = network.predict(served_input(faces.images, network.input_shape[1]), batch_size=256, verbose=0)
        return single_view_scores(faces, probabilities, self.emotions)


def _same_network(other: EmotionClassifier, one: EmotionClassifier) -> bool:
    here, there = other.config.architecture, one.config.architecture
    return here == there or (bool(there) and same_network(here, ArchitectureConfig(**there)))


def mean_weights(several: Sequence[Weights]) -> list[np.ndarray]:
    """The mean of the weights of networks of one kind, as `keras.Model.set_weights` takes them."""
    return [sum(arrays) / len(several) for arrays in zip(*several, strict=True)]


def greedy_soup(
    candidates: Mapping[str, Weights], scores: Callable[[Weights], Mapping[str, Any]]
) -> tuple[list[np.ndarray], list[dict[str, Any]]]:
    """The mean of those weights that do not make it worse (Wortsman et al., "Model soups", 2022).

    The best candidate is taken, then each next one where the mean with it is no worse than the mean before. Weights are
    as good as the sum of accuracy and macro-F1 is high, as for `train.exporting.correction`.

    Args:
        candidates: name -> weights of networks of one kind.
        scores: `accuracy` and `macro_f1` of weights, on faces that nothing learned from.

    Returns:
        The mean, and an entry per candidate in the order of trying, JSON-ready: `run`, its name; its `accuracy` and
        `macro_f1`; `mean_accuracy` and `mean_macro_f1` of it and those taken before it; whether it was `taken`.
    """
    alone = {name: scores(weights) for name, weights in candidates.items()}
    taken: list[Weights] = []
    tried, best = [], 0.0
    for name in sorted(alone, key=lambda name: -_worth(alone[name])):
        together = scores(mean_weights([*taken, candidates[name]])) if taken else alone[name]
        better = _worth(together) >= best
        if better:
            best, taken = _worth(together), [*taken, candidates[name]]
        tried.append(
            {
                "run": name,
                "accuracy": alone[name]["accuracy"],
                "macro_f1": alone[name]["macro_f1"],
                "mean_accuracy": together["accuracy"],
                "mean_macro_f1": together["macro_f1"],
                "taken": better,
            }
        )
    return mean_weights(taken), tried


def _worth(scores: Mapping[str, Any]) -> float:
    """How good weights are, by what `single_view_scores` says of them."""
    return float(scores["accuracy"] + scores["macro_f1"])


def began_with(model: EmotionClassifier) -> str | None:
    """The digest of the weights that a model's training began with; None: random ones."""
    return (model.config.training.get("start") or {}).get("sha256")


def further(model: EmotionClassifier) -> dict[str, Any]:
    """A run that is averaged with the first, and what it took beyond the weights that both began with."""
    training = model.config.training
    alone = {name: training[name] for name in ("minutes", "environment", "history")}
    origin = {"run": short_name(model.source), "sha256": model.config.weights["sha256"], "epochs": training["epochs"]}
    return origin | spent(alone)
