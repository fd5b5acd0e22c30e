"""The result type of every door: one face and what it shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from emotion_model.labels import EMOTIONS, UNCLEAR

# (valence, arousal) of each emotion, -1..1, from Russell & Mehrabian, "Evidence for a three-factor theory of
# emotions", 1977 (their pleasure and arousal means); neutral is the origin by definition.
VALENCE_AROUSAL: dict[str, tuple[float, float]] = {
    "angry": (-0.51, 0.59),
    "disgust": (-0.60, 0.35),
    "fear": (-0.64, 0.60),
    "happy": (0.81, 0.51),
    "neutral": (0.0, 0.0),
    "sad": (-0.63, -0.27),
    "surprise": (0.40, 0.67),
}


@dataclass(frozen=True, eq=False)
class Face:
    """One face in a picture.

    Attributes:
        box: (x, y, w, h) in pixels of the original picture, inside it.
        probabilities: float32 `(classes,)` in the order of `emotions`, summing to 1; smoothed over time where the
            face was tracked.
        landmarks: float32 `(5, 2)` pixel positions (eye, eye, nose, mouth corner, mouth corner; an upright face's
            left first), or None where the detector finds none.
        track_id: the same number for the same person over the frames of a clip; None in a photo.
        detection_score: how sure the detector is that this is a face, 0..1.
        emotions: class names, in the order of `probabilities`.
        raw_probabilities: as the network gave them for this very frame, where `probabilities` are smoothed; else None.
        steady_emotion: the label that a tracker holds against flicker; None in a photo.
        turn: quarters by which the picture has to be turned clockwise until the face is upright, 0..3.
        clear_from: the confidence from which on the emotion is clear, 0..1, as the model's config has it.
        steady_clear: whether it is, as a tracker holds it against flicker; None in a photo.

    Raises:
        ValueError: not one probability for each of the emotions.
    """

    box: tuple[int, int, int, int]
    probabilities: np.ndarray
    landmarks: np.ndarray | None = None
    track_id: int | None = None
    detection_score: float = 1.0
    emotions: tuple[str, ...] = EMOTIONS
    raw_probabilities: np.ndarray | None = None
    steady_emotion: str | None = None
    turn: int = 0
    clear_from: float = 0.0
    steady_clear: bool | None = None

    def __post_init__(self) -> None:
        if len(self.probabilities) != len(self.emotions):
            raise ValueError(
                f"{len(self.probabilities)} probabilities, {len(self.emotions)} emotions: give as many of one as of "
                "the other"
            )

    @property
    def emotion(self) -> str:
        """The most probable emotion; for a tracked face the one that has been so for a while."""
        return self.steady_emotion or self.emotions[int(np.argmax(self.probabilities))]

    @property
    def confidence(self) -> float:
        """Probability of that emotion, 0..1."""
        return float(self.probabilities[self.emotions.index(self.emotion)])

    @property
    def clear(self) -> bool:
        """Whether the probabilities carry the word; where they do not, it is shown as unclear."""
        return self.confidence >= self.clear_from if self.steady_clear is None else self.steady_clear

    @property
    def word(self) -> str:
        """What people are shown: the emotion, or `unclear`."""
        return self.emotion if self.clear else UNCLEAR.name

    @property
    def likeliest(self) -> list[tuple[str, float]]:
        """The two most probable emotions with their probabilities, the most probable first."""
        order = np.argsort(-self.probabilities, kind="stable")[:2]
        return [(self.emotions[i], float(self.probabilities[i])) for i in order]

    @property
    def intensity(self) -> float:
        """How far the face is from neutral, 0..1: 1 - P(neutral).

        Without such a class it is how far the face is from showing everything alike: the share of the probability that
        would have to move until all classes had as much, over its maximum; 0 for even odds, 1 for one sure class.
        """
        if "neutral" in self.emotions:
            return 1.0 - float(self.probabilities[self.emotions.index("neutral")])
        even = 1 / len(self.emotions)
        return min(float(np.maximum(self.probabilities - even, 0).sum()) / (1 - even), 1.0)

    @property
    def valence(self) -> float:
        """Unpleasant to pleasant, -1..1: mean of the emotions' valence, weighted by their probabilities.

        An emotion without a published value counts as neither, 0; so it does in `arousal`.
        """
        return self._expected(0)

    @property
    def arousal(self) -> float:
        """Calm to excited, -1..1: mean of the emotions' arousal, weighted by their probabilities."""
        return self._expected(1)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values, rounded to 4 digits; a tracked face also has its `face_id`."""
        known = {} if self.track_id is None else {"face_id": self.track_id}
        return known | {
            "box": list(self.box),
            "emotion": self.emotion,
            "confidence": round(self.confidence, 4),
            "clear": self.clear,
            "intensity": round(self.intensity, 4),
            "valence": round(self.valence, 4),
            "arousal": round(self.arousal, 4),
            "probabilities": {
                name: round(float(p), 4) for name, p in zip(self.emotions, self.probabilities, strict=True)
            },
        }

    def _expected(self, axis: int) -> float:
        return float(
            sum(
                p * VALENCE_AROUSAL.get(name, (0.0, 0.0))[axis]
                for name, p in zip(self.emotions, self.probabilities, strict=True)
            )
        )
