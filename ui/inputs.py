"""Pictures as visitors hand them in, and what is said where one cannot be used."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from emotion_model import EmotionDetector, Face, ImageError, read_image
from emotion_model.faces.images import ENDINGS
from ui.cards import problem, waiting
from ui.turns import NOT_TAKEN, Turns, asked, by_the_page, by_what_is_given

CAMERA = gr.WebcamOptions(mirror=False, constraints={"video": {"width": {"ideal": 1280}, "height": {"ideal": 720}}})
# At once, at every door: endpoints that are called in one step do not wait in Gradio's queue, and a picture of the
# largest size takes some hundred megabytes while it is read.
READING = threading.BoundedSemaphore(2)
# For that, each in one of the 40 threads that all answers of the server need.
WAITING = threading.BoundedSemaphore(16)
MOST_BYTES, MOST_PIXELS = 10 * 2**20, 50_000_000  # of a picture
# An empty frame, not a broken picture; but what came since stays.
EMPTY_FRAME = "(photo, unread) => photo?.path === unread ? null : {__type__: 'update'}"


@contextmanager
def a_place(ours: bool = False) -> Iterator[None]:
    """One of the pictures that are read at a time; waits for it.

    Args:
        ours: it is for the page, whose visitors wait in Gradio's queue, which few leave at a time.

    Raises:
        ImageError: too many wait.
    """
    wait = nullcontext() if ours else _waiting()
    with wait:
        READING.acquire()
    try:
        yield
    finally:
        READING.release()


@contextmanager
def _waiting() -> Iterator[None]:
    if not WAITING.acquire(blocking=False):
        raise ImageError("busy", "Too many pictures wait to be read: try again in a minute.")
    try:
        yield
    finally:
        WAITING.release()


def read_faces(detector: EmotionDetector, path: str | Path, ours: bool = False) -> tuple[np.ndarray, list[Face]]:
    """A picture, uint8 RGB `(height, width, 3)`, and its faces; waits where others are being read, see `a_place`.

    Raises:
        ImageError: it cannot be read, or too many wait.
    """
    with a_place(ours):
        image = read_picture(path)
        return image, detector.detect(image)


def read_picture(path: str | Path) -> np.ndarray:
    """A picture, uint8 RGB `(height, width, 3)`, no larger than the page takes.

    Raises:
        ImageError: it cannot be read.
    """
    return read_image(path, MOST_PIXELS, MOST_BYTES)


def photo_input(**options: Any) -> gr.Image:
    """A `gr.Image` for a file, the camera or the clipboard; its handler gets the file's path as uploaded, or None.

    Gradio would open the file itself and answer a damaged one with an error of its own; this way one reader judges
    the pictures behind every door.
    """
    component: Any = gr.Image(
        type="filepath",
        image_mode=None,
        min_width=300,
        buttons=[],
        webcam_options=CAMERA,
        placeholder=f"Drop a photo here, or click to choose one; up to {MOST_BYTES >> 20} MB",
        **options,
    )
    component.preprocess = lambda payload: payload.path if payload else None
    return component


def files_input(**options: Any) -> gr.File:
    """A `gr.File` for several pictures; its handler gets their paths as uploaded, or None.

    Gradio goes by the names alone, and refuses all files for one without an ending; this way each is judged by what it
    holds. Browsers that know no kind for a HEIC file go by the ending.
    """
    component: Any = gr.File(file_count="multiple", file_types=["image", *sorted(ENDINGS)], **options)
    component.preprocess = lambda payload: [file.path for file in payload] if payload else None
    return component


def on_photo(
    photo: gr.Image,
    example: gr.Button,
    read: Callable[[str | None], Iterator[Any]],
    read_example: Callable[[], Iterator[Any]],
    outputs: list[Any],
    busy: Any,
    status: Any,
) -> None:
    """Let a photo, and the example's button, be answered by `outputs`.

    `busy` of them shows that it takes a while, and `status` says why there is no answer. Before their values there is,
    of a photo, its path if it cannot be read, else ""; of the example, the picture.

    Not by `change`: taking a bad file out again must not wipe the sentence that says what was wrong with it. Nor by
    `input`: where an example is taken out, the page sends it with that once more.
    """
    turns = Turns()

    def arrived(request: gr.Request) -> None:
        turns.note(request.session_hash, asked(request))

    def answer(path: str | None, request: gr.Request) -> Iterator[Any]:
        yield from turns.newest(request.session_hash, asked(request), read(path))

    def answer_example(request: gr.Request) -> Iterator[Any]:
        yield from turns.newest(request.session_hash, asked(request), read_example())

    common: dict[str, Any] = {"trigger_mode": "multiple", "api_visibility": "private"}
    at_once = common | {"queue": False, "show_progress": "hidden"}
    in_turn = common | {
        "show_progress": "minimal",
        "show_progress_on": [busy],
        "concurrency_limit": 2,
        "concurrency_id": photo.elem_id,  # one queue, so that they begin in their order
    }
    unread = gr.Textbox(visible=False)
    shown = [unread, *outputs]
    nothing, unchanged = list(next(iter(read(None)))), [gr.skip()] * len(shown)

    def only(said: str) -> list[Any]:
        return [said if part is status else empty for part, empty in zip(shown, nothing, strict=True)]

    # What an event is wired to runs one after the other: what was asked for counts before it has waited for its turn.
    # That it waits stands there in between: of two that end in the same words the second would not be read out.
    photo.upload(**by_what_is_given([photo], shown, nothing, only(waiting())))
    photo.upload(arrived, None, None, **at_once)
    answered = photo.upload(answer, photo, shown, **in_turn)
    answered.failure(**by_what_is_given([photo], shown, nothing, only(problem(NOT_TAKEN + "add it once more."))))
    answered.success(None, [photo, unread], photo, js=EMPTY_FRAME, api_visibility="private")
    # What was taken out while the answer was on its way leaves nothing; what was wrong with a photo stays.
    answered.success(**by_what_is_given([photo, unread], shown, nothing, unchanged))
    photo.clear(**by_the_page(shown, nothing))
    photo.clear(arrived, None, None, **at_once)
    # What lies there after this came while the example was on its way.
    example.click(**by_the_page([photo, *shown], [None, *only(waiting())]))
    example.click(arrived, None, None, **at_once)
    tried = example.click(answer_example, None, [photo, *outputs], **in_turn)
    untried = only(problem(NOT_TAKEN + "try the portrait again in a minute."))
    tried.failure(**by_what_is_given([photo], shown, untried, unchanged))


def for_visitors(error: ImageError) -> str:
    """The error's sentence, but for one that would name a path on this machine."""
    return str(error) if error.code != "unreadable" else "The picture is no longer on the server: send it once more."
