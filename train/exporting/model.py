"""A finished run becomes a model: calibrated, measured, with its config beside it."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path

from emotion_model.faces.cropping import Framing
from emotion_model.network.config import CONFIG_FILE, ModelConfig
from train.data.fer2013 import load_split
from train.evaluate import print_progress
from train.evaluation.scores import evaluate
from train.exporting.calibration import fit_temperature
from train.exporting.files import move_in, with_onnx
from train.framing import RESULT as FRAMING_RESULT
from train.runs import config_of_run, is_run, labels_of_run, origin_of_run, require_finished, write_model

MAX_BYTES = 10_000_000  # a Space takes files of up to this size without LFS


def export(run_dir: Path, data_dir: Path, out_dir: Path, measure_test: bool = True) -> ModelConfig:
    """Write weights and config of a finished run to `out_dir`.

    Raises:
        DataError: the data cannot be used.
        ValueError: the run is not finished, or its weights are too large.
    """
    weights = run_dir / "model.keras"
    require_finished(run_dir)
    if is_run(out_dir):
        raise ValueError(f"{out_dir} is the folder of a run, whose config would be lost: choose another --out")
    if weights.stat().st_size > MAX_BYTES:
        raise ValueError(f"{weights} has {weights.stat().st_size:,} bytes, and the limit is {MAX_BYTES:,}")
    validation = load_split(data_dir, "validation")
    framing = {name: Framing(**m["framing"]) for name, m in json.loads(FRAMING_RESULT.read_text()).items()}
    config = config_of_run(run_dir, labels_of_run(run_dir), framing, **origin_of_run(run_dir))
    splits = ("validation", "test") if measure_test else ("validation",)
    # Made whole elsewhere and then moved in: an interrupted export leaves the model that was there.
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder)
        classifier = write_model(run_dir, config, made)
        uncalibrated = classifier.predict(validation.images)
        config = replace(config, temperature=fit_temperature(validation.labels, uncalibrated))
        classifier.config = config
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
        classifier.config = replace(config, metrics=metrics)
        config = with_onnx(classifier, made)
        (made / CONFIG_FILE).write_text(config.to_json(), encoding="utf-8")
        out_dir.mkdir(parents=True, exist_ok=True)
        move_in(made, out_dir)
    return config
