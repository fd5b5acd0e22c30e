"""The emotions: their fixed order, emoji and colours."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Label:
    """One class of a model: its name, the emoji that stands for it and its colour as `#rrggbb`."""

    name: str
    emoji: str
    colour: str

    @property
    def rgb(self) -> tuple[int, int, int]:
        """The colour as (red, green, blue), each 0..255."""
        return tuple(int(self.colour[i : i + 2], 16) for i in (1, 3, 5))  # type: ignore[return-value]


# Paul Tol's "bright" palette (https://personal.sron.nl/~pault/) made for colour-blind readers, its yellow, cyan and
# grey darkened until each colour stands at 3:1 or more against white and against the page's dark background.
LABELS: tuple[Label, ...] = (
    Label("angry", "😠", "#e0455a"),
    Label("disgust", "🤢", "#228833"),
    Label("fear", "😨", "#aa3377"),
    Label("happy", "😄", "#a8871b"),
    Label("neutral", "😐", "#7c7c84"),
    Label("sad", "😢", "#4477aa"),
    Label("surprise", "😲", "#1c93ad"),
)

EMOTIONS: tuple[str, ...] = tuple(label.name for label in LABELS)
