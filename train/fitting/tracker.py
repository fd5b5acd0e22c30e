"""Live curves of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROJECT = "emotion-cnn"  # of the tracker: all runs stand side by side in it


@contextmanager
def tracker(run_dir: Path, config: dict[str, Any]) -> Iterator[Callable[[dict[str, float], int], None]]:
    """Where the live curves go: trackio, on this machine alone; `trackio show` opens them."""
    try:
        import trackio
    except ImportError as error:
        raise ValueError("live curves need trackio: pip install -r requirements-train.txt") from error
    flat = config["architecture"] | config["training"] | config["training"]["augmentation"]
    trackio.init(
        PROJECT, name=run_dir.name, config=flat, resume="allow", embed=False, auto_log_cpu=False, auto_log_gpu=False
    )
    try:
        yield lambda values, step: trackio.log(values, step=step)
    finally:
        trackio.finish()
