"""One training run: its epochs, what is written on the way, and its end."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import keras
import numpy as np

from emotion_model.faces.cropping import network_input, served_input
from emotion_model.files import whole_file, write_json
from emotion_model.interrupts import Interruption
from emotion_model.network.architecture import ArchitectureConfig
from emotion_model.network.building import build_model, count_multiply_adds
from emotion_model.timelines.clock import clock
from train.config import Preset
from train.data.fer2013 import FaceDataset, class_weights, resized, soft_targets
from train.data.on_device import AugmentedTraining
from train.data.variations import augment, cut_and_mixed, mixed, mixup_partners
from train.evaluation.figures import draw_curves
from train.evaluation.metrics import classification_metrics
from train.fitting import checkpoint
from train.fitting.checkpoint import Position
from train.fitting.hardware import device_name
from train.fitting.networks import Networks
from train.fitting.recipe import callbacks_of, loss_of
from train.fitting.signals import StoppedError
from train.fitting.starts import Start
from train.fitting.teachers import Teacher
from train.runs import best_epoch

# A killed run loses at most this much work; where `device_augmentation` is on, the epoch that it was in.
CHECKPOINT_SECONDS = 300
# Epochs shorter than this do not write curves, weights and checkpoint each time: a killed run loses them too.
RECORD_SECONDS = 60
TRACK_SECONDS = 5  # between points of the live curves
GENTLE = 0.5  # strength of the augmentation in the gentle epochs, which mix no faces
VALIDATION_BATCH = 256  # faces
VARIATIONS = 1  # in their seeds: those of an epoch's first batch would else be the epoch's own, which orders the faces
EMA_INTERVAL = 8  # steps between updates of the averaged weights; updating at every step costs more for the same mean


class Run:
    """One training run in its folder.

    Attributes:
        networks: what learns.
        targets: float32 `(n, classes)`, what is learned of each training face.
        track: takes values and a step, for live curves; None for none.
    """

    def __init__(
        self,
        preset: Preset,
        train: FaceDataset,
        validation: FaceDataset,
        run_dir: Path,
        start: Start | None = None,
        draw: Callable[[np.random.Generator], np.ndarray] | None = None,
        teacher: Teacher | None = None,
    ) -> None:
        """Build the networks and what they learn from; see `fit`."""
        self._config, self._architecture = preset.training, preset.architecture
        self._validation, self._dir = validation, run_dir
        self._draw = draw or (lambda rng: rng.permutation(len(train)))
        drawn, size = len(self._draw(np.random.default_rng(0))), self._config.batch_size
        # On a device only whole batches, other faces being left out each epoch: compiling for a last, smaller one would
        # take longer than a whole run saves.
        self._batches = max(1, drawn // size) if self._config.device_augmentation else -(-drawn // size)
        set_seed(self._config.seed)
        self._validation_inputs = self._input(validation.images)
        self.targets = soft_targets(train, self._config.ferplus_weight, self._config.label_smoothing)
        weights = class_weights(train.labels, len(train.emotions), self._config.class_weight_power)
        self._sample_weights = weights[train.labels] if self._config.class_weight_power else None
        frequencies = np.average(self.targets, axis=0, weights=self._sample_weights)
        if teacher and teacher.probabilities is not None:
            share = self._config.distillation
            self.targets = (1 - share) * self.targets + share * teacher.probabilities
        # Wherever faces are varied, they have the network's size then: how far blur goes is told in pixels.
        self._train_faces = replace(train, images=resized(train.images, self._architecture.image_size))
        self.networks = Networks(preset, self._batches, start, teacher, frequencies)
        self._callbacks = callbacks_of(self._config, self.networks.learner)
        self._position = Position()
        self.track: Callable[[dict[str, float], int], None] | None = None
        self._on_gpu = device_name() is not None
        self._recorded = time.monotonic()  # when curves, weights and checkpoint were last written
        self._counted = time.monotonic()  # up to when an epoch has its seconds
        self._best: list[np.ndarray] | None = None  # weights of the best epoch while they are not written yet

    def _input(self, faces: np.ndarray) -> np.ndarray:
        """What the network is given of faces, uint8 grey `(n, height, width)`, varied or not."""
        return (served_input if self._config.levels else network_input)(faces, self._architecture.image_size)

    @property
    def _step(self) -> int:
        """Batches trained since the run began."""
        return self._position.epoch * self._batches + self._position.batch

    def resume(self) -> bool:
        """Take up the checkpoint; False if there is none."""
        position = checkpoint.resume(self._dir, self.networks, self._callbacks)
        if position is None:
            return False
        self._position = position
        print(f"going on with {self._dir} at epoch {position.epoch + 1}, batch {position.batch + 1}", flush=True)
        return True

    def train(self, stop: Interruption) -> None:
        """Train to the end, unless `stop.stopped` becomes true.

        Raises:
            StoppedError: it was asked to stop.
            ValueError: the loss is no number any more.
        """
        position = self._position
        self._counted = time.monotonic()
        while position.epoch < self._config.epochs and not self.networks.learner.stop_training:
            logs = self._train_epoch(stop)
            logs |= self._validate()
            logs["learning_rate"] = self.networks.learning_rate
            for callback in self._callbacks:
                callback.on_epoch_end(position.epoch, logs)
            self._count_seconds()
            logs["seconds"] = position.seconds
            position.epoch, position.batch, position.seconds, position.sums = position.epoch + 1, 0, 0.0, {}
            entry = {"epoch": position.epoch, **{k: round(v, 6) for k, v in logs.items()}}
            entry["learning_rate"] = float(f"{logs['learning_rate']:.6g}")  # it may fall to a millionth
            # So that minutes can be told apart where a run goes on elsewhere, or several share a machine.
            position.history.append(entry | {"ended": round(time.time(), 2), "on_gpu": self._on_gpu})
            self._record(logs)
        if self.networks.learner.stop_training:
            print(f"no better val_loss for {self._config.early_stopping_patience} epochs: it ends here", flush=True)

    def _count_seconds(self) -> None:
        """Give the epoch in work the time since the last count: its training and validation, and what was written."""
        now = time.monotonic()
        self._position.seconds += now - self._counted
        self._counted = now

    def _record(self, logs: dict[str, float]) -> None:
        """Write and tell what an epoch has brought."""
        position, epochs = self._position, self._config.epochs
        best = best_epoch(position.history)
        if best is position.history[-1]:
            self._best = self.networks.kept.get_weights()
        write_json(self._dir / "history.json", position.history)
        if self.track:
            self.track(logs, self._step)
        left = (epochs - position.epoch) * logs["seconds"]
        print(
            f"epoch {position.epoch}/{epochs}: loss {logs['loss']:.4f}, accuracy {logs['accuracy']:.4f}, "
            f"val_loss {logs['val_loss']:.4f}, val_accuracy {logs['val_accuracy']:.4f} "
            f"(best {best['val_accuracy']:.4f}), learning rate {logs['learning_rate']:.2e}, "
            f"took {clock(logs['seconds'])}, at most {clock(left)} left",
            flush=True,
        )
        if time.monotonic() - self._recorded > RECORD_SECONDS:
            draw_curves(position.history, self._dir / "curves.png")
            self._save_checkpoint()

    def _train_epoch(self, stop: Interruption) -> dict[str, float]:
        epoch, config = self._position.epoch, self._config
        order = self._draw(np.random.default_rng([config.seed, epoch]))
        print(f"epoch {epoch + 1}/{config.epochs}", flush=True)
        gentle = epoch >= config.epochs - config.gentle_epochs
        learner = self.networks.learner
        if isinstance(learner, AugmentedTraining):
            return self._train_epoch_on_device(learner, order, gentle, stop)
        return self._train_epoch_here(order, gentle, stop)

    def _train_epoch_here(self, order: np.ndarray, gentle: bool, stop: Interruption) -> dict[str, float]:
        """One epoch whose faces are varied by the processor, batch by batch.

        Raises:
            StoppedError: it was asked for; a checkpoint is written then.
        """
        position = self._position
        # The values shown are running means over the epoch already: not to be averaged once more.
        progress = keras.utils.Progbar(
            self._batches, verbose=int(sys.stdout.isatty()), stateful_metrics=["loss", "accuracy"]
        )
        last_tracked = time.monotonic()
        while position.batch < self._batches:
            first = position.batch * self._config.batch_size
            chosen = order[first : first + self._config.batch_size]
            self._train_batch(chosen, gentle)
            means = {name: total / (first + len(chosen)) for name, total in position.sums.items()}
            progress.update(position.batch, list(means.items()))
            now = time.monotonic()
            if self.track and now - last_tracked > TRACK_SECONDS:
                last_tracked = now
                running = {f"running_{name}": value for name, value in means.items()}
                epoch = position.epoch + position.batch / self._batches
                self.track(running | {"learning_rate": self.networks.learning_rate, "epoch": epoch}, self._step)
            if stop.stopped:
                self._stop()
            if now - self._recorded > CHECKPOINT_SECONDS:
                self._save_checkpoint()
        return {name: total / len(order) for name, total in position.sums.items()}

    def _train_batch(self, chosen: np.ndarray, gentle: bool) -> None:
        """Vary the chosen faces, learn from them, and add up what that came to."""
        position, networks = self._position, self.networks
        # Seeded by position, so that a resumed run sees exactly the faces an unbroken one would have seen.
        rng = np.random.default_rng([self._config.seed, position.epoch, position.batch, VARIATIONS])
        variations = self._config.augmentation.scaled(GENTLE) if gentle else self._config.augmentation
        faces = augment(self._train_faces.images[chosen], variations, rng)
        inputs, targets = self._input(faces), self.targets[chosen]
        weights = None if self._sample_weights is None else self._sample_weights[chosen]
        if self._config.mixup and not gentle:
            shares, partners = mixup_partners(len(chosen), self._config.mixup, rng)
            if self._config.mixing == "cutmix":
                inputs, shares = cut_and_mixed(inputs, shares, partners, rng)
            else:
                inputs = mixed(inputs, shares, partners)
            targets = mixed(targets, shares, partners)
            weights = None if weights is None else mixed(weights, shares, partners)
        networks.seed_dropout(position.epoch, position.batch)
        values = networks.learn(inputs, targets, weights)
        position.batch += 1
        if self._step % EMA_INTERVAL == 0 or position.batch == self._batches:
            networks.update_average(self._step)
        self._require_finite(values["loss"], f"epoch {position.epoch + 1}, batch {position.batch}")
        for name, value in values.items():  # each batch's own; Keras starts its metrics anew at every call
            position.sums[name] = position.sums.get(name, 0.0) + value * len(chosen)

    def _train_epoch_on_device(
        self, learner: AugmentedTraining, order: np.ndarray, gentle: bool, stop: Interruption
    ) -> dict[str, float]:
        """One epoch without a look at it from here, which a GPU would wait for; it is short there.

        Raises:
            StoppedError: it was asked for, on JAX before the epoch began; a checkpoint is written then.
        """
        position = self._position
        if stop.stopped:
            self._stop()
        first, done = position.batch, 0
        size = self._config.batch_size
        order = order[first * size : self._batches * size]
        learner.strength.assign(GENTLE if gentle else 1.0)
        learner.mixing.assign(0.0 if gentle else 1.0)
        learner.steps.assign(self._step)

        def after(batch: int, logs: object) -> None:
            nonlocal done
            done = batch + 1
            learner.stop_training = stop.stopped

        watch = keras.callbacks.LambdaCallback(
            on_train_batch_begin=lambda batch, logs: self.networks.seed_dropout(position.epoch, first + batch),
            on_train_batch_end=after,
        )
        values = learner.fit(
            self._train_faces.images[order],
            self.targets[order],
            min(size, len(order)),
            verbose=int(sys.stdout.isatty()),
            callbacks=[watch],
            shuffle=False,
            sample_weight=None if self._sample_weights is None else self._sample_weights[order],
        ).history
        learner.stop_training = False  # what stops an epoch is not what ends a run
        done = min(done, self._batches - first)  # on JAX the batches of an execution, which the last may not fill
        position.batch = first + done
        for name, [value] in values.items():
            position.sums[name] = position.sums.get(name, 0.0) + float(value) * done
        self._require_finite(position.sums["loss"], f"epoch {position.epoch + 1}")
        if position.batch < self._batches:
            self._stop()
        return {name: total / self._batches for name, total in position.sums.items()}

    def _stop(self) -> NoReturn:
        self._save_checkpoint()
        epoch, batch = self._position.epoch + 1, self._position.batch
        raise StoppedError(f"stopped in epoch {epoch} after batch {batch}; run again to go on")

    def _require_finite(self, loss: float, where: str) -> None:
        if not math.isfinite(loss):
            raise ValueError(
                f"the loss became {loss} in {where}: start anew with a learning_rate below "
                f"{self._config.learning_rate:g}, or with batch norm"
            )

    def _validate(self) -> dict[str, float]:
        probabilities = _answers(self.networks.kept, self._validation_inputs)
        labels = self._validation.labels
        targets = np.eye(len(self._validation.emotions), dtype=np.float32)[labels]
        loss = float(keras.ops.convert_to_numpy(loss_of(self._config)(targets, probabilities)))
        return {"val_loss": loss, "val_accuracy": float((probabilities.argmax(1) == labels).mean())}

    def finish(self) -> None:
        """Measure the kept weights and write the records of a complete run.

        As after each epoch, they are measured on faces with the levels that they have in training.
        """
        history = self._position.history
        self._save_checkpoint()  # an interruption from here on costs no epoch
        draw_curves(history, self._dir / "curves.png")
        model = keras.saving.load_model(self._dir / "model.keras", safe_mode=True)
        probabilities = _answers(model, self._validation_inputs)
        metrics = {
            "best_epoch": best_epoch(history)["epoch"],
            "epochs": len(history),
            "minutes": round(sum(entry["seconds"] for entry in history) / 60, 1),
            "parameters": sum(math.prod(weight.shape) for weight in model.trainable_weights),
            "multiply_adds": count_multiply_adds(model),
            "validation": classification_metrics(self._validation.labels, probabilities, self._validation.emotions),
        }
        write_json(self._dir / "metrics.json", metrics)
        checkpoint.remove(self._dir)

    def _save_checkpoint(self) -> None:
        if self._best:
            _save_weights(self._best, self._architecture, self._dir / "model.keras")
            self._best = None
        self._count_seconds()
        checkpoint.save(self._dir, self.networks, self._position, self._callbacks)
        self._recorded = time.monotonic()


def set_seed(seed: int) -> None:
    """Seed Python, NumPy and Keras, which would import TensorFlow for that beside another backend: 10 s of a processor.

    Keras asks once whether it is there, here or when it saves a model, and remembers the answer.
    """
    if keras.backend.backend() == "tensorflow" or "tensorflow" in sys.modules:
        keras.utils.set_random_seed(seed)
        return
    sys.modules["tensorflow"] = None  # type: ignore[assignment]  # what imports it now is told that it is not there
    try:
        keras.utils.set_random_seed(seed)
    finally:
        del sys.modules["tensorflow"]


def _answers(model: keras.Model, inputs: np.ndarray) -> np.ndarray:
    """Probabilities of faces, in whole batches alone: a last, smaller one would have to be compiled for."""
    size = min(VALIDATION_BATCH, len(inputs))
    filled = np.concatenate([inputs, inputs[: -len(inputs) % size]])
    return model.predict(filled, batch_size=size, verbose=0)[: len(inputs)]


def _save_weights(weights: list[np.ndarray], architecture: ArchitectureConfig, path: Path) -> None:
    """Save an uncompiled network: no optimizer state, a third of the size."""
    copy = build_model(architecture)
    copy.set_weights(weights)
    with whole_file(path) as partial:
        copy.save(partial)
