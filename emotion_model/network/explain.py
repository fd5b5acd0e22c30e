"""What a network looks at in a face: the map of its spatial attention."""

from __future__ import annotations

import cv2
import numpy as np

from emotion_model.network.classifier import EmotionClassifier
from emotion_model.network.protocol import Classifier


def attention_map(classifier: Classifier, face: np.ndarray) -> np.ndarray | None:
    """How much the network's last spatial attention lets through, place by place; the same for every emotion.

    Args:
        classifier: the model.
        face: one cropped face, uint8 of any size.

    Returns:
        float32 `(height, width)` in 0..1, as coarse as the network has it (12x12 for the reference); None for a model
        without attention, or for several models at once.
    """
    if not isinstance(classifier, EmotionClassifier):
        return None
    attention = classifier.attention([face])
    return None if attention is None else attention[0]


def draw_heat(face: np.ndarray, heat: np.ndarray, side: int = 240) -> np.ndarray:
    """A face with a heat map over it: its darkest purple is the map's least value, bright yellow the greatest.

    Args:
        face: uint8 grey `(height, width)`.
        heat: float `(height, width)`, of any size and range.
        side: of the result in pixels.

    Returns:
        uint8 RGB `(side, side, 3)`.
    """
    spread = float(heat.max() - heat.min())
    scaled = (heat - heat.min()) / spread if spread else np.zeros_like(heat)
    levels = cv2.resize((scaled * 255).astype(np.uint8), (side, side), interpolation=cv2.INTER_CUBIC)
    colours = cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)[..., ::-1].astype(np.float32)
    grey = cv2.resize(face, (side, side), interpolation=cv2.INTER_CUBIC)[..., None].astype(np.float32)
    return np.clip(0.5 * grey + 0.5 * colours, 0, 255).astype(np.uint8)
