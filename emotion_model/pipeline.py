"""The one way from a picture to emotions: detect, align, crop, classify."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emotion_model.face import Face
from emotion_model.faces.boxes import Detection
from emotion_model.faces.cropping import crop_face, require_several
from emotion_model.faces.detection import FaceDetector
from emotion_model.faces.images import Picture, as_rgb, to_grey, told_of
from emotion_model.network.classifier import EmotionClassifier
from emotion_model.network.ensemble import EmotionEnsemble
from emotion_model.network.protocol import Classifier, require_classifier


class EmotionDetector:
    """Finds every face in a picture and tells its emotion; photo, live and video all go through here.

    Attributes:
        classifier: the model in use.
        faces: the face detector in use.
        mirrored: whether a face's mirror image is asked about too.
    """

    def __init__(
        self, classifier: Classifier | None = None, faces: FaceDetector | None = None, mirrored: bool = True
    ) -> None:
        """Combine a classifier (the bundled model by default) and a face detector (chosen by the environment).

        Args:
            classifier: names the emotions.
            faces: finds the faces.
            mirrored: name each face's emotion by the mean over the face and its mirror image: right a little more
                often, and twice the classifier's time. Not for frames of a clip or a camera, which have neighbours.

        Raises:
            TypeError: a path or a name in the place of a classifier or a face detector.
        """
        if isinstance(faces, str):
            raise TypeError(f"Expected a face detector, got str: FaceDetector({faces!r}) makes one.")
        self.classifier = classifier or EmotionClassifier()
        require_classifier(self.classifier)
        self.faces = faces or FaceDetector()
        self.mirrored = mirrored

    @classmethod
    def from_pretrained(cls, repo_id: str, revision: str | None = None) -> EmotionDetector:
        """A detector with a model from the Hub; see `EmotionClassifier.from_pretrained`.

        Raises:
            ModelError: the model cannot be had.
        """
        return cls(EmotionClassifier.from_pretrained(repo_id, revision))

    @classmethod
    def load(cls, models: str | Path | Sequence[str | Path] = (), faces: str | None = None) -> EmotionDetector:
        """A detector with the model at a path, or with the mean of those at several; without any, the environment's.

        Args:
            models: one, or several, as for `EmotionClassifier.load`.
            faces: name of the face detector, as for `FaceDetector`.

        Raises:
            ModelError: a model cannot be loaded.
            DetectorError: there is no such face detector here.
            ValueError: the models do not have the same labels.
        """
        paths = [models] if isinstance(models, str | Path) else models
        members = [EmotionClassifier.load(path) for path in paths] or [EmotionClassifier.from_environment()]
        return cls(members[0] if len(members) == 1 else EmotionEnsemble(members), FaceDetector(faces))

    @property
    def notice(self) -> str:
        """Sentences for visitors where another model or face detector serves than was hoped for, else ""."""
        return " ".join(part.notice for part in (self.classifier, self.faces) if part.notice)

    def detect(self, image: Picture) -> list[Face]:
        """Every face in a picture, the largest first; an empty list where there is none.

        Where the faces of a picture lie on their side or stand on their head, it is turned until they do not; boxes
        and landmarks are in pixels of the picture as given. A file or `PIL.Image` that its EXIF orientation turns is
        turned first, as `read_image` gives it: they are in pixels of that.

        Args:
            image: uint8 RGB `(height, width, 3)`; grey, RGBA and uint16 arrays are converted. Or a `PIL.Image`, or a
                file's path or bytes. OpenCV's arrays are BGR: give `image[..., ::-1]`.

        Raises:
            ImageError: not a picture.
        """
        return self.detect_many([as_rgb(image)])[0]

    def detect_many(
        self, images: Iterable[Picture], known: Sequence[list[Detection]] | None = None
    ) -> list[list[Face]]:
        """The faces of several pictures, as `detect` gives those of one; all are classified in one forward pass.

        The pictures are taken one after the other, so that an iterator needs memory for one of them only.

        Args:
            images: as for `detect`.
            known: where the faces of each picture are, if that is known already.

        Raises:
            ImageError: one is not a picture, and a note of the error says which; or a single one was given instead of
                several.
        """
        require_several(images, "pictures")
        found: list[list[Detection]] = []
        shapes: list[tuple[int, ...]] = []
        crops: list[np.ndarray] = []
        for number, picture in enumerate(images):
            with told_of(number, picture):
                image = as_rgb(picture)
            detections = self.faces.detect(image) if known is None else known[number]
            shapes.append(image.shape)
            found.append(detections)
            crops += self.crops(image, detections)
        probabilities = iter(self.classifier.predict(crops, self.mirrored) if crops else ())
        emotions, clear_from = self.classifier.emotions, self.classifier.config.clear_from
        return [
            [
                Face(
                    _clipped(one, shape),
                    next(probabilities),
                    one.landmarks,
                    detection_score=one.score,
                    emotions=emotions,
                    turn=one.turn,
                    clear_from=clear_from,
                )
                for one in detections
            ]
            for detections, shape in zip(found, shapes, strict=True)
        ]

    def crops(self, picture: Picture, known: Sequence[Detection] | None = None) -> list[np.ndarray]:
        """The faces of a picture as the classifier is given them, uint8 grey, in the order of `detect`.

        Args:
            picture: as for `detect`.
            known: where its faces are, if that is known already.

        Raises:
            ImageError: not a picture.
        """
        image = as_rgb(picture)
        found = self.faces.detect(image) if known is None else known
        if not found:
            return []
        grey, config = to_grey(image), self.classifier.config
        framing = config.framing_of(self.faces.name)
        return [crop_face(grey, one.box, one.landmarks, framing, config.image_size, one.turn) for one in found]

    def to_dict(self, image_rgb: np.ndarray, faces: Sequence[Face]) -> dict[str, Any]:
        """JSON-ready result for a picture: its width and height, the detector's name and the faces found in it.

        `turned` is the angle, clockwise and in degrees, by which the picture was turned to see them: 0, 90, 180 or 270.
        Boxes are in pixels of the picture as it was given all the same.
        """
        height, width = image_rgb.shape[:2]
        found = [face.to_dict() for face in faces]
        turned = 90 * faces[0].turn if faces else 0
        return {"width": width, "height": height, "detector": self.faces.name, "turned": turned, "faces": found}


def _clipped(found: Detection, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    x, y, width, height = found.box
    # A face that reaches in by less than half a pixel still lies on the last one.
    left, top = min(max(0, round(x)), shape[1] - 1), min(max(0, round(y)), shape[0] - 1)
    right, bottom = min(shape[1], round(x + width)), min(shape[0], round(y + height))
    return left, top, max(1, right - left), max(1, bottom - top)
