"""Your own pictures: a folder per emotion, photos of any size, faces found and cropped as the model is given them."""

from __future__ import annotations

import csv
import difflib
import hashlib
import sys
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np

from emotion_model.faces.cropping import crop_face
from emotion_model.faces.detection import FaceDetector
from emotion_model.faces.images import ImageError, read_image, to_grey
from emotion_model.files import digest_of, spelled_out, whole_file
from emotion_model.network.config import ModelConfig
from train.data.fer2013 import VALIDATION_FOLDERS, DataError, FaceDataset, resized

READY_CROP_SIDE = 100  # pixels; a picture up to this size without a detectable face is taken as a cropped face itself
FEWEST_PICTURES = 5  # of a class: one each to choose the epoch and to report on, the rest to learn from
NAMED_PICTURES = 10  # unusable ones that the terminal names; `pictures.csv` has them all
_SPLIT_NAMES = {"train", "training", "test", *VALIDATION_FOLDERS}  # folders of a data set, not of a class
_ALIKE = 0.75  # similarity of two names above which one is taken for a slip of the other

Faces = dict[str, tuple[np.ndarray | None, str]]  # sha256 of a file -> `crop` and `note` of a `Picture`, twin or not


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture file.

    Attributes:
        file: its path inside the folder that was given.
        emotion: the class that its folder names; "" where it lies in no class's folder.
        crop: its face, uint8 grey `(size, size)`; None where it is unusable.
        note: why it is unusable, or what was unusual about it; "" for an ordinary one.
        split: `train`, `validation` or `held_out`; "" before `with_splits` and for an unusable one.
        sha256: of the file; "" where it cannot be read.
    """

    file: str
    emotion: str
    crop: np.ndarray | None
    note: str = ""
    split: str = ""
    sha256: str = ""


def class_folders(folder: Path, known: Collection[str]) -> dict[str, list[Path]]:
    """The folders of each class, by the name that the model knows it by; else a new class, in lower case.

    Raises:
        DataError: no such folder, none in it, a name that is no UTF-8, or one that is probably not meant: a data set's
            split, or a slip such as `anger` where `angry` is known.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; give one that holds a folder of pictures per emotion")
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.name.startswith((".", "_")):
            if spelled_out(path.name) != path.name:
                raise DataError(f"{spelled_out(str(path))}: the name of this folder is no UTF-8: rename it")
            found.setdefault(class_named(path.name, known), []).append(path)
    if not found:
        raise DataError(f"{folder}: holds no folder; put the pictures into one per emotion, such as happy/ and sad/")
    if splits := _SPLIT_NAMES & set(found):
        raise DataError(
            f"{folder}: {' and '.join(sorted(splits))} are no emotions; give a folder that holds a folder per emotion, "
            f"such as {folder / min(splits)}"
        )
    plain = {_plain(name): name for name in known}
    for name in sorted(set(found) - set(known)):
        alike = difflib.get_close_matches(name, plain, 1, _ALIKE) or [k for k in plain if name.startswith(k[:4])]
        if alike:
            raise DataError(
                f"{found[name][0]}: the model has no class {name}, but {plain[alike[0]]}: rename the folder to that, "
                "or, for a class of its own, to a name that is less alike"
            )
    return found


def class_named(name: str, known: Collection[str]) -> str:
    """The known class that is meant, in whatever case and Unicode form it is written; else the name in lower case."""
    same = (one for one in known if _plain(one) == _plain(name))
    return next(same, unicodedata.normalize("NFC", name.strip()).lower())


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name.strip().casefold())


def picture_files(places: Iterable[Path]) -> list[Path]:
    """The files in the folders of a class, at any depth; hidden files and folders are left out."""
    return [
        file
        for place in places
        for file in sorted(place.rglob("*"))
        if file.is_file() and not any(part.startswith(".") for part in file.relative_to(place).parts)
    ]


def require_enough(counts: Mapping[str, int]) -> None:
    """Refuse too few pictures to learn from; `counts`: how many each class has.

    Raises:
        DataError: a class has too few, or there is only one class.
    """
    poor = [f"{name} {count}" for name, count in sorted(counts.items()) if count < FEWEST_PICTURES]
    if poor:
        raise DataError(
            f"too few usable pictures: {', '.join(poor)}; each class needs {FEWEST_PICTURES}: add some, or remove "
            "the folder"
        )
    if len(counts) < 2:
        raise DataError(f"pictures of {', '.join(counts) or 'no class'} only: give at least two classes to tell apart")


def read_pictures(
    folder: Path,
    folders: Mapping[str, Sequence[Path]],
    detector: FaceDetector,
    config: ModelConfig,
    known: Faces | None = None,
) -> list[Picture]:
    """Read every picture and cut out its largest face as `EmotionDetector` does; what lies elsewhere is named last.

    A picture of up to 100 pixels a side in which no face is found is taken as a face that is cropped already. Of
    pictures with pixel for pixel the same crop one is used, and none where they stand in different classes.

    Args:
        folder: what the pictures' names are relative to.
        folders: where the pictures of each class lie; see `picture_files`.
        detector: finds the faces.
        config: framing and size of the crops.
        known: faces that were found before; those of other files are added.
    """
    known = {} if known is None else known
    files = [(file, emotion) for emotion, places in sorted(folders.items()) for file in picture_files(places)]
    progress = keras.utils.Progbar(len(files), verbose=int(sys.stdout.isatty()), unit_name="picture")
    pictures = []
    for file, emotion in files:
        sha256 = _sha256(file)
        found = known.get(sha256) or _face(file, detector, config)
        if sha256:
            known[sha256] = found
        # Of a name that is no UTF-8, as old archives leave them, the odd bytes are spelled out.
        name = spelled_out(file.relative_to(folder).as_posix())
        pictures.append(Picture(name, emotion, *found, sha256=sha256))
        progress.add(1)
    same: dict[bytes, list[Picture]] = {}
    for picture in pictures:
        if picture.crop is not None:
            same.setdefault(picture.crop.tobytes(), []).append(picture)
    pictures = [one if one.crop is None else _unless_twin(one, same[one.crop.tobytes()]) for one in pictures]
    return pictures + _strays(folder)


def _strays(folder: Path) -> list[Picture]:
    """The files and folders beside the classes' folders, but for hidden ones."""
    strays = []
    for path in sorted(folder.iterdir()):
        name = spelled_out(path.name)
        if path.is_dir() and name.startswith("_"):
            strays.append(Picture(f"{name}/", "", None, "folders that begin with _ are left out"))
        elif not path.is_dir() and not name.startswith("."):
            strays.append(Picture(name, "", None, "lies in no class's folder"))
    return strays


def _sha256(file: Path) -> str:
    """That of a file; "" where it cannot be read, of which `read_image` says more."""
    try:
        return digest_of(file)
    except OSError:
        return ""


def found_by(detector: FaceDetector, config: ModelConfig) -> str:
    """What the faces that are found in a picture depend on, as text."""
    return f"{detector.name} {config.framing_of(detector.name)} {config.image_size}"


def save_faces(path: Path, faces: Faces, how: str) -> None:
    """Keep what was found, and how (`found_by`).

    So it need not be looked for again, where it might be found a little otherwise.
    """
    crops = [crop for crop, _ in faces.values() if crop is not None]
    with whole_file(path) as partial:
        np.savez(
            partial,
            sha256=np.array(list(faces)),
            notes=np.array([note for _, note in faces.values()]),
            usable=np.array([crop is not None for crop, _ in faces.values()]),
            crops=np.array(crops, np.uint8),
            how=how,
        )


def load_faces(path: Path, how: str | None = None) -> Faces:
    """What `save_faces` has kept; none where they were to be found as `how` says and were not."""
    with np.load(path, allow_pickle=False) as file:
        if how is not None and file["how"] != how:
            return {}
        crops = iter(file["crops"])
        rows = zip(file["sha256"].tolist(), file["usable"], file["notes"].tolist(), strict=True)
        return {sha256: (next(crops) if usable else None, note) for sha256, usable, note in rows}


def _face(file: Path, detector: FaceDetector, config: ModelConfig) -> tuple[np.ndarray | None, str]:
    """The crop of a picture's largest face, if there is one, and what is to say about it."""
    try:
        image = read_image(file)
    except ImageError as error:
        return None, str(error)
    found, grey = detector.detect(image), to_grey(image)
    if found:
        framing = config.framing_of(detector.name)
        crop = crop_face(grey, found[0].box, found[0].landmarks, framing, config.image_size, found[0].turn)
        return crop, "several faces: the largest is used" if len(found) > 1 else ""
    if max(grey.shape) <= READY_CROP_SIDE:
        return resized([grey], config.image_size)[0], "no face found, but small: taken as a cropped face"
    return None, "no face found"


def _unless_twin(picture: Picture, twins: Sequence[Picture]) -> Picture:
    other = next((twin for twin in twins if twin.emotion != picture.emotion), None)
    if other:
        return replace(picture, crop=None, note=f"the same face stands in another class: {other.file}")
    return picture if picture is twins[0] else replace(picture, crop=None, note=f"the same face as {twins[0].file}")


def with_splits(pictures: Sequence[Picture], classes: Collection[str], held_out: float, seed: int) -> list[Picture]:
    """The pictures with their splits: of each class a share is held out for the report, as much again validates.

    The files' own digests decide, so that a picture hardly ever changes sides when others are added, nor where another
    machine crops its face a little otherwise: whoever tunes the tuned model further is to be told of faces that it has
    not learned from.

    Raises:
        DataError: a class with too few usable pictures, or only one class.
    """
    by_class: dict[str, list[tuple[bytes, str]]] = {name: [] for name in sorted(classes)}
    for picture in pictures:
        if picture.crop is not None:
            drawn = hashlib.sha256(f"{seed} {picture.sha256}".encode()).digest()
            by_class[picture.emotion].append((drawn, picture.file))
    require_enough({name: len(files) for name, files in by_class.items()})
    splits = {}
    for files in by_class.values():
        count = max(1, round(held_out * len(files)))
        for place, (_, file) in enumerate(sorted(files)):
            splits[file] = "held_out" if place < count else "validation" if place < 2 * count else "train"
    return [replace(picture, split=splits.get(picture.file, "")) for picture in pictures]


def dataset(pictures: Iterable[Picture], split: str, emotions: tuple[str, ...]) -> FaceDataset:
    """The faces of one split, labelled by their place in `emotions`."""
    chosen = [picture for picture in pictures if picture.split == split]
    labels = np.array([emotions.index(picture.emotion) for picture in chosen])
    return FaceDataset(np.stack([picture.crop for picture in chosen]), labels, emotions=emotions)  # type: ignore[misc]


def digest(pictures: Iterable[Picture]) -> str:
    """Sha256 of every file that is trained and measured on, and of what for."""
    result = hashlib.sha256()
    for picture in pictures:
        if picture.crop is not None:
            result.update(f"{picture.split}/{picture.emotion}/{picture.file} {picture.sha256}\n".encode())
    return result.hexdigest()


def write_list(path: Path, pictures: Iterable[Picture]) -> None:
    """Write a CSV with a line per picture, and for what lies beside the classes' folders: `file,class,status,note`."""
    with whole_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("file", "class", "status", "note"))
        for one in pictures:
            writer.writerow(
                (one.file, one.emotion, "unusable" if one.crop is None else one.split or "usable", one.note)
            )


def _named(names: Sequence[str]) -> str:
    more = len(names) - NAMED_PICTURES
    return ", ".join(names[:NAMED_PICTURES]) + (f" and {more} more" if more > 0 else "")


def summary(pictures: Sequence[Picture], list_path: Path) -> str:
    """How many pictures are usable, and which are not, for the terminal."""
    strays = [picture for picture in pictures if not picture.emotion]
    pictures = [picture for picture in pictures if picture.emotion]
    unusable = [picture for picture in pictures if picture.crop is None]
    counts = Counter(picture.emotion for picture in pictures if picture.crop is not None)
    named = ", ".join(f"{count} {name}" for name, count in counts.items()) or "none"
    lines = [f"{len(pictures)} pictures, {len(pictures) - len(unusable)} usable: {named}"]
    lines += [f"  not used: {picture.file}: {picture.note}" for picture in unusable[:NAMED_PICTURES]]
    if len(unusable) > NAMED_PICTURES:
        lines.append(f"  and {len(unusable) - NAMED_PICTURES} more: see {list_path}")
    if strays:
        lines.append(f"  left out beside the folders of the classes: {_named([one.file for one in strays])}")
    notes = Counter(picture.note for picture in pictures if picture.note and picture.crop is not None)
    lines += [f"  {count} used: {note}" for note, count in notes.most_common()]
    return "\n".join(lines)
