"""Command line of the package.

python -m emotion_model image PATH... [--json] [--save OUT]
python -m emotion_model video CLIP... [--csv OUT] [--json OUT] [--annotated OUT] [--vtt OUT] [--plot OUT] [--fps N]
python -m emotion_model info
python -m emotion_model hub push|deploy|card ...
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm import tqdm

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
from emotion_model.clips.reading import MediaError, VideoReader, clock
from emotion_model.clips.run import VideoConfig, VideoOutputs, VideoRun, video_detector
from emotion_model.faces.detection import DETECTORS
from emotion_model.files import whole_file
from emotion_model.timelines.summary import ClipSummary
from emotion_model.timelines.tracking import TrackingConfig

EXIT_OK, EXIT_SOME_FAILED, EXIT_UNUSABLE, EXIT_INTERRUPTED = 0, 1, 2, 130

PROGRESS_BAR = "{desc}: {percentage:3.0f}%|{bar}| {elapsed} so far, {remaining} left"

# What `video` can write: its option, the ending of the file, what it is.
VIDEO_FILES = {
    "annotated": (".mp4", "the clip with boxes, emoji and labels"),
    "csv": (".csv", "a row per face and analysed frame"),
    "json": (".json", "the same rows as JSON"),
    "vtt": (".vtt", "subtitles with everybody's emotions, WebVTT"),
    "srt": (".srt", "the same as SubRip"),
    "plot": (".png", "picture of the timeline"),
    "summary": ("_summary.json", "shares of time, means, changes and peaks per person"),
    "zip": (".zip", "all the files that were asked for in one"),
}


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit status: 0 all well, 1 some files failed, 2 nothing could be done, 130 interrupted.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["hub"]:
        from emotion_model.hub.push import main as hub

        return hub(arguments[1:])
    parser = argparse.ArgumentParser(prog="python -m emotion_model", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    image = commands.add_parser("image", help="tell the emotion of every face in pictures")
    image.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="picture files")
    image.add_argument("--json", action="store_true", help="print JSON, a list with one entry per picture")
    image.add_argument("--save", type=Path, metavar="OUT", help="write the annotated picture; a folder for several")
    video = commands.add_parser("video", help="follow the emotions of every face in clips")
    video.add_argument(
        "paths",
        nargs="+",
        type=Path,
        metavar="CLIP",
        help="video files, GIFs, or folders with the pictures of a sequence",
    )
    for name, (_, what) in VIDEO_FILES.items():
        video.add_argument(f"--{name}", type=Path, metavar="OUT", help=f"write {what}; a folder for several clips")
    video.add_argument("--fps", type=float, metavar="N", help="analyse N frames per second (default: every frame)")
    video.add_argument("--start", type=float, default=0.0, metavar="SECONDS", help="begin here")
    video.add_argument("--end", type=float, metavar="SECONDS", help="end here")
    video.add_argument("--smoothing", type=float, metavar="SECONDS", help="time constant (default: 0.2; 0 is raw)")
    video.add_argument("--strip", action="store_true", help="draw a timeline along the bottom of the annotated clip")
    video.add_argument(
        "--sequence-fps", type=float, default=25.0, metavar="N", help="frame rate of a folder of pictures (default: 25)"
    )
    info = commands.add_parser("info", help="describe model and face detector as JSON")
    commands.add_parser("hub", help="publish the model and the page on the Hugging Face Hub")
    for command in (image, video, info):
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
    for part in (detector.classifier, detector.faces):
        if part.notice:
            print(part.notice, part.fallback_reason, file=sys.stderr)
    return {"info": _info, "image": _image, "video": _video}[options.command](detector, options)


def _load(paths: list[str] | None) -> EmotionClassifier | EmotionEnsemble:
    """The model at these paths, their mean if there are several; without any, the one of the environment."""
    if not paths:
        return EmotionClassifier.from_environment()
    members = [EmotionClassifier.load(path) for path in paths]
    return members[0] if len(members) == 1 else EmotionEnsemble(members)


def _info(detector: EmotionDetector, _: argparse.Namespace) -> int:
    classifier = detector.classifier
    notice = " ".join(part.notice for part in (classifier, detector.faces) if part.notice)
    values = {"source": classifier.source, "detector": detector.faces.name, "notice": notice}
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
                suffix = path.suffix if path.suffix.lower() in (".jpg", ".jpeg", ".webp") else ".png"
                target = _target(path, options.save, suffix, len(options.paths) > 1, written)
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


def _target(path: Path, out: Path, suffix: str, several: bool, written: set[Path]) -> Path:
    """Where a result goes: OUT itself, or a file in the folder OUT; never the source, never two under one name."""
    target = out
    if several or out.is_dir() or not out.suffix:
        out.mkdir(parents=True, exist_ok=True)
        target = out / f"{path.stem}_emotions{suffix}"
        number = 2
        while target in written:  # a/face.jpg and b/face.jpg both want the same name
            target = out / f"{path.stem}_emotions_{number}{suffix}"
            number += 1
    if target.exists() and target.samefile(path):
        raise ImageError("unreadable", f"{target} is the source itself: save under another name.")
    return target


def _save(image: Any, target: Path) -> None:
    try:
        with whole_file(target) as partial:
            Image.fromarray(image).save(partial)
    except ValueError as error:
        raise ImageError("unreadable", f"{target}: unknown picture format; use .png, .jpg or .webp.") from error


def _video(detector: EmotionDetector, options: argparse.Namespace) -> int:
    try:
        smoothing = {} if options.smoothing is None else {"smoothing": options.smoothing}
        config = VideoConfig(options.fps, options.start, options.end, options.strip, TrackingConfig(**smoothing))
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_UNUSABLE
    detector = video_detector(detector)
    written: set[Path] = set()
    failed = 0
    for path in options.paths:
        try:
            targets = {
                name: _target(path, out, suffix, len(options.paths) > 1, written)
                for name, (suffix, _) in VIDEO_FILES.items()
                if (out := getattr(options, name))
            }
            with (
                VideoReader(path, sequence_rate=options.sequence_fps) as reader,
                VideoRun(reader, detector, VideoOutputs(**targets), config) as run,
                _interruptible(run),
                tqdm(total=100, desc=path.name, unit="%", disable=None, bar_format=PROGRESS_BAR) as bar,
            ):
                for progress in run:
                    bar.update(progress.fraction * 100 - bar.n)
        except (MediaError, ImageError, OSError, ValueError) as error:
            failed += 1
            message = str(error) if str(path) in str(error) else f"{path}: {error}"
            print(f"error: {message}", file=sys.stderr)
            continue
        written |= set(targets.values())
        print(f"{path}: {_clip_sentence(run.summary)}")
        if run.stopped:
            print(f"interrupted at {clock(run.summary.end)}; what was done until then is kept", file=sys.stderr)
            return EXIT_INTERRUPTED
    return EXIT_OK if not failed else EXIT_UNUSABLE if failed == len(options.paths) else EXIT_SOME_FAILED


@contextmanager
def _interruptible(run: VideoRun) -> Iterator[None]:
    """Ctrl-C, or a polite kill, ends the run with whole files; a second one ends it at once, without."""

    def stop(number: int, _: object) -> None:
        if run.stopped:
            raise KeyboardInterrupt
        run.stop()

    before = [(one, signal.signal(one, stop)) for one in (signal.SIGINT, signal.SIGTERM)]
    try:
        yield
    finally:
        for one, handler in before:
            signal.signal(one, handler)


def _clip_sentence(summary: ClipSummary) -> str:
    people = summary.people
    if not people:
        return f"no face in {summary.frames} frames"
    lines = [f"{len(people)} {'person' if len(people) == 1 else 'people'} in {summary.frames} frames"]
    for person in people:
        shares = sorted(person.shares.items(), key=lambda item: -item[1])
        told = ", ".join(f"{emotion} {seconds / person.seconds:.0%}" for emotion, seconds in shares)
        changes = f"{person.changes} change{'' if person.changes == 1 else 's'}"
        lines.append(f"  person {person.number}, {clock(person.first)} to {clock(person.last)}: {told}; {changes}")
    return "\n".join(lines)


def _sentence(result: dict[str, Any]) -> str:
    if not result["faces"]:
        return "no face found"
    return ", ".join(f"{face['emotion']} {face['confidence']:.0%}" for face in result["faces"])


if __name__ == "__main__":
    sys.exit(main())
