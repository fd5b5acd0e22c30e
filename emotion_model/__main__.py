"""Command line of the package.

python -m emotion_model image PATH... [--json] [--save OUT] [--csv OUT]
python -m emotion_model video CLIP... [--annotated OUT] [--csv OUT] [--json OUT] [--vtt OUT] [--srt OUT] [--plot OUT]
    [--summary OUT] [--page OUT] [--zip OUT] [--fps N] ...
python -m emotion_model archive SOURCE... --out DIR [--rate N] [--workers N] [--address ADDRESS] [--annotated] ...
python -m emotion_model info [--json]
python -m emotion_model hub push|deploy|card ...

Installed, it is called `emotion-lens`.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from pathlib import Path

from emotion_model import DetectorError, EmotionDetector, ModelError, __version__
from emotion_model.commands import archive, image, info, video
from emotion_model.commands.results import EXIT_INTERRUPTED, EXIT_UNREAD, refused
from emotion_model.faces.detection import DETECTORS

COMMANDS = {"image": image, "video": video, "archive": archive, "info": info}


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit status: 0 all well, 1 some files failed, 2 nothing could be done, 130 interrupted, 141 nobody reads
        what is printed.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed, as by `>&-`
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 - open to the end
    try:
        status = _run(sys.argv[1:] if arguments is None else arguments)
        sys.stdout.flush()
    except OSError as error:
        if error.filename is not None:  # not of what is printed, which has no name
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # at its end Python flushes what is left
        if isinstance(error, BrokenPipeError):  # as behind `| head`
            return EXIT_UNREAD
        return refused(f"the results cannot be printed ({error.strerror}).")
    except KeyboardInterrupt:  # where no command waits for it, as while the model loads
        return EXIT_INTERRUPTED
    return status


def _run(arguments: list[str]) -> int:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names of files may hold bytes that are no text
            stream.reconfigure(errors="backslashreplace")
    if arguments[:1] == ["hub"]:
        from emotion_model.hub.command import main as hub

        return hub(arguments[1:])
    options, further = _parsed(arguments)
    if further:
        options.model += further
    if options.command == "archive":
        options.model = archive.from_root(options.model)
    try:
        detector = EmotionDetector.load(options.model or (), options.detector)
    except (ModelError, DetectorError, ValueError) as error:
        taken = f" Taken for models, as they stand behind --model: {', '.join(further)}; put paths before it."
        return refused(f"{error}" + (taken if further else ""))
    return COMMANDS[options.command].run(detector, options)


def _parsed(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """The options of a command line, and what is left over behind --model, further models: `--model A B`."""
    options, rest = command_parser().parse_known_args(arguments)
    if any(one.startswith("-") for one in rest) or (rest and not options.model):
        options.parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return options, rest


def command_parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    name = "emotion-lens" if sys.argv[0].endswith("emotion-lens") else "python -m emotion_model"
    parser = argparse.ArgumentParser(prog=name, description="See which of seven emotions each face shows.")
    parser.add_argument("--version", action="version", version=f"Emotion Lens {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    for command, module in COMMANDS.items():
        one = commands.add_parser(command, help=module.HELP)
        module.add_arguments(one)
        one.set_defaults(parser=one)
        one.add_argument(
            "--model",
            nargs=1,  # more would take the paths behind it for models
            action="extend",
            help="a .keras file, its folder or `bundled` (default: EMOTION_MODEL_REPO, else `bundled`); several, "
            "`--model A --model B` or behind everything else `--model A B`, are averaged",
        )
        one.add_argument("--detector", choices=DETECTORS, help="face detector (default: EMOTION_DETECTOR or auto)")
    commands.add_parser("hub", help="publish the model and the page on the Hugging Face Hub")
    return parser


if __name__ == "__main__":
    sys.exit(main())
