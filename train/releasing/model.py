"""From the runs of a plan to a model: the mean of the best, exported, and what is recorded of it."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from emotion_model.faces.cropping import served_input
from emotion_model.files import digest_of, read_json, whole_file, write_json
from emotion_model.hub.card import CARD_FILE, model_card
from emotion_model.network.config import ModelConfig
from emotion_model.network.cost import origin, spent_side_by_side
from emotion_model.network.ensemble import EmotionEnsemble
from train.data.fer2013 import FaceDataset, load_split
from train.evaluation.report import make_report
from train.evaluation.scores import evaluate, print_progress, single_view_scores
from train.experiments.blending import Weights, greedy_soup
from train.exporting.model import export
from train.releasing.plan import Stage
from train.releasing.stages import Stages
from train.runs import load_model, load_served, write_run

MEAN = "mean"  # the run folder of the averaged weights
MODEL = "model"  # the folder of the exported model
RECORD = "release.json"


def make_model(stages: Stages, measure_test: bool = True) -> ModelConfig:
    """Average what ends the plan, export that with figures and card, and record how it came about.

    Raises:
        DataError: the data cannot be used.
        ModelError: a run cannot be loaded.
        ValueError: the weights are too large.
    """
    folder = stages.out / MODEL
    config = export(_average(stages), stages.data, folder, measure_test)
    record = config.training["release"] | {"correction": config.training["correction"], "scores": config.metrics}
    write_json(stages.out / RECORD, record)  # whole before what may take long, or lack a package or a teacher
    make_report(folder, stages.data)
    with whole_file(folder / CARD_FILE) as partial:
        partial.write_text(model_card(config), encoding="utf-8")
    ensemble = _measure_ensemble(stages, config.metrics)
    if ensemble:
        write_json(stages.out / RECORD, record | {"ensemble": ensemble})
    return config


def _average(stages: Stages) -> Path:
    """A greedy soup of the last stage's weights and those that it began with, as a run of its own.

    Its config and history are those of a run that is part of it: the last stage's first one, else the one before.
    """
    last, out = stages.plan.stages[-1], stages.out / MEAN
    before = stages.plan.of(last.start) if last.start else None
    candidates = [(last, seed) for seed in last.seeds] + ([(before, before.seeds[0])] if before else [])
    network, scores, soup = _soup([stages.folder(*one) for one in candidates], load_split(stages.data, "validation"))
    taken = {one["run"] for one in soup if one["taken"]}
    stage, seed = next(one for one in candidates if stages.folder(*one).name in taken)
    folder, record = stages.folder(stage, seed), _record(stages) | {"soup": soup}
    own = read_json(folder / "metrics.json")
    history = [{**entry, "epoch": number} for number, entry in enumerate(_history(stages, stage, seed), start=1)]
    write_run(
        network,
        folder,
        out,
        config={"release": record, "start": None, "teacher": None},
        history=history,
        metrics={
            "epochs": len(history),
            "best_epoch": len(history) - own["epochs"] + own["best_epoch"],  # whose weights are part of the mean
            "minutes": record["spent"]["minutes"],
            "validation": scores,
        },
    )
    return out


def _soup(folders: Sequence[Path], faces: FaceDataset) -> tuple[keras.Model, dict[str, Any], list[dict[str, Any]]]:
    """The greedy soup of runs: the network with its weights, its scores, and what was tried.

    Args:
        folders: of runs of one network.
        faces: those that decide.
    """
    runs = [load_model(folder) for folder in folders]
    network, emotions = runs[0].model, runs[0].emotions
    inputs = served_input(faces.images, network.input_shape[1])

    def scores_of(weights: Weights) -> dict[str, Any]:
        network.set_weights(weights)
        return single_view_scores(faces, network.predict(inputs, batch_size=256, verbose=0), emotions)

    weights, soup = greedy_soup(
        {folder.name: run.model.get_weights() for folder, run in zip(folders, runs, strict=True)},
        scores_of,
    )
    return network, scores_of(weights), soup


def _history(stages: Stages, stage: Stage, seed: int) -> list[dict[str, float]]:
    """The epochs of a run after those of the run that it began with."""
    before = stages.plan.of(stage.start) if stage.start else None
    earlier = _history(stages, before, before.seeds[0]) if before else []
    return earlier + read_json(stages.folder(stage, seed) / "history.json")


def _record(stages: Stages) -> dict[str, Any]:
    """Every run of the plan in one flat list, how far the last stage's lie apart, and what all of them took.

    That tells each run's share too, so that it counts once where the model meets one of them again.
    """
    runs, records, holds = [], [], dict[str, Any]()
    for stage in stages.plan.stages:
        for seed in stage.seeds:
            folder = stages.folder(stage, seed)
            read = {name: read_json(folder / f"{name}.json") for name in ("metrics", "environment", "history")}
            records.append(read)
            weights = folder / "model.keras"
            if weights.exists():  # runs may have been brought along without
                holds |= origin(digest_of(weights), read)["holds"]
            runs.append(_told(stage, seed, folder.name, read))
    last = [run for run in runs if run["stage"] == stages.plan.stages[-1].name]
    spread: dict[str, float | None] = {}
    for name in ("accuracy", "macro_f1"):
        scores = [run[name] for run in last]
        spread[f"{name}_mean"] = round(statistics.mean(scores), 4)
        spread[f"{name}_deviation"] = round(statistics.stdev(scores), 4) if len(scores) > 1 else None
    took = spent_side_by_side(records)
    took |= {name: round(took[name], 1) for name in ("minutes", "gpu_minutes") if name in took}
    return {"plan": stages.plan.name, "runs": runs, "last_stage": spread, "spent": took | {"holds": holds}}


def _told(stage: Stage, seed: int, name: str, read: Mapping[str, Any]) -> dict[str, Any]:
    """What is told of a run; `read`: its records."""
    metrics, environment = read["metrics"], read["environment"]
    places = (environment, *environment.get("resumed", ()))
    return {
        "run": name,
        "stage": stage.name,
        "seed": seed,
        "start": stage.start,
        "frozen_blocks": stage.frozen_blocks,
        "teachers": list(stage.teachers),
        "epochs": metrics["epochs"],
        "best_epoch": metrics["best_epoch"],
        "minutes": metrics["minutes"],
        "parameters": metrics["parameters"],
        "multiply_adds": metrics["multiply_adds"],
        "hardware": _one_after_another(
            place["gpu"] or f"{(cores := place['cpu_count'])} CPU core{'s' * (cores > 1)}" for place in places
        ),
        "backend": _one_after_another(place["backend"] for place in places),
        "precision": _one_after_another(place["precision"] for place in places),
        "accuracy": metrics["validation"]["accuracy"],
        "macro_f1": metrics["validation"]["macro_f1"],
    }


def _one_after_another(names: Iterable[str]) -> str:
    """What a run had where it began and where it went on, each once."""
    return ", then ".join(dict.fromkeys(names))


def _measure_ensemble(stages: Stages, splits: Iterable[str]) -> dict[str, Any]:
    """What the model and its teachers answer together, and what that costs; nothing without teachers or their weights.

    Runs that were made elsewhere may have been brought along without those.
    """
    teachers = {name for stage in stages.plan.stages for name in stage.teachers}
    folders = [folder for name in sorted(teachers) for folder in stages.folders(name)]
    lacking = [folder.name for folder in folders if not (folder / "model.keras").exists()]
    if lacking:
        print(f"left out what model and teachers answer together: no weights of {', '.join(lacking)} here", flush=True)
    if lacking or not folders:
        return {}
    members = [load_model(folder) for folder in folders]
    ensemble = EmotionEnsemble([load_served(stages.out / MODEL), *members])
    measured = {
        split: evaluate(ensemble, stages.data, split, progress=print_progress(f"ensemble, {split}")) for split in splits
    }
    brief = {
        split: {"accuracy": scores["accuracy"], "macro_f1": scores["macro_f1"], "flip": scores["flip"]}
        for split, scores in measured.items()
    }
    return {"members": len(ensemble.members), "multiply_adds": ensemble.config.weights["multiply_adds"]} | brief
