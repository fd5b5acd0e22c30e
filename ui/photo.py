"""The Photo tab: a picture in, its faces out."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import date
from functools import partial
from typing import Any, TypeVar

import gradio as gr

from emotion_model import EmotionDetector, ImageError, draw_faces
from emotion_model.drawing.sharing import share_picture
from emotion_model.network.config import short_name
from ui import cards, examples
from ui.inputs import a_place, for_visitors, on_photo, photo_input, read_faces, read_picture
from ui.pictures import picture_url
from ui.turns import NOT_TAKEN

INVITATION = cards.status("Add a photo to begin.", "Upload, paste or take one: every face in it is read.", "quiet")
LARGE = 6_000_000  # pixels; smaller ones are read before anybody could read this
Shown = tuple[Any, Any, Any, Any, Any, Any]
Made = TypeVar("Made")
WITH_TODAY = "(photo, hide) => [photo, hide, new Date().toLocaleDateString('sv')]"  # Swedish dates are ISO 8601's
SHARE = "url => { if (url) window.shareEmotions(url); }"


def read_photo(detector: EmotionDetector, path: str | None) -> Iterator[Shown]:
    """The faces of a photo, or why it cannot be read: its path then, its copy, status, cards, numbers, what shares it.

    Of a large photo it is said at once that it is being looked at.
    """
    if path is None:
        yield "", None, INVITATION, "", None, gr.update(visible=False)
        return
    try:
        image, reading = _timed(read_picture, path)
    except ImageError as error:
        yield path, None, cards.problem(for_visitors(error)), "", None, gr.update(visible=False)
        return
    height, width = image.shape[:2]
    if height * width > LARGE:
        said = f"{width} × {height} pixels: in one as large, small faces are looked for too."
        yield gr.skip(), gr.skip(), cards.status("Looking for faces …", said, "quiet"), gr.skip(), gr.skip(), gr.skip()
    faces, finding = _timed(detector.detect, image)
    labels = detector.classifier.config.labels
    yield (
        "",
        draw_faces(image, faces, labels),
        cards.summary(faces, 1000 * (reading + finding), detector.faces.name),
        cards.face_cards(image, faces, labels),
        [face.to_dict() for face in faces],
        gr.update(visible=bool(faces)),
    )


def _timed(work: Callable[[Any], Made], given: Any) -> tuple[Made, float]:
    """What comes of something given, and the seconds that took; waits where others are being read, which is no work."""
    with a_place(ours=True):
        started = time.perf_counter()
        return work(given), time.perf_counter() - started


def shared(detector: EmotionDetector, path: str | None, hide_faces: bool, today: str | None) -> str:
    """A photo with its faces named, or hidden, the date and the model's name, as a data URL; "" without a photo.

    `today`: the date by the visitor's clock, as ISO 8601; else the server's.
    """
    if path is None:
        return ""
    try:
        image, faces = read_faces(detector, path, ours=True)
    except ImageError as error:
        gr.Warning(for_visitors(error))
        return ""
    try:
        day = date.fromisoformat(today or "")
    except ValueError:
        day = date.today()
    classifier = detector.classifier
    caption = f"Emotion Lens · {day:%d %B %Y} · model: {short_name(classifier.source)}"
    picture = share_picture(image, faces, caption, classifier.config.labels, hide_faces)
    return picture_url(picture)


def build_tab(detector: EmotionDetector) -> None:
    """The content of the Photo tab; to be called inside `gr.Blocks`."""
    with gr.Row(equal_height=True):
        photo = photo_input(label="Your photo", height=420, elem_id="photo")
        annotated = gr.Image(
            label="What the network sees",
            format="jpeg",
            height=420,
            min_width=300,
            interactive=False,
            buttons=["download", "fullscreen"],
            elem_id="annotated",
        )
    example = gr.Button("No photo at hand? Try a portrait", size="sm", elem_id="photo-example")
    status = gr.HTML(INVITATION, elem_id="status")
    with gr.Row(visible=False, elem_id="photo-sharing") as sharing:
        share = gr.Button("Share this picture", elem_id="photo-share")
        hide = gr.Checkbox(label="With hidden faces", elem_id="photo-hide")
        picture, today = gr.Textbox(visible=False), gr.Textbox(visible=False)
    found = gr.HTML("", elem_id="cards")
    with gr.Accordion("The same numbers as JSON", open=False):
        numbers = gr.JSON(label="Faces", show_label=False, elem_id="numbers")

    def show(path: str | None) -> Iterator[Shown]:
        yield from read_photo(detector, path)

    def show_example() -> Iterator[Shown]:
        for _, *others in read_photo(detector, str(examples.portrait_path())):
            yield examples.portrait(), *others

    shown = [annotated, status, found, numbers, sharing]
    on_photo(photo, example, show, show_example, shown, annotated, status)
    # The picture goes through a hidden text, as nothing else that a script is given is there at once.
    # That it is on its way shows on the annotated copy: neither a hidden text nor a button has room for that.
    shows: dict[str, Any] = {"show_progress": "minimal", "show_progress_on": [annotated]}
    # That it did not work stands behind what was found, until the next press.
    failed = json.dumps(cards.problem(NOT_TAKEN + "share the picture again in a minute, or add the photo once more."))
    share.click(None, status, status, js=f"said => said.replace({failed}, '')", api_visibility="private")
    made = share.click(
        partial(shared, detector), [photo, hide, today], picture, js=WITH_TODAY, api_visibility="private", **shows
    )
    # On success alone: the text may still hold the picture before, with faces that are to be hidden now.
    made.success(None, picture, None, js=SHARE, api_visibility="private")
    made.failure(None, status, status, js=f"said => said + {failed}", api_visibility="private")
