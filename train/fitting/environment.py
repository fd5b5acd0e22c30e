"""What a result depends on besides config and data, for the record of a run."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np

from emotion_model.files import read_json, write_json
from emotion_model.processes import usable_cores
from train.fitting.hardware import device_name


def environment() -> dict[str, Any]:
    """What a result depends on besides config and data: versions, hardware, commit."""
    backend = keras.backend.backend()
    commit = _git("rev-parse", "HEAD")
    return {
        "python": platform.python_version(),
        "keras": keras.__version__,
        "backend": backend,
        "backend_version": sys.modules[backend].__version__ if backend in sys.modules else None,
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu_count": usable_cores(),
        "gpu": device_name(),
        "commit": commit or None,
        "uncommitted_changes": bool(_git("status", "--porcelain")) if commit else None,
    }


def _git(*arguments: str) -> str:
    """What git prints about this checkout; nothing where there is none."""
    command = ["git", *arguments]
    try:
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    except OSError:  # no git on this machine
        return ""
    return done.stdout.strip()


def record_environment(path: Path, precision: str, goes_on: bool) -> None:
    """Write where a run begins; where it goes on elsewhere, add that to the list `resumed`."""
    now = environment() | {"precision": precision}
    if not goes_on or not path.exists():  # of one that ended before its first checkpoint nothing is part of this one
        write_json(path, now)
        return
    record = read_json(path)
    resumed = record.pop("resumed", [])
    if now != (resumed or [record])[-1]:
        resumed.append(now)
    write_json(path, record | ({"resumed": resumed} if resumed else {}))
