import itertools

import numpy as np
import pytest

from emotion_model import EMOTIONS, LABELS, Label, ModelConfig
from emotion_model.archives.tables import faces_schema
from emotion_model.drawing.strip import GROUND
from emotion_model.labels import CONTEMPT, KNOWN, PERSON_COLOURS, UNCLEAR, rgb
from emotion_model.timelines.table import columns

# Machado, Oliveira & Fernandes, 2009, severity 1.0, on linear RGB.
VISION = {
    "normal": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def linear(colour):
    share = np.array(colour) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def cielab(linear_rgb):
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = to_xyz @ np.clip(linear_rgb, 0, 1) / np.array([0.9505, 1, 1.089])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_the_order_of_the_seven_emotions_is_fixed():
    assert EMOTIONS == ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")


def test_a_colour_that_cannot_be_read_is_quoted():
    for colour in ("red", "#fff", "#12345g", ""):
        with pytest.raises(ValueError, match=f"colour='{colour}' of bored: write it as #rrggbb"):
            Label("bored", "🥱", colour)


def test_no_class_takes_the_place_of_a_column():
    for name in (*columns(()), *faces_schema(()).names, "raw_happy"):
        with pytest.raises(ValueError, match=f"{name}: tables have a column of that name"):
            Label(name)
    with pytest.raises(ValueError, match="unclear: stands where the probabilities carry no word"):
        ModelConfig(labels=(Label("happy"), Label("unclear")))


def test_a_colour_is_read_as_red_green_blue():
    assert Label("bored", "🥱", "#ff8001").rgb == (255, 128, 1)


@pytest.mark.parametrize("vision", VISION)
def test_colours_stay_apart_for_every_kind_of_colour_vision(vision):
    seen = [cielab(np.array(VISION[vision]) @ linear(label.rgb)) for label in LABELS]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) >= 22
    contempt = cielab(np.array(VISION[vision]) @ linear(CONTEMPT.rgb))
    assert min(np.linalg.norm(contempt - other) for other in seen) >= 18
    people = [cielab(np.array(VISION[vision]) @ linear(rgb(colour))) for colour in PERSON_COLOURS]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(people, 2)) >= 22


@pytest.mark.parametrize("background", ["#ffffff", "#faf9f7", "#14161b", "#1b1d23"])  # cards and page, light and dark
@pytest.mark.parametrize("label", KNOWN.values(), ids=lambda label: label.name)
def test_colours_are_legible_on_light_and_dark(label, background):
    luminances = sorted(linear(rgb) @ [0.2126, 0.7152, 0.0722] for rgb in (label.rgb, Label("", "", background).rgb))
    assert (luminances[1] + 0.05) / (luminances[0] + 0.05) >= 3  # WCAG 2.2, graphical objects


@pytest.mark.parametrize("label", [*KNOWN.values(), UNCLEAR], ids=lambda label: label.name)
def test_what_is_written_on_a_colour_is_legible(label):
    dark, bright = sorted(linear(rgb(colour)) @ [0.2126, 0.7152, 0.0722] + 0.05 for colour in (label.colour, label.ink))
    assert bright / dark >= 4.5  # WCAG 2.2, text


STRIP = "#{:02x}{:02x}{:02x}".format(*GROUND)


@pytest.mark.parametrize("ground", ["#faf9f7", "#ffffff", "#14161b", "#1b1d23", STRIP])  # light, dark, under a clip
def test_colours_are_told_from_what_they_lie_on(ground):
    def brightness(colour):
        return float(linear(Label("any", colour=colour).rgb) @ [0.2126, 0.7152, 0.0722]) + 0.05

    for colour in (*(label.colour for label in (*LABELS, UNCLEAR)), *PERSON_COLOURS):
        dark, bright = sorted((brightness(colour), brightness(ground)))
        assert bright / dark >= 3, colour
