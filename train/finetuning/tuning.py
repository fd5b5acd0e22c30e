"""A model goes on learning from pictures of one's own."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from emotion_model.faces.detection import FaceDetector
from emotion_model.files import read_json, write_json
from emotion_model.labels import Label
from emotion_model.network.architecture import ArchitectureConfig
from emotion_model.network.classifier import EmotionClassifier
from emotion_model.network.config import CONFIG_FILE, ModelConfig
from train.config import Preset, differences
from train.data.fer2013 import FaceDataset
from train.data.fer2013 import digest as faces_digest
from train.data.pictures import (
    class_folders,
    class_named,
    dataset,
    digest,
    found_by,
    load_faces,
    picture_files,
    read_pictures,
    require_enough,
    save_faces,
    summary,
    with_splits,
    write_list,
)
from train.evaluation.report import make_report
from train.exporting.files import move_in, with_onnx
from train.finetuning.calibration import fitted_limit, fitted_temperature, kept_temperature
from train.finetuning.classes import choose_labels, start_weights
from train.finetuning.rehearsal import Rehearsal, balanced_draw, load_fer2013, rehearsal_of
from train.finetuning.report import SPLITS, report_of
from train.finetuning.settings import Settings
from train.fitting.fit import fit
from train.fitting.starts import Start
from train.runs import best_epoch, config_of_run, origin_of_run, write_model

PICTURES_FILE, SETTINGS_FILE, REPORT_FILE, RUNS_DIR = "pictures.csv", "finetune.json", "report.json", "training"
FACES_FILE = "faces.npz"  # beside the runs: what they learn from stays the same, whatever machine they go on on


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
        ModelError: the base model's config does not describe its network, or that of a model in `out` is broken.
        OSError: `out` cannot be written.
        StoppedError: on SIGINT or SIGTERM while training; the same call goes on.
        ValueError: an invalid value, or `out` holds something else.
    """
    settings, detector = settings or Settings(), detector or FaceDetector()
    classes, labels = _classes(base, folder, drop)
    # Before minutes go into looking for faces; pictures without one count in the end.
    require_enough({name: len(picture_files(places)) for name, places in classes.items()})
    emotions = tuple(label.name for label in labels)
    architecture, weights = start_weights(base, labels)
    _prepare(out, folder)

    splits = load_fer2013(fer2013, base.config.image_size) if fer2013 else {}
    begun = (out / SETTINGS_FILE).exists()  # its own faces and list stay while others could still be refused
    kept, how = out / RUNS_DIR / FACES_FILE, found_by(detector, base.config)
    faces = load_faces(kept, None if begun else how) if kept.exists() else {}
    try:
        pictures = read_pictures(folder, classes, detector, base.config, faces)
    finally:  # however this ends: to look for them takes minutes
        if not begun:
            kept.parent.mkdir(exist_ok=True)
            save_faces(kept, faces, how)
    if not begun:
        write_list(out / PICTURES_FILE, pictures)
    print(summary(pictures, out / PICTURES_FILE), flush=True)
    pictures = with_splits(pictures, classes, settings.held_out, settings.seed)
    record = asdict(settings) | {
        "base_sha256": base.config.weights.get("sha256"),
        "labels": list(emotions),
        "detector": detector.name,
        "pictures": digest(pictures),
        "rehearsal": fer2013 is not None,
        "fer2013": faces_digest(*splits.values()) if splits else None,
    }
    if begun:
        _require_same(out, read_json(out / SETTINGS_FILE), record)
    write_list(out / PICTURES_FILE, pictures)
    own = {split: dataset(pictures, split, emotions) for split in SPLITS}
    rehearsal = rehearsal_of(splits, base, emotions, own) if splits else None
    write_json(out / SETTINGS_FILE, record)
    run_dir = _train(architecture, weights, own, rehearsal, settings, record, out / RUNS_DIR)
    report = _put_together(base, run_dir, labels, own, rehearsal, record, out)
    make_report(out)
    return report


def _require_same(out: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to go on with a run of other pictures or settings.

    Raises:
        ValueError: it is one; the message says what differs.
    """
    if before == now:
        return
    if before["detector"] != now["detector"]:  # which makes other pictures of the same ones
        raise ValueError(
            f"{out} holds a run whose faces {before['detector']} found, and now {now['detector']} looks for them: set "
            f"EMOTION_DETECTOR={before['detector']} and mend what it then complains of, or choose another --out"
        )
    # Which pictures, and for what, follows from the settings too: told where nothing else differs.
    changed = differences(*({**one, "pictures": "", "fer2013": ""} for one in (before, now)))
    if not changed:
        changed = ["other pictures" if before["pictures"] != now["pictures"] else "other faces in --fer2013"]
    raise ValueError(
        f"{out} holds a run with other pictures or settings ({'; '.join(changed)}): choose another --out or remove it"
    )


def _classes(
    base: EmotionClassifier, folder: Path, drop: Collection[str]
) -> tuple[dict[str, list[Path]], tuple[Label, ...]]:
    """The folders of pictures per class, and the classes of the new model; says which are new and which left out."""
    folders = class_folders(folder, base.emotions)
    drop = [class_named(name, base.emotions) for name in drop]
    labels = choose_labels(base.config.labels, folders, drop)
    for name in sorted(folders):
        if name in drop:
            print(f"{name}: dropped, so its pictures are left alone")
        elif name not in base.emotions:
            print(f"{name}: a new class")
    emotions = {label.name for label in labels}
    return {name: places for name, places in folders.items() if name in emotions}, labels


def _put_together(
    base: EmotionClassifier,
    run_dir: Path,
    labels: tuple[Label, ...],
    own: Mapping[str, FaceDataset],
    rehearsal: Rehearsal | None,
    record: dict[str, Any],
    out: Path,
) -> dict[str, Any]:
    """Calibrate and measure the weights of a run, and put them into `out` as a model; returns the report.

    It is made whole elsewhere and then moved in.
    """
    made = out / "partial"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    start = origin_of_run(run_dir)["start"]  # in the first phase the base model's weights, which are no run's
    phases = {"start": start} if "run" in start else {}
    config = config_of_run(run_dir, labels, base.config.framing, finetune=record, base=base.config.training, **phases)
    config = replace(config, labels=_as_edited(config, out / CONFIG_FILE))
    tuned = write_model(run_dir, config, made)
    validation = [own["validation"], rehearsal.validation] if rehearsal else [own["validation"]]
    fitted = fitted_temperature(tuned, validation)
    tuned.config = replace(tuned.config, temperature=fitted or kept_temperature(base.config, config.emotions))
    limit = fitted_limit(tuned, validation) if fitted else base.config.clear_from
    tuned.config = replace(tuned.config, clear_from=limit)
    report = report_of(base, tuned, own, rehearsal)
    report |= {"chosen": run_dir.name}
    report |= dict.fromkeys(("temperature_fitted", "clear_from_fitted"), fitted is not None)
    tuned.config.training["report"] = report
    (made / CONFIG_FILE).write_text(with_onnx(tuned, made).to_json(), encoding="utf-8")
    write_json(made / REPORT_FILE, report)
    move_in(made, out)
    shutil.rmtree(made)
    return report


def _as_edited(config: ModelConfig, there: Path) -> tuple[Label, ...]:
    """The labels of a model, as its config that lies there already has them, which people may have edited.

    Raises:
        ModelError: what lies there cannot be read.
    """
    before = ModelConfig.from_json(there.read_text(encoding="utf-8")) if there.exists() else None
    if before is None or before.weights.get("sha256") != config.weights["sha256"]:
        return config.labels
    edited = {label.name: label for label in before.labels}
    return tuple(edited.get(label.name, label) for label in config.labels)


def _prepare(out: Path, folder: Path) -> None:
    """Make the folder of the new model; refuse one where something could be lost or mistaken for pictures."""
    if folder.resolve() in (out.resolve(), *out.resolve().parents):
        raise ValueError(f"{out} lies in the folder of the pictures: choose an --out outside it")
    try:
        out.mkdir(parents=True, exist_ok=True)
        there = {path.name: path for path in out.iterdir()}
        if SETTINGS_FILE not in there and not all(map(_is_beginning, there.values())):
            raise ValueError(
                f"{out} holds other files ({', '.join(sorted(there)[:3])}): choose a new or an empty --out"
            )
        (out / PICTURES_FILE).touch()  # what cannot be written says so now, not after an hour
    except OSError as error:
        raise ValueError(f"{out} cannot be written ({error.strerror}): choose another --out") from error


def _is_beginning(path: Path) -> bool:
    """Whether this is what a run leaves that breaks off before it learns."""
    if path.name == RUNS_DIR and path.is_dir():
        return all(one.name == FACES_FILE or one.name.startswith(".partial-") for one in path.iterdir())
    return path.name == PICTURES_FILE or path.name.startswith(".partial-")


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
    alone, whole = settings.recipes()
    for name, what, recipe, trainable in (
        ("1-classifier", "the classifier alone", alone, _in_head),
        ("2-all", "the whole network", whole, _is_no_norm),
    ):
        if recipe:
            print(f"training {what}", flush=True)
            preset = Preset(architecture, recipe)
            start = replace(start, trainable=trainable)
            fit(preset, train, own["validation"], runs / name, left_out, start=start, draw=draw)
            done.append(runs / name)
            start = Start.of(runs / name, preset)
    best = [best_epoch(read_json(run / "history.json")) for run in done]
    return done[best.index(best_epoch(best))]


def _in_head(layer: keras.layers.Layer) -> bool:
    return layer.name.startswith(("dense", "logits")) and _is_no_norm(layer)


def _is_no_norm(layer: keras.layers.Layer) -> bool:
    return not isinstance(layer, keras.layers.BatchNormalization)
