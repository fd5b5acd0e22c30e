"""Faces varied, and teachers asked, inside the compiled training step."""

import json
import math
from dataclasses import fields, replace

import cv2
import keras
import numpy as np
import pytest

from emotion_model import LABELS
from emotion_model.faces.cropping import served_input
from emotion_model.interrupts import Interruption
from emotion_model.network.building import build_model
from support.models import TINY
from support.training import Impatient, faces, nothing, preset, pupil, relabelled, same, separable, weights_of
from train.config import LARGEST_SEED, AugmentationConfig
from train.data.on_device import AugmentedTraining, Augmenter
from train.data.variations import augment, blur, compress, lower_resolution
from train.fitting import run as run_module
from train.fitting.fit import fit
from train.fitting.networks import Networks
from train.fitting.run import Run
from train.fitting.signals import StoppedError
from train.fitting.teachers import Teacher

pytestmark = pytest.mark.usefixtures("without_curves")

STRONG = AugmentationConfig(brightness=0.15, contrast=0.3, erasing=0.3, degradation=0.2)
KINDS = {
    "rotation": 25,
    "shift": 0.2,
    "zoom": 0.2,
    "flip": True,
    "brightness": 0.15,
    "contrast": 0.3,
    "erasing": 1.0,
    "degradation": 1.0,
}


def smooth(count, seed=0):
    """Faces that vary gently from pixel to pixel, as real ones do."""
    return np.stack([blur(face, 3) * 6 for face in faces(count, seed) // 6])


def vary(images, config, strength=1.0, seed=0):
    varied = Augmenter(config, 48)(images, strength, keras.random.SeedGenerator(seed))
    return keras.ops.convert_to_numpy(varied)[..., 0]


@pytest.fixture(scope="module")
def data():
    return separable(56, 0), separable(28, 1)


def test_switched_off_it_changes_nothing_and_values_stay_grey_levels():
    images = smooth(8)
    np.testing.assert_allclose(vary(images, nothing()), images, atol=1e-3)
    np.testing.assert_allclose(vary(images, replace(STRONG, flip=False), strength=0.0), images, atol=1e-3)
    varied = vary(images, STRONG)
    assert varied.shape == images.shape and varied.dtype == np.float32
    assert varied.min() >= -1e-3 and varied.max() <= 255 + 1e-3
    assert not np.allclose(varied, vary(images, STRONG, seed=1))
    np.testing.assert_allclose(varied, vary(images, STRONG), atol=1e-4)


def test_what_varies_on_the_processor_is_tried_here_too():
    assert {one.name for one in fields(AugmentationConfig)} == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_goes_as_far_as_on_the_processor(kind):
    images = smooth(800)
    config = nothing(**{kind: KINDS[kind]})
    here = np.abs(vary(images, config) - images).mean()
    there = np.abs(augment(images, config, np.random.default_rng(0)).astype(float) - images).mean()
    assert here == pytest.approx(there, rel=0.15) and here > 0.3


@pytest.mark.parametrize("mirrored", [False, True])
def test_faces_are_turned_enlarged_and_moved_as_by_opencv(monkeypatch, mirrored):
    """By 10 degrees, a tenth larger, 3 pixels to the right and 3 down; mirrored before that."""
    images = smooth(7)
    drawn = iter([math.radians(-10), 0.1, 3, 3])
    monkeypatch.setattr(Augmenter, "_uniform", lambda self, count, *_: keras.ops.full((count, 1, 1), next(drawn)))
    monkeypatch.setattr(Augmenter, "_chance", lambda self, count, *_: keras.ops.full((count, 1, 1), mirrored))
    ours = vary(images, nothing())
    matrix = cv2.getRotationMatrix2D((23.5, 23.5), 10, 1.1)
    matrix[:, 2] += 3
    for image, face in zip(images, ours, strict=True):
        before = np.float32(image[:, ::-1] if mirrored else image)
        expected = cv2.warpAffine(before, matrix, (48, 48), borderMode=cv2.BORDER_REPLICATE)
        np.testing.assert_allclose(face, expected, atol=0.5)  # it rounds places to 1/32 of a pixel


def test_half_the_strength_goes_half_as_far():
    images = smooth(400)
    whole, half = (np.abs(vary(images, nothing(brightness=0.1), s) - images).mean() for s in (1.0, 0.5))
    assert half == pytest.approx(whole / 2, rel=0.1)
    scaled = AugmentationConfig(rotation=20, erasing=0.4).scaled(0.5)
    assert scaled == AugmentationConfig(rotation=10, shift=0.1, zoom=0.1, erasing=0.2)


def test_damage_is_what_opencv_makes_of_a_face():
    images = faces(20, 0)
    augmenter = Augmenter(nothing(degradation=1.0), 48)
    filters = augmenter._filters  # 29 resolutions from 40 pixels down, then 33 blurs from 0.4 pixels up, then none
    for matrix, damage in (
        (filters[28], lambda face: lower_resolution(face, 12)),
        (filters[8], lambda face: lower_resolution(face, 32)),
        (filters[29 + 32], lambda face: blur(face, 2.0)),
        (filters[-1], lambda face: face),
    ):
        expected = np.stack([damage(face) for face in images]).astype(float)
        assert np.abs(matrix @ images.astype(np.float32) @ matrix.T - expected).max() < 2
    for size in (48, 45):  # the second is no whole number of JPEG's blocks
        grey, augmenter = smooth(20)[:, -size:, -size:], Augmenter(nothing(degradation=1.0), size)
        for quality in (10, 60):
            harm = np.full((20, 1, 1), quality, np.float32)
            ours = keras.ops.convert_to_numpy(augmenter._compress(grey.astype(np.float32), harm))
            assert np.abs(ours - np.stack([compress(face, quality) for face in grey])).mean() < 1


@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_faces_of_another_size_are_varied_too(data, tmp_path, precision):
    small = replace(preset(), architecture=replace(TINY, image_size=32))
    recipe = {"epochs": 1, "device_augmentation": True, "augmentation": STRONG, "precision": precision}
    metrics = fit(replace(small, training=replace(small.training, **recipe)), *data, tmp_path / "run", 0)
    assert 0 < metrics["validation"]["accuracy"] <= 1
    teacher = Teacher.beside([tmp_path / "run"], data[0].emotions)
    with pytest.raises(ValueError, match="run looks at faces of 32 pixels, the student at 48"):
        fit(preset(device_augmentation=True, distillation=0.5), *data, tmp_path / "student", 0, teacher=teacher)


def test_faces_have_the_networks_size_when_they_are_varied_wherever_that_is(data, tmp_path, monkeypatch):
    small, sizes = replace(TINY, image_size=32), []
    watched, called = run_module.augment, Augmenter.__call__
    monkeypatch.setattr(
        run_module, "augment", lambda images, *how: sizes.append(images.shape[1:]) or watched(images, *how)
    )
    monkeypatch.setattr(
        Augmenter, "__call__", lambda self, images, *how: sizes.append(images.shape[1:]) or called(self, images, *how)
    )
    for on_device in (False, True):
        recipe = preset(epochs=1, batch_size=56, device_augmentation=on_device)
        Run(replace(recipe, architecture=small), *data, tmp_path).train(Interruption())
        assert set(map(tuple, sizes)) == {(32, 32)}
        sizes.clear()


def test_a_network_learns_on_the_device_and_so_does_its_average(tmp_path):
    recipe = {"batch_size": 14, "class_weight_power": 0.25, "mixup": 0.1, "gentle_epochs": 2}
    metrics = fit(pupil(device_augmentation=True, **recipe), separable(560, 0), separable(28, 1), tmp_path, 0)
    assert metrics["validation"]["accuracy"] > 0.7
    history = json.loads((tmp_path / "history.json").read_text())
    assert [entry["epoch"] for entry in history] == [1, 2, 3, 4, 5, 6]
    assert history[-1]["loss"] < history[0]["loss"] and history[-1]["accuracy"] > history[0]["accuracy"]


def test_gentle_epochs_are_the_last_ones_wherever_faces_are_varied(data, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(run_module, "augment", lambda images, config, rng: seen.append(config.rotation) or images)
    fit(preset(epochs=3, gentle_epochs=1, batch_size=56), *data, tmp_path / "processor", 0)
    assert seen == [5, 5, 2.5]
    strengths = []
    original = AugmentedTraining.fit

    def watched(self, *arguments, **more):
        strengths.append(float(self.strength))
        return original(self, *arguments, **more)

    monkeypatch.setattr(AugmentedTraining, "fit", watched)
    recipe = preset(epochs=3, gentle_epochs=1, batch_size=56, device_augmentation=True)
    fit(recipe, *data, tmp_path / "device", 0)
    assert strengths == [1.0, 1.0, 0.5]
    with pytest.raises(ValueError, match="gentle_epochs=4: use a value from 0 to 3"):
        preset(epochs=3, gentle_epochs=4)


def test_gentle_epochs_mix_no_faces_wherever_they_are_varied(data, tmp_path, monkeypatch):
    recipe = {"epochs": 2, "gentle_epochs": 1, "batch_size": 56, "mixup": 1.0}
    mixed, mixing = [], []
    learn, fit_epoch = keras.Model.train_on_batch, AugmentedTraining.fit

    def learning(self, inputs, targets, *arguments, **more):
        mixed.append(bool((targets.max(axis=1) < 1).any()))
        return learn(self, inputs, targets, *arguments, **more)

    def fitting(self, *arguments, **more):
        mixing.append(float(self.mixing))
        return fit_epoch(self, *arguments, **more)

    monkeypatch.setattr(keras.Model, "train_on_batch", learning)
    monkeypatch.setattr(AugmentedTraining, "fit", fitting)
    fit(preset(**recipe), *data, tmp_path / "processor", 0)
    assert mixed == [True, False]
    fit(preset(**recipe, device_augmentation=True), *data, tmp_path / "device", 0)
    assert mixing == [1.0, 0.0]


def test_faces_are_mixed_on_the_device_only_where_that_is_switched_on(data):
    images = data[0].images
    learner = AugmentedTraining(
        build_model(TINY), nothing(), keras.losses.CategoricalCrossentropy(), mixup=1.0, seed=LARGEST_SEED
    )
    shares = keras.ops.convert_to_numpy(learner(images)["share"])
    assert 0.5 <= shares.min() < 0.7 < shares.max() <= 1
    learner.mixing.assign(0.0)
    answers = learner(images)
    assert keras.ops.convert_to_numpy(answers["share"]).tolist() == [[1.0]] * len(images)
    plain = keras.ops.convert_to_numpy(learner.network(images[..., None].astype(np.float32)))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(answers["probabilities"]), plain, atol=1e-5)


def test_a_square_of_another_face_stands_in_each_where_that_is_asked_for():
    images = np.repeat(np.arange(1, 41, dtype=np.uint8), 48 * 48).reshape(40, 48, 48)
    mirror = keras.Sequential([keras.Input((48, 48, 1)), keras.layers.Identity()])  # answers what it is shown
    learner = AugmentedTraining(mirror, nothing(), keras.losses.CategoricalCrossentropy(), mixup=1.0, cut=True)
    cut, shares = (keras.ops.convert_to_numpy(value) for value in learner(images).values())
    assert shares.min() + 0.03 >= 0.5 and shares.min() < 0.7 < shares.max() <= 1
    for i in range(40):
        foreign = cut[i, ..., 0] == images[i - 1, 0, 0]
        assert (foreign | (cut[i, ..., 0] == images[i, 0, 0])).all()
        assert foreign.mean() == pytest.approx(1 - shares[i, 0], abs=1e-5)
        assert foreign.sum() == foreign.any(axis=1).sum() ** 2 == foreign.any(axis=0).sum() ** 2


def test_dark_pale_and_flat_faces_get_usual_levels_on_the_device_as_where_a_network_serves():
    rng = np.random.default_rng(0)
    faces = rng.integers(0, 256, (6, 48, 48))
    images = np.stack(
        [faces[0], faces[1] // 9, 200 + faces[2] // 8, 40 + faces[3] // 20, faces[4] * 0 + 7, faces[5] // 2]
    )
    images = images.astype(np.uint8)
    mirror = keras.Sequential([keras.Input((48, 48, 1)), keras.layers.Identity()])
    learner = AugmentedTraining(mirror, nothing(), keras.losses.CategoricalCrossentropy(), levels=True)
    shown = keras.ops.convert_to_numpy(learner(images)["probabilities"])
    np.testing.assert_allclose(shown, served_input(images, 48), atol=0.01)
    assert not np.allclose(shown[..., 0], images, atol=20)


def test_levels_are_given_to_varied_faces_and_to_validation(data, tmp_path, monkeypatch):
    dark = [replace(split, images=split.images // 8) for split in data]
    learn, answers, shown = Networks.learn, run_module._answers, []
    monkeypatch.setattr(Networks, "learn", lambda self, faces, *rest: shown.append(faces) or learn(self, faces, *rest))
    monkeypatch.setattr(run_module, "_answers", lambda model, faces: shown.append(faces) or answers(model, faces))
    for levels, darkest, brightest in ((False, 0, 32), (True, 80, 180)):
        shown.clear()
        fit(preset(epochs=1, levels=levels), *dark, tmp_path / str(levels), 0)
        means = np.concatenate([faces.mean(axis=(1, 2, 3)) for faces in shown])
        assert len(shown) > 3 and darkest <= means.min() and means.max() <= brightest


def test_a_stopped_run_goes_on_as_if_it_never_had(data, tmp_path):
    recipe = preset(epochs=3, device_augmentation=True, ema_momentum=0.9, mixup=0.2)
    fit(recipe, *data, tmp_path / "whole", 0)
    whole = json.loads((tmp_path / "whole" / "history.json").read_text())
    # Each epoch asks before and after its 7 batches.
    for asks, where in ((12, "epoch 2 after batch 3"), (8, "epoch 2 after batch 0")):
        folder = tmp_path / str(asks)
        run = Run(recipe, *data, folder)
        folder.mkdir()
        run.resume()
        with pytest.raises(StoppedError, match=f"stopped in {where}; run again to go on"):
            run.train(Impatient(asks))
        fit(recipe, *data, folder, 0)
        assert same(weights_of(tmp_path / "whole"), weights_of(folder))
        broken = json.loads((folder / "history.json").read_text())
        assert [entry["loss"] for entry in whole] == pytest.approx([entry["loss"] for entry in broken], abs=1e-5)


def test_a_run_that_is_interrupted_while_it_is_measured_has_all_of_its_epochs(data, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    recipe = preset(epochs=2, device_augmentation=True, batch_size=56)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(run_module, "classification_metrics", interrupted)
        fit(recipe, *data, tmp_path, 0)
    history = (tmp_path / "history.json").read_text()
    assert fit(recipe, *data, tmp_path, 0)["epochs"] == 2
    assert (tmp_path / "history.json").read_text() == history, "trained anew"


def test_a_loss_that_is_no_number_ends_the_run_with_the_mend(data, tmp_path):
    run = Run(preset(device_augmentation=True, learning_rate=0.5, batch_size=56), *data, tmp_path)
    run.targets[:] = np.nan
    with pytest.raises(ValueError, match=r"the loss became nan in epoch 1: start anew with a learning_rate below 0\.5"):
        run.train(Interruption())


def test_teachers_are_asked_about_the_very_faces_that_the_student_sees(data, tiny_model):
    teacher = build_model(TINY)
    student = build_model(TINY)
    student.set_weights(teacher.get_weights())
    learner = AugmentedTraining(
        student, STRONG, keras.losses.CategoricalCrossentropy(), teachers=[teacher], distillation=0.5
    )
    answers = learner(data[0].images)
    taught, probabilities = (keras.ops.convert_to_numpy(answers[name]) for name in ("taught", "probabilities"))
    np.testing.assert_allclose(taught, probabilities, atol=1e-6)
    targets = np.eye(7, dtype=np.float32)[data[0].labels]
    mixed = keras.ops.convert_to_numpy(learner._mixed_targets(targets, answers))
    np.testing.assert_allclose(mixed, (targets + taught) / 2, atol=1e-6)
    assert len(learner.trainable_variables) == len(student.trainable_variables), "the teacher learns nothing"


def test_a_student_beside_a_teacher_ignores_wrong_labels(tmp_path):
    train, validation = separable(210, 0), separable(28, 1)
    fit(pupil(seed=1), train, validation, tmp_path / "teacher", 0)
    confused = replace(train, labels=(train.labels + 1) % 7)
    teacher = Teacher.beside([tmp_path / "teacher"], train.emotions)
    beside = pupil(seed=1, epochs=4, loss="cross_entropy", distillation=1.0, device_augmentation=True)
    student = fit(beside, confused, validation, tmp_path / "student", 0, teacher=teacher)
    assert student["validation"]["accuracy"] > 0.5, "it says what the labels say, or nothing"
    config = json.loads((tmp_path / "student" / "config.json").read_text())
    assert [entry["source"] for entry in config["teacher"]] == ["teacher"]


def test_a_teacher_with_its_classes_in_another_order_is_refused(data, tiny_model, tmp_path):
    turned = relabelled(tiny_model, tmp_path / "turned", LABELS[::-1])
    with pytest.raises(ValueError, match="they must be the same, in the same order"):
        Teacher.beside([turned], data[0].emotions)
