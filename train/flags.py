"""The flags of `python -m train`: one for every setting, and settings written as flags."""

from __future__ import annotations

import argparse
import contextlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emotion_model.network.architecture import POOLINGS
from train.config import CHOICES, PRESETS, meanings, settings

_CHOICES = CHOICES | {"pooling": POOLINGS}


def command_parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m train",
        description="Train an emotion network on FER2013.",
    )
    parser.add_argument("--data", type=Path, help="folder with FER2013 as Parquet, CSV or image folders")
    parser.add_argument(
        "--preset", choices=sorted(PRESETS), default="compact", help="network and recipe (default: compact)"
    )
    parser.add_argument("--out", type=Path, help="run folder; a stopped run found there goes on")
    parser.add_argument(
        "--start", metavar="MODEL", help="begin with the weights of `bundled`, an exported model or a finished run"
    )
    parser.add_argument(
        "--frozen-blocks",
        type=int,
        default=0,
        metavar="N",
        help="with --start: the first N blocks keep their weights, which makes an epoch shorter",
    )
    parser.add_argument(
        "--teacher",
        nargs="+",
        default=[],
        metavar="MODEL",
        help="`bundled`, exported models or finished runs; their mean probabilities are learned too, by the share "
        "--distillation; with --device-augmentation they are asked about each face as it was varied",
    )
    parser.add_argument("--limit", type=int, help="use only this many training faces, for a quick try")
    parser.add_argument("--track", action="store_true", help="show the curves live: `trackio show` opens them")
    parser.add_argument(
        "--summary", action="store_true", help="print parameters, multiply-adds and settings as JSON and end"
    )
    _add_setting_flags(parser)
    return parser


def _add_setting_flags(parser: argparse.ArgumentParser) -> None:
    """A flag for every setting; what is not given is None."""
    group = parser.add_argument_group(
        "settings, instead of the preset's",
        "In brackets: what the reference has, the preset `seed`. The default, `compact`, differs: see --summary.",
    )
    defaults = settings()
    for name, meaning in meanings().items():
        default = defaults[name]
        options: dict[str, Any] = {"dest": name, "default": None, "help": f"{meaning} ({_written(default)})"}
        if isinstance(default, bool):
            options["action"] = argparse.BooleanOptionalAction
        elif name == "kernel_sizes":
            options |= {"nargs": "+", "type": _kernels, "metavar": "K,K"}
        elif isinstance(default, tuple):
            options |= {"nargs": "*", "type": type(default[0]), "metavar": name[0].upper()}
        else:
            options |= {"type": type(default), "choices": _CHOICES.get(name)}
            options |= {} if name in _CHOICES else {"metavar": "N" if isinstance(default, int) else "X"}
        group.add_argument(flag(name), **options)


def flag(name: str) -> str:
    """The command line's name of a setting."""
    return "--" + name.replace("_", "-")


def flags(changes: Mapping[str, Any]) -> list[str]:
    """Settings as the command line takes them."""
    words: list[str] = []
    for name, value in changes.items():
        if isinstance(value, bool):
            words.append(flag(name) if value else flag("no_" + name))
        elif isinstance(value, list):
            words.append(flag(name))
            words += [",".join(map(str, item)) if isinstance(item, list) else str(item) for item in value]
        else:
            words += [flag(name), str(value)]
    return words


def require_flags(changes: Mapping[str, Any]) -> None:
    """Refuse settings that `python -m train` would not understand.

    Raises:
        ValueError: with what it says.
    """
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            command_parser().parse_args(flags(changes))
    except SystemExit:
        raise ValueError(said.getvalue().strip().splitlines()[-1].partition("error: ")[2]) from None


def _kernels(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text}: write a block's kernels with commas, such as 3,5") from None


def _written(value: Any) -> str:
    """A default as its flag takes it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if not isinstance(value, tuple):
        return str(value)
    return " ".join(",".join(map(str, one)) if isinstance(one, tuple) else str(one) for one in value)
