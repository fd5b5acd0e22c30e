"""The page and its API: wiring between Gradio and `emotion_model`.

python app.py        starts both on http://127.0.0.1:7860
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from typing import Any

import gradio as gr
import numpy as np

from emotion_model import (
    EmotionClassifier,
    EmotionDetector,
    Face,
    ImageError,
    draw_faces,
    read_base64_image,
    read_image,
)
from emotion_model.network.config import FIGURES_DIR
from emotion_model.network.explain import attention_map, draw_heat
from ui import album, live, render, video
from ui.theme import STYLE_SHEET, page_theme

KEEP_SECONDS = 1800  # a visitor's files are deleted from the server when they are this old; clips take a while
SWEEP_SECONDS = 60  # and looked for this often
SPARE_UPLOAD = 1.1  # uploads may be over the readers' own limits, so that their clear sentence is what people see
QUEUE_LENGTH = 64
CAMERA = gr.WebcamOptions(mirror=False, constraints={"video": {"width": {"ideal": 1280}, "height": {"ideal": 720}}})

# What the API's own documentation says of each endpoint.
ENDPOINTS = {
    "detect_image": "Every face in a picture file (JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF, up to 10 MB). Returns "
    '{"width": int, "height": int, "detector": "yunet" or "haar", "faces": [{"box": [x, y, w, h] in pixels, '
    '"emotion": str, "confidence": 0..1, "intensity": 0..1, "valence": -1..1, "arousal": -1..1, "probabilities": '
    "{label: 0..1}}]}, the largest face first; no face gives an empty list.",
    "predict": "The largest face in a picture given as base64 text or as a data URL. Returns "
    '{"face": true, "emotion": str, "confidence": 0..100, "probabilities": {label: 0..1}, "box": [x, y, w, h] in '
    'pixels}, or {"face": false, "message": str}.',
    "model_info": 'The model that serves. Returns {"source": str, "labels": [{"name", "emoji", "colour": "#rrggbb"}], '
    '"detector": "yunet" or "haar", "notice": str, "weights": {"file", "sha256", "bytes", "parameters", '
    '"multiply_adds"}, "temperature": float or [float, one per label], "metrics": {split: scores}}.',
}

# Results are announced to screen readers; the page says its language. A tab's content comes when it is first opened.
ON_LOAD = """() => {
  document.documentElement.lang = 'en';
  const silent = new Set(['status', 'video-status', 'album-status', 'looks']);
  const announce = () => {
    for (const id of silent) {
      const place = document.getElementById(id);
      if (!place) continue;
      place.setAttribute('role', 'status');
      place.setAttribute('aria-live', 'polite');
      silent.delete(id);
    }
    if (!silent.size) watcher.disconnect();
  };
  const watcher = new MutationObserver(announce);
  watcher.observe(document.body, {childList: true, subtree: true});
  announce();
}"""


def photo_input(**options: Any) -> gr.Image:
    """A `gr.Image` for a file, the camera or the clipboard; its handler gets the file's path as uploaded, or None.

    Gradio would open the file itself and answer a damaged one with an error of its own; this way one reader judges
    the pictures behind every door.
    """
    component = gr.Image(
        type="filepath",
        image_mode=None,
        min_width=300,
        buttons=[],
        webcam_options=CAMERA,
        placeholder="Drop a photo here, or click to choose one",
        **options,
    )
    component.preprocess = lambda payload: payload.path if payload else None
    return component


def build_page(detector: EmotionDetector) -> gr.Blocks:
    """The whole page, and the endpoints `/detect_image`, `/predict` and `/model_info`, around one detector."""
    config = detector.classifier.config
    notices = [part.notice for part in (detector.classifier, detector.faces) if part.notice]
    clips = video.VideoLimits()

    def show_photo(path: str | None) -> tuple[Any, np.ndarray | None, str, str, list[dict[str, Any]] | None]:
        if path is None:
            return gr.skip(), None, render.invitation(), "", None
        started = time.perf_counter()
        try:
            image = read_image(path)
        except ImageError as error:
            return None, None, render.problem(_for_visitors(error)), "", None  # an empty frame, not a broken picture
        faces = detector.detect(image)
        milliseconds = (time.perf_counter() - started) * 1000
        return (
            gr.skip(),
            draw_faces(image, faces, config.labels),
            render.summary(faces, milliseconds, detector.faces.name),
            render.face_cards(image, faces, config.labels),
            [face.to_dict() for face in faces],
        )

    def explain(path: str | None) -> tuple[Any, str]:
        if path is None:
            return gr.skip(), ""
        try:
            image = read_image(path)
        except ImageError as error:
            return None, render.problem(_for_visitors(error))
        faces = detector.detect(image)
        if not faces:
            return gr.skip(), render.summary(faces, 0, detector.faces.name)
        crop = detector.crops(image)[0]
        heat = attention_map(detector.classifier, crop)
        looked_at = None if heat is None else draw_heat(crop, heat)
        return gr.skip(), render.attention(crop, looked_at, faces[0].emotion, faces[0].confidence)

    def detect_image(image: str | None) -> dict[str, Any]:
        try:
            if image is None:
                raise ImageError("empty", "No picture was sent: give a file.")
            pixels = read_image(image)
        except ImageError as error:
            raise _api_error(error) from None
        return detector.to_dict(pixels, detector.detect(pixels))

    def predict(image: str) -> dict[str, Any]:
        try:
            faces = detector.detect(read_base64_image(image))
        except ImageError as error:
            raise _api_error(error) from None
        return prediction(faces)

    def model_info() -> dict[str, Any]:
        return {
            "source": detector.classifier.source,
            "labels": [vars(label) for label in config.labels],
            "detector": detector.faces.name,
            "notice": " ".join(notices),
            "weights": config.weights,
            "temperature": config.temperature,
            "metrics": config.metrics,
        }

    with gr.Blocks(title="Emotion Lens", delete_cache=(SWEEP_SECONDS, KEEP_SECONDS), analytics_enabled=False) as page:
        gr.HTML(render.masthead())
        if notices:
            gr.HTML(render.notice(" ".join(notices)), elem_id="notice")
        with gr.Tab("Live"):
            live.build_tab(live.Live(detector))
        with gr.Tab("Photo"):
            with gr.Row(equal_height=True):
                photo = photo_input(
                    label="Your photo",
                    height=420,
                    elem_id="photo",
                )
                annotated = gr.Image(
                    label="What the network sees",
                    format="jpeg",
                    height=420,
                    min_width=300,
                    interactive=False,
                    buttons=["download", "fullscreen"],
                    elem_id="annotated",
                )
            status = gr.HTML(render.invitation(), elem_id="status")
            cards = gr.HTML("", elem_id="cards")
            with gr.Accordion("The same numbers as JSON", open=False):
                numbers = gr.JSON(label="Faces", show_label=False, elem_id="numbers")
        with gr.Tab("Video", render_children=True):
            video.build_tab(detector, clips)
        with gr.Tab("Album", render_children=True):
            album.build_tab(detector)
        with gr.Tab("Model"):
            gr.HTML(render.model_page(config, detector.classifier.source, detector.faces.name), elem_id="model")
            gr.HTML("<h2>What does it look at in your face?</h2>", elem_id="looks-title")
            with gr.Row():
                own_photo = photo_input(
                    label="Your photo: its largest face is looked at",
                    height=320,
                    elem_id="own-photo",
                )
                looks = gr.HTML("", elem_id="looks")
            if isinstance(detector.classifier, EmotionClassifier):
                gr.HTML(render.drawings(detector.classifier.folder / FIGURES_DIR))
        gr.HTML(render.fine_print(config, (KEEP_SECONDS + SWEEP_SECONDS) // 60))

        # Not `change`: taking a bad file out again must not wipe the sentence that says what was wrong with it.
        gr.on(
            [photo.input, photo.clear],
            show_photo,
            photo,
            [photo, annotated, status, cards, numbers],
            trigger_mode="always_last",
            api_visibility="private",
            show_progress="minimal",
            show_progress_on=[annotated],
        )
        gr.on(
            [own_photo.input, own_photo.clear],
            explain,
            own_photo,
            [own_photo, looks],
            trigger_mode="always_last",
            api_visibility="private",
            show_progress="minimal",
            show_progress_on=[looks],
        )
        # An endpoint takes and gives what components hold; these are never shown.
        for function, source, answer in (
            (detect_image, photo_input(label="Picture file", visible=False), "Faces"),
            (predict, gr.Textbox(label="Picture as base64 text or data URL", visible=False), "Largest face"),
            (model_info, None, "Model"),
        ):
            name = function.__name__
            gr.Button(visible=False).click(
                function,
                source,
                gr.JSON(label=answer, visible=False),
                api_name=name,
                api_description=ENDPOINTS[name],
            )
    return page


def prediction(faces: list[Face]) -> dict[str, Any]:
    """What `/predict` answers: the largest face, or a friendly no."""
    if not faces:
        return {"face": False, "message": "No face was found in the picture."}
    values = faces[0].to_dict()
    return {
        "face": True,
        "emotion": values["emotion"],
        "confidence": round(faces[0].confidence * 100, 2),
        "probabilities": values["probabilities"],
        "box": values["box"],
    }


def _api_error(error: ImageError) -> gr.Error:
    return gr.Error(_for_visitors(error), title=error.code, print_exception=False)


def _for_visitors(error: ImageError) -> str:
    """The error's sentence, but for one that would name a path on this machine."""
    return str(error) if error.code != "unreadable" else "The picture is no longer on the server: send it once more."


def main() -> None:
    """Serve the page, and leave no file of a visitor behind."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # as Ctrl-C does: clean up, then end
    with tempfile.TemporaryDirectory(prefix="emotion-lens-") as files:
        # Visitors' files go when the server does: what the page shows, and what is still being made.
        os.environ.setdefault("GRADIO_TEMP_DIR", f"{files}/shown")
        tempfile.tempdir = files
        serve()


def serve() -> None:
    """Load the models and serve the page until stopped."""
    detector = EmotionDetector(EmotionClassifier.from_environment())
    detector.classifier.warm_up()
    for part in (detector.classifier, detector.faces):
        if part.notice:
            print(part.notice, part.fallback_reason, flush=True)
    page = build_page(detector)
    page.queue(max_size=QUEUE_LENGTH, default_concurrency_limit=2)
    page.launch(
        theme=page_theme(),
        css_paths=STYLE_SHEET,
        js=ON_LOAD,
        max_file_size=round(video.VideoLimits().megabytes * SPARE_UPLOAD * 2**20),
        footer_links=["api", "gradio"],
        run_history=False,
        ssr_mode=False,
    )


if __name__ == "__main__":
    main()
