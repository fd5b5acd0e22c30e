from dataclasses import replace

import numpy as np
import pytest

from emotion_model import EmotionClassifier, EmotionEnsemble, ModelConfig
from emotion_model.network.building import build_model
from emotion_model.network.config import CONFIG_FILE, WEIGHTS_FILE
from emotion_model.network.explain import attention_map, draw_heat
from support.models import TINY


@pytest.fixture(scope="module")
def attentive(tmp_path_factory):
    """A model whose first attention lets half through everywhere and whose second lets bright places through."""
    folder = tmp_path_factory.mktemp("attentive")
    network = build_model(replace(TINY, attention_blocks=(1, 2), batch_norm=False))
    for layer in network.layers:
        layer.set_weights([np.zeros_like(weights) for weights in layer.get_weights()])
    for block in (1, 2):  # brightness passes unchanged through the middle of each kernel
        kernel, bias = network.get_layer(f"block{block}_conv1").get_weights()
        kernel[1, 1, 0, 0] = 1.0
        network.get_layer(f"block{block}_conv1").set_weights([kernel, bias])
    kernel, bias = network.get_layer("block2_attention").get_weights()
    kernel[0, 0, 0, 0] = 20.0
    network.get_layer("block2_attention").set_weights([kernel, bias - 5])
    network.save(folder / WEIGHTS_FILE)
    (folder / CONFIG_FILE).write_text(ModelConfig().to_json(), encoding="utf-8")
    return EmotionClassifier.load(folder)


def test_the_last_attention_is_shown_where_it_lets_through(attentive):
    face = np.zeros((48, 48), np.uint8)
    face[:, :24] = 255
    looked_at = attention_map(attentive, face)
    assert looked_at.shape == (24, 24) and looked_at.dtype == np.float32
    assert looked_at[:, :12].min() > 0.9 and looked_at[:, 12:].max() < 0.1


def test_the_bundled_model_looks_within_its_range(detector, astronaut):
    crop = detector.crops(astronaut)[0]
    looked_at = attention_map(detector.classifier, crop)
    assert looked_at.min() >= 0 and looked_at.max() <= 1 and looked_at.std() > 0


def test_a_model_without_attention_and_several_at_once_have_no_map(tiny_model, attentive):
    face = np.zeros((48, 48), np.uint8)
    assert attention_map(EmotionClassifier.load(tiny_model), face) is None
    assert attention_map(EmotionEnsemble([attentive, attentive]), face) is None


def test_the_crops_are_what_the_classifier_is_given(detector, astronaut, landscape):
    (face,) = detector.detect(astronaut)
    (crop,) = detector.crops(astronaut)
    assert crop.shape == (48, 48) and crop.dtype == np.uint8
    assert detector.classifier.predict([crop], flip=True)[0] == pytest.approx(face.probabilities, abs=1e-6)
    assert detector.crops(landscape) == []


def test_heat_is_brightest_where_the_map_is_greatest():
    face, heat = np.full((48, 48), 100, np.uint8), np.zeros((12, 12), np.float32)
    heat[:6] = 0.4
    drawn = draw_heat(face, heat, 96)
    assert drawn.shape == (96, 96, 3) and drawn.dtype == np.uint8
    assert drawn[10:38].mean() > drawn[58:86].mean() + 50


def test_a_flat_map_is_drawn_too():
    assert len(np.unique(draw_heat(np.full((48, 48), 100, np.uint8), np.full((6, 6), 0.3)).reshape(-1, 3), axis=0)) == 1
