import json

import numpy as np
import pytest

from emotion_model import EmotionClassifier
from support.paths import fer2013
from support.training import faces, names, write_parquet
from train.config import AugmentationConfig
from train.data.variations import augment
from train.evaluate import main
from train.evaluation.metrics import reliability
from train.evaluation.robustness import CORRUPTIONS, robustness_curves


@pytest.fixture(scope="module")
def smooth():
    """Faces stand-ins with shapes in them: uint8 (4, 48, 48)."""
    import cv2

    return np.stack([cv2.GaussianBlur(face, (0, 0), 3) for face in faces(4, 0)]) // 2 * 2


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_damage_grows_with_its_value(name, smooth):
    corruption = CORRUPTIONS[name]
    harm = []
    for value in (corruption.values[0], corruption.values[-1]):
        rng = np.random.default_rng(0)
        damaged = np.stack([corruption.apply(face, value, rng) for face in smooth])
        assert damaged.shape == smooth.shape and damaged.dtype == np.uint8
        harm.append(np.abs(damaged.astype(int) - smooth).mean())
    assert 0 < harm[0] < harm[1]


def test_every_curve_begins_with_the_undamaged_faces(smooth, tiny_model):
    classifier = EmotionClassifier.load(tiny_model)
    labels = classifier.predict(smooth).argmax(axis=1)
    labels[0] = (labels[0] + 1) % 7
    curves = robustness_curves(classifier, smooth, labels)
    assert set(curves) == set(CORRUPTIONS)
    for name, curve in curves.items():
        assert curve["points"][0] == {"value": CORRUPTIONS[name].clean, "accuracy": 0.75}
        assert len(curve["points"]) == 1 + len(CORRUPTIONS[name].values)
    assert curves == robustness_curves(classifier, smooth, labels), "the same seed gives the same curves"


def test_reliability_counts_every_face_once_and_compares_confidence_with_hits():
    probabilities = np.array([[0.9, 0.1], [0.95, 0.05], [0.6, 0.4]], dtype=np.float32)
    bins = reliability(np.array([0, 1, 0]), probabilities, bins=10)
    assert sum(entry["images"] for entry in bins) == 3
    sure = bins[9]
    assert (sure["images"], sure["accuracy"], sure["confidence"]) == (2, 0.5, pytest.approx(0.925))
    assert bins[0] == {"low": 0.0, "high": 0.1, "images": 0, "confidence": None, "accuracy": None}


def test_the_command_adds_ten_crops_and_damaged_pictures(tmp_path, capsys, tiny_model):
    for split, seed in (("train", 0), ("validation", 1), ("test", 2)):
        write_parquet(tmp_path, split, faces(14, seed), names(14))
    command = ["--model", str(tiny_model), "--data", str(tmp_path), "--ten-crop", "--robustness"]
    assert main([*command, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["ten_crop"]["images"] == 14 and set(result["robustness"]) == set(CORRUPTIONS)
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "with ten crops" in printed and "blur (standard deviation in pixels): 0:" in printed
    assert main(["--model", str(tiny_model), str(tiny_model), "--data", str(tmp_path)]) == 0, "a mean of models"


def test_degraded_faces_stay_faces(smooth):
    config = AugmentationConfig(rotation=0, shift=0, zoom=0, flip=False, degradation=1)
    many = np.repeat(smooth, 20, axis=0)
    varied = augment(many, config, np.random.default_rng(0))
    changed = np.abs(varied.astype(int) - many).mean(axis=(1, 2))
    assert (changed > 0).mean() > 0.9 and changed.max() < 60


def test_intensity_rises_as_a_neutral_face_turns_into_an_expression(detector):
    from train.data.fer2013 import load_split

    dataset = load_split(fer2013(), "validation").sample(500)
    classifier = detector.classifier
    probabilities = classifier.predict(dataset.images)
    neutral = classifier.emotions.index("neutral")

    def surest(emotion):
        index = classifier.emotions.index(emotion)
        return dataset.images[np.argsort(-probabilities[:, index])[:20]]

    calm = surest("neutral")
    for emotion in ("happy", "surprise", "angry", "sad"):
        peak = surest(emotion)
        blends = [
            np.rint((1 - share) * calm.astype(float) + share * peak).astype(np.uint8) for share in np.linspace(0, 1, 6)
        ]
        intensity = [1 - classifier.predict(blend)[:, neutral].mean() for blend in blends]
        assert np.all(np.diff(intensity) > 0), (emotion, intensity)
        assert intensity[0] < 0.4 and intensity[-1] > 0.8
