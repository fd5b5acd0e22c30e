"""What a model took to train, all that it was made from included."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

WATTS_PER_CORE = 15  # assumed for the estimate of energy; nothing was metered
WATTS_PER_GPU = 700  # likewise: what a large one may draw
UNITS = ("minutes", "gpu_minutes")  # of a record, the second ones among the first


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
    return _counted(training)[0]


def origin(sha256: str | None, training: Mapping[str, Any]) -> dict[str, Any]:
    """What a model's record says of another one that it began with, learned from or is averaged with: `sha256`, its
    digest; what it took, as `spent` has it; `holds`, what of that each model took by itself.

    By the last one, what two of them share counts once.
    """
    total, holds = _counted(training)
    record = {"sha256": sha256} | total
    return record | {"holds": holds | _alone(record, holds)}


def _counted(training: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a training took with all that it rests on, and of that each model by itself: digest -> minutes."""
    blend = training.get("blend") or {}
    parts = [training.get("start") or {}, *training.get("teacher", ()), blend, *blend.get("averaged", ())]
    if training.get("base"):
        total, holds = _counted(training["base"])
        parts.append(total | {"holds": holds})
    parts.append(_own(training))
    total, counted = dict.fromkeys(UNITS, 0.0), dict[str, Any]()
    for part in parts:
        holds = _holds(part)
        twice = [minutes for digest, minutes in holds.items() if digest in counted]
        total = {unit: value + _less(part, twice, unit) for unit, value in total.items()}
        counted = holds | counted
    gpus = [part["gpu"] for part in parts if part.get("gpu")]
    cores = [part["cores"] for part in parts if "cores" in part]
    return (
        {"minutes": round(total["minutes"], 1)}
        | ({"cores": max(cores)} if cores else {})
        | ({"gpu": gpus[-1], "gpu_minutes": round(total["gpu_minutes"], 1)} if gpus else {})
    ), counted


def _holds(part: Mapping[str, Any]) -> dict[str, Any]:
    """What each model in a record's minutes took by itself; an older record knows itself and its teachers alone."""
    if "holds" in part:
        return part["holds"]
    teachers: dict[str, Any] = {}
    for one in part.get("teacher", ()):
        if "minutes" in one:
            teachers |= _alone(one, {})
    return teachers | _alone(part, teachers)


def _alone(part: Mapping[str, Any], others: Mapping[str, Any]) -> dict[str, Any]:
    """What a model took without others that its minutes hold; nothing where it has no digest."""
    if not part.get("sha256"):
        return {}
    return {part["sha256"]: {unit: round(_less(part, others.values(), unit), 1) for unit in UNITS if unit in part}}


def _less(part: Mapping[str, Any], others: Iterable[Mapping[str, Any]], unit: str) -> float:
    return part.get(unit, 0) - sum(one.get(unit, 0) for one in others)


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
