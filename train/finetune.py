"""Adapt a model to your own pictures: another camera, other people, a class that FER2013 does not have.

    python -m train.finetune --data FOLDER --out DIR [--fer2013 DIR]

FOLDER holds a folder per emotion, with photos of any size; the largest face of each is found and cropped exactly as the
model will be given it later. A folder with a new name adds a class; a class without a folder stays as it is.

Of each class a share is held out for the report and as much again chooses the epoch; the rest is trained on, mildly
varied: first the classifier alone on top of the finished convolutions, then the whole network at a tenth of the rate.
Batch norm keeps the statistics of the base model, since tens of pictures would only blur them (as in Keras' guide
"Transfer learning and fine-tuning"). With `--fer2013` half of the faces of every epoch come from FER2013 (rehearsal:
Robins, 1995), and what is forgotten is measured on its validation split.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from emotion_model.architecture import ArchitectureConfig, build_model
from emotion_model.classifier import BUNDLED_DIR, CONFIG_FILE, WEIGHTS_FILE, EmotionClassifier, ModelConfig, ModelError
from emotion_model.detection import DetectorError, FaceDetector
from emotion_model.images import ImageError, read_image, to_grey
from emotion_model.labels import Label
from emotion_model.preprocessing import Framing, crop_face, network_input
from train.config import AugmentationConfig, Preset, TrainingConfig, write_json
from train.data import DataError, FaceDataset, load_split, without_images_of
from train.evaluate import classification_metrics
from train.export import fit_temperature
from train.fit import Start, StoppedError, best_epoch, fit

PICTURES_FILE, SETTINGS_FILE, REPORT_FILE, RUNS_DIR = "pictures.csv", "finetune.json", "report.json", "training"
SPLITS = ("train", "validation", "held_out")
READY_CROP_SIDE = 100  # pixels; a picture up to this size without a detectable face is taken as a cropped face itself
FEWEST_PICTURES = 5  # of a class: one for each of validation and report, the rest to learn from
EPOCH_FACES = 256  # own faces in an epoch; fewer pictures are seen several times, varied anew each time
FEWEST_MISTAKES = 10  # on validation; fewer say nothing about how sure the model may be
FEW_HELD_OUT = 50  # below this the report says how coarse it is
# As far from the seven emotions' colours as anything legible is, for the kinds of colour vision that `LABELS` names.
SPARE_COLOURS = ("#4e7230", "#9c36c6", "#7e606c")
AUGMENTATION = AugmentationConfig(rotation=10.0, shift=0.06, zoom=0.1, brightness=0.1, contrast=0.2, degradation=0.1)


@dataclass(frozen=True)
class Settings:
    """How to fine-tune.

    Raises:
        ValueError: a value is out of range.
    """

    epochs_frozen: int = 10  # of the classifier on top of frozen convolutions
    epochs: int = 10  # of the whole network, at a tenth of the learning rate
    learning_rate: float = 1e-3
    held_out: float = 0.2  # share of each class for the report, and as much again to choose the epoch
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.epochs_frozen, self.epochs) < 0 or not self.epochs_frozen + self.epochs:
            raise ValueError(
                f"epochs_frozen={self.epochs_frozen}, epochs={self.epochs}: give at least one epoch; 0 leaves one out"
            )
        if not 1e-6 <= self.learning_rate <= 0.1:
            raise ValueError(f"learning_rate={self.learning_rate}: use a value from 1e-06 to 0.1")
        if not 0.1 <= self.held_out <= 0.4:
            raise ValueError(f"held_out={self.held_out}: use a share from 0.1 to 0.4")


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture file.

    Attributes:
        file: its path inside the folder that was given.
        emotion: the class that its folder names.
        crop: its face, uint8 grey `(size, size)`; None where it is unusable.
        reason: why it is unusable, or what was unusual about it; "" for an ordinary one.
    """

    file: str
    emotion: str
    crop: np.ndarray | None
    reason: str = ""


def class_folders(folder: Path) -> dict[str, list[Path]]:
    """The folders of each class, by its name in lower case.

    Raises:
        DataError: no such folder, or none in it.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; give one that holds a folder of pictures per emotion")
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.name.startswith((".", "_")):
            found.setdefault(path.name.strip().lower(), []).append(path)
    if not found:
        raise DataError(f"{folder}: holds no folder; put the pictures into one per emotion, such as happy/ and sad/")
    return found


def read_pictures(
    folder: Path, folders: Mapping[str, Sequence[Path]], detector: FaceDetector, config: ModelConfig
) -> list[Picture]:
    """Read every picture and cut out its largest face as `EmotionDetector` does.

    A picture of up to 100 pixels a side in which no face is found is taken as a face that is cropped already. Of
    pictures with pixel for pixel the same crop one is used, and none where they stand in different classes.
    """
    pictures = [
        _read(file, folder, emotion, detector, config)
        for emotion, places in folders.items()
        for place in places
        for file in sorted(place.rglob("*"))
        if file.is_file() and not file.name.startswith(".")
    ]
    same: dict[bytes, list[Picture]] = {}
    for picture in pictures:
        if picture.crop is not None:
            same.setdefault(picture.crop.tobytes(), []).append(picture)
    return [picture if picture.crop is None else _unless_twin(picture, same[picture.crop.tobytes()])
            for picture in pictures]  # fmt: skip


def _read(file: Path, folder: Path, emotion: str, detector: FaceDetector, config: ModelConfig) -> Picture:
    name = file.relative_to(folder).as_posix()
    try:
        image = read_image(file)
    except ImageError as error:
        return Picture(name, emotion, None, str(error))
    found, grey = detector.detect(image), to_grey(image)
    if found:
        framing = config.framing.get(detector.name, Framing())
        crop = crop_face(grey, found[0].box, found[0].landmarks, framing, config.image_size)
        return Picture(name, emotion, crop, "several faces: the largest is used" if len(found) > 1 else "")
    if max(grey.shape) <= READY_CROP_SIDE:
        return Picture(name, emotion, _resized([grey], config.image_size)[0], "small: taken as a cropped face")
    return Picture(name, emotion, None, "no face found")


def _unless_twin(picture: Picture, twins: Sequence[Picture]) -> Picture:
    other = next((twin for twin in twins if twin.emotion != picture.emotion), None)
    if other:
        return replace(picture, crop=None, reason=f"the same face stands in another class: {other.file}")
    return picture if picture is twins[0] else replace(picture, crop=None, reason=f"the same face as {twins[0].file}")


def _resized(faces: Sequence[np.ndarray] | np.ndarray, size: int) -> np.ndarray:
    return network_input(faces, size)[..., 0].astype(np.uint8)


def assign_splits(pictures: Iterable[Picture], held_out: float, seed: int) -> dict[str, str]:
    """The split of every usable picture, by file: of each class a share is held out, as much again is for validation.

    Raises:
        DataError: too few usable pictures, or of one class only.
    """
    by_class: dict[str, list[str]] = {}
    for picture in pictures:
        if picture.crop is not None:
            by_class.setdefault(picture.emotion, []).append(picture.file)
    for emotion, files in by_class.items():
        if len(files) < FEWEST_PICTURES:
            raise DataError(
                f"{emotion}: {len(files)} usable picture{'s' * (len(files) > 1)}, and {FEWEST_PICTURES} are needed: "
                "add some, or remove the folder"
            )
    if len(by_class) == 1:
        raise DataError(f"only {next(iter(by_class))} has pictures: give at least two classes to tell apart")
    rng, splits = np.random.default_rng(seed), {}
    for files in by_class.values():
        count = max(1, round(held_out * len(files)))
        for place, index in enumerate(rng.permutation(len(files))):
            splits[files[index]] = "held_out" if place < count else "validation" if place < 2 * count else "train"
    return splits


def choose_labels(
    base: Sequence[Label],
    found: Collection[str],
    drop: Collection[str] = (),
    emoji: Mapping[str, str] | None = None,
    colours: Mapping[str, str] | None = None,
) -> tuple[Label, ...]:
    """The classes of the new model: the base model's in their order, without the dropped ones, then the new ones.

    Raises:
        ValueError: an unknown name, an invalid emoji or colour, or fewer than two classes left.
    """
    emoji, colours = emoji or {}, colours or {}
    names = [label.name for label in base]
    for name in drop:
        if name not in names:
            raise ValueError(f"--drop {name}: the model has no such class; it has {', '.join(names)}")
    labels = [label for label in base if label.name not in drop]
    spare = iter(colour for colour in SPARE_COLOURS if colour not in {label.colour for label in labels})
    labels += [Label(name, colour=next(spare, Label.colour)) for name in sorted(set(found) - set(names))]
    if len(labels) < 2:
        raise ValueError(
            f"{len(labels)} class{'es' * (len(labels) != 1)} would be left: a model needs at least two, so drop fewer"
        )
    for name in (*emoji, *colours):
        if name not in {label.name for label in labels}:
            raise ValueError(f"{name}: no such class in the new model, so it needs no emoji or colour")
    for name, colour in colours.items():
        if not re.fullmatch(r"#[0-9a-fA-F]{6}", colour):
            raise ValueError(f"--colour {name}={colour}: write it as #rrggbb, such as #8d909a")
    for name, text in emoji.items():
        if not 0 < len(text) <= 10 or text.isspace():
            raise ValueError(f"--emoji {name}={text}: give one emoji, such as 😏")
    return tuple(
        replace(one, emoji=emoji.get(one.name, one.emoji), colour=colours.get(one.name, one.colour)) for one in labels
    )


def start_weights(base: EmotionClassifier, labels: Sequence[Label]) -> tuple[ArchitectureConfig, list[np.ndarray]]:
    """The base model's network with an output for each label, and its weights.

    Kept classes keep theirs; a new one begins as the mean of the base model's, neither favoured nor ruled out.

    Raises:
        ModelError: the model's config does not describe its network.
    """
    if not base.config.architecture:
        raise ModelError(f"{base.source}: its {CONFIG_FILE} does not say which network it is; export it anew.")
    try:
        old = ArchitectureConfig(**base.config.architecture)
        architecture = replace(old, classes=len(labels))
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
    data_dir: Path, base: EmotionClassifier, emotions: tuple[str, ...], own: Mapping[str, FaceDataset], size: int
) -> Rehearsal:
    """Read FER2013 beside the own pictures.

    Raises:
        DataError: it cannot be used, or has no class of the model.
    """
    splits = {name: load_split(data_dir, name) for name in ("train", "validation", "test")}
    if size != splits["train"].images.shape[1]:
        splits = {name: replace(one, images=_resized(one.images, size)) for name, one in splits.items()}
    measured = [splits["validation"], splits["test"], own["validation"], own["held_out"]]
    train, dropped = without_images_of(splits["train"], measured)
    validation, _ = without_images_of(splits["validation"], [own["train"]])
    train = _of_classes(train, emotions, emotions)
    validation = _of_classes(validation, emotions, set(emotions) & set(base.emotions))
    if not len(train) or not len(validation):
        raise DataError(f"{data_dir}: FER2013 has none of the classes {', '.join(emotions)}: leave --fer2013 out")
    return Rehearsal(train, validation, dropped)


def _of_classes(dataset: FaceDataset, emotions: tuple[str, ...], wanted: Collection[str]) -> FaceDataset:
    """The faces of the wanted classes, labelled by their place in `emotions`."""
    places = np.array([emotions.index(name) if name in wanted else -1 for name in dataset.emotions])
    labels = places[dataset.labels]
    return FaceDataset(dataset.images[labels >= 0], labels[labels >= 0], emotions=emotions)


def balanced_draw(labels: np.ndarray, others: int) -> Callable[[np.random.Generator], np.ndarray]:
    """How `fit` chooses the faces of an epoch.

    Args:
        labels: int `(n,)`, classes of the own faces; each class is seen equally often.
        others: how many faces stand behind them for rehearsal; as many as there are own ones are drawn afresh.
    """
    groups = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    each = -(-max(EPOCH_FACES, len(labels)) // len(groups))

    def draw(rng: np.random.Generator) -> np.ndarray:
        own = [np.resize(rng.permutation(group), each) for group in groups]
        rehearsed = len(labels) + rng.choice(others, min(others, each * len(groups)), replace=False) if others else []
        return rng.permutation(np.concatenate([*own, rehearsed]).astype(int))

    return draw


def _in_head(layer: keras.layers.Layer) -> bool:
    return layer.name.startswith(("dense", "logits")) and _is_no_norm(layer)


def _is_no_norm(layer: keras.layers.Layer) -> bool:
    return not isinstance(layer, keras.layers.BatchNormalization)


def finetune(
    base: EmotionClassifier,
    folder: Path,
    out: Path,
    settings: Settings | None = None,
    fer2013: Path | None = None,
    drop: Collection[str] = (),
    emoji: Mapping[str, str] | None = None,
    colours: Mapping[str, str] | None = None,
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
        emoji: of classes, by name.
        colours: of classes as `#rrggbb`, by name.
        detector: finds the faces; chosen by the environment if not given.

    Raises:
        DataError: pictures or FER2013 cannot be used.
        ModelError: the base model's config does not describe its network.
        StoppedError: on SIGINT or SIGTERM while training; the same call goes on.
        ValueError: an invalid value, or `out` holds something else.
    """
    settings, detector = settings or Settings(), detector or FaceDetector()
    folders = class_folders(folder)
    _check_out(out, folder)
    labels = choose_labels(base.config.labels, folders, drop, emoji, colours)
    emotions = tuple(label.name for label in labels)
    architecture, weights = start_weights(base, labels)
    for name in sorted(set(folders) - set(emotions)):
        print(f"{name}: dropped, so its pictures are left alone")
    for name in emotions[len(base.emotions) - len(set(drop)) :]:
        print(f"{name}: a new class")

    pictures = read_pictures(folder, {n: folders[n] for n in sorted(folders) if n in emotions}, detector, base.config)
    record = asdict(settings) | {
        "base_sha256": _sha256_of_weights(base),
        "labels": [asdict(label) for label in labels],
        "detector": detector.name,
        "pictures": _digest(pictures),
        "rehearsal": fer2013 is not None,
    }
    if (out / SETTINGS_FILE).exists() and json.loads((out / SETTINGS_FILE).read_text("utf-8")) != record:
        raise ValueError(f"{out} holds a run with other pictures or settings: choose another --out or remove it")
    out.mkdir(parents=True, exist_ok=True)
    _write_pictures(out / PICTURES_FILE, pictures, {})
    print(_summary(pictures), flush=True)
    if not any(picture.crop is not None for picture in pictures):
        raise DataError(f"{folder}: no usable picture; {out / PICTURES_FILE} says why of each")
    splits = assign_splits(pictures, settings.held_out, settings.seed)
    write_json(out / SETTINGS_FILE, record)
    _write_pictures(out / PICTURES_FILE, pictures, splits)

    own = {split: _dataset(pictures, splits, split, emotions) for split in SPLITS}
    rehearsal = load_rehearsal(fer2013, base, emotions, own, base.config.image_size) if fer2013 else None
    run_dir = _train(architecture, weights, own, rehearsal, settings, record, out / RUNS_DIR)

    run = {name: json.loads((run_dir / f"{name}.json").read_text()) for name in ("config", "environment", "metrics")}
    # Made whole beside the final names and then moved in, the config last: without it nothing is loaded.
    with tempfile.TemporaryDirectory(dir=out, prefix="partial-") as name:
        made = Path(name)
        shutil.copyfile(run_dir / "model.keras", made / WEIGHTS_FILE)
        content = (made / WEIGHTS_FILE).read_bytes()
        config = replace(
            base.config,
            labels=labels,
            temperature=1.0,
            weights={
                "file": WEIGHTS_FILE,
                "sha256": hashlib.sha256(content).hexdigest(),
                "bytes": len(content),
                "parameters": run["metrics"]["parameters"],
                "multiply_adds": run["metrics"]["multiply_adds"],
            },
            architecture=architecture.to_dict(),
            training={},
            metrics={},
        )
        uncalibrated = _load_with(made, config).predict(own["validation"].images)
        mistakes = int((uncalibrated.argmax(axis=1) != own["validation"].labels).sum())
        fitted = mistakes >= FEWEST_MISTAKES
        temperature = fit_temperature(own["validation"].labels, uncalibrated) if fitted else base.config.temperature
        config = replace(config, temperature=temperature)
        report = _report(base, _load_with(made, config), own, rehearsal, splits, pictures, run_dir.name, fitted)
        training = {
            "config": run["config"]["training"],
            "data": run["config"]["data"],
            "environment": run["environment"],
            "epochs": run["metrics"]["epochs"],
            "best_epoch": run["metrics"]["best_epoch"],
            "minutes": run["metrics"]["minutes"],
            "finetune": record,
            "base": base.config.training,
            "report": report,
        }
        (made / CONFIG_FILE).write_text(replace(config, training=training).to_json(), encoding="utf-8")
        write_json(made / REPORT_FILE, report)
        for file in (WEIGHTS_FILE, CONFIG_FILE, REPORT_FILE):
            (made / file).replace(out / file)
    return report


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
    train, others, dropped = own["train"], 0, 0
    if rehearsal:
        others, dropped = len(rehearsal.train), rehearsal.dropped
        train = FaceDataset(
            np.concatenate([train.images, rehearsal.train.images]),
            np.concatenate([train.labels, rehearsal.train.labels]),
            emotions=train.emotions,
        )
    draw = balanced_draw(own["train"].labels, others)
    recipe = TrainingConfig(
        batch_size=32,
        loss="cross_entropy",
        schedule="one_cycle",
        early_stopping_patience=0,
        label_smoothing=0.05,
        seed=settings.seed,
        augmentation=AUGMENTATION,
    )
    start, done = Start(weights, {"finetune": record}), []
    for name, what, epochs, rate, trainable in (
        ("1-classifier", "the classifier alone", settings.epochs_frozen, settings.learning_rate, _in_head),
        ("2-all", "the whole network", settings.epochs, settings.learning_rate / 10, _is_no_norm),
    ):
        if epochs:
            print(f"training {what}", flush=True)
            preset = Preset(architecture, replace(recipe, epochs=epochs, learning_rate=rate))
            start = replace(start, trainable=trainable)
            fit(preset, train, own["validation"], runs / name, dropped, start=start, draw=draw)
            done.append(runs / name)
            start = Start.of_run(runs / name, preset)
    best = [best_epoch(json.loads((run / "history.json").read_text())) for run in done]
    return done[best.index(best_epoch(best))]


def _check_out(out: Path, folder: Path) -> None:
    if out.resolve() == folder.resolve() or folder.resolve() in out.resolve().parents:
        raise ValueError(f"{out} lies in the folder of the pictures: choose an --out outside it")
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file: choose a folder")
    there = {path.name for path in out.iterdir()} if out.is_dir() else set()
    if there - {PICTURES_FILE} and SETTINGS_FILE not in there:
        raise ValueError(f"{out} holds other files ({', '.join(sorted(there)[:3])}): choose a new or an empty folder")


def _sha256_of_weights(base: EmotionClassifier) -> str:
    path = BUNDLED_DIR / WEIGHTS_FILE if base.source == "bundled" else Path(base.source)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _digest(pictures: Iterable[Picture]) -> str:
    """Of everything that is trained and measured on."""
    digest = hashlib.sha256()
    for picture in pictures:
        if picture.crop is not None:
            digest.update(f"{picture.emotion}/{picture.file}".encode() + picture.crop.tobytes())
    return digest.hexdigest()


def _write_pictures(path: Path, pictures: Iterable[Picture], splits: Mapping[str, str]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("file", "class", "status", "reason"))
    for one in pictures:
        status = "unusable" if one.crop is None else splits.get(one.file, "usable")
        writer.writerow((one.file, one.emotion, status, one.reason))
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text.getvalue(), encoding="utf-8")
    partial.replace(path)


def _summary(pictures: Sequence[Picture]) -> str:
    """How many pictures are used and what is unusual, in a line each."""
    usable = [picture for picture in pictures if picture.crop is not None]
    classes = Counter(picture.emotion for picture in usable)
    counts = ", ".join(f"{count} {name}" for name, count in classes.items()) or "none"
    lines = [f"{len(pictures)} pictures, {len(usable)} usable: {counts}"]
    twins = "the same face"  # named with the other file, which would make a line of each
    for used in (True, False):
        reasons = Counter(
            twins + " as another picture" if one.reason.startswith(twins) else one.reason
            for one in pictures
            if one.reason and (one.crop is not None) == used
        )
        lines += [f"  {count} {'used' if used else 'not used'}: {reason}" for reason, count in reasons.most_common()]
    return "\n".join(lines)


def _dataset(
    pictures: Iterable[Picture], splits: Mapping[str, str], split: str, emotions: tuple[str, ...]
) -> FaceDataset:
    chosen = [picture for picture in pictures if splits.get(picture.file) == split]
    labels = np.array([emotions.index(picture.emotion) for picture in chosen])
    return FaceDataset(np.stack([picture.crop for picture in chosen]), labels, emotions=emotions)  # type: ignore[misc]


def _load_with(folder: Path, config: ModelConfig) -> EmotionClassifier:
    (folder / CONFIG_FILE).write_text(config.to_json(), encoding="utf-8")
    return EmotionClassifier.load(folder)


def _report(
    base: EmotionClassifier,
    tuned: EmotionClassifier,
    own: Mapping[str, FaceDataset],
    rehearsal: Rehearsal | None,
    splits: Mapping[str, str],
    pictures: Sequence[Picture],
    phase: str,
    temperature_fitted: bool,
) -> dict[str, Any]:
    """What `report.json` says: pictures, classes, scores before and after, and what to know about them."""
    old, new, held_out = base.emotions, tuned.emotions, own["held_out"]
    used = {split: np.bincount(own[split].labels, minlength=len(new)) for split in SPLITS}
    added, dropped = [name for name in new if name not in old], [name for name in old if name not in new]
    idle = [name for i, name in enumerate(new) if not used["train"][i]]
    notes = []
    if len(held_out) < FEW_HELD_OUT:
        notes.append(
            f"{len(held_out)} held-out pictures: one more or less is {100 / len(held_out):.1f} points of accuracy"
        )
    if added:
        notes.append(f"the base model lacks {', '.join(added)}: before, those pictures count as errors")
    if idle:
        notes.append(f"without pictures of its own, so likely to be named less often: {', '.join(idle)}")
    if rehearsal is None:
        notes.append("what was forgotten was not measured: give FER2013 with --fer2013")
    elif dropped or added:
        notes.append("FER2013: without faces of dropped classes; naming a class that it lacks is an error")
    if not temperature_fitted:
        notes.append("too few mistakes on validation to fit the temperature: the base model's is kept")
    return {
        "pictures": {
            "found": len(pictures),
            "usable": len(splits),
            "per_class": {
                name: {split: int(used[split][i]) for split in SPLITS} for i, name in enumerate(new) if name not in idle
            },
        },
        "classes": {"kept": [n for n in new if n in old], "added": added, "dropped": dropped, "without_pictures": idle},
        "chosen": phase,
        "held_out": {"before": _scores(base, held_out, dropped), "after": _scores(tuned, held_out, dropped)},
        "fer2013_validation": {
            "before": _scores(base, rehearsal.validation, dropped),
            "after": _scores(tuned, rehearsal.validation, dropped),
        }
        if rehearsal
        else None,
        "notes": notes,
    }


def _scores(classifier: EmotionClassifier, faces: FaceDataset, dropped: Sequence[str]) -> dict[str, Any]:
    """Scores as `train.evaluate` has them, over the classes of both models; F1 where there are pictures of a class."""
    emotions = [*faces.emotions, *dropped]
    probabilities = np.zeros((len(faces), len(emotions)), dtype=np.float32)
    probabilities[:, [emotions.index(name) for name in classifier.emotions]] = classifier.predict(faces.images)
    scores = classification_metrics(faces.labels, probabilities, emotions)
    per_class = {name: one for name, one in scores["per_class"].items() if one["images"]}
    return {
        "images": scores["images"],
        "accuracy": scores["accuracy"],
        "macro_f1": round(float(np.mean([one["f1"] for one in per_class.values()])), 4),
        "ece": scores["ece"],
        "per_class": per_class,
        "emotions": emotions,
        "confusion": scores["confusion"],
    }


def _table(report: dict[str, Any]) -> str:
    rows: list[tuple[str, float | None, float | None]] = []
    for name, title in (("held_out", "held-out pictures"), ("fer2013_validation", "FER2013 validation")):
        if report[name]:
            before, after = report[name]["before"], report[name]["after"]
            rows += [(f"{title}, {after['images']:,}", None, None)]
            rows += [
                (f"  {text}", before[k], after[k]) for text, k in (("accuracy", "accuracy"), ("macro-F1", "macro_f1"))
            ]
            rows += [(f"  F1 of {emotion}, {one['images']:,}", before["per_class"][emotion]["f1"], one["f1"])
                     for emotion, one in after["per_class"].items()]  # fmt: skip
    width = max(len(text) for text, *_ in rows)
    lines = [f"{'':{width}}  before   after"]
    lines += [text if before is None else f"{text:{width}}  {before:.4f}  {after:.4f}" for text, before, after in rows]
    scores = report["held_out"]["after"]
    width = max(len(name) for name in scores["emotions"])
    lines += ["", "held-out pictures after, rows true, columns named:"]
    lines.append(" " * width + "".join(f"{name[:8]:>9}" for name in scores["emotions"]))
    for name, counts in zip(scores["emotions"], scores["confusion"], strict=True):
        if sum(counts):
            lines.append(f"{name:{width}}" + "".join(f"{count:9}" for count in counts))
    return "\n".join([*lines, "", *report["notes"]])


def _pair(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name.strip():
        raise argparse.ArgumentTypeError(f"{text!r}: write it as CLASS=VALUE")
    return name.strip().lower(), value.strip()


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m train.finetune", description="Adapt a model to your own pictures.")
    defaults = Settings()
    parser.add_argument("--data", type=Path, required=True, help="folder with a folder of pictures per emotion")
    parser.add_argument(
        "--out", type=Path, required=True, help="where the model goes; a stopped run found there goes on"
    )
    parser.add_argument("--model", default="bundled", help="`bundled`, a .keras file or its folder (default: bundled)")
    parser.add_argument("--fer2013", type=Path, metavar="DIR", help="FER2013, to rehearse and to measure forgetting")
    parser.add_argument("--drop", nargs="+", default=[], metavar="CLASS", help="classes to leave out")
    parser.add_argument("--emoji", type=_pair, nargs="+", default=[], metavar="CLASS=EMOJI", help="such as contempt=😏")
    parser.add_argument("--colour", type=_pair, nargs="+", default=[], metavar="CLASS=#RRGGBB", help="its colour")
    for name, text in (
        ("epochs_frozen", "epochs of the classifier alone; 0 for none"),
        ("epochs", "epochs of the whole network; 0 for none"),
        ("learning_rate", "of the classifier; the whole network gets a tenth"),
        ("held_out", "share of each class for the report, and as much again to choose the epoch"),
        ("seed", "another one splits and trains otherwise"),
    ):
        default = getattr(defaults, name)
        parser.add_argument(
            "--" + name.replace("_", "-"), type=type(default), default=default, help=f"{text} (default: {default})"
        )
    options = parser.parse_args(arguments)
    try:
        settings = Settings(**{name: getattr(options, name) for name in asdict(defaults)})
        class_folders(options.data)  # before the seconds that loading the model takes
        base = EmotionClassifier() if options.model == "bundled" else EmotionClassifier.load(options.model)
        detector = FaceDetector()
        if detector.notice:
            print(detector.notice, detector.fallback_reason, file=sys.stderr)
        report = finetune(
            base,
            options.data,
            options.out,
            settings,
            options.fer2013,
            [name.lower() for name in options.drop],
            dict(options.emoji),
            dict(options.colour),
            detector,
        )
    except StoppedError as stopped:
        print(stopped)
        return 130
    except KeyboardInterrupt:
        print("stopped; run again to go on")
        return 130
    except (DataError, DetectorError, ModelError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"\n{_table(report)}\n-> {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
