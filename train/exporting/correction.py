"""How often a network names each emotion, put right on validation.

A network takes over how often each emotion is the target it learns from, and FER+ votes are neutral more often than the
labels are. Two corrections are added to its logits, and the strengths of both follow from a rule.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax

from train.exporting.calibration import LARGEST_TEMPERATURE

STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the fitted bias
ADJUSTMENTS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
BIAS_SPREAD = 0.16  # standard deviation of the classes' biases that is expected beforehand
RESAMPLES = 200  # of the faces, for the standard error of a difference


@dataclass(frozen=True)
class Correction:
    """What is added to the logits: `strength * bias - adjustment * log(share)`.

    Attributes:
        bias: per class, the most likely one on validation.
        shares: per class, of the training labels.
        strength: of the bias, 0..1.
        adjustment: 0..1; 1 supposes that all emotions are equally frequent where the model is used.
    """

    bias: tuple[float, ...]
    shares: tuple[float, ...]
    strength: float = 0.0
    adjustment: float = 0.0

    @property
    def shift(self) -> np.ndarray:
        """What is added to each logit, float32 `(classes,)`."""
        shares = np.array(self.shares)
        known = np.where(shares > 0, shares, shares.max())  # nothing is to be corrected of what was never seen
        shift = self.strength * np.array(self.bias) - self.adjustment * np.log(known / shares.max())
        return shift.astype(np.float32)


def choose_correction(labels: np.ndarray, probabilities: np.ndarray, shares: np.ndarray) -> Correction:
    """The correction of a network, by a rule and on validation alone.

    A pair of strengths is as good as the sum of accuracy and macro-F1 is high. Of all pairs that are not worse than the
    best by more than one standard error of the difference (Breiman et al., 1984), it is the one that trusts what was
    fitted least: the weakest bias, and then the strongest adjustment, since nobody knows how frequent the emotions are
    where a model is used.

    Sources: "Maximum Likelihood with Bias-Corrected Calibration" (Alexandari et al., 2020) for the bias, "Long-tail
    learning via logit adjustment" (Menon et al., 2021) for the adjustment.

    Args:
        labels: int `(n,)`.
        probabilities: float32 `(n, classes)`, not calibrated.
        shares: float `(classes,)`, of the training labels.
    """
    logits = np.log(np.maximum(probabilities, 1e-9))
    bias = tuple(_most_likely_bias(labels, logits).round(4).tolist())
    pairs = [
        Correction(bias, tuple(shares.round(4).tolist()), strength, adjustment)
        for strength, adjustment in product(STRENGTHS, ADJUSTMENTS)
    ]
    rng = np.random.default_rng(0)
    weights = rng.multinomial(len(labels), np.full(len(labels), 1 / len(labels)), RESAMPLES)
    goodness = _goodness_of(labels, np.vstack([np.ones(len(labels), int), weights]), probabilities.shape[1])
    scores = [goodness((logits + pair.shift).argmax(axis=1)) for pair in pairs]
    best = max(scores, key=lambda score: score[0])
    equal = [
        pair for pair, score in zip(pairs, scores, strict=True) if best[0] - score[0] <= (best - score)[1:].std() + 1e-9
    ]
    return min(equal, key=lambda pair: (pair.strength, -pair.adjustment))


def _most_likely_bias(labels: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """Float `(classes,)`; fitted together with a temperature, without which it would have to mend confidence too.

    It is bounded as that of `fit_temperature`: where answers are no better than chance, the likeliest is infinite.
    """
    classes, rows = logits.shape[1], np.arange(len(labels))

    def loss(values: np.ndarray) -> float:
        bias, scale = values[:classes], np.exp(values[classes])
        surprise = -log_softmax(scale * logits + bias, axis=1)[rows, labels].sum()
        return float(surprise + (bias**2).sum() / (2 * BIAS_SPREAD**2))

    furthest = math.log(LARGEST_TEMPERATURE)
    bounds = [(None, None)] * classes + [(-furthest, furthest)]
    found = minimize(loss, np.zeros(classes + 1), method="L-BFGS-B", bounds=bounds).x
    return found[:classes] / np.exp(found[classes])


def _goodness_of(labels: np.ndarray, weights: np.ndarray, classes: int) -> Callable[[np.ndarray], np.ndarray]:
    """A function from named classes `(n,)` to accuracy + macro-F1, one value for each row of `weights`, `(m, n)`."""
    true = np.stack([(weights * (labels == one)).sum(axis=1) for one in range(classes)])

    def goodness(named: np.ndarray) -> np.ndarray:
        hits = np.stack([(weights * ((labels == one) & (named == one))).sum(axis=1) for one in range(classes)])
        claimed = np.stack([(weights * (named == one)).sum(axis=1) for one in range(classes)])
        present = np.maximum((true > 0).sum(axis=0), 1)
        f1 = (2 * hits / np.maximum(true + claimed, 1) * (true > 0)).sum(axis=0) / present
        return np.asarray(hits.sum(axis=0) / weights.sum(axis=1) + f1)

    return goodness
