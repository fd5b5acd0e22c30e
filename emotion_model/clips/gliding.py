"""Faces between two frames, where they can only have glided."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from emotion_model.faces.boxes import Detection, overlap

GLIDE_OVERLAP = 0.5  # boxes of two frames that overlap by more show one face on its way
STRAIGHT_OVERLAP = 0.6  # of a face's box and the one that it would have if it had moved on as before


def paired(
    before: Sequence[Detection], after: Sequence[Detection], least: float = GLIDE_OVERLAP
) -> list[Detection] | None:
    """The faces of `after`, each in the place that it has in `before`.

    Args:
        before: of the earlier frame.
        after: of the later frame.
        least: boxes that overlap by more (intersection over union) show the same face.

    Returns:
        None where the frames do not plainly show the same faces: another number of them, or boxes that overlap too
        little, so that only a look at the picture can tell.
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
        found.append(other)
    return found


def paired_on_their_way(
    earlier: Sequence[Detection], before: Sequence[Detection], after: Sequence[Detection], share: float
) -> list[Detection] | None:
    """The same, where faces went on from `before` to `after` as they had come from `earlier`; they may be fast.

    Args:
        earlier: of the first of three frames.
        before: of the second.
        after: of the third.
        share: how much later than the first the third is, as a multiple of how much later the second is; above 1.
    """
    came = paired(before, earlier, least=0.0)
    return None if came is None else paired(between(came, before, share), after, STRAIGHT_OVERLAP)


def between(before: Sequence[Detection], after: Sequence[Detection], share: float) -> list[Detection]:
    """Faces that move straight and evenly from one frame to another, face by face: a share, 0..1, of the way."""
    return [_moved(one, other, share) for one, other in zip(before, after, strict=True)]


def _moved(one: Detection, other: Detection, share: float) -> Detection:
    x, y, w, h = (a + share * (b - a) for a, b in zip(one.box, other.box, strict=True))
    points = None
    if one.landmarks is not None and other.landmarks is not None:
        points = one.landmarks + np.float32(share) * (other.landmarks - one.landmarks)
    return Detection((x, y, w, h), points, one.score + share * (other.score - one.score), one.turn)
