"""Vary faces and ask teachers inside the compiled training step, where a GPU does both.

`train.data.variations` varies faces one by one on the processor, which a GPU would wait for. Here a whole batch is
varied at once, by the same changes over the same ranges, on whatever device trains; teachers see exactly the faces that
the student sees. Written with `keras.ops`, so that every backend runs it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cv2
import keras
import numpy as np
from keras import ops

from emotion_model.faces.cropping import LEAST_CONTRAST, MEAN_BRIGHTNESS, MOST_GAIN
from train.config import AugmentationConfig
from train.data.variations import BLURS, COVER_ASPECTS, COVERED_SHARES, NOISES, QUALITIES, WIDTHS, between

JPEG_BLOCK = 8
# Annex K.1 of the JPEG standard (ITU-T T.81): how coarsely each frequency of the luminance is kept at quality 50.
# fmt: off
_LUMINANCE = np.array([
    [16, 11, 10, 16, 24, 40, 51, 61],
    [12, 12, 14, 19, 26, 58, 60, 55],
    [14, 13, 16, 24, 40, 57, 69, 56],
    [14, 17, 22, 29, 51, 87, 80, 62],
    [18, 22, 37, 56, 68, 109, 103, 77],
    [24, 35, 55, 64, 81, 104, 113, 92],
    [49, 64, 78, 87, 103, 121, 120, 101],
    [72, 92, 95, 98, 112, 100, 103, 99],
], np.float32)
# fmt: on
_WIDTHS = range(WIDTHS[0], WIDTHS[1] - 1, -1)
_DEVIATIONS = np.linspace(*BLURS, 33)


class Augmenter:
    """`train.data.variations.augment` for a batch on the device.

    Args:
        config: what may change, and how far.
        size: pixels of a face's side.
    """

    def __init__(self, config: AugmentationConfig, size: int) -> None:
        self._config, self._size = config, size
        self._filters = _filters(size)
        cosines = cv2.dct(np.eye(JPEG_BLOCK, dtype=np.float32), flags=cv2.DCT_ROWS).T
        blocks = -(-size // JPEG_BLOCK)
        frequencies = np.kron(np.eye(blocks, dtype=np.float32), cosines)
        # The last row and column are repeated until blocks are whole, as libjpeg does.
        repeated = np.minimum(np.arange(blocks * JPEG_BLOCK), size - 1)
        self._to_frequencies = frequencies @ np.eye(size, dtype=np.float32)[repeated]
        self._from_frequencies = frequencies.T[:size]
        self._coarseness = np.tile(_LUMINANCE, (blocks, blocks))

    def __call__(self, faces: Any, strength: Any, seed: keras.random.SeedGenerator) -> Any:
        """Vary each face at random.

        Args:
            faces: uint8 grey `(n, size, size)`.
            strength: scalar, by which every range and probability but that of mirroring is multiplied.
            seed: source of every random choice.

        Returns:
            float32 grey `(n, size, size, 1)` in 0..255, not rounded.
        """
        varied = self._warp(ops.cast(faces, "float32"), strength, seed)
        config, count = self._config, ops.shape(faces)[0]
        if config.contrast or config.brightness:
            gains = 1 + self._uniform(count, config.contrast * strength, seed)
            offsets = self._uniform(count, config.brightness * strength, seed) * 255
            means = ops.mean(varied, axis=(1, 2), keepdims=True)
            varied = ops.clip((varied - means) * gains + means + offsets, 0, 255)
        if config.degradation:
            varied = self._degrade(varied, strength, seed)
        if config.erasing:
            varied = self._cover(varied, strength, seed)
        return varied[..., None]

    def _uniform(self, count: Any, reach: Any, seed: keras.random.SeedGenerator) -> Any:
        return keras.random.uniform((count, 1, 1), -1, 1, seed=seed) * reach

    def _chance(self, count: Any, probability: Any, seed: keras.random.SeedGenerator) -> Any:
        return keras.random.uniform((count, 1, 1), seed=seed) < probability

    def _warp(self, faces: Any, strength: Any, seed: keras.random.SeedGenerator) -> Any:
        config, count, centre = self._config, ops.shape(faces)[0], (self._size - 1) / 2
        angle = self._uniform(count, math.radians(config.rotation) * strength, seed)
        zoom = 1 + self._uniform(count, config.zoom * strength, seed)
        dx = centre + self._uniform(count, config.shift * self._size * strength, seed)
        dy = centre + self._uniform(count, config.shift * self._size * strength, seed)
        mirror = ops.where(self._chance(count, 0.5 if config.flip else 0.0, seed), -1.0, 1.0)
        pixels = ops.arange(self._size, dtype="float32")
        x, y = (pixels[None, None, :] - dx) / zoom, (pixels[None, :, None] - dy) / zoom
        cosine, sine = ops.cos(angle), ops.sin(angle)
        return _read(faces, centre + mirror * (cosine * x + sine * y), centre + cosine * y - sine * x)

    def _degrade(self, faces: Any, strength: Any, seed: keras.random.SeedGenerator) -> Any:
        """Low resolution, blur, noise or JPEG, one of the four, of a random strength."""
        count = ops.shape(faces)[0]
        harm = keras.random.uniform((count, 1, 1), seed=seed)
        kind = ops.floor(keras.random.uniform((count, 1, 1), 0, 4, seed=seed))
        kind = ops.where(self._chance(count, self._config.degradation * strength, seed), kind, -1.0)

        coarse = ops.round(harm * (len(_WIDTHS) - 1))
        blurred = len(_WIDTHS) + ops.round(harm * (len(_DEVIATIONS) - 1))
        none = float(len(self._filters) - 1)
        chosen = ops.where(kind == 0, coarse, ops.where(kind == 1, blurred, none))
        matrices = ops.take(ops.convert_to_tensor(self._filters), ops.cast(ops.reshape(chosen, (-1,)), "int32"), axis=0)
        faces = ops.matmul(ops.matmul(matrices, faces), ops.transpose(matrices, (0, 2, 1)))

        noise = keras.random.normal((count, self._size, self._size), seed=seed)
        faces = ops.clip(faces + noise * ops.where(kind == 2, between(NOISES, harm), 0.0), 0, 255)
        return ops.where(kind == 3, self._compress(faces, between(QUALITIES, harm)), faces)

    def _compress(self, faces: Any, quality: Any) -> Any:
        """What JPEG leaves of grey faces: its cosine transform, coarsened as libjpeg does for a quality."""
        coarseness = ops.convert_to_tensor(self._coarseness)
        scale = ops.where(quality < 50, 5000 / quality, 200 - 2 * quality)
        steps = ops.clip(ops.floor((coarseness * scale + 50) / 100), 1, 255)
        forward, back = ops.convert_to_tensor(self._to_frequencies), ops.convert_to_tensor(self._from_frequencies)
        frequencies = ops.matmul(ops.matmul(forward, faces - 128), ops.transpose(forward))
        kept = ops.round(frequencies / steps) * steps
        return ops.clip(ops.matmul(ops.matmul(back, kept), ops.transpose(back)) + 128, 0, 255)

    def _cover(self, faces: Any, strength: Any, seed: keras.random.SeedGenerator) -> Any:
        """A rectangle of the face in one grey level (random erasing)."""
        count, size = ops.shape(faces)[0], self._size

        def draw(low: float, high: float) -> Any:
            return keras.random.uniform((count, 1, 1), low, high, seed=seed)

        area, aspect = draw(*COVERED_SHARES) * size * size, ops.exp(draw(*map(math.log, COVER_ASPECTS)))
        height, width = ops.round(ops.sqrt(area * aspect)), ops.round(ops.sqrt(area / aspect))
        top = ops.floor(draw(0, 1) * (size - height + 1))
        left = ops.floor(draw(0, 1) * (size - width + 1))
        level = ops.floor(draw(0, 256))
        pixels = ops.arange(size, dtype="float32")
        y, x = pixels[:, None], pixels[None, :]
        inside = ops.logical_and(
            ops.logical_and(y >= top, y < top + height), ops.logical_and(x >= left, x < left + width)
        )
        covered = self._chance(count, self._config.erasing * strength, seed)
        return ops.where(ops.logical_and(inside, covered), level, faces)


def _read(faces: Any, x: Any, y: Any) -> Any:
    """Grey levels of float32 faces `(n, size, size)` at places between their pixels; outside, those of the edge.

    `keras.ops.image.affine_transform` does the same, but on PyTorch it goes through a batch face by face.
    """
    size = faces.shape[1]
    x, y = ops.clip(x, 0, size - 1), ops.clip(y, 0, size - 1)
    left, top = ops.minimum(ops.floor(x), size - 2), ops.minimum(ops.floor(y), size - 2)
    x, y = x - left, y - top
    corners = ops.reshape(ops.cast(top, "int32") * size + ops.cast(left, "int32"), (-1, size * size))
    levels = ops.reshape(faces, (-1, size * size))

    def beyond(corner: int) -> Any:
        return ops.reshape(ops.take_along_axis(levels, corners + corner, axis=1), (-1, size, size))

    above = (1 - x) * beyond(0) + x * beyond(1)
    below = (1 - x) * beyond(size) + x * beyond(size + 1)
    return (1 - y) * above + y * below


def _levelled(faces: Any) -> Any:
    """`emotion_model.faces.cropping.level` for a batch, float32 `(n, size, size, 1)` in 0..255."""
    mean, deviation = ops.mean(faces, axis=(1, 2, 3), keepdims=True), ops.std(faces, axis=(1, 2, 3), keepdims=True)
    gain = ops.clip(LEAST_CONTRAST / ops.maximum(deviation, 1e-6), 1.0, MOST_GAIN)
    return ops.clip((faces - mean) * gain + ops.clip(mean, *MEAN_BRIGHTNESS), 0, 255)


def _filters(size: int) -> np.ndarray:
    """Each strength of low resolution, then of blur, then none, float32 `(m, size, size)`: `F @ face @ F.T` applies it.

    Both work on columns and rows alike, and OpenCV shows on the unit matrix what it does to one of them.
    """
    unit = np.eye(size, dtype=np.float32)
    made = []
    for width in _WIDTHS:
        small = cv2.resize(unit, (size, width), interpolation=cv2.INTER_AREA)
        made.append(cv2.resize(small, (size, size), interpolation=cv2.INTER_LINEAR))
    for deviation in _DEVIATIONS:
        reach = round(deviation * 6 + 1) | 1  # as OpenCV chooses it for uint8
        made.append(cv2.GaussianBlur(unit, (1, reach), 1, sigmaY=deviation))
    return np.stack([*made, unit])


class AugmentedTraining(keras.Model):
    """A network that learns from faces varied on the device, and from teachers that see the same faces.

    Called with uint8 grey faces `(n, size, size)` and trained with targets `(n, classes)`. Mixup is done here too:
    each face is blended with its neighbour in the batch, or has a square of it.

    Args:
        network: what learns.
        augmentation: how faces vary.
        loss: compares targets with the network's probabilities.
        mixup: both parameters of the Beta that draws two faces' shares; 0 turns it off.
        teachers: networks of the same classes, in the same order.
        distillation: share of the teachers' mean probabilities in the targets (Hinton et al., 2015; that student and
            teachers look at the same view: Beyer et al., "A good teacher is patient and consistent", 2022).
        averaged: a copy of the network that follows its weights, per step by `1 - ema_momentum`.
        ema_momentum: of `averaged`.
        seed: of every random choice.
        cut: put a square of the other face into each (CutMix; Yun et al., 2019) instead of blending them.
        levels: give varied faces usual levels, as `emotion_model.faces.cropping.level` does where a network serves.

    Attributes:
        strength: scalar variable, of the augmentation.
        mixing: scalar variable; with 1 faces are blended as `mixup` says, with 0 they stay as they are.
    """

    def __init__(
        self,
        network: keras.Model,
        augmentation: AugmentationConfig,
        loss: keras.losses.Loss,
        mixup: float = 0.0,
        teachers: Sequence[keras.Model] = (),
        distillation: float = 0.0,
        averaged: keras.Model | None = None,
        ema_momentum: float = 0.0,
        seed: int = 0,
        cut: bool = False,
        levels: bool = False,
    ) -> None:
        super().__init__(name="augmented_training")
        if keras.backend.backend() == "tensorflow":  # XLA, which Keras asks for on a GPU, knows no Beta there
            self.supports_jit = False
        self.network, self.teachers, self.averaged = network, list(teachers), averaged
        for other in (*self.teachers, *([averaged] if averaged else [])):
            other.trainable = False
        self._momentum = ema_momentum
        self.steps = self.add_weight((), initializer="zeros", trainable=False, name="steps", dtype="float32")
        self._size = network.input_shape[1]
        self._augmenter = Augmenter(augmentation, self._size)
        self._compare, self._mixup, self._distillation = loss, mixup, distillation
        self._cut, self._levels = cut, levels
        self.seed_generator = keras.random.SeedGenerator(seed % 2**31)  # more is none that PyTorch can hold
        self.strength = self.add_weight((), initializer="ones", trainable=False, name="strength", dtype="float32")
        self.mixing = self.add_weight((), initializer="ones", trainable=False, name="mixing", dtype="float32")
        self._accuracy = keras.metrics.CategoricalAccuracy(name="accuracy")

    def call(self, faces: Any, training: bool = False) -> dict[str, Any]:
        """Answers to varied faces, and what the targets are to be mixed with.

        Args:
            faces: uint8 grey `(n, size, size)`.
            training: whether the network learns, rather than only answers.

        Returns:
            `probabilities`, the network's, float32 `(n, classes)`; `share` of each face in its blend, float32
            `(n, 1)` in 0.5..1 (as near to that as whole pixels allow), all 1 where none are blended; `taught`, the
            teachers' mean probabilities, float32 `(n, classes)`, where there are any.
        """
        if training and self.averaged is not None:
            self._follow()
        varied = self._augmenter(faces, ops.convert_to_tensor(self.strength), self.seed_generator)
        if self._levels:
            varied = _levelled(varied)
        count = ops.shape(varied)[0]
        share = ops.ones((count, 1), "float32")
        if self._mixup:
            share = keras.random.beta((count, 1), self._mixup, self._mixup, dtype="float32", seed=self.seed_generator)
            share = 1 - ops.convert_to_tensor(self.mixing) * ops.minimum(share, 1 - share)
            own = share[:, :, None, None]
            if self._cut:
                own = 1 - self._squares(own)
                share = ops.mean(own, axis=(1, 2))
            varied = own * varied + (1 - own) * ops.roll(varied, 1, axis=0)
        answers = {"probabilities": self.network(varied, training=training), "share": share}
        if self.teachers:
            taught = sum(ops.cast(teacher(varied, training=False), "float32") for teacher in self.teachers)
            answers["taught"] = ops.stop_gradient(taught / len(self.teachers))
        return answers

    def _squares(self, shares: Any) -> Any:
        """1 within a square that leaves each face this share of its area, somewhere in it, else 0."""
        side, pixels = ops.round(ops.sqrt(1 - shares) * self._size), ops.arange(self._size, dtype="float32")
        places = keras.random.uniform((ops.shape(shares)[0], 1, 1, 2), seed=self.seed_generator)
        first = ops.floor(places * (self._size - side + 1))
        down, across = pixels[None, :, None, None] - first[..., :1], pixels[None, None, :, None] - first[..., 1:]
        return ops.cast((down >= 0) & (down < side) & (across >= 0) & (across < side), "float32")

    def _follow(self) -> None:
        """Move the average towards the weights as the step before left them."""
        steps = ops.convert_to_tensor(self.steps)
        # A young average follows quickly, or the random start would linger in it for epochs.
        momentum = ops.minimum(self._momentum, (1 + steps) / (10 + steps))
        for average, weight in zip(self.averaged.weights if self.averaged else (), self.network.weights, strict=True):
            value = ops.stop_gradient(ops.convert_to_tensor(weight))
            average.assign(average * momentum + value * (1 - momentum))
        self.steps.assign(steps + 1)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """The mean loss over the faces."""
        if sample_weight is not None:
            own = y_pred["share"][:, 0]
            sample_weight = own * sample_weight + (1 - own) * ops.roll(sample_weight, 1, axis=0)
        return self._compare(self._mixed_targets(y, y_pred), y_pred["probabilities"], sample_weight=sample_weight)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """Loss and accuracy on the varied faces."""
        self._accuracy.update_state(self._mixed_targets(y, y_pred), y_pred["probabilities"])
        return self.get_metrics_result()

    def _mixed_targets(self, targets: Any, answers: dict[str, Any]) -> Any:
        targets, own = ops.cast(targets, "float32"), answers["share"]
        targets = own * targets + (1 - own) * ops.roll(targets, 1, axis=0)
        if "taught" not in answers:
            return targets
        return (1 - self._distillation) * targets + self._distillation * answers["taught"]
