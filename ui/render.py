"""Results as HTML. Every text that is not ours is escaped."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cv2
import numpy as np
from PIL import Image

from emotion_model import LABELS, Face, Label, ModelConfig, draw_emoji
from emotion_model.labels import CONTEMPT
from emotion_model.network.config import WEIGHTS_FILE

_CROP_SIDE = 116  # pixels, shown at half that on dense screens
_DETECTOR_NAMES = {"yunet": "YuNet", "haar": "Haar cascade"}
# The figures that `train.report` draws, in the order of the page, and what each answers.
_FIGURES = {
    "confusion": "Which emotion is taken for which?",
    "per_class": "How well is each emotion recognised?",
    "reliability": "Is it as often right as it is sure?",
    "mistakes": "Where is it wrong and sure of it?",
    "robustness": "How does it do on poor pictures?",
    "curves": "How did the training go?",
}


def masthead() -> str:
    """Name of the page and what it does."""
    heads = "".join(f'<img src="{emoji_url(name)}" alt="">' for name in ("happy", "surprise", "sad"))
    return (
        f'<div class="masthead"><div class="heads" aria-hidden="true">{heads}</div><div>'
        "<h1>Emotion Lens</h1>"
        "<p>See which emotion each face shows, and how it changes: live, in photos and in clips.</p>"
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
    path = Path(source)
    facts = [
        ("Model", path.parent.name if path.name == WEIGHTS_FILE else path.name),
        ("Face detector", _DETECTOR_NAMES[detector]),
    ]
    if weights.get("parameters"):
        facts.append(("Parameters", f"{weights['parameters'] / 1e6:.2f} million"))
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)
    tuned = config.training.get("report")
    panels = [_scores(test)] if test else [_tuned_scores(tuned)] if tuned else []
    panels.append(
        '<section class="panel"><h2>What it is not</h2><ul>'
        "<li>It names the expression that a face shows, not what a person feels.</li>"
        "<li>It learned from FER2013: small grey web pictures whose labels people agree on about 65 % of the time. "
        "It is wrong often, and how often for which age, skin colour or pose has not been measured.</li>"
        "<li>Do not use it to judge people, and not at work or in education: the EU AI Act (Article 5) forbids that."
        "</li></ul></section>"
    )
    return f'<dl class="facts">{items}</dl><div class="two">{"".join(panels)}</div>'


def drawings(folder: Path) -> str:
    """The figures that `train.report` drew of a model, as far as they lie in the folder; else a sentence."""
    drawn = [(folder / f"{name}.png", question) for name, question in _FIGURES.items()]
    found = "".join(_drawing(path, question) for path, question in drawn if path.is_file())
    if not found:
        return status("No figures.", "This model came without them, or they could not be fetched.", "quiet")
    return f'<div class="drawings">{found}</div>'


def _scores(test: dict[str, Any]) -> str:
    rows = [("Accuracy, one view of each face", f"{test['accuracy']:.2%}")]
    # A model from elsewhere may have fewer scores than `train.evaluate` measures.
    for key, name in (
        ("flip", "Accuracy, face and mirrored face averaged"),
        ("ten_crop", "Accuracy, ten crops averaged"),
        ("deduplicated", "Accuracy without pictures that also stand in other splits"),
    ):
        if key in test:
            rows.append((name, f"{test[key]['accuracy']:.2%}"))
    rows.append(("Macro-F1, the mean over the emotions", f"{test['macro_f1']:.3f}"))
    rows.append(("Calibration error, confidence against accuracy", f"{test['ece']:.1%}"))
    if test.get("ferplus_majority_accuracy") is not None:
        rows.append(("Agreement with ten FER+ taggers' majority", f"{test['ferplus_majority_accuracy']:.2%}"))
    return _score_table(f"FER2013 test, {test['images']:,} pictures", rows)


def _tuned_scores(report: dict[str, Any]) -> str:
    """What a fine-tuned model does better and worse than the one it began as, from the report of `train.finetune`."""
    rows = []
    for name, where in (("held_out", "pictures of its own"), ("fer2013_validation", "FER2013 pictures")):
        if scores := report.get(name):
            before, after = scores["before"], scores["after"]
            where = f"{after['images']:,} {where}"
            rows.append((f"Accuracy on {where}", f"{before['accuracy']:.1%} → {after['accuracy']:.1%}"))
            rows.append((f"Macro-F1 on {where}", f"{before['macro_f1']:.3f} → {after['macro_f1']:.3f}"))
    return _score_table("Before fine-tuning → after, on pictures held out of it", rows)


def _score_table(caption: str, rows: Sequence[tuple[str, str]]) -> str:
    cells = "".join(f'<tr><th scope="row">{escape(name)}</th><td>{value}</td></tr>' for name, value in rows)
    return (
        f'<section class="panel"><h2>How good it is</h2><table class="scores"><caption>{escape(caption)}</caption>'
        f"{cells}</table></section>"
    )


def _drawing(path: Path, question: str) -> str:
    with Image.open(path) as picture:
        width, height = picture.size
        says = picture.info.get("Description", question)
    data = base64.b64encode(path.read_bytes()).decode()
    return (
        f'<figure><figcaption>{escape(question)}</figcaption><img src="data:image/png;base64,{data}" '
        f'width="{width}" height="{height}" alt="{escape(says)}"></figure>'
    )


def attention(crop: np.ndarray, looked_at: np.ndarray | None, emotion: str, confidence: float) -> str:
    """A face as the network is given it and, uint8 RGB, with what its attention lets through; None: it has none."""
    seen = _figure_of(cv2.resize(crop, (240, 240), interpolation=cv2.INTER_CUBIC), "What the network is given")
    answer = f"Its answer: {emotion}, {confidence:.0%}."
    if looked_at is None:
        return f'<div class="looks">{seen}</div>' + status(answer, "This model has no attention to show.")
    looks = _figure_of(looked_at[..., ::-1], "Bright: what its attention lets through")
    return f'<div class="looks">{seen}{looks}</div>' + status(answer, "The map is the same for every emotion.")


def _figure_of(image: np.ndarray, caption: str) -> str:
    return f'<figure><img src="{_data_url(".png", image)}" alt=""><figcaption>{escape(caption)}</figcaption></figure>'


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


def emoji_url(emotion: str, labels: Sequence[Label] = LABELS, size: int = 88) -> str:
    """The emoji of an emotion, `size` pixels wide and high, as a data URL.

    It is our drawing; where the model's config names another emoji than the one that we drew, the browser's picture of
    that one.
    """
    wanted = next((label.emoji for label in labels if label.name == emotion), Label.emoji)
    drawn = {label.name: label.emoji for label in (*LABELS, CONTEMPT)}
    if wanted in (drawn.get(emotion), Label.emoji):
        return _drawing_url(emotion, size)
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{size}" height="{size}" viewBox="0 0 10 10">'
        f'<text x="5" y="8.2" font-size="8" text-anchor="middle">{escape(wanted)}</text></svg>'
    )
    return f"data:image/svg+xml,{quote(svg)}"


@lru_cache(maxsize=64)
def _drawing_url(emotion: str, size: int) -> str:
    return _data_url(".png", cv2.cvtColor(draw_emoji(emotion, size), cv2.COLOR_RGBA2BGRA))


def picture_url(image_bgr: np.ndarray) -> str:
    """A picture, uint8 BGR, as a data URL."""
    return _data_url(".jpg", image_bgr)


def _data_url(suffix: str, image: Any) -> str:
    _, data = cv2.imencode(suffix, image)
    kind = "png" if suffix == ".png" else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(data.tobytes()).decode()}"
