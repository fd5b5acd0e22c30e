"""Faces between two frames, as the search for them in a clip has them."""

from __future__ import annotations

from collections.abc import Sequence

from emotion_model.clips.gliding import between, paired
from emotion_model.faces.boxes import Detection


def gliding(before: Sequence[Detection], after: Sequence[Detection], share: float) -> list[Detection] | None:
    """The faces on their way, or None where it is not plain who is who."""
    pairs = paired(before, after)
    return None if pairs is None else between(before, pairs, share)
