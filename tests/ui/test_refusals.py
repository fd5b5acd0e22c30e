"""What Gradio would refuse without saying what to do."""

import asyncio
import json
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar
from urllib.parse import urlsplit

import gradio as gr
import httpx
import pytest
from gradio import routes
from gradio_client import Client
from gradio_client.exceptions import AppError
from starlette.exceptions import HTTPException

from support.apps import free_port
from ui.calls import Page
from ui.fetching import public_machine
from ui.refusals import Refusal
from ui.requests import APP_OPTIONS, FairQueue, replace_parts
from ui.turns import asked
from ui.video.runs import CLIPS


@pytest.mark.parametrize(
    ("status", "detail", "said"),
    [
        (413, "File size exceeded maximum allowed size of 5767168 bytes.", "make it smaller"),
        (503, "Queue is full. Max size is 64 and size is 64.", "try again in a minute"),
        (404, "Not Found", "Not Found"),
    ],
)
def test_a_refusal_says_what_to_do_and_keeps_its_status(status, detail, said):
    answer = APP_OPTIONS["exception_handlers"][HTTPException](None, HTTPException(status, detail))
    assert answer.status_code == status
    assert said in answer.body.decode()


@pytest.fixture(autouse=True)
def own_ports(monkeypatch):
    """Gradio looks for a free port from here on; from 7860 on all tests would at once."""
    monkeypatch.setattr("gradio.http_server.INITIAL_PORT_VALUE", free_port())


@contextmanager
def serving(work: Callable[[str], Any], waiting: int = 1, **limits) -> Iterator[str]:
    """The address of a small page whose endpoint `/task` calls the function; so many calls may wait."""
    replace_parts()
    with Page() as page:
        said = gr.Textbox()
        said.submit(work, said, gr.Textbox(), api_name="task", concurrency_limit=1)
    page.queue(max_size=waiting)
    _, url, _ = page.launch(
        prevent_thread_lock=True, quiet=True, server_name="127.0.0.1", app_kwargs=APP_OPTIONS, **limits
    )
    try:
        yield f"{url}gradio_api"
    finally:
        page.close()


def test_what_visitors_send_and_get_is_not_kept_in_their_sessions():
    def work(said: str) -> Iterator[tuple[str, dict]]:
        yield f"heard {said}", gr.update(value=f"read {said}", placeholder="set")
        yield gr.skip(), gr.skip()
        yield f"told {said}", f"known {said}"

    with Page() as page:
        sent = gr.Textbox("at first")
        sent.submit(work, sent, [gr.Textbox(), gr.Textbox()], api_name="task")
    _, url, _ = page.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
    try:
        steps = list(Client(url, verbose=False).submit("a face", api_name="/task"))
        assert [step[0] for step in steps][::2] == ["heard a face", "told a face"]
        assert steps[0][1]["value"] == "read a face" and steps[-1][1] == "known a face"
        (session,) = page.state_holder.session_data.values()
        assert "a face" not in str([vars(session), *map(vars, session.blocks_config.blocks.values())])
    finally:
        page.close()


def test_calls_without_a_session_push_out_no_session_of_a_visitor():
    with Page() as page:
        said = gr.Textbox()
        said.submit(str.upper, said, gr.Textbox(), api_name="task")
    _, url, _ = page.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1", state_session_capacity=2)
    try:
        visitor = Client(url, verbose=False)
        assert visitor.predict("a", api_name="/task") == "A"
        for _ in range(3):
            event = httpx.post(f"{url}gradio_api/call/task", json={"data": ["b"]}).json()["event_id"]
            assert '"B"' in httpx.get(f"{url}gradio_api/call/task/{event}").text
        assert list(page.state_holder.session_data) == [visitor.session_hash]
    finally:
        page.close()


def test_a_long_name_of_a_session_is_refused_at_every_door():
    with serving(str.upper) as url:
        for door, more in (("call/task", {}), ("run/task", {}), ("queue/join", {"fn_index": 0})):
            for name, told in (("s" * 64, 200), ("s" * 65, 422)):
                body = json.dumps({"data": ["x"], "session_hash": name} | more).encode()
                status, refusal = answer(f"{url}/{door}", body, "application/json")
                assert status == told and (status == 200 or "64 characters at most" in refusal["error"])


def test_questions_are_known_by_the_order_in_which_they_came():
    def work(said: str, request: gr.Request) -> str:
        return f"{asked(request)} {asked(request)}"

    with serving(work) as url:
        client = Client(url.removesuffix("gradio_api"), verbose=False)
        first, second = ([int(word) for word in client.predict("now", api_name="/task").split()] for _ in "ab")
    assert first[0] == first[1] < second[0] == second[1]


def answer(url: str, body: bytes, kind: str) -> tuple[int, dict]:
    request = urllib.request.Request(url, body, {"Content-Type": kind})
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def form(content: bytes, head: str = 'name="files"; filename="a.jpg"') -> tuple[bytes, str]:
    begun = f"--x\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode()
    return begun + content + b"\r\n--x--\r\n", "multipart/form-data; boundary=x"


def test_a_call_with_named_values_that_is_refused_says_what_to_do(capfd):
    with serving(str.upper) as url:
        for name, given, refused in (
            ("task", {}, (422, "missing")),
            ("task", {"said": "x", "data": ["x"]}, (422, "bad_request")),
            ("task", ["x"], (422, "bad_request")),
            ("nosuch", {"said": "x"}, (404, "unknown_endpoint")),
        ):
            status, refusal = answer(f"{url}/call/v2/{name}", json.dumps(given).encode(), "application/json")
            assert (status, refusal["title"]) == refused and "/gradio_api/info" in refusal["error"]
    assert "Traceback" not in capfd.readouterr().err


def test_the_status_of_a_call_in_one_step_tells_whose_fault_it_is():
    def work(said: str) -> str:
        if said == "own":
            raise gr.Error("No code", print_exception=False)
        if said == "ours":
            raise RuntimeError(said)
        raise Refusal(said, "A sentence.")

    with serving(work) as url:
        for door in ("run", "api"):
            for said, told in (("damaged", 422), ("busy", 503), ("own", 500), ("ours", 500)):
                body = json.dumps({"data": [said]}).encode()
                status, refusal = answer(f"{url}/{door}/task", body, "application/json")
                assert status == told and ("error" in refusal)
            assert answer(f"{url}/{door}/task", b'{"data": []}', "application/json")[1]["title"] == "missing"


def test_an_upload_that_is_refused_says_what_to_do():
    with serving(str.upper, max_file_size=1000) as url:
        status, paths = answer(f"{url}/upload", *form(b"small"))
        assert status == 200 and len(paths) == 1
        status, refusal = answer(f"{url}/upload", *form(bytes(100_000)))
        assert (status, refusal["title"]) == (413, "too_large") and "make it smaller" in refusal["error"]
        status, refusal = answer(f"{url}/upload", b"no form at all", "multipart/form-data")
        assert (status, refusal["title"]) == (400, "bad_request") and "named files" in refusal["error"]
        assert answer(f"{url}/upload", *form(b"said", 'name="words"')) == (200, [])
        status, refusal = answer(f"{url}/upload", *form(bytes(10_000), 'name="files"'))
        assert (status, refusal["title"]) == (400, "bad_request") and "each file with its name" in refusal["error"]


def test_recordings_of_the_page_that_nobody_makes_are_not_worked_at(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with serving(str.upper) as url:
        clip = form(b"no clip", 'name="video"; filename="a.mp4"')
        status, refusal = answer(f"{url}/process_recording", *clip)
        assert (status, refusal["title"]) == (404, "unknown_endpoint") and not list(tmp_path.rglob("*.*"))


def test_all_files_of_an_upload_are_bounded_together(monkeypatch, tmp_path):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.setattr("ui.requests.LARGEST_UPLOAD", 1_000_000)
    files = [("files", (f"{name}.jpg", bytes(400_000))) for name in "abc"]
    many = httpx.Request("POST", "http://any", files=files)
    kind = {"Content-Type": many.headers["Content-Type"]}
    with serving(str.upper, max_file_size=500_000) as url:
        assert len(httpx.post(f"{url}/upload", files=files[:2]).json()) == 2
        told = told_of(url, "upload", 1_000_001)
        untold = httpx.post(f"{url}/upload", content=iter([many.read()]), headers=kind, timeout=60)
        for status, refusal in (told, (untold.status_code, untold.json())):
            assert (status, refusal["title"]) == (413, "too_large") and "fewer files" in refusal["error"]
        left = sorted(path.name for path in tmp_path.rglob("*") if path.is_file())
        assert left == ["a.jpg", "b.jpg"], "nothing of what was refused"
        monkeypatch.setattr("ui.requests.LARGEST_UPLOAD", 0)
        assert httpx.post(f"{url}/upload", files=files[:1]).status_code == 200, "one file as large as it may be"


def test_an_upload_that_would_fill_the_disk_is_refused_before_it_is_read(monkeypatch, tmp_path):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    free = 2**30
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=free))
    with serving(str.upper) as url:
        assert answer(f"{url}/upload", *form(b"small"))[0] == 200
        status, refusal = told_of(url, "upload", 2**29 + 1)
        assert (status, refusal["title"]) == (503, "busy") and "try again later" in refusal["error"]
        body, kind = form(b"small")
        untold = httpx.post(f"{url}/upload", content=iter([body]), headers={"Content-Type": kind})
        assert untold.status_code == 503, "it may be as large as any"


def told_of(url: str, name: str, size: int) -> tuple[int, dict]:
    """What is answered to the bare news that a request of so many bytes comes."""
    told = HTTPConnection(urlsplit(url).netloc, timeout=60)
    told.putrequest("POST", f"/gradio_api/{name}")
    told.putheader("Content-Length", str(size))
    told.endheaders()
    refused = told.getresponse()
    answered = refused.status, json.load(refused)
    told.close()
    return answered


def test_a_full_server_asks_to_come_back():
    begun, go = threading.Event(), threading.Event()

    def work(said: str) -> str:
        begun.set()
        go.wait(30)
        return said

    def call() -> tuple[int, dict]:
        return answer(f"{url}/call/task", b'{"data": ["x"]}', "application/json")

    with serving(work) as url:
        assert call()[0] == 200
        assert begun.wait(30)  # at work
        assert call()[0] == 200  # waits
        status, refusal = call()
        go.set()
    assert status == 503
    assert "try again in a minute" in refusal["error"]


def test_where_many_clips_wait_photos_are_still_taken(monkeypatch):
    monkeypatch.setattr("ui.requests.CLIPS_IN_QUEUE", 1)
    begun, go = threading.Event(), threading.Event()

    def watch(clip: str) -> str:
        begun.set()
        go.wait(30)
        return clip

    def call(name: str) -> tuple[int, dict]:
        return answer(f"{url}gradio_api/call/{name}", b'{"data": ["x"]}', "application/json")

    replace_parts()
    with Page() as page:
        sent = gr.Textbox()
        sent.submit(watch, sent, gr.Textbox(), api_name="watch", concurrency_limit=1, concurrency_id=CLIPS)
        sent.submit(str.upper, sent, gr.Textbox(), api_name="look")
    page.queue(max_size=3)
    _, url, _ = page.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1", app_kwargs=APP_OPTIONS)
    try:
        assert call("watch")[0] == 200 and begun.wait(30)
        assert call("watch")[0] == 200  # waits
        status, refusal = call("watch")
        assert status == 503 and "try again in a minute" in refusal["error"]
        assert call("look")[0] == 200
    finally:
        go.set()
        page.close()


def test_a_result_that_nobody_reads_is_dropped_when_its_time_is_over_and_not_before(monkeypatch):
    monkeypatch.setattr("ui.requests.LOOK_SECONDS", 0.05)
    go = threading.Event()

    def work(said: str) -> str:
        go.wait(30)
        return said

    with serving(work, waiting=3) as url:

        def call() -> str:
            return f"{url}/call/task/" + httpx.post(f"{url}/call/task", json={"data": ["x"]}).json()["event_id"]

        monkeypatch.setattr("ui.requests.KEEP_SECONDS", 0.1)
        slow = call()
        time.sleep(0.3)  # it is still being made
        monkeypatch.setattr("ui.requests.KEEP_SECONDS", 60)
        fresh = call()
        go.set()
        time.sleep(0.3)
        assert all("complete" in httpx.get(result).text for result in (slow, fresh))
        unread = call()
        monkeypatch.setattr("ui.requests.KEEP_SECONDS", 0.1)
        time.sleep(1)
        assert httpx.get(unread).json()["title"] == "unknown_id"


def test_nothing_is_kept_of_an_upload_that_has_come_or_never_came():
    with serving(str.upper) as url:
        sent = httpx.post(f"{url}/upload", params={"upload_id": "came"}, files={"files": ("a.txt", b"x" * 5000)})
        assert sent.status_code == 200
        told = httpx.get(f"{url}/upload_progress", params={"upload_id": "came"}, timeout=10)
        assert told.text == 'data: {"msg": "done"}\n\n'
        assert httpx.get(f"{url}/upload_progress", params={"upload_id": "never"}, timeout=10).status_code == 404
        assert not routes.file_upload_statuses._signals and not routes.file_upload_statuses._statuses


@pytest.fixture
def queues(monkeypatch) -> list[FairQueue]:
    """The queues of the servers of a test, which look every 50 ms for what nobody needs."""
    monkeypatch.setattr("ui.requests.LOOK_SECONDS", 0.05)
    made, found = FairQueue.__init__, []

    def seen(queue: FairQueue, *settings: Any, **others: Any) -> None:
        made(queue, *settings, **others)
        found.append(queue)

    monkeypatch.setattr(FairQueue, "__init__", seen)
    return found


def emptied(queues: list[FairQueue], seconds: float) -> bool:
    """Whether nobody's names are in them any more, within so long."""
    until = time.monotonic() + seconds
    while any(queue.pending_messages_per_session or queue.pending_event_ids_session for queue in queues):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def test_whoever_has_read_everything_leaves_nothing_behind(queues):
    with serving(str.upper) as url:
        for _ in range(3):
            event = httpx.post(f"{url}/call/task", json={"data": ["x"]}).json()["event_id"]
            assert "X" in httpx.get(f"{url}/call/task/{event}").text
        assert emptied(queues, 10)


def test_a_session_stays_while_something_of_it_is_made_though_its_end_was_told(queues):
    go = threading.Event()

    def work(said: str) -> str:
        go.wait(30)
        return said

    with serving(work) as url:
        event = httpx.post(f"{url}/call/task", json={"data": ["x"]}).json()["event_id"]
        cancelled = {"session_hash": event, "fn_index": 99, "event_id": event}  # of another function: it runs on
        assert httpx.post(f"{url}/cancel", json=cancelled).is_success
        assert "complete" in httpx.get(f"{url}/call/task/{event}").text
        assert not emptied(queues, 0.5)
        go.set()
        assert emptied(queues, 10)


class Elsewhere(BaseHTTPRequestHandler):
    """A place with a file of any size, told beforehand or not, and one that has moved there."""

    asked = sent = 0
    slow: ClassVar[list[int]] = []  # how many came at a time, of those that come slowly
    coming = 0

    def do_GET(self) -> None:
        Elsewhere.asked += 1
        if self.path == "/moved.txt":
            self.send_response(302)
            self.send_header("Location", "/10/moved.txt")
            self.end_headers()
            return
        _, size, name = self.path.split("/")
        if name == "slow.txt":
            Elsewhere.coming += 1
            Elsewhere.slow.append(Elsewhere.coming)
            time.sleep(0.2)
            Elsewhere.coming -= 1
        self.send_response(200)
        if name == "packed.txt":
            self.send_header("Content-Encoding", "gzip")
        if name != "untold.txt":
            self.send_header("Content-Length", size)
        self.end_headers()
        try:
            for begin in range(0, int(size), 10_000):
                piece = b"0123456789" * min(1000, (int(size) - begin) // 10)
                self.wfile.write(piece)
                Elsewhere.sent += len(piece)
        except OSError:
            pass  # nobody wants more of it

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def elsewhere(monkeypatch) -> Iterator[str]:
    """Its address; the name in it stands for this machine, which no page would ask under its own."""

    async def of(name: str) -> str:
        if name != "files.example":
            raise ValueError(f"{name}: not on a public machine")
        return "127.0.0.1"

    monkeypatch.setattr("ui.fetching.public_machine", of)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Elsewhere.asked = Elsewhere.sent = 0
    yield f"http://files.example:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_file_at_an_address_is_fetched_no_further_than_it_may_be_large(elsewhere, monkeypatch, tmp_path):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    with Page() as page:
        file = gr.File()
        file.upload(lambda path: f"{Path(path).name} {Path(path).stat().st_size}", file, gr.Textbox(), api_name="read")
    _, url, _ = page.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1", max_file_size=100_000)

    def read(address: str) -> str:
        return Client(url, verbose=False).predict(
            {"path": address, "meta": {"_type": "gradio.FileData"}}, api_name="/read"
        )

    try:
        assert read(f"{elsewhere}/100000/a.txt") == "a.txt 100000"
        assert read(f"{elsewhere}/moved.txt") == "moved.txt 10"
        Elsewhere.sent = 0
        for name in ("told.txt", "untold.txt"):
            with pytest.raises(AppError, match="larger than this server takes"):
                read(f"{elsewhere}/{10**9}/{name}")
        assert Elsewhere.sent < 50_000_000
        for bad in (
            f"{elsewhere}/gone",
            f"{elsewhere}/10/packed.txt",
            "http://127.0.0.1:1/a.txt",
            "http://nowhere.example/a.txt",
        ):
            with pytest.raises(AppError, match="cannot be had"):
                read(bad)
        assert not list(tmp_path.glob("fetched-*"))
    finally:
        page.close()


def test_few_files_come_at_a_time_and_none_where_the_disk_is_full(elsewhere, monkeypatch, tmp_path):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.setattr("ui.calls.AT_ONCE", 2)
    monkeypatch.setattr(Elsewhere, "slow", [])
    value = {"path": f"{elsewhere}/10/slow.txt", "meta": {"_type": "gradio.FileData"}}
    with Page() as page:
        file = gr.File()
        file.upload(lambda path: Path(path).name, file, gr.Textbox(), api_name="read", queue=False)
    _, url, _ = page.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1", app_kwargs=APP_OPTIONS)

    def read(_: int) -> tuple[int, dict]:
        return answer(f"{url}gradio_api/run/read", json.dumps({"data": [value]}).encode(), "application/json")

    try:
        with ThreadPoolExecutor(6) as pool:
            assert [told["data"] for _, told in pool.map(read, range(6))] == [["slow.txt"]] * 6
        assert max(Elsewhere.slow) <= 2 and len(Elsewhere.slow) == 6
        monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=2**29 - 1))
        status, refusal = read(0)
        assert status >= 400 and "no room for more files" in refusal["error"]
        assert len(Elsewhere.slow) == 6
    finally:
        page.close()


def test_a_call_has_one_file_at_an_address_fetched_where_one_is_taken(elsewhere, monkeypatch, tmp_path):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.setattr("ui.calls.MOST_BYTES", 1000)
    file = {"path": f"{elsewhere}/10/a.txt", "meta": {"_type": "gradio.FileData"}}
    with Page() as page:
        files, picture, text = gr.File(file_count="multiple"), gr.Image(type="filepath"), gr.Textbox()
        picture.preprocess = lambda payload: payload.path
        for name, block in (("files", files), ("picture", picture), ("text", text)):
            block.change(lambda given: str(given), block, gr.Textbox(), api_name=name)
    _, url, _ = page.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1", app_kwargs=APP_OPTIONS)

    def call(name: str, value: object) -> tuple[int, dict]:
        return answer(f"{url}gradio_api/run/{name}", json.dumps({"data": [value]}).encode(), "application/json")

    try:
        assert "a.txt" in call("files", [file])[1]["data"][0] and Elsewhere.asked == 1
        assert "a.txt" in call("picture", file)[1]["data"][0] and Elsewhere.asked == 2
        for name, value, said in (
            ("files", [file] * 2, "one file at an address"),
            ("text", [file] * 500, "one file at an address"),
            ("text", file, "not of the kind"),
            ("files", [file, {"path": "/etc/hostname"}], "not on this server"),
        ):
            status, refusal = call(name, value)
            assert status >= 400 and said in refusal["error"]
        assert Elsewhere.asked == 2
        large = file | {"path": f"{elsewhere}/2000/a.jpg"}
        assert "a.jpg" in call("files", [large])[1]["data"][0]
        assert "larger than this server takes" in call("picture", large)[1]["error"], "for a picture"
    finally:
        page.close()


def test_a_file_may_be_given_by_url_and_as_a_data_url(elsewhere, monkeypatch, tmp_path):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    data = "data:text/plain;base64,c21hbGw="
    with Page() as page:
        file, picture, text = gr.File(), gr.Image(type="filepath"), gr.Textbox()
        for block in (file, picture):
            block.preprocess = lambda payload: payload.path
        for name, block in (("file", file), ("picture", picture), ("text", text)):
            block.change(lambda path: Path(path).read_text(), block, gr.Textbox(), api_name=name)
    _, url, _ = page.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1", app_kwargs=APP_OPTIONS)

    def call(name: str, value: object) -> dict:
        return answer(f"{url}gradio_api/run/{name}", json.dumps({"data": [value]}).encode(), "application/json")[1]

    try:
        for value, read in (
            ({"url": f"{elsewhere}/10/a.txt"}, "0123456789"),
            ({"path": None, "url": data}, "small"),
            ({"path": data}, "small"),
        ):
            assert call("picture", value)["data"] == [read]
            assert call("file", value | {"meta": {"_type": "gradio.FileData"}})["data"] == [read]
        for value, title in (
            ({"url": "http://127.0.0.1:1/a.txt"}, "unreachable"),
            ({"url": "/etc/hostname"}, "not_uploaded"),
            ({"url": "file:///etc/hostname"}, "not_uploaded"),
            ({"url": "data:text/plain;base64,A"}, "bad_base64"),
            ([{"url": data}] * 2, "bad_request"),
        ):
            assert call("picture", value)["title"] == title
        assert call("text", {"url": data})["title"] == "bad_request"
        assert not list(tmp_path.glob("fetched-*"))
    finally:
        page.close()


def test_only_files_of_the_upload_folder_are_taken(monkeypatch, tmp_path):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    (tmp_path / "of_others").mkdir()
    (tmp_path / "of_others" / "a.jpg").touch()
    with Page() as page:
        file = gr.File()
        file.preprocess = lambda payload: payload.path
        file.change(lambda path: f"{Path(path).name} {Path(path).exists()}", file, gr.Textbox(), api_name="read")
    _, url, _ = page.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1", app_kwargs=APP_OPTIONS)

    def read(path: str) -> dict:
        body = {"data": [{"path": path, "meta": {"_type": "gradio.FileData"}}]}
        return answer(f"{url}gradio_api/run/read", json.dumps(body).encode(), "application/json")[1]

    try:
        assert read(f"{tmp_path}/of_others/a.jpg")["data"] == ["a.jpg True"]
        assert read(f"{tmp_path}/of_others/swept.jpg")["data"] == ["swept.jpg False"], "its reader says what is wrong"
        for path in (f"{tmp_path}", f"{tmp_path}/of_others", f"{tmp_path}/{'a' * 300}", f"{tmp_path}/a\0.jpg"):
            assert read(path)["title"] == "not_uploaded"
            assert re.match("The file is not on this server, or no longer: choose it once more", read(path)["error"])
        own = f"{url}gradio_api/file={tmp_path}/"
        assert read(f"{own}of_others/a.jpg")["data"] == ["a.jpg True"]
        for name in ("of_others", "a" * 300):
            assert read(f"{own}{name}")["title"] == "unreachable"
    finally:
        page.close()


def test_files_elsewhere_are_not_to_be_had_by_way_of_this_server(elsewhere, monkeypatch):
    monkeypatch.setattr("safehttpx.async_validate_url", lambda _: asyncio.sleep(0, "127.0.0.1"))
    with serving(str.upper) as url:
        (path,) = answer(f"{url}/upload", *form(b"small"))[1]
        for door in ("file=", "file/"):
            refused = httpx.get(f"{url}/{door}{elsewhere}/10/a.txt")
            assert refused.status_code == 403 and "its own address" in refused.json()["error"]
            assert httpx.get(f"{url}/{door}{path}").content == b"small"
    assert Elsewhere.asked == 0


@pytest.mark.parametrize("host", ["100.64.0.1", "fec0::1", "127.0.0.1", "10.0.0.1", "fe80::1", "::1", "239.1.1.1"])
def test_addresses_that_are_not_public_are_no_ones_to_fetch_from(host, monkeypatch):
    monkeypatch.setattr("safehttpx.async_resolve_hostname_google", lambda _: asyncio.sleep(0, []))
    with pytest.raises(ValueError, match=r"not on a public machine|failed validation"):
        asyncio.run(public_machine(host))


@pytest.mark.parametrize("host", ["1.1.1.1", "2606:4700::1111"])
def test_public_addresses_are(host):
    assert asyncio.run(public_machine(host)) == host


def test_a_request_that_is_no_upload_is_not_read_beyond_what_a_picture_takes():
    with serving(lambda said: str(len(said))) as url:
        assert Client(url.removesuffix("gradio_api"), verbose=False).predict("a" * 10**6, api_name="/task") == "1000000"
        named_so = [(f"{route}/upload", 413) for route in ("run", "api", "call", "stream")]
        for name, refused in [("call/task", 413), ("queue/join", 413), ("component_server", 400), *named_so]:
            untold = httpx.post(f"{url}/{name}", content=iter([b"a" * 2**20] * 25), timeout=60)
            assert untold.status_code == refused, name
            assert refused == 400 or "/gradio_api/upload" in untold.json()["error"], name
            status, refusal = told_of(url, name, 2**30)
            assert status == 413 and "/gradio_api/upload" in refusal["error"], name


def test_a_file_at_an_address_lies_here_for_as_long_as_its_call_lasts(elsewhere, monkeypatch, tmp_path):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    wait = threading.Event()

    def steps(path: str) -> Iterator[str]:
        yield "first"
        while not wait.wait(0.05):
            yield Path(path).read_text()[:1]
        yield "last"

    def failing(path: str) -> str:
        raise gr.Error(f"{Path(path).stat().st_size} bytes", print_exception=False)

    with Page() as page:
        file, text = gr.File(), gr.Textbox()
        file.upload(steps, file, text, api_name="steps", concurrency_limit=2)
        file.upload(failing, file, text, api_name="fail")
    _, url, _ = page.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
    client, other = (Client(url, verbose=False) for _ in range(2))  # to cancel one job ends the stream of its client
    sent = {"path": f"{elsewhere}/10/a.txt", "meta": {"_type": "gradio.FileData"}}

    def wait_until(so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not so():
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def lie_here() -> list[str]:
        return [path.name for path in tmp_path.glob("fetched-*/*")]

    try:
        job, left = client.submit(sent, api_name="/steps"), other.submit(sent, api_name="/steps")
        wait_until(lambda: len(job.outputs()) > 3 and len(left.outputs()) > 3)
        assert lie_here() == ["a.txt"] * 2
        left.cancel()
        wait_until(lambda: len(lie_here()) == 1)
        wait.set()
        assert job.result(30) == "last"
        with pytest.raises(AppError, match="10 bytes"):
            client.predict(sent, api_name="/fail")
        wait_until(lambda: not list(tmp_path.glob("fetched-*")))
    finally:
        wait.set()  # or what waits would keep this process from ending
        page.close()


def test_a_result_is_waited_for_once_and_only_where_it_is_being_made():
    with serving(lambda said: f"heard {said}") as url:
        door = f"{url}/call/task"
        asked = httpx.post(door, json={"data": ["x"]}).json()["event_id"]
        assert "heard x" in httpx.get(f"{door}/{asked}").text
        for event in (asked, "nosuch"):
            again = httpx.get(f"{door}/{event}", timeout=20)
            assert (again.status_code, again.json()["title"]) == (404, "unknown_id")
            assert "Send the request again" in again.json()["error"]
        by_name = f"{url}/call/v2/task"
        asked = httpx.post(by_name, json={"said": "z"}).json()["event_id"]
        assert "heard z" in httpx.get(f"{by_name}/{asked}").text
        for gone in (f"{by_name}/{asked}", f"{by_name}/nosuch", by_name):
            assert httpx.get(gone, timeout=20).json()["title"] == "unknown_id"
        given = {"data": ["y"], "session_hash": "mine"}
        asked = httpx.post(door, json=given).json()["event_id"]
        assert "heard y" in httpx.get(f"{door}/{asked}").text, "of a session with a name of its own"
