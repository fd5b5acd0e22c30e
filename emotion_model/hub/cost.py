"""What a model took to train, all that it was made from included."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

WATTS_PER_CORE = 15  # assumed for the estimate of energy; nothing was metered
WATTS_PER_GPU = 700  # likewise: what a large one may draw


def cost(training: Mapping[str, Any]) -> dict[str, Any]:
    """What a card says of time and energy."""
    total = spent(training)
    gpu_minutes = total.get("gpu_minutes", 0)
    minutes = round(total["minutes"] - gpu_minutes, 1)
    cores = total.get("cores", training["environment"]["cpu_count"])
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
        `minutes`; where some of them were on a GPU `gpu`, its name, and `gpu_minutes`, how many; where some were not,
        `cores`, the most that any part had, as far as records tell.
    """
    start = training.get("start") or {}
    # A start's minutes hold those of its teachers, and it may be a teacher itself.
    counted = {start.get("sha256"), *(one["sha256"] for one in start.get("teacher", ()) if "minutes" in one)}
    blend = training.get("blend") or {}
    parts = [start, *(one for one in training.get("teacher", ()) if one["sha256"] not in counted)]
    parts += [blend, *blend.get("averaged", ())]
    if training.get("base"):
        parts.append(spent(training["base"]))
    parts.append(_own(training))
    total: dict[str, Any] = {"minutes": round(sum(part.get("minutes", 0) for part in parts), 1)}
    if cores := [part["cores"] for part in parts if "cores" in part]:
        total["cores"] = max(cores)
    gpus = [part["gpu"] for part in parts if part.get("gpu")]
    if gpus:
        total |= {"gpu": gpus[-1], "gpu_minutes": round(sum(part.get("gpu_minutes", 0) for part in parts), 1)}
    return total


def _own(training: Mapping[str, Any]) -> dict[str, Any]:
    """What a training itself took; older records say of how many minutes alone."""
    if "spent" in (training.get("release") or ()):
        return dict(training["release"]["spent"])
    history = training.get("history") or []
    if not any("ended" in epoch for epoch in history):
        history = [{"seconds": 60 * training.get("minutes", 0)}]
    return spent_side_by_side([{"history": history, "environment": training.get("environment", {})}])


def spent_side_by_side(runs: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What runs took, as `spent` has it, but not rounded. Those that trained at the same time shared a machine: that
    time counts once, for GPUs and for processors.

    Args:
        runs: `history` and `environment` of each.
    """
    spans: dict[bool, list[tuple[float, float]]] = {True: [], False: []}  # on a GPU or not: from when to when
    gpus, cores, earlier = [], [], 0.0
    for run in runs:
        environment = run["environment"]
        places = (environment, *environment.get("resumed", ()))
        gpus += [place["gpu"] for place in places if place.get("gpu")]
        cores += [place["cpu_count"] for place in places if "cpu_count" in place and not place.get("gpu")]
        for epoch in run["history"]:
            if "ended" not in epoch:  # an older record: each epoch by itself, before all others, where its run began
                earlier -= epoch["seconds"]
            ended = epoch.get("ended", earlier + epoch["seconds"])
            spans[bool(epoch.get("on_gpu", environment.get("gpu")))].append((ended - epoch["seconds"], ended))
    minutes = {on_gpu: _covered(some) / 60 for on_gpu, some in spans.items()}
    result: dict[str, Any] = {"minutes": sum(minutes.values())}
    if minutes[False] and cores:
        result["cores"] = max(cores)
    if minutes[True]:
        result |= {"gpu": gpus[-1], "gpu_minutes": minutes[True]}
    return result


def _covered(spans: Iterable[tuple[float, float]]) -> float:
    """Seconds in which at least one of the spans lies."""
    total, until = 0.0, float("-inf")
    for begun, ended in sorted(spans):
        total += max(0.0, ended - max(begun, until))
        until = max(until, ended)
    return total
