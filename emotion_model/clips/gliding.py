"""Faces between two frames, where they can only have glided."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from emotion_model.faces.boxes import Detection, overlap

GLIDE_OVERLAP = 0.5  # boxes of two frames that overlap by more show one face on its way


def gliding(
    before: Sequence[Detection], after: Sequence[Detection], share: float, least: float = GLIDE_OVERLAP
) -> list[Detection] | None:
    """The faces between two frames that show the same ones, moving straight and evenly from one to the other.

    Args:
        before: of the earlier frame.
        after: of the later frame.
        share: 0..1 of the way.
        least: boxes that overlap by more (intersection over union) show the same face.

    Returns:
        In the order of `before`; None where the frames do not plainly show the same faces: another number of them, or
        boxes that overlap too little, so that only a look at the picture can tell.
    """
    if len(before) != len(after):
        return None
    left = list(after)
    found = []
    for one in before:
        other = max(left, key=lambda candidate: overlap(one.box, candidate.box))
        if overlap(one.box, other.box) <= least or (one.landmarks is None) != (other.landmarks is None):
            return None
        left.remove(other)
        x, y, w, h = (a + share * (b - a) for a, b in zip(one.box, other.box, strict=True))
        points = None
        if one.landmarks is not None and other.landmarks is not None:
            points = one.landmarks + np.float32(share) * (other.landmarks - one.landmarks)
        found.append(Detection((x, y, w, h), points, one.score + share * (other.score - one.score), one.turn))
    return found
