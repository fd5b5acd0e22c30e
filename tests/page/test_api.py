"""The API over HTTP, on the app as `python app.py` starts it."""

import base64
import gzip
import json
import re
import signal
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import httpx
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from emotion_model import EMOTIONS
from emotion_model.faces.detection import FINDERS
from support.apps import start_app
from ui.inputs import MOST_BYTES
from ui.sweeping import Sweeper


@pytest.fixture(scope="module")
def client(app):
    return Client(app.url, verbose=False)


@pytest.fixture(scope="module")
def files(tmp_path_factory, photo, landscape, crowd):
    folder = tmp_path_factory.mktemp("files")
    data = photo.read_bytes()
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("this is no picture")
    (folder / "truncated.jpg").write_bytes(data[: len(data) // 2])
    (folder / "page.html").write_text("<html></html>")
    (folder / "large.jpg").write_bytes(data + b"\x00" * MOST_BYTES)
    Image.new("1", (9000, 6000)).save(folder / "bomb.png")
    Image.fromarray(landscape).save(folder / "landscape.png")
    Image.fromarray(crowd).save(folder / "crowd.png")
    (folder / "photo.jpg").write_bytes(data)
    return folder


def encoded(path):
    return base64.b64encode(path.read_bytes()).decode()


def test_detect_image_gives_every_face(client, files):
    result = client.predict(handle_file(files / "photo.jpg"), api_name="/detect_image")
    assert (result["width"], result["height"]) == (512, 512) and result["detector"] in FINDERS
    (face,) = result["faces"]
    assert set(face) == {"box", "emotion", "confidence", "clear", "intensity", "valence", "arousal", "probabilities"}
    assert face["emotion"] == "happy" and tuple(face["probabilities"]) == EMOTIONS


@pytest.mark.parametrize(("name", "count"), [("landscape.png", 0), ("crowd.png", 20)])
def test_detect_image_with_none_and_with_twenty_faces(client, files, name, count):
    assert len(client.predict(handle_file(files / name), api_name="/detect_image")["faces"]) == count


@pytest.mark.parametrize("head", ["", "data:image/jpeg;base64,"])
def test_predict_answers_for_the_largest_face(client, files, head):
    answer = client.predict(head + encoded(files / "photo.jpg"), api_name="/predict")
    assert answer["face"] is True and answer["emotion"] == "happy"
    assert 14 < answer["confidence"] <= 100
    assert answer["confidence"] == pytest.approx(100 * max(answer["probabilities"].values()), abs=0.01)
    assert tuple(answer["probabilities"]) == EMOTIONS and len(answer["box"]) == 4


def test_predict_without_a_face_says_so(client, files):
    answer = client.predict(encoded(files / "landscape.png"), api_name="/predict")
    assert answer["face"] is False and answer["message"]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("empty.jpg", "empty"),
        ("text.jpg", "not_an_image"),
        ("page.html", "not_an_image"),
        ("truncated.jpg", "damaged"),
        ("large.jpg", "too_large"),
        ("bomb.png", "too_many_pixels"),
    ],
)
def test_detect_image_refuses_bad_files_with_a_typed_error_and_goes_on(client, files, name, code):
    with pytest.raises(AppError) as refusal:
        client.predict(handle_file(files / name), api_name="/detect_image")
    assert refusal.value.title == code
    assert refusal.value.message.endswith(".") and "Traceback" not in refusal.value.message
    assert client.predict(handle_file(files / "photo.jpg"), api_name="/detect_image")["faces"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "empty"),
        ("%%%", "bad_base64"),
        ("data:image/png;base64,AAAAA", "bad_base64"),
        (base64.b64encode(b"hello").decode(), "not_an_image"),
        ("A" * (MOST_BYTES * 8 // 5), "too_large"),
    ],
)
def test_predict_refuses_bad_text_with_a_typed_error(client, text, code):
    with pytest.raises(AppError) as refusal:
        client.predict(text, api_name="/predict")
    assert refusal.value.title == code


def test_model_info_describes_what_serves(client):
    info = client.predict(api_name="/model_info")
    assert [label["name"] for label in info["labels"]] == list(EMOTIONS)
    assert all(label["emoji"] and label["colour"].startswith("#") for label in info["labels"])
    assert info["source"] == "bundled" and info["metrics"]["test"]["images"] == 3589


AGENTS = {"/read_photo", "/read_clip", "/read_model"}  # what stands behind the tools for agents


def test_the_api_documents_exactly_its_endpoints(client):
    endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert set(endpoints) == {"/detect_frame", "/detect_image", "/predict", "/analyze_video", "/model_info"} | AGENTS
    assert endpoints["/predict"]["parameters"][0]["python_type"]["type"] == "str"
    assert "filepath" in str(endpoints["/detect_image"]["parameters"][0]["python_type"])


def test_the_documentation_names_the_fields_of_every_answer(app, client, files):
    info = json.loads(urllib.request.urlopen(f"{app.url}/gradio_api/info").read())["named_endpoints"]
    answers = {
        "/detect_image": client.predict(handle_file(files / "photo.jpg"), api_name="/detect_image"),
        "/predict": client.predict(encoded(files / "photo.jpg"), api_name="/predict"),
        "/model_info": client.predict(api_name="/model_info"),
    }
    fields = {name: set(answer) for name, answer in answers.items()}
    fields["/detect_image"] |= set(answers["/detect_image"]["faces"][0])
    for name, wanted in fields.items():
        assert all(f'"{field}"' in info[name]["description"] for field in wanted)


def test_many_callers_at_once_are_all_answered(app, files):
    def call(name):
        return len(Client(app.url, verbose=False).predict(handle_file(files / name), api_name="/detect_image")["faces"])

    names = ["photo.jpg", "landscape.png", "crowd.png"] * 4
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(call, names)) == [1, 0, 20] * 4


def test_pictures_stay_on_disk_until_their_time_is_over_and_in_no_session(files, detector, tmp_path, monkeypatch):
    from ui import page as page_module

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "files"))
    page = page_module.build_page(detector)
    _, url, _ = page.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
    (tmp_path / "files").mkdir(exist_ok=True)
    (tmp_path / "files" / "tmp_broken_upload").write_bytes(b"x")
    sweeper = Sweeper(tmp_path / "files", 2, 1, page.forget_files)
    try:
        client = Client(url, verbose=False)
        assert client.predict(handle_file(files / "photo.jpg"), api_name="/detect_image")["faces"]
        assert client.predict(encoded(files / "photo.jpg"), api_name="/predict")["face"]
        (session,) = page.state_holder.session_data.values()
        assert not session.config_values, "what Gradio has noted of pictures and answers"
        sweeper.start()  # as the server does, here not before the calls: one may take longer than files are kept
        deadline = time.monotonic() + 30
        while list_files(tmp_path) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert list_files(tmp_path) == []
        deadline = time.monotonic() + 10
        while any(page.temp_file_sets) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert not any(page.temp_file_sets), "names of files that are gone"
    finally:
        sweeper.stop()
        page.close()


def test_no_file_of_a_visitor_outlives_the_server(files, tmp_path):
    with start_app(tmp_path, TMPDIR=str(tmp_path)) as app:
        Client(app.url, verbose=False).predict(handle_file(files / "photo.jpg"), api_name="/detect_image")
        assert any(path.name == "photo.jpg" for path in list_files(tmp_path))
        app.process.send_signal(signal.SIGHUP)  # as where its terminal is closed; other tests end it by SIGTERM
        app.process.wait(60)
    assert [path for path in list_files(tmp_path) if path != app.log] == []


def list_files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_damage_that_nobody_thought_of_shows_no_inner_workings(files, detector, monkeypatch):
    from ui import page as page_module

    page = page_module.build_page(detector)
    monkeypatch.setattr(detector.faces, "detect", lambda image: 1 / 0)
    _, url, _ = page.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
    try:
        with pytest.raises(AppError) as refusal:
            Client(url, verbose=False).predict(handle_file(files / "photo.jpg"), api_name="/detect_image")
        assert "division" not in str(refusal.value)
    finally:
        page.close()


def test_the_page_goes_compressed_to_browsers_that_take_it_so_and_answers_go_as_they_come(app):
    packed, plain = ({"Accept-Encoding": coding} for coding in ("gzip, deflate, br", "identity"))
    with httpx.stream("GET", f"{app.url}/?tab=video", headers=packed) as answer:
        sent = b"".join(answer.iter_raw())
    whole = httpx.get(f"{app.url}/?tab=video", headers=plain)
    assert answer.headers["content-encoding"] == "gzip" and len(sent) < len(whole.content) / 2
    assert "content-encoding" not in whole.headers and gzip.decompress(sent) == whole.content
    assert all("accept-encoding" in one.headers["vary"].lower() for one in (answer, whole))  # to caches in between
    event = httpx.post(f"{app.url}/gradio_api/call/model_info", json={"data": []}).json()["event_id"]
    told = httpx.get(f"{app.url}/gradio_api/call/model_info/{event}", headers=packed)
    assert "complete" in told.text and "content-encoding" not in told.headers


def test_the_pictures_of_live_travel_by_themselves_and_are_kept(app):
    page = httpx.get(app.url).text
    pictures = set(re.findall(r"browser/[0-9a-f]{64}/[a-z]+\.(?:webp|jpg)", page))
    assert len(pictures) == 9, "seven emotions, unclear, and what stands where the camera's picture comes"
    for picture in pictures:
        answer = httpx.get(f"{app.url}/{picture}")
        assert answer.headers["content-type"].startswith("image/") and "immutable" in answer.headers["cache-control"]
        Image.open(BytesIO(answer.content)).load()


def test_browsers_keep_scripts_whose_names_hold_their_digest(app):
    scripts = re.findall(r'(?:src|href)="\.?/?(assets/[^"]+)"', httpx.get(app.url).text)
    assert scripts
    for script in scripts:
        answer = httpx.get(f"{app.url}/{script}")
        assert answer.status_code == 200 and "immutable" in answer.headers["cache-control"], script
    missing = httpx.get(f"{app.url}/assets/none-such.js")
    assert missing.status_code >= 400 and "immutable" not in missing.headers.get("cache-control", "")


def test_an_upload_over_the_servers_limit_is_refused(app):
    boundary = "x"
    body = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.jpg"\r\n\r\n'
    body += b"\x00" * (221 * 2**20) + b"\r\n--x--\r\n"
    request = urllib.request.Request(f"{app.url}/gradio_api/upload", body)
    request.add_header("Content-Type", f"multipart/form-data; boundary={boundary}")
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(request)
    assert refusal.value.code == 413


def test_files_outside_the_upload_folder_are_not_read(app, photo):
    """A caller names a path on the server instead of an uploaded file."""
    body = json.dumps({"data": [{"path": str(photo), "meta": {"_type": "gradio.FileData"}}]}).encode()
    request = urllib.request.Request(f"{app.url}/gradio_api/call/detect_image", body)
    request.add_header("Content-Type", "application/json")
    event = json.loads(urllib.request.urlopen(request).read())["event_id"]
    answer = urllib.request.urlopen(f"{app.url}/gradio_api/call/detect_image/{event}").read().decode()
    assert "event: error" in answer and "probabilities" not in answer


@pytest.mark.parametrize("endpoint", ["detect_image", "read_photo"])
@pytest.mark.parametrize("shape", ["{}", '{{"a": [{}]}}', '{{"path": "http://127.0.0.1:1/a.jpg", "b": {}}}'])
def test_nor_where_the_request_does_not_say_that_it_is_a_file(app, photo, endpoint, shape):
    value = shape.format(json.dumps({"path": str(photo)}))
    request = urllib.request.Request(f"{app.url}/gradio_api/run/{endpoint}", f'{{"data": [{value}]}}'.encode())
    request.add_header("Content-Type", "application/json")
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(request)
    assert "not on this server" in refusal.value.read().decode()


def test_two_pictures_are_read_at_once_however_many_come(files, detector, monkeypatch):
    from ui.api import Api

    at_once, most, detect = [], [], detector.detect

    def slowly(image):
        at_once.append(image)
        most.append(len(at_once))
        time.sleep(0.05)
        try:
            return detect(image)
        finally:
            at_once.pop()

    monkeypatch.setattr(detector, "detect", slowly)
    api = Api(detector)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(api.detect_image, [str(files / "photo.jpg")] * 8))
    assert max(most) == 2 and all(len(one["faces"]) == 1 for one in found)


def test_no_picture_and_no_result_is_logged(app, client, files):
    private = files / "my_birthday.jpg"
    private.write_bytes((files / "photo.jpg").read_bytes())
    assert client.predict(encoded(private), api_name="/predict")["emotion"] == "happy"
    assert client.predict(handle_file(private), api_name="/detect_image")["faces"]
    log = app.log.read_text()
    assert "my_birthday" not in log and "happy" not in log and encoded(private)[:40] not in log


def test_what_answers_again_and_again_is_refused_in_one_step(app):
    request = urllib.request.Request(f"{app.url}/gradio_api/run/analyze_video", b'{"data": [null, 0, 0, 0, false]}')
    request.add_header("Content-Type", "application/json")
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(request)
    told = json.load(refusal.value)
    assert told["title"] == "bad_request" and "send the request to /gradio_api/call/" in told["error"]


@pytest.mark.parametrize(
    ("endpoint", "body", "said"),
    [
        (
            "detect_image",
            {"data": [{"path": "/nowhere/none.jpg", "meta": {"_type": "gradio.FileData"}}]},
            "/gradio_api/upload",
        ),
        ("detect_image", {"data": ["photo.jpg"]}, "not of the kind"),
        ("predict", {"data": []}, "Some values are missing"),
        ("analyze_video", {"data": []}, "Some values are missing"),
        ("predict", {"values": []}, "was not understood"),
        ("nothing", {"data": []}, "no such endpoint"),
    ],
)
def test_what_gradio_refuses_is_refused_with_a_sentence(app, endpoint, body, said):
    address = f"{app.url}/gradio_api/call/{endpoint}"
    asked = urllib.request.Request(
        address, json.dumps(body).encode(), headers={"Content-Type": "application/json"}, method="POST"
    )
    try:
        event = json.load(urllib.request.urlopen(asked, timeout=60))["event_id"]
        answer = urllib.request.urlopen(f"{address}/{event}", timeout=60).read().decode()
    except urllib.error.HTTPError as refusal:
        assert 400 <= refusal.code < 500
        answer = refusal.read().decode()
    assert said in answer
    assert "Traceback" not in answer and "/nowhere" not in answer and "site-packages" not in answer
