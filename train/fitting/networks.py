"""The networks of a run: the one that learns, its running average, and what is compiled around them."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from emotion_model.network.architecture import ArchitectureConfig
from emotion_model.network.building import build_model
from train.config import Preset
from train.data.on_device import AugmentedTraining
from train.fitting.fast import with_fast_layers
from train.fitting.hardware import fastest_precision
from train.fitting.recipe import dtype_policy, loss_of, optimizer_of
from train.fitting.starts import Start
from train.fitting.teachers import Teacher


class Networks:
    """What is trained, built from a preset, compiled.

    Attributes:
        model: the network.
        averaged: its running average, or None.
        learner: what is fitted: the model, or the model with all that is done to a face on its way to it.
        precision: the dtype policy in use.
        averaged_at: step of the last update of the average.
    """

    def __init__(self, preset: Preset, batches: int, start: Start | None, teacher: Teacher | None) -> None:
        """Build and compile.

        Args:
            preset: the network and its recipe.
            batches: of an epoch.
            start: weights to begin with instead of random ones.
            teacher: its models look at each varied face, where `device_augmentation` is on.

        Raises:
            ValueError: a teacher's model looks at faces of another size.
        """
        self._config, self._architecture = preset.training, preset.architecture
        precision = preset.training.precision
        self.precision = fastest_precision() if precision == "auto" else precision
        with dtype_policy(self.precision):
            self.model = with_fast_layers(build_model(self._architecture))
        if start:
            self.model.set_weights(start.weights)
            if start.trainable:
                for layer in self.model.layers:
                    layer.trainable = start.trainable(layer)
        self.averaged: keras.Model | None = None
        self.averaged_at = 0
        if self._config.ema_momentum:
            self.averaged = build_model(self._architecture)
            self.averaged.set_weights(self.model.get_weights())
        self.learner = self._compiled(optimizer_of(self._config, batches), teacher, batches)

    def _compiled(self, optimizer: Any, teacher: Teacher | None, batches: int) -> keras.Model:
        if not self._config.device_augmentation:
            self.model.compile(optimizer=optimizer, loss=loss_of(self._config), metrics=["accuracy"])
            return self.model
        learner = self._on_device(teacher)
        if self.precision == "mixed_float16":  # as Keras does by itself where the policy is the model's own
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        # On JAX Keras looks at the values after each execution, and the device waits for that: an epoch is one there.
        steps = batches if keras.backend.backend() == "jax" else 1
        learner.compile(optimizer=optimizer, steps_per_execution=steps)
        return learner

    def _on_device(self, teacher: Teacher | None) -> AugmentedTraining:
        """The network with everything that is done to a face on its way to it."""
        teachers = []
        with dtype_policy(self.precision):
            for model in teacher.models if teacher else ():
                if model.config.image_size != self._architecture.image_size:
                    raise ValueError(
                        f"{model.source} looks at faces of {model.config.image_size} pixels, the student at "
                        f"{self._architecture.image_size}: with device_augmentation they must be the same"
                    )
                network = with_fast_layers(build_model(ArchitectureConfig(**model.config.architecture)))
                network.set_weights(model.model.get_weights())
                teachers.append(network)
        config = self._config
        return AugmentedTraining(
            self.model,
            config.augmentation,
            loss_of(config),
            config.mixup,
            teachers,
            config.distillation if teachers else 0.0,
            self.averaged,
            config.ema_momentum,
            config.seed,
        )

    @property
    def kept(self) -> keras.Model:
        """The model that is validated and saved."""
        return self.averaged or self.model

    @property
    def random_layers(self) -> list[keras.layers.Layer]:
        """The layers that draw random numbers, each from a sequence of its own."""
        layers = self.model.layers if self.learner is self.model else [*self.model.layers, self.learner]
        return [layer for layer in layers if hasattr(layer, "seed_generator")]

    def seed_dropout(self, *position: int) -> None:
        """Let what dropout drops follow from the position in the run, so that a resumed run drops the same.

        On the torch backend Keras draws it from one sequence of PyTorch's, whose state stands in no layer.
        """
        if keras.backend.backend() == "torch":
            import torch

            torch.manual_seed(int(np.random.SeedSequence([self._config.seed, *position]).generate_state(1)[0]))

    @property
    def learning_rate(self) -> float:
        """Of the step that comes."""
        return float(keras.ops.convert_to_numpy(self.learner.optimizer.learning_rate))

    def update_average(self, step: int) -> None:
        """Move the average towards the weights, for all the steps since it was moved last."""
        if self.averaged is None:
            return
        # A young average follows quickly, or the random start would linger in it for epochs.
        momentum = min(self._config.ema_momentum, (1 + step) / (10 + step)) ** (step - self.averaged_at)
        self.averaged_at = step
        for average, weight in zip(self.averaged.weights, self.model.weights, strict=True):
            average.assign(average * momentum + weight * (1 - momentum))
