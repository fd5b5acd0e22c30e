"""A finished run becomes a model: corrected, calibrated, measured, with its config beside it."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from emotion_model.faces.cropping import Framing
from emotion_model.files import read_json
from emotion_model.network.calibration import scale_confidence
from emotion_model.network.config import BUNDLED_DIR, CONFIG_FILE, ModelConfig
from train.data.fer2013 import learning_faces
from train.evaluation.scores import class_order, evaluate, label_shares, print_progress
from train.exporting.calibration import clear_limit, fit_temperature
from train.exporting.correction import choose_correction
from train.exporting.files import move_in, with_onnx
from train.runs import (
    RESULTS,
    config_of_run,
    is_run,
    labels_of_run,
    load_model,
    load_served,
    origin_of_run,
    require_finished,
    require_writable,
    write_model,
    write_run,
)

MAX_BYTES = 10_000_000  # a Space takes files of up to this size without LFS


def export(run_dir: Path, data_dir: Path, out_dir: Path, measure_test: bool = True) -> ModelConfig:
    """Write weights and config of a finished run to `out_dir`.

    Raises:
        DataError: the data cannot be used.
        ValueError: the run is not finished, its weights are too large, or `out_dir` cannot be written.
    """
    weights = run_dir / "model.keras"
    require_finished(run_dir)
    if is_run(out_dir):
        raise ValueError(f"{out_dir} is the folder of a run, whose config would be lost: choose another --out")
    size = weights.stat().st_size
    if size > MAX_BYTES and out_dir.resolve() == BUNDLED_DIR.resolve():
        raise ValueError(
            f"{weights} has {size:,} bytes, and the bundled model may have {MAX_BYTES:,}: give it a folder of its own "
            "with --out"
        )
    require_writable(out_dir)  # what cannot be written says so now, not after minutes
    train, validation, _ = learning_faces(data_dir)
    names = [label.name for label in labels_of_run(run_dir)]
    labels = class_order(validation, names)[validation.labels]
    framing = {name: Framing(**m["framing"]) for name, m in read_json(RESULTS / "framing.json").items()}
    splits = ("validation", "test") if measure_test else ("validation",)
    # Made whole elsewhere and then moved in: an interrupted export leaves the model that was there.
    with tempfile.TemporaryDirectory() as folder:
        run_dir = _corrected(run_dir, labels, validation.images, label_shares(train, names), Path(folder))
        made = Path(folder) / "model"
        made.mkdir()
        config = config_of_run(run_dir, labels_of_run(run_dir), framing, **origin_of_run(run_dir))
        classifier = write_model(run_dir, config, made)
        answers = classifier.predict(validation.images)
        temperature = fit_temperature(labels, answers)
        limit = clear_limit(labels, scale_confidence(answers, temperature))
        classifier.config = replace(config, temperature=temperature, clear_from=limit)
        config = with_onnx(classifier, made)
        (made / CONFIG_FILE).write_text(config.to_json(), encoding="utf-8")
        classifier = load_served(made)
        metrics = {
            split: evaluate(
                classifier,
                data_dir,
                split,
                ten_crop=True,
                robustness=split == "test",
                progress=print_progress(split),
            )
            for split in splits
        }
        config = replace(config, metrics=metrics)
        (made / CONFIG_FILE).write_text(config.to_json(), encoding="utf-8")
        out_dir.mkdir(parents=True, exist_ok=True)
        move_in(made, out_dir)
    return config


def _corrected(run_dir: Path, labels: np.ndarray, faces: np.ndarray, shares: np.ndarray, folder: Path) -> Path:
    """The run with its logits corrected for faces with such labels and such a prior, in a folder of its own."""
    run = load_model(run_dir)
    correction = choose_correction(labels, run.predict(faces), shares)
    bias = run.model.get_layer("logits").bias
    bias.assign(bias + correction.shift)
    record = {
        "strength": correction.strength,
        "adjustment": correction.adjustment,
        "shift": dict(zip(run.emotions, correction.shift.astype(float).round(4).tolist(), strict=True)),
    }
    out = folder / "corrected"
    write_run(run.model, run_dir, out, config={"correction": record})
    return out
