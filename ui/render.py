"""Results as HTML. Every text that is not ours is escaped."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from functools import lru_cache
from html import escape
from typing import Any

import cv2
import numpy as np

from emotion_model import Face, Label, ModelConfig, draw_emoji

_CROP_SIDE = 116  # pixels, shown at half that on dense screens
_DETECTOR_NAMES = {"yunet": "YuNet", "haar": "Haar cascade"}


def masthead() -> str:
    """Name of the page and what it does."""
    heads = "".join(f'<img src="{emoji_url(name)}" alt="">' for name in ("happy", "surprise", "sad"))
    return (
        f'<div class="masthead"><div class="heads" aria-hidden="true">{heads}</div><div>'
        "<h1>Emotion Lens</h1><p>See which emotion each face in a picture shows, and how sure the network is.</p>"
        "</div></div>"
    )


def notice(message: str) -> str:
    """Something that visitors should know before they begin, such as a fallback in use."""
    return f'<div class="status notice"><span>{escape(message)}</span></div>'


def invitation() -> str:
    """What stands in the place of results before there are any."""
    return status("Add a photo to begin.", "Upload, paste or take one: every face in it is read.", "quiet")


def problem(message: str) -> str:
    """A picture that cannot be used."""
    return status("That did not work.", message, "problem")


def summary(faces: Sequence[Face], milliseconds: float, detector: str) -> str:
    """One line on what was found."""
    how = f"{milliseconds:.0f} ms, face detector: {_DETECTOR_NAMES[detector]}"
    if not faces:
        return status("No face found.", "Try a picture with a larger, brighter or more frontal face.", "quiet")
    return status("1 face found." if len(faces) == 1 else f"{len(faces)} faces found, largest first.", how)


def face_cards(image_rgb: np.ndarray, faces: Sequence[Face], labels: Sequence[Label]) -> str:
    """A card per face: its picture, emoji, emotion, confidence and a bar for every probability."""
    cards = "".join(_card(image_rgb, number, face, labels) for number, face in enumerate(faces, start=1))
    return f'<ul class="cards" aria-label="Faces found">{cards}</ul>' if faces else ""


def model_page(config: ModelConfig, source: str, detector: str) -> str:
    """What serves here, how good it is and where its limits are."""
    weights, test = config.weights, config.metrics.get("test", {})
    facts = [("Model", source), ("Face detector", _DETECTOR_NAMES[detector])]
    if test:
        facts += [("Accuracy on the FER2013 test", f"{test['accuracy']:.1%}"), ("Macro-F1", f"{test['macro_f1']:.3f}")]
    if weights.get("parameters"):
        facts.append(("Parameters", f"{weights['parameters'] / 1e6:.2f} million"))
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)
    panels = []
    if test:
        rows = [(name, scores["f1"]) for name, scores in test["per_class"].items()]
        panels.append(
            '<section class="panel"><h2>How well each emotion is recognised</h2>'
            f"{bars(rows, config.labels)}<p>F1 on {test['images']:,} test pictures, 100 % is perfect.</p></section>"
        )
    panels.append(
        '<section class="panel"><h2>What it is not</h2><ul>'
        "<li>It names the expression that a face shows, not what a person feels.</li>"
        "<li>It learned from FER2013: small grey web pictures whose labels people agree on about 65 % of the time. "
        "It is wrong often, and how often for which age, skin colour or pose has not been measured.</li>"
        "<li>Do not use it to judge people, and not at work or in education: the EU AI Act (Article 5) forbids that."
        "</li></ul></section>"
    )
    return f'<dl class="facts">{items}</dl><div class="two">{"".join(panels)}</div>'


def fine_print(config: ModelConfig, keep_minutes: int) -> str:
    """Privacy and limits, on every page."""
    accuracy = config.metrics.get("test", {}).get("accuracy")
    measured = f"it names {accuracy:.0%} of the FER2013 test pictures as their labels do," if accuracy else "it errs,"
    return (
        '<div class="fineprint"><p><strong>Privacy.</strong> Pictures are processed in memory and not kept: the '
        f"temporary copy that your page shows is deleted from the server within {keep_minutes} minutes, and nothing "
        "of it is logged.</p>"
        "<p><strong>Limits.</strong> The network names the expression a face shows, not what somebody feels; "
        f"{measured} and how well it does for different groups of people has not been measured. Not for decisions "
        "about people, nor for use at work or in education (EU AI Act, Article 5).</p></div>"
    )


def status(headline: str, detail: str, kind: str = "", extra: str = "") -> str:
    """One line on how things stand; `extra` is HTML of ours that follows it."""
    return f'<div class="status {kind}"><strong>{escape(headline)}</strong><span>{escape(detail)}</span>{extra}</div>'


def _card(image_rgb: np.ndarray, number: int, face: Face, labels: Sequence[Label]) -> str:
    rows = list(zip(face.emotions, (float(p) for p in face.probabilities), strict=True))
    return (
        f'<li class="card"><header><div class="who"><img class="crop" src="{_crop_url(image_rgb, face)}" alt="">'
        f'<img class="emoji" src="{emoji_url(face.emotion)}" alt=""></div>'
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


@lru_cache(maxsize=64)
def emoji_url(emotion: str, size: int = 88) -> str:
    """The emoji of an emotion, `size` pixels wide and high, as a data URL."""
    return _data_url(".png", cv2.cvtColor(draw_emoji(emotion, size), cv2.COLOR_RGBA2BGRA))


def picture_url(image_bgr: np.ndarray) -> str:
    """A picture, uint8 BGR, as a data URL."""
    return _data_url(".jpg", image_bgr)


def _data_url(suffix: str, image: Any) -> str:
    _, data = cv2.imencode(suffix, image)
    kind = "png" if suffix == ".png" else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(data.tobytes()).decode()}"
