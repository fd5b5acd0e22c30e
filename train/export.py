"""Turn a finished run into a model that can be used: weights, and the `config.json` that travels with them.

    python -m train.export --run RUN_DIR --data DIR [--out DIR]

The temperatures are fitted on validation and both splits are measured, so `config.json` says what the model is worth;
`figures/` beside it draws that (`train.report`).
Without `--out` the model becomes the bundled one; the run's own records go to `train/results/` beside it.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

from emotion_model.faces.cropping import Framing
from emotion_model.files import whole_file
from emotion_model.network.calibration import scale_confidence
from emotion_model.network.config import BUNDLED_DIR, CONFIG_FILE, WEIGHTS_FILE, ModelConfig, ModelError
from train.config import write_json
from train.data.fer2013 import DataError, load_split
from train.evaluate import evaluate, print_progress
from train.framing import RESULT as FRAMING_RESULT
from train.report import make_report
from train.runs import RECORDS, config_of_run, is_run, labels_of_run, origin_of_run, require_finished, write_model

TEMPERATURE_SPREAD = 0.2  # standard deviation of the classes' log temperatures that is expected beforehand
MAX_BYTES = 10_000_000  # a Space takes files of up to this size without LFS


def fit_temperature(
    labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray | float = 1.0
) -> tuple[float, ...]:
    """A temperature per class for `scale_confidence`, each in 0.25..4: the most likely ones.

    How far a class may differ from the others has a prior, so that one with few faces stays near them.

    Args:
        labels: int `(n,)`.
        probabilities: float32 `(n, classes)`, not calibrated.
        weights: `(n,)`, how many faces each counts for.
    """
    rows = np.arange(len(labels))

    def loss(logs: np.ndarray) -> float:
        true = scale_confidence(probabilities, np.exp(logs))[rows, labels]
        surprise = -(weights * np.log(np.maximum(true, 1e-12), dtype=np.float64)).sum()
        return float(surprise + ((logs - logs.mean()) ** 2).sum() / (2 * TEMPERATURE_SPREAD**2))

    classes = probabilities.shape[1]
    found = minimize(loss, np.zeros(classes), method="Powell", bounds=[(-math.log(4), math.log(4))] * classes)
    return tuple(round(math.exp(log), 4) for log in found.x)


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
        config = replace(config, metrics=metrics)
        (made / CONFIG_FILE).write_text(config.to_json(), encoding="utf-8")
        out_dir.mkdir(parents=True, exist_ok=True)
        with whole_file(out_dir / CONFIG_FILE) as new_config, whole_file(out_dir / WEIGHTS_FILE) as new_weights:
            shutil.copyfile(made / CONFIG_FILE, new_config)
            shutil.copyfile(made / WEIGHTS_FILE, new_weights)
    return config


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m train.export", description="Make a finished run usable.")
    parser.add_argument("--run", type=Path, required=True, help="folder of a finished run")
    parser.add_argument("--data", type=Path, required=True, help="folder with FER2013")
    parser.add_argument("--out", type=Path, help="where the model goes; default: the bundled model is replaced")
    parser.add_argument("--no-test", action="store_true", help="leave the test split alone (while choosing a model)")
    options = parser.parse_args(arguments)
    try:
        config = export(options.run, options.data, options.out or BUNDLED_DIR, not options.no_test)
        make_report(options.out or BUNDLED_DIR, options.data)
    except (DataError, ModelError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if options.out is None:
        records = FRAMING_RESULT.parent / "bundled"
        records.mkdir(parents=True, exist_ok=True)
        for name in RECORDS:
            shutil.copyfile(options.run / f"{name}.json", records / f"{name}.json")
        write_json(records / "scores.json", config.metrics)
    print(json.dumps({"temperature": config.temperature, "metrics": config.metrics}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
