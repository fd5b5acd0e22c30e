"""The Live tab and `/detect_frame`: frames of a camera in, faces with ids out; the picture itself stays in the browser.

The page shows its visitor's own video and reads its frames by itself, with the scripts and networks of `ui.browser`.
Where it cannot, or is not to, it sends one small JPEG after the other to `Live.detect`, over a plain request each: no
queue, no stream that holds a place, nothing to rejoin. A visitor has few frames under way at a time, so several share
the processor evenly. Either way numbers come back, which the scripts beside this draw over the video and into the
timeline.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import cv2
import gradio as gr
import numpy as np

from emotion_model import EmotionDetector, ImageError, draw_faces
from emotion_model.network.config import short_name
from emotion_model.timelines.table import frame_rows
from ui import examples
from ui.browser.networks import WORKER, Networks
from ui.live.markup import page_html
from ui.live.sessions import Live, SessionError
from ui.programs import DETECTOR, for_programs
from ui.refusals import Refusal
from ui.scripts import bundle

PREVIEW = (640, 480)  # pixels
PREVIEW_TOP = 60  # pixels of the portrait above it
SCRIPT = Path(__file__).with_name("live.js")
DETECT_FRAME = (
    "One frame of a video or camera: the faces in it, followed from frame to frame. `image` is base64 text or a data "
    "URL, up to 4 megapixels; `session` 8 to 64 letters, digits, - or _ that are yours alone, such as a UUID, the "
    "same for all frames; `time` the frame's time in seconds, never decreasing (default: the server's clock); "
    '`smoothing` the time constant in seconds, 0 for raw values. Returns {"width": int, "height": int, '
    f'"detector": {DETECTOR}, "time": float, '
    '"faces": [{"face_id": int, "box": [x, y, w, h] in pixels, '
    '"emotion": str, "confidence": 0..1, "clear": bool, "intensity": 0..1, "valence": -1..1, "arousal": -1..1, '
    '"probabilities": {label: 0..1}}]}, the largest face first. '
    "A session ends some seconds after its last frame; when too many are under way the error's title is `busy`."
)


class Handlers:
    """What the page's scripts and `/detect_frame` ask for."""

    def __init__(self, live: Live) -> None:
        """Answer from these sessions."""
        self._live = live

    def detect(self, frame: dict[str, Any]) -> dict[str, Any]:
        """One frame from the page: `image`, `session`, `time`, `smoothing` -> rows as in the export."""
        began = time.perf_counter()
        try:
            found = self._live.detect(frame["image"], frame["session"], frame["time"], frame["smoothing"])
        except (ImageError, SessionError) as error:
            return {"error": error.code, "message": str(error)}
        except (KeyError, TypeError):
            return {"error": "bad_request", "message": "The frame was not understood: load the page anew."}
        rows = frame_rows(found.time, 0, found.faces, self._live.detector.classifier.emotions)
        return {
            "rows": [list(row.values()) for row in rows],
            "width": found.width,
            "height": found.height,
            "started": found.started,
            "milliseconds": round((time.perf_counter() - began) * 1000, 1),
        }

    def leave(self, session: str) -> bool:
        """End a session of the page."""
        self._live.leave(session)
        return True

    def detect_frame(
        self, image: str, session: str, time: float | None = None, smoothing: float | None = None
    ) -> dict[str, Any]:
        """One frame of a program's own camera or video.

        Raises:
            gr.Error: it is not accepted, with the code as title.
        """
        try:
            found = self._live.detect(image, session, time, smoothing)
        except (ImageError, SessionError) as error:
            raise Refusal(error.code, str(error)) from None
        return {
            "width": found.width,
            "height": found.height,
            "detector": self._live.detector.faces.name,
            "time": round(found.time, 3),
            "faces": [face.to_dict() for face in found.faces],
        }


def preview(detector: EmotionDetector) -> np.ndarray | None:
    """What the tab does, shown on the example's portrait: uint8 RGB at 4:3; None without the portrait."""
    try:
        image = examples.smiling(examples.portrait(), 1.0)
    except FileNotFoundError:
        return None
    wide = cv2.resize(image[PREVIEW_TOP : PREVIEW_TOP + image.shape[1] * 3 // 4], PREVIEW, interpolation=cv2.INTER_AREA)
    return draw_faces(wide, detector.detect(wide), detector.classifier.config.labels)


def build_tab(live: Live, networks: Networks) -> None:
    """The content of the Live tab, and the endpoint `/detect_frame`; to be called inside `gr.Blocks`.

    Args:
        live: the sessions of those whose frames are read here.
        networks: what the others read theirs with.
    """
    handlers = Handlers(live)

    # Plain functions, as Gradio marks them.
    def detect(frame: dict[str, Any]) -> dict[str, Any]:
        return handlers.detect(frame)

    def leave(session: str) -> bool:
        return handlers.leave(session)

    classifier = live.detector.classifier
    gr.HTML(
        page_html(classifier.config.labels, networks, preview(live.detector), short_name(classifier.source)),
        js_on_load=bundle(SCRIPT) + f"start(element, server, {json.dumps(bundle(WORKER))});\n",
        server_functions=[detect, leave],
        elem_id="live",
    )
    gr.api(for_programs(handlers.detect_frame), api_name="detect_frame", api_description=DETECT_FRAME)
