"""The Album tab: many photos in, their faces and a table with a row for each out."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from emotion_model import EmotionDetector, ImageError
from emotion_model.album import album_columns, album_note, album_rows, write_album
from ui import cards, examples
from ui.inputs import MOST_BYTES, files_input, for_visitors, read_faces
from ui.portraits import Read, faces_html, forget_pictures, save_pictures
from ui.sweeping import KEEP_SECONDS
from ui.turns import NOT_TAKEN, Turns, asked, by_the_page, by_what_is_given, without_what_is_gone

MAX_PHOTOS = 200
ASKED = f"Photos, up to {MAX_PHOTOS} of {MOST_BYTES >> 20} MB each"
INVITATION = cards.status("Add photos to begin.", "Every face in them is shown, and gets a row in a table.", "quiet")
NO_ROOM = "The table is here, but the server has no room for its file at the moment: try again later."


class Photo(NamedTuple):
    """One that was handed in: where it lies, and what the visitor calls it; the path lacks some letters of that."""

    path: str
    name: str


Known = dict[Photo, Read]  # photos that were read
Shown = tuple[str, Any, Any, Any]


def build_tab(detector: EmotionDetector) -> None:
    """The content of the Album tab; to be called inside `gr.Blocks`."""
    _wire(_layout(detector), detector)


def _layout(detector: EmotionDetector) -> dict[str, Any]:
    """The components, by their names."""
    photos: Any = files_input(label=ASKED, height=220, elem_id="album-photos")
    photos.preprocess = given
    return {
        "photos": photos,
        "example": gr.Button("No photos at hand? Try three portraits", size="sm", elem_id="album-example"),
        "status": gr.HTML(INVITATION, elem_id="album-status"),
        "faces": gr.HTML("", elem_id="album-faces"),
        "table": gr.Dataframe(
            headers=list(album_columns(detector.classifier.emotions)),
            interactive=False,
            visible=False,
            label="Faces",
            show_label=False,
            elem_id="album-table",
        ),
        "file": gr.File(label="The table as CSV", interactive=False, visible=False, elem_id="album-file"),
        # The photos that were read, for when others come or go.
        "known": gr.State(None, time_to_live=KEEP_SECONDS),
    }


class _Handlers:
    """What is done for the visitor who asks."""

    def __init__(self, photos: gr.File, detector: EmotionDetector) -> None:
        self._photos, self._detector, self._turns = photos, detector, Turns()

    def arrived(self, request: gr.Request) -> None:
        """Photos came, or went: that counts before it has waited for its turn."""
        self._turns.note(request.session_hash, asked(request))

    def answer(self, photos: list[Photo] | None, known: Known | None, request: gr.Request) -> Iterator[Any]:
        """What `read_album` gives, again and again, and what is known by then."""
        known = {} if known is None else known
        steps = ((*step, known) for step in read_album(self._detector, photos, known))
        yield from self._turns.newest(request.session_hash, asked(request), steps)

    def tried(self, request: gr.Request) -> Any:
        """The example was asked for: its portraits, if nothing else came while they were made."""
        visitor, number = request.session_hash, asked(request)
        self._turns.note(visitor, number)  # what is being read ends
        made = self._portraits()
        return made if self._turns.note(visitor, number) else gr.skip()

    def answer_tried(self, photos: list[Photo] | None, known: Known | None, request: gr.Request) -> Iterator[Any]:
        """As `answer`, where the example lies there."""
        if [photo.path for photo in photos or []] == self._portraits():
            yield from self.answer(photos, known, request)
        else:
            yield gr.skip()  # what came meanwhile is not read a second time

    def _portraits(self) -> list[str | None]:
        """Their paths, as the page names them."""
        return [self._photos.move_resource_to_block_cache(path) for path in examples.photo_paths()]


def _wire(parts: dict[str, Any], detector: EmotionDetector) -> None:
    """What happens when a visitor does something."""
    photos, example, table, known = (parts[name] for name in ("photos", "example", "table", "known"))
    do, outputs = _Handlers(photos, detector), [parts["status"], parts["faces"], table, parts["file"]]
    common: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "trigger_mode": "multiple"}
    hidden = ["", *[gr.update(visible=False)] * 2]
    nothing, waiting = [INVITATION, *hidden], [cards.waiting(), *hidden]
    missed = [cards.problem(NOT_TAKEN + "add the photos once more."), *hidden]

    def read(listen: Callable[..., Any], answering: Callable[..., Any]) -> None:
        answered = listen(answering, [photos, known], [*outputs, known], **common)
        answered.failure(**by_what_is_given([photos], outputs, nothing, missed))
        answered.then(**without_what_is_gone([photos], outputs, nothing, table))

    # What is said, and what was asked for, counts before it has waited for its turn.
    listen = partial(gr.on, [photos.upload, photos.delete, photos.clear])
    listen(**by_what_is_given([photos], outputs, nothing, waiting))
    listen(do.arrived, None, None, queue=False, **common)
    read(listen, do.answer)
    # What lies there after this came while the example was on its way.
    example.click(**by_the_page([photos, *outputs], [None, *waiting]))
    placed = example.click(do.tried, None, photos, queue=False, **common)
    untried = [cards.problem(NOT_TAKEN + "try the portraits again in a minute.")]
    placed.failure(**by_what_is_given([photos], [parts["status"]], untried, [gr.skip()]))
    read(placed.success, do.answer_tried)


def given(payload: Any) -> list[Photo] | None:
    """The photos of an upload."""
    return [Photo(one.path, one.orig_name or Path(one.path).name) for one in payload] if payload else None


def read_album(detector: EmotionDetector, photos: list[Photo] | None, known: Known | None = None) -> Iterator[Shown]:
    """What the status, the faces, the table and the file show: the status after each photo, all of them at the end.

    Args:
        detector: reads the photos.
        photos: those that are handed in.
        known: photos that were read before, which are taken from there; those that are gone give way to new ones.
    """
    known = {} if known is None else known
    chosen = (photos or [])[:MAX_PHOTOS]
    for gone in known.keys() - set(chosen):
        forget_pictures(known.pop(gone))
    if not photos:
        yield INVITATION, "", gr.update(value=None, visible=False), gr.update(visible=False)
        return
    if len(chosen) > 1:  # what is there belongs to other photos
        said = cards.status(f"0 of {len(chosen)} photos", "", "busy")
        yield said, "", gr.update(visible=False), gr.update(value=None, visible=False)
    read: list[Read] = []
    problems = 0
    for number, photo in enumerate(chosen, start=1):
        if photo in known:
            read.append(known[photo])
            continue
        found, problem = _read(detector, photo)
        if not problem:
            known[photo] = found
        read.append(found)
        problems += problem
        if number < len(chosen):
            said = cards.under_way(f"{number} of {len(chosen)} photos", "", number / len(chosen))
            yield said, gr.skip(), gr.skip(), gr.skip()
    yield from _result(detector, read, _summary(len(chosen), problems, len(photos)))


def _result(detector: EmotionDetector, read: list[Read], summary: str) -> Iterator[Shown]:
    classifier, rows = detector.classifier, [row for photo in read for row in photo.rows]
    count = sum(len(photo.faces) for photo in read)
    said = cards.status(f"{count} face{'' if count == 1 else 's'}.", summary)
    faces = faces_html(read, classifier.config.labels)
    table = gr.update(value={"headers": list(album_columns(classifier.emotions)), "data": rows}, visible=True)
    try:
        with _written(rows, classifier.emotions) as file:
            yield said, faces, table, gr.update(value=str(file), visible=True)
    except OSError:
        yield cards.problem(NO_ROOM), faces, table, gr.update(value=None, visible=False)


@contextmanager
def _written(rows: Sequence[Sequence[Any]], emotions: Sequence[str]) -> Iterator[Path]:
    """A file with the rows, removed at the end."""
    with tempfile.TemporaryDirectory(prefix="album-") as folder:
        file = Path(folder) / "album_emotions.csv"
        write_album(file, rows, emotions)
        yield file


def _summary(read: int, problems: int, given: int) -> str:
    said = f"In {read} photo{'' if read == 1 else 's'}"
    said += f", {problems} of them not readable: the table's last column says why" if problems else ""
    return said + (f"; {given - read} over the limit of {MAX_PHOTOS} were left out." if given > read else ".")


def _read(detector: EmotionDetector, photo: Photo) -> tuple[Read, bool]:
    """What there is to know of one photo, and whether it was unreadable: then its only row says why."""
    emotions = detector.classifier.emotions
    try:
        image, faces = read_faces(detector, photo.path, ours=True)
    except ImageError as error:
        return Read([album_note(photo.name, for_visitors(error), emotions)]), True
    return Read(album_rows(photo.name, faces, emotions), save_pictures(image, faces)), False
