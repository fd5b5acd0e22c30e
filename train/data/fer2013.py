"""FER2013 in the three forms people have it: Parquet, the original CSV, image folders.

Source: FER2013 (Goodfellow et al., "Challenges in Representation Learning", 2013) with its official splits:
train ("Training"), validation ("PublicTest") and test ("PrivateTest"). FER+ votes: Barsoum et al., 2016; in columns of
the Parquet files, or, as they were published, in a CSV beside the original one.
"""

from __future__ import annotations

import csv
import hashlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TextIO

import cv2
import numpy as np

from emotion_model.faces.cropping import network_input
from emotion_model.labels import EMOTIONS

SPLITS = ("train", "validation", "test")
VALIDATION_FOLDERS = ("validation", "val", "valid")  # what people call that one
IMAGE_SIZE = 48  # pixels, as FER2013 has it

_CSV_NAMES = ("fer2013.csv", "icml_face_data.csv")
_CSV_ORDER = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")  # numeric labels of the CSV
_CSV_LABELS = {str(number): EMOTIONS.index(emotion) for number, emotion in enumerate(_CSV_ORDER)}
_CSV_USAGE = {"train": "Training", "validation": "PublicTest", "test": "PrivateTest"}
# FER+ name of each emotion, in label order. Contempt, "unknown" and "not a face" have no FER2013 class.
_VOTED = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
_VOTE_COLUMNS = tuple(f"votes_{name}" for name in _VOTED)
_OTHER_VOTE_COLUMNS = ("votes_contempt", "votes_unknown", "votes_not_a_face")
_CSV_VOTES, _CSV_VOTED = "fer2013new.csv", (*_VOTED, "contempt", "unknown", "NF")
_PUBLIC = "PublicTest_"  # how names begin of what FER2013 calls public test, and everybody validation


class DataError(ValueError):
    """The data set cannot be used; the message names what is wrong and where."""


@dataclass(frozen=True)
class FaceDataset:
    """Faces of one split.

    Attributes:
        images: uint8 grey `(n, 48, 48)`.
        labels: int64 `(n,)`, indices into `emotions`.
        votes: float32 `(n, 7)`, FER+ votes per emotion in label order; None where the data set has none.
        other_votes: float32 `(n, 3)`, FER+ votes for contempt, unknown and not a face; None likewise.
        emotions: names of the classes, in label order.
    """

    images: np.ndarray
    labels: np.ndarray
    votes: np.ndarray | None = None
    other_votes: np.ndarray | None = None
    emotions: tuple[str, ...] = EMOTIONS

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: np.ndarray | slice) -> FaceDataset:
        """The faces chosen by an index array, a mask or a slice."""
        votes = None if self.votes is None else self.votes[index]
        others = None if self.other_votes is None else self.other_votes[index]
        return replace(self, images=self.images[index], labels=self.labels[index], votes=votes, other_votes=others)

    def sample(self, count: int) -> FaceDataset:
        """At most so many faces, spread evenly over all: some forms of the data hold one class after another.

        Raises:
            ValueError: fewer than one.
        """
        if count < 1:
            raise ValueError(f"limit={count}: use a number of at least 1")
        return self[np.linspace(0, len(self) - 1, min(count, len(self))).astype(int)]


def resized(faces: Sequence[np.ndarray] | np.ndarray, size: int) -> np.ndarray:
    """Faces, uint8 grey of any sizes, as uint8 `(n, size, size)`; an array of that size is returned as it is."""
    if isinstance(faces, np.ndarray) and faces.shape[1:] == (size, size):
        return faces
    return np.rint(network_input(faces, size)[..., 0]).astype(np.uint8)


def load_split(data_dir: str | Path, split: str) -> FaceDataset:
    """Load one split of FER2013, whichever of its three forms lies in `data_dir`.

    Parquet: `train.parquet`, `validation.parquet`, `test.parquet`. CSV: `fer2013.csv` or `icml_face_data.csv`, and
    beside it, for the votes, FER+'s `fer2013new.csv`.
    Folders: `train/<emotion>/*.jpg`, `test/<emotion>/*.jpg` and, if there is one, `validation/<emotion>/*.jpg`, which
    may also be called `val` or `valid`; without it the public half of test is validation, as in FER2013's own division:
    by the images' names where those say `PublicTest_`, else every second one of each class, which is told once. Never
    training images: the bundled model has learned from those.

    Raises:
        DataError: nothing usable there, or a missing column, class or file, a broken image, or two validation folders.
        ValueError: unknown split.
    """
    if split not in SPLITS:
        raise ValueError(f"split={split!r}: choose one of {', '.join(SPLITS)}")
    data_dir = Path(data_dir)
    if not data_dir.is_dir():
        raise DataError(f"{data_dir}: no such folder; give the folder that holds FER2013")
    if any((data_dir / f"{name}.parquet").exists() for name in SPLITS):
        return _load_parquet(data_dir / f"{split}.parquet")
    for name in _CSV_NAMES:
        if (data_dir / name).exists():
            return _load_csv(data_dir / name, split)
    if (data_dir / "train").is_dir():
        return _load_folders(data_dir, split)
    raise DataError(
        f"{data_dir}: found no FER2013 here; expected train.parquet, {' or '.join(_CSV_NAMES)}, or a train/ folder"
    )


def image_keys(images: np.ndarray) -> Iterator[bytes]:
    """A key per image of uint8 `(n, height, width)`; two images have the same key exactly if all pixels are equal."""
    return (hashlib.sha256(image.tobytes()).digest() for image in images)  # a key of all pixels would be a copy of them


def without_images_of(dataset: FaceDataset, others: Iterable[FaceDataset]) -> tuple[FaceDataset, int]:
    """Drop the faces that also stand, pixel for pixel, in `others`; returns the rest and how many were dropped."""
    seen = {key for other in others for key in image_keys(other.images)}
    keep = np.array([key not in seen for key in image_keys(dataset.images)], dtype=bool)
    return dataset[keep], int((~keep).sum())


def learning_faces(data_dir: str | Path) -> tuple[FaceDataset, FaceDataset, int]:
    """Training and validation faces, and how many were dropped from training because they stand in another split.

    Raises:
        DataError: they cannot be used, or no training face is left.
    """
    validation, test = load_split(data_dir, "validation"), load_split(data_dir, "test")
    train, dropped = without_images_of(load_split(data_dir, "train"), [validation, test])
    if not len(train):
        raise DataError(
            f"{data_dir}: no training face is left, as all {dropped:,} also stand in validation or test: each split "
            "needs faces of its own"
        )
    return train, validation, dropped


def digest(*datasets: FaceDataset) -> str:
    """Sha256 of the faces, their labels and their votes: corrected labels are other data, though there are as many."""
    result = hashlib.sha256()
    for one in datasets:
        for values in (one.images, one.labels, one.votes):
            result.update(b"" if values is None else np.ascontiguousarray(values).reshape(-1).data)
    return result.hexdigest()


def soft_targets(dataset: FaceDataset, ferplus_weight: float, label_smoothing: float) -> np.ndarray:
    """Training targets, float32 `(n, classes)`, each row summing to 1.

    The label, mixed with the share `ferplus_weight` of the FER+ vote distribution where a face has votes, then
    smoothed towards uniform (Szegedy et al., 2016).

    Raises:
        DataError: FER+ votes are asked for and the data set has none.
    """
    classes = len(dataset.emotions)
    targets = np.eye(classes, dtype=np.float32)[dataset.labels]
    if ferplus_weight:
        if dataset.votes is None:
            raise DataError(f"ferplus_weight={ferplus_weight} needs FER+ votes, and this data set has none: use 0")
        totals = dataset.votes.sum(axis=1, keepdims=True)
        voted = np.divide(dataset.votes, totals, out=targets.copy(), where=totals > 0)
        targets = (1 - ferplus_weight) * targets + ferplus_weight * voted
    return (1 - label_smoothing) * targets + label_smoothing / classes


def class_weights(labels: np.ndarray, classes: int, power: float) -> np.ndarray:
    """Weight per class, float32 `(classes,)`: inverse frequency to `power`, scaled so that a mean face weighs 1."""
    counts = np.maximum(np.bincount(labels, minlength=classes), 1)
    weights = (1.0 / counts) ** power
    return (weights * counts.sum() / (weights * counts).sum()).astype(np.float32)


def _load_parquet(path: Path) -> FaceDataset:
    import pyarrow.parquet  # only this form needs it

    if not path.exists():
        raise DataError(f"{path}: missing; the Parquet form has one file per split")
    try:
        table = pyarrow.parquet.read_table(path)
    except (OSError, pyarrow.ArrowInvalid) as error:
        raise DataError(f"{path}: not a readable Parquet file ({error})") from error
    _require_columns(path, ("image", "emotion"), table.column_names)
    names = table["emotion"].to_pylist()
    labels = _label_indices(path, names)
    # Either a struct with the encoded picture in `bytes`, as the Hub's data sets have it, or the bytes themselves.
    encoded = (row.get("bytes") if isinstance(row, dict) else row for row in table["image"].to_pylist())
    images = _decode_all(((f"{path.name} row {i}", data) for i, data in enumerate(encoded)), len(names))
    votes = other_votes = None
    if all(column in table.column_names for column in _VOTE_COLUMNS):
        votes = _stack_columns(table, _VOTE_COLUMNS)
        others = [column for column in _OTHER_VOTE_COLUMNS if column in table.column_names]
        other_votes = _stack_columns(table, others) if others else None
    return FaceDataset(images, labels, votes, other_votes)


def _stack_columns(table: object, columns: Sequence[str]) -> np.ndarray:
    return np.stack([table[column].to_numpy() for column in columns], axis=1).astype(np.float32)  # type: ignore[index]


def _load_csv(path: Path, split: str) -> FaceDataset:
    images, labels, broken, usages = [], [], [], []
    with path.open(newline="", encoding="utf-8-sig") as file:  # spreadsheets begin a file with a mark
        for line, row in _csv_rows(path, file, ("emotion", "pixels", "Usage")):
            _require_known(path, line, "Usage", row["Usage"], _CSV_USAGE.values())
            usages.append(row["Usage"])
            if row["Usage"] != _CSV_USAGE[split]:
                continue
            emotion = row["emotion"].strip()
            _require_known(path, line, "emotion", emotion, _CSV_LABELS)
            try:
                image = np.array(row["pixels"].split(), dtype=np.uint8).reshape(IMAGE_SIZE, IMAGE_SIZE)
            except (ValueError, OverflowError):
                broken.append(f"line {line}")
                continue
            images.append(image)
            labels.append(_CSV_LABELS[emotion])
    _refuse_broken(path, broken)
    if not images:
        raise DataError(f"{path}: no row with Usage={_CSV_USAGE[split]!r}")
    labels_array = np.array(labels, dtype=np.int64)
    _require_all_classes(path, labels_array)
    votes = other_votes = None
    if (voted := path.with_name(_CSV_VOTES)).exists():
        of_split = _csv_votes(voted, usages)[np.array(usages) == _CSV_USAGE[split]]
        votes, other_votes = np.split(of_split, [len(_VOTED)], axis=1)
    return FaceDataset(np.stack(images), labels_array, votes, other_votes)


def _csv_votes(path: Path, usages: Sequence[str]) -> np.ndarray:
    """FER+ votes, float32 `(rows, 10)`, of faces whose `Usage` is this: FER+ lists FER2013's rows in their order."""
    votes, voted = [], []
    with path.open(newline="", encoding="utf-8-sig") as file:
        for line, row in _csv_rows(path, file, ("Usage", *_CSV_VOTED)):
            try:
                votes.append([float(row[name]) for name in _CSV_VOTED])
            except ValueError as error:
                raise DataError(f"{path}: line {line}: votes have to be numbers ({error})") from error
            voted.append(row["Usage"])
    if voted != list(usages):
        raise DataError(
            f"{path}: its {len(voted):,} rows are not those of the {len(usages):,} faces beside it: take both files as "
            "they were published, or remove this one to go without votes"
        )
    return np.array(votes, dtype=np.float32)


def _csv_rows(path: Path, file: TextIO, wanted: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Each row by its columns, and the line that it is in."""
    reader = csv.DictReader(file, restval="", skipinitialspace=True)
    header = tuple(name.strip() for name in reader.fieldnames or ())
    reader.fieldnames = header
    _require_columns(path, wanted, header)
    line = reader.line_num
    try:
        for row in reader:
            line = reader.line_num
            yield line, row
    except csv.Error as error:  # after a quote that nothing closes all that follows is one value
        raise DataError(f"{path}: line {line + 1} cannot be read ({error}); a stray quote?") from error


def _require_known(path: Path, line: int, column: str, value: str, known: Iterable[str]) -> None:
    if value not in known:
        raise DataError(f"{path}: line {line}: unknown {column} {value!r}; expected {', '.join(known)}")


def _load_folders(data_dir: Path, split: str) -> FaceDataset:
    found = [name for name in VALIDATION_FOLDERS if (data_dir / name).is_dir()]
    if len(found) > 1:
        raise DataError(f"{data_dir}: {' and '.join(found)} are both validation: remove one, or put it elsewhere")
    validation = found[0] if found else "test"
    root = data_dir / {"train": "train", "validation": validation, "test": "test"}[split]
    whole = split == "train" or bool(found)
    if not whole:
        _tell_halves(data_dir)
    if not root.is_dir():
        raise DataError(f"{root}: missing; the folder form has one folder per split with a folder per emotion")
    unknown = sorted(f.name for f in root.iterdir() if f.is_dir() and f.name not in EMOTIONS)
    if unknown:
        raise DataError(f"{root}: unknown class {', '.join(unknown)}; expected {', '.join(EMOTIONS)}")
    files: list[Path] = []
    labels: list[int] = []
    for index, emotion in enumerate(EMOTIONS):
        folder = root / emotion
        if not folder.is_dir():
            raise DataError(f"{folder}: missing; each of {', '.join(EMOTIONS)} needs a folder")
        pictures = sorted(f for f in folder.iterdir() if not f.name.startswith("."))
        if not whole:
            pictures = _half_of_test(pictures, split)
        if not pictures:
            raise DataError(f"{folder}: holds no image")
        files += pictures
        labels += [index] * len(pictures)
    encoded = ((str(f.relative_to(data_dir)), f.read_bytes() if f.is_file() else None) for f in files)
    images = _decode_all(encoded, len(files))
    return FaceDataset(images, np.array(labels, dtype=np.int64))


@cache  # a program reads its splits more than once
def _tell_halves(data_dir: Path) -> None:
    names = ", ".join(f"{name}/" for name in VALIDATION_FOLDERS)
    print(f"{data_dir}: none of {names} there: part of test/ is validation, the rest test", file=sys.stderr)


def _half_of_test(files: list[Path], split: str) -> list[Path]:
    public = [file for file in files if file.name.startswith(_PUBLIC)] or files[::2]
    return public if split == "validation" else sorted(set(files) - set(public))


def _decode_all(encoded: Iterable[tuple[str, bytes | None]], count: int) -> np.ndarray:
    images = np.empty((count, IMAGE_SIZE, IMAGE_SIZE), dtype=np.uint8)
    broken = []
    for i, (name, data) in enumerate(encoded):
        usable = np.frombuffer(data, np.uint8) if isinstance(data, bytes) else np.empty(0)
        image = cv2.imdecode(usable, cv2.IMREAD_GRAYSCALE) if usable.size else None
        if image is None:
            broken.append(name)
        else:
            images[i] = cv2.resize(image, (IMAGE_SIZE, IMAGE_SIZE), interpolation=cv2.INTER_AREA)
    _refuse_broken(None, broken)
    return images


def _refuse_broken(path: Path | None, broken: list[str]) -> None:
    if broken:
        named = ", ".join(broken[:10]) + (f" and {len(broken) - 10} more" if len(broken) > 10 else "")
        where = f"{path}: " if path else ""
        raise DataError(f"{where}{len(broken)} broken image{'s' * (len(broken) > 1)}: {named}; mend or remove them")


def _require_columns(path: Path, wanted: Sequence[str], found: Sequence[str]) -> None:
    missing = [name for name in wanted if name not in found]
    if missing:
        raise DataError(f"{path}: column {', '.join(missing)} missing; found {', '.join(found) or 'none'}")


def _label_indices(path: Path, names: list[str]) -> np.ndarray:
    unknown = sorted({str(name) for name in names} - set(EMOTIONS))
    if unknown:
        raise DataError(f"{path}: unknown emotion {', '.join(unknown)}; expected {', '.join(EMOTIONS)}")
    labels = np.array([EMOTIONS.index(name) for name in names], dtype=np.int64)
    _require_all_classes(path, labels)
    return labels


def _require_all_classes(path: Path, labels: np.ndarray) -> None:
    missing = [emotion for i, emotion in enumerate(EMOTIONS) if not (labels == i).any()]
    if missing:
        raise DataError(f"{path}: no image of class {', '.join(missing)}")
