"""`video`: everybody's emotions over clips."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

import emotion_model
from emotion_model import EmotionDetector, ImageError, TrackingConfig
from emotion_model.clips.limits import MediaError
from emotion_model.commands.results import EXIT_INTERRUPTED, refused, sources_of, status_of, targets_of, tell_failure
from emotion_model.interrupts import interruptible
from emotion_model.timelines.clock import clock
from emotion_model.timelines.summary import ClipSummary

if TYPE_CHECKING:  # what reads clips is loaded when there is a clip to read, not by the other commands
    from emotion_model import VideoConfig, VideoOutputs, VideoReader, VideoRun

PROGRESS_BAR = "{desc}: {percentage:3.0f}%|{bar}| {elapsed} so far, {remaining} left"

# What `video` can write: its option, the ending of the file, what it is.
VIDEO_FILES = {
    "annotated": (".mp4", "the clip with boxes, emoji and labels"),
    "csv": (".csv", "a row per face and analysed frame"),
    "json": (".json", "the same rows as JSON"),
    "vtt": (".vtt", "subtitles with everybody's emotions, WebVTT; in the time of --annotated, if that is written too"),
    "srt": (".srt", "the same as SubRip"),
    "plot": (".png", "a picture of the timeline"),
    "summary": ("_summary.json", "shares of time, means, changes and peaks per person, as JSON"),
    "page": (".html", "all of it on one page, to look at, to print and to keep"),
    "zip": (".zip", "all the files that were asked for in one"),
}


HELP = "follow the emotions of every face in clips"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument(
        "paths",
        nargs="+",
        type=Path,
        metavar="CLIP",
        help="video files, GIFs, or folders with the pictures of a sequence",
    )
    for name, (_, what) in VIDEO_FILES.items():
        parser.add_argument(f"--{name}", type=Path, metavar="OUT", help=f"write {what}; a folder for several clips")
    parser.add_argument("--fps", type=float, metavar="N", help="analyse N frames per second (default: every frame)")
    parser.add_argument("--start", type=float, default=0.0, metavar="SECONDS", help="begin here")
    parser.add_argument("--end", type=float, metavar="SECONDS", help="end here")
    parser.add_argument(
        "--smoothing",
        type=float,
        metavar="SECONDS",
        help="time constant of the mean over time that is shown (default: 2; 0 shows each frame's own probabilities)",
    )
    parser.add_argument("--strip", action="store_true", help="draw a timeline along the bottom of the annotated clip")
    parser.add_argument(
        "--sequence-fps", type=float, default=25.0, metavar="N", help="frame rate of a folder of pictures (default: 25)"
    )


def run(detector: EmotionDetector, options: argparse.Namespace) -> int:
    """Follow the faces of the clips and write what was asked for; returns the exit status."""
    paths = sources_of(options.paths)
    try:
        smoothing = {} if options.smoothing is None else {"smoothing": options.smoothing}
        config = emotion_model.VideoConfig(
            rate=options.fps,
            start=options.start,
            end=options.end,
            strip=options.strip,
            tracking=TrackingConfig(**smoothing),
        )
        outs = {name: out for name in VIDEO_FILES if (out := getattr(options, name))}
        endings = [VIDEO_FILES[name][0] for name in outs]
        targets = targets_of(paths, list(outs.values()), lambda _: endings)
        wanted = [emotion_model.VideoOutputs(**dict(zip(outs, files, strict=True))) for files in targets]
    except ValueError as error:
        return refused(error)
    detector = emotion_model.video_detector(detector)
    failed = 0
    for path, outputs in zip(paths, wanted, strict=True):
        try:
            with emotion_model.VideoReader(path, sequence_rate=options.sequence_fps) as reader:
                done = _analyzed(reader, detector, outputs, config, path.name)
        except (MediaError, ImageError, OSError, ValueError) as error:
            failed += 1
            single = isinstance(error, MediaError) and error.code == "a_picture"
            tell_failure(path, error, "Pictures are read with `image`." if single else "")
            continue
        if done is None:
            print(f"{path}: interrupted before its first frame; nothing of it is kept", file=sys.stderr)
            return EXIT_INTERRUPTED
        print(f"{path}: {_clip_sentence(done.summary)}")
        if reader.notice:
            print(f"{path}: {reader.notice}", file=sys.stderr)
        if done.stopped:
            print(f"interrupted at {clock(done.summary.end)}; what was done until then is kept", file=sys.stderr)
            return EXIT_INTERRUPTED
    return status_of(failed, len(paths))


def _analyzed(
    reader: VideoReader, detector: EmotionDetector, outputs: VideoOutputs, config: VideoConfig, name: str
) -> VideoRun | None:
    """The run over a clip, at its end, with a progress bar on the way; None where it was stopped before a frame."""
    run = emotion_model.VideoRun(reader, detector, outputs, config)
    try:
        with (
            interruptible(run),  # to the very end: the drawing may lie far behind the analysis
            run,
            tqdm(total=100, desc=name, unit="%", disable=None, bar_format=PROGRESS_BAR) as bar,
        ):
            for progress in run:
                bar.update(progress.fraction * 100 - bar.n)
    except MediaError:
        if run.stopped and not run.summary.frames:
            return None
        raise
    return run


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
