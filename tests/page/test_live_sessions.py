"""`/detect_frame` and its sessions, over HTTP on the app as `python app.py` starts it."""

import base64
import json
import threading
import time
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from emotion_model import EMOTIONS, ImageError, read_base64_image
from emotion_model.faces.detection import FINDERS
from ui.live.sessions import Live, LiveConfig, SessionError


@pytest.fixture(scope="module")
def client(app):
    return Client(app.url, verbose=False)


@pytest.fixture
def session():
    return str(uuid.uuid4())


def encoded(image):
    return base64.b64encode(cv2.imencode(".jpg", image[..., ::-1])[1].tobytes()).decode()


@pytest.fixture(scope="module")
def smiling(astronaut):
    return encoded(astronaut)


def shifted(image, pixels):
    return encoded(np.roll(image, pixels, axis=1))


def detect(client, *values):
    return client.predict(*values, api_name="/detect_frame")


def test_a_face_keeps_its_id_while_it_moves(client, session, astronaut):
    for i in range(4):
        answer = detect(client, shifted(astronaut, 12 * i), session, i * 0.1)
        assert [face["face_id"] for face in answer["faces"]] == [1] and answer["time"] == pytest.approx(i * 0.1)
    (face,) = answer["faces"]
    assert face["emotion"] == "happy" and tuple(face["probabilities"]) == EMOTIONS
    assert (answer["width"], answer["height"]) == (512, 512) and answer["detector"] in FINDERS


def test_two_faces_have_two_ids_and_sessions_do_not_mix(client, session, astronaut, smiling, landscape):
    pair = encoded(np.hstack([astronaut[:384], astronaut[:384]]))
    assert sorted(face["face_id"] for face in detect(client, pair, session, 0)["faces"]) == [1, 2]
    assert [face["face_id"] for face in detect(client, smiling, session + "x", 0)["faces"]] == [1]
    assert detect(client, encoded(landscape), session, 0.1)["faces"] == []
    assert sorted(face["face_id"] for face in detect(client, pair, session, 0.2)["faces"]) == [1, 2]


def test_smoothing_is_in_seconds_and_zero_is_raw(client, session, smiling, surprised):
    other = encoded(surprised)
    raw = detect(client, other, session + "r", 0, 0)["faces"][0]
    assert raw["emotion"] == "surprise"
    detect(client, smiling, session, 0, 1)
    early = detect(client, other, session, 0.1, 1)["faces"][0]
    assert early["emotion"] == "happy" and early["probabilities"]["surprise"] < raw["probabilities"]["surprise"] / 2
    now = detect(client, other, session, 0.2, 0)["faces"][0]
    assert now["emotion"] == "surprise"
    assert now["probabilities"]["surprise"] == pytest.approx(raw["probabilities"]["surprise"], abs=0.02)


def test_what_cannot_be_used_gets_a_sentence_and_the_next_frame_works(client, session, smiling):
    detect(client, smiling, session, 5)
    for title, values in {
        "bad_session": (smiling, "short", 6),
        "bad_base64": ("not base64!", session, 6),
        "not_an_image": (base64.b64encode(b"no picture").decode(), session, 6),
        "too_large": ("A" * 2_000_001, session, 6),
        "too_many_pixels": (encoded(np.zeros((2001, 2000, 3), np.uint8)), session, 6),  # few characters
        "bad_time": (smiling, session, 4),
        "bad_smoothing": (smiling, session, 6, -1),
    }.items():
        with pytest.raises(AppError) as caught:
            detect(client, *values)
        assert caught.value.title == title and caught.value.message.endswith(".")
    assert detect(client, smiling, session, 5.5)["faces"][0]["face_id"] == 1


def test_the_endpoint_is_documented(app):
    described = json.load(urllib.request.urlopen(f"{app.url}/gradio_api/openapi.json"))
    text = json.dumps(described)
    assert "/gradio_api/call/v2/detect_frame" in text and "face_id" in text and "UUID" in text


def test_a_ninth_visitor_hears_busy_until_a_place_is_free(detector, smiling):
    live = Live(detector, LiveConfig(seats=8, idle_seconds=60))
    for i in range(8):
        live.detect(smiling, f"visitor-{i}")
    assert live.visitors == 8
    with pytest.raises(SessionError, match="All 8 places") as caught:
        live.detect(smiling, "visitor-8")
    assert caught.value.code == "busy"
    live.leave("visitor-3")
    assert [face.track_id for face in live.detect(smiling, "visitor-8").faces] == [1]


def test_a_late_frame_of_a_visitor_who_left_takes_no_place(detector, smiling):
    live = Live(detector, LiveConfig(seats=1, idle_seconds=60))
    live.detect(smiling, "visitor-1")
    live.leave("visitor-1")
    with pytest.raises(SessionError, match="this one was ended; use another") as caught:
        live.detect(smiling, "visitor-1")
    assert caught.value.code == "bad_session" and live.visitors == 0
    live.detect(smiling, "visitor-2")


def test_a_visitor_who_sends_nothing_more_gives_the_place_back(detector, smiling):
    live = Live(detector, LiveConfig(seats=1, idle_seconds=0.5))
    live.detect(smiling, "visitor-1")
    time.sleep(0.6)
    live.detect(smiling, "visitor-2")
    assert live.visitors == 1


def test_who_sends_no_picture_holds_no_place(detector, smiling):
    live = Live(detector, LiveConfig(seats=1, idle_seconds=60))
    for visitor in ("visitor-1", "visitor-2"):
        with pytest.raises(ImageError):
            live.detect("no picture", visitor)
    live.detect(smiling, "visitor-3")
    with pytest.raises(ImageError):
        live.detect("no picture", "visitor-3")
    assert live.visitors == 1


@pytest.mark.parametrize("time", [float("nan"), float("inf"), 10**400, "now"])
def test_a_time_that_is_none_is_refused(detector, smiling, session, time):
    with pytest.raises(SessionError) as caught:
        Live(detector).detect(smiling, session, time)
    assert caught.value.code == "bad_time"


def test_sixteen_visitors_at_once_are_all_served(detector, astronaut):
    live, served = Live(detector), [0] * 16
    frames = [shifted(astronaut, 5 * i) for i in range(4)]

    def visit(number):
        for i in range(4):
            found = live.detect(frames[i % 4], f"visitor-{number}", i * 0.2)
            served[number] += [face.track_id for face in found.faces] == [1]

    threads = [threading.Thread(target=visit, args=(i,)) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert served == [4] * 16


def test_one_visitor_has_so_many_frames_under_way_and_others_are_read(detector, smiling, monkeypatch):
    live, begun, go = Live(detector), threading.Semaphore(0), threading.Event()

    def read(*given: Any) -> np.ndarray:
        begun.release()
        assert go.wait(30)
        return read_base64_image(*given)

    monkeypatch.setattr("ui.live.sessions.read_base64_image", read)
    with ThreadPoolExecutor(9) as pool:
        frames = [pool.submit(live.detect, smiling, "visitor-1", 1.0) for _ in range(8)]
        assert all(begun.acquire(timeout=30) for _ in frames)
        with pytest.raises(SessionError, match="8 frames of this session") as caught:
            live.detect(smiling, "visitor-1", 1.0)
        assert caught.value.code == "busy"
        other = pool.submit(live.detect, smiling, "visitor-2", 1.0)
        assert begun.acquire(timeout=30), "it is being read"
        go.set()
        assert all(len(frame.result(60).faces) == 1 for frame in (*frames, other))
    with pytest.raises(ImageError):
        live.detect("no picture", "visitor-1", 1.1)
    assert len(live.detect(smiling, "visitor-1", 1.1).faces) == 1


def test_frames_of_one_session_may_overtake_each_other(detector, smiling, session):
    live = Live(detector)
    live.detect(smiling, session, 1.0)
    with pytest.raises(SessionError) as caught:
        live.detect(smiling, session, 0.9)
    assert caught.value.code == "bad_time"
    assert [face.track_id for face in live.detect(smiling, session, 1.1).faces] == [1]


@pytest.mark.parametrize("wrong", [{"seats": 0}, {"idle_seconds": 0}], ids=str)
def test_invalid_limits_are_refused_by_name(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"{name}=.*: "):
        LiveConfig(**wrong)


def test_nothing_of_a_frame_is_logged(app, client, session, smiling):
    detect(client, smiling, session)
    with pytest.raises(AppError):
        detect(client, "not base64!", session)
    log = app.log.read_text()
    assert session not in log and smiling[:40] not in log and "happy" not in log
