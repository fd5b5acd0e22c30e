import itertools
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from huggingface_hub import ModelCard
from PIL import Image

from emotion_model import EMOTIONS, Label, ModelConfig, ModelError
from emotion_model.faces.cropping import network_input
from emotion_model.hub.card import model_card, tendencies
from emotion_model.hub.command import main
from emotion_model.network.config import BUNDLED_DIR, CONFIG_FILE
from emotion_model.network.cost import origin, spent, spent_side_by_side
from support.hub_server import check_metadata


@pytest.fixture
def config():
    return ModelConfig.from_json((BUNDLED_DIR / CONFIG_FILE).read_text(encoding="utf-8"))


def test_the_card_carries_the_measured_scores_and_nothing_unfilled(config):
    text = model_card(config)
    assert "{{" not in text and "{%" not in text and "None" not in text
    test = config.metrics["test"]
    assert f"{100 * test['accuracy']:.2f} %" in text and f"{test['macro_f1']:.4f}" in text
    for row, emotion in zip(test["confusion"], EMOTIONS, strict=True):
        assert f"| {emotion} | {' | '.join(map(str, row))} |" in text
        assert f"| {emotion} | {test['per_class'][emotion]['precision']:.3f} |" in text
    assert json.dumps(config.training["config"]["learning_rate"]) in text
    assert f"with ten crops: {100 * test['ten_crop']['accuracy']:.2f} %" in text
    worst = test["robustness"]["blur"]["points"][-1]
    assert f"{worst['value']:g}: {100 * worst['accuracy']:.1f} %" in text


def test_the_metadata_is_what_the_hub_reads(config):
    data = ModelCard(model_card(config)).data
    assert (data.library_name, data.pipeline_tag) == ("transformers", "image-classification")
    assert {"keras", "onnx"} <= set(data.tags)
    scores = {(result.dataset_split, result.metric_type): result.metric_value for result in data.eval_results}
    assert scores["test", "accuracy"] == config.metrics["test"]["accuracy"]
    assert check_metadata(model_card(config), "model") == []


def test_the_card_says_what_a_reader_must_know(config):
    text = model_card(config, figures={"confusion": "Every class"})
    for heading in (
        "How to use it",
        "Intended use and misuse",
        "Results",
        "Limits and bias",
        "Input",
        "Training",
        "Environmental cost",
        "Citation",
    ):
        assert f"\n## {heading}\n" in text
    assert "Article 5" in text and "education" in text and "one set of weights" in text
    assert "![Every class](figures/confusion.png)" in text
    named = tendencies(config.metrics["test"]["confusion"], config.emotions)["named"]
    assert f"| {named[0][0]} | {named[0][1]} | {named[0][2]} | {named[0][3]:.2f} |" in text


@pytest.mark.parametrize("side", [28, 144])
def test_its_examples_resize_faces_as_the_package_does(config, side):
    face = np.random.default_rng(1).integers(0, 256, (side, side), np.uint8)
    examples = re.findall(r"size = .*\nhow = .*\nface = face.resize.*\n", model_card(config))
    assert len(examples) == 2
    for text in examples:
        names = {"Image": Image, "face": Image.fromarray(face)}
        exec(text, names)  # noqa: S102
        resized = np.asarray(names["face"], np.float32)
        assert np.abs(resized - network_input([face], config.image_size)[0, ..., 0]).max() <= 1, "whole grey levels"


def test_tables_stand_apart_from_the_text_around_them(config):
    """A heading, a figure or a table without an empty line before it is no such thing for the Hub."""
    require_apart(model_card(config, figures={name: name for name in ("per_class", "confusion", "robustness")}))


def require_apart(card):
    fenced, lines = False, card.split("\n")
    for before, line in itertools.pairwise(lines):
        fenced ^= line.startswith("```")
        begins = line.startswith(("#", "![")) or (line.startswith("|") and not before.startswith("|"))
        assert fenced or not begins or before == "", line


def test_where_no_votes_were_counted_nobody_was_asked_anew(config):
    assert "FER+ asked ten people anew" in model_card(config)
    test = config.metrics["test"] | {"ferplus_majority_accuracy": None, "ferplus_majority_label_agreement": None}
    text = model_card(replace(config, metrics={"test": test}))
    assert "no better reference was used" in text and "asked ten" not in text and "None" not in text


def test_leanings_are_counted_from_the_matrix():
    found = tendencies([[8, 2, 0], [5, 5, 0], [0, 0, 0]], ["a", "b", "c"])
    assert found["named"] == [("a", 10, 13, 1.3), ("b", 10, 7, 0.7)]
    assert found["confusions"] == [("b", "a", 5, 0.5), ("a", "b", 2, 0.2)]


def test_a_fine_tuned_model_has_a_card_of_its_own_scores(config):
    after = {"images": 12, "accuracy": 0.75, "macro_f1": 0.7, "ece": 0.1, "emotions": ["tired", "awake"]}
    after["per_class"] = {"tired": {"precision": 0.7, "recall": 0.8, "f1": 0.75, "images": 5}}
    after["confusion"] = [[4, 1], [2, 5]]
    report = {
        "held_out": {"before": after | {"accuracy": 0.5}, "after": after},
        "fer2013_validation": None,
        "pictures": {"train": {"tired": 20, "awake": 28}, "validation": {"tired": 6}, "held_out": {"tired": 6}},
        "notes": ["12 held-out pictures"],
    }
    tuned = replace(
        config,
        labels=(Label("tired"), Label("awake")),
        temperature=1.25,
        metrics={},
        clear_from=0.41,
        training=config.training
        | {"report": report, "base": config.training, "finetune": {}, "epochs": 10, "start": {"run": "1", "epochs": 8}},
    )
    text = model_card(tuned)
    require_apart(text)
    assert "fine-tuned for 18 epochs" in text, "both phases"
    assert "less than four times in ten" not in text and "That limit is taken\nover from the model" in text
    assert "| split | unclear |" not in text
    assert "{{" not in text and "75.00 %" in text and "60 pictures" in text and "12 held-out pictures." in text
    assert "50.00 %" in text, "what the model was worth before"
    assert "the temperature 1.25, fitted on validation" in text and "tired 1" not in text
    report["clear_from_fitted"] = True
    assert "less than four times in ten on validation" in model_card(tuned)
    report["temperature_fitted"] = report["clear_from_fitted"] = False
    text = model_card(replace(tuned, temperature=(0.8, 1.3)))
    assert "tired 0.8, awake 1.3" in text and "these, taken over from the model that it began as" in text
    assert ModelCard(text).data.eval_results[0].dataset_type == "other"
    assert f"{100 * config.metrics['test']['accuracy']:.2f}" not in text, (
        "scores of the model it began with are not its own"
    )


def test_cores_are_those_of_the_largest_machine_that_a_run_went_on_with(config):
    environment = {"cpu_count": 1, "resumed": [{"cpu_count": 4}, {"cpu_count": 2}]}
    alone = config.training | {"start": None, "blend": None}
    text = model_card(replace(config, training=alone | {"environment": environment}))
    assert "hours on 4 CPU cores" in text
    text = model_card(replace(config, training=alone | {"environment": {"cpu_count": 1}}))
    assert "hours on 1 CPU core " in text


def test_minutes_on_a_gpu_are_told_apart_from_those_of_cores(config):
    begun = {"minutes": 64.0, "gpu": "Titan", "gpu_minutes": 4.0}
    training = {"minutes": 60.0, "environment": {"cpu_count": 2}, "history": [], "start": begun, "blend": None}
    training = config.training | training
    text = model_card(replace(config, training=training))
    assert "2.0 hours on 2 CPU cores" in text and "4.0 minutes on one GPU (Titan), what came" in text
    assert f"700 W for the GPU that is {(120 * 2 * 15 + 4 * 700) / 60000:.2f} kWh" in " ".join(text.split())


def epochs(*ended, on_gpu):
    """Epochs of a minute each."""
    return [{"seconds": 60.0, "ended": 60.0 * minute, "on_gpu": on_gpu} for minute in ended]


def test_minutes_count_where_they_were_trained_and_once_where_runs_shared_a_machine(config):
    chip, cores = {"gpu": "Titan", "cpu_count": 16}, {"gpu": None, "cpu_count": 2}
    both = {"history": epochs(1, 2, on_gpu=True) + epochs(30, on_gpu=False), "environment": chip | {"resumed": [cores]}}
    assert spent(both) == {"minutes": 3.0, "cores": 2, "gpu": "Titan", "gpu_minutes": 2.0}
    beside = {"history": epochs(1.5, 2.5, 3.5, on_gpu=True), "environment": chip}
    took = spent_side_by_side([both, beside])
    assert took == {"minutes": 4.5, "cores": 2, "gpu": "Titan", "gpu_minutes": 3.5}
    old = {"history": [{"seconds": 60.0}, {"seconds": 30.0}], "environment": chip}
    assert spent_side_by_side([old, old])["gpu_minutes"] == 3.0, "which does not say when"

    release = {"plan": "gpu", "runs": [], "last_stage": {}, "spent": took}
    training = config.training | {"release": release, "start": None, "blend": None, "environment": chip}
    text = " ".join(model_card(replace(config, training=training)).split())
    assert (
        "took 0.0 hours on 2 CPU cores (at most 0.0 core hours) and 3.5 minutes on one GPU (Titan); runs that" in text
    )
    release["spent"] = spent_side_by_side([beside])
    text = " ".join(model_card(replace(config, training=training)).split())
    assert "Training took 3.0 minutes on one GPU (Titan); runs that trained at the same time shared" in text
    soup = [{"run": run, "taken": taken} for run, taken in (("b", True), ("a", True), ("c", False))]
    for tried, said in (
        (soup, "are the mean of those of b and a: of the last"),
        (soup[1:], "are those of a: of the last"),
    ):
        training["release"] = release | {"soup": tried}
        text = " ".join(model_card(replace(config, training=training)).split())
        assert f"The published weights {said} stage's and those that they began with, each was averaged in" in text
    assert "at an assumed 700 W for the GPU that is" in text


def test_all_that_a_model_rests_on_is_counted_once(config):
    teacher, other = ({"sha256": name, "minutes": 6.0, "gpu": "Titan", "gpu_minutes": 5.0} for name in "to")
    start = {"runs": 2, "epochs": 9, "minutes": 16.0, "gpu": "Titan", "gpu_minutes": 15.0}  # its teacher included
    training = {"minutes": 30.0, "environment": {}, "start": start | {"teacher": [teacher]}}
    assert spent(training) == {"minutes": 46.0, "gpu": "Titan", "gpu_minutes": 15.0}
    assert spent(training | {"teacher": [teacher, other]})["minutes"] == 52.0, "the start's teacher is counted there"
    assert spent(training | {"blend": {"averaged": [{"minutes": 20.0}]}})["minutes"] == 66.0
    assert spent(training | {"blend": {"minutes": 7.0}})["minutes"] == 53.0, "blended with another training's weights"
    itself = {"sha256": "s", "minutes": 16.0}
    assert spent(training | {"start": start | {"sha256": "s"}, "teacher": [itself]})["minutes"] == 46.0
    old = start | {"teacher": [{"sha256": "t"}]}  # a record from before teachers' minutes were kept
    assert spent(training | {"start": old, "teacher": [teacher]})["minutes"] == 52.0
    tuned = spent({"minutes": 2.0, "environment": {}, "base": training})
    assert tuned == {"minutes": 48.0, "gpu": "Titan", "gpu_minutes": 15.0}
    assert spent({"minutes": 2.0, "environment": {"gpu": "Titan"}})["gpu_minutes"] == 2.0

    def made(minutes, **came_from):
        return {"minutes": minutes, "environment": {}} | came_from

    first = origin("g", made(100.0))
    second = origin("s", made(10.0, start=first))
    assert second == {"sha256": "s", "minutes": 110.0, "holds": {"g": {"minutes": 100.0}, "s": {"minutes": 10.0}}}
    assert spent(made(10.0, start=second, teacher=[first]))["minutes"] == 120.0, "what the start began with teaches"
    cousin = origin("c", made(5.0, start=first))
    assert spent(made(10.0, start=second, teacher=[cousin]))["minutes"] == 125.0, "the teacher began with the same"
    assert spent(made(10.0, start=second, blend=cousin))["minutes"] == 125.0

    taught = start | {"teacher": [teacher], "distillation": 0.7, "frozen_blocks": 1}
    blend = {"with": "first", "share": 0.6, "logit_bias": {}, "averaged": [{"minutes": 1.0}, {"minutes": 1.0}]}
    text = " ".join(model_card(replace(config, training=config.training | {"start": taught, "blend": blend})).split())
    assert "2 earlier runs, one after another, of 9 epochs in all, in which up to 70 % of each target were the" in text
    assert "probabilities of another model; the last run left the first 1 block as they were." in text
    assert "60 % those of 3 runs from the same start, the rest those of the model first" in text


def test_a_model_without_metrics_has_no_card():
    with pytest.raises(ModelError, match=r"train\.export"):
        model_card(ModelConfig())


LACKS = [
    ({"metrics": {"test": {"accuracy": 0.7}}}, "lacks images on test, macro_f1 on test, ece on test, per_class on"),
    ({"weights": {}}, "lacks weights.file, weights.parameters, weights.multiply_adds, weights.bytes: make"),
    ({"training": {"config": {}}}, "lacks training.epochs, training.environment: make it with"),
    ({"training": {"config": {}, "epochs": 8, "environment": {}}}, "has a record that a card cannot show ('cpu_count'"),
]


@pytest.mark.parametrize(("records", "said"), LACKS, ids=[said for _, said in LACKS])
def test_a_card_is_refused_by_what_the_records_lack(config, records, said):
    accepted = ModelConfig.from_json(replace(config, **records).to_json())
    with pytest.raises(ModelError, match=re.escape(f"config.json {said}")):
        model_card(accepted)


@pytest.mark.parametrize("name", ["accuracy", "confusion", "per_class"])
def test_a_score_that_was_not_measured_is_named(config, name):
    test = config.metrics["test"] | {name: None}
    with pytest.raises(ModelError, match=rf"config\.json lacks {name} on test: make it with"):
        model_card(replace(config, metrics=config.metrics | {"test": test}))


def test_what_a_card_may_go_without_is_left_out(config):
    unmeasured = dict.fromkeys(("flip", "ten_crop", "deduplicated", "robustness"))
    text = model_card(replace(config, metrics={"test": config.metrics["test"] | unmeasured}))
    assert "| not measured | not measured |" in text and "ten crops" not in text and "Robustness" not in text
    require_apart(text)


def test_the_command_writes_the_card(tmp_path, capsys):
    assert main(["card", "--repo", "maker/own", "--out", str(tmp_path / "CARD.md")]) == 0
    text = (tmp_path / "CARD.md").read_text()
    assert text.startswith("---\n") and 'EmotionDetector.from_pretrained("maker/own")' in text
    assert main(["card", "--model", "bundled"]) == 0
    assert "EmotionDetector" in capsys.readouterr().out
    assert main(["card", "--model", str(tmp_path)]) == 2
    assert f"{tmp_path / CONFIG_FILE}: cannot be read" in capsys.readouterr().err
    for model in (tmp_path / "nope", BUNDLED_DIR / "wrong.keras"):
        assert main(["card", "--model", str(model)]) == 2
        assert f"error: {model}: no such model" in capsys.readouterr().err
