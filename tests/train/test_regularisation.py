"""Ways of learning that shall make a network right on faces unlike those it learns from."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from emotion_model.faces.cropping import network_input
from emotion_model.network.building import build_model
from support.models import TINY
from support.training import Impatient, preset, pupil, same, separable, weights_of
from train.config import CHOICES
from train.data.fer2013 import FaceDataset
from train.fitting.consistency import MirroredAttention, beside_mirrored, with_attention
from train.fitting.fit import fit
from train.fitting.recipe import AdjustedLoss
from train.fitting.run import Run
from train.fitting.sharpness import on_the_top, uphill
from train.fitting.signals import StoppedError
from train.fitting.starts import Start

pytestmark = pytest.mark.usefixtures("without_curves")


@pytest.fixture(scope="module")
def data():
    return separable(56, 0), separable(28, 1)


@pytest.mark.parametrize(
    "changes",
    [
        {"logit_adjustment": 1.0},
        {"mixup": 0.4, "mixing": "cutmix", "epochs": 5},
        {"sharpness_radius": 0.05},
        {"attention_consistency": 0.1, "class_weight_power": 0.25},
        {
            "attention_consistency": 0.1,
            "sharpness_radius": 0.05,
            "mixup": 0.2,
            "precision": "mixed_bfloat16",
            "epochs": 5,
        },
    ],
    ids=lambda changes: "-".join(changes),
)
def test_a_network_learns_in_each_of_these_ways(tmp_path, changes):
    metrics = fit(pupil(seed=1, **({"epochs": 4} | changes)), separable(210, 0), separable(28, 1), tmp_path, 0)
    assert metrics["validation"]["accuracy"] > 0.5, "chance is 1 in 7"


@pytest.fixture(scope="module")
def uneven():
    """Some of the first classes more often than the others: equal frequencies would adjust nothing."""
    whole = separable(56, 0)
    return FaceDataset(whole.images[:38], whole.labels[:38])


@pytest.fixture(scope="module")
def plain(data, uneven, tmp_path_factory):
    """Weights of a run with none of these ways."""
    folder = tmp_path_factory.mktemp("plain")
    fit(preset(epochs=1), uneven, data[1], folder, 0)
    return weights_of(folder)


@pytest.mark.parametrize("name", ["logit_adjustment", "sharpness_radius"])
def test_each_leads_to_other_weights(data, uneven, tmp_path, plain, name):
    fit(preset(epochs=1, **{name: 0.5}), uneven, data[1], tmp_path, 0)
    assert not same(weights_of(tmp_path), plain)


def test_the_attention_is_learned_besides_the_faces(data, uneven, tmp_path):
    for weight in (1e-9, 1.0):
        fit(preset(epochs=1, attention_consistency=weight), uneven, data[1], tmp_path / str(weight), 0)
    assert not same(weights_of(tmp_path / "1e-09"), weights_of(tmp_path / "1.0"))


@pytest.mark.parametrize("device", [False, True], ids=["processor", "device"])
def test_faces_are_cut_where_that_is_chosen(data, tmp_path, device):
    for mixing in CHOICES["mixing"]:
        recipe = preset(epochs=1, mixup=1.0, mixing=mixing, device_augmentation=device)
        fit(recipe, *data, tmp_path / mixing, 0)
    assert not same(*(weights_of(tmp_path / mixing) for mixing in CHOICES["mixing"]))


def test_a_stopped_run_ends_as_if_it_never_had(data, tmp_path):
    changes = {"sharpness_radius": 0.1, "attention_consistency": 0.5, "ema_momentum": 0.9, "epochs": 2}
    fit(preset(**changes), *data, tmp_path / "whole", 0)

    run = Run(preset(**changes), *data, tmp_path / "broken")
    (tmp_path / "broken").mkdir()
    with pytest.raises(StoppedError):
        run.train(Impatient(5))
    fit(preset(**changes), *data, tmp_path / "broken", 0)
    assert same(weights_of(tmp_path / "whole"), weights_of(tmp_path / "broken"))


def test_kept_blocks_stay_as_they_are_on_the_way_up_too(data, tmp_path):
    weights = build_model(TINY).get_weights()
    start = Start(weights, {}, trainable=lambda layer: not layer.name.startswith("block1_"))
    recipe = preset(epochs=1, sharpness_radius=0.5, attention_consistency=0.5)
    fit(recipe, *data, tmp_path, 0, start=start)
    model, before = keras.saving.load_model(tmp_path / "model.keras"), build_model(TINY)
    before.set_weights(weights)
    for layer, old in zip(model.layers, before.layers, strict=True):
        kept = same(layer.get_weights(), old.get_weights())
        assert kept == (layer.name.startswith("block1_") or not layer.weights), layer.name


def test_an_adjusted_loss_adds_the_logarithms_of_the_frequencies_to_the_logits():
    rng = np.random.default_rng(0)
    logits, targets = rng.normal(size=(20, 7)), np.eye(7, dtype=np.float32)[rng.integers(0, 7, 20)]
    frequencies = rng.dirichlet(np.ones(7))
    shifted = logits + 0.5 * np.log(frequencies)
    expected = -(targets * (shifted - np.log(np.exp(shifted).sum(1, keepdims=True)))).sum(1).mean()
    probabilities = (np.exp(logits) / np.exp(logits).sum(1, keepdims=True)).astype(np.float32)
    loss = AdjustedLoss(keras.losses.CategoricalCrossentropy(), frequencies, 0.5)
    assert float(loss(targets, probabilities)) == pytest.approx(expected, rel=1e-4)


def test_a_climb_goes_its_radius_uphill_and_back(data):
    model = build_model(TINY)
    model.compile(optimizer=uphill(0.3), loss="categorical_crossentropy")
    inputs, targets = network_input(data[0].images, 48), np.eye(7, dtype=np.float32)[data[0].labels]
    low, before = model.evaluate(inputs, targets, verbose=0), trainable(model)
    with on_the_top(model, inputs, targets):
        top, high = trainable(model), model.evaluate(inputs, targets, verbose=0)
    way = np.sqrt(sum(((now - then) ** 2).sum() for now, then in zip(top, before, strict=True)))
    assert way == pytest.approx(0.3, rel=1e-3) and high > low
    assert same(trainable(model), before)


def trainable(model):
    return [np.array(keras.ops.convert_to_numpy(weight)) for weight in model.trainable_variables]


@pytest.mark.parametrize("pooling", ["avg", "max", "both"])
def test_attention_is_what_each_place_alone_would_say(pooling):
    """Pictures of one grey level have the same maps everywhere, where kernels see no edge."""
    kernels = tuple((1,) for _ in TINY.kernel_sizes)
    model = build_model(replace(TINY, pooling=pooling, kernel_sizes=kernels))
    faces = np.random.default_rng(0).integers(0, 256, (5, 1, 1, 1)).astype(np.float32) * np.ones((1, 48, 48, 1))
    probabilities, places = (keras.ops.convert_to_numpy(one) for one in with_attention(model)(faces))
    np.testing.assert_allclose(probabilities, keras.ops.convert_to_numpy(model(faces)), atol=1e-6)
    everywhere = np.exp(places) / np.exp(places).sum(-1, keepdims=True)
    np.testing.assert_allclose(everywhere, probabilities[:, None, None] * np.ones_like(everywhere), atol=1e-4)


def test_places_neither_use_nor_move_the_statistics_of_a_batch(data):
    model = build_model(replace(TINY, spatial_dropout=0.0))  # what it drops would be another each time
    alone, faces = keras.models.clone_model(model), network_input(data[0].images, 48)
    alone.set_weights(model.get_weights())
    keras.ops.convert_to_numpy(alone(faces, training=True))
    learner = with_attention(model)
    learner(faces, training=True)
    norm = "dense1_bn"
    assert same(model.get_layer(norm).get_weights(), alone.get_layer(norm).get_weights())
    assert len({id(weight) for weight in learner.weights}) == len(learner.weights) == len(model.weights)


def test_attention_is_compared_with_that_to_the_mirror_image_mirrored_back():
    rng = np.random.default_rng(0)
    maps, loss = rng.normal(size=(3, 4, 6, 7)).astype(np.float32), MirroredAttention()
    assert float(loss(maps, np.concatenate([maps, maps[:, :, ::-1]]))) == pytest.approx(0, abs=1e-9)
    assert float(loss(maps, np.concatenate([maps, maps]))) > 0.1
    inputs, [targets, _], weights = beside_mirrored(maps[..., :1], np.eye(3), None)
    assert (inputs[3:] == maps[:, :, ::-1, :1]).all() and (targets[3:] == np.eye(3)).all()
    assert [one.tolist() for one in weights] == [[2, 2, 2, 0, 0, 0], [1] * 6], "only faces as they are have a label"
    weights = beside_mirrored(maps, np.eye(3), np.arange(3))[2]
    assert [one.tolist() for one in weights] == [[0, 2, 4, 0, 0, 0], [0, 1, 2, 0, 1, 2]]


def test_attention_moves_with_the_face_where_that_is_learned(tmp_path):
    apart = []
    for weight in (1e-6, 5.0):
        folder = tmp_path / str(weight)
        fit(pupil(seed=1, epochs=2, attention_consistency=weight), separable(105, 0), separable(28, 1), folder, 0)
        model = keras.saving.load_model(folder / "model.keras")
        inputs = network_input(separable(28, 1).images, 48)
        places = keras.ops.convert_to_numpy(with_attention(model)(np.concatenate([inputs, inputs[:, :, ::-1]]))[1])
        apart.append(keras.ops.convert_to_numpy(MirroredAttention()(places, places)) / places.var())
    assert apart[1] < apart[0] / 2
