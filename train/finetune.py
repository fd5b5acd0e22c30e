"""Adapt a model to your own pictures: another camera, other people, a class that FER2013 does not have.

    python -m train.finetune --data FOLDER [--fer2013 DIR] [--out DIR]

FOLDER holds a folder per emotion, with photos of any size; the largest face of each is found and cropped exactly as the
model will be given it later. A folder with a new name adds a class; a class without a folder stays as it is.

Of each class a share is held out for the report and as much again chooses the epoch; the rest is trained on, mildly
varied: first the classifier alone on top of the frozen convolutions, then the whole network at a tenth of the rate.
Batch norm keeps the statistics of the base model, since tens of pictures would only blur them (as in Keras' guide
"Transfer learning and fine-tuning"). With `--fer2013` half of the faces of every epoch come from FER2013 (rehearsal:
Robins, 1995), and what is forgotten is measured on its validation split.

The new model, `report.json`, `figures/` and `pictures.csv` (what became of every picture) are left in `--out`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from statistics import harmonic_mean
from typing import Any

import keras
import numpy as np

from emotion_model.faces.detection import DetectorError, FaceDetector
from emotion_model.labels import CONTEMPT, LABELS, Label
from emotion_model.network.architecture import ArchitectureConfig, build_model
from emotion_model.network.classifier import EmotionClassifier
from emotion_model.network.config import CONFIG_FILE, WEIGHTS_FILE, ModelConfig, ModelError
from train.config import AugmentationConfig, Preset, TrainingConfig, explain, write_json
from train.data.fer2013 import DataError, FaceDataset, load_split, without_images_of
from train.data.pictures import class_folders, dataset, digest, read_pictures, resized, summary, with_splits, write_list
from train.evaluate import classification_metrics
from train.export import fit_temperature
from train.fitting.loop import Start, StoppedError, fit
from train.report import make_report
from train.runs import best_epoch, config_of_run, origin_of_run, write_model

PICTURES_FILE, SETTINGS_FILE, REPORT_FILE, RUNS_DIR = "pictures.csv", "finetune.json", "report.json", "training"
SPLITS = ("train", "validation", "held_out")
EPOCH_FACES = 256  # own faces in an epoch; fewer pictures are seen several times, varied anew each time
FEWEST_MISTAKES = 10  # in a validation set; fewer say nothing about how sure the model may be
FEW_HELD_OUT = 50  # below this the report says how coarse it is
# Of new classes: as far from the known emotions' colours as anything legible is, for the kinds of colour vision that
# `LABELS` names.
SPARE_COLOURS = ("#9c36c6", "#7e606c")
RECIPE = TrainingConfig(
    batch_size=32,
    loss="cross_entropy",
    schedule="one_cycle",
    early_stopping_patience=0,
    label_smoothing=0.05,
    augmentation=AugmentationConfig(rotation=10.0, shift=0.06, zoom=0.1, brightness=0.1, contrast=0.2, degradation=0.1),
)


@dataclass(frozen=True)
class Settings:
    """How to fine-tune.

    Raises:
        ValueError: a value is out of range.
    """

    epochs_frozen: int = 10  # of the classifier on top of frozen convolutions; 0 leaves it out
    epochs: int = 10  # of the whole network, at a tenth of the learning rate; 0 leaves it out
    learning_rate: float = 1e-3
    held_out: float = 0.2  # share of each class for the report, and as much again to choose the epoch
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.epochs_frozen, self.epochs) < 0 or not self.epochs_frozen + self.epochs:
            raise ValueError(f"epochs_frozen={self.epochs_frozen}, epochs={self.epochs}: give at least one epoch")
        if not 1e-6 <= self.learning_rate <= 0.1:
            raise ValueError(f"learning_rate={self.learning_rate}: use a value from 1e-06 to 0.1")
        if not 0.1 <= self.held_out <= 0.4:
            raise ValueError(f"held_out={self.held_out}: use a share from 0.1 to 0.4")


def choose_labels(base: Sequence[Label], found: Collection[str], drop: Collection[str] = ()) -> tuple[Label, ...]:
    """The classes of the new model: the base model's in their order, without the dropped ones, then the new ones.

    Raises:
        ValueError: a class to drop that the model does not have, or fewer than two classes left.
    """
    names = [label.name for label in base]
    for name in drop:
        if name not in names:
            raise ValueError(f"--drop {name}: the model has no such class; it has {', '.join(names)}")
    labels = [label for label in base if label.name not in drop]
    known = {label.name: label for label in (*LABELS, CONTEMPT)}
    spare = iter(colour for colour in SPARE_COLOURS if colour not in {label.colour for label in labels})
    for name in sorted(set(found) - set(names)):
        labels.append(known.get(name) or Label(name, colour=next(spare, Label.colour)))
    if len(labels) < 2:
        raise ValueError(f"{', '.join(drop)} dropped: a model needs at least two classes, so drop fewer")
    return tuple(labels)


def start_weights(base: EmotionClassifier, labels: Sequence[Label]) -> tuple[ArchitectureConfig, list[np.ndarray]]:
    """The base model's network with an output for each label, and its weights.

    Kept classes keep theirs; a new one begins as the mean of the base model's, neither favoured nor ruled out.

    Raises:
        ModelError: the model's config does not describe its network.
    """
    if not base.config.architecture:
        raise ModelError(f"{base.source}: its {CONFIG_FILE} does not say which network it is; export it anew.")
    try:
        architecture = ArchitectureConfig(**base.config.architecture | {"classes": len(labels)})
        network = build_model(architecture)
        for layer in network.layers:
            values = base.model.get_layer(layer.name).get_weights()
            if layer.name == "logits":
                values = [_outputs(value, base.emotions, labels) for value in values]
            layer.set_weights(values)
    except (TypeError, ValueError) as error:
        raise ModelError(f"{base.source}: it is not the network that its {CONFIG_FILE} describes ({error}).") from error
    return architecture, network.get_weights()


def _outputs(value: np.ndarray, emotions: Sequence[str], labels: Sequence[Label]) -> np.ndarray:
    """Kernel or bias of the last layer, its last axis rearranged from the old classes to the new."""
    columns = [value[..., emotions.index(one.name)] if one.name in emotions else value.mean(-1) for one in labels]
    return np.stack(columns, axis=-1)


@dataclass(frozen=True, eq=False)
class Rehearsal:
    """FER2013 as far as the model's classes go.

    Attributes:
        train: faces to mix in, without those of another split or of the own pictures that are measured on.
        validation: faces of classes that base and new model have, without own pictures that are trained on.
        dropped: how many training faces were left out.
    """

    train: FaceDataset
    validation: FaceDataset
    dropped: int


def load_rehearsal(
    data_dir: Path, base: EmotionClassifier, emotions: tuple[str, ...], own: Mapping[str, FaceDataset]
) -> Rehearsal:
    """Read FER2013 beside the own pictures.

    Raises:
        DataError: it cannot be used, or has no class of the model.
    """
    size = base.config.image_size
    splits = {name: load_split(data_dir, name) for name in ("train", "validation", "test")}
    splits = {name: replace(one, images=resized(one.images, size)) for name, one in splits.items()}
    measured = [splits["validation"], splits["test"], own["validation"], own["held_out"]]
    train, dropped = without_images_of(splits["train"], measured)
    validation, _ = without_images_of(splits["validation"], [own["train"]])
    train = _of_classes(train, emotions, emotions)
    validation = _of_classes(validation, emotions, set(emotions) & set(base.emotions))
    if not len(train) or not len(validation):
        raise DataError(f"{data_dir}: FER2013 has none of the classes {', '.join(emotions)}: leave --fer2013 out")
    return Rehearsal(train, validation, dropped)


def _of_classes(faces: FaceDataset, emotions: tuple[str, ...], wanted: Collection[str]) -> FaceDataset:
    """The faces of the wanted classes, labelled by their place in `emotions`."""
    places = np.array([emotions.index(name) if name in wanted else -1 for name in faces.emotions])
    labels = places[faces.labels]
    return FaceDataset(faces.images[labels >= 0], labels[labels >= 0], emotions=emotions)


def balanced_draw(labels: np.ndarray, others: np.ndarray) -> Callable[[np.random.Generator], np.ndarray]:
    """How `fit` chooses the faces of an epoch.

    Args:
        labels: int `(n,)`, classes of the own faces; each class is seen equally often.
        others: int `(m,)`, classes of the faces that stand behind them for rehearsal. Half of an epoch is drawn from
            them, by the square root of their classes' frequency (Mahajan et al., 2018): else the rare ones, such as
            disgust, would drown among the own faces.
    """
    groups = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    each = -(-max(EPOCH_FACES, len(labels)) // len(groups))
    count = min(len(others), each * len(groups))
    weights = np.bincount(others)[others] ** -0.5 if count else others

    def draw(rng: np.random.Generator) -> np.ndarray:
        own = [np.resize(rng.permutation(group), each) for group in groups]
        if count:
            rehearsed = rng.choice(len(others), count, replace=False, p=weights / weights.sum())
            own.append(len(labels) + rehearsed)
        return rng.permutation(np.concatenate(own))

    return draw


def finetune(
    base: EmotionClassifier,
    folder: Path,
    out: Path,
    settings: Settings | None = None,
    fer2013: Path | None = None,
    drop: Collection[str] = (),
    detector: FaceDetector | None = None,
) -> dict[str, Any]:
    """Fine-tune a model, or go on with a stopped run in `out`; returns the report.

    Args:
        base: the model to start from.
        folder: holds a folder of pictures per emotion.
        out: where model, `report.json` and `pictures.csv` go.
        settings: how to train.
        fer2013: folder with FER2013, to rehearse and to measure what is forgotten.
        drop: classes to leave out.
        detector: finds the faces; chosen by the environment if not given.

    Raises:
        DataError: pictures or FER2013 cannot be used.
        ModelError: the base model's config does not describe its network.
        OSError: `out` cannot be written.
        StoppedError: on SIGINT or SIGTERM while training; the same call goes on.
        ValueError: an invalid value, or `out` holds something else.
    """
    settings, detector = settings or Settings(), detector or FaceDetector()
    folders = class_folders(folder, base.emotions)
    labels = choose_labels(base.config.labels, folders, drop)
    emotions = tuple(label.name for label in labels)
    for name in sorted(folders):
        if name in drop:
            print(f"{name}: dropped, so its pictures are left alone")
        elif name not in base.emotions:
            print(f"{name}: a new class")
    folders = {name: places for name, places in folders.items() if name in emotions}
    architecture, weights = start_weights(base, labels)
    _prepare(out, folder)

    pictures = read_pictures(folder, folders, detector, base.config)
    if not (out / SETTINGS_FILE).exists():  # a run's own list stays while others could still be refused
        write_list(out / PICTURES_FILE, pictures)
    print(summary(pictures, out / PICTURES_FILE), flush=True)
    pictures = with_splits(pictures, folders, settings.held_out, settings.seed)
    record = asdict(settings) | {
        "base_sha256": base.config.weights.get("sha256"),
        "labels": [asdict(label) for label in labels],
        "detector": detector.name,
        "pictures": digest(pictures),
        "rehearsal": fer2013 is not None,
    }
    if (out / SETTINGS_FILE).exists() and json.loads((out / SETTINGS_FILE).read_text()) != record:
        raise ValueError(f"{out} holds a run with other pictures or settings: choose another --out or remove it")
    write_list(out / PICTURES_FILE, pictures)
    own = {split: dataset(pictures, split, emotions) for split in SPLITS}
    rehearsal = load_rehearsal(fer2013, base, emotions, own) if fer2013 else None
    write_json(out / SETTINGS_FILE, record)
    run_dir = _train(architecture, weights, own, rehearsal, settings, record, out / RUNS_DIR)

    # Made whole elsewhere and then moved in, the config last: it has the digest of its weights.
    made = out / "partial"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    start = origin_of_run(run_dir)["start"]  # in the first phase the base model's weights, which are no run's
    phases = {"start": start} if "run" in start else {}
    config = config_of_run(run_dir, labels, base.config.framing, finetune=record, base=base.config.training, **phases)
    tuned = write_model(run_dir, config, made)
    validation = [own["validation"], rehearsal.validation] if rehearsal else [own["validation"]]
    temperature = fitted_temperature(tuned, validation) or kept_temperature(base.config, emotions)
    tuned.config = replace(tuned.config, temperature=temperature)
    report = _report(base, tuned, own, rehearsal) | {"chosen": run_dir.name}
    tuned.config.training["report"] = report
    (made / CONFIG_FILE).write_text(tuned.config.to_json(), encoding="utf-8")
    write_json(made / REPORT_FILE, report)
    for file in (WEIGHTS_FILE, CONFIG_FILE, REPORT_FILE):
        (made / file).replace(out / file)
    made.rmdir()
    make_report(out)
    return report


def _prepare(out: Path, folder: Path) -> None:
    """Make the folder of the new model; refuse one where something could be lost or mistaken for pictures."""
    if folder.resolve() in (out.resolve(), *out.resolve().parents):
        raise ValueError(f"{out} lies in the folder of the pictures: choose an --out outside it")
    try:
        out.mkdir(parents=True, exist_ok=True)
        there = {path.name for path in out.iterdir()}
        if there - {PICTURES_FILE} and SETTINGS_FILE not in there:
            raise ValueError(
                f"{out} holds other files ({', '.join(sorted(there)[:3])}): choose a new or an empty --out"
            )
        (out / PICTURES_FILE).touch()  # what cannot be written says so now, not after an hour
    except OSError as error:
        raise ValueError(f"{out} cannot be written ({error.strerror}): choose another --out") from error


def _train(
    architecture: ArchitectureConfig,
    weights: list[np.ndarray],
    own: Mapping[str, FaceDataset],
    rehearsal: Rehearsal | None,
    settings: Settings,
    record: dict[str, Any],
    runs: Path,
) -> Path:
    """Both phases, each a run of its own; returns the folder of the better one by validation."""
    train, left_out = own["train"], 0
    if rehearsal:
        left_out = rehearsal.dropped
        train = replace(
            train,
            images=np.concatenate([train.images, rehearsal.train.images]),
            labels=np.concatenate([train.labels, rehearsal.train.labels]),
        )
    count = len(own["train"])
    draw = balanced_draw(train.labels[:count], train.labels[count:])
    start, done = Start(weights, {"finetune": record}), []
    for name, what, epochs, rate, trainable in (
        ("1-classifier", "the classifier alone", settings.epochs_frozen, settings.learning_rate, _in_head),
        ("2-all", "the whole network", settings.epochs, settings.learning_rate / 10, _is_no_norm),
    ):
        if epochs:
            print(f"training {what}", flush=True)
            recipe = replace(RECIPE, epochs=epochs, learning_rate=rate, seed=settings.seed)
            preset = Preset(architecture, recipe)
            start = replace(start, trainable=trainable)
            fit(preset, train, own["validation"], runs / name, left_out, start=start, draw=draw)
            done.append(runs / name)
            start = Start.of(runs / name, preset)
    best = [best_epoch(json.loads((run / "history.json").read_text())) for run in done]
    return done[best.index(best_epoch(best))]


def _in_head(layer: keras.layers.Layer) -> bool:
    return layer.name.startswith(("dense", "logits")) and _is_no_norm(layer)


def _is_no_norm(layer: keras.layers.Layer) -> bool:
    return not isinstance(layer, keras.layers.BatchNormalization)


def fitted_temperature(uncalibrated: EmotionClassifier, measured: Sequence[FaceDataset]) -> tuple[float, ...] | None:
    """Fitted on faces that were not trained on, each set weighing the same; sets with few mistakes are left out.

    None where every set has too few.
    """
    sets = [(faces.labels, uncalibrated.predict(faces.images)) for faces in measured]
    sets = [(labels, p) for labels, p in sets if (p.argmax(axis=1) != labels).sum() >= FEWEST_MISTAKES]
    if not sets:
        return None
    # Together they count for as many faces as tell that much when weighed like this (Kish, 1965): were a small set
    # blown up to the size of a large one, its chances would be taken for knowledge.
    sizes = [len(labels) for labels, _ in sets]
    weights = np.concatenate([np.full(size, harmonic_mean(sizes) / size) for size in sizes])
    labels, probabilities = (np.concatenate(parts) for parts in zip(*sets, strict=True))
    return fit_temperature(labels, probabilities, weights)


def kept_temperature(base: ModelConfig, emotions: Sequence[str]) -> float | tuple[float, ...]:
    """The base model's temperature for other classes: a new one gets the geometric mean of those that were there."""
    if not isinstance(base.temperature, tuple):
        return base.temperature
    known = dict(zip(base.emotions, base.temperature, strict=True))
    usual = round(float(np.exp(np.log(base.temperature).mean())), 4)
    return tuple(known.get(emotion, usual) for emotion in emotions)


def _report(
    base: EmotionClassifier, tuned: EmotionClassifier, own: Mapping[str, FaceDataset], rehearsal: Rehearsal | None
) -> dict[str, Any]:
    """What `report.json` says: pictures, classes, scores before and after, and what to know about them."""
    old, new, held_out = base.emotions, tuned.emotions, own["held_out"]
    counts = {split: np.bincount(own[split].labels, minlength=len(new)).tolist() for split in SPLITS}
    added, dropped = [name for name in new if name not in old], [name for name in old if name not in new]
    idle = [name for name, count in zip(new, counts["train"], strict=True) if not count]

    def scores(faces: FaceDataset) -> dict[str, Any]:
        return {"before": _scores(base, faces, dropped), "after": _scores(tuned, faces, dropped)}

    report = {
        "pictures": {split: dict(zip(new, counts[split], strict=True)) for split in SPLITS},
        "classes": {"added": added, "dropped": dropped, "without_pictures": idle},
        "held_out": scores(held_out),
        "fer2013_validation": scores(rehearsal.validation) if rehearsal else None,
    }
    notes = []
    if len(held_out) < FEW_HELD_OUT:
        notes.append(f"{len(held_out)} held-out pictures: one more or less is {100 / len(held_out):.1f} points")
    if added:
        notes.append(f"the base model lacks {', '.join(added)}: before, those pictures count as mistakes")
    if idle:
        notes.append(f"without pictures of its own, so perhaps named less often: {', '.join(idle)}")
    if rehearsal is None:
        notes.append("what was forgotten was not measured: give FER2013 with --fer2013")
    elif dropped or added:
        notes.append("FER2013: without faces of dropped classes; naming a class that it lacks is a mistake")
    for name, text in (("held_out", "the held-out pictures"), ("fer2013_validation", "FER2013 validation")):
        if report[name] and (lost := report[name]["before"]["accuracy"] - report[name]["after"]["accuracy"]) > 0:
            notes.append(f"the new model is worse than the base model on {text}, by {100 * lost:.1f} points")
    return report | {"notes": notes}


def _scores(classifier: EmotionClassifier, faces: FaceDataset, dropped: Sequence[str]) -> dict[str, Any]:
    """Scores as `train.evaluate` has them, over the classes of both models."""
    emotions = [*faces.emotions, *dropped]
    probabilities = np.zeros((len(faces), len(emotions)), dtype=np.float32)
    probabilities[:, [emotions.index(name) for name in classifier.emotions]] = classifier.predict(faces.images)
    return {"emotions": emotions, **classification_metrics(faces.labels, probabilities, emotions)}


def _table(report: dict[str, Any]) -> str:
    lines = [f"{'':32}before   after"]
    for name, title in (("held_out", "held-out pictures"), ("fer2013_validation", "FER2013 validation")):
        if not report[name]:
            continue
        before, after = report[name]["before"], report[name]["after"]
        names = {"accuracy": "accuracy", "macro-F1": "macro_f1", "calibration error": "ece"}
        rows = [(text, before[key], after[key]) for text, key in names.items()]
        for emotion, one in after["per_class"].items():
            if one["images"]:
                rows.append((f"F1 of {emotion}, {one['images']:,}", before["per_class"][emotion]["f1"], one["f1"]))
        lines.append(f"{title}, {after['images']:,}")
        lines += [f"  {text:30}{old:.4f}  {new:.4f}" for text, old, new in rows]
    return "\n".join([*lines, *report["notes"]])


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m train.finetune", description="Adapt a model to your own pictures.")
    parser.add_argument("--data", type=Path, required=True, help="folder with a folder of pictures per emotion")
    parser.add_argument("--fer2013", type=Path, metavar="DIR", help="FER2013, to rehearse and to measure forgetting")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("runs/finetuned"),
        help="where the model goes; a stopped run found there goes on (default: runs/finetuned)",
    )
    parser.add_argument("--model", default="bundled", help="`bundled`, a .keras file or its folder (default: bundled)")
    parser.add_argument("--drop", nargs="+", default=[], metavar="CLASS", type=str.lower, help="classes to leave out")
    helps = {
        "epochs_frozen": "epochs of the classifier alone; 0 for none",
        "epochs": "epochs of the whole network; 0 for none",
        "learning_rate": "of the classifier; the whole network gets a tenth",
        "held_out": "share of each class for the report, and as much again to choose the epoch",
        "seed": "another one splits and trains otherwise",
    }
    for field in fields(Settings):
        flag, default = "--" + field.name.replace("_", "-"), field.default
        parser.add_argument(flag, type=type(default), default=default, help=f"{helps[field.name]} (default: {default})")
    options = parser.parse_args(arguments)
    try:
        settings = Settings(**{name: getattr(options, name) for name in helps})
        base, detector = EmotionClassifier.load(options.model), FaceDetector()
        if detector.notice:
            print(detector.notice, detector.fallback_reason, file=sys.stderr)
        report = finetune(base, options.data, options.out, settings, options.fer2013, options.drop, detector)
    except StoppedError as stopped:
        print(stopped)
        return 130
    except KeyboardInterrupt:
        print("stopped; run again to go on")
        return 130
    except (DataError, DetectorError, ModelError, ValueError, OSError) as error:
        print(f"error: {explain(error, options.out)}", file=sys.stderr)
        return 2
    print(f"\n{_table(report)}\n-> {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
