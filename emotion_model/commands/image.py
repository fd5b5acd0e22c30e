"""`image`: the emotion of every face in pictures."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from emotion_model import EmotionDetector, Face, ImageError, draw_faces, read_image
from emotion_model.album import album_note, album_rows, write_album
from emotion_model.commands.results import (
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_SOME_FAILED,
    identities,
    refused,
    require_free,
    require_parent,
    sources_of,
    status_of,
    targets_of,
    tell_failure,
)
from emotion_model.faces.images import register_heif
from emotion_model.files import place, spelled_out, whole_file
from emotion_model.interrupts import Interruption, interruptible

HELP = "tell the emotion of every face in pictures"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="picture files")
    parser.add_argument(
        "--json", action="store_true", help="print JSON, a list with one entry per picture that can be read"
    )
    parser.add_argument("--save", type=Path, metavar="OUT", help="write the annotated picture; a folder for several")
    parser.add_argument(
        "--csv", type=Path, metavar="OUT", help="write a table of all pictures, with a row for each face"
    )


def run(detector: EmotionDetector, options: argparse.Namespace) -> int:
    """Read the pictures and tell what their faces show; returns the exit status."""
    paths = sources_of(options.paths)
    try:
        outs = [options.save] if options.save else []
        targets = targets_of(paths, outs, lambda path: [_ending(path)] if outs else [])
        for target in chain(*targets):
            _require_format(target)
        if options.csv:
            _require_table(options.csv, paths, targets)
    except ValueError as error:
        return refused(error)
    emotions = detector.classifier.emotions
    results: list[dict[str, Any]] = []
    rows: list[list[Any]] = []
    done = unread = unsaved = 0
    write_table = partial(write_album, rows=rows, emotions=emotions)  # of the rows by then
    try:
        with interruptible(Interruption()) as interruption:
            for path, files in zip(paths, targets, strict=True):
                if interruption.stopped:
                    break
                done += 1
                try:
                    image = read_image(path)
                    faces = detector.detect(image)
                except (ImageError, OSError) as error:
                    unread += 1
                    tell_failure(path, error, _hint(path, error))
                    rows.append(album_note(spelled_out(str(path)), spelled_out(str(error)), emotions))
                    continue
                rows += album_rows(spelled_out(str(path)), faces, emotions)
                results.append({"file": str(path)} | detector.to_dict(image, faces))
                if not options.json:
                    print(f"{path}: {_sentence(faces)}")
                for target in files:
                    drawn = draw_faces(image, faces, detector.classifier.config.labels)
                    unsaved += not _saved(target, partial(_write_picture, image=drawn))
    except BrokenPipeError:  # nobody reads on what is printed; the table is asked for all the same
        if options.csv:
            _saved(options.csv, write_table)
        raise
    if options.csv:
        unsaved += not _saved(options.csv, write_table)
    if options.json:
        print(json.dumps(results, indent=1))  # ASCII, whatever can be printed here
    if done < len(paths):
        print(f"interrupted: {done} of {len(paths)} pictures were looked at", file=sys.stderr)
        return EXIT_INTERRUPTED
    status = status_of(unread, len(paths))
    return EXIT_SOME_FAILED if unsaved and status == EXIT_OK else status


def _hint(path: Path, error: Exception) -> str:
    """How to read what is no picture."""
    if isinstance(error.__cause__, IsADirectoryError):
        return f"Give its pictures, such as {path / '*.jpg'}, or read the folder with `archive`."
    from emotion_model.clips.container import ENDINGS  # loads what opens clips

    return "Clips are read with `video`." if path.suffix.lower() in ENDINGS else ""


def _ending(path: Path) -> str:
    return path.suffix if path.suffix.lower() in (".jpg", ".jpeg", ".webp") else ".png"


def _require_format(target: Path) -> None:
    register_heif()
    if Image.registered_extensions().get(target.suffix.lower()) not in Image.SAVE:
        raise ValueError(f"{target}: no picture can be saved in this format: use .png, .jpg or .webp.")


def _require_table(out: Path, sources: Sequence[Path], pictures: Sequence[Sequence[Path]]) -> None:
    if out.is_dir():
        raise ValueError(f"{out} is a folder: give the table a name, such as {out / 'faces.csv'}.")
    require_parent(out)
    require_free(out, identities(sources), {place(target) for target in chain(*pictures)})


def _write_picture(target: Path, image: np.ndarray) -> None:
    with whole_file(target) as unfinished:
        Image.fromarray(image).save(unfinished)


def _saved(target: Path, write: Callable[[Path], None]) -> bool:
    try:
        write(target)
    except Exception as error:  # encoders answer what they cannot write with many kinds
        tell_failure(target, OSError(f"cannot be saved ({getattr(error, 'strerror', None) or error})."))
        return False
    return True


def _sentence(faces: Sequence[Face]) -> str:
    return ", ".join(map(_told, faces)) or "no face found"


def _told(face: Face) -> str:
    if face.clear:
        return f"{face.emotion} {face.confidence:.0%}"
    return f"unclear ({' or '.join(f'{name} {probability:.0%}' for name, probability in face.likeliest)})"
