"""Probabilities that mean what they say."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def scale_confidence(probabilities: np.ndarray, temperature: float | Sequence[float]) -> np.ndarray:
    """Temperature scaling of softmax outputs, float32 `(n, classes)`, rows summing to 1.

    Each face's logits are divided by a temperature, which is the same as raising its probabilities to the power
    1 / temperature, so their order stays. It is one number for every face (Guo et al., 2017), or, given one per class,
    the classes' geometric mean weighted by the face's probabilities: a form of adaptive temperature scaling (Balanya,
    Maronas and Ramos, 2022) that does not jump where two emotions tie.
    """
    p = np.maximum(probabilities, 1e-12).astype(np.float64)
    logs = np.broadcast_to(np.log(temperature), p.shape[1])
    scaled = p ** np.exp(-(probabilities @ logs))[:, np.newaxis]
    return (scaled / scaled.sum(axis=1, keepdims=True)).astype(np.float32)
