"""What the tabs share: lines on how things stand, bars, and cards of faces. Every text that is not ours is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import cv2
import numpy as np

from emotion_model import Face, Label
from ui.pictures import emoji_url, picture_url

_CROP_SIDE = 116  # pixels, shown at half that on dense screens
DETECTOR_NAMES = {"yunet": "YuNet", "haar": "Haar cascade"}


def problem(message: str) -> str:
    """A picture that cannot be used."""
    return status("That did not work.", message, "problem")


def summary(faces: Sequence[Face], milliseconds: float, detector: str) -> str:
    """One line on what was found."""
    how = f"{milliseconds:.0f} ms, face detector: {DETECTOR_NAMES[detector]}"
    if not faces:
        return status("No face found.", "Try a picture with a larger, brighter or more frontal face.", "quiet")
    return status("1 face found." if len(faces) == 1 else f"{len(faces)} faces found, largest first.", how)


def face_cards(image_rgb: np.ndarray, faces: Sequence[Face], labels: Sequence[Label]) -> str:
    """A card per face: its picture, emoji, emotion, confidence and a bar for every probability."""
    cards = "".join(_card(image_rgb, number, face, labels) for number, face in enumerate(faces, start=1))
    return f'<ul class="cards" aria-label="Faces found">{cards}</ul>' if faces else ""


def status(headline: str, detail: str, kind: str = "", extra: str = "") -> str:
    """One line on how things stand; `extra`, a progress bar, follows it, and then nothing is read out: it moves on."""
    live = ' aria-live="off"' if extra else ""
    said = f"<strong>{escape(headline)}</strong><span>{escape(detail)}</span>"
    return f'<div class="status {kind}"{live}>{said}{extra}</div>'


def _card(image_rgb: np.ndarray, number: int, face: Face, labels: Sequence[Label]) -> str:
    rows = list(zip(face.emotions, (float(p) for p in face.probabilities), strict=True))
    return (
        f'<li class="card"><header><div class="who"><img class="crop" src="{_crop_url(image_rgb, face)}" alt="">'
        f'<img class="emoji" src="{emoji_url(face.emotion, labels)}" alt=""></div>'
        f'<div><div class="number">Face {number}</div><h3>{escape(face.emotion.capitalize())}</h3></div>'
        f'<div class="confidence">{face.confidence:.0%}</div></header>{bars(rows, labels)}</li>'
    )


def bars(rows: Sequence[tuple[str, float]], labels: Sequence[Label]) -> str:
    """A bar for every emotion and its share, 0..1."""
    colours = {label.name: label.colour for label in labels}
    top = max(rows, key=lambda row: row[1])[0]
    items = "".join(
        f"<li{' class=top' if name == top else ''}><span>{escape(name.capitalize())}</span>"
        f'<span class="track" aria-hidden="true"><span class="fill" '
        f'style="width:{value:.1%};--tone:{escape(colours.get(name, Label(name).colour))}"></span></span>'
        f'<span class="value">{value:.0%}</span></li>'
        for name, value in rows
    )
    return f'<ul class="bars">{items}</ul>'


def _crop_url(image_rgb: np.ndarray, face: Face) -> str:
    x, y, width, height = face.box
    side = min(max(width, height), *image_rgb.shape[:2])  # a square that fits, moved inside at the picture's edges
    left = min(max(0, x + (width - side) // 2), image_rgb.shape[1] - side)
    top = min(max(0, y + (height - side) // 2), image_rgb.shape[0] - side)
    square = image_rgb[top : top + side, left : left + side]
    crop = cv2.resize(square, (_CROP_SIDE, _CROP_SIDE), interpolation=cv2.INTER_AREA)
    return picture_url(crop[..., ::-1])
