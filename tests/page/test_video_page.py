"""Clips through the API and the page, on the app as `python app.py` starts it."""

import csv
import json
import re
import urllib.request
import zlib
from pathlib import Path

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from playwright.sync_api import expect

from emotion_model import Face
from emotion_model.drawing.page import LISTED, save_page
from emotion_model.labels import LABELS, label_of, person_colour, rgb
from emotion_model.timelines.summary import ClipSummary
from support import clips
from support.pages import AWAKE, DESKTOP, PHONE, WAIT, opened, run_before
from ui.video.figure import timeline_figure


@pytest.fixture(scope="module")
def long_clip(film, tmp_path_factory):
    return clips.write_long_clip(tmp_path_factory.mktemp("clips") / "long.mp4", film, seconds=360)


@pytest.fixture
def moving(film, tmp_path):
    """A second of a face, as a GIF."""
    from PIL import Image

    pictures = [Image.fromarray(film(i / 5)) for i in range(5)]
    pictures[0].save(tmp_path / "moving.gif", save_all=True, append_images=pictures[1:], duration=200)
    return tmp_path / "moving.gif"


@pytest.fixture(scope="module")
def client(app):
    return Client(app.url, verbose=False)


def test_the_api_gives_rows_summary_clip_and_files(client, clip):
    job = client.submit(handle_file(clip), api_name="/analyze_video")
    answers = list(job)
    answer, annotated, files = answers[-1]
    assert answer["done"] and answer["progress"] == 1 and not any(one["done"] for one, _, _ in answers[:-1])
    rows = [row for one, _, _ in answers for row in one["rows"]]
    assert [row["time"] for row in rows] == pytest.approx(clips.decode(clip)[0], abs=1e-3)
    assert answer["summary"]["people"][0]["face_id"] == 1
    video = annotated["video"] if isinstance(annotated, dict) else annotated
    assert len(clips.decode(Path(video))[0]) == 20
    by_ending = {Path(file).suffix for file in files}
    assert by_ending == {".csv", ".json", ".vtt", ".srt", ".png", ".html", ".zip"}
    with Path(next(file for file in files if file.endswith(".csv"))).open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 20


def test_the_api_reports_on_the_way_and_can_be_cancelled(client, long_clip, clip):
    job = client.submit(handle_file(long_clip), annotated=False, api_name="/analyze_video")
    seen = 0.0
    for answer, annotated, files in job:
        assert not answer["done"] and annotated is None and files is None and answer["rows"]
        assert answer["progress"] >= seen
        seen = answer["progress"]
        if seen > 0.02:
            break
    job.cancel()
    assert 0 < seen < 1
    # The place is free again.
    answer, _, _ = client.predict(handle_file(clip), rate=2, annotated=False, api_name="/analyze_video")
    assert answer["done"] and len(answer["summary"]["people"]) == 1


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [("text.mp4", b"hello", "not_a_video"), ("empty.mp4", b"", "empty"), ("sound.mp4", None, "no_video")],
)
def test_the_api_refuses_bad_clips_with_a_typed_error(client, clip, tmp_path, name, content, code):
    bad = tmp_path / name
    bad.write_bytes(content) if content is not None else clips.write_tone(bad)
    with pytest.raises(AppError) as refusal:
        client.predict(handle_file(bad), api_name="/analyze_video")
    assert refusal.value.title == code and refusal.value.message.endswith(".")
    assert str(tmp_path) not in refusal.value.message


def test_a_senseless_part_is_a_clear_error(client, clip):
    with pytest.raises(AppError, match="nothing from 9 s"):
        client.predict(handle_file(clip), start=9, api_name="/analyze_video")
    with pytest.raises(AppError, match="rate=-1"):
        client.predict(handle_file(clip), rate=-1, api_name="/analyze_video")


def test_the_documentation_names_the_fields(app):
    info = json.loads(urllib.request.urlopen(f"{app.url}/gradio_api/info").read())["named_endpoints"]
    fields = ("done", "progress", "seconds_left", "rows", "summary", "face_id", "time")
    assert all(f'"{field}"' in info["/analyze_video"]["description"] for field in fields)


# The page


def at_video_tab(window, app):
    page = opened(window, app.url)
    page.get_by_role("tab", name="Video").click()
    page.wait_for_selector("#video-clip input[type=file]", state="attached")
    return page


@pytest.fixture(scope="module")
def shared_page(window, app):
    page = at_video_tab(window, app)
    yield page
    page.close()


@pytest.fixture
def page(shared_page):
    """The page at its Video tab, with nothing in it; the same one for many tests, as for a visitor who stays."""
    shared_page.problems.clear()
    for tab, fields, invitation in (
        ("Album", ("#album-photos",), "#album-status >> text=Add photos"),
        ("Video", ("#video-clip", "#video-pictures"), "#video-status >> text=Add a clip"),
    ):
        shared_page.get_by_role("tab", name=tab).click()
        shared_page.locator(fields[0]).wait_for()
        for field in fields:
            if (taken := shared_page.locator(field).get_by_label("Clear")).count():
                taken.first.click()
        shared_page.locator(invitation).wait_for()
    yield shared_page
    assert shared_page.problems == []


def open_settings(page):
    if not page.locator("#video-pictures").is_visible():
        page.get_by_role("button", name="Settings").click()


# Colours of the border of a person's card and of a bar.
COLOURS = """() => {
  const $ = selector => getComputedStyle(document.querySelector(`#video-summary .person${selector}`));
  return [$('').borderTopColor, $(' .fill').backgroundColor];
}"""


@DESKTOP
def test_whoever_has_no_clip_tries_a_portrait_that_smiles(page):
    page.locator("#video-example").click()
    expect(page.locator("#video-status")).to_contain_text("1 person.", timeout=WAIT)
    expect(page.locator("#video-clip video")).to_be_attached()
    around, clip, ways = (
        page.locator(f"#video-clip{part}").bounding_box() for part in ("", " video", " .source-selection")
    )
    assert clip["y"] >= around["y"] and ways["y"] + ways["height"] <= around["y"] + around["height"], "it is cut off"
    shares = page.locator("#video-summary .bars li").all_inner_texts()
    assert {text.split()[0] for text in shares if int(text.split()[-1].rstrip("%")) > 20} == {"Happy", "Neutral"}
    words = page.locator("#video-timeline .bartext-inside")  # for who cannot tell the colours of the bands
    expect(words.get_by_text("happy").first).to_be_visible()
    summary = ClipSummary(0.0)
    for tenth in range(100):
        happy = np.eye(7, dtype=np.float32)[3]
        summary.add(tenth / 10, [Face((1, 1, 9, 9), happy, track_id=number) for number in range(1, LISTED + 1)])
    summary.finish(10.0)
    crowded = json.loads(timeline_figure(summary, summary.people[0]).plot)
    for width in (900, 340):  # below a narrow one the legend takes more room
        page.evaluate(
            """([{data, layout}, width]) => Plotly.react(
              document.querySelector('#video-timeline .js-plotly-plot'), data, {...layout, width})""",
            [crowded, width],
        )
        expect(words.filter(visible=True)).to_have_text(["happy"] * LISTED)
    for forced in ("active", "none"):  # "active": the system replaces colours
        page.emulate_media(forced_colors=forced)
        shown = [person_colour(1), label_of("angry", LABELS).colour]
        assert page.evaluate(COLOURS) == [f"rgb{rgb(colour)}" for colour in shown]


def test_a_clip_gives_video_timeline_moments_and_files(page, clip):
    page.set_input_files("#video-clip input[type=file]", clip)
    status = page.locator("#video-status")
    expect(status).to_contain_text("1 person", timeout=WAIT)
    player = page.locator("#video-annotated video")
    expect(player).to_be_attached(timeout=WAIT)
    page.wait_for_function("document.querySelector('#video-annotated video').readyState >= 2", timeout=WAIT)
    assert player.evaluate("video => video.duration") == pytest.approx(2, abs=0.1)
    expect(page.locator("#video-timeline .main-svg").first).to_be_visible(timeout=WAIT)
    words = re.compile("Timeline of 1 person.* Person 1: happy")
    expect(page.locator("#video-timeline").get_by_role("img", name=words)).to_have_count(1)
    announced = status.locator("[aria-live=polite]")
    expect(announced).to_contain_text("1 person")  # or screen readers would not hear that it is done
    expect(announced.get_by_test_id("status-tracker")).to_have_count(0)
    expect(page.locator("#video-stop")).to_be_disabled()
    # A click on the timeline and one on a moment move the clip.
    area = page.locator("#video-timeline .nsewdrag").nth(1)
    area.scroll_into_view_if_needed()
    page.wait_for_timeout(500)
    box = area.bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.75, box["y"] + box["height"] / 2)
    page.wait_for_function("document.querySelector('#video-annotated video').currentTime > 1.2", timeout=WAIT)
    assert player.evaluate("video => video.currentTime") == pytest.approx(1.5, abs=0.1)
    moment = page.locator("#video-summary .moment").first
    shown = player.evaluate("""video => new Promise(done => {
      video.requestVideoFrameCallback((now, {mediaTime}) => done(mediaTime));
      document.querySelector('#video-summary .moment').click();
    })""")
    wanted = float(moment.get_attribute("data-time"))
    assert shown == pytest.approx(wanted, abs=0.001)
    assert wanted < player.evaluate("video => video.currentTime") < wanted + 0.001, "not the frame before"
    expect(page.locator("#video-files")).to_contain_text("my_clip_emotions")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    # Without the clip its results go too.
    page.locator("#video-clip").get_by_label("Clear").first.click()
    expect(status).to_contain_text("Add a clip", timeout=WAIT)
    for gone in ("annotated video", "timeline .main-svg", "summary .person", "files a"):
        expect(page.locator(f"#video-{gone}").first).not_to_be_visible()


@PHONE
def test_a_recording_is_analysed_at_once(window, app):
    page = at_video_tab(window, app)
    clip = page.locator("#video-clip")
    page.evaluate("""() => {
      const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
      navigator.mediaDevices.getUserMedia = (wanted) => ask(wanted).then((stream) => (window.camera = stream));
      const start = MediaRecorder.prototype.start;
      MediaRecorder.prototype.start = function (...wanted) {
        window.recorder = this;
        this.addEventListener("start", () => (window.recordingSince = performance.now()));
        return start.apply(this, wanted);
      };
    }""")
    clip.get_by_label("Capture from camera").click()
    clip.get_by_text("Webcam").click()
    # People see themselves before they press the button.
    page.wait_for_function("document.querySelector('#video-clip video')?.currentTime > 0.2", timeout=WAIT)
    clip.get_by_text("Record").click()
    # A look at another tab does not end the recording.
    clip.get_by_title("stop recording").wait_for()
    page.get_by_role("tab", name="Photo").click()
    page.get_by_role("tab", name="Video", exact=True).click()
    # On a busy machine the camera takes a while: what counts is how long it has recorded.
    page.wait_for_function("performance.now() - window.recordingSince > 1800", timeout=WAIT)
    assert page.evaluate("recorder.state") == "recording"
    assert page.evaluate("camera.getAudioTracks().length") == 0, "faces need no microphone"
    clip.get_by_text("Stop").click()
    expect(page.locator("#video-status")).to_contain_text("1 person", timeout=WAIT)
    page.wait_for_function("document.querySelector('#video-annotated video')?.duration > 0", timeout=WAIT)
    # The recording itself says no length; the player beside it shows one all the same.
    page.wait_for_function("isFinite(document.querySelector('#video-clip video').duration)", timeout=WAIT)
    expect(clip).not_to_contain_text("NaN")
    assert page.problems == []
    page.close()


@DESKTOP
def test_a_run_can_be_stopped_and_what_is_done_stays(page, long_clip):
    page.set_input_files("#video-clip input[type=file]", long_clip)
    expect(page.locator("#video-status progress[value]")).to_be_visible(timeout=WAIT)
    expect(page.locator("#video-status [aria-live=off] progress")).to_be_visible()  # nobody wants each percent read out
    expect(page.locator("#video-summary .person")).to_have_count(1, timeout=WAIT)  # partial results
    page.evaluate("""() => {
      const status = document.querySelector("#video-status"), changes = {childList: true, subtree: true};
      window.told = "";
      new MutationObserver(() => { window.told += status.innerText; }).observe(status, changes);
    }""")
    slow = []
    page.route("**/run/predict*", lambda route: slow.append((route, route.fetch())))
    page.locator("#video-stop").click()
    expect(page.locator("#video-stop")).to_be_disabled()
    expect(page.locator("#video-go")).to_be_focused()
    expect(page.locator("#video-status")).to_contain_text("Stopped", timeout=WAIT)
    assert "Stopping." in page.evaluate("told")
    assert slow
    for route, answer in slow:
        route.fulfill(response=answer)
    page.unroute("**/run/predict*")
    page.wait_for_timeout(500)  # nothing comes late
    expect(page.locator("#video-status")).to_contain_text("Stopped")
    expect(page.locator("#video-stop")).to_be_disabled()
    expect(page.locator("#video-files")).to_contain_text("long_emotions")
    page.wait_for_function("document.querySelector('#video-annotated video')?.duration > 0", timeout=WAIT)
    assert page.evaluate("document.querySelector('#video-annotated video').duration") < 350


@PHONE
def test_the_screen_stays_on_while_a_clip_is_read_and_a_page_that_was_loaded_anew_says_what_is_lost(
    window, app, long_clip
):
    page = at_video_tab(window, app)
    with run_before(page, AWAKE):
        page.reload()
        for leave in (False, True):
            page.set_input_files("#video-clip input[type=file]", long_clip)
            expect(page.locator("#video-status progress[value]")).to_be_visible(timeout=WAIT)
            page.wait_for_function("lit() === 1")
            if not leave:
                page.evaluate("locks[0].release(); document.dispatchEvent(new Event('visibilitychange'))")
                page.wait_for_function("lit() === 1")  # the visitor has come back to the page
                page.reload()
                expect(page.locator("#video-status")).to_contain_text("loaded anew.Add the clip once more")
        page.locator("#video-clip").get_by_label("Clear").first.click()
        page.wait_for_function("lit() === 0", timeout=WAIT)
        page.wait_for_timeout(1000)  # how far it had come may still be told, and is taken back
        page.wait_for_function("lit() === 0", timeout=WAIT)
        page.reload()
        expect(page.locator("#video-status")).to_contain_text("Add a clip to begin.")
    page.close()


# Takes the clip out as soon as Stop is known to be pressed, before the server has said anything.
STOP_AND_CLEAR = """async () => {
  const $ = selector => document.querySelector(selector);
  $('#video-stop').click();
  while (!$('#video-status').innerText.includes('Stopping.')) await new Promise(requestAnimationFrame);
  $('#video-clip [aria-label=Clear]').click();
}"""


@PHONE
def test_the_screen_stays_on_while_a_clip_is_sent_and_waits_and_not_once_it_is_taken_out(window, app, long_clip):
    page = at_video_tab(window, app)
    status, held = page.locator("#video-status"), []

    def stays_on(asks, act, said):
        page.route(asks, lambda route: held.append(route), times=1)
        with page.expect_request(asks):
            act()
        expect(status).to_contain_text(said, timeout=WAIT)
        page.wait_for_function("lit() === 1", timeout=WAIT)

    with run_before(page, AWAKE):
        page.reload()
        send = "**/gradio_api/upload?*", lambda: page.set_input_files("#video-clip input[type=file]", long_clip)
        stays_on(*send, "Add a clip to begin.")
        stays_on("**/queue/join*", held[0].continue_, "Waiting to begin.")
        held[1].fulfill(status=503, json={"detail": "Queue is full."})
        expect(status).to_contain_text("press Analyse in a minute", timeout=WAIT)
        page.wait_for_function("lit() === 0", timeout=WAIT)
        stays_on("**/queue/join*", page.locator("#video-go").click, "Waiting to begin.")
        held[2].continue_()
        expect(page.locator("#video-stop")).to_be_enabled(timeout=WAIT)
        page.evaluate(STOP_AND_CLEAR)
        page.wait_for_function("lit() === 0", timeout=WAIT)
        expect(status).to_contain_text("Add a clip to begin.")
    page.close()


@DESKTOP
def test_a_clip_that_is_taken_out_while_it_is_read_leaves_the_invitation(page, long_clip):
    page.set_input_files("#video-clip input[type=file]", long_clip)
    expect(page.locator("#video-summary .person")).to_have_count(1, timeout=WAIT)
    page.locator("#video-clip").get_by_label("Clear").first.click()
    expect(page.locator("#video-status")).to_contain_text("Add a clip", timeout=WAIT)
    page.wait_for_timeout(1500)  # nothing comes late
    assert "Add a clip" in page.locator("#video-status").inner_text()
    expect(page.locator("#video-summary .person")).to_have_count(0)
    expect(page.locator("#video-stop")).to_be_disabled()


@DESKTOP
def test_where_the_queue_is_full_the_results_before_go_and_the_visitor_is_told(page, clip):
    page.set_input_files("#video-clip input[type=file]", clip)
    expect(page.locator("#video-files")).to_contain_text("my_clip_emotions", timeout=WAIT)
    full = {"status": 503, "json": {"detail": "Queue is full."}}
    page.route("**/queue/join*", lambda route: route.fulfill(**full), times=2)
    page.locator("#video-go").click()
    expect(page.locator("#video-status")).to_contain_text("press Analyse in a minute", timeout=WAIT)
    for gone in ("annotated video", "timeline .main-svg", "summary .person", "files a"):
        expect(page.locator(f"#video-{gone}").first).not_to_be_visible()
    page.locator("#video-clip").get_by_label("Clear").first.click()
    expect(page.locator("#video-status")).to_contain_text("Add a clip", timeout=WAIT)


@DESKTOP
def test_another_clip_takes_the_place_of_the_one_in_work(page, long_clip, clip):
    upload, status = "#video-clip input[type=file]", page.locator("#video-status")
    page.set_input_files(upload, long_clip)
    expect(page.locator("#video-summary .person")).to_have_count(1, timeout=WAIT)
    page.locator("#video-clip").get_by_label("Clear").first.click()
    page.set_input_files(upload, clip)  # at once
    expect(page.locator("#video-files")).to_contain_text("my_clip_emotions", timeout=WAIT)
    page.wait_for_timeout(1500)  # nothing of the first one comes late
    expect(status).to_contain_text("1 person")
    expect(page.locator("#video-files")).to_contain_text("my_clip_emotions")


@DESKTOP
def test_a_gif_that_comes_before_the_server_has_answered_about_a_clip_is_read(page, clip, moving):
    slow, holds = [], True
    page.route("**/run/predict*", lambda route: slow.append((route, route.fetch())) if holds else route.continue_())
    page.set_input_files("#video-clip input[type=file]", clip)
    expect(page.locator("#video-clip video")).to_be_attached(timeout=WAIT)
    page.locator("#video-clip").get_by_label("Clear").first.click()
    open_settings(page)
    holds = False
    page.set_input_files("#video-pictures input[type=file]", moving)
    expect(page.locator("#video-files")).to_contain_text("moving_emotions", timeout=WAIT)
    assert slow
    assert slow
    for route, answer in slow:
        with page.expect_response("**/queue/join*"):  # the page asks for what it has now, once more
            route.fulfill(response=answer)
    page.unroute("**/run/predict*")
    page.wait_for_timeout(500)  # nothing comes late
    expect(page.locator("#video-status")).to_contain_text("1 person")
    expect(page.locator("#video-files")).to_contain_text("moving_emotions")
    expect(page.locator("#video-pictures")).to_contain_text("moving")


@PHONE
def test_a_bad_clip_gets_a_sentence_and_the_next_one_works(page, tmp_path, landscape):
    bad = tmp_path / "bad.mp4"
    bad.write_text("this is no clip")
    page.set_input_files("#video-clip input[type=file]", bad)
    expect(page.locator("#video-status")).to_contain_text("not a video", timeout=WAIT)
    empty = clips.write_clip(tmp_path / "empty.mp4", lambda t: np.ascontiguousarray(landscape), seconds=1)
    page.locator("#video-clip").get_by_label("Clear").first.click()
    page.set_input_files("#video-clip input[type=file]", empty)
    expect(page.locator("#video-status")).to_contain_text("No face was seen", timeout=WAIT)


@DESKTOP
def test_what_was_added_last_is_read_a_clip_or_pictures(page, clip, landscape, tmp_path):
    from PIL import Image

    Image.fromarray(landscape).save(tmp_path / "still.gif")
    page.set_input_files("#video-clip input[type=file]", clip)
    expect(page.locator("#video-status")).to_contain_text("1 person", timeout=WAIT)
    open_settings(page)
    page.set_input_files("#video-pictures input[type=file]", tmp_path / "still.gif")
    expect(page.locator("#video-status")).to_contain_text("No face", timeout=WAIT)
    expect(page.locator("#video-clip video")).to_have_count(0)
    page.locator("#video-pictures").get_by_label("Clear").first.click()
    expect(page.locator("#video-status")).to_contain_text("Add a clip")


@PHONE
def test_whoever_has_no_photos_tries_three(page):
    page.get_by_role("tab", name="Album").click()
    page.locator("#album-example").click()
    expect(page.locator("#album-status")).to_contain_text("In 3 photos", timeout=WAIT)
    expect(page.locator("#album-table")).to_contain_text("smile.jpg")


def test_the_bars_of_a_clips_page_are_there_on_paper(browser, tmp_path):
    summary = ClipSummary(0.0)
    summary.add(0.0, [Face((1, 1, 9, 9), np.eye(7, dtype=np.float32)[3])])
    summary.finish(1.0)
    save_page(summary, b"", "clip", "bundled", tmp_path / "page.html")
    page = browser.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    pdf = page.pdf()  # without backgrounds, as people print
    page.close()
    streams = re.findall(rb"/FlateDecode.*?stream\r?\n(.*?)endstream", pdf, re.DOTALL)
    fills = re.findall(rb"([\d.]+) ([\d.]+) ([\d.]+) rg", b"".join(map(zlib.decompress, streams)))
    painted = {"#" + "".join(f"{round(float(value) * 255):02x}" for value in colour) for colour in fills}
    assert label_of("happy").colour.lower() in painted


def test_an_album_gives_faces_and_a_table(page, photo, tmp_path, crowd, landscape):
    from PIL import Image

    Image.fromarray(crowd).save(tmp_path / "crowd.png")
    Image.fromarray(landscape).save(tmp_path / "landscape.png")
    (tmp_path / "bad!.jpg").write_text("this is no picture")
    page.get_by_role("tab", name="Album").click()
    files = [photo, tmp_path / "crowd.png", tmp_path / "landscape.png", tmp_path / "bad!.jpg"]
    page.set_input_files("#album-photos input[type=file]", files)
    status = page.locator("#album-status")
    expect(status).to_contain_text("In 4 photos, 1 of them not readable", timeout=WAIT)
    expect(page.locator("#album-table")).to_contain_text("photo.jpg")
    faces = page.locator("#album-faces .portraits li")
    expect(faces.first).to_contain_text("Happy")
    assert faces.first.locator(".crop").evaluate("one => one.complete && one.naturalWidth > 50")
    with page.expect_download() as download:
        page.locator("#album-file a").first.click()
    rows = list(csv.DictReader(Path(download.value.path()).read_text(encoding="utf-8-sig").splitlines()))
    counts = {name: sum(row["photo"] == name for row in rows) for name in ("photo.jpg", "landscape.png", "bad!.jpg")}
    assert counts == {"photo.jpg": 1, "landscape.png": 1, "bad!.jpg": 1} and len(rows) >= 10
    assert faces.count() == len(rows) - 2
    assert rows[0]["emotion"] == "happy"
    assert {row["note"] for row in rows if row["photo"] == "landscape.png"} == {"no face found"}
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    # Photos that are taken out again leave the table too.
    for left in ("In 3 photos, 1 of", "In 2 photos, 1 of", "In 1 photo, 1 of"):
        page.locator("#album-photos").get_by_label("Remove this file").first.click()
        expect(status).to_contain_text(left, timeout=WAIT)
    expect(faces).to_have_count(0)
