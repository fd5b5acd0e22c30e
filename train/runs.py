"""Read finished runs back: their records, and their weights as a model."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emotion_model.faces.cropping import Framing
from emotion_model.files import digest_of, read_json, write_json
from emotion_model.labels import KNOWN, Label
from emotion_model.network.classifier import EmotionClassifier
from emotion_model.network.config import CONFIG_FILE, RUN_FILE, WEIGHTS_FILE, ModelConfig
from train.config import TrainingConfig

if TYPE_CHECKING:
    import keras

RESULTS = Path(__file__).parent / "results"  # what is told of runs in the repository
RECORDS = ("config", "environment", "history", "metrics")  # of a run, each a JSON file
ORIGINS = ("start", "teacher", "blend", "release", "correction")  # in `config`: what the weights came from


def config_of_run(
    run_dir: Path, labels: tuple[Label, ...], framing: dict[str, Framing], **more: dict[str, Any] | None
) -> ModelConfig:
    """The config of a finished run's weights, neither calibrated nor measured yet; `more` joins its training record."""
    weights = run_dir / "model.keras"
    run = {name: read_json(run_dir / f"{name}.json") for name in RECORDS}
    return ModelConfig(
        labels=labels,
        image_size=run["config"]["architecture"]["image_size"],
        framing=framing,
        weights={
            "file": WEIGHTS_FILE,
            "sha256": digest_of(weights),
            "bytes": weights.stat().st_size,
            "parameters": run["metrics"]["parameters"],
            "multiply_adds": run["metrics"]["multiply_adds"],
        },
        architecture=run["config"]["architecture"],
        training={
            "config": run["config"]["training"],
            "data": run["config"]["data"],
            "environment": run["environment"],
            "epochs": run["metrics"]["epochs"],
            "best_epoch": run["metrics"]["best_epoch"],
            "minutes": run["metrics"]["minutes"],
            "history": run["history"],
        }
        | more,
    )


def recorded_config(run_dir: Path) -> dict[str, Any]:
    """What a run wrote of its settings; those that did not exist when it began have their defaults."""
    config, defaults = read_json(run_dir / "config.json"), TrainingConfig().to_dict()
    training = config.get("training", {})
    augmentation = defaults["augmentation"] | training.get("augmentation", {})
    return config | {"training": defaults | training | {"augmentation": augmentation}}


def origin_of_run(run_dir: Path) -> dict[str, Any]:
    """What a run came from, for a model's training record: the weights it began with, its teachers, what followed."""
    config = read_json(run_dir / "config.json")
    return {name: config[name] for name in ORIGINS if config.get(name)}


def labels_of_run(run_dir: Path) -> tuple[Label, ...]:
    """The classes that a run learned, in its order."""
    names = read_json(run_dir / "config.json")["emotions"]
    return tuple(KNOWN.get(name, Label(name)) for name in names)


def write_model(run_dir: Path, config: ModelConfig, folder: Path) -> EmotionClassifier:
    """Put the weights of a run and this config into `folder`, and load them from there.

    Raises:
        ModelError: they do not fit together.
    """
    shutil.copyfile(run_dir / "model.keras", folder / WEIGHTS_FILE)
    (folder / CONFIG_FILE).write_text(config.to_json(), encoding="utf-8")
    return EmotionClassifier.load(folder)


def write_run(network: keras.Model, run_dir: Path, out: Path, **changes: Any) -> None:
    """Make a run of a network that was made from that of `run_dir`; `changes`: new values of its records, by name."""
    partial = out.with_name(f"{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for name in RECORDS:
        values = read_json(run_dir / f"{name}.json")
        new = changes.get(name)
        write_json(partial / f"{name}.json", values | new if isinstance(new, dict) else new or values)
    network.save(partial / "model.keras")
    shutil.rmtree(out, ignore_errors=True)
    partial.rename(out)


def best_epoch(history: Sequence[dict[str, float]]) -> dict[str, float]:
    """The epoch with the best accuracy on validation; small sets have many equals, and their loss decides then."""
    return max(history, key=lambda epoch: (epoch["val_accuracy"], -epoch.get("val_loss", 0.0)))


def is_run(folder: str | Path) -> bool:
    """Whether a folder is that of a run, finished or not, and no exported model; `bundled` is the shipped model."""
    return folder != "bundled" and (Path(folder) / RUN_FILE).exists()


def is_complete(run_dir: Path) -> bool:
    """Whether a run has come to its end."""
    return (run_dir / "metrics.json").exists()


def told(metrics: Mapping[str, Any]) -> str:
    """What a complete run came to, for people; `metrics`: of its `metrics.json`."""
    score = metrics["validation"]
    return f"validation accuracy {score['accuracy']:.4f}, macro-F1 {score['macro_f1']:.4f}"


def require_finished(run_dir: Path) -> None:
    """Refuse a run that has not come to its end.

    Raises:
        ValueError: it has not.
    """
    if not is_complete(run_dir):
        raise ValueError(f"{run_dir} holds no finished run: train it to its end first")


def require_writable(out: Path) -> None:
    """Refuse a folder, made already or not, in which nothing can be made; what lies there stays as it is.

    Raises:
        ValueError: it is one.
    """
    try:
        there = next(path for path in (out, *out.absolute().parents) if path.exists())
        tempfile.TemporaryDirectory(dir=there).cleanup()
    except OSError as error:
        raise ValueError(f"{out} cannot be written ({error.strerror}): choose another --out") from error


def load_served(name: str | Path) -> EmotionClassifier:
    """A model as it serves: on its fast form where it has one, whatever backend trains here.

    Raises:
        ModelError: there is no such model, or it cannot be loaded.
    """
    training = os.environ.pop("KERAS_BACKEND", None)
    try:
        return EmotionClassifier.load(name)
    finally:
        if training:
            os.environ["KERAS_BACKEND"] = training


def load_model(name: str | Path) -> EmotionClassifier:
    """`bundled`, an exported model, or a finished run as it is: not calibrated, and of any size.

    Raises:
        ModelError: there is no such model, or it cannot be loaded.
        ValueError: the run is not finished.
    """
    if not is_run(name):
        return load_served(name)
    run_dir = Path(name)
    require_finished(run_dir)
    config = config_of_run(run_dir, labels_of_run(run_dir), {}, **origin_of_run(run_dir))
    with tempfile.TemporaryDirectory() as folder:
        classifier = write_model(run_dir, config, Path(folder))
    classifier.folder, classifier.source = run_dir, str(run_dir)
    return classifier
