"""Loss, optimizer and precision, as a config names them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from train.config import TrainingConfig


def loss_of(config: TrainingConfig) -> keras.losses.Loss:
    """The loss that a config names."""
    if config.loss == "focal":
        return keras.losses.CategoricalFocalCrossentropy(gamma=config.focal_gamma)
    return keras.losses.CategoricalCrossentropy()


class AdjustedLoss(keras.losses.Loss):
    """A loss that sees each class made likelier by how often it is learned: the network need not learn that then.

    Source: "Long-tail learning via logit adjustment" (Menon et al., 2021).

    Args:
        loss: compares targets with probabilities.
        frequencies: float `(classes,)`, of the classes among the targets.
        strength: the power of the frequencies.
    """

    def __init__(self, loss: keras.losses.Loss, frequencies: np.ndarray, strength: float) -> None:
        super().__init__(name=loss.name)
        self._loss = loss
        known = np.where(frequencies > 0, frequencies, frequencies.max())  # of what is never learned nothing is known
        self._factors = (known**strength).astype(np.float32)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """One value per face."""
        likelier = y_pred * keras.ops.convert_to_tensor(self._factors)
        return self._loss.call(y_true, likelier / keras.ops.sum(likelier, axis=-1, keepdims=True))


def optimizer_of(config: TrainingConfig, batches: int) -> keras.optimizers.Optimizer:
    """The optimizer that a config names, with the learning rate of each step; `batches` is those of an epoch."""
    rate: Any = config.learning_rate
    if config.schedule == "one_cycle":  # Smith & Topin, 2018, its second half as a cosine
        steps = config.epochs * batches
        warmup = int(steps * config.warmup)
        rate = keras.optimizers.schedules.CosineDecay(
            config.learning_rate / 25, max(1, steps - warmup), 0.0, "one_cycle", config.learning_rate, warmup
        )
    if config.optimizer == "adamw":
        optimizer = keras.optimizers.AdamW(rate, weight_decay=config.weight_decay)
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
        return optimizer
    return keras.optimizers.Adam(rate)


def callbacks_of(config: TrainingConfig, learner: keras.Model) -> list[keras.callbacks.Callback]:
    """What a config lets happen between epochs, bound to the model that learns."""
    callbacks: list[keras.callbacks.Callback] = []
    if config.schedule == "plateau":
        callbacks.append(
            keras.callbacks.ReduceLROnPlateau(
                "val_loss",
                config.plateau_factor,
                config.plateau_patience,
                verbose=1,
                mode="min",
                min_lr=config.minimum_learning_rate,
            )
        )
    if config.early_stopping_patience:
        callbacks.append(keras.callbacks.EarlyStopping("val_loss", patience=config.early_stopping_patience, mode="min"))
    for callback in callbacks:
        callback.set_model(learner)
        callback.on_train_begin()
    learner.stop_training = False
    return callbacks


@contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Layers made inside compute by this policy."""
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(previous)
