"""Fit a network: the loop, its checkpoints and the files a run leaves behind.

A run directory holds `config.json`, `environment.json`, `history.json` (one entry per epoch), `curves.png`,
`model.keras` (the best epoch on validation, without optimizer state), `metrics.json` and, until the run is complete,
`checkpoint/`.
The loop drives `train_on_batch` itself, so that a run can stop after any batch and go on from there.
"""

from __future__ import annotations

import json
import math
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np

from emotion_model.faces.cropping import network_input
from emotion_model.hub.card import spent
from emotion_model.network.architecture import ArchitectureConfig, build_model, count_multiply_adds
from emotion_model.network.classifier import EmotionClassifier
from emotion_model.network.ensemble import EmotionEnsemble
from train import usable_cores
from train.config import Preset, TrainingConfig, differences, write_json
from train.data.fer2013 import FaceDataset, class_weights, soft_targets
from train.data.on_device import AugmentedTraining
from train.data.pictures import resized
from train.data.variations import augment, mixed, mixup_partners
from train.evaluate import classification_metrics
from train.fitting.fast import device_name, fastest_precision, with_fast_layers
from train.report import draw_curves
from train.runs import best_epoch, is_run, load_model, recorded_config

CHECKPOINT_SECONDS = 300  # a killed run loses at most this much work; where `device_augmentation` is on, an epoch
RECORD_SECONDS = 10  # epochs shorter than this write neither curves nor checkpoint each time
TRACK_SECONDS = 5  # between points of the live curves
TEACHER_BATCH = 512  # faces between steps of its progress bar
PROJECT = "emotion-cnn"  # of the tracker: all runs stand side by side in it
GENTLE = 0.5  # strength of the augmentation in the gentle epochs
EMA_INTERVAL = 8  # steps between updates of the averaged weights; updating at every step costs more for the same mean
# What Keras' callbacks keep between epochs and forget at a restart.
_CALLBACK_STATE = ("best", "wait", "cooldown_counter")


class StoppedError(Exception):
    """The run was asked to stop; the same command goes on from its checkpoint, where `device_augmentation` is on from
    the last one."""


@dataclass(frozen=True)
class Start:
    """Weights that a run begins with.

    Attributes:
        weights: as `keras.Model.get_weights` gives them, for the same architecture.
        record: where they come from, for `config.json`.
        emotions: names of the classes, in the order of the outputs; None: those of the training faces.
        trainable: which layers learn; the others keep their weights and statistics. None: all.
    """

    weights: list[np.ndarray]
    record: dict[str, Any]
    emotions: tuple[str, ...] | None = None
    trainable: Callable[[keras.layers.Layer], bool] | None = None

    @classmethod
    def of(cls, name: str | Path, preset: Preset) -> Start:
        """The weights of `bundled`, of an exported model or of a finished run, of the same network.

        Raises:
            ModelError: there is no such model, or it cannot be loaded.
            ValueError: the run is not finished, or the model is of another network.
        """
        model = load_model(name)
        if not _same_network(model.config.architecture, preset):
            raise ValueError(f"{model.source} is another network: start from a model of the same architecture")
        measured = json.loads((Path(name) / "metrics.json").read_text()) if is_run(name) else model.config.metrics
        accuracy = measured.get("validation", {}).get("accuracy")
        return cls(model.model.get_weights(), _origin(model, accuracy), tuple(model.emotions))


def _origin(model: EmotionClassifier, validation_accuracy: float | None) -> dict[str, Any]:
    """Where weights come from, and what they took with all runs before them, for the record of a run that goes on."""
    training = model.config.training
    before = training.get("start") or {}
    teachers = {one["sha256"]: one for one in (*before.get("teacher", ()), *training.get("teacher", ()))}
    record = {
        "run": Path(model.source).name,
        "sha256": model.config.weights.get("sha256"),
        "epochs": training.get("epochs", 0) + before.get("epochs", 0),
        "validation_accuracy": validation_accuracy,
    } | spent(training)
    if "runs" in before or not before:  # older records do not count them
        record["runs"] = 1 + before.get("runs", 0)
    if teachers:
        shares = training.get("config", {}).get("distillation", 0), before.get("distillation", 0)
        record |= {"teacher": list(teachers.values()), "distillation": max(shares)}
    return record


@dataclass(frozen=True, eq=False)
class Teacher:
    """What a student learns from besides the labels (Hinton et al., 2015).

    Attributes:
        record: which models they are, for `config.json`.
        probabilities: float32 `(n, classes)`, a row for each training face as it is.
        models: instead of those, models to be asked about each varied face, where `device_augmentation` is on.
    """

    record: list[dict[str, Any]]
    probabilities: np.ndarray | None = None
    models: tuple[EmotionClassifier, ...] = ()

    @classmethod
    def beside(cls, paths: Sequence[str | Path], emotions: Sequence[str]) -> Teacher:
        """Models that look at each varied face together with the student.

        Raises:
            ModelError: a model cannot be loaded.
            ValueError: a model has other classes, or has them in another order.
        """
        models = tuple(load_model(path) for path in paths)
        for model in models:
            if list(model.emotions) != list(emotions):
                raise ValueError(
                    f"{model.source} has the classes {', '.join(model.emotions)}, the data {', '.join(emotions)}: "
                    "with device_augmentation they must be the same, in the same order"
                )
        return cls(_origins(models), models=models)

    @classmethod
    def of_models(cls, paths: Sequence[str | Path], faces: FaceDataset) -> Teacher:
        """The mean of the models' probabilities over the faces as they are and mirrored.

        Raises:
            ModelError: a model cannot be loaded.
            ValueError: a model has other classes than the faces.
        """
        models = [load_model(path) for path in paths]
        ensemble = EmotionEnsemble(models)
        if set(ensemble.emotions) != set(faces.emotions):
            raise ValueError(
                f"the teacher has the classes {', '.join(ensemble.emotions)}, the data {', '.join(faces.emotions)}"
            )
        order = [ensemble.emotions.index(emotion) for emotion in faces.emotions]
        print(f"asking {len(models)} teacher{'s' * (len(models) > 1)} about {len(faces):,} faces", flush=True)
        progress = keras.utils.Progbar(len(faces), verbose=int(sys.stdout.isatty()), unit_name="face")
        answers = []
        for start in range(0, len(faces), TEACHER_BATCH):
            answers.append(ensemble.predict(faces.images[start : start + TEACHER_BATCH], flip=True))
            progress.add(len(answers[-1]))
        return cls(_origins(models), np.concatenate(answers)[:, order])


def _origins(models: Sequence[EmotionClassifier]) -> list[dict[str, Any]]:
    return [
        {"source": Path(model.source).name, "sha256": model.config.weights.get("sha256")} | spent(model.config.training)
        for model in models
    ]


def fit(
    preset: Preset,
    train: FaceDataset,
    validation: FaceDataset,
    run_dir: Path,
    dropped_duplicates: int,
    track: bool = False,
    start: Start | None = None,
    draw: Callable[[np.random.Generator], np.ndarray] | None = None,
    teacher: Teacher | None = None,
) -> dict[str, Any]:
    """Train a network, or go on with the run in `run_dir`; returns what `metrics.json` says.

    Args:
        preset: the network and its recipe.
        train: faces to fit on, without any that stand in another split.
        validation: faces to choose the epoch on.
        run_dir: where everything is written; a checkpoint found there is resumed.
        dropped_duplicates: how many training faces were left out, for the record.
        track: send loss, accuracy and learning rate to trackio while the run trains.
        start: weights to begin with instead of random ones.
        draw: chooses the training faces of an epoch, as indices, always as many; by default each is seen once.
        teacher: its probabilities are the share `distillation` of the targets.

    Raises:
        StoppedError: on SIGINT or SIGTERM, after the checkpoint is written; with `device_augmentation` at once.
        ValueError: `run_dir` holds a run of another configuration, a teacher is missing or not asked for, or `start`
            has other classes than the faces.
    """
    require_teacher(preset, teacher is not None)
    if start and start.emotions not in (None, train.emotions):
        raise ValueError(
            f"{start.record.get('run')} has the classes {', '.join(start.emotions)}, the data "
            f"{', '.join(train.emotions)}: a start needs the same, in the same order"
        )
    config = {"architecture": preset.architecture.to_dict(), "training": preset.training.to_dict()}
    config |= {"emotions": list(train.emotions), "data": {"train": len(train), "validation": len(validation)}}
    config["data"]["train_duplicates_dropped"] = dropped_duplicates
    if start:
        config["start"] = start.record
    if teacher:
        config["teacher"] = teacher.record
    config_path = run_dir / "config.json"
    if config_path.exists():
        changed = differences(_identity(recorded_config(run_dir)), _identity(json.loads(json.dumps(config))))
        if changed:
            raise ValueError(
                f"{run_dir} holds a run of another configuration ({'; '.join(changed)}): choose another --out, where "
                f"--start {run_dir} begins with the weights of a finished run, or remove it"
            )
    run_dir.mkdir(parents=True, exist_ok=True)
    run = _Run(preset, train, validation, run_dir, start, draw, teacher)
    if run.complete:
        print(f"{run_dir}: already complete")
    else:
        write_json(config_path, config)
        _record_environment(run_dir / "environment.json", run.precision)
        with _stop_on_signal() as stop:  # from here on a signal is remembered, even while a checkpoint is read
            run.resume()
            with _tracker(run_dir, config) if track else nullcontext() as run.track:
                run.train(stop)
        run.finish()
    return json.loads((run_dir / "metrics.json").read_text())


def _identity(config: dict[str, Any]) -> dict[str, Any]:
    """What makes two runs the same: which weights and teachers they had, whatever else is recorded of those."""
    start = {name: config.get("start", {}).get(name) for name in ("sha256", "frozen_blocks", "finetune")}
    return config | {"start": start, "teacher": [one["sha256"] for one in config.get("teacher", ())]}


def require_teacher(preset: Preset, given: bool) -> None:
    """Refuse a teacher whose probabilities would not be used, and a share for a teacher that is not there.

    Raises:
        ValueError: one of the two is missing.
    """
    share = preset.training.distillation
    if given != bool(share):
        raise ValueError(
            f"distillation={share:g} and {'a' if given else 'no'} teacher: give both, a share above 0 and a teacher, "
            "or neither"
        )


def _same_network(architecture: dict[str, Any], preset: Preset) -> bool:
    return bool(architecture) and ArchitectureConfig(**architecture) == preset.architecture


def environment() -> dict[str, Any]:
    """What a result depends on besides config and data: versions, hardware, commit."""
    backend = keras.backend.backend()
    return {
        "python": platform.python_version(),
        "keras": keras.__version__,
        "backend": backend,
        "backend_version": sys.modules[backend].__version__ if backend in sys.modules else None,
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu_count": usable_cores(),
        "gpu": device_name(),
        "commit": _git("rev-parse", "HEAD") or None,
        "uncommitted_changes": bool(_git("status", "--porcelain")),
    }


def _git(*arguments: str) -> str:
    """What git prints about this checkout; nothing where there is none."""
    command = ["git", *arguments]
    return subprocess.run(
        command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    ).stdout.strip()


def _record_environment(path: Path, precision: str) -> None:
    """Write where a run begins; where it goes on elsewhere, add that to the list `resumed`."""
    now = environment() | {"precision": precision}
    if not path.exists():
        write_json(path, now)
        return
    record = json.loads(path.read_text())
    resumed = record.pop("resumed", [])
    if now != (resumed or [record])[-1]:
        resumed.append(now)
    write_json(path, record | ({"resumed": resumed} if resumed else {}))


class _Run:
    """One training run: model, averaged weights, position, history."""

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
        self.config: TrainingConfig = preset.training
        self.architecture: ArchitectureConfig = preset.architecture
        self.train_faces, self.validation, self.dir = train, validation, run_dir
        self.draw = draw or (lambda rng: rng.permutation(len(train)))
        self.batches = -(-len(self.draw(np.random.default_rng(0))) // self.config.batch_size)
        keras.utils.set_random_seed(self.config.seed)
        self.validation_inputs = network_input(validation.images, self.architecture.image_size)
        self.targets = soft_targets(train, self.config.ferplus_weight, self.config.label_smoothing)
        if teacher and teacher.probabilities is not None:
            share = self.config.distillation
            self.targets = (1 - share) * self.targets + share * teacher.probabilities
        weights = class_weights(train.labels, len(train.emotions), self.config.class_weight_power)
        self.sample_weights = weights[train.labels] if self.config.class_weight_power else None
        self.precision = fastest_precision() if self.config.precision == "auto" else self.config.precision
        with _dtype_policy(self.precision):
            self.model = with_fast_layers(build_model(self.architecture))
        if start:
            self.model.set_weights(start.weights)
            for layer in self.model.layers if start.trainable else ():
                layer.trainable = start.trainable(layer)
        self.averaged: keras.Model | None = None
        if self.config.ema_momentum:
            self.averaged = build_model(self.architecture)
            self.averaged.set_weights(self.model.get_weights())
        if self.config.device_augmentation:
            self.train_faces = replace(train, images=resized(train.images, self.architecture.image_size))
            self.learner = self._on_device(teacher)
            optimizer = self._optimizer()
            if self.precision == "mixed_float16":  # as Keras does by itself where the policy is the model's own
                optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
            self.learner.compile(optimizer=optimizer)
        else:
            self.learner = self.model
            self.learner.compile(optimizer=self._optimizer(), loss=_loss(self.config), metrics=["accuracy"])
        self.epoch, self.batch, self.seconds = 0, 0, 0.0
        self.averaged_at = 0  # step of the last update of the averaged weights
        self.sums: dict[str, float] = {}  # loss and metrics of this epoch's faces so far, added up
        self.history: list[dict[str, float]] = []
        self.track: Callable[[dict[str, float], int], None] | None = None  # values, step
        self.callback_state: list[dict[str, Any]] = []  # as the checkpoint has it
        self.stopped_early = False
        self.recorded = -math.inf  # when curves and checkpoint were last written at the end of an epoch

    def _on_device(self, teacher: Teacher | None) -> AugmentedTraining:
        """The network with everything that is done to a face on its way to it."""
        teachers = []
        with _dtype_policy(self.precision):
            for model in teacher.models if teacher else ():
                if model.config.image_size != self.architecture.image_size:
                    raise ValueError(
                        f"{model.source} looks at faces of {model.config.image_size} pixels, the student at "
                        f"{self.architecture.image_size}: with device_augmentation they must be the same"
                    )
                network = with_fast_layers(build_model(ArchitectureConfig(**model.config.architecture)))
                network.set_weights(model.model.get_weights())
                teachers.append(network)
        config = self.config
        return AugmentedTraining(
            self.model,
            config.augmentation,
            _loss(config),
            config.mixup,
            teachers,
            config.distillation if teachers else 0.0,
            self.averaged,
            config.ema_momentum,
            config.seed,
        )

    @property
    def complete(self) -> bool:
        return (self.dir / "metrics.json").exists()

    @property
    def step(self) -> int:
        """Batches trained since the run began."""
        return self.epoch * self.batches + self.batch

    @property
    def kept(self) -> keras.Model:
        """The model that is validated and saved."""
        return self.averaged or self.model

    def train(self, stop: dict[str, bool]) -> None:
        callbacks = self._callbacks()
        self._restore(callbacks)
        while self.epoch < self.config.epochs and not self.learner.stop_training:
            logs = self._train_epoch(stop, callbacks)
            logs |= self._validate()
            logs["learning_rate"] = float(_numpy(self.learner.optimizer.learning_rate))
            for callback in callbacks:
                callback.on_epoch_end(self.epoch, logs)
            self.epoch, self.batch = self.epoch + 1, 0
            self.history.append({"epoch": self.epoch, **{k: round(v, 6) for k, v in logs.items()}})
            best = best_epoch(self.history)
            if best is self.history[-1]:
                _save_weights_only(self.kept, self.architecture, self.dir / "model.keras")
            write_json(self.dir / "history.json", self.history)
            if self.track:
                self.track({name: value for name, value in self.history[-1].items() if name != "epoch"}, self.step)
            left = (self.config.epochs - self.epoch) * logs["seconds"]
            print(
                f"epoch {self.epoch}/{self.config.epochs}: loss {logs['loss']:.4f}, accuracy {logs['accuracy']:.4f}, "
                f"val_loss {logs['val_loss']:.4f}, val_accuracy {logs['val_accuracy']:.4f} "
                f"(best {best['val_accuracy']:.4f}), learning rate {logs['learning_rate']:.2e}, "
                f"{logs['seconds']:.3g} s, at most {_duration(left)} left",
                flush=True,
            )
            if time.monotonic() - self.recorded > RECORD_SECONDS or logs["seconds"] > RECORD_SECONDS:
                draw_curves(self.history, self.dir / "curves.png")
                self._save_checkpoint(callbacks)
                self.recorded = time.monotonic()

    def _train_epoch(self, stop: dict[str, bool], callbacks: list[keras.callbacks.Callback]) -> dict[str, float]:
        rng = np.random.default_rng([self.config.seed, self.epoch])
        order = self.draw(rng)
        print(f"epoch {self.epoch + 1}/{self.config.epochs}", flush=True)
        strength = GENTLE if self.epoch >= self.config.epochs - self.config.gentle_epochs else 1.0
        if isinstance(self.learner, AugmentedTraining):
            return self._train_epoch_on_device(self.learner, order, strength, stop)
        augmentation = self.config.augmentation.scaled(strength)
        # The values shown are running means over the epoch already: not to be averaged once more.
        progress = keras.utils.Progbar(
            self.batches, verbose=int(sys.stdout.isatty()), stateful_metrics=["loss", "accuracy"]
        )
        started = last_saved = last_tracked = time.monotonic()
        while self.batch < self.batches:
            start = self.batch * self.config.batch_size
            chosen = order[start : start + self.config.batch_size]
            # Seeded by position, so that a resumed run sees exactly the faces an unbroken one would have seen.
            batch_rng = np.random.default_rng([self.config.seed, self.epoch, self.batch])
            faces = augment(self.train_faces.images[chosen], augmentation, batch_rng)
            inputs, targets = network_input(faces, self.architecture.image_size), self.targets[chosen]
            weights = None if self.sample_weights is None else self.sample_weights[chosen]
            if self.config.mixup:
                shares, partners = mixup_partners(len(chosen), self.config.mixup, batch_rng)
                inputs, targets = mixed(inputs, shares, partners), mixed(targets, shares, partners)
                weights = None if weights is None else mixed(weights, shares, partners)
            values = self.learner.train_on_batch(inputs, targets, weights, return_dict=True)
            self.batch += 1
            if self.averaged is not None and (self.step % EMA_INTERVAL == 0 or self.batch == self.batches):
                self._update_average(self.averaged, self.step)
            self._require_finite(float(values["loss"]), f"epoch {self.epoch + 1}, batch {self.batch}")
            for name, value in values.items():  # each batch's own; Keras starts its metrics anew at every call
                self.sums[name] = self.sums.get(name, 0.0) + float(value) * len(chosen)
            seen = start + len(chosen)
            progress.update(self.batch, [(name, total / seen) for name, total in self.sums.items()])
            now = time.monotonic()
            if self.track and now - last_tracked > TRACK_SECONDS:
                last_tracked = now
                rate = float(_numpy(self.learner.optimizer.learning_rate))
                means = {f"running_{name}": total / seen for name, total in self.sums.items()}
                self.track(means | {"learning_rate": rate, "epoch": self.epoch + self.batch / self.batches}, self.step)
            if stop["asked"] or now - last_saved > CHECKPOINT_SECONDS:
                self.seconds += now - started
                started = last_saved = now
                self._save_checkpoint(callbacks)
            if stop["asked"]:
                raise StoppedError(f"stopped in epoch {self.epoch + 1} after batch {self.batch}; run again to go on")
        logs = {name: total / len(order) for name, total in self.sums.items()}
        logs["seconds"] = self.seconds + time.monotonic() - started
        self.seconds, self.sums = 0.0, {}
        return logs

    def _train_epoch_on_device(
        self, learner: AugmentedTraining, order: np.ndarray, strength: float, stop: dict[str, bool]
    ) -> dict[str, float]:
        """One epoch without a look at it from here, which a GPU would wait for; it is short there.

        Raises:
            StoppedError: it was asked for; the epoch counts for nothing then.
        """
        started = time.monotonic()
        learner.strength.assign(strength)
        learner.steps.assign(self.step)
        watch = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: setattr(learner, "stop_training", stop["asked"])
        )
        values = learner.fit(
            self.train_faces.images[order],
            self.targets[order],
            self.config.batch_size,
            verbose=int(sys.stdout.isatty()),
            callbacks=[watch],
            shuffle=False,
            sample_weight=None if self.sample_weights is None else self.sample_weights[order],
        ).history
        if stop["asked"]:
            raise StoppedError(
                f"stopped in epoch {self.epoch + 1}; run again to go on from the last checkpoint, if any"
            )
        logs = {name: float(value) for name, [value] in values.items()}
        self._require_finite(logs["loss"], f"epoch {self.epoch + 1}")
        return logs | {"seconds": time.monotonic() - started}

    def _require_finite(self, loss: float, where: str) -> None:
        if not math.isfinite(loss):
            raise ValueError(
                f"the loss became {loss} in {where}: start anew with a learning_rate below "
                f"{self.config.learning_rate:g}, or with batch norm"
            )

    def _update_average(self, averaged: keras.Model, step: int) -> None:
        # A young average follows quickly, or the random start would linger in it for epochs.
        momentum = min(self.config.ema_momentum, (1 + step) / (10 + step)) ** (step - self.averaged_at)
        self.averaged_at = step
        for average, weight in zip(averaged.weights, self.model.weights, strict=True):
            average.assign(average * momentum + weight * (1 - momentum))

    def _validate(self) -> dict[str, float]:
        probabilities = self.kept.predict(self.validation_inputs, batch_size=256, verbose=0)
        targets = np.eye(len(self.validation.emotions), dtype=np.float32)[self.validation.labels]
        loss = float(_numpy(_loss(self.config)(targets, probabilities)))
        return {"val_loss": loss, "val_accuracy": float((probabilities.argmax(1) == self.validation.labels).mean())}

    def finish(self) -> None:
        draw_curves(self.history, self.dir / "curves.png")
        model = keras.saving.load_model(self.dir / "model.keras", safe_mode=True)
        probabilities = model.predict(self.validation_inputs, batch_size=256, verbose=0)
        metrics = {
            "best_epoch": best_epoch(self.history)["epoch"],
            "epochs": len(self.history),
            "minutes": round(sum(entry["seconds"] for entry in self.history) / 60, 1),
            "parameters": sum(math.prod(weight.shape) for weight in model.trainable_weights),
            "multiply_adds": count_multiply_adds(model),
            "validation": classification_metrics(self.validation.labels, probabilities, self.validation.emotions),
        }
        write_json(self.dir / "metrics.json", metrics)
        shutil.rmtree(self.dir / "checkpoint", ignore_errors=True)

    def _optimizer(self) -> keras.optimizers.Optimizer:
        config = self.config
        rate: Any = config.learning_rate
        if config.schedule == "one_cycle":  # Smith & Topin, 2018, its second half as a cosine
            steps = config.epochs * self.batches
            warmup = int(steps * config.warmup)
            rate = keras.optimizers.schedules.CosineDecay(
                config.learning_rate / 25, max(1, steps - warmup), 0.0, "one_cycle", config.learning_rate, warmup
            )
        if config.optimizer == "adamw":
            optimizer = keras.optimizers.AdamW(rate, weight_decay=config.weight_decay)
            optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
            return optimizer
        return keras.optimizers.Adam(rate)

    def _callbacks(self) -> list[keras.callbacks.Callback]:
        config, callbacks = self.config, []
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
            callbacks.append(
                keras.callbacks.EarlyStopping(
                    "val_loss", patience=config.early_stopping_patience, verbose=1, mode="min"
                )
            )
        for callback in callbacks:
            callback.set_model(self.learner)
            callback.on_train_begin()
        self.learner.stop_training = False
        return callbacks

    def _save_checkpoint(self, callbacks: list[keras.callbacks.Callback]) -> None:
        """Write everything a resume needs into a new folder, then swap it in: a crash leaves the old or the new one."""
        new, current, old = (self.dir / name for name in ("checkpoint.new", "checkpoint", "checkpoint.old"))
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir()
        # Values alone: the network and its optimizer are built anew from the config.
        np.savez(new / "model.npz", *self.model.get_weights())
        np.savez(new / "optimizer.npz", *(_numpy(variable) for variable in self.learner.optimizer.variables))
        if self.averaged is not None:
            np.savez(new / "averaged.npz", *self.averaged.get_weights())
        state: dict[str, Any] = {"epoch": self.epoch, "batch": self.batch, "seconds": self.seconds, "sums": self.sums}
        state["averaged_at"] = self.averaged_at
        state["history"] = self.history
        state["stop_training"] = bool(self.learner.stop_training)
        # Keras does not save where the dropout layers stand in their random sequences.
        state["dropout"] = {layer.name: _numpy(layer.seed_generator.state).tolist() for layer in self._random_layers()}
        state["callbacks"] = [
            {name: _plain(getattr(callback, name)) for name in _CALLBACK_STATE if hasattr(callback, name)}
            for callback in callbacks
        ]
        write_json(new / "state.json", state)
        shutil.rmtree(old, ignore_errors=True)
        if current.exists():
            current.rename(old)
        new.rename(current)
        shutil.rmtree(old, ignore_errors=True)

    def resume(self) -> None:
        """Take up the checkpoint, if there is one."""
        current = self.dir / "checkpoint"
        if not current.exists():
            current = self.dir / "checkpoint.old"
        if not current.exists():
            return
        state = json.loads((current / "state.json").read_text())
        self.model.set_weights(_arrays(current / "model.npz"))
        self.learner.optimizer.build(self.learner.trainable_variables)
        for variable, value in zip(self.learner.optimizer.variables, _arrays(current / "optimizer.npz"), strict=True):
            variable.assign(value)
        if self.averaged is not None:
            self.averaged.set_weights(_arrays(current / "averaged.npz"))
        for layer in self._random_layers():
            layer.seed_generator.state.assign(state["dropout"][layer.name])
        self.epoch, self.batch, self.seconds = state["epoch"], state["batch"], state["seconds"]
        self.sums, self.averaged_at = state["sums"], state["averaged_at"]
        self.history = state["history"]
        self.callback_state, self.stopped_early = state["callbacks"], state["stop_training"]
        print(f"going on with {self.dir} at epoch {self.epoch + 1}, batch {self.batch + 1}", flush=True)

    def _random_layers(self) -> list[keras.layers.Layer]:
        layers = self.model.layers if self.learner is self.model else [*self.model.layers, self.learner]
        return [layer for layer in layers if hasattr(layer, "seed_generator")]

    def _restore(self, callbacks: list[keras.callbacks.Callback]) -> None:
        for callback, state in zip(callbacks, self.callback_state, strict=False):
            for name, value in state.items():
                setattr(callback, name, value)
        self.learner.stop_training = self.stopped_early


@contextmanager
def _tracker(run_dir: Path, config: dict[str, Any]) -> Iterator[Callable[[dict[str, float], int], None]]:
    """Where the live curves go: trackio, on this machine alone; `trackio show` opens them."""
    try:
        import trackio
    except ImportError as error:
        raise ValueError("live curves need trackio: pip install -r requirements-train.txt") from error
    flat = config["architecture"] | config["training"] | config["training"]["augmentation"]
    trackio.init(
        PROJECT, name=run_dir.name, config=flat, resume="allow", embed=False, auto_log_cpu=False, auto_log_gpu=False
    )
    try:
        yield lambda values, step: trackio.log(values, step=step)
    finally:
        trackio.finish()


def _loss(config: TrainingConfig) -> keras.losses.Loss:
    if config.loss == "focal":
        return keras.losses.CategoricalFocalCrossentropy(gamma=config.focal_gamma)
    return keras.losses.CategoricalCrossentropy()


def _save_weights_only(model: keras.Model, architecture: ArchitectureConfig, path: Path) -> None:
    """Save an uncompiled copy: no optimizer state, a third of the size."""
    copy = build_model(architecture)
    copy.set_weights(model.get_weights())
    partial = path.with_name(f"partial-{path.name}")
    try:
        copy.save(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _arrays(path: Path) -> list[np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return [file[name] for name in file.files]


@contextmanager
def _dtype_policy(name: str) -> Iterator[None]:
    """Layers made inside compute by this policy."""
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(previous)


def _numpy(value: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(value)


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"


@contextmanager
def _stop_on_signal() -> Iterator[dict[str, bool]]:
    """Turn SIGINT and SIGTERM into a flag, so that a run ends between two batches."""
    stop = {"asked": False}

    def ask(*_: object) -> None:
        stop["asked"] = True

    previous = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
