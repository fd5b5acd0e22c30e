"""What an Inference Endpoint runs; published beside the weights."""

from __future__ import annotations

import base64
import io
import sys
from typing import Any

from PIL import Image, ImageOps
from transformers import pipeline

MAX_PICTURES = 64  # in one request
MAX_PIXELS, MAX_SIDE = 50_000_000, 30_000  # of a picture: a file of some kilobytes can unfold into gigabytes
# Pillow knows others too, and has programs such as Ghostscript read some of them.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000")


class EndpointHandler:
    """Emotions of ready-cropped faces."""

    def __init__(self, path: str = "") -> None:
        """Load the model in the folder `path`."""
        self.classify = pipeline("image-classification", model=path, trust_remote_code=True)

    def __call__(self, data: dict[str, Any]) -> list[Any]:
        """Classify the picture, or the list of pictures, under `inputs`.

        Args:
            data: `inputs`: a PIL image (what the endpoint makes of a request with a picture as its body), the bytes
                of a picture file, or its base64 text; or a list of these. `parameters`: `{"top_k": n}`.

        Returns:
            For each picture `[{"label", "score"}, ...]`, the likeliest first; not in a list of its own for one alone.

        Raises:
            ValueError: an input is not a picture, or too large a one; or the parameters are not of this kind.
        """
        inputs = data.get("inputs")
        many = isinstance(inputs, list)
        if not inputs or (many and len(inputs) > MAX_PICTURES):
            raise ValueError(f"inputs: give a picture, or a list of 1 to {MAX_PICTURES}")
        top_k = self._top_k(data.get("parameters") or {})
        pictures = (self._grey(_picture(one)) for one in (inputs if many else [inputs]))  # in memory one at a time
        answers = list(self.classify(pictures, top_k=top_k))
        return answers if many else answers[0]

    def _top_k(self, parameters: Any) -> int:
        if isinstance(parameters, dict):
            top_k = parameters.get("top_k")
            if top_k is None:
                return self.classify.model.config.num_labels
            if type(top_k) is int and top_k >= 1:  # true and false are numbers for Python
                return top_k
        raise ValueError('parameters: give {"top_k": n}, with a whole number from 1 on')

    def _grey(self, picture: Image.Image) -> Image.Image:
        # Made grey by the model's own code: the pipeline would take off what is transparent, and make 16 bits white.
        module = sys.modules[type(self.classify.image_processor).__module__]
        return Image.fromarray(module.to_grey(picture))


def _picture(value: Any) -> Image.Image:
    # Text is never taken as an address or a path: a caller must not make this machine read what is not the caller's.
    if isinstance(value, str):
        try:
            text = value.partition(",")[2] if value.startswith("data:") else value
            text = "".join(text.split()).translate(str.maketrans("-_", "+/"))  # broken into lines, or for addresses
            value = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)  # the end of which some leave out
        except ValueError as error:
            raise ValueError("inputs: text must be the base64 of a picture file") from error
    try:
        if isinstance(value, bytes):
            value = Image.open(io.BytesIO(value), formats=FORMATS)
        if isinstance(value, Image.Image):
            if value.width * value.height > MAX_PIXELS or max(value.size) > MAX_SIDE:
                raise Image.DecompressionBombError  # as Pillow does at a limit of its own
            value.load()
    except Image.DecompressionBombError as error:
        raise ValueError(f"inputs: a picture may have {MAX_PIXELS:,} pixels, and {MAX_SIDE:,} a side") from error
    except (OSError, ValueError, SyntaxError) as error:
        raise ValueError("inputs: this is not a picture that can be read") from error
    if not isinstance(value, Image.Image):
        raise ValueError(f"inputs: expected a picture, got {type(value).__name__}")
    return ImageOps.exif_transpose(value)
