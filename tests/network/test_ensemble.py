import json
import shutil
from dataclasses import replace

import keras
import numpy as np
import pytest
from PIL import Image

from emotion_model import (
    EMOTIONS,
    LABELS,
    EmotionClassifier,
    EmotionDetector,
    EmotionEnsemble,
    ImageError,
    ModelConfig,
    ModelError,
    TransformersClassifier,
    read_image,
)
from emotion_model.__main__ import main
from emotion_model.network.building import build_model
from emotion_model.network.config import CONFIG_FILE, WEIGHTS_FILE
from support.models import TINY


def save_model(folder, seed, labels=LABELS):
    folder.mkdir()
    keras.utils.set_random_seed(seed)
    build_model(replace(TINY, classes=len(labels))).save(folder / WEIGHTS_FILE)
    (folder / CONFIG_FILE).write_text(ModelConfig(labels=tuple(labels)).to_json(), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("members")
    return [save_model(root / "a", 1), save_model(root / "b", 2)]


@pytest.fixture(scope="module")
def some_faces():
    return np.random.default_rng(0).integers(0, 256, (5, 48, 48), dtype=np.uint8)


def test_an_ensemble_gives_the_mean_of_its_members(folders, some_faces):
    members = [EmotionClassifier.load(folder) for folder in folders]
    expected = np.mean([member.predict(some_faces) for member in members], axis=0)
    assert not np.allclose(expected, members[0].predict(some_faces), atol=1e-3), "members that differ"
    assert np.allclose(EmotionEnsemble(members).predict(some_faces), expected, atol=1e-6)
    assert EmotionEnsemble(members).predict([]).shape == (0, 7)


def test_faces_may_come_one_by_one(folders, some_faces):
    one = EmotionClassifier.load(folders[0])
    for classifier in (one, EmotionEnsemble([one, EmotionClassifier.load(folders[1])])):
        assert (classifier.predict(face for face in some_faces) == classifier.predict(some_faces)).all()


def test_what_is_unclear_does_not_depend_on_which_member_stands_first(folders):
    members = [EmotionClassifier.load(folder) for folder in folders]
    for member, limit in zip(members, (0.3, 0.45), strict=True):
        member.config = replace(member.config, clear_from=limit)
    assert [EmotionEnsemble(order).config.clear_from for order in (members, members[::-1])] == [0.45, 0.45]


def test_the_size_of_an_ensemble_is_known_where_that_of_every_member_is(folders):
    members = [EmotionClassifier.load(folder) for folder in folders]
    for member, multiply_adds in zip(members, ({"multiply_adds": 3}, {"multiply_adds": None}), strict=True):
        member.config = replace(member.config, weights={"parameters": 5} | multiply_adds)
    assert EmotionEnsemble(members).config.weights == {"bytes": None, "parameters": 10, "multiply_adds": None}


@pytest.mark.parametrize("one", [Image.new("L", (48, 48)), np.zeros((48, 48, 1), np.uint8)], ids=["pillow", "array"])
def test_one_face_is_no_list_of_faces(folders, one):
    with pytest.raises(ImageError, match="put it in a list"):
        EmotionDetector.load(folders).classifier.predict(one)


def test_members_may_order_their_labels_differently(tmp_path, folders, some_faces):
    first = EmotionClassifier.load(folders[0])
    turned = EmotionClassifier.load(
        save_model(tmp_path / "turned", 1, LABELS[::-1])
    )  # same weights, names turned round
    ensemble = EmotionEnsemble([first, turned])
    probabilities = first.predict(some_faces)
    assert np.allclose(ensemble.predict(some_faces), (probabilities + probabilities[:, ::-1]) / 2, atol=1e-6)


def test_members_with_other_labels_are_refused(tmp_path, folders):
    other = EmotionClassifier.load(save_model(tmp_path / "other", 1, LABELS[:5]))
    with pytest.raises(ValueError, match="the same ones"):
        EmotionEnsemble([EmotionClassifier.load(folders[0]), other])
    with pytest.raises(ValueError, match="at least one"):
        EmotionEnsemble([])


@pytest.mark.parametrize(
    ("members", "said"),
    [(["bundled"], "Expected a classifier, got str"), (None, "Expected a list of classifiers, got NoneType")],
)
def test_members_that_are_no_models_are_refused(members, said):
    with pytest.raises(TypeError, match=said):
        EmotionEnsemble(members)


def test_an_ensemble_reads_photos_like_a_model(folders, photo, capsys):
    ensemble = EmotionEnsemble([EmotionClassifier.load(folder) for folder in folders])
    (face,) = EmotionDetector(ensemble).detect(read_image(photo))
    assert face.emotions == EMOTIONS and face.probabilities.sum() == pytest.approx(1, abs=1e-5)
    assert main(["image", str(photo), "--json", "--model", *map(str, folders)]) == 0
    (picture,) = json.loads(capsys.readouterr().out)
    assert picture["faces"][0]["probabilities"] == face.to_dict()["probabilities"]


def test_the_environment_chooses_the_model_and_a_bad_choice_is_told(monkeypatch, folders, tmp_path):
    monkeypatch.setenv("EMOTION_MODEL_REPO", str(folders[0]))
    assert EmotionClassifier.from_environment().source == str(folders[0] / WEIGHTS_FILE)
    monkeypatch.setenv("EMOTION_MODEL_REPO", str(tmp_path))
    fallback = EmotionClassifier.from_environment()
    assert fallback.source == "bundled" and "bundled" in fallback.notice
    assert str(tmp_path) in fallback.fallback_reason and str(tmp_path) not in fallback.notice
    monkeypatch.delenv("EMOTION_MODEL_REPO")
    monkeypatch.setenv("EMOTION_MODEL_REVISION", "v1")
    fallback = EmotionClassifier.from_environment()
    assert fallback.notice and "EMOTION_MODEL_REVISION is set without EMOTION_MODEL_REPO" in fallback.fallback_reason


THEIRS = ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise", "contempt")


@pytest.fixture(scope="module")
def vit(tmp_path_factory):
    """Folder of a real but untrained vision transformer with eight labels."""
    pytest.importorskip("torch", reason="needs torch: requirements-torch.txt")
    transformers = pytest.importorskip("transformers", reason="needs transformers: requirements-torch.txt")
    folder = tmp_path_factory.mktemp("vit")
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    names = {"id2label": dict(enumerate(THEIRS)), "label2id": {name: i for i, name in enumerate(THEIRS)}}
    config = transformers.ViTConfig(**size, image_size=32, patch_size=8, **names)
    transformers.ViTForImageClassification(config).save_pretrained(folder)
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def test_a_transformers_model_joins_an_ensemble(vit, folders, some_faces):
    theirs = TransformersClassifier(str(vit), dict(zip(THEIRS, EMOTIONS, strict=False)))
    probabilities = theirs.predict(some_faces, flip=True)
    assert probabilities.shape == (5, 7) and np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert (probabilities > 0).all(), "an emotion is left out"
    ours = EmotionClassifier.load(folders[0])
    ensemble = EmotionEnsemble([ours, theirs])
    expected = (ours.predict(some_faces) + theirs.predict(some_faces)) / 2
    assert np.allclose(ensemble.predict(some_faces), expected, atol=1e-5)
    with pytest.raises(ImageError, match="put it in a list"):
        theirs.predict(some_faces[0, ..., None])


def test_a_damaged_transformers_model_is_refused(vit, tmp_path):
    folder = shutil.copytree(vit, tmp_path / "vit")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(ModelError, match="cannot be loaded"):
        TransformersClassifier(str(folder), dict(zip(THEIRS, EMOTIONS, strict=False)))


def test_a_wrong_label_map_or_model_is_refused(vit, tmp_path):
    with pytest.raises(ValueError, match="joy"):
        TransformersClassifier(str(vit), {"happiness": "happy"})
    with pytest.raises(ModelError, match="cannot be loaded"):
        TransformersClassifier(str(tmp_path), {"joy": "happy"})
