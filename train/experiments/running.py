"""A run of a plan: begun as a program of its own, asked how it ended, compared with what the plan says now."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from train.config import Preset, differences
from train.data.fer2013 import digest, learning_faces
from train.flags import flags
from train.runs import recorded_config

ROOT = Path(__file__).parents[2]
STOPPED = (130, -signal.SIGINT, -signal.SIGTERM)  # how a run ends that was asked to stop, and has saved itself


def folder_of(out: Path, name: str, seed: int) -> Path:
    """The folder of a run."""
    return out / f"{name}-seed{seed}"


def command_of(
    preset: str, settings: Mapping[str, Any], seed: int, data: Path, out: Path, limit: int | None
) -> list[str]:
    """The command that makes one run, for anybody to repeat."""
    command = [sys.executable, "-m", "train", "--preset", preset, "--data", str(data), "--out", str(out)]
    command += ["--seed", str(seed)] + ([] if limit is None else ["--limit", str(limit)])
    return command + flags(settings)


def begin(command: Sequence[str], folder: Path) -> subprocess.Popen[bytes]:
    """Start the command of a run; what it prints goes to `log.txt` in the run's folder, after the command itself.

    Runs share the memory of a GPU, and what JAX compiled for one is not compiled again for the next in the same folder:
    nor is what takes less than the second from which on JAX would keep it, as there is much of that.
    """
    folder.mkdir(parents=True, exist_ok=True)
    compiled = {
        "JAX_COMPILATION_CACHE_DIR": str((folder.parent / "compiled").resolve()),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    environment = {"TF_FORCE_GPU_ALLOW_GROWTH": "true"} | compiled | os.environ
    with (folder / "log.txt").open("a") as log:
        log.write(f"$ {shlex.join(command)}\n")
        log.flush()
        return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, env=environment)


def last_line(log: Path) -> str:
    """The last that a run has printed."""
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "nothing was printed"


def data_digest(data: Path, limit: int | None) -> str:
    """What the record of a run of `command_of` says of its data.

    Raises:
        DataError: they cannot be used.
    """
    train, validation, _ = learning_faces(data)
    return digest(train if limit is None else train.sample(limit), validation)


def changed_settings(folder: Path, preset: Preset, data: str) -> list[str]:
    """In what a run, complete or not, differs from a network, its recipe and the digest of its data, for people."""
    found, expected = recorded_config(folder), preset.training.to_dict()
    learned = found.get("data", {})  # of which a run that began earlier tells less
    if not found["training"]["ferplus_weight"] and not learned.get("votes"):  # as in data without them
        expected["ferplus_weight"] = 0.0
    expected, architecture = json.loads(json.dumps([expected, preset.architecture.to_dict()]))
    changed = differences(found["architecture"], architecture) + differences(found["training"], expected)
    if learned.get("sha256", data) != data:
        changed.append("other faces, labels or votes than --data now has")
    return changed
