"""What a model took to train, all that it was made from included."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

WATTS_PER_CORE = 15  # assumed for the estimate of energy; nothing was metered
WATTS_PER_GPU = 700  # likewise: what a large one may draw


def cost(training: Mapping[str, Any]) -> dict[str, Any]:
    """What a card says of time and energy."""
    environment, total = training["environment"], spent(training)
    gpu_minutes = total.get("gpu_minutes", 0)
    minutes = total["minutes"] - gpu_minutes
    # A run may have gone on elsewhere: the most cores that any part of it had.
    cores = max(place["cpu_count"] for place in (environment, *environment.get("resumed", ())))
    return {
        "hours": minutes / 60,
        "cores": cores,
        "core_hours": minutes / 60 * cores,
        "kilowatt_hours": (minutes * cores * WATTS_PER_CORE + gpu_minutes * WATTS_PER_GPU) / 60 / 1000,
        "watts_per_core": WATTS_PER_CORE,
        "gpu": total.get("gpu"),
        "gpu_minutes": gpu_minutes,
        "watts_per_gpu": WATTS_PER_GPU,
    }


def spent(training: Mapping[str, Any]) -> dict[str, Any]:
    """What a model's training took, with all that it rests on: runs that it began with, teachers, averaged runs.

    Args:
        training: the record of a model's `config.json`.

    Returns:
        `minutes`, and where some of them were on a GPU `gpu`, its name, and `gpu_minutes`, how many.
    """
    start = training.get("start") or {}
    # A start's minutes hold those of its teachers, and it may be a teacher itself.
    counted = {start.get("sha256"), *(one["sha256"] for one in start.get("teacher", ()) if "minutes" in one)}
    blend = training.get("blend") or {}
    parts = [start, *(one for one in training.get("teacher", ()) if one["sha256"] not in counted)]
    parts += [blend, *blend.get("averaged", ())]
    if training.get("base"):
        parts.append(spent(training["base"]))
    own = {"minutes": training.get("minutes", 0)}
    if training.get("environment", {}).get("gpu"):
        own |= {"gpu": training["environment"]["gpu"], "gpu_minutes": own["minutes"]}
    parts.append(own)
    total: dict[str, Any] = {"minutes": round(sum(part.get("minutes", 0) for part in parts), 1)}
    gpus = [part["gpu"] for part in parts if part.get("gpu")]
    if gpus:
        total |= {"gpu": gpus[-1], "gpu_minutes": round(sum(part.get("gpu_minutes", 0) for part in parts), 1)}
    return total
