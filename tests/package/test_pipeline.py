import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from emotion_model import EMOTIONS, EmotionClassifier, EmotionDetector, Face, FaceDetector, ImageError, read_image
from support.paths import media
from support.pictures import ASTRONAUT_FACE


def test_no_face_is_an_empty_list(detector, landscape):
    assert detector.detect(landscape) == []


def test_a_face_carries_box_probabilities_and_what_follows_from_them(detector, astronaut):
    (face,) = detector.detect(astronaut)
    x, y, width, height = face.box
    middle = (ASTRONAUT_FACE[0] + ASTRONAUT_FACE[2] / 2, ASTRONAUT_FACE[1] + ASTRONAUT_FACE[3] / 2)
    assert x < middle[0] < x + width and y < middle[1] < y + height
    assert face.probabilities.shape == (7,) and face.probabilities.dtype == np.float32
    assert face.emotion == EMOTIONS[int(face.probabilities.argmax())]
    assert face.confidence == pytest.approx(face.probabilities.max())
    assert face.track_id is None


def test_a_broad_smile_is_happy(detector, astronaut):
    (face,) = detector.detect(astronaut)
    assert face.emotion == "happy"
    assert face.valence > 0.3 and face.intensity > 0.5


@pytest.mark.parametrize("light", [lambda picture: picture // 10, lambda picture: picture // 6 + 190])
def test_in_the_dark_and_in_haze_it_is_happy_too(detector, astronaut, light):
    [face] = detector.detect(light(astronaut))
    assert face.emotion == "happy" and face.confidence > 0.8


def test_twenty_faces_at_once_equal_one_at_a_time(detector, crowd):
    faces = detector.detect(crowd)
    assert len(faces) == 20
    alone = {detector.detect(crowd[y : y + 200, x : x + 200])[0].emotion for y in (0, 200) for x in (0, 200)}
    assert {face.emotion for face in faces} == alone


def test_boxes_lie_inside_the_picture(detector, astronaut):
    close = astronaut[90:190, 190:260]  # the face overflows every edge
    for face in detector.detect(close):
        x, y, width, height = face.box
        assert x >= 0 and y >= 0 and width >= 1 and height >= 1
        assert x + width <= close.shape[1] and y + height <= close.shape[0]


@pytest.mark.parametrize("kind", ["grey", "rgba", "16 bit"])
def test_grey_rgba_and_16_bit_arrays_give_the_same_emotion(detector, astronaut, kind):
    variants = {
        "grey": astronaut.mean(axis=2).astype(np.uint8),
        "rgba": np.dstack([astronaut, np.full(astronaut.shape[:2], 255, np.uint8)]),
        "16 bit": astronaut.astype(np.uint16) * 257,
    }
    assert detector.detect(variants[kind])[0].emotion == detector.detect(astronaut)[0].emotion


def test_what_is_not_an_image_is_refused(detector):
    with pytest.raises(ImageError):
        detector.detect(np.zeros((10, 10, 3), np.float32))


def test_of_many_pictures_the_error_says_which_it_is_about(detector, astronaut, tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    with pytest.raises(ImageError) as caught:
        detector.detect_many([astronaut, tmp_path / "bad.jpg"])
    (note,) = caught.value.__notes__
    assert "number 1 " in note and note.endswith(f"{tmp_path}/bad.jpg")
    with pytest.raises(ImageError) as caught:
        detector.classifier.predict([astronaut, astronaut, astronaut.astype(float)])
    assert "number 2 " in caught.value.__notes__[0]
    with pytest.raises(ImageError) as caught:
        detector.detect(tmp_path / "bad.jpg")
    assert not hasattr(caught.value, "__notes__")


@pytest.mark.parametrize("share", [pickle.dumps, copy.deepcopy])
def test_who_hands_a_detector_to_another_process_is_told_what_to_do(detector, share):
    with pytest.raises(TypeError, match="load the model in each worker"):
        share(detector)


@pytest.mark.parametrize("one", [np.zeros((10, 10, 3), np.uint8), "photo.jpg", Path("photo.jpg"), b"photo"])
def test_one_picture_in_the_place_of_several_is_refused(detector, one):
    with pytest.raises(ImageError, match="Expected a list of pictures, got one "):
        detector.detect_many(one)


@pytest.mark.parametrize("form", [str, Path, lambda folder: [folder]], ids=["text", "path", "list"])
def test_one_model_is_loaded_from_its_path(tiny_model, form):
    assert EmotionDetector.load(form(tiny_model), "haar").classifier.folder == tiny_model


@pytest.mark.parametrize(
    ("wrong", "mend"),
    [
        ({"classifier": "runs/mine"}, "EmotionDetector.load"),
        ({"classifier": Path("runs/mine")}, "EmotionDetector.load"),
        ({"faces": "haar"}, r"FaceDetector\('haar'\)"),
    ],
)
def test_a_path_or_a_name_in_the_place_of_what_it_stands_for_is_refused(wrong, mend):
    with pytest.raises(TypeError, match=mend):
        EmotionDetector(**wrong)


def test_several_threads_get_the_results_of_one(detector, astronaut, crowd):
    pictures = [astronaut, crowd] * 6
    expected = [[face.to_dict() for face in detector.detect(picture)] for picture in pictures[:2]] * 6
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda picture: [face.to_dict() for face in detector.detect(picture)], pictures))
    for result, wanted in zip(results, expected, strict=True):
        assert [face["box"] for face in result] == [face["box"] for face in wanted]


def test_real_group_photo(detector):
    faces = detector.detect(read_image(media("group_five_faces.jpg")))
    assert faces if detector.faces.name == "haar" else len(faces) == 5


def test_the_haar_cascade_serves_without_landmarks(astronaut):
    (face,) = EmotionDetector(EmotionClassifier(), FaceDetector("haar")).detect(astronaut)
    assert face.landmarks is None and face.emotion == "happy"


def one_hot(emotion, share=1.0):
    p = np.full(7, (1 - share) / 6, np.float32)
    p[EMOTIONS.index(emotion)] = share
    return p


@pytest.mark.parametrize(
    ("emotion", "pleasant", "excited"),
    [
        ("angry", -1, 1),
        ("disgust", -1, 1),
        ("fear", -1, 1),
        ("happy", 1, 1),
        ("sad", -1, -1),
        ("surprise", 1, 1),
        ("neutral", 0, 0),
    ],
)
def test_valence_and_arousal_have_the_sign_of_the_emotion(emotion, pleasant, excited):
    face = Face((0, 0, 1, 1), one_hot(emotion))
    assert (np.sign(face.valence), np.sign(face.arousal)) == (pleasant, excited)


def test_a_face_has_a_probability_for_each_emotion():
    with pytest.raises(ValueError, match="3 probabilities, 7 emotions"):
        Face((0, 0, 1, 1), np.ones(3, np.float32) / 3)


def test_intensity_grows_as_neutral_fades():
    values = [Face((0, 0, 1, 1), one_hot("neutral", share)).intensity for share in (1.0, 0.8, 0.5, 0.2, 0.0)]
    assert values == sorted(values) and values[0] == 0 and values[-1] == 1


@pytest.mark.parametrize("classes", [2, 3, 8])
def test_without_a_neutral_class_intensity_grows_from_even_odds_to_one_sure_class(classes):
    names = tuple(f"class {i}" for i in range(classes))

    def intensity(probabilities):
        return Face((0, 0, 1, 1), np.asarray(probabilities, np.float32), emotions=names).intensity

    even, sure = np.full(classes, 1 / classes), np.eye(classes)[1]
    growing = [intensity((1 - share) * even + share * sure) for share in (0, 0.2, 0.5, 0.8, 1)]
    assert growing == pytest.approx([0, 0.2, 0.5, 0.8, 1], abs=1e-6) and max(growing) <= 1
    # The same for a network that becomes surer of several classes at once.
    logits = np.linspace(-1, 2, classes)
    sharper = [np.exp(logits * factor) / np.exp(logits * factor).sum() for factor in (0, 0.5, 1, 2, 4)]
    assert np.all(np.diff([intensity(p) for p in sharper]) > 0)


def test_a_face_as_json_values():
    values = Face((1, 2, 3, 4), one_hot("sad")).to_dict()
    assert values["box"] == [1, 2, 3, 4] and values["emotion"] == "sad" and values["confidence"] == 1
    assert list(values["probabilities"]) == list(EMOTIONS)
    assert set(values) == {"box", "emotion", "confidence", "clear", "intensity", "valence", "arousal", "probabilities"}
