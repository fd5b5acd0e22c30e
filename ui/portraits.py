"""The faces of an album, to look at: their pictures, and how many show which emotion.

The pictures lie among visitors' files and go when those do; what is known of a photo holds their place alone.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from html import escape
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from gradio.utils import get_upload_folder

from emotion_model import Face, Label
from emotion_model.faces.cropping import square_crop
from emotion_model.labels import UNCLEAR
from ui.cards import bars, heading, who
from ui.pictures import picture_url

SIDE, QUALITY = 96, 80  # of a picture, in pixels, shown at two thirds of that; of a JPEG
OF_A_PHOTO = 12  # faces, the largest
SHOWN = 120  # faces, of an album


class Read(NamedTuple):
    """What is known of a photo: its rows of the table, and the file with the pictures of its faces, if there is one."""

    rows: list[list[Any]]
    pictures: Path | None = None

    @property
    def faces(self) -> list[list[Any]]:
        """The rows that tell of a face."""
        return [row for row in self.rows if row[1] is not None]


def save_pictures(image_rgb: np.ndarray, faces: Sequence[Face]) -> Path | None:
    """Write pictures of a photo's faces, uint8 RGB `(height, width, 3)`; None where there is no face, or no room."""
    if not faces:
        return None
    urls = [picture_url(square_crop(image_rgb, face, SIDE, around=1.0), QUALITY) for face in faces[:OF_A_PHOTO]]
    with suppress(OSError):
        folder = Path(get_upload_folder())
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=folder, prefix="faces-", suffix=".json", delete=False) as file:
            json.dump(urls, file)
        return Path(file.name)
    return None


def forget_pictures(read: Read) -> None:
    """Remove them: their photo was taken out."""
    if read.pictures:
        with suppress(OSError):
            read.pictures.unlink()


def faces_html(photos: Iterable[Read], labels: Sequence[Label]) -> str:
    """How many faces show which emotion, and the faces themselves; "" where there is none.

    Args:
        photos: in the order in which they are shown.
        labels: of the model.
    """
    photos = list(photos)
    count = sum(len(photo.faces) for photo in photos)
    if not count:
        return ""
    items = islice((item for photo in photos for item in _items(photo, labels)), SHOWN)
    listed = f'<ul class="portraits" aria-label="Faces">{"".join(items)}</ul>'
    more = count - SHOWN
    said = f"<p>{more:,} more {'stands' if more == 1 else 'stand'} in the table.</p>" if more > 0 else ""
    return f'<div class="album">{_card(photos, count, labels)}<div>{listed}{said}</div></div>'


def _card(photos: Sequence[Read], count: int, labels: Sequence[Label]) -> str:
    words = Counter(_word(face) for photo in photos for face in photo.faces)
    shown = (*labels, UNCLEAR) if UNCLEAR.name in words else labels
    top, most = words.most_common(1)[0]
    said = top.capitalize() if most == count else f"Mostly {top}"
    about = f"{count:,} face{'' if count == 1 else 's'}"
    rows = [(label.name, words[label.name] / count) for label in shown]
    return f'<div class="card">{heading(top, about, said, labels)}{bars(rows, shown)}</div>'


def _items(photo: Read, labels: Sequence[Label]) -> Iterator[str]:
    """An item for each face of a photo; where there is no picture, or no more, its emoji stands there alone."""
    for row, picture in zip_longest(photo.faces, _pictures(photo), fillvalue=""):
        word, name = _word(row), escape(str(row[0]))
        said = escape(word.capitalize()) + ("" if word == UNCLEAR.name else f" {row[3]:.0%}")
        told = f"Face {row[1]}, {name}" if len(photo.faces) > 1 else name
        yield (
            f"<li>{who(picture, word, labels)}"
            f'<span>{said}</span><span class="number" title="{name}, face {row[1]}">{told}</span></li>'
        )


def _word(row: Sequence[Any]) -> str:
    """What the page says of a face: its emotion, or that it is unclear."""
    return UNCLEAR.name if row[-1] == UNCLEAR.name else row[2]


def _pictures(photo: Read) -> list[str]:
    try:
        return json.loads(photo.pictures.read_text()) if photo.pictures else []
    except OSError:  # its time is over
        return []
