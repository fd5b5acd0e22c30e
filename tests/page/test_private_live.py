"""The Live tab that reads in the visitor's own browser."""

import json
import re
from collections import Counter

import gradio as gr
import pytest
from playwright.sync_api import expect

from support.apps import free_port
from support.cameras import PHONE, start, wait_for_rows
from support.pages import WAIT
from support.paths import ORT
from ui.browser.networks import networks_for
from ui.live.sessions import Live
from ui.live.tab import build_tab

pytestmark = pytest.mark.skipif(
    not ORT.is_dir(), reason="no onnxruntime-web: npm install --prefix tests --no-package-lock"
)
# Where one worker is enough: loading the networks is what most of these tests spend.
ONE_CORE = "Object.defineProperty(navigator, 'hardwareConcurrency', {value: 1});"
HERE, THERE = "does not leave it", "go to the server"


def test_nothing_of_the_camera_leaves_the_browser(live_page, films):
    with live_page(films["changing"], viewport=PHONE, reader=None, interval=None) as page:
        expect(page.locator(".privacy")).to_contain_text(HERE)
        sent = []
        page.on("request", lambda request: sent.append(request))
        start(page)
        expect(page.locator(".face-box .tag")).to_contain_text("Happy")
        expect(page.locator(".reading h2")).to_have_text("Surprise")
        wait_for_rows(page, 30)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        page.get_by_role("button", name="Stop").click()
        page.close()
        # The networks were fetched; nothing was sent, neither to the server nor anywhere else.
        assert {request.method for request in sent} == {"GET"}
        assert [request.url for request in sent if request.post_data_buffer] == []
        assert not [request.url for request in sent if "detect" in request.url or "component_server" in request.url]
        assert all("?" not in request.url for request in sent)


class Counted(dict):
    """Files that count how often each was asked for."""

    def __init__(self, files):
        super().__init__(files)
        self.asked = Counter()

    def get(self, address, default=None):
        self.asked[address] += 1
        return super().get(address, default)


def test_the_networks_are_fetched_once_and_kept_by_the_browser(live_page, films, detector, monkeypatch):
    monkeypatch.setenv("EMOTION_ORT_URL", str(ORT))
    networks, port = networks_for(detector), free_port()
    networks.files = Counted(networks.files)
    with gr.Blocks(analytics_enabled=False) as blocks:
        build_tab(Live(detector), networks)
    quiet = {"prevent_thread_lock": True, "quiet": True, "ssr_mode": False}
    blocks.launch(server_name="127.0.0.1", server_port=port, app_kwargs={"routes": networks.routes}, **quiet)
    try:
        with live_page(films["smile"], url=f"http://127.0.0.1:{port}", reader=None, interval=None) as page:
            for _ in range(2):
                start(page)
                page.wait_for_selector(".face-box")
                page.reload()
                page.wait_for_selector(".live[data-ready]")
    finally:
        blocks.close()
    wanted = [*networks.how["files"].values(), *networks.how["runtimes"]["processor"].values()]
    pictures = [address for address in networks.files if address.endswith((".webp", ".jpg"))]
    assert networks.files.asked == dict.fromkeys([*(file["address"] for file in wanted), *pictures], 1)


def test_whoever_wants_it_has_frames_read_on_the_server(live_page, films):
    with live_page(films["smile"], script=ONE_CORE, reader=None) as page:
        start(page)
        page.wait_for_selector(".face-box")
        with page.expect_request(lambda request: "component_server" in request.url):
            page.get_by_label("Read it").select_option("on the server")
        expect(page.locator(".privacy")).to_contain_text(THERE)
        wait_for_rows(page, 10)
        page.reload()
        expect(page.get_by_label("Read it")).to_have_value("server")
        page.get_by_label("Read it").select_option("in this browser")
        expect(page.locator(".privacy")).to_contain_text(HERE)


def test_a_new_start_and_another_camera_go_on_with_the_same_timeline_but_with_other_faces(live_page, films):
    with live_page(films["smile"], script=ONE_CORE, reader=None) as page:
        start(page)
        wait_for_rows(page, 5)
        page.get_by_role("button", name="Stop").click()
        start(page)
        expect(page.locator(".reading .number")).to_have_text("Face 2")
        page.locator("select.camera").select_option("environment")
        expect(page.locator(".reading .number")).to_have_text("Face 3")
        with page.expect_download() as saved:
            page.get_by_role("button", name="JSON").click()
        rows = json.loads(saved.value.path().read_text())
        assert [row["frame"] for row in rows] == list(range(len(rows)))
        assert {row["face_id"] for row in rows} == {1, 2, 3}
        assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)


@pytest.mark.parametrize(
    "broken",
    [
        lambda route: route.abort(),
        lambda route: route.fulfill(body=b"something else"),
    ],
    ids=["unreachable", "another file"],
)
def test_the_server_stands_in_where_a_file_does_not_come(live_page, films, broken):
    with live_page(films["smile"], script=ONE_CORE, reader=None) as page:
        page.route("**/emotions.onnx", broken)
        start(page)
        expect(page.locator(".privacy")).to_contain_text("Reading in this browser failed", timeout=WAIT)
        expect(page.locator(".privacy")).to_contain_text(THERE)
        expect(page.locator(".face-box .tag")).to_contain_text("Happy")


# A silent worker is waited for a tenth of the time.
WATCHED = """
const wait = setTimeout;
window.setTimeout = (then, time, ...more) => wait(then, time === 20000 ? 2000 : time, ...more);
const Real = Worker;
window.hired = [];
window.Worker = class extends Real {
  constructor(...all) {
    super(...all);
    this.addEventListener('message', ({data}) => { if (data.ready) hired.push(this); });
  }
};
"""


@pytest.mark.parametrize("end", ["onerror(new ErrorEvent('error', {message: 'out of memory'}))", "terminate()"])
def test_one_worker_goes_on_without_the_other_and_the_server_stands_in_where_both_end(live_page, films, end):
    script = WATCHED + "Object.defineProperty(navigator, 'hardwareConcurrency', {value: 2});"
    with live_page(films["smile"], script=script, reader=None, interval=None) as page:
        start(page)
        page.wait_for_function("hired.length === 2")
        for _ in range(2):
            rows = int(page.locator(".timeline canvas").get_attribute("data-rows") or 0)
            wait_for_rows(page, rows + 5)
            expect(page.locator(".privacy")).to_contain_text(HERE)
            page.evaluate(f"hired.shift().{end}")
        expect(page.locator(".privacy")).to_contain_text(THERE, timeout=WAIT)
        rows = int(page.locator(".timeline canvas").get_attribute("data-rows"))
        wait_for_rows(page, rows + 5)


def test_whoever_has_allowed_the_camera_is_not_asked_for_that_while_the_browser_gets_ready(live_page, films):
    with live_page(films["smile"], reader=None, script="Worker.prototype.postMessage = () => {};") as page:
        start(page)
        expect(page.locator(".live-status")).to_have_text("Getting ready.")


def test_a_browser_that_cannot_says_so(live_page, films):
    with live_page(films["smile"], script="delete window.OffscreenCanvas;", reader=None) as page:
        expect(page.locator(".privacy")).to_contain_text("This browser cannot read faces by itself.")
        assert page.locator(".reader option[value=processor]").is_disabled()
        start(page)
        expect(page.locator(".face-box .tag")).to_contain_text("Happy")


def test_a_graphics_chip_reads_where_there_is_one(live_page, films):
    with live_page(films["changing"], reader=None) as page:
        chip = "navigator.gpu?.requestAdapter().then(one => Boolean(one && !one.info.isFallbackAdapter))"
        if not page.evaluate(chip):
            pytest.skip("no graphics chip that chromium can use by WebGPU")
        page.get_by_label("Read it").select_option("in this browser, GPU")
        start(page)
        expect(page.locator(".face-box .tag")).to_contain_text("Happy")
        expect(page.locator(".reading h2")).to_have_text("Surprise")
        expect(page.locator(".privacy")).to_have_text(re.compile("^Private:"))  # nothing stood in


def test_the_processor_stands_in_for_the_graphics_chip(live_page, films):
    script = "Object.defineProperty(navigator, 'gpu', {value: {requestAdapter: async () => ({info: {}})}});"
    with live_page(films["smile"], script=ONE_CORE + script, reader=None) as page:
        page.get_by_label("Read it").select_option("in this browser, GPU")
        start(page)
        expect(page.locator(".face-box .tag")).to_contain_text("Happy")
        expect(page.locator(".privacy")).to_contain_text("The graphics chip could not")
        expect(page.get_by_label("Read it")).to_have_value("processor")
