import json
import shutil

import keras
import numpy as np
import pytest

from emotion_model import EMOTIONS, EmotionClassifier, ImageError, Label, ModelConfig, ModelError
from emotion_model.faces.cropping import Framing, network_input
from emotion_model.faces.detection import FINDERS
from emotion_model.network.calibration import scale_confidence
from emotion_model.network.config import CONFIG_FILE, WEIGHTS_FILE, short_name


@pytest.fixture
def faces():
    return list(np.random.default_rng(0).integers(0, 256, (70, 48, 48), np.uint8))


@pytest.fixture
def copy(tiny_model, tmp_path):
    """A copy of the tiny model that a test may spoil."""
    return shutil.copytree(tiny_model, tmp_path / "model")


def change_config(folder, **changes):
    path = folder / CONFIG_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("count", [0, 1, 3, 64, 70])
def test_any_number_of_faces_gives_rows_that_sum_to_one(tiny_model, faces, count):
    probabilities = EmotionClassifier.load(tiny_model).predict(faces[:count])
    assert probabilities.shape == (count, 7) and probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_batching_does_not_change_the_result(tiny_model, faces):
    classifier = EmotionClassifier.load(tiny_model)
    one_by_one = np.concatenate([classifier.predict([face]) for face in faces])
    np.testing.assert_allclose(classifier.predict(faces), one_by_one, atol=1e-5)


def test_the_result_is_that_of_the_keras_model(tiny_model, faces):
    model = keras.saving.load_model(tiny_model / WEIGHTS_FILE)
    expected = model.predict(network_input(faces, 48), verbose=0)
    np.testing.assert_allclose(EmotionClassifier.load(tiny_model).predict(faces), expected, atol=1e-5)


def test_flip_averages_with_the_mirrored_face(tiny_model, faces):
    classifier = EmotionClassifier.load(tiny_model / WEIGHTS_FILE)
    mirrored = [face[:, ::-1].copy() for face in faces]
    expected = (classifier.predict(faces) + classifier.predict(mirrored)) / 2
    np.testing.assert_allclose(classifier.predict(faces, flip=True), expected, atol=1e-6)


def test_a_temperature_softens_without_changing_the_order(copy, faces):
    plain = EmotionClassifier.load(copy).predict(faces)
    change_config(copy, temperature=2.0)
    soft = EmotionClassifier.load(copy).predict(faces)
    assert (soft.argmax(axis=1) == plain.argmax(axis=1)).all()
    assert (soft.max(axis=1) < plain.max(axis=1)).all()
    logits = np.log(plain) / 2
    np.testing.assert_allclose(soft, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), atol=1e-5)


def test_temperatures_per_class_make_each_as_sure_as_its_own_where_it_is_likely(copy, faces):
    classifier = EmotionClassifier.load(copy)
    assert (classifier.emotions[1], classifier.emotions[4]) == ("disgust", "neutral")
    plain = classifier.predict(faces)
    change_config(copy, format=2, temperature=[1.0, 0.5, 1.0, 1.0, 2.0, 1.0, 1.0])
    scaled = EmotionClassifier.load(copy).predict(faces)
    for p, q in zip(plain.astype(float), scaled, strict=True):
        temperature = 0.5 ** p[1] * 2.0 ** p[4]
        np.testing.assert_allclose(q, p ** (1 / temperature) / (p ** (1 / temperature)).sum(), atol=1e-5)


def test_temperatures_per_class_keep_the_order_and_equal_ones_are_one():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (2000, 7))
    plain = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(np.float32)
    scaled = scale_confidence(plain, rng.uniform(0.3, 3, 7))
    assert (np.argsort(scaled, kind="stable") == np.argsort(plain, kind="stable")).all()
    assert np.allclose(scaled.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(scale_confidence(plain, [1.7] * 7), scale_confidence(plain, 1.7), atol=1e-6)


def test_a_growing_expression_grows_under_temperatures_per_class_too():
    """From surely neutral to surely another emotion in small steps, at temperatures further apart than are fitted.

    A temperature of the emotion that is named would make intensity jump where the two tie.
    """
    steps = np.linspace(8, -8, 400)
    logits = np.stack([steps, -steps, *([np.full_like(steps, -1)] * 5)], axis=1)
    faces = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    neutral = scale_confidence(faces.astype(np.float32), [2.0, 0.5, *([0.6] * 5)])[:, 0].astype(float)
    assert (np.diff(neutral) <= 1e-6).all() and neutral[0] > 0.9 and neutral[-1] < 0.01


def test_other_labels_come_from_the_config(tmp_path, faces):
    from emotion_model.network.architecture import ArchitectureConfig
    from emotion_model.network.building import build_model
    from support.models import TINY

    labels = (Label("calm", "🙂", "#336699"), Label("contempt", "😏", "#993366"))
    build_model(ArchitectureConfig(**(TINY.to_dict() | {"classes": 2}))).save(tmp_path / "own.keras")
    (tmp_path / CONFIG_FILE).write_text(ModelConfig(labels=labels).to_json())
    classifier = EmotionClassifier.load(tmp_path)
    assert classifier.emotions == ("calm", "contempt")
    assert classifier.predict(faces[:2]).shape == (2, 2)


def test_the_bundled_model_is_whole_and_small():
    classifier = EmotionClassifier()
    assert classifier.source == "bundled" and classifier.emotions == EMOTIONS
    assert set(classifier.config.framing) == set(FINDERS)
    assert classifier.config.weights["bytes"] < 10_000_000
    assert {"validation", "test"} <= set(classifier.config.metrics)
    assert classifier.config.training["config"]["seed"] is not None


def test_a_config_comes_back_from_its_json():
    config = ModelConfig(
        framing={"yunet": Framing(1.1, 0.0, 0.1)}, temperature=1.3, metrics={"test": {"accuracy": 0.5}}
    )
    assert ModelConfig.from_json(config.to_json()) == config
    config = ModelConfig(temperature=(1.3, 0.5, 1.0, 1.0, 2.0, 1.0, 1.0))
    assert ModelConfig.from_json(config.to_json()) == config


@pytest.mark.parametrize("temperature", [["a"] * 7, "2", None, [1, 2], {}])
def test_a_config_whose_temperature_is_none_is_refused(copy, temperature):
    change_config(copy, temperature=temperature)
    with pytest.raises(ModelError, match=r"config\.json is not the config of an emotion model"):
        EmotionClassifier.load(copy)


def test_damaged_weights_are_refused(copy):
    change_config(copy, weights={"sha256": "0" * 64})
    with pytest.raises(ModelError, match="sha256"):
        EmotionClassifier.load(copy)


def test_files_that_cannot_be_read_are_told(copy):
    (copy / CONFIG_FILE).write_bytes("{}".encode("utf-16"))
    with pytest.raises(ModelError, match="the model cannot be read"):
        EmotionClassifier.load(copy)


def test_what_systems_hide_beside_a_model_is_no_other_one(copy):
    (copy / f"._{WEIGHTS_FILE}").write_bytes(b"left by a computer of another kind")
    EmotionClassifier.load(copy)


def test_a_web_page_saved_as_keras_is_refused(copy):
    (copy / WEIGHTS_FILE).write_text("<html>404</html>")
    with pytest.raises(ModelError, match="cannot be loaded"):
        EmotionClassifier.load(copy)


def test_a_model_that_carries_code_is_refused(copy):
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((48, 48, 1)), layers.Flatten(), layers.Lambda(lambda x: x[:, :7] * 0 + 1 / 7)]
    )
    model.save(copy / WEIGHTS_FILE)
    with pytest.raises(ModelError, match="cannot be loaded"):
        EmotionClassifier.load(copy)


def test_a_model_of_another_shape_is_refused(copy):
    change_config(copy, labels=[{"name": n, "emoji": "🙂", "colour": "#000000"} for n in ("a", "b")])
    with pytest.raises(ModelError, match="shapes"):
        EmotionClassifier.load(copy)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": 3}', '{"format": 2}', '{"format": 1, "preprocessing": {}}']
)
def test_a_config_that_is_none_is_refused(copy, text):
    (copy / CONFIG_FILE).write_text(text)
    with pytest.raises(ModelError, match=r"config\.json"):
        EmotionClassifier.load(copy)


@pytest.mark.parametrize("empty", [None, []])
@pytest.mark.parametrize("name", ["weights", "architecture", "training", "metrics"])
def test_a_config_of_which_a_part_is_empty_is_refused(copy, name, empty):
    change_config(copy, **{name: empty})
    with pytest.raises(ModelError, match=f"not the config of an emotion model .{name}: give names with values"):
        EmotionClassifier.load(copy)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"weights": {"parameters": "2M"}}, "weights.parameters='2M': give a number, or leave it out"),
        ({"metrics": {"test": [0.7]}}, r"metrics.test=\[0.7\]: give names with values"),
        ({"metrics": {"test": None}}, "metrics.test=None: give names with values"),
        ({"metrics": {"test": {"accuracy": "71 %"}}}, "metrics.test.accuracy='71 %': give a number"),
        ({"metrics": {"test": {"flip": 0.7}}}, "metrics.test.flip=0.7: give names with values"),
        ({"metrics": {"test": {"flip": {"accuracy": []}}}}, r"metrics.test.flip.accuracy=\[\]: give a number"),
        ({"metrics": {"test": {"per_class": []}}}, r"metrics.test.per_class=\[\]: give names"),
        ({"metrics": {"test": {"per_class": {"sad": 1}}}}, "metrics.test.per_class.sad=1: give names"),
        ({"metrics": {"test": {"per_class": {"sad": {"recall": "1"}}}}}, "per_class.sad.recall='1': give a number"),
        ({"metrics": {"test": {"confusion": [1, 2]}}}, r"confusion=\[1, 2\]: give rows of numbers"),
        ({"metrics": {"test": {"confusion": [[1, "2"]]}}}, r"confusion=\[\[1, '2'\]\]: give rows of numbers"),
        ({"metrics": {"test": {"accuracy": 10**400}}}, r"metrics.test.accuracy=1000.*000: give a number"),
        ({"metrics": {"test": {"confusion": [[1, 10**400]]}}}, r"confusion=\[\[1, 1000.*000\]\]: give rows of numbers"),
        ({"labels": [{"name": "calm", "emoji": 3}]}, "emoji=3 of calm: give it as text"),
        ({"labels": [{"name": "calm", "emoji": "\ud83d"}]}, r"emoji='\\ud83d' of calm: give it as text"),
        ({"labels": [{"name": "\ud83d"}]}, r"name='\\ud83d' of a label: give it as text"),
        ({"training": {"report": [1]}}, r"training.report=\[1\]: give names"),
        ({"training": {"report": {"held_out": {"after": 0.7}}}}, "report.held_out.after=0.7: give names"),
    ],
)
def test_a_config_that_the_page_could_not_show_is_refused(copy, changes, said):
    change_config(copy, **changes)
    with pytest.raises(ModelError, match=f"not the config of an emotion model .*{said}"):
        EmotionClassifier.load(copy)


def test_the_bundled_model_serves_where_a_config_is_too_deep_to_be_read(copy, monkeypatch):
    (copy / CONFIG_FILE).write_text("[" * 100_000)
    monkeypatch.setenv("EMOTION_MODEL_REPO", str(copy))
    classifier = EmotionClassifier.from_environment()
    assert classifier.source == "bundled" and "not the config of an emotion model" in classifier.fallback_reason


@pytest.mark.parametrize("record", ["emotion_cnn.onnx", {"sha256": "0"}, {"file": 3}])
def test_a_config_whose_onnx_file_has_no_name_is_refused(copy, record):
    change_config(copy, weights={"file": "emotion_cnn.keras", "onnx": record})
    with pytest.raises(ModelError, match=r"onnx=.*: give the name of its file"):
        EmotionClassifier.load(copy)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("bundled", "bundled"),
        ("somebody/model at v2 (0123abcd)", "somebody/model at v2 (0123abcd)"),
        ("/home/me/runs/mine/emotion_cnn.keras", "mine"),
        ("/home/me/mine.keras", "mine.keras"),
        ("emotion_cnn.keras", "here"),
        ("mean of bundled, /home/me/runs/mine/emotion_cnn.keras", "mean of bundled, mine"),
    ],
)
def test_people_are_told_a_models_name_without_the_folders_of_the_machine(tmp_path, monkeypatch, source, said):
    here = tmp_path / "here"
    here.mkdir()
    (here / WEIGHTS_FILE).touch()
    monkeypatch.chdir(here)
    assert short_name(source) == said


def test_a_name_that_no_file_can_have_is_no_model(tmp_path, monkeypatch):
    name = str(tmp_path / ("long" * 100))
    with pytest.raises(ModelError, match="cannot be read"):
        EmotionClassifier.load(name)
    monkeypatch.setenv("EMOTION_MODEL_REPO", name)
    assert "too long" in (EmotionClassifier.from_environment().fallback_reason or "")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("nowhere.keras", "no such model; give `bundled`, a .keras file or its folder"),
        ("maker/model", "becomes a folder by `hf download USER/NAME --local-dir DIR`; in Python .*from_pretrained"),
        ("weights.h5", "only .keras"),
        (".", "one .keras file, found 0"),
    ],
)
def test_a_missing_or_foreign_file_is_named(tmp_path, path, said):
    (tmp_path / "weights.h5").touch()
    with pytest.raises(ModelError, match=said):
        EmotionClassifier.load(tmp_path / path)


def test_a_bundled_model_that_is_missing_is_to_be_installed_anew(tmp_path, monkeypatch):
    monkeypatch.setattr("emotion_model.network.classifier.BUNDLED_DIR", tmp_path)
    with pytest.raises(ModelError, match="the bundled model is missing; install this package anew"):
        EmotionClassifier()


def test_what_is_no_path_and_no_list_of_faces_is_named(tiny_model):
    with pytest.raises(TypeError, match="Expected the path of a model, got NoneType"):
        EmotionClassifier.load(None)
    with pytest.raises(ImageError, match="Expected a list of faces, got NoneType"):
        EmotionClassifier.load(tiny_model).predict(None)


def test_a_run_is_no_model_yet(copy):
    (copy / "environment.json").write_text("{}")
    for path in (copy, copy / WEIGHTS_FILE):
        with pytest.raises(ModelError, match=r"this is a run; make a model of it with `python -m train\.export --run"):
            EmotionClassifier.load(path)


def test_weights_without_config_are_refused(copy):
    (copy / CONFIG_FILE).unlink()
    with pytest.raises(ModelError, match=r"train\.export"):
        EmotionClassifier.load(copy)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"labels": ()}, "at least two"),
        ({"image_size": 2}, "at least 8"),
        ({"image_size": 48.0}, "image_size=48.0: use a whole number of pixels"),
        ({"temperature": 0}, "from 0.01 to 100"),
        ({"temperature": float("nan")}, "from 0.01 to 100"),
        ({"temperature": float("inf")}, "from 0.01 to 100"),
        ({"temperature": (1.0, -1.0, 1.0, 1.0, 1.0, 1.0, 1.0)}, "from 0.01 to 100"),
        ({"temperature": (1.0, float("nan"), 1.0, 1.0, 1.0, 1.0, 1.0)}, "from 0.01 to 100"),
        ({"temperature": (1.0, 2.0)}, "each of the 7 labels"),
    ],
)
def test_invalid_configs_are_refused(values, said):
    with pytest.raises(ValueError, match=said):
        ModelConfig(**values)
