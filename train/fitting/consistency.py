"""Attention that moves with the face: what speaks for an emotion, and where, is the same in its mirror image.

After "Learn From All: Erasing Attention Consistency for Noisy Facial Expression Recognition" (Zhang et al., 2022).
There the last layer alone follows the pooling, and its weights make the maps; here all layers behind the pooling are
asked about each place of the last maps as if the whole face looked like it. Dropout drops other maps of a face than of
its mirror image.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

POOLINGS = ("global_avg", "global_max")  # names of the layers, one of which or both a network has


class Places(keras.layers.Layer):
    """What layers that follow a pooling say of each place of the maps before it.

    A layer of its own, since Keras lets all layers of a network train as the network does, whatever each was called
    with: the statistics of whole faces hold here, and do not move.

    Args:
        head: the layers, the last of which gives logits.
        poolings: how many poolings feed them; the mean and the maximum of one place are that place.
    """

    def __init__(self, head: Sequence[keras.layers.Layer], poolings: int) -> None:
        super().__init__(name="places")
        self.head, self.poolings = list(head), poolings

    def call(self, maps: Any) -> Any:
        """Logits, float32 `(n, height, width, classes)`, of maps `(n, height, width, channels)`."""
        _, height, width, channels = maps.shape
        x = ops.tile(ops.reshape(maps, (-1, channels)), (1, self.poolings))
        for layer in self.head:
            x = layer(x, training=False)
        return ops.reshape(x, (-1, height, width, x.shape[-1]))


def with_attention(model: keras.Model) -> keras.Model:
    """The network with a second output: the logits of each place, float32 `(n, height, width, classes)`."""
    poolings = [layer for layer in model.layers if layer.name in POOLINGS]
    head = [layer for layer in model.layers if layer.name.startswith("dense") or layer.name == "logits"]
    return keras.Model(model.input, [model.output, Places(head, len(poolings))(poolings[0].input)])


class MirroredAttention(keras.losses.Loss):
    """Mean square of what differs between the maps of faces and the maps of their mirror images, mirrored back.

    The first half of a batch are the faces, the second their mirror images, in the same order.
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """One value per face and per mirror image, the same for both."""
        faces, images = ops.split(y_pred, 2, axis=0)
        apart = ops.mean(ops.square(faces - ops.flip(images, axis=2)), axis=(1, 2, 3))
        return ops.concatenate([apart, apart], axis=0)


def beside_mirrored(
    inputs: np.ndarray, targets: np.ndarray, weights: np.ndarray | None
) -> tuple[np.ndarray, list[np.ndarray], list[np.ndarray]]:
    """A batch with the mirror images of its faces behind them, and targets and weights of both outputs.

    The probabilities are learned of the faces alone, twice as much each, so that the mean over all is theirs.
    """
    weights = np.ones(len(inputs), np.float32) if weights is None else weights
    alone, both = np.concatenate([2 * weights, 0 * weights]), np.concatenate([weights, weights])
    twice = np.concatenate([targets, targets])
    return np.concatenate([inputs, inputs[:, :, ::-1]]), [twice, twice], [alone, both]
