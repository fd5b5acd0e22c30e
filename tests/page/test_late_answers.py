"""Answers that come too late, or never: what the page shows belongs to what is handed in."""

from contextlib import ExitStack

import pytest
from playwright.sync_api import expect

from support.pages import DESKTOP, WAIT, forget, run_before

pytestmark = DESKTOP

# What the server says is held back until `letGo()`; `said` has it at once.
HELD = """
window.said = '';
const free = new Promise(resolve => { window.letGo = resolve; });
const fetched = window.fetch;
window.fetch = async (...asked) => {
  const answer = await fetched(...asked);
  if (!String(asked[0].url || asked[0]).includes('queue/data')) return answer;
  const reader = answer.body.getReader(), text = new TextDecoder();
  const passOn = async held => {
    for (;;) {
      const {done, value} = await reader.read();
      free.then(() => done ? held.close() : held.enqueue(value));
      if (done) return;
      window.said += text.decode(value);
    }
  };
  return new Response(new ReadableStream({start: held => { passOn(held); }}), {headers: answer.headers});
};
"""
FULL = {"status": 503, "json": {"detail": "Queue is full."}}
TABS = {
    "photo": ("#photo", "#status", "Add a photo", "#annotated img, .card"),
    "model": ("#own-photo", "#looks", "Add a photo", "#looks img"),
    "album": ("#album-photos", "#album-status", "Add photos", "#album-table table"),
    "video": ("#video-clip", "#video-status", "Add a clip", "#video-annotated video, .person"),
}


@pytest.fixture(scope="module")
def shared_page(window):
    page = window.new_page()
    yield page
    page.close()


@pytest.fixture
def tab_of(app, shared_page):
    """Opens one of the tabs; what is handed in there, what tells about it, and what is shown of it."""
    page, visit = shared_page, ExitStack()

    def tab(name, script=""):
        visit.enter_context(run_before(page, script))
        page.goto(f"{app.url}/?tab={name}")
        given, told, invitation, shown = TABS[name]
        expect(page.locator(told)).to_contain_text(invitation, timeout=WAIT)
        return page, given, page.locator(told), page.locator(shown)

    with visit:
        yield tab
    forget(page)


@pytest.mark.parametrize("name", list(TABS))
def test_the_results_of_what_was_taken_out_meanwhile_do_not_stay(tab_of, photo, clip, name):
    page, given, told, shown = tab_of(name, HELD)
    page.set_input_files(f"{given} input[type=file]", clip if name == "video" else photo)
    page.wait_for_function("said.includes('process_completed')", timeout=WAIT)
    page.locator(given).get_by_label("Clear").or_(page.locator(given).get_by_label("Remove")).first.click()
    expect(told).to_contain_text(TABS[name][2], timeout=WAIT)
    page.evaluate("letGo()")
    page.wait_for_timeout(1000)
    expect(told).to_contain_text(TABS[name][2])
    expect(shown.filter(visible=True)).to_have_count(0)


def test_a_photo_that_comes_before_the_answer_about_a_bad_one_stays(tab_of, photo, tmp_path):
    page, given, told, _ = tab_of("photo", HELD)
    held, picture = [], page.locator(f"{given} img")
    (tmp_path / "bad.jpg").write_text("this is no picture")
    page.set_input_files(f"{given} input[type=file]", tmp_path / "bad.jpg")
    page.wait_for_function("said.includes('process_completed')", timeout=WAIT)
    page.route("**/run/predict*", lambda route: held.append(route))
    page.locator(given).get_by_label("Remove").first.click()
    page.set_input_files(f"{given} input[type=file]", photo)
    expect(picture).to_be_visible(timeout=WAIT)
    page.evaluate("letGo()")
    expect(told).to_contain_text("not a picture", timeout=WAIT)
    assert held
    for route in held:
        route.continue_()
    expect(told).to_contain_text("1 face", timeout=WAIT)
    expect(picture).to_be_visible()


def test_a_photo_goes_without_the_server_whose_answer_does_not_take_away_the_next_one(tab_of, photo):
    page, given, told, shown = tab_of("photo")
    page.set_input_files(f"{given} input[type=file]", photo)
    expect(shown.first).to_be_visible(timeout=WAIT)
    slow, holds = [], True
    page.route("**/run/predict*", lambda route: slow.append((route, route.fetch())) if holds else route.continue_())
    page.locator(given).get_by_label("Remove").first.click()
    expect(told).to_contain_text("Add a photo", timeout=WAIT)
    holds = False
    page.set_input_files(f"{given} input[type=file]", photo)
    expect(shown.first).to_be_visible(timeout=WAIT)
    assert slow
    for route, answer in slow:
        route.fulfill(response=answer)
    page.unroute("**/run/predict*")
    page.wait_for_timeout(500)  # nothing comes late
    expect(told).to_contain_text("1 face")
    expect(shown.first).to_be_visible()


@pytest.mark.parametrize("name", ["photo", "model", "album"])
def test_where_the_queue_is_full_the_results_before_go_and_the_visitor_is_told(tab_of, photo, name):
    page, given, told, shown = tab_of(name)
    page.set_input_files(f"{given} input[type=file]", photo)
    expect(shown.first).to_be_visible(timeout=WAIT)
    page.route("**/queue/join*", lambda route: route.fulfill(**FULL))
    if name == "album":
        page.set_input_files(f"{given} input[type=file]", photo)
    else:
        page.locator(f"#{name}-example").click()
    expect(told).to_contain_text("Too many are waiting", timeout=WAIT)
    expect(shown.filter(visible=True)).to_have_count(0)


@pytest.mark.parametrize("name", ["album", "video"])
def test_where_an_example_cannot_be_made_the_visitor_is_told(tab_of, name):
    page, _, told, _ = tab_of(name)
    page.route("**/run/predict*", lambda route: route.fulfill(status=500, json={"error": None}))
    page.locator(f"#{name}-example").click()
    expect(told).to_contain_text("try the portrait", timeout=WAIT)


@pytest.mark.parametrize("name", ["photo", "album", "video"])
def test_while_the_example_is_made_the_results_before_are_gone_and_what_comes_then_stays(tab_of, photo, clip, name):
    page, given, told, shown = tab_of(name)
    file, held = clip if name == "video" else photo, []
    page.set_input_files(f"{given} input[type=file]", file)
    expect(shown.first).to_be_visible(timeout=WAIT)
    asks = "**/run/predict*" if name in ("album", "video") else "**/queue/join*"
    page.route(asks, lambda route: held.append(route), times=1)
    with page.expect_request(asks):
        page.locator(f"#{name}-example").click()
    expect(told).to_contain_text("Waiting to begin.", timeout=WAIT)
    expect(shown.filter(visible=True)).to_have_count(0)
    page.set_input_files(f"{given} input[type=file]", file)
    expect(shown.first).to_be_visible(timeout=WAIT)
    (example,) = held
    example.fulfill(**FULL)
    page.wait_for_timeout(500)  # no failure comes late
    expect(told).not_to_contain_text("Too many")
    expect(shown.first).to_be_visible()


def test_where_a_picture_to_share_cannot_be_made_the_visitor_is_told_and_gets_none(tab_of, photo):
    page, given, told, _ = tab_of("photo")
    page.set_input_files(f"{given} input[type=file]", photo)
    with page.expect_download():
        page.locator("#photo-share").click()
    saved = []
    page.on("download", lambda one: saved.append(one))
    page.get_by_label("With hidden faces").check()
    page.route("**/queue/join*", lambda route: route.fulfill(**FULL))
    page.locator("#photo-share").click()
    expect(told).to_contain_text("Too many are waiting", timeout=WAIT)
    page.wait_for_timeout(500)
    assert saved == []
    expect(told).to_contain_text("1 face found")
    page.unroute("**/queue/join*")
    with page.expect_download():
        page.locator("#photo-share").click()
    expect(told).not_to_contain_text("Too many")
    expect(told).to_contain_text("1 face found")


@pytest.mark.parametrize("name", ["photo", "model", "album"])
def test_what_waits_says_so_and_no_words_about_what_came_before_stay(tab_of, photo, name):
    page, given, told, shown = tab_of(name)
    held = []
    for _ in range(2):  # two with the same outcome are told of as two
        page.route("**/queue/join*", lambda route: held.append(route), times=1)
        with page.expect_request("**/queue/join*"):
            page.set_input_files(f"{given} input[type=file]", photo)
        expect(told).to_contain_text("Waiting to begin.", timeout=WAIT)
        expect(shown.filter(visible=True)).to_have_count(0)
        held.pop().continue_()
        expect(shown.first).to_be_visible(timeout=WAIT)
