"""The emotions: their fixed order, emoji and colours."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

# What tables call their columns besides the classes, of which none may take the place of another.
PLACE = ("time", "frame", "face_id", "x", "y", "w", "h")  # where and when a face was seen
SCORES = ("emotion", "confidence", "intensity", "valence", "arousal", "clear")
RECORDING = ("source", "kind", "model", "detector")  # of an archive
RAW = "raw_"  # before the name of each class


def rgb(colour: str) -> tuple[int, int, int]:
    """A colour written as `#rrggbb` as (red, green, blue), each 0..255."""
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))  # type: ignore[return-value]


@dataclass(frozen=True)
class Label:
    """One class of a model: its name, the emoji that stands for it and its colour as `#rrggbb`.

    The defaults serve classes without an emoji or a colour of their own.

    Raises:
        ValueError: name or emoji is no text, the colour is written otherwise, or tables have a column of that name.
    """

    name: str
    emoji: str = "🙂"
    colour: str = "#8d909a"

    def __post_init__(self) -> None:
        if not _is_text(self.name):
            raise ValueError(f"name={self.name!r} of a label: give it as text")
        if not _is_text(self.emoji):
            raise ValueError(f"emoji={self.emoji!r} of {self.name}: give it as text, or leave it out")
        if not re.fullmatch(r"#[0-9a-fA-F]{6}", self.colour):
            raise ValueError(f"colour={self.colour!r} of {self.name}: write it as #rrggbb, such as #8d909a")
        if self.name in (*PLACE, *SCORES, *RECORDING) or self.name.startswith(RAW):
            raise ValueError(f"{self.name}: tables have a column of that name; call the class otherwise")

    @property
    def rgb(self) -> tuple[int, int, int]:
        """The colour as (red, green, blue), each 0..255."""
        return rgb(self.colour)

    @property
    def ink(self) -> str:
        """Black or white, `#000000` or `#ffffff`: what is read better on the colour, by the contrast of WCAG 2.2."""
        shares = [part / 255 for part in self.rgb]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in shares)
        return "#000000" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 else "#ffffff"


def _is_text(value: object) -> bool:
    """Whether it can be written as UTF-8: half a character, which JSON may hold as `\\ud83d`, cannot."""
    return isinstance(value, str) and not re.search("[\ud800-\udfff]", value)


# Found by search, not by taste: any two stay at least 22 CIELAB units apart for normal, protan, deutan and tritan
# vision (simulated after Machado et al., 2009), and each has a contrast of 3:1 or more on the page and its cards, light
# and dark.
LABELS: tuple[Label, ...] = (
    Label("angry", "😠", "#ff1852"),
    Label("disgust", "🤢", "#36a168"),
    Label("fear", "😨", "#af369b"),
    Label("happy", "😄", "#b78300"),
    Label("neutral", "😐", "#8d909a"),
    Label("sad", "😢", "#0e5cff"),
    Label("surprise", "😲", "#ba6fe2"),
)

# The eighth class that FER+ and other data sets have; its colour stays 18 units or more away from theirs.
CONTEMPT = Label("contempt", "😏", "#4e7230")

EXTRA: tuple[Label, ...] = (CONTEMPT,)  # with a look of their own, though no class of the bundled model
KNOWN = {label.name: label for label in (*LABELS, *EXTRA)}

# Stands where the probabilities carry no word. As much darker than neutral's grey as can be told from a dark card too.
UNCLEAR = Label("unclear", "❔", "#646874")

EMOTIONS: tuple[str, ...] = tuple(label.name for label in LABELS)


def label_of(word: str, labels: Sequence[Label] = LABELS) -> Label:
    """The label of a word that is shown: one of these, `unclear`, or in grey what is neither."""
    return next((label for label in (*labels, UNCLEAR) if label.name == word), None) or Label(word)


# People of a clip or before a camera; the numbers beside them tell apart those that share a colour. Found as those of
# the emotions, with as much contrast, and 22 units or more apart; most sessions have only the first few.
PERSON_COLOURS: tuple[str, ...] = (
    "#2490fc", "#fc0030", "#127e1e", "#6c42fc", "#d86c72", "#ba0cc0", "#c072c0", "#cc0078",
)  # fmt: skip


def person_colour(track_id: int) -> str:
    """The colour of a person with this id, as `#rrggbb`."""
    return PERSON_COLOURS[(track_id - 1) % len(PERSON_COLOURS)]
