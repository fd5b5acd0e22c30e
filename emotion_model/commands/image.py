"""`image`: the emotion of every face in pictures."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from emotion_model import EmotionDetector, Face, ImageError, draw_faces, read_image
from emotion_model.commands.results import status_of, target_of, tell_failure
from emotion_model.files import whole_file

HELP = "tell the emotion of every face in pictures"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="picture files")
    parser.add_argument(
        "--json", action="store_true", help="print JSON, a list with one entry per picture that can be read"
    )
    parser.add_argument("--save", type=Path, metavar="OUT", help="write the annotated picture; a folder for several")


def run(detector: EmotionDetector, options: argparse.Namespace) -> int:
    """Read the pictures and tell what their faces show; returns the exit status."""
    results: list[dict[str, Any]] = []
    written: set[Path] = set()
    failed = 0
    for path in options.paths:
        try:
            image = read_image(path)
            faces = detector.detect(image)
            if options.save:
                suffix = path.suffix if path.suffix.lower() in (".jpg", ".jpeg", ".webp") else ".png"
                target = target_of(path, options.save, suffix, len(options.paths) > 1, written)
                _save(draw_faces(image, faces, detector.classifier.config.labels), target)
                written.add(target)
        except (ImageError, OSError) as error:
            failed += 1
            tell_failure(path, error)
            continue
        result = {"file": str(path)} | detector.to_dict(image, faces)
        results.append(result)
        if not options.json:
            print(f"{path}: {_sentence(faces)}")
    if options.json:
        print(json.dumps(results, indent=1, ensure_ascii=False))
    return status_of(failed, len(options.paths))


def _save(image: Any, target: Path) -> None:
    try:
        with whole_file(target) as partial:
            Image.fromarray(image).save(partial)
    except ValueError as error:
        raise ImageError("unreadable", f"{target}: unknown picture format; use .png, .jpg or .webp.") from error


def _sentence(faces: Sequence[Face]) -> str:
    return ", ".join(map(_told, faces)) or "no face found"


def _told(face: Face) -> str:
    if face.clear:
        return f"{face.emotion} {face.confidence:.0%}"
    return f"unclear ({' or '.join(f'{name} {probability:.0%}' for name, probability in face.likeliest)})"
