"""The Album tab: many photos in, a table with a row for each face out."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from emotion_model import EmotionDetector, ImageError, read_image
from ui import cards

MAX_PHOTOS = 200
SCORES = ("emotion", "confidence", "intensity", "valence", "arousal")


def build_tab(detector: EmotionDetector) -> None:
    """The content of the Album tab; to be called inside `gr.Blocks`."""
    emotions = detector.classifier.emotions
    head = ["photo", "face", *SCORES, *emotions, "x", "y", "w", "h", "note"]

    def read(photos: list[str] | None) -> Iterator[tuple[str, Any, Any]]:
        if not photos:
            yield _invitation(), gr.update(value=None, visible=False), gr.update(visible=False)
            return
        rows: list[list[Any]] = []
        faces = problems = 0
        chosen = photos[:MAX_PHOTOS]
        with tempfile.TemporaryDirectory(prefix="album-") as folder:
            for number, path in enumerate(chosen, start=1):
                found, problem = album_rows(detector, Path(path))
                rows += found
                faces += sum(row[1] is not None for row in found)
                problems += problem
                bar = f'<progress max="{len(chosen)}" value="{number}" aria-label="Progress"></progress>'
                if number < len(chosen):
                    yield cards.status(f"{number} of {len(chosen)} photos", "", extra=bar), gr.skip(), gr.skip()
            file = Path(folder) / "album_emotions.csv"
            with file.open("w", encoding="utf-8", newline="") as text:
                csv.writer(text, lineterminator="\n").writerows([head, *rows])
            left_out = len(photos) - len(chosen)
            said = f"{len(chosen)} photo{'' if len(chosen) == 1 else 's'}"
            said += f", {problems} of them not readable: the table's last column says why" if problems else ""
            said += f"; {left_out} over the limit of {MAX_PHOTOS} were left out" if left_out else ""
            yield (
                cards.status(f"{faces} face{'' if faces == 1 else 's'}.", f"In {said}."),
                gr.update(value={"headers": head, "data": rows}, visible=True),
                gr.update(value=str(file), visible=True),
            )

    photos = gr.File(
        label=f"Photos, up to {MAX_PHOTOS}",
        file_count="multiple",
        file_types=["image"],
        height=220,
        elem_id="album-photos",
    )
    status = gr.HTML(_invitation(), elem_id="album-status")
    table = gr.Dataframe(
        headers=head, interactive=False, visible=False, label="Faces", show_label=False, elem_id="album-table"
    )
    file = gr.File(label="The table as CSV", interactive=False, visible=False, elem_id="album-file")
    gr.on(
        [photos.upload, photos.delete, photos.clear],
        read,
        photos,
        [status, table, file],
        api_visibility="private",
        show_progress="hidden",
        trigger_mode="always_last",
    )


def album_rows(detector: EmotionDetector, path: Path) -> tuple[list[list[Any]], bool]:
    """The rows of one photo, one for each face, else one that says why there is none; and whether it was unreadable."""
    emotions = detector.classifier.emotions
    blank: list[Any] = [None] * (len(SCORES) + len(emotions) + 4)
    try:
        faces = detector.detect(read_image(path))
    except ImageError as error:
        return [[path.name, None, *blank, str(error)]], True
    if not faces:
        return [[path.name, None, *blank, "no face found"]], False
    rows = []
    for number, face in enumerate(faces, start=1):
        values = face.to_dict()
        scores = [values[name] for name in SCORES]
        rows.append([path.name, number, *scores, *values["probabilities"].values(), *values["box"], ""])
    return rows, False


def _invitation() -> str:
    return cards.status("Add photos to begin.", "Every face in them gets a row in the table.", "quiet")
