import json

import pytest
from huggingface_hub import ModelCard

from emotion_model import EMOTIONS, ModelConfig, ModelError
from emotion_model.classifier import BUNDLED_DIR, CONFIG_FILE
from train.card import main, model_card


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
    assert f"ten crops: {100 * test['ten_crop']['accuracy']:.2f} %" in text
    worst = test["robustness"]["blur"]["points"][-1]
    assert f"{worst['value']:g}: {100 * worst['accuracy']:.1f} %" in text


def test_the_metadata_is_what_the_hub_reads(config):
    data = ModelCard(model_card(config)).data
    assert (data.library_name, data.pipeline_tag) == ("keras", "image-classification")
    scores = {(result.dataset_split, result.metric_type): result.metric_value for result in data.eval_results}
    assert scores["test", "accuracy"] == config.metrics["test"]["accuracy"]


def test_a_model_without_metrics_has_no_card():
    with pytest.raises(ModelError, match=r"train\.export"):
        model_card(ModelConfig())


def test_the_command_writes_the_card(tmp_path, capsys):
    assert main(["--out", str(tmp_path / "CARD.md")]) == 0
    assert (tmp_path / "CARD.md").read_text().startswith("---\n")
    assert main(["--model", str(tmp_path)]) == 2
    assert "config.json" in capsys.readouterr().err
