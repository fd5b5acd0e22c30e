import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from emotion_model import EMOTIONS, ModelConfig
from emotion_model.network.classifier import EmotionClassifier
from emotion_model.network.config import CONFIG_FILE, read_config
from support.training import faces, names, write_parquet
from train.data.fer2013 import load_split
from train.evaluate import main as evaluate_main
from train.evaluation.figures import draw_confusion, draw_curves
from train.evaluation.metrics import classification_metrics
from train.evaluation.mistakes import confident_mistakes
from train.evaluation.report import draw_report
from train.evaluation.scores import evaluate
from train.report import main

HISTORY = [
    {
        "epoch": n,
        "loss": 2 / n,
        "accuracy": 0.2 * n,
        "val_loss": 2.1 / n,
        "val_accuracy": 0.19 * n,
        "learning_rate": 1e-3,
    }
    for n in (1, 2, 3)
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fer2013")
    for split, seed in (("train", 0), ("validation", 1), ("test", 2)):
        write_parquet(folder, split, faces(21, seed), names(21))
    return folder


@pytest.fixture(scope="module")
def measured(tiny_model, data, tmp_path_factory):
    """A model with scores of every kind."""
    folder = tmp_path_factory.mktemp("measured")
    for file in tiny_model.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    scores = evaluate(EmotionClassifier.load(folder), data, "test", ten_crop=True, robustness=True)
    config = replace(ModelConfig(), metrics={"test": scores}, training={"history": HISTORY})
    (folder / CONFIG_FILE).write_text(config.to_json(), encoding="utf-8")
    return folder


def is_a_drawing(path):
    with Image.open(path) as picture:
        return picture.width > 400 and picture.height > 200 and len(picture.convert("RGB").getcolors(1 << 22)) > 20


def description_of(path):
    with Image.open(path) as picture:
        return picture.info["Description"]


def test_one_command_draws_everything(measured, data, tmp_path, capsys):
    assert main(["--model", str(measured), "--data", str(data), "--out", str(tmp_path / "report")]) == 0
    pictures = ["confusion", "curves", "mistakes", "per_class", "reliability", "robustness"]
    assert sorted(p.name for p in (tmp_path / "report").iterdir()) == sorted(
        [*(f"{p}.png" for p in pictures), "mistakes.json", "figures.json"]
    )
    assert all(is_a_drawing(tmp_path / "report" / f"{name}.png") for name in pictures)
    assert "left out" not in capsys.readouterr().err


def test_what_was_not_measured_is_left_out_and_said(measured, tmp_path, capsys):
    config = ModelConfig.from_json((measured / CONFIG_FILE).read_text())
    scores = {
        name: value for name, value in config.metrics["test"].items() if name not in ("robustness", "reliability")
    }
    (tmp_path / CONFIG_FILE).write_text(replace(config, metrics={"test": scores}, training={}).to_json())
    assert main(["--model", str(tmp_path), "--out", str(tmp_path / "report")]) == 0
    assert sorted(p.name for p in (tmp_path / "report").iterdir()) == ["confusion.png", "figures.json", "per_class.png"]
    printed = capsys.readouterr().err
    for name in ("curves", "reliability", "robustness", "mistakes"):
        assert f"{name}.png left out" in printed


def test_a_matrix_without_mistakes_is_not_said_to_have_some(tmp_path):
    for matrix, said in (
        ([[3, 0], [0, 2]], "5 faces. Recognised: calm 100 %, bored 100 %."),
        ([[3, 0], [1, 3]], "The most frequent confusion is bored taken for calm, 25 % of its faces."),
    ):
        draw_confusion(matrix, ["calm", "bored"], "test", tmp_path / "confusion.png")
        assert description_of(tmp_path / "confusion.png").endswith(said)


def test_where_every_image_stands_in_another_split_too_there_are_no_scores_without_those(
    tiny_model, data, tmp_path, capsys
):
    for split, file in (("train", "train"), ("validation", "test"), ("test", "test")):
        shutil.copyfile(data / f"{file}.parquet", tmp_path / f"{split}.parquet")
    scores = evaluate(EmotionClassifier.load(tiny_model), tmp_path, "test")
    assert "deduplicated" not in scores and json.dumps(scores, allow_nan=False)
    assert evaluate_main(["--model", str(tiny_model), "--data", str(tmp_path), "--split", "test"]) == 0
    assert "every image also stands in another split" in capsys.readouterr().out
    with pytest.raises(ValueError, match="no faces"):
        classification_metrics(np.zeros(0, int), np.zeros((0, 7), np.float32), EMOTIONS)


def test_bad_input_is_told_in_one_sentence(tiny_model, measured, tmp_path, capsys):
    for arguments, message in (
        (["--model", str(tmp_path / "none")], "config.json"),
        (["--model", str(tiny_model)], "no scores of test"),
        (["--model", str(measured), "--data", str(tmp_path / "nowhere")], "no such folder"),
    ):
        assert main([*arguments, "--out", str(tmp_path / "out")]) == 2
        assert message in capsys.readouterr().err


def test_the_curves_of_a_first_epoch_can_be_drawn(tmp_path):
    draw_curves(HISTORY[:1], tmp_path / "curves.png")
    assert is_a_drawing(tmp_path / "curves.png") and [p.name for p in tmp_path.iterdir()] == ["curves.png"]


def test_the_curves_of_a_blended_model_are_said_to_be_those_of_a_part_of_it(measured, tmp_path):
    config = replace(read_config(measured / CONFIG_FILE), metrics={"test": {"images": 21}})  # no other figures
    draw_report(config, "test", tmp_path)
    assert "mean of weights" not in description_of(tmp_path / "curves.png")
    blended = replace(config, training=config.training | {"blend": {"share": 0.2, "logit_bias": {}}})
    draw_report(blended, "test", tmp_path)
    assert "mean of weights, 20 % this run's" in description_of(tmp_path / "curves.png")


def test_mistakes_are_counted_against_the_labels(measured, data):
    classifier = EmotionClassifier.load(measured)
    groups = confident_mistakes(classifier, data, "test")["groups"]
    dataset = load_split(data, "test")
    wrong = classifier.predict(dataset.images).argmax(axis=1) != dataset.labels
    assert groups["mistakes"]["images"] == wrong.sum() > 0 and groups["correct"]["images"] == (~wrong).sum()
    assert sum(pair["images"] for pair in groups["mistakes"]["pairs"]) == wrong.sum()
    assert all(pair["true"] != pair["predicted"] for pair in groups["mistakes"]["pairs"])
