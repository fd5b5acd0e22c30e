"""Random variations of training faces, made afresh for every batch."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from train.config import AugmentationConfig

# How far each damage goes, from mild to harsh.
WIDTHS = (40, 12)  # pixels, of `lower_resolution`
BLURS = (0.4, 2.0)  # pixels, standard deviation
NOISES = (2.0, 24.0)  # grey levels, standard deviation
QUALITIES = (70, 10)  # of JPEG
COVERED_SHARES = (0.02, 0.2)  # of a face's area
COVER_ASPECTS = (0.4, 2.5)  # height over width


def augment(faces: np.ndarray, config: AugmentationConfig, rng: np.random.Generator) -> np.ndarray:
    """Vary each face at random.

    Args:
        faces: uint8 grey `(n, height, width)`.
        config: what may change, and how far.
        rng: source of every random choice; the same state gives the same result.

    Returns:
        uint8 grey `(n, height, width)`, a new array.
    """
    count, height, width = (int(side) for side in faces.shape)
    angles = rng.uniform(-config.rotation, config.rotation, count)
    zooms = rng.uniform(1 - config.zoom, 1 + config.zoom, count)
    shifts = rng.uniform(-config.shift, config.shift, (count, 2)) * (width, height)
    mirrored = rng.random(count) < (0.5 if config.flip else 0.0)
    gains = rng.uniform(1 - config.contrast, 1 + config.contrast, count)
    offsets = rng.uniform(-config.brightness, config.brightness, count) * 255
    erased = rng.random(count) < config.erasing
    degraded = rng.random(count) < config.degradation
    centre = ((width - 1) / 2, (height - 1) / 2)

    varied = np.empty_like(faces)
    for i, face in enumerate(faces):
        matrix = np.asarray(cv2.getRotationMatrix2D(centre, angles[i], zooms[i]), np.float64)
        matrix[:, 2] += shifts[i]
        if mirrored[i]:  # mirror first: x becomes width - 1 - x
            matrix[:, 2] += matrix[:, 0] * (width - 1)
            matrix[:, 0] *= -1
        # The edge is repeated, not blackened: a black rim never appears around a face that our own pipeline crops.
        varied[i] = cv2.warpAffine(
            face, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
    if config.contrast or config.brightness:
        means = varied.mean(axis=(1, 2), keepdims=True)
        toned = (varied - means) * gains[:, None, None] + means + offsets[:, None, None]
        varied = np.clip(np.rint(toned), 0, 255).astype(np.uint8)
    for face in np.flatnonzero(degraded):
        varied[face] = _degrade(varied[face], rng)
    for face in np.flatnonzero(erased):
        varied[face] = cover(varied[face], rng.uniform(*COVERED_SHARES), rng)
    return varied


def mixup_partners(count: int, alpha: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw for `mixed`: each face's own share, float32 `(count,)` in 0.5..1 from Beta(alpha, alpha), and its partner.

    Source: mixup (Zhang et al., 2018). The larger share is the face's own, so that its weight and label lead.
    """
    shares = rng.beta(alpha, alpha, count).astype(np.float32)
    return np.maximum(shares, 1 - shares), rng.permutation(count)


def mixed(values: np.ndarray, shares: np.ndarray, partners: np.ndarray) -> np.ndarray:
    """Each row of `values`, float32 `(n, ...)`, blended with its partner's row; its own share is `shares`, `(n,)`."""
    own = shares.reshape(-1, *[1] * (values.ndim - 1))
    return own * values + (1 - own) * values[partners]


def cut_and_mixed(
    faces: np.ndarray, shares: np.ndarray, partners: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Each face with a rectangle of its partner in it, of the face's own proportions, anywhere.

    Source: CutMix (Yun et al., 2019).

    Args:
        faces: float32 `(n, height, width, ...)`.
        shares: float32 `(n,)`, of its area that each face shall keep; see `mixup_partners`.
        partners: int `(n,)`.
        rng: source of the places.

    Returns:
        The faces, a new array, and the shares that they kept in whole pixels, float32 `(n,)`.
    """
    cut, (height, width) = faces.copy(), faces.shape[1:3]
    sides = np.sqrt(1 - shares)
    highs, wides = np.rint(sides * height).astype(int), np.rint(sides * width).astype(int)
    tops, lefts = rng.integers(0, height - highs + 1), rng.integers(0, width - wides + 1)
    for i, (top, left, high, wide) in enumerate(zip(tops, lefts, highs, wides, strict=True)):
        cut[i, top : top + high, left : left + wide] = faces[partners[i], top : top + high, left : left + wide]
    return cut, (1 - highs * wides / (height * width)).astype(np.float32)


def _degrade(face: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    kind, harm = rng.integers(4), rng.random()
    if kind == 0:
        return lower_resolution(face, round(between(WIDTHS, harm)))
    if kind == 1:
        return blur(face, between(BLURS, harm))
    if kind == 2:
        return add_noise(face, between(NOISES, harm), rng)
    return compress(face, round(between(QUALITIES, harm)))


def between(ends: tuple[float, float], harm: Any) -> Any:
    """The damage of a given harm, 0..1, on the straight way from a mild to a harsh one."""
    mild, harsh = ends
    return mild + (harsh - mild) * harm


def lower_resolution(face: np.ndarray, pixels: int) -> np.ndarray:
    """The face, uint8 grey, as if it had been only so many pixels wide."""
    height, width = face.shape
    small = cv2.resize(face, (pixels, pixels), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def blur(face: np.ndarray, deviation: float) -> np.ndarray:
    """The face, uint8 grey, under Gaussian blur; standard deviation in pixels."""
    return cv2.GaussianBlur(face, (0, 0), deviation)


def add_noise(face: np.ndarray, deviation: float, rng: np.random.Generator) -> np.ndarray:
    """The face, uint8 grey, with Gaussian noise; standard deviation in grey levels."""
    return np.clip(np.rint(face + rng.normal(0, deviation, face.shape)), 0, 255).astype(np.uint8)


def compress(face: np.ndarray, quality: int) -> np.ndarray:
    """The face, uint8 grey, after JPEG compression with a quality of 1..100."""
    _, data = cv2.imencode(".jpg", face, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE))


def cover(face: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """The face, uint8 grey, with a rectangle of this share of its area in one grey level (random erasing)."""
    height, width = face.shape
    area, aspect = share * height * width, np.exp(rng.uniform(*np.log(COVER_ASPECTS)))
    h, w = min(height, max(1, round((area * aspect) ** 0.5))), min(width, max(1, round((area / aspect) ** 0.5)))
    top, left = rng.integers(0, height - h + 1), rng.integers(0, width - w + 1)
    covered = face.copy()
    covered[top : top + h, left : left + w] = rng.integers(0, 256)
    return covered
