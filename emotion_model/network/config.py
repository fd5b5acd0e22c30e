"""What has to be known about a model besides its weights: the `config.json` that travels with them."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from reprlib import repr as shortened
from typing import Any

from emotion_model.faces.cropping import Framing
from emotion_model.files import read_json
from emotion_model.labels import LABELS, UNCLEAR, Label
from emotion_model.network.architecture import SMALLEST_SIZE

BUNDLED_DIR = Path(__file__).parent / "bundled"
WEIGHTS_FILE = "emotion_cnn.keras"
CONFIG_FILE = "config.json"
RUN_FILE = "environment.json"  # lies in the folder of a training run, and in no model's
HELD_OUT = "held-out"  # the pictures that measure a fine-tuned model, where a split of FER2013 would stand
MEAN_OF = "mean of "  # begins the source of several models
FIGURES_DIR = "figures"  # what the model can do, drawn; beside its weights
FIGURES_RECORD = "figures.json"  # there; says which weights they are about
FIGURES_FILES = (f"{FIGURES_DIR}/*.png", f"{FIGURES_DIR}/{FIGURES_RECORD}")  # as they lie in a repository, as patterns
FIGURES_KEY = "figures"  # of a published config.json: the names of the files in that folder, its record included

# What is shown of a model as a number, and what holds more of them; null or missing where it was not measured.
_NUMBERS = (
    "parameters", "multiply_adds", "bytes",
    "images", "accuracy", "macro_f1", "ece", "ferplus_majority_accuracy", "precision", "recall", "f1",
)  # fmt: skip
_INNER = ("flip", "ten_crop", "deduplicated", "held_out", "fer2013_validation", "before", "after")


class ModelError(RuntimeError):
    """A model cannot be loaded; the message says why and what to do."""


@dataclass(frozen=True)
class ModelConfig:
    """What has to be known about a model besides its weights; stored as `config.json` beside them.

    Attributes:
        labels: the classes, in output order.
        image_size: side of the network's input in pixels.
        framing: crop geometry per detector name.
        temperature: what `scale_confidence` does to the network's answers: a number, or one per class; 1 leaves them.
        clear_from: the confidence from which on the named emotion is clear, 0..1; 0 where nobody has looked for it.
        weights: `file`, `sha256` and `bytes` of the weights file.
        architecture: the values of the network's `ArchitectureConfig`.
        training: config, environment and length of the run that made it.
        metrics: scores per split, as `train.evaluate` prints them.
    """

    labels: tuple[Label, ...] = LABELS
    image_size: int = 48
    framing: dict[str, Framing] = field(default_factory=dict)
    temperature: float | tuple[float, ...] = 1.0
    clear_from: float = 0.0
    weights: dict[str, Any] = field(default_factory=dict)
    architecture: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.labels) < 2 or len({label.name for label in self.labels}) != len(self.labels):
            raise ValueError(
                f"labels {[label.name for label in self.labels]}: give at least two, each with its own name"
            )
        if UNCLEAR.name in self.emotions:
            raise ValueError(f"{UNCLEAR.name}: stands where the probabilities carry no word; call the class otherwise")
        temperatures = self.temperature if isinstance(self.temperature, tuple) else (self.temperature,)
        if not all(0.01 <= value <= 100 for value in temperatures):
            raise ValueError(f"temperature={self.temperature}: use values from 0.01 to 100; 1 changes nothing")
        if isinstance(self.temperature, tuple) and len(temperatures) != len(self.labels):
            raise ValueError(
                f"temperature={self.temperature}: give one number, or one for each of the {len(self.labels)} labels"
            )
        if not 0 <= self.clear_from < 1:
            raise ValueError(f"clear_from={self.clear_from}: use 0 up to, but not, 1; 0 calls every emotion clear")
        if not isinstance(self.image_size, int) or self.image_size < SMALLEST_SIZE:
            raise ValueError(f"image_size={self.image_size!r}: use a whole number of pixels, at least {SMALLEST_SIZE}")
        for name in ("weights", "architecture", "training", "metrics"):
            if not isinstance(getattr(self, name), dict):
                raise ValueError(f"{name}: give names with values, or leave it out")
        onnx = self.weights.get("onnx") or {"file": ""}
        if not isinstance(onnx, dict) or not isinstance(onnx.get("file"), str):
            raise ValueError(f"weights: onnx={onnx!r}: give the name of its file as file, or leave it out")
        _require_shown("weights", self.weights)
        _require_shown("training.report", self.training.get("report") or {})
        for split, scores in self.metrics.items():
            _require_shown(f"metrics.{split}", scores)

    @property
    def emotions(self) -> tuple[str, ...]:
        """Names of the classes, in output order."""
        return tuple(label.name for label in self.labels)

    @property
    def scores(self) -> dict[str, Any]:
        """`metrics`; of a fine-tuned model without any, those of the pictures held out of it, as `held-out`."""
        held_out = (self.training.get("report") or {}).get("held_out") or {}
        return self.metrics or ({HELD_OUT: held_out["after"]} if held_out.get("after") else {})

    def framing_of(self, detector: str) -> Framing:
        """How a face that this detector found is cropped."""
        return self.framing.get(detector, Framing())

    def to_json(self) -> str:
        """The text of `config.json`."""
        return json.dumps(self.to_dict(), indent=1, ensure_ascii=False) + "\n"

    def to_dict(self) -> dict[str, Any]:
        """What `config.json` holds, JSON-ready."""
        values = asdict(self)
        preprocessing = {
            "image_size": values.pop("image_size"),
            "colour": "grey",
            "input_range": [0, 255],
            "framing": values.pop("framing"),
        }
        head = {"format": 2 if isinstance(self.temperature, tuple) else 1, "preprocessing": preprocessing}
        return head | values

    @classmethod
    def from_json(cls, text: str) -> ModelConfig:
        """Read the text of a `config.json`.

        Raises:
            ModelError: not such a file, or a value in it is missing or invalid.
        """
        try:
            values = json.loads(text)
            if values.pop("format") not in (1, 2):  # 2: a temperature per class
                raise ModelError("config.json is of a newer format: update this package.")
            preprocessing = values.pop("preprocessing")
            if isinstance(values.get("temperature"), list):
                values["temperature"] = tuple(values["temperature"])
            known = {field.name for field in fields(cls)}  # a published config.json holds keys of other libraries too
            return cls(
                labels=tuple(Label(**label) for label in values.pop("labels")),
                image_size=preprocessing["image_size"],
                framing={name: Framing(**framing) for name, framing in preprocessing["framing"].items()},
                **{name: value for name, value in values.items() if name in known},
            )
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise ModelError(f"config.json is not the config of an emotion model ({error}).") from error


def _require_shown(where: str, values: Any) -> None:
    """Refuse what would end the page when it shows these values.

    Raises:
        ValueError: one of them is not of its kind.
    """
    for name, value in _named(where, values).items():
        place = f"{where}.{name}"
        if value is None:
            continue
        if name in _NUMBERS and not _is_number(value):
            raise ValueError(f"{place}={shortened(value)}: give a number, or leave it out")
        if name in _INNER:
            _require_shown(place, value)
        if name == "per_class":
            for emotion, scores in _named(place, value).items():
                _require_shown(f"{place}.{emotion}", scores)
        if name == "confusion":
            rows = value if isinstance(value, list) else [value]
            if not all(isinstance(row, list) and all(map(_is_number, row)) for row in rows):
                raise ValueError(f"{place}={shortened(value)}: give rows of numbers, or leave it out")


def _is_number(value: Any) -> bool:
    """Whether it can be shown as one: JSON may hold whole numbers that are too large to be written as a share."""
    return isinstance(value, float) or (isinstance(value, int) and abs(value) <= sys.float_info.max)


def _named(where: str, values: Any) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise ValueError(f"{where}={values!r}: give names with values, or leave it out")
    return values


def short_name(source: str) -> str:
    """What people are told a model is called: the `source` of a classifier without the folders of this machine."""
    if source.startswith(MEAN_OF):
        return MEAN_OF + ", ".join(map(short_name, source.removeprefix(MEAN_OF).split(", ")))
    path = Path(source)
    if not path.is_absolute() and not path.exists():
        return source  # the bundled model, or one on the Hub
    path = path.absolute()
    return path.parent.name if path.name == WEIGHTS_FILE else path.name


def require_no_run(folder: Path) -> None:
    """Refuse the folder of a training run, whose weights have another kind of config beside them.

    Raises:
        ModelError: it is one.
    """
    if (folder / RUN_FILE).exists():
        raise ModelError(f"{folder}: this is a run; make a model of it with `python -m train.export --run {folder}`.")


def find_config(model: str | Path) -> Path:
    """Path of the config of a model: `bundled`, a `.keras` file or its folder.

    Raises:
        ModelError: no such model, or it is a run.
    """
    path = BUNDLED_DIR if str(model) == "bundled" else Path(model)
    if not path.exists():
        raise ModelError(f"{path}: no such model; give `bundled`, a .keras file or its folder with {CONFIG_FILE}.")
    folder = path if path.is_dir() else path.parent
    require_no_run(folder)
    return folder / CONFIG_FILE


def read_config(path: Path) -> ModelConfig:
    """The config of a model; its weights are not read.

    Raises:
        ModelError: it is missing or not a config.
    """
    try:
        return ModelConfig.from_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: cannot be read; `python -m train.export` writes it beside the weights.") from error


def read_published(repo_id: str, path: Path) -> ModelConfig:
    """The config of a model that was pulled from the Hub: it names the weights beside it, and their sha256.

    Raises:
        ModelError: it cannot be read, is not a config, or names none.
    """
    config = read_config(path)
    for name in ("file", "sha256"):
        if not isinstance(config.weights.get(name), str):
            raise ModelError(
                f"{repo_id}: {CONFIG_FILE} has no {name} of its weights: publish the model with "
                "`python -m emotion_model.hub push`."
            )
    return config


def figures_are_of(config: ModelConfig, folder: Path) -> bool | None:
    """Whether the figures in a folder are about the weights that a config names; None where no record says of which."""
    record = folder / FIGURES_RECORD
    if not record.is_file():
        return None
    try:
        about = read_json(record).get("weights_sha256")
    except (OSError, ValueError, AttributeError, RecursionError):  # damaged, or another's: it vouches for nothing
        return False
    return None if about is None else about == config.weights.get("sha256")


def require_digest(path: Path, content: bytes, sha256: str | None) -> None:
    """Refuse a file of a model that is not the one which its config names.

    Raises:
        ModelError: the digest of its content is another one.
    """
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ModelError(f"{path}: its sha256 is not the one in {CONFIG_FILE}; get both files anew.")
