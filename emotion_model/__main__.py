"""Command line of the package.

python -m emotion_model image PATH... [--json] [--save OUT]
python -m emotion_model info
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from PIL import Image

from emotion_model import (
    DetectorError,
    EmotionClassifier,
    EmotionDetector,
    EmotionEnsemble,
    FaceDetector,
    ImageError,
    ModelError,
    draw_faces,
    read_image,
)
from emotion_model.detection import DETECTORS
from emotion_model.files import whole_file

EXIT_OK, EXIT_SOME_FAILED, EXIT_UNUSABLE = 0, 1, 2


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status: 0 all well, 1 some pictures failed, 2 nothing could be done."""
    parser = argparse.ArgumentParser(prog="python -m emotion_model", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    image = commands.add_parser("image", help="tell the emotion of every face in pictures")
    image.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="picture files")
    image.add_argument("--json", action="store_true", help="print JSON, a list with one entry per picture")
    image.add_argument("--save", type=Path, metavar="OUT", help="write the annotated picture; a folder for several")
    info = commands.add_parser("info", help="describe model and face detector as JSON")
    for command in (image, info):
        command.add_argument(
            "--model", nargs="+", help="a .keras file or its folder; several are averaged (default: the bundled model)"
        )
        command.add_argument("--detector", choices=DETECTORS, help="face detector (default: EMOTION_DETECTOR or auto)")
    options = parser.parse_args(arguments)
    try:
        classifier = _load(options.model)
        detector = EmotionDetector(classifier, FaceDetector(options.detector))
    except (ModelError, DetectorError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_UNUSABLE
    if detector.classifier.notice:
        print(detector.classifier.notice, file=sys.stderr)
    if detector.faces.notice:
        print(detector.faces.notice, detector.faces.fallback_reason, file=sys.stderr)
    return _info(detector) if options.command == "info" else _image(detector, options)


def _load(paths: list[str] | None) -> EmotionClassifier | EmotionEnsemble:
    """The model at these paths, their mean if there are several; without any, the one of the environment."""
    if not paths:
        return EmotionClassifier.from_environment()
    members = [EmotionClassifier.load(path) for path in paths]
    return members[0] if len(members) == 1 else EmotionEnsemble(members)


def _info(detector: EmotionDetector) -> int:
    classifier = detector.classifier
    values = {"source": classifier.source, "detector": detector.faces.name, "notice": detector.faces.notice}
    print(json.dumps(values | json.loads(classifier.config.to_json()), indent=1, ensure_ascii=False))
    return EXIT_OK


def _image(detector: EmotionDetector, options: argparse.Namespace) -> int:
    results: list[dict[str, Any]] = []
    written: set[Path] = set()
    failed = 0
    for path in options.paths:
        try:
            image = read_image(path)
            faces = detector.detect(image)
            if options.save:
                target = _target(path, options, written)
                if target.exists() and target.samefile(path):
                    raise ImageError("unreadable", f"{target} is the picture itself: save under another name.")
                _save(draw_faces(image, faces, detector.classifier.config.labels), target)
                written.add(target)
        except (ImageError, OSError) as error:
            failed += 1
            message = str(error) if str(path) in str(error) else f"{path}: {error}"
            print(f"error: {message}", file=sys.stderr)
            continue
        result = {"file": str(path)} | detector.to_dict(image, faces)
        results.append(result)
        if not options.json:
            print(f"{path}: {_sentence(result)}")
    if options.json:
        print(json.dumps(results, indent=1, ensure_ascii=False))
    return EXIT_OK if not failed else EXIT_UNUSABLE if failed == len(options.paths) else EXIT_SOME_FAILED


def _target(path: Path, options: argparse.Namespace, written: set[Path]) -> Path:
    """Where the annotated picture goes: OUT itself, or a file in the folder OUT."""
    out: Path = options.save
    if len(options.paths) > 1 or out.is_dir() or not out.suffix:
        out.mkdir(parents=True, exist_ok=True)
        suffix = path.suffix if path.suffix.lower() in (".jpg", ".jpeg", ".webp") else ".png"
        target = out / f"{path.stem}_emotions{suffix}"
        number = 2
        while target in written:  # a/face.jpg and b/face.jpg both want the same name
            target = out / f"{path.stem}_emotions_{number}{suffix}"
            number += 1
        return target
    return out


def _save(image: Any, target: Path) -> None:
    try:
        with whole_file(target) as partial:
            Image.fromarray(image).save(partial)
    except ValueError as error:
        raise ImageError("unreadable", f"{target}: unknown picture format; use .png, .jpg or .webp.") from error


def _sentence(result: dict[str, Any]) -> str:
    if not result["faces"]:
        return "no face found"
    return ", ".join(f"{face['emotion']} {face['confidence']:.0%}" for face in result["faces"])


if __name__ == "__main__":
    sys.exit(main())
