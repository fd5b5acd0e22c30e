"""The classifier: cropped faces in, probabilities out."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from emotion_model.download import HubError, download
from emotion_model.faces.cropping import served_input
from emotion_model.faces.images import Picture
from emotion_model.files import read_json
from emotion_model.network.calibration import scale_confidence
from emotion_model.network.config import (
    BUNDLED_DIR,
    CONFIG_FILE,
    FIGURES_DIR,
    FIGURES_KEY,
    FIGURES_RECORD,
    WEIGHTS_FILE,
    ModelConfig,
    ModelError,
    read_published,
    require_digest,
    require_no_run,
)
from emotion_model.network.engines import PADDED_SIZES, load_keras, read_onnx, start_engine

_log = logging.getLogger(__name__)
MAX_CONFIG_BYTES = 10_000_000
MAX_FIGURE_BYTES = 2_000_000
MAX_FIGURES = 20  # ours are eight
COMMON_BATCHES = (1, 2, 4, 8)  # faces in one picture
LARGEST_BATCH = PADDED_SIZES[-1]  # faces; more are answered in several


class EmotionClassifier:
    """Tells which emotion ready-cropped faces show.

    Attributes:
        config: labels, preprocessing, temperature and metrics of the loaded model.
        source: where the weights came from, for people to read.
        folder: where weights, config and figures lie.
        notice: a sentence for visitors when the bundled model serves although another was asked for, else "".
        fallback_reason: why that is so, for whoever runs the server; may name files.
    """

    notice = fallback_reason = ""

    def __init__(self) -> None:
        """Load the bundled model.

        Raises:
            ModelError: its files are missing or damaged.
        """
        path = BUNDLED_DIR / WEIGHTS_FILE
        if not path.is_file():
            raise ModelError(f"{path}: the bundled model is missing; install this package anew.")
        self._load(path)
        self.source = "bundled"

    @classmethod
    def load(cls, path: str | Path) -> EmotionClassifier:
        """Load a `.keras` file, or a folder with one, and the `config.json` beside it; `bundled` is the bundled model.

        Raises:
            ModelError: a file is missing, damaged, unsafe, or not what its config says, or it is a training run.
            TypeError: not a path.
        """
        if not isinstance(path, str | os.PathLike):
            raise TypeError(f"Expected the path of a model, got {type(path).__name__}.")
        if path == "bundled":
            return cls()
        path = Path(path)
        classifier = cls.__new__(cls)
        try:
            require_no_run(path if path.is_dir() else path.parent)
            if path.is_dir():
                found = sorted(one for one in path.glob("*.keras") if not one.name.startswith("."))
                if len(found) != 1:
                    raise ModelError(f"{path}: expected one .keras file, found {len(found)}; give the file itself.")
                path = found[0]
            if not path.is_file():
                raise ModelError(
                    f"{path}: no such model; give `bundled`, a .keras file or its folder. One on the Hub becomes a "
                    "folder by `hf download USER/NAME --local-dir DIR`; in Python EmotionClassifier.from_pretrained "
                    "fetches it."
                )
            classifier._load(path)
        except (OSError, UnicodeDecodeError) as error:
            raise ModelError(f"{path}: the model cannot be read ({error}).") from error
        classifier.source = str(path)
        return classifier

    @classmethod
    def from_pretrained(cls, repo_id: str, revision: str | None = None) -> EmotionClassifier:
        """Load a model that `python -m emotion_model.hub push` published, through the Hub's cache.

        Its figures come along, as far as they can be had.

        Args:
            repo_id: `USER/NAME`.
            revision: branch, tag or commit; pin a tag or commit, so that the model stays the same.

        Raises:
            ModelError: it cannot be had, or it is damaged, unsafe or not what its config says.
        """
        try:
            config_path = download(repo_id, CONFIG_FILE, revision, max_bytes=MAX_CONFIG_BYTES)
            weights = read_published(repo_id, config_path).weights
            commit = config_path.parent.name
            path = download(repo_id, weights["file"], commit, weights["sha256"])
        except HubError as error:
            raise ModelError(str(error)) from error
        _download_onnx(repo_id, commit, weights.get("onnx"))
        classifier = cls.load(path)
        _download_figures(repo_id, commit, read_json(config_path).get(FIGURES_KEY))
        classifier.source = f"{repo_id}{f' at {revision}' if revision and revision != commit else ''} ({commit[:8]})"
        return classifier

    @classmethod
    def from_environment(cls) -> EmotionClassifier:
        """The model that EMOTION_MODEL_REPO names, a folder or `USER/NAME` on the Hub, or the bundled one.

        On the Hub EMOTION_MODEL_REVISION pins it. Where it cannot be loaded, the bundled one serves, its `notice` says
        so and its `fallback_reason` why.
        """
        name, revision = os.environ.get("EMOTION_MODEL_REPO"), os.environ.get("EMOTION_MODEL_REVISION")
        if not name and not revision:
            return cls()
        no_folder = ""
        try:
            if not name:
                raise ModelError("EMOTION_MODEL_REVISION is set without EMOTION_MODEL_REPO, which names the model.")
            if Path(name).exists():
                return cls.load(name)
            no_folder = f"There is no folder {name}. "  # a mistyped one looks like a name on the Hub
            return cls.from_pretrained(name, revision or None)
        except (ModelError, OSError) as error:  # no file can have that name, or its folder is closed to us
            classifier = cls()
            classifier.notice = "The model that was asked for is not in use: the bundled one is."
            classifier.fallback_reason = f"{no_folder}{error}"
            _log.warning("%s %s", classifier.notice, classifier.fallback_reason)
            return classifier

    def _load(self, path: Path) -> None:
        if path.suffix != ".keras":
            raise ModelError(f"{path}: only .keras files are loaded; other formats can carry code.")
        config_path = path.with_name(CONFIG_FILE)
        if not config_path.is_file():
            raise ModelError(f"{config_path}: missing; `python -m train.export` writes it beside the weights.")
        self.config = ModelConfig.from_json(config_path.read_text(encoding="utf-8"))
        expected = self.config.weights.get("sha256")
        if expected:
            require_digest(path, path.read_bytes(), expected)
        self._path = path
        self._engine = start_engine(path, self.config, lambda: self.model)
        self._check_shapes()
        self.folder = path.parent

    def _check_shapes(self) -> None:
        size = self.config.image_size
        expected = ((None, size, size, 1), (None, len(self.config.labels)))
        if self._engine.shapes != expected:
            raise ModelError(
                f"{self._path}: input and output shapes are {self._engine.shapes}, {CONFIG_FILE} says {expected}."
            )

    @cached_property
    def model(self) -> Any:
        """The `keras.Model`: float32 `(n, size, size, 1)` grey 0..255 -> float32 `(n, classes)`, not calibrated.

        Loaded when it is first asked for: what serves need not be Keras.

        Raises:
            ModelError: it cannot be loaded.
        """
        return load_keras(self._path)

    def onnx(self) -> bytes | None:
        """The network's ONNX file, for other runtimes; None where it has none.

        Its input `grey_pixels` is float32 `(n, size, size, 1)` in 0..255, its first output the calibrated
        `probabilities`, float32 `(n, classes)`.

        Raises:
            ModelError: it is not the one that the config names.
        """
        return read_onnx(self._path, self.config)

    @property
    def engine(self) -> str:
        """What runs the network, such as `OpenVINO` or `Keras on torch`."""
        return self._engine.name

    @property
    def emotions(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the probabilities."""
        return self.config.emotions

    def predict(self, images: Iterable[Picture], flip: bool = False) -> np.ndarray:
        """Classify cropped faces.

        Args:
            images: uint8 faces, grey `(h, w)`, RGB `(h, w, 3)` or RGBA, each of any size; in any iterable.
            flip: average with the mirrored faces: a little better, twice the time.

        Returns:
            Calibrated probabilities, float32 `(n, classes)`, each row summing to 1; `(0, classes)` for no images.

        Raises:
            ImageError: an item is not an image.
        """
        inputs = served_input(images, self.config.image_size)
        if not flip:
            return self._probabilities(inputs)
        both = self._probabilities(np.concatenate([inputs, inputs[:, :, ::-1]]))
        return (both[: len(inputs)] + both[len(inputs) :]) / 2

    def warm_up(self) -> None:
        """Compile the forward pass for the faces of a picture or two now, so that no visitor waits for it."""
        for size in COMMON_BATCHES:
            self.predict(np.zeros((size, self.config.image_size, self.config.image_size), np.uint8))

    def attention(self, images: Iterable[Picture]) -> np.ndarray | None:
        """How much the network's last spatial attention lets through, place by place; the same for every emotion.

        Args:
            images: as for `predict`.

        Returns:
            float32 `(n, height, width)` in 0..1, as coarse as the network has it, `(0, height, width)` for no images;
            None for a model without attention.

        Raises:
            ImageError: an item is not an image.
        """
        inputs = served_input(images, self.config.image_size)
        asked = inputs if len(inputs) else np.zeros((1, *inputs.shape[1:]), np.float32)  # the network tells the shape
        batches = [asked[start : start + LARGEST_BATCH] for start in range(0, len(asked), LARGEST_BATCH)]
        maps = [one for batch in batches if (one := self._engine.attention(batch)) is not None]
        return np.concatenate(maps)[: len(inputs)] if maps else None

    def _probabilities(self, inputs: np.ndarray) -> np.ndarray:
        raw = np.empty((len(inputs), len(self.emotions)), dtype=np.float32)
        for start in range(0, len(inputs), LARGEST_BATCH):
            raw[start : start + LARGEST_BATCH] = self._engine.probabilities(inputs[start : start + LARGEST_BATCH])
        return scale_confidence(raw, self.config.temperature)


def _download_onnx(repo_id: str, commit: str, record: Any) -> None:
    """Put the network's ONNX form into the cache beside its weights; without it Keras serves."""
    with suppress(HubError, KeyError, TypeError):
        download(repo_id, str(record["file"]), commit, record["sha256"])


def _download_figures(repo_id: str, commit: str, names: Any) -> None:
    """Put the figures that a published config.json names into the cache; one that cannot be had is done without."""
    for name in names[:MAX_FIGURES] if isinstance(names, list) else []:
        if name == FIGURES_RECORD or (isinstance(name, str) and re.fullmatch(r"[\w-]+\.png", name)):
            with suppress(HubError):
                download(repo_id, f"{FIGURES_DIR}/{name}", commit, max_bytes=MAX_FIGURE_BYTES)
