"""Faces of FER2013 beside one's own, so that what was learned is not lost."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from emotion_model.network.classifier import EmotionClassifier
from train.data.fer2013 import DataError, FaceDataset, load_split, resized, without_images_of
from train.finetuning.settings import EPOCH_FACES


@dataclass(frozen=True, eq=False)
class Rehearsal:
    """FER2013 as far as the model's classes go.

    Attributes:
        train: faces to mix in, without those of another split or of the own pictures that are measured on.
        validation: faces of classes that base and new model have, without own pictures that are trained on.
        dropped: how many training faces were left out.
    """

    train: FaceDataset
    validation: FaceDataset
    dropped: int


def load_fer2013(data_dir: Path, size: int) -> dict[str, FaceDataset]:
    """The splits of FER2013 by their names, their faces of a network's size.

    Raises:
        DataError: they cannot be used.
    """
    splits = {name: load_split(data_dir, name) for name in ("train", "validation", "test")}
    return {name: replace(one, images=resized(one.images, size)) for name, one in splits.items()}


def rehearsal_of(
    splits: Mapping[str, FaceDataset],
    base: EmotionClassifier,
    emotions: tuple[str, ...],
    own: Mapping[str, FaceDataset],
) -> Rehearsal:
    """FER2013, as `load_fer2013` has it, beside the own pictures.

    Raises:
        DataError: it has no class of the model.
    """
    measured = [splits["validation"], splits["test"], own["validation"], own["held_out"]]
    train, dropped = without_images_of(splits["train"], measured)
    validation, _ = without_images_of(splits["validation"], [own["train"]])
    train = _of_classes(train, emotions, emotions)
    validation = _of_classes(validation, emotions, set(emotions) & set(base.emotions))
    if not len(train) or not len(validation):
        raise DataError(f"FER2013 has none of the classes {', '.join(emotions)}: leave --fer2013 out")
    return Rehearsal(train, validation, dropped)


def _of_classes(faces: FaceDataset, emotions: tuple[str, ...], wanted: Collection[str]) -> FaceDataset:
    """The faces of the wanted classes, labelled by their place in `emotions`."""
    places = np.array([emotions.index(name) if name in wanted else -1 for name in faces.emotions])
    labels = places[faces.labels]
    return FaceDataset(faces.images[labels >= 0], labels[labels >= 0], emotions=emotions)


def balanced_draw(labels: np.ndarray, others: np.ndarray) -> Callable[[np.random.Generator], np.ndarray]:
    """How `fit` chooses the faces of an epoch.

    Args:
        labels: int `(n,)`, classes of the own faces; each class is seen equally often.
        others: int `(m,)`, classes of the faces that stand behind them for rehearsal. Half of an epoch is drawn from
            them, by the square root of their classes' frequency (Mahajan et al., 2018): else the rare ones, such as
            disgust, would drown among the own faces.
    """
    groups = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    each = -(-max(EPOCH_FACES, len(labels)) // len(groups))
    count = min(len(others), each * len(groups))
    weights = np.bincount(others)[others] ** -0.5 if count else others

    def draw(rng: np.random.Generator) -> np.ndarray:
        own = [np.resize(rng.permutation(group), each) for group in groups]
        if count:
            rehearsed = rng.choice(len(others), count, replace=False, p=weights / weights.sum())
            own.append(len(labels) + rehearsed)
        return rng.permutation(np.concatenate(own))

    return draw
