"""A model of the transformers library, as one of several that answer together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import cv2
import numpy as np
from PIL import Image

from emotion_model.faces.cropping import require_several
from emotion_model.faces.images import Picture, as_rgb
from emotion_model.labels import LABELS, Label
from emotion_model.network.config import ModelConfig, ModelError


class TransformersClassifier:
    """An image-classification model of the transformers library as a member of an ensemble.

    Needs the extra packages `transformers` and `torch`.
    It is given the same grey crops as our own models, which fits models of facial expressions best that learned from
    FER2013 too.

    Attributes:
        config: the labels in use; the size is that of the model's own input.
        source: name of the model.
    """

    notice = fallback_reason = ""

    def __init__(
        self,
        model: str,
        label_map: Mapping[str, str],
        revision: str | None = None,
        labels: Sequence[Label] = LABELS,
    ) -> None:
        """Load a model from the Hub or a folder.

        Args:
            model: Hub name, or a folder.
            label_map: the model's label -> ours; its other labels are left out and the rest scaled to sum to 1.
            revision: commit or tag on the Hub; pin it.
            labels: ours, in the order of the probabilities.

        Raises:
            ModelError: transformers or torch is missing, or the model cannot be loaded.
            ValueError: the map names a label that one side does not have, or leaves one of ours without a source.
        """
        try:
            from transformers import pipeline

            # No pickle, and no code but that of the library itself.
            options = {"model_kwargs": {"use_safetensors": True}, "trust_remote_code": False}
            self._pipeline = pipeline("image-classification", model=model, revision=revision, **options)
        except ImportError as error:
            raise ModelError(
                f"{model}: install transformers and torch for models of that library ({error})."
            ) from error
        except Exception as error:  # damaged files are answered with many kinds
            raise ModelError(f"{model}: cannot be loaded by transformers ({error}).") from error
        theirs = list(self._pipeline.model.config.id2label.values())
        ours = [label.name for label in labels]
        if set(label_map) - set(theirs) or set(label_map.values()) != set(ours):
            raise ValueError(f"label_map={dict(label_map)}: it must lead from {', '.join(theirs)} to {', '.join(ours)}")
        self._columns = {name: ours.index(emotion) for name, emotion in label_map.items()}
        size = getattr(self._pipeline.image_processor, "size", {}) or {}
        side = int(size.get("height") or size.get("shortest_edge") or 224)
        self.config = ModelConfig(labels=tuple(labels), image_size=side)
        self.source = model

    @property
    def emotions(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the probabilities."""
        return self.config.emotions

    def warm_up(self) -> None:
        """Ask once: it is loaded already, and compiles nothing."""
        self.predict(np.zeros((1, 48, 48), np.uint8))

    def predict(self, images: Iterable[Picture], flip: bool = False) -> np.ndarray:
        """Classify cropped faces; see `EmotionClassifier.predict`."""
        require_several(images)
        given = [as_rgb(image) for image in images]
        probabilities = np.zeros((len(given), len(self.emotions)), dtype=np.float32)
        for mirror in (False, True) if flip else (False,):
            pictures = [Image.fromarray(cv2.flip(image, 1) if mirror else image) for image in given]
            # All of them: by default it names the five likeliest.
            answers = self._pipeline(pictures, top_k=self._pipeline.model.config.num_labels) if pictures else []
            for row, answer in zip(probabilities, answers, strict=True):
                for score in answer:
                    if score["label"] in self._columns:
                        row[self._columns[score["label"]]] += score["score"]
        return probabilities / np.maximum(probabilities.sum(axis=1, keepdims=True), 1e-12)
