"""The endpoints `/detect_image`, `/predict` and `/model_info`; those of clips and frames stand beside their tabs."""

from __future__ import annotations

from typing import Any

import gradio as gr

from emotion_model import EmotionDetector, Face, ImageError, read_base64_image
from emotion_model.faces.images import FORMAT_NAMES
from emotion_model.network.config import short_name
from ui.inputs import MOST_BYTES, MOST_PIXELS, a_place, for_visitors, photo_input, read_faces
from ui.programs import DETECTOR, for_programs
from ui.refusals import Refusal

# What the API's own documentation says of each endpoint.
ENDPOINTS = {
    "detect_image": f"Every face in a picture file ({FORMAT_NAMES}, up to 10 MB). Returns "
    f'{{"width": int, "height": int, "detector": {DETECTOR}, "turned": 0, 90, 180 or 270, the degrees clockwise '
    'by which the picture was turned to be upright, "faces": [{"box": [x, y, w, h] in pixels, "emotion": str, '
    '"confidence": 0..1, "clear": false where that is too little for a word, "intensity": 0..1, "valence": -1..1, '
    '"arousal": -1..1, "probabilities": {label: 0..1}}]}, the largest face first; no face gives an empty list.',
    "predict": "The largest face in a picture given as base64 text or as a data URL. Returns "
    '{"face": true, "emotion": str, "confidence": 0..100, "clear": bool, "probabilities": {label: 0..1}, '
    '"box": [x, y, w, h] in pixels}, or {"face": false, "message": str}.',
    "model_info": 'The model that serves. Returns {"source": str, "labels": [{"name", "emoji", "colour": "#rrggbb"}], '
    f'"detector": {DETECTOR}, "notice": str, '
    '"weights": {"file", "sha256", "bytes", "parameters", "multiply_adds"}, '
    '"temperature": float or [float, one per label], "metrics": {split: scores}}; the split of a '
    'fine-tuned model is "held-out", the pictures held out of it.',
}


class Api:
    """What the endpoints answer, with one detector."""

    def __init__(self, detector: EmotionDetector) -> None:
        """Answer with this detector."""
        self._detector = detector

    def detect_image(self, image: str | None) -> dict[str, Any]:
        """Every face in a picture file.

        Raises:
            gr.Error: it cannot be read, with the code as title.
        """
        try:
            if image is None:
                raise ImageError("empty", "No picture was sent: give a file.")
            return self._detector.to_dict(*read_faces(self._detector, image))
        except ImageError as error:
            raise Refusal(error.code, for_visitors(error)) from None

    def predict(self, image: str) -> dict[str, Any]:
        """The largest face in a picture given as base64 text or as a data URL.

        Raises:
            gr.Error: it cannot be read, with the code as title.
        """
        try:
            with a_place():
                faces = self._detector.detect(read_base64_image(image, MOST_PIXELS, MOST_BYTES))
        except ImageError as error:
            raise Refusal(error.code, for_visitors(error)) from None
        return prediction(faces)

    def model_info(self) -> dict[str, Any]:
        """The model that serves."""
        classifier = self._detector.classifier
        return {
            "source": short_name(classifier.source),
            "labels": [vars(label) for label in classifier.config.labels],
            "detector": self._detector.faces.name,
            "notice": self._detector.notice,
            "weights": classifier.config.weights,
            "temperature": classifier.config.temperature,
            "metrics": classifier.config.scores,
        }


def build_endpoints(detector: EmotionDetector) -> None:
    """Add the endpoints to a page; to be called inside `gr.Blocks`."""
    api = Api(detector)
    # An endpoint takes and gives what components hold; these are never shown.
    for function, source, answer in (
        (api.detect_image, photo_input(label="Picture file", visible=False), "Faces"),
        (api.predict, gr.Textbox(label="Picture as base64 text or data URL", visible=False), "Largest face"),
        (api.model_info, None, "Model"),
    ):
        name = function.__name__
        gr.Button(visible=False).click(
            for_programs(function),
            source,
            gr.JSON(label=answer, visible=False),
            api_name=name,
            api_description=ENDPOINTS[name],
        )


def prediction(faces: list[Face]) -> dict[str, Any]:
    """What `/predict` answers: the largest face, or a friendly no."""
    if not faces:
        return {"face": False, "message": "No face was found in the picture."}
    values = faces[0].to_dict()
    return {
        "face": True,
        "emotion": values["emotion"],
        "confidence": round(faces[0].confidence * 100, 2),
        "clear": faces[0].clear,
        "probabilities": values["probabilities"],
        "box": values["box"],
    }
