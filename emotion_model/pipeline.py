"""The one way from a picture to emotions: detect, align, crop, classify."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from emotion_model.classifier import EmotionClassifier
from emotion_model.detection import Detection, FaceDetector
from emotion_model.ensemble import Classifier
from emotion_model.face import Face
from emotion_model.images import as_rgb, to_grey
from emotion_model.preprocessing import Framing, crop_face


class EmotionDetector:
    """Finds every face in a picture and tells its emotion; photo, live and video all go through here.

    Attributes:
        classifier: the model in use.
        faces: the face detector in use.
    """

    def __init__(self, classifier: Classifier | None = None, faces: FaceDetector | None = None) -> None:
        """Combine a classifier (the bundled model by default) and a face detector (chosen by the environment)."""
        self.classifier = classifier or EmotionClassifier()
        self.faces = faces or FaceDetector()

    def detect(self, image_rgb: np.ndarray) -> list[Face]:
        """Every face in a picture, the largest first; an empty list where there is none.

        Args:
            image_rgb: uint8 RGB `(height, width, 3)`; grey, RGBA and uint16 arrays are converted.

        Raises:
            ImageError: not an image array.
        """
        image = as_rgb(image_rgb)
        found, crops = self._find(image)
        if not found:
            return []
        probabilities = self.classifier.predict(crops)
        return [
            Face(_clipped(one, image.shape), p, one.landmarks, None, one.score, self.classifier.emotions)
            for one, p in zip(found, probabilities, strict=True)
        ]

    def crops(self, image_rgb: np.ndarray) -> list[np.ndarray]:
        """The faces of a picture as the classifier is given them, uint8 grey, in the order of `detect`."""
        return self._find(as_rgb(image_rgb))[1]

    def _find(self, image: np.ndarray) -> tuple[list[Detection], list[np.ndarray]]:
        found, grey = self.faces.detect(image), to_grey(image)
        config = self.classifier.config
        framing = config.framing.get(self.faces.name, Framing())
        return found, [crop_face(grey, one.box, one.landmarks, framing, config.image_size) for one in found]

    def to_dict(self, image_rgb: np.ndarray, faces: Sequence[Face]) -> dict[str, Any]:
        """JSON-ready result for a picture: its width and height, the detector's name and the faces found in it."""
        height, width = image_rgb.shape[:2]
        found = [face.to_dict() for face in faces]
        return {"width": width, "height": height, "detector": self.faces.name, "faces": found}


def _clipped(found: Detection, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    x, y, width, height = found.box
    left, top = max(0, round(x)), max(0, round(y))
    right, bottom = min(shape[1], round(x + width)), min(shape[0], round(y + height))
    return left, top, max(1, right - left), max(1, bottom - top)
