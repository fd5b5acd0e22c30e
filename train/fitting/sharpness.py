"""Steps towards weights around which the loss is low too.

Source: "Sharpness-aware minimization" (SAM; Foret et al., 2021).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

NORM = 1e-4  # that every gradient is brought to, unless it is smaller


@contextmanager
def on_the_top(network: keras.Model, *batch: Any) -> Iterator[None]:
    """The worst weights near by for a batch, while this lasts; what is learned meanwhile is learned from below.

    The statistics of batch norm are those of the weights below.

    Args:
        network: compiled with the loss to climb and the optimizer of `uphill`; it shares its weights with what learns.
        batch: what that loss is taken of.
    """
    weights, statistics = network.trainable_variables, network.non_trainable_weights
    below = [_copy(weight) for weight in weights]
    network.train_on_batch(*batch)
    climbed = [_copy(weight) - before for weight, before in zip(weights, below, strict=True)]
    of_below = [_copy(value) for value in statistics]
    yield
    for weight, way in zip(weights, climbed, strict=True):
        weight.assign(weight - way)
    for value, before in zip(statistics, of_below, strict=True):
        value.assign(before)


def uphill(radius: float) -> keras.optimizers.Optimizer:
    """An optimizer that takes one step up the gradient, of this length however steep it is."""
    return keras.optimizers.SGD(-radius / NORM, global_clipnorm=NORM)


def _copy(variable: Any) -> np.ndarray:
    return np.array(keras.ops.convert_to_numpy(variable))
