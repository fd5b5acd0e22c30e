"""Pictures on their side or on their head, and small faces in large ones."""

import cv2
import numpy as np
import pytest

from emotion_model import FaceDetector, read_image
from emotion_model.clips.analysis import analyze, video_detector
from emotion_model.clips.reading import VideoReader
from emotion_model.faces.boxes import Detection, overlap
from emotion_model.faces.turning import TURNS, HeldTurn, turned, turned_back, way_up
from support.clips import write_clip
from support.paths import media


@pytest.fixture(scope="module")
def yunet():
    faces = FaceDetector()
    if faces.name != "yunet":
        pytest.skip("needs the YuNet model file")
    return faces


def given(turn, picture):
    """The picture as it lies before it is turned clockwise so often."""
    return np.ascontiguousarray(np.rot90(picture, turn))


@pytest.mark.parametrize("turn", TURNS)
def test_what_is_turned_is_turned_back(turn):
    picture = np.zeros((30, 50), np.uint8)
    picture[4:9, 20:32] = 255
    x, y, w, h = cv2.boundingRect(turned(picture, turn))
    points = np.array([[x, y], [x + w, y], [x, y + h], [x + w, y + h], [x, y]], np.float32)
    found = turned_back(Detection((x, y, w, h), points, 0.9), turn, 50, 30)
    assert found.box == (20, 4, 12, 5) and found.turn == turn
    assert {tuple(point) for point in found.landmarks.tolist()} == {(20, 4), (32, 4), (20, 9), (32, 9)}


def one(score):
    return [Detection((0, 0, 10, 10), None, score)]


def test_the_way_with_the_best_evidence_is_taken_and_doubt_leaves_a_picture_as_it_is():
    def way(*scores):
        looks = [one(score) if score else [] for score in scores]
        return way_up(looks.__getitem__, looks.__getitem__)[0]

    assert way(0.8, 0.85, 0.93, 0.8) == 2
    assert way(0, 0, 0, 0.75) == 3
    assert way(0.92, 0.95, 0, 0) == 0, "a convincing picture was turned"
    assert way(0.8, 0.8, 0.8, 0.8) == 0
    assert way(0, 0, 0, 0) == 0


def test_a_clip_holds_the_turn_that_its_first_faces_gave():
    seen = []

    def look(image, turn):
        seen.append(turn)
        return one(0.93) if turn == 2 else one(0.82)

    clip = HeldTurn(look)
    for _ in range(20):
        assert clip.detect(None)[0].score == 0.93
    assert seen.count(2) == 20 and len(seen) < 30


def test_a_clip_whose_faces_convince_is_not_looked_at_turned():
    seen = []
    clip = HeldTurn(lambda image, turn: seen.append(turn) or one(0.93))
    assert all(clip.detect(None)[0].score == 0.93 for _ in range(10)) and seen == [0] * 10


@pytest.mark.parametrize("turn", TURNS)
def test_a_portrait_says_the_same_whichever_way_it_lies(yunet, detector, astronaut, turn):
    [upright] = detector.detect(astronaut)
    [face] = detector.detect(given(turn, astronaut))
    assert face.turn == turn and face.emotion == upright.emotion == "happy"
    assert face.confidence == pytest.approx(upright.confidence, abs=0.03)
    mask = np.zeros(astronaut.shape[:2], np.uint8)
    x, y, w, h = upright.box
    mask[y : y + h, x : x + w] = 255
    assert overlap(face.box, cv2.boundingRect(given(turn, mask))) > 0.85
    assert detector.to_dict(astronaut, [face])["turned"] == 90 * turn


@pytest.mark.parametrize("angle", range(30, 360, 45))
def test_a_face_rolled_by_any_angle_is_read_as_upright(yunet, detector, astronaut, angle):
    matrix = cv2.getRotationMatrix2D((223, 113), angle, 1)
    rolled = cv2.warpAffine(astronaut, matrix, (512, 512), borderMode=cv2.BORDER_REPLICATE)
    [face] = detector.detect(rolled)
    assert face.emotion == "happy" and face.confidence > 0.9


@pytest.mark.parametrize("name", ["group_five_faces.jpg", "group_seven_faces.jpg"])
def test_a_group_is_the_same_in_all_four_turns(yunet, detector, name):
    picture = read_image(media(name))
    upright = detector.detect(picture)
    for turn in TURNS:
        faces = detector.detect(given(turn, picture))
        assert len(faces) == len(upright)
        assert [face.emotion for face in faces] == ["happy"] * len(faces)


def test_a_picture_without_faces_has_none_whichever_way_it_lies(yunet, detector, landscape):
    large = cv2.resize(landscape, (3000, 2250))
    assert detector.detect(landscape) == detector.detect(large) == []


def hall(face, size, columns, rows, height):
    """A picture with a grid of faces so many pixels high."""
    width, length = size
    rng = np.random.default_rng(0)
    picture = rng.integers(120, 132, (length, width, 3), dtype=np.uint8)
    scale = height / 120  # of the portrait's face
    small = cv2.resize(face, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    for row in range(rows):
        for column in range(columns):
            x, y = (column * width + width // 2) // columns, (row * length + length // 2) // rows
            x, y = x - small.shape[1] // 2, y - small.shape[0] // 2
            picture[y : y + small.shape[0], x : x + small.shape[1]] = small
    return picture


@pytest.mark.parametrize(("size", "columns", "rows", "height"), [((4000, 3000), 7, 7, 26), ((6000, 4000), 10, 10, 52)])
def test_small_faces_of_a_large_picture_are_found(yunet, astronaut, size, columns, rows, height):
    faces = yunet.detect(hall(astronaut[10:250, 120:330], size, columns, rows, height))
    assert 0.96 * columns * rows <= len(faces) <= columns * rows


def test_a_clip_that_was_stored_upside_down_says_what_the_upright_one_does(yunet, detector, film, tmp_path):
    def emotions(path):
        with VideoReader(path) as reader:
            frames = list(analyze(reader, video_detector(detector)))
        return [face.emotion for frame in frames for face in frame.faces]

    upright = write_clip(tmp_path / "upright.mp4", film)
    upside_down = write_clip(tmp_path / "upside_down.mp4", lambda time: film(time)[::-1, ::-1])
    told = emotions(upright)
    assert told and emotions(upside_down) == told


def test_a_face_that_only_a_closer_look_finds_is_found_in_a_clip_that_lies_on_its_side(
    yunet, detector, astronaut, tmp_path
):
    near, far = (hall(astronaut[10:250, 120:330], (720, 1280), 1, 1, height) for height in (200, 30))
    quick = video_detector(detector)
    assert not quick.faces.detect(far)
    path = tmp_path / "clip.mp4"
    write_clip(path, lambda time: given(1, near if time < 3 else far), [float(time) for time in range(6)])
    with VideoReader(path) as reader:
        frames = list(analyze(reader, quick))
    assert [[face.turn for face in frame.faces] for frame in frames] == [[1]] * 6


def test_a_real_clip_says_the_same_on_its_head(yunet, detector, tmp_path):
    quick = video_detector(detector)
    with VideoReader(media("one_face_neutral_to_smile.mp4")) as reader:
        pictures = [frame.image for frame in reader.frames(0, None)]
    shares = []
    for turn in (0, 2):
        path = tmp_path / f"{turn}.mp4"
        write_clip(path, lambda time, turn=turn: given(turn, pictures[round(time * 30)]), [i / 30 for i in range(70)])
        with VideoReader(path) as reader:
            told = [face.word for frame in analyze(reader, quick) for face in frame.faces]
        shares.append((len(told), told.count("neutral") / len(told), told.count("happy") / len(told)))
    assert shares[1] == pytest.approx(shares[0], abs=0.06)
    assert min(shares[0][1:]) > 0.3
