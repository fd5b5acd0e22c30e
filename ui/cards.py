"""What the tabs share: lines on how things stand, bars, and cards of faces. Every text that is not ours is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from emotion_model import Face, Label
from emotion_model.faces.cropping import square_crop
from emotion_model.labels import label_of
from ui.pictures import emoji_url, picture_url

_CROP_SIDE = 116  # pixels, shown at half that on dense screens
_LYING = {1: "lies on its side", 2: "stands on its head", 3: "lies on its side"}
DETECTOR_NAMES = {"yunet": "YuNet", "haar": "Haar cascade"}


def problem(message: str) -> str:
    """What went wrong, and what to do about it."""
    return status("That did not work.", message, "problem")


def summary(faces: Sequence[Face], milliseconds: float, detector: str) -> str:
    """One line on what was found."""
    if not faces:
        return status("No face found.", "Try a picture with a larger, brighter or more frontal face.", "quiet")
    how = f"{milliseconds:.0f} ms, face detector: {DETECTOR_NAMES[detector]}"
    if faces[0].turn:
        how += f". The picture {_LYING[faces[0].turn]}: it was turned to be read."
    return status("1 face found." if len(faces) == 1 else f"{len(faces)} faces found, largest first.", how)


def face_cards(image_rgb: np.ndarray, faces: Sequence[Face], labels: Sequence[Label]) -> str:
    """A card per face: its picture, emoji, emotion or that it is unclear, and a bar for every probability."""
    cards = "".join(_card(image_rgb, number, face, labels) for number, face in enumerate(faces, start=1))
    return f'<ul class="cards" aria-label="Faces found">{cards}</ul>' if faces else ""


def status(headline: str, detail: str, kind: str = "") -> str:
    """One line on how things stand; of the kind "busy" while something is being read, for awake.js."""
    return f'<div class="status {kind}"><strong>{escape(headline)}</strong><span>{escape(detail)}</span></div>'


def waiting() -> str:
    """Something is to be read, and waits for its turn."""
    return status("Waiting to begin.", "As soon as a place is free.", "busy")


def under_way(headline: str, detail: str, share: float | None) -> str:
    """The same of work that goes on, with a bar, 0..1 or None; it is not read out, as it moves on all the time."""
    value = "" if share is None else f' value="{share:.3f}"'
    return (
        f'<div class="status busy" aria-live="off"><strong>{escape(headline)}</strong><span>{escape(detail)}</span>'
        f'<progress max="1"{value} aria-label="Progress"></progress></div>'
    )


def _card(image_rgb: np.ndarray, number: int, face: Face, labels: Sequence[Label]) -> str:
    rows = list(zip(face.emotions, (float(p) for p in face.probabilities), strict=True))
    return (
        f'<li class="card"><header>{who(_crop_url(image_rgb, face), face.word, labels)}'
        f'<div><div class="number">Face {number}</div><h2>{escape(face.word.capitalize())}</h2>{doubt(face)}</div>'
        f'<div class="confidence">{f"{face.confidence:.0%}" if face.clear else ""}</div></header>'
        f"{bars(rows, labels)}</li>"
    )


def who(picture: str, word: str, labels: Sequence[Label]) -> str:
    """A face's picture, a data URL, with the emoji of its word beside it; without a picture, "", the emoji alone."""
    crop = f'<img class="crop" src="{picture}" alt="">' if picture else ""
    return f'<div class="who">{crop}<img class="emoji" src="{emoji_url(word, labels)}" alt=""></div>'


def heading(word: str, about: str, said: str, labels: Sequence[Label]) -> str:
    """The head of a card that tells of more than one look at a face: an emoji, what it is about, what is said of it."""
    return (
        f'<header><img class="face" src="{emoji_url(word, labels)}" alt="">'
        f'<div><div class="number">{escape(about)}</div><h2>{escape(said)}</h2></div></header>'
    )


def doubt(face: Face) -> str:
    """The two likeliest emotions of a face that is unclear, else nothing."""
    return "" if face.clear else f'<p class="doubt">{escape(likeliest(face))}</p>'


def likeliest(face: Face) -> str:
    """The two likeliest emotions of a face, in words; not escaped."""
    (first, most), (second, less) = face.likeliest
    return f"{first} {most:.0%} or {second} {less:.0%}"


def bars(rows: Sequence[tuple[str, float]], labels: Sequence[Label]) -> str:
    """A bar for every emotion and its share, 0..1."""
    top = max(rows, key=lambda row: row[1])[0]
    items = "".join(
        f"<li{' class=top' if name == top else ''}><span>{escape(name.capitalize())}</span>"
        f'<span class="track" aria-hidden="true"><span class="fill" '
        f'style="width:{value:.1%};--tone:{label_of(name, labels).colour}"></span></span>'
        f'<span class="value">{value:.0%}</span></li>'
        for name, value in rows
    )
    return f'<ul class="bars">{items}</ul>'


def _crop_url(image_rgb: np.ndarray, face: Face) -> str:
    return picture_url(square_crop(image_rgb, face, _CROP_SIDE, around=1.0))
