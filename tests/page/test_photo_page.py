"""The page in headless Chromium, as a visitor uses it."""

import cv2
import numpy as np
import pytest
from playwright.sync_api import expect

from support.pages import DESKTOP, PHONE, WAIT, contrast, luminance, opened


@pytest.fixture(scope="module")
def shared_page(window, app):
    page = opened(window, app.url)
    yield page
    page.close()


@pytest.fixture
def page(shared_page):
    """The page at its Photo tab, with no photo in it; the same one for many tests, as for a visitor who stays."""
    shared_page.problems.clear()
    for tab, photo in (("Model", "#own-photo"), ("Photo", "#photo")):
        shared_page.get_by_role("tab", name=tab).click()
        shared_page.locator(photo).wait_for()
        if shared_page.locator(f"{photo} img").count():
            remove_from(shared_page.locator(photo))
    expect(shared_page.locator(".card")).to_have_count(0)
    expect(shared_page.locator("#looks img")).to_have_count(0)
    yield shared_page
    assert shared_page.problems == []


def remove_from(photo):
    photo.get_by_label("Clear").or_(photo.get_by_label("Remove Image")).first.click()


def open_photo_tab(page):
    page.get_by_role("tab", name="Photo").click()
    page.wait_for_selector("#photo input[type=file]", state="attached")


def upload(page, path):
    page.set_input_files("#photo input[type=file]", path)


def status(page):
    return page.locator("#status")


def test_whoever_has_no_photo_tries_the_portrait(page):
    page.locator("#photo-example").click()
    expect(status(page)).to_contain_text("1 face found", timeout=WAIT)
    expect(page.locator(".card h2")).to_have_text("Neutral")
    expect(page.locator("#photo img")).to_be_visible()
    expect(page.locator("#annotated img")).to_be_visible()
    remove_from(page.locator("#photo"))
    expect(status(page)).to_contain_text("Add a photo", timeout=WAIT)
    page.wait_for_timeout(500)
    expect(status(page)).to_contain_text("Add a photo")
    expect(page.locator(".card")).to_have_count(0)


def test_a_photo_gives_the_annotated_picture_and_a_card(page, photo):
    expect(status(page)).to_contain_text("Add a photo")
    upload(page, photo)
    expect(status(page)).to_contain_text("1 face found", timeout=WAIT)
    card = page.locator(".card")
    expect(card).to_have_count(1)
    expect(card.locator("h2")).to_have_text("Happy")
    expect(card.locator(".bars li")).to_have_count(7)
    expect(card.locator(".confidence")).to_contain_text("%")
    picture = page.locator("#annotated img")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 512


CLOCK = """days => {
  window.Today ??= Date;
  window.Date = days ? class extends Today { constructor() { super(Today.now() + 86400000 * days); } } : Today;
}"""


def test_a_photo_is_shared_with_its_faces_shown_or_hidden(page, photo):
    expect(page.locator("#photo-share")).to_be_hidden()
    upload(page, photo)
    pictures = []
    for hidden, ahead in ((False, 0), (True, 0), (False, 1)):
        page.get_by_label("With hidden faces").set_checked(hidden)
        page.evaluate(CLOCK, ahead)
        with page.expect_download() as saved:
            page.get_by_role("button", name="Share this picture").click()
        pictures.append(cv2.imread(str(saved.value.path())))
    page.evaluate(CLOCK, 0)
    shown, hidden, tomorrow = pictures
    assert shown.shape == hidden.shape and shown.shape[1] == 512 and shown.shape[0] > 512
    changed = np.abs(shown.astype(int) - hidden).max(axis=2) > 20
    assert 0.015 < changed.mean() < 0.1  # the face, and nothing else
    changed = np.abs(shown.astype(int) - tomorrow).max(axis=2) > 20
    assert changed.any() and not changed[: len(cv2.imread(str(photo)))].any()  # the date by the visitor's clock


@PHONE
def test_of_a_photo_that_the_browser_cannot_show_the_name_stands_in_its_place(page, photo, tmp_path):
    cv2.imwrite(str(tmp_path / "holiday 1.tiff"), cv2.imread(str(photo)))
    upload(page, tmp_path / "holiday 1.tiff")
    picture = page.locator("#photo .image-frame img")
    expect(picture).to_have_accessible_name("holiday 1.tiff: this browser shows no pictures of this kind.")
    expect(status(page)).to_contain_text("1 face found", timeout=WAIT)
    upload(page, photo)
    expect(picture).to_have_accessible_name("", timeout=WAIT)
    expect(status(page)).to_contain_text("1 face found", timeout=WAIT)


def test_the_bars_are_as_long_as_their_numbers(page, photo):
    upload(page, photo)
    page.wait_for_selector(".card")
    page.wait_for_function("document.getAnimations().every(one => one.playState === 'finished')")  # the bars grow
    for row in page.locator(".bars li").all():
        share = int(row.locator(".value").inner_text().rstrip("%")) / 100
        track, fill = (row.locator(s).bounding_box()["width"] for s in (".track", ".fill"))
        assert fill / track == pytest.approx(share, abs=0.03)


def test_nothing_is_wider_than_the_window(page, tmp_path, crowd):
    cv2.imwrite(str(tmp_path / "crowd.png"), crowd[..., ::-1])
    upload(page, tmp_path / "crowd.png")
    expect(status(page)).to_contain_text("20 faces found", timeout=WAIT)
    expect(page.locator(".card")).to_have_count(20)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@PHONE
def test_a_picture_without_a_face_is_a_friendly_result(page, tmp_path, landscape):
    cv2.imwrite(str(tmp_path / "landscape.png"), landscape[..., ::-1])
    upload(page, tmp_path / "landscape.png")
    expect(status(page)).to_contain_text("No face found", timeout=WAIT)
    expect(page.locator("#annotated img")).to_be_visible()
    expect(page.locator(".card")).to_have_count(0)
    expect(page.locator(".toast-wrap .error")).to_have_count(0)


@DESKTOP
@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("bad.jpg", b"this is no picture", "not a picture"),
        ("empty.png", b"", "empty"),
        ("cut.jpg", None, "damaged"),
    ],
)
def test_a_bad_file_gets_a_sentence_and_the_next_photo_works(page, tmp_path, photo, name, content, said):
    bad = tmp_path / name
    bad.write_bytes(photo.read_bytes()[:9000] if content is None else content)
    upload(page, bad)
    expect(status(page)).to_contain_text(said, timeout=WAIT)
    expect(page.locator("#photo img")).to_have_count(0)
    page.wait_for_timeout(500)
    expect(status(page)).to_contain_text(said)
    upload(page, photo)
    expect(status(page)).to_contain_text("1 face found", timeout=WAIT)
    upload(page, bad)
    expect(status(page)).to_contain_text(said, timeout=WAIT)


@PHONE
def test_removing_the_photo_clears_the_results(page, photo):
    upload(page, photo)
    expect(status(page)).to_contain_text("1 face found", timeout=WAIT)
    remove_from(page.locator("#photo"))
    expect(status(page)).to_contain_text("Add a photo", timeout=WAIT)
    expect(page.locator(".card")).to_have_count(0)
    expect(page.locator("#annotated img")).to_have_count(0)


@PHONE
def test_a_snapshot_of_the_camera_is_read(window, app):
    page = opened(window, app.url)
    open_photo_tab(page)
    page.locator("#photo").get_by_label("Capture from camera").click()
    page.locator("#photo").get_by_text("Click to Access Webcam").click()
    page.locator("#photo video").wait_for(state="visible")
    page.wait_for_function("document.querySelector('#photo video').currentTime > 0.5")  # the first frames are black
    page.locator("#photo").get_by_label("capture photo").click()
    expect(status(page)).to_contain_text("1 face found", timeout=WAIT)
    assert page.problems == []
    page.close()


@DESKTOP
def test_a_picture_is_pasted(window, photo, app):
    page = opened(window, app.url)
    open_photo_tab(page)
    png = cv2.imencode(".png", cv2.imread(str(photo)))[1].tolist()
    page.evaluate(
        """async bytes => {
          const blob = new Blob([new Uint8Array(bytes)], {type: 'image/png'});
          await navigator.clipboard.write([new ClipboardItem({'image/png': blob})]);
        }""",
        png,
    )
    page.locator("#photo").get_by_label("Paste from clipboard").click()
    expect(status(page)).to_contain_text("1 face found", timeout=WAIT)
    assert page.problems == []
    page.close()


@DESKTOP
def test_results_are_announced_and_pictures_are_described_to_screen_readers(page, photo):
    # Twice: what Gradio draws anew is still announced, and its stopwatch beside it is not.
    for said in ("1 face found", "Add a photo"):
        upload(page, photo) if said == "1 face found" else remove_from(page.locator("#photo"))
        announced = page.locator("#status [aria-live=polite]")
        expect(announced).to_contain_text(said, timeout=WAIT)
        assert announced.get_attribute("role") == "status"
        assert page.locator("[aria-live=polite]:has([data-testid=status-tracker])").count() == 0
    upload(page, photo)
    page.wait_for_selector(".card")
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.locator("h1").count() == 1
    text = page.locator(".card").aria_snapshot()
    assert "Happy" in text and text.count("%") >= 8


@pytest.fixture(params=["light", "dark"])
def scheme(request, page):
    """The page in these colours."""
    at_once = page.add_style_tag(content="* { transition: none !important }")
    page.evaluate("dark => document.body.classList.toggle('dark', dark)", request.param == "dark")
    yield request.param
    page.evaluate("document.body.classList.remove('dark')")
    at_once.evaluate("style => style.remove()")


def test_text_is_legible_in_light_and_dark(page, photo, scheme):
    upload(page, photo)
    page.wait_for_selector(".card")
    colours = page.evaluate(
        """() => ['h1', '.masthead p', '.card h2', '.confidence', '.bars .value', '#status strong', '.fineprint p']
          .map(selector => {
            const element = document.querySelector(selector);
            let behind = element;
            while (behind && /, 0\\)$|transparent/.test(getComputedStyle(behind).backgroundColor))
              behind = behind.parentElement;
            const paper = getComputedStyle(behind || document.body).backgroundColor;
            return [getComputedStyle(element).color, paper, selector];
          })"""
    )
    for foreground, background, selector in colours:
        assert contrast(foreground, background) >= 4.5, f"{selector}: {foreground} on {background}"
    background = luminance(colours[0][1])
    assert background > 0.8 if scheme == "light" else background < 0.05


def test_the_model_tab_states_scores_and_limits(page):
    page.get_by_role("tab", name="Model").click()
    model = page.locator("#model")
    expect(model).to_contain_text("Accuracy, one view of each face")
    expect(model).to_contain_text("EU AI Act")
    figures = page.locator(".drawings img")
    expect(figures).to_have_count(6)
    for figure in figures.all():
        figure.scroll_into_view_if_needed()
        assert figure.evaluate("image => image.decode().then(() => image.naturalWidth)") > 400
        assert len(figure.get_attribute("alt")) > 60
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@DESKTOP
def test_the_model_tab_shows_what_the_network_looks_at(page, photo):
    page.get_by_role("tab", name="Model").click()
    page.locator("#own-photo input[type=file]").set_input_files(photo)
    looks = page.locator("#looks")
    expect(looks).to_contain_text("Its answer: happy", timeout=WAIT)
    expect(looks.locator("img")).to_have_count(2)
    remove_from(page.locator("#own-photo"))
    expect(looks.locator("img")).to_have_count(0)


@PHONE
def test_whoever_has_no_photo_sees_what_the_network_looks_at_in_the_portrait(page):
    page.get_by_role("tab", name="Model").click()
    expect(page.locator("#model")).to_contain_text("Bad at. Of those that show fear it finds")
    page.locator("#model-example").click()
    pictures = page.locator("#looks img")
    expect(pictures).to_have_count(2)
    assert pictures.first.bounding_box()["width"] > 100
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    remove_from(page.locator("#own-photo"))
    expect(pictures).to_have_count(0)


@PHONE
@pytest.mark.parametrize(("bad", "said"), [(False, "No face found"), (True, "not a picture")])
def test_the_model_tab_says_what_is_wrong_with_a_picture(page, tmp_path, landscape, bad, said):
    path = tmp_path / "picture.png"
    path.write_bytes(b"this is no picture" if bad else cv2.imencode(".png", landscape)[1].tobytes())
    page.get_by_role("tab", name="Model").click()
    page.locator("#own-photo input[type=file]").set_input_files(path)
    expect(page.locator("#looks")).to_contain_text(said, timeout=WAIT)


def test_the_page_states_privacy_and_limits_and_fetches_nothing_from_elsewhere(browser, app):
    page = browser.new_page()
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(app.url)
    page.wait_for_selector("button[role=tab]")
    page.wait_for_timeout(3000)  # never idle: one request stays open for as long as the page does
    expect(page.locator(".fineprint")).to_contain_text("deleted there within 31 minutes")
    expect(page.locator(".fineprint")).to_contain_text("not what somebody feels")
    foreign = [url for url in requests if not url.startswith((app.url, "data:", "blob:"))]
    page.close()
    assert foreign == []
