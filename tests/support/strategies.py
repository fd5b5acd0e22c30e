"""What the property tests draw: boxes, probabilities, faces and whole films of them."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from emotion_model import Face, Label
from emotion_model.labels import PLACE, RAW, RECORDING, SCORES, UNCLEAR

SIDE = 200  # pixels; of the pictures that faces are drawn in

sizes = st.floats(0.5, 5000, width=32)  # pixels, as a detector gives them
places = st.floats(-5000, 5000, width=32)
boxes = st.tuples(places, places, sizes, sizes)
colours = st.from_regex(r"#[0-9a-fA-F]{6}", fullmatch=True)
# Any script; no control signs, which no class is named with.
names = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=12).filter(
    lambda name: name not in (*PLACE, *SCORES, *RECORDING, UNCLEAR.name) and not name.startswith(RAW)
)


@st.composite
def probabilities(draw, classes=7):
    """Float32 `(classes,)`, summing to 1; also sure ones and even odds."""
    weights = np.array(draw(st.lists(st.integers(0, 1000), min_size=classes, max_size=classes)), np.float64)
    weights[draw(st.integers(0, classes - 1))] += 1
    return (weights / weights.sum()).astype(np.float32)


@st.composite
def labels(draw, least=2, most=9):
    """The classes of some model."""
    found = draw(st.lists(names, min_size=least, max_size=most, unique=True))
    return tuple(Label(name, "🙂", draw(colours)) for name in found)


@st.composite
def faces(draw, track_id=None):
    """A face inside a square picture of `SIDE` pixels."""
    left, top = draw(st.integers(0, SIDE - 1)), draw(st.integers(0, SIDE - 1))
    box = (left, top, draw(st.integers(1, SIDE - left)), draw(st.integers(1, SIDE - top)))
    return Face(box, draw(probabilities()), track_id=track_id, detection_score=draw(st.floats(0, 1)))


def crowds(most=4):
    """The faces of one frame, not tracked yet."""
    return st.lists(faces(), max_size=most)


@st.composite
def known_crowds(draw, people=4):
    """The faces of one frame, each with an id of its own."""
    return [draw(faces(number)) for number in draw(st.lists(st.integers(1, people), unique=True))]


@st.composite
def films(draw, crowd, longest=4000, most=12):
    """Frames (time in seconds, faces): whole milliseconds, at an irregular rate, with gaps up to `longest` ms."""
    time, frames = draw(st.integers(0, 1000)), []
    for found in draw(st.lists(crowd, min_size=1, max_size=most)):
        frames.append((time / 1000, found))
        time += draw(st.integers(1, longest))
    return frames
