"""The Live tab in headless Chromium, with a film for a camera."""

import base64
import csv
import io
import json
import re
import time

import cv2
import gradio as gr
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from emotion_model.faces.boxes import overlap
from emotion_model.timelines.table import columns
from support.apps import free_port, start_app
from support.cameras import DESKTOP, PHONE, RATE, SIZE, film, start, wait_for_rows
from support.pages import AWAKE, WAIT
from support.paths import media
from ui.browser.networks import Networks
from ui.live.sessions import Live, LiveConfig
from ui.live.tab import SCRIPT, build_tab
from ui.scripts import bundle

BOX = (224, 82, 110, 143)  # of the portrait's face in the camera's picture, read off by eye


def shown_boxes(page):
    """The boxes over the video as (x, y, w, h) in pixels of the camera's picture, as it is seen."""
    return page.evaluate(
        """() => {
          const video = document.querySelector('.stage video'), area = video.getBoundingClientRect();
          return [...document.querySelectorAll('.face-box')].map(box => {
            const r = box.getBoundingClientRect();
            return [r.left - area.left, r.top - area.top, r.width, r.height]
              .map((value, i) => value * (i % 2 ? video.videoHeight / area.height : video.videoWidth / area.width));
          });
        }"""
    )


def rows_shown(page):
    return int(page.locator(".timeline canvas").get_attribute("data-rows") or 0)


def settled_rows(page):
    """How many there are once none comes any more; what was asked before is still answered."""
    ends, rows = time.monotonic() + WAIT / 1000, None
    while rows != (rows := rows_shown(page)):
        assert time.monotonic() < ends, rows
        page.wait_for_timeout(1000)
    return rows


ROWS_ARE = "count => Number(document.querySelector('.timeline canvas').dataset.rows) === count"


def wait_for_box(page, where):
    """The first face's box glides to there."""
    ends = time.monotonic() + WAIT / 1000
    while not (boxes := shown_boxes(page)) or overlap(boxes[0], where) <= 0.6:
        assert time.monotonic() < ends, boxes
        page.wait_for_timeout(50)


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_box_lies_on_the_face_mirrored_with_the_picture_or_not(live_page, films, viewport):
    with live_page(films["smile"], viewport=viewport) as page:
        start(page)
        wait_for_box(page, (SIZE[0] - BOX[0] - BOX[2], *BOX[1:]))
        page.get_by_role("button", name="Mirror").click()
        wait_for_box(page, BOX)
        expect(page.locator(".face-box .tag")).to_contain_text("Happy")
        expect(page.locator(".reading h2")).to_have_text("Happy")
        expect(page.locator(".meter")).to_contain_text("results/s")
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        tag, stage = (page.locator(s).bounding_box() for s in (".face-box .tag", ".stage"))
        assert tag["x"] >= stage["x"] and tag["x"] + tag["width"] <= stage["x"] + stage["width"]


def test_the_video_plays_in_the_page_and_nothing_shifts(live_page, films):
    with live_page(films["smile"], interval=None) as page:
        start(page)
        page.wait_for_selector(".face-box")
        before = page.locator(".timeline").bounding_box()
        played = page.evaluate("document.querySelector('.stage video').currentTime")
        wait_for_rows(page, rows_shown(page) + 10)
        assert page.evaluate("document.querySelector('.stage video').currentTime") > played
        assert page.locator(".timeline").bounding_box() == before


ASKED = """
window.asked = [];
const ask = window.requestAnimationFrame;
window.requestAnimationFrame = then => {
  if (String(then).includes('animate')) window.asked.push(performance.now());  // the others are Gradio's
  return ask.call(window, then);
};
"""


def test_the_page_asks_for_no_frames_while_nothing_moves_and_for_few_else(live_page, films):
    with live_page(films["smile"], script=ASKED) as page:
        page.wait_for_timeout(1000)
        assert page.evaluate("window.asked") == []
        start(page)
        page.wait_for_function("window.asked.length > 4")
        before = len(page.evaluate("window.asked"))
        page.wait_for_timeout(2000)
        assert len(page.evaluate("window.asked")) - before < 60  # the screen has 60 a second


def test_the_label_follows_the_face_and_the_timeline_keeps_both(live_page, films):
    with live_page(films["changing"]) as page:
        start(page)
        for emotion in ("Happy", "Surprise", "Happy"):
            expect(page.locator(".reading h2")).to_have_text(emotion, timeout=WAIT)
            expect(page.locator(".face-box .tag")).to_contain_text(emotion)
        with page.expect_download() as download:
            page.get_by_role("button", name="CSV").click()
        rows = list(csv.DictReader(io.StringIO(download.value.path().read_text())))
        faces = {row["face_id"] for row in rows} - {""}
        shown = [{row["emotion"] for row in rows if row["face_id"] == face} for face in faces]
        assert {"happy", "surprise"} in shown  # one and the same face


CARDS = """
window.cards = new Set();
const number = document.querySelector('.reading .number');
new MutationObserver(() => window.cards.add(number.textContent)).observe(number, {childList: true});
"""


def test_two_faces_have_two_ids_two_colours_two_lines_and_one_card(live_page, films):
    """However they tremble: now the one, now the other is a little larger."""
    with live_page(films["two"]) as page:
        page.evaluate(CARDS)
        start(page)
        boxes = page.locator(".face-box")
        expect(boxes).to_have_count(2, timeout=WAIT)
        assert {box.get_attribute("data-face-id") for box in boxes.all()} == {"1", "2"}
        for forced in ("active", "none"):  # "active": the system replaces colours
            page.emulate_media(forced_colors=forced)
            assert len({box.evaluate("box => getComputedStyle(box).borderColor") for box in boxes.all()}) == 2
        page.locator("select.view").select_option("faces")
        expect(page.locator("select.chosen option")).to_have_text(["main", "face 1", "face 2"])
        page.locator("select.largest").select_option("1")
        expect(boxes).to_have_count(1, timeout=WAIT)
        wait_for_rows(page, rows_shown(page) + 4)
        assert page.evaluate("[...window.cards]") in (["Face 1"], ["Face 2"])


def test_whoever_chooses_a_face_in_a_pause_sees_its_card(live_page, films):
    with live_page(films["two"]) as page:
        start(page)
        expect(page.locator(".face-box")).to_have_count(2)
        page.get_by_role("button", name="Pause").click()
        for face in ("2", "1"):
            page.locator("select.chosen").select_option(face)
            expect(page.locator(".reading .number")).to_have_text(f"Face {face}")
        page.locator(".face-box[data-face-id='2']").dispatch_event("click")
        expect(page.locator(".reading .number")).to_have_text("Face 2")


def test_the_session_is_saved_as_csv_json_and_picture(live_page, films):
    with live_page(films["smile"], interval=None) as page:
        start(page)
        wait_for_rows(page, 10)
        page.get_by_role("button", name="Pause").click()
        settled_rows(page)
        saved = {}
        for name in ("CSV", "JSON", "Picture", "Snapshot"):
            with page.expect_download() as download:
                page.get_by_role("button", name=name).click()
            saved[name] = download.value.path()
            assert re.fullmatch(r"(emotions|snapshot)-[\d-]+\.(csv|json|png)", download.value.suggested_filename)
        table = list(csv.DictReader(io.StringIO(saved["CSV"].read_text())))
        assert tuple(table[0]) == columns()
        records = json.loads(saved["JSON"].read_text())
        assert len(records) == len(table) == rows_shown(page) and tuple(records[0]) == columns()
        times = [row["time"] for row in records]
        assert times == sorted(times) and times[-1] > times[0]
        assert [row["frame"] for row in records] == list(range(len(records)))
        last = records[-1]
        assert overlap([last[name] for name in "xywh"], BOX) > 0.6 and last["emotion"] == "happy"
        assert sum(last[f"raw_{name}"] for name in ("angry", "happy", "neutral")) > 0.5
        assert Image.open(saved["Picture"]).size == (1600, 640)
        assert Image.open(saved["Snapshot"]).size == SIZE
        page.evaluate("() => { HTMLCanvasElement.prototype.toBlob = done => done(null); }")  # as where memory is short
        for name in ("Picture", "Snapshot", "Share"):
            page.get_by_role("button", name=name).click()
            expect(page.locator(".live-status")).to_contain_text("Nothing was saved. The browser could not")
            for other in ("Clear", "Undo"):
                page.get_by_role("button", name=other).click()
            expect(page.locator(".live-status")).to_contain_text("The timeline is back.")


def test_a_picture_to_share_has_the_still_and_the_timeline_and_hides_faces_if_wished(live_page, films):
    x, y, w, h = SIZE[0] - BOX[0] - BOX[2], *BOX[1:]  # mirrored
    detail = {}
    with live_page(films["smile"], interval=None) as page:
        start(page)
        wait_for_rows(page, 10)
        for shown in ("faces shown", "faces hidden"):
            page.get_by_label("In saved pictures").select_option(shown)
            with page.expect_download() as saved:
                page.get_by_role("button", name="Share").click()
            assert saved.value.suggested_filename.endswith(".jpg")
            card = Image.open(saved.value.path())
            assert card.size == (1600, 1200 + 640 + 56)
            face = np.asarray(card.convert("L").resize((640, 758)), float)[y + h // 2 : y + h - 20, x + 20 : x + w - 20]
            detail[shown] = np.abs(np.diff(face, axis=1)).mean()
    assert detail["faces hidden"] < 0.6 * detail["faces shown"]


def test_of_all_that_is_in_a_picture_with_hidden_faces_no_face_is_left(live_page, films, detector):
    """Not even of those that are not followed, nor in a pause."""
    with live_page(films["two"]) as page:
        page.locator("select.largest").select_option("1")
        start(page)
        wait_for_rows(page, 5)
        expect(page.locator(".face-box")).to_have_count(1)
        page.get_by_role("button", name="Pause").click()
        page.get_by_label("In saved pictures").select_option("faces hidden")
        with page.expect_download() as saved:
            page.get_by_role("button", name="Snapshot").click()
        picture = np.asarray(Image.open(saved.value.path()).convert("RGB"))
        assert detector.detect(picture) == []


def test_a_face_at_the_edge_is_hidden_up_to_it(browser_with):
    page = browser_with().new_page()
    page.set_content('<div class="stage"></div><div class="boxes"></div><p class="button mirror" aria-pressed="false">')
    page.add_script_tag(content=bundle(SCRIPT.with_name("overlay.js")))
    pixels = page.evaluate(
        """() => {
          const $ = selector => document.querySelector(selector), settings = {hiding: {blocks: 6, around: 0.15}};
          const overlay = new Overlay({root: document.body, $, at: {x: 0, y: 1, w: 2, h: 3}, settings});
          const picture = Object.assign(document.createElement('canvas'), {width: 80, height: 60});
          const context = picture.getContext('2d'), size = picture;
          for (let x = 0; x < 80; x += 2) context.fillRect(x, 0, 1, 60);  // fine stripes
          context.globalCompositeOperation = 'destination-over';
          context.fillStyle = '#fff';
          context.fillRect(0, 0, 80, 60);
          const hidden = overlay.snapshot(picture, [[0, 0], [40, 20]].map(([x, y]) => ({row: [x, y, 40, 40], size})));
          return [...hidden.getContext('2d').getImageData(0, 0, 80, 60).data];
        }"""
    )
    page.close()
    grey = np.asarray(pixels).reshape(60, 80, 4)[..., 0]
    for corner in (grey[:14, :34], grey[46:, 46:]):  # of one face only
        assert np.count_nonzero(np.diff(corner), axis=1).max() < 6, "more than blocks is left"


def test_whoever_stops_or_clears_while_a_picture_is_made_has_that(live_page, films):
    asked, held = "**/component_server/**", []

    def hold(route):
        if '"detect"' in route.request.post_data:
            held.append(route)
        else:
            route.continue_()

    with live_page(films["smile"]) as page:
        said, hiding = page.locator(".live-status"), page.get_by_label("In saved pictures")
        for pressed, then, known in [("Snapshot", "Stop", "Camera off"), ("Share", "Clear", "Cleared")]:
            hiding.select_option("faces shown")
            start(page)
            wait_for_rows(page, 1)
            page.get_by_role("button", name="Pause").click()
            hiding.select_option("faces hidden")  # in a pause: a frame has to be read first
            page.route(asked, hold)
            with page.expect_request(asked):
                page.get_by_role("button", name=pressed).click()
            page.get_by_role("button", name=then).click()
            with page.expect_response(asked):
                while held:
                    held.pop().continue_()
            page.unroute(asked)
            page.wait_for_timeout(100)  # nothing is to come of it, nor an error
            expect(said).to_contain_text(known)
        hiding.select_option("faces shown")
        page.evaluate("document.querySelector('.stage video').srcObject = new MediaStream()")  # of a camera just chosen
        page.get_by_role("button", name="Snapshot").click()
        expect(said).to_contain_text("Nothing was saved. The camera is being changed")


COPIES = """
  window.copies = 0;
  const draw = CanvasRenderingContext2D.prototype.drawImage;
  CanvasRenderingContext2D.prototype.drawImage = function (source, ...where) {
    if (source instanceof HTMLVideoElement && where.length === 2) window.copies++;
    return draw.call(this, source, ...where);
  };
"""


def test_frames_are_copied_only_while_faces_are_to_be_hidden_in_pictures(live_page, films):
    with live_page(films["smile"], script=COPIES) as page:
        start(page)
        wait_for_rows(page, 3)
        assert page.evaluate("window.copies") == 0
        page.get_by_label("In saved pictures").select_option("faces hidden")
        page.wait_for_function("window.copies > 1")


SLOW_CAMERA = """
  const original = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  window.wait = 0;
  window.allowed = null;
  window.opened = [];
  navigator.mediaDevices.getUserMedia = async asked => {
    const {wait, allowed} = window, stream = await original(asked);
    await new Promise(done => setTimeout(done, wait));
    await allowed;
    window.opened.push(stream);
    return stream;
  };
"""
RUNNING = "window.opened.filter(one => one.getTracks()[0].readyState === 'live').length"


def test_whoever_stops_or_pauses_while_a_camera_is_changed_has_that(live_page, films):
    with live_page(films["smile"], script=SLOW_CAMERA) as page:
        start(page)
        page.wait_for_selector(".face-box")
        page.evaluate("window.wait = 600")
        page.locator("select.camera").select_option("environment")
        page.get_by_role("button", name="Stop").click()
        page.wait_for_function("window.opened.length === 2")
        page.wait_for_function(f"{RUNNING} === 0")
        expect(page.locator(".live-status")).to_contain_text("Camera off")
        start(page)
        page.wait_for_selector(".face-box")
        page.locator("select.camera").select_option("user")
        page.get_by_role("button", name="Pause").click()
        page.locator("select.camera").select_option("environment")  # and once more, before the first is there
        page.wait_for_function("window.opened.length === 5")
        page.wait_for_function(f"{RUNNING} === 1")
        page.wait_for_function("document.querySelector('.stage video').paused")
        expect(page.locator(".live-status")).to_contain_text("Paused")
        expect(page.locator(".face-box")).to_have_count(0)  # those were of another camera's picture
        page.get_by_role("button", name="Go on").click()
        expect(page.locator(".live-status")).to_contain_text("1 face followed")
        expect(page.locator(".reading .number")).to_have_text("Face 3")  # nobody of those before


def test_a_camera_that_is_allowed_for_another_tab_starts_nothing_here(live_page, films):
    with live_page(films["smile"]) as page:
        page.evaluate(
            """() => {
              window.original = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
              navigator.mediaDevices.getUserMedia = async () => { throw {name: 'NotFoundError'}; };
            }"""
        )
        start(page)
        expect(page.locator(".live-status")).to_contain_text("No camera was found")
        page.evaluate("() => { navigator.mediaDevices.getUserMedia = window.original; }")
        page.get_by_role("tab", name="Photo").click()
        page.evaluate("navigator.mediaDevices.dispatchEvent(new Event('devicechange'))")
        page.get_by_role("tab", name="Live").click()
        expect(page.get_by_role("button", name="Start camera")).to_be_enabled()
        page.evaluate("navigator.mediaDevices.dispatchEvent(new Event('devicechange'))")
        page.wait_for_selector(".face-box")


# What is said for four seconds is said for half a second.
BRIEFLY = """
const wait = setTimeout;
window.setTimeout = (action, ms, ...rest) => wait(action, ms === 4000 ? 500 : ms, ...rest);
"""


def test_pause_clear_undo_and_stop(live_page, films):
    with live_page(films["smile"], interval=None, script=AWAKE + BRIEFLY) as page:
        start(page)
        wait_for_rows(page, 5)
        page.wait_for_function("lit() === 1")
        page.get_by_role("button", name="Pause").click()
        expect(page.locator(".live-status")).to_contain_text("Paused")
        page.wait_for_function("lit() === 0")
        held = settled_rows(page)
        page.get_by_role("button", name="Clear").click()
        page.wait_for_function(ROWS_ARE, arg=0)
        assert all(page.get_by_role("button", name=name).is_disabled() for name in ("CSV", "Share"))
        page.get_by_role("button", name="Undo").click()
        page.wait_for_function(ROWS_ARE, arg=held)
        expect(page.locator(".live-status")).to_contain_text("The timeline is back.")
        expect(page.locator(".live-status")).to_contain_text("Paused.")
        page.get_by_role("button", name="Go on").click()
        wait_for_rows(page, held + 3)
        page.wait_for_function("lit() === 1")
        page.get_by_role("button", name="Stop").click()
        expect(page.locator(".live-status")).to_contain_text("Camera off")
        page.wait_for_function("lit() === 0")
        expect(page.locator(".face-box")).to_have_count(0)
        assert page.evaluate("document.querySelector('.stage video').srcObject") is None
        kept = rows_shown(page)
        start(page)
        wait_for_rows(page, kept + 3)
        page.reload()  # as Gradio does when its connection breaks
        expect(page.locator(".live-status")).to_contain_text("The page was loaded anew. The timeline goes on")
        wait_for_rows(page, kept + 3)
        kept = rows_shown(page)
        start(page)
        wait_for_rows(page, kept + 3)
        with page.expect_download() as download:
            page.get_by_role("button", name="CSV").click()
        times = [float(row["time"]) for row in csv.DictReader(io.StringIO(download.value.path().read_text()))]
        assert times == sorted(times) and len(times) >= kept + 3


# What waits for a second or longer waits for a twentieth of that.
HASTY = "const wait = setTimeout; window.setTimeout = (act, ms) => wait(act, ms >= 1000 ? ms / 20 : ms);"


def test_undo_stays_as_long_as_somebody_is_at_the_button(live_page, films):
    with live_page(films["smile"], script=HASTY) as page:
        start(page)
        wait_for_rows(page, 3)
        page.get_by_role("button", name="Pause").click()
        held = settled_rows(page)
        page.locator(".button.clear").focus()
        page.keyboard.press("Enter")
        page.wait_for_function(ROWS_ARE, arg=0)
        page.wait_for_timeout(1500)
        page.keyboard.press("Enter")  # much later
        page.wait_for_function(ROWS_ARE, arg=held)
        page.locator(".button.csv").focus()
        page.get_by_role("button", name="Clear").click()
        page.wait_for_timeout(1500)
        expect(page.get_by_role("button", name="Undo")).to_be_visible()
        page.mouse.move(0, 0)
        expect(page.get_by_role("button", name="Clear")).to_be_visible()


LATER = """
const now = performance.now.bind(performance);
let ahead = 0;
performance.now = () => now() + ahead;
window.later = seconds => { ahead += 1000 * seconds; };
window.asks = () => !window.dispatchEvent(new Event('beforeunload', {cancelable: true}));
"""


def test_a_long_timeline_is_not_lost_unasked_and_what_is_said_stays_for_a_while(live_page, films):
    with live_page(films["smile"], script=LATER) as page:
        start(page)
        wait_for_rows(page, 2)
        assert not page.evaluate("asks()"), "whoever tries it for a moment is not asked"
        page.evaluate("later(61)")
        page.wait_for_function("asks()", timeout=WAIT)  # as soon as a frame of now is read
        page.wait_for_timeout(1500)
        expect(page.locator(".live-status")).not_to_contain_text("stayed")  # by a visitor for whom all is as it was
        page.route("**/queue/data*", lambda route: route.abort())
        page.get_by_role("tab", name="Photo").click()
        page.once("dialog", lambda dialog: dialog.dismiss())
        page.locator("#photo-example").click()  # Gradio finds out, and loads the page anew
        expect(page.locator(".live-status")).to_contain_text("then load the page anew")  # it was not left
        page.unroute("**/queue/data*")
        page.get_by_role("tab", name="Live").click()
        with page.expect_download():
            page.get_by_role("button", name="CSV").click()
        assert not page.evaluate("asks()")
        page.get_by_role("button", name="Clear").click()
        wait_for_rows(page, 3)
        expect(page.locator(".live-status")).to_contain_text("Cleared.")
        page.evaluate("later(5)")
        expect(page.locator(".live-status")).to_contain_text("1 face followed.")
        page.get_by_role("button", name="Undo").click()
        page.evaluate("later(61)")
        page.wait_for_function("asks()", timeout=WAIT)
        page.get_by_role("button", name="Clear").click()
        with page.expect_download():
            page.get_by_role("button", name="CSV").click()  # of what has come since
        assert not page.evaluate("asks()")
        page.get_by_role("button", name="Undo").click()
        assert page.evaluate("asks()")


DISCARDED = """
window.addEventListener('pagehide', event => event.stopImmediatePropagation());
window.hide = () => {
  Object.defineProperty(document, 'hidden', {value: true});
  document.dispatchEvent(new Event('visibilitychange'));
};
"""


def test_what_a_phone_discards_in_the_background_goes_on_where_it_is_opened_again(live_page, films):
    with live_page(films["smile"], script=DISCARDED) as page:
        start(page)
        wait_for_rows(page, 3)
        page.evaluate("hide()")
        page.reload()
        expect(page.locator(".live-status")).to_contain_text("The timeline goes on")
        wait_for_rows(page, 3)
        page.get_by_role("button", name="Clear").click()
        assert page.evaluate("Object.keys(sessionStorage).filter(name => name.includes('timeline'))") == []


def test_the_camera_gives_way_where_another_tab_opens_one(live_page, films):
    with live_page(films["smile"], script=SLOW_CAMERA) as page:
        start(page)
        wait_for_rows(page, 1)
        page.get_by_role("tab", name="Photo").click()
        page.locator("#photo").get_by_label("Capture from camera").click()
        page.locator("#photo").get_by_text("Click to Access Webcam").click()
        page.locator("#photo video").wait_for(state="visible")
        page.get_by_role("tab", name="Live").first.click()
        if page.locator(".stage").is_hidden():  # the first click may only close Gradio's list of cameras
            page.get_by_role("tab", name="Live").first.click()
        given_way = "Another tab of this page has used it"
        expect(page.locator(".live-status")).to_contain_text(given_way)
        page.evaluate("window.wait = 600")
        start(page)
        page.get_by_role("tab", name="Photo").click()  # before the camera is there for Live
        page.wait_for_function("window.opened.length === 4")
        page.wait_for_function("window.opened[2].getTracks()[0].readyState === 'ended'")
        expect(page.locator(".live-status")).to_contain_text(given_way)
        page.get_by_role("tab", name="Live").first.click()
        page.evaluate("() => { window.allowed = new Promise(done => { window.allow = done; }); }")
        start(page)
        page.evaluate("window.allowed = null")
        page.get_by_role("tab", name="Photo").click()
        expect(page.locator(".live-status")).to_contain_text(given_way)
        page.get_by_role("tab", name="Live").first.click()
        start(page)  # while the browser still asks whether it may be opened for the first time
        page.wait_for_selector(".face-box")
        page.evaluate("allow()")
        page.wait_for_function("window.opened[6]?.getTracks()[0].readyState === 'ended'")
        wait_for_rows(page, rows_shown(page) + 2)


def test_what_is_no_longer_so_goes_from_the_card_and_the_list(live_page, films):
    with live_page(films["smile"], script=LATER) as page:
        card, faces = page.locator(".reading"), page.locator("select.chosen option")
        start(page)
        expect(card.locator("h2")).to_have_text("Happy")
        page.route("**/component_server/**", lambda route: route.abort())
        expect(page.locator(".live-status")).to_contain_text("connection is lost")
        page.evaluate("later(10)")
        expect(card.locator("h2")).to_have_text("No face")
        expect(card.locator(".number")).to_have_text("Main face")
        page.unroute("**/component_server/**")
        expect(card.locator("h2")).to_have_text("Happy")
        page.get_by_role("button", name="Stop").click()
        expect(card.locator("h2")).to_have_text("No face")
        before = faces.all_inner_texts()
        page.get_by_role("button", name="Clear").click()
        expect(faces).to_have_text(["main"])
        page.get_by_role("button", name="Undo").click()
        expect(faces).to_have_text(before)


def test_the_interval_between_frames_is_kept(live_page, films):
    with live_page(films["smile"], interval=None) as page:
        page.locator("select.interval").select_option("1")
        start(page)
        wait_for_rows(page, 4)
        with page.expect_download() as download:
            page.get_by_role("button", name="JSON").click()
        times = [row["time"] for row in json.loads(download.value.path().read_text())]
        assert min(np.diff(times)) > 0.95


def test_nobody_in_the_picture_is_said_and_recorded(live_page, films):
    with live_page(films["nobody"]) as page:
        start(page)
        expect(page.locator(".live-status")).to_contain_text("No face in the picture")
        expect(page.locator(".reading h2")).to_have_text("No face")
        with page.expect_download() as download:
            page.get_by_role("button", name="CSV").click()
        rows = list(csv.DictReader(io.StringIO(download.value.path().read_text())))
        assert rows and all(row["face_id"] == "" and row["time"] != "" for row in rows)


@pytest.mark.parametrize(
    ("camera", "flags", "said"),
    [(False, ("--use-fake-ui-for-media-stream=deny",), "The camera is blocked"), (None, (), "No camera was found")],
    ids=["refused", "missing"],
)
def test_without_a_camera_the_page_says_what_to_do(live_page, camera, flags, said):
    with live_page(camera, flags=flags) as page:
        start(page)
        expect(page.locator(".live-status")).to_contain_text(said)
        expect(page.locator(".live-status")).to_contain_text("Start camera")
        expect(page.get_by_role("button", name="Start camera")).to_be_enabled()


@pytest.mark.parametrize("name", ["NotReadableError", "AbortError"])
def test_a_camera_in_use_is_said_and_can_be_started_when_it_is_free(live_page, films, name):
    taken = f"""(() => {{
      const devices = navigator.mediaDevices, open = devices.getUserMedia.bind(devices);
      window.free = false;
      devices.getUserMedia = wanted => window.free ? open(wanted)
        : Promise.reject(new DOMException('Could not start video source', '{name}'));  // each browser has its own name
    }})()"""
    with live_page(films["smile"], script=taken) as page:
        start(page)
        expect(page.locator(".live-status")).to_contain_text("The camera is in use")
        expect(page.locator(".live-status")).to_contain_text("Start camera")
        page.evaluate("window.free = true")
        start(page)
        page.wait_for_selector(".face-box")
        expect(page.locator(".live-status")).to_contain_text("1 face followed")


def test_an_insecure_page_says_so(live_page, app):
    port = app.url.rsplit(":", 1)[1]
    flags = ("--host-resolver-rules=MAP emotions.test 127.0.0.1",)
    with live_page(None, url=f"http://emotions.test:{port}", flags=flags) as page:
        start(page)
        expect(page.locator(".live-status")).to_contain_text("https")


def test_a_camera_that_shows_nothing_for_a_while_or_is_unplugged_is_said_and_goes_on_again(live_page, films):
    with live_page(films["smile"]) as page:
        start(page)
        page.wait_for_selector(".face-box")
        page.evaluate(
            """() => {
              const video = document.querySelector('.stage video'), track = video.srcObject.getVideoTracks()[0];
              const tell = name => track.dispatchEvent(new Event(name));  // as the browser does of a real device
              Object.defineProperty(track, 'muted', {value: false, writable: true});
              window.device = {
                call() { video.pause(); track.muted = true; tell('mute'); },
                hangUp() { track.muted = false; tell('unmute'); },
                unplug() { track.stop(); tell('ended'); },
              };
            }"""
        )
        page.evaluate("device.call()")
        rows = settled_rows(page)
        expect(page.locator(".live-status")).to_contain_text("The camera shows nothing at the moment.")
        page.evaluate("device.hangUp()")
        wait_for_rows(page, rows + 2)
        expect(page.locator(".live-status")).to_contain_text("1 face followed")
        assert not page.evaluate("document.querySelector('.stage video').paused")
        page.evaluate("device.unplug()")
        expect(page.locator(".live-status")).to_contain_text("The camera is gone")
        start(page)
        page.wait_for_selector(".face-box")


@pytest.fixture
def small_house(detector):
    """The tab with a single place, which nobody loses by being silent, only by leaving: its sessions and address."""
    live, port = Live(detector, LiveConfig(seats=1, idle_seconds=3600)), free_port()
    with gr.Blocks(analytics_enabled=False) as blocks:
        build_tab(live, Networks())
    blocks.launch(server_name="127.0.0.1", server_port=port, prevent_thread_lock=True, quiet=True, ssr_mode=False)
    yield live, f"http://127.0.0.1:{port}"
    blocks.close()


def test_a_full_house_is_said_and_the_place_taken_when_free(live_page, films, small_house, astronaut):
    live, url = small_house
    live.detect(base64.b64encode(cv2.imencode(".jpg", astronaut[..., ::-1])[1].tobytes()).decode(), "visitor-1")
    with live_page(films["smile"], url=url) as page:
        start(page)
        expect(page.locator(".live-status")).to_contain_text("Busy")
        expect(page.locator(".live-status")).to_contain_text("taken")
        live.leave("visitor-1")
        page.wait_for_selector(".face-box")
        expect(page.locator(".live-status")).to_contain_text("1 face followed")


def test_a_closed_tab_gives_its_place_to_whoever_waits(live_page, films, small_house):
    url = small_house[1]
    with live_page(films["smile"], url=url) as waiting, live_page(films["smile"], url=url) as page:
        start(page)
        page.wait_for_selector(".face-box")
        start(waiting)
        expect(waiting.locator(".live-status")).to_contain_text("Busy", timeout=WAIT)
        page.close(run_before_unload=True)
        waiting.wait_for_selector(".face-box")


def test_what_a_page_reads_while_it_goes_takes_no_place_until_it_comes_back(live_page, films, small_house):
    live, url = small_house
    with live_page(films["smile"], url=url, interval=None) as page:
        start(page)
        page.wait_for_selector(".face-box")
        page.evaluate("window.dispatchEvent(new Event('pagehide'))")
        expect(page.locator(".live-status")).to_contain_text("this one was ended")
        assert live.visitors == 0
        before = rows_shown(page)
        page.evaluate("window.dispatchEvent(new Event('pageshow'))")
        wait_for_rows(page, before + 10)  # of those that were under way, three at most
        assert live.visitors == 1


def test_after_a_restart_of_the_server_the_same_page_goes_on(live_page, films, tmp_path):
    port = free_port()
    with start_app(tmp_path, port) as running:
        opened = live_page(films["smile"], url=running.url, interval=None)
        page = opened.__enter__()
        start(page)
        wait_for_rows(page, 5)
        page.evaluate("window.sameDocument = true")
    try:
        expect(page.locator(".live-status")).to_contain_text("connection is lost", timeout=WAIT)
        before = rows_shown(page)
        with start_app(tmp_path, port):
            wait_for_rows(page, before + 5)
            expect(page.locator(".live-status")).to_contain_text("1 face followed")
            assert page.evaluate("window.sameDocument")
            expect(page.locator(".face-box")).to_have_attribute("data-face-id", "2")  # never an id twice
    finally:
        opened.__exit__(None, None, None)


def test_the_live_tab_works_from_the_keyboard_and_is_named_for_screen_readers(live_page, films):
    with live_page(films["smile"]) as page:
        page.get_by_role("button", name="Start camera").focus()
        page.keyboard.press("Enter")
        page.wait_for_selector(".face-box")
        page.get_by_role("button", name="Pause").focus()
        page.keyboard.press("Space")
        expect(page.get_by_role("button", name="Go on")).to_be_focused()  # its name says what it does
        expect(page.locator(".announcer")).to_have_text("Face 1: happy")
        tree = page.locator(".live").aria_snapshot()
        for name in ("Mirror", "Snapshot", "Read a frame", "Smoothing", "Emotions shown", "Timeline"):
            assert name in tree, name
        assert page.locator(".live button:not(:has-text(' ')):empty").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_legible_in_light_and_dark(live_page, films, scheme):
    from support.pages import contrast

    with live_page(films["smile"], scheme=scheme) as page:
        start(page)
        page.wait_for_selector(".face-box")
        colours = page.evaluate(
            """() => ['.live-status strong', '.reading h2', '.reading .value', '.live .button.pause', '.settings label',
              '.measures dt', '.chip span', '.timeline-head h2', 'select.interval', '.meter', '.face-box .tag span']
              .map(selector => {
                const element = document.querySelector(selector);
                let behind = element;
                const clear = /, 0\\)$|transparent|color\\(/;
                while (behind.parentElement && clear.test(getComputedStyle(behind).backgroundColor))
                  behind = behind.parentElement;
                return [getComputedStyle(element).color, getComputedStyle(behind).backgroundColor,
                  selector];
              })"""
        )
        for foreground, background, selector in colours:
            assert contrast(foreground, background) >= 4.5, f"{selector}: {foreground} on {background}"


def test_a_real_clip_keeps_one_id_and_turns_to_a_smile(live_page, tmp_path):
    capture = cv2.VideoCapture(str(media("one_face_neutral_to_smile.mp4")))
    pictures = []
    while True:
        read, picture = capture.read()
        if not read:
            break
        pictures.append(picture[..., ::-1])
    pictures = pictures[:: round(capture.get(cv2.CAP_PROP_FPS) / RATE)]
    with live_page(film(tmp_path / "clip.y4m", pictures)) as page:
        start(page)
        expect(page.locator(".reading h2")).to_have_text("Happy", timeout=WAIT)
        expect(page.locator(".face-box")).to_have_count(1)


TWO_CAMERAS = ("--use-fake-device-for-media-stream=device-count=2", "--use-fake-ui-for-media-stream")


def test_another_camera_is_chosen_while_one_runs_and_remembered(live_page):
    with live_page(None, flags=TWO_CAMERAS) as page:
        start(page)
        choice = page.locator("select.camera")
        expect(choice.locator("option")).to_have_count(4)  # front, back and the two by name
        first = page.evaluate("document.querySelector('.stage video').srcObject.getVideoTracks()[0].label")
        other = next(name for name in choice.locator("option").all_inner_texts()[2:] if name != first)
        choice.select_option(label=other)
        page.wait_for_function(
            "name => document.querySelector('.stage video').srcObject?.getVideoTracks()[0].label === name", arg=other
        )
        wait_for_rows(page, 2)  # the same session goes on
        page.reload()
        page.wait_for_selector(".live[data-ready]")
        assert choice.locator("option:checked").inner_text() == other
        start(page)
        page.wait_for_function(
            "name => document.querySelector('.stage video').srcObject?.getVideoTracks()[0].label === name", arg=other
        )


# Where, and the name of the camera ("" for any): Gradio trips over a camera that is changed before its picture moves.
PLAYS = """([place, name]) => {
  const video = document.querySelector(`${place} video`);
  return video?.currentTime > 0 && !video.paused && video.srcObject?.getVideoTracks()[0].label.includes(name);
}"""


def label(page, place):
    """The name of the camera whose picture is shown there."""
    return page.evaluate(f"document.querySelector('{place} video')?.srcObject?.getVideoTracks()[0].label")


def open_camera(page, tab, place):
    page.get_by_role("tab", name=tab).click()
    page.locator(place).get_by_label("Capture from camera").click()
    page.locator(f"{place} [title='grant webcam access'] button").click()
    page.wait_for_function(PLAYS, arg=[place, ""])


@pytest.mark.parametrize("forgotten", ["", "renamed"])  # some browsers give their cameras new ids each time
def test_photo_and_video_begin_with_the_camera_chosen_last(live_page, forgotten):
    with live_page(None, flags=TWO_CAMERAS) as page:
        open_camera(page, "Photo", "#photo")
        first = label(page, "#photo")
        page.get_by_label("select input source").click()
        choice = page.locator("#photo select")
        other = next(name for name in choice.locator("option").all_inner_texts() if name != first)
        choice.select_option(label=other)
        page.wait_for_function(PLAYS, arg=["#photo", other])
        if forgotten:
            page.evaluate(
                """id => {
                const camera = JSON.parse(localStorage.getItem('emotion-lens-camera'));
                localStorage.setItem('emotion-lens-camera', JSON.stringify({...camera, id}));
                }""",
                forgotten,
            )
        page.reload()
        page.wait_for_selector(".live[data-ready]", state="attached")  # the page comes back to the tab that was open
        open_camera(page, "Video", "#video-clip")
        assert label(page, "#video-clip") == other
        page.get_by_role("tab", name="Live").click()
        assert page.locator("select.camera option:checked").inner_text() == other


def test_a_camera_with_a_long_name_stays_in_its_panel(live_page):
    script = """localStorage.setItem('emotion-lens-camera', JSON.stringify({id: 'one', name: 'Camera '.repeat(30)}));"""
    with live_page(None, script=script) as page:
        select, panel = (page.locator(place).bounding_box() for place in ("select.camera", ".panel.settings"))
        assert select["x"] >= panel["x"] and select["x"] + select["width"] <= panel["x"] + panel["width"]


def test_photos_camera_is_off_behind_another_tab_and_on_again_before_it(live_page, films):
    ended = "document.querySelector('#photo video').srcObject.getTracks()[0].readyState === 'ended'"
    with live_page(films["smile"]) as page:
        open_camera(page, "Photo", "#photo")
        page.get_by_role("tab", name="Model").click()
        page.wait_for_function(ended)
        page.get_by_role("tab", name="Photo").click()
        page.wait_for_function(f"!({ended})")
        page.wait_for_function(PLAYS, arg=["#photo", ""])


def test_a_camera_that_is_gone_gives_way_to_the_front_one(live_page, films):
    script = """localStorage.setItem('emotion-lens-camera', JSON.stringify({id: 'gone', name: 'Old camera'}));"""
    with live_page(films["smile"], script=script) as page:
        start(page)
        page.wait_for_selector(".face-box")
        assert page.locator("select.camera").input_value() == "user"


def test_a_camera_that_looks_away_is_not_mirrored(live_page, films):
    script = """const settings = MediaStreamTrack.prototype.getSettings;
    MediaStreamTrack.prototype.getSettings = function () {
      return {...settings.call(this), facingMode: 'environment'};
    };"""
    with live_page(films["smile"], script=script) as page:
        start(page)
        page.wait_for_selector(".face-box")
        expect(page.get_by_role("button", name="Mirror")).to_have_attribute("aria-pressed", "false")
