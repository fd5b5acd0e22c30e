"""The networks of a run: the one that learns, its running average, and what is compiled around them."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import keras
import numpy as np

from emotion_model.network.architecture import ArchitectureConfig
from emotion_model.network.building import build_model
from train.config import Preset
from train.data.on_device import AugmentedTraining
from train.fitting.consistency import MirroredAttention, beside_mirrored, with_attention
from train.fitting.fast import with_fast_layers
from train.fitting.hardware import fastest_precision
from train.fitting.recipe import AdjustedLoss, dtype_policy, loss_of, optimizer_of
from train.fitting.sharpness import on_the_top, uphill
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

    def __init__(
        self,
        preset: Preset,
        batches: int,
        start: Start | None,
        teacher: Teacher | None,
        frequencies: np.ndarray,
    ) -> None:
        """Build and compile.

        Args:
            preset: the network and its recipe.
            batches: of an epoch.
            start: weights to begin with instead of random ones.
            teacher: its models look at each varied face, where `device_augmentation` is on.
            frequencies: float `(classes,)`, of the classes among the targets, without what a teacher says: on a device
                that is not known before.

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
        self._loss = loss_of(self._config)
        if self._config.logit_adjustment:
            self._loss = AdjustedLoss(self._loss, frequencies, self._config.logit_adjustment)
        optimizer = optimizer_of(self._config, batches)
        if self._config.device_augmentation:
            self.learner = self._compiled_on_device(optimizer, teacher, batches)
        else:
            self.learner = self._compiled(optimizer)
        radius = self._config.sharpness_radius
        self._climber = self._compiled(uphill(radius), beside=True) if radius else None

    def learn(self, inputs: np.ndarray, targets: np.ndarray, weights: np.ndarray | None) -> dict[str, float]:
        """Learn from a batch of varied faces: float32 `(n, height, width, 1)`, `(n, classes)` and `(n,)`.

        Returns:
            `loss` and `accuracy` of the batch.
        """
        batch: tuple[Any, ...] = (inputs, targets, weights)
        if self._config.attention_consistency:
            batch = beside_mirrored(*batch)
        with on_the_top(self._climber, *batch) if self._climber else nullcontext():
            values = self.learner.train_on_batch(*batch, return_dict=True)
        accuracy = next(value for name, value in values.items() if name.endswith("accuracy"))
        return {"loss": float(values["loss"]), "accuracy": float(accuracy)}

    def _compiled(self, optimizer: keras.optimizers.Optimizer, beside: bool = False) -> keras.Model:
        """What learns from faces that were varied before: the model, or `beside` it another that shares its weights."""
        learner, losses = self.model, [self._loss]
        with dtype_policy(self.precision):
            if self._config.attention_consistency:
                learner, losses = with_attention(self.model), [self._loss, MirroredAttention()]
            elif beside:
                learner = keras.Model(self.model.input, self.model.output)
        weights = [1.0, self._config.attention_consistency][: len(losses)]
        metrics: list[list[str]] = [["accuracy"], []][: len(losses)]
        # The scale of a half-precision loss would be lost with a climb that no checkpoint keeps.
        scaled = "auto" if not beside else False
        learner.compile(optimizer, losses, weights, metrics, auto_scale_loss=scaled)
        return learner

    def _compiled_on_device(self, optimizer: Any, teacher: Teacher | None, batches: int) -> AugmentedTraining:
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
            self._loss,
            config.mixup,
            teachers,
            config.distillation if teachers else 0.0,
            self.averaged,
            config.ema_momentum,
            config.seed,
            config.mixing == "cutmix",
            config.levels,
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
