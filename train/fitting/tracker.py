"""Live curves of a run."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from emotion_model.files import read_json, write_json

PROJECT = "emotion-cnn"  # of the tracker: all runs stand side by side in it


@contextmanager
def tracker(run_dir: Path, config: dict[str, Any], goes_on: bool) -> Iterator[Callable[[dict[str, float], int], None]]:
    """Where the live curves go: trackio, on this machine alone; `trackio show` opens them.

    Args:
        run_dir: folder of the run. Others elsewhere may be called alike, so it keeps a name of its own for the curves.
        config: of the run.
        goes_on: whether it is one that was stopped, whose curves go on too.

    Raises:
        ValueError: trackio is not installed.
    """
    try:
        import trackio
    except ImportError as error:
        raise ValueError("live curves need trackio: pip install -r requirements-train.txt") from error
    flat = config["architecture"] | config["training"] | config["training"]["augmentation"]
    kept = run_dir / "tracked.json"
    if not goes_on or not kept.exists():
        write_json(kept, {"name": f"{run_dir.name}-{secrets.token_hex(3)}"})
    name, resume = read_json(kept)["name"], "allow" if goes_on else "never"
    trackio.init(PROJECT, name=name, config=flat, resume=resume, embed=False, auto_log_cpu=False, auto_log_gpu=False)
    try:
        yield lambda values, step: trackio.log(values, step=step)
    finally:
        trackio.finish()
