"""Several models that answer as one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from emotion_model.faces.cropping import require_several
from emotion_model.faces.images import Picture
from emotion_model.network.config import MEAN_OF
from emotion_model.network.protocol import Classifier, require_classifier


class EmotionEnsemble:
    """The unweighted mean of several models' probabilities; usable wherever one model is.

    The members may order their labels differently, but must have the same ones. Crops are framed as the first member
    wants them, at the size of the largest.

    Attributes:
        members: the models.
        config: the first member's, with the whole ensemble's size (None where a member's is not on record) and without
            scores, which are one model's alone. Its `clear_from` is the members' highest: nobody has fitted one for
            their mean, so it is as careful as the most careful of them, whichever stands first.
        source: the members' sources.
    """

    notice = fallback_reason = ""

    def __init__(self, members: Sequence[Classifier]) -> None:
        """Combine models.

        Raises:
            ValueError: no member, or members with different labels.
            TypeError: not a list, or a member is no model.
        """
        if not isinstance(members, Sequence):
            raise TypeError(f"Expected a list of classifiers, got {type(members).__name__}: put it in a list.")
        if not members:
            raise ValueError("members=[]: an ensemble needs at least one model")
        for member in members:
            require_classifier(member)
        first = members[0].config
        for member in members[1:]:
            if set(member.config.emotions) != set(first.emotions):
                raise ValueError(
                    f"{member.source} has the labels {', '.join(member.config.emotions)}, "
                    f"{members[0].source} has {', '.join(first.emotions)}: members need the same ones"
                )
        self.members = list(members)
        self.config = replace(
            first,
            image_size=max(member.config.image_size for member in members),
            temperature=1.0,
            clear_from=max(member.config.clear_from for member in members),
            weights={name: _together(members, name) for name in ("bytes", "parameters", "multiply_adds")},
            architecture={},
            training={},
            metrics={},
        )
        self.source = MEAN_OF + ", ".join(member.source for member in members)

    @property
    def emotions(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the probabilities."""
        return self.config.emotions

    def predict(self, images: Iterable[Picture], flip: bool = False) -> np.ndarray:
        """Classify cropped faces; see `EmotionClassifier.predict`."""
        require_several(images)
        images = list(images)  # for each member once more
        total = np.zeros((len(images), len(self.emotions)), dtype=np.float64)
        for member in self.members:
            order = [member.config.emotions.index(emotion) for emotion in self.emotions]
            total += member.predict(images, flip)[:, order]
        return (total / len(self.members)).astype(np.float32)

    def warm_up(self) -> None:
        """Let every member get ready."""
        for member in self.members:
            member.warm_up()


def _together(members: Sequence[Classifier], name: str) -> int | None:
    sizes: list[Any] = [member.config.weights.get(name) for member in members]
    return None if None in sizes else sum(sizes)
