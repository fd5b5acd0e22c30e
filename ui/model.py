"""The Model tab: what serves, how good it is, and what it looks at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

import cv2
import gradio as gr
import numpy as np

from emotion_model import EmotionClassifier, EmotionDetector, Face, ImageError, ModelConfig
from emotion_model.network.config import FIGURES_DIR, short_name
from emotion_model.network.explain import attention_map, draw_heat
from ui import cards, examples
from ui.cards import DETECTOR_NAMES, status
from ui.drawings import drawings
from ui.inputs import a_place, for_visitors, on_photo, photo_input, read_picture
from ui.pictures import data_url

INVITATION = status("Add a photo.", "What the network is given of its largest face, and looks at, comes here.", "quiet")


def look(detector: EmotionDetector, path: str | None) -> tuple[str, str]:
    """What the network looks at in the largest face of a photo, or why it cannot be read: its path then, drawing."""
    if path is None:
        return "", INVITATION
    try:
        with a_place(ours=True):
            image = read_picture(path)
            found = detector.faces.detect(image)[:1]
            faces = detector.detect_many([image], [found])[0]
            crops = detector.crops(image, found)
    except ImageError as error:
        return path, cards.problem(for_visitors(error))
    if not faces:
        return "", cards.summary(faces, 0, detector.faces.name)
    return "", attention(crops[0], attention_map(detector.classifier, crops[0]), faces[0])


def build_tab(detector: EmotionDetector) -> None:
    """The content of the Model tab; to be called inside `gr.Blocks`."""
    classifier = detector.classifier
    gr.HTML(model_page(classifier.config, classifier.source, detector.faces.name), elem_id="model")
    gr.HTML("<h2>What does it look at in your face?</h2>", elem_id="looks-title")
    with gr.Row():
        photo = photo_input(label="Your photo: its largest face is looked at", height=320, elem_id="own-photo")
        with gr.Column(min_width=300):
            looks = gr.HTML(INVITATION, elem_id="looks")
    example = gr.Button("No photo at hand? Try a portrait", size="sm", elem_id="model-example")
    if isinstance(classifier, EmotionClassifier):
        gr.HTML(drawings(classifier.folder / FIGURES_DIR, classifier.config))

    def explain(path: str | None) -> Iterator[tuple[str, str]]:
        yield look(detector, path)

    def explain_example() -> Iterator[tuple[Any, str]]:
        yield examples.portrait(), look(detector, str(examples.portrait_path()))[1]

    on_photo(photo, example, explain, explain_example, [looks], looks, looks)


def model_page(config: ModelConfig, source: str, detector: str) -> str:
    """What serves here, how good it is and where its limits are."""
    weights, test = config.weights, config.metrics.get("test", {})
    facts = [
        ("Model", short_name(source)),
        ("Face detector", DETECTOR_NAMES[detector]),
    ]
    if weights.get("parameters"):
        facts.append(("Parameters", f"{weights['parameters'] / 1e6:.2f} million"))
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)
    tuned = config.training.get("report")
    panels = [_scores(test) if test else _tuned_scores(tuned) if tuned else ""]
    panels.append(
        '<section class="panel"><h2>What it is not</h2><ul>'
        "<li>It names the expression that a face shows, not what a person feels.</li>"
        "<li>It learned from FER2013: small grey web pictures whose labels people agree on about 65 % of the time. "
        "It is wrong often, and how often for which age, skin colour or pose has not been measured.</li>"
        "<li>Do not use it to judge people, and not at work or in education: the EU AI Act (Article 5) forbids that."
        "</li></ul></section>"
    )
    return f'<dl class="facts">{items}</dl>{in_words(test, config.emotions)}<div class="two">{"".join(panels)}</div>'


def in_words(test: dict[str, Any], emotions: Sequence[str]) -> str:
    """What the model is good at and what it is bad at, a sentence each; nothing where that was not measured of all."""
    scores, confusion = test.get("per_class") or {}, test.get("confusion") or []
    square = [len(row) for row in confusion] == [len(emotions)] * len(emotions)
    if not square or any(scores.get(name, {}).get("recall") is None for name in emotions):
        return ""
    order = sorted(emotions, key=lambda name: -scores[name]["recall"])
    best, next_best, worst = order[0], order[1], order[-1]
    counts = confusion[emotions.index(worst)]
    taken_for = max((name for name in emotions if name != worst), key=lambda name: counts[emotions.index(name)])
    recall = {name: f"{scores[name]['recall']:.0%}" for name in order}
    good = f"It finds {recall[best]} of the {best} faces and {recall[next_best]} of those that show {next_best}."
    bad = f"Of those that show {worst} it finds {recall[worst]}; it takes them for {taken_for} most often."
    said = (("Good at", good), ("Bad at", bad))
    items = "".join(f"<li><strong>{head}.</strong> {escape(text)}</li>" for head, text in said)
    return f'<ul class="words">{items}</ul>'


def _scores(test: dict[str, Any]) -> str:
    """The scores on the test split; a model from elsewhere may have fewer than `train.evaluate` measures."""
    measured = (
        ("Accuracy, one view of each face", test.get("accuracy"), ".2%"),
        ("Accuracy, face and mirrored face averaged", _accuracy(test, "flip"), ".2%"),
        ("Accuracy, ten crops averaged", _accuracy(test, "ten_crop"), ".2%"),
        (
            "Accuracy without pictures that also stand in other splits",
            _accuracy(test, "deduplicated"),
            ".2%",
        ),
        ("Macro-F1, the mean over the emotions", test.get("macro_f1"), ".3f"),
        ("Calibration error, confidence against accuracy", test.get("ece"), ".1%"),
        ("Agreement with ten FER+ taggers' majority", test.get("ferplus_majority_accuracy"), ".2%"),
    )
    rows = [(name, f"{value:{form}}") for name, value, form in measured if value is not None]
    pictures = f", {test['images']:,} pictures" if test.get("images") else ""
    return _score_table(f"FER2013 test{pictures}", rows) if rows else ""


def _accuracy(test: dict[str, Any], way: str) -> float | None:
    return (test.get(way) or {}).get("accuracy")


def _tuned_scores(report: dict[str, Any]) -> str:
    """What a fine-tuned model does better and worse than the one it began as, from the report of `train.finetune`."""
    rows = []
    for name, where in (("held_out", "pictures of its own"), ("fer2013_validation", "FER2013 pictures")):
        before, after = ((report.get(name) or {}).get(when) or {} for when in ("before", "after"))
        if after.get("images"):
            where = f"{after['images']:,} {where}"
        for score, what, form in (("accuracy", "Accuracy", ".1%"), ("macro_f1", "Macro-F1", ".3f")):
            if before.get(score) is not None and after.get(score) is not None:
                rows.append((f"{what} on {where}", f"{before[score]:{form}} → {after[score]:{form}}"))
    return _score_table("Before fine-tuning → after, on pictures held out of it", rows) if rows else ""


def _score_table(caption: str, rows: Sequence[tuple[str, str]]) -> str:
    cells = "".join(f'<tr><th scope="row">{escape(name)}</th><td>{value}</td></tr>' for name, value in rows)
    return (
        f'<section class="panel"><h2>How good it is</h2><table class="scores"><caption>{escape(caption)}</caption>'
        f"{cells}</table></section>"
    )


def attention(crop: np.ndarray, heat: np.ndarray | None, face: Face) -> str:
    """A face, uint8 grey, as the network is given it, and with what its attention lets through; None: it has none.

    `heat` is float `(height, width)`, of any size.
    """
    given = cv2.resize(crop, (240, 240), interpolation=cv2.INTER_CUBIC)
    seen = _figure_of(given, "What the network is given", f"A face, {face.word}, small and grey")
    said = f"{face.emotion}, {face.confidence:.0%}" if face.clear else f"{face.word}, {cards.likeliest(face)}"
    answer = f"Its answer: {said}."
    if heat is None:
        return f'<div class="looks">{seen}</div>' + status(answer, "This model has no attention to show.")
    said = f"The same face; brightest in the {_brightest(heat)} of the picture"
    looks = _figure_of(draw_heat(crop, heat)[..., ::-1], "Bright: what its attention lets through", said)
    return f'<div class="looks">{seen}{looks}</div>' + status(answer, "The map is the same for every emotion.")


def _brightest(heat: np.ndarray) -> str:
    """Which ninth of a map is the brightest, in words."""
    ninths = cv2.resize(heat.astype(np.float32), (3, 3), interpolation=cv2.INTER_AREA)
    row, column = divmod(int(ninths.argmax()), 3)
    words = ("upper", "", "lower")[row], ("left", "middle", "right")[column]
    return " ".join(word for word in words if word)


def _figure_of(image: np.ndarray, caption: str, described: str) -> str:
    picture = f'<img src="{data_url(".png", image)}" alt="{escape(described)}">'
    return f"<figure>{picture}<figcaption>{escape(caption)}</figcaption></figure>"
