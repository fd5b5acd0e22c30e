"""The Live tab: in headless Chromium, with a film for a camera, and its scripts in Node."""

import json
import shutil
import subprocess
from collections import defaultdict
from contextlib import contextmanager

import cv2
import numpy as np
import pytest
from playwright.sync_api import expect, sync_playwright

from support.cameras import DESKTOP, SIZE, film
from support.pages import BROWSER_FLAGS, READ_ON_SERVER, WAIT, forget, noted, run_before
from support.paths import ROOT

expect.set_options(timeout=WAIT)


@pytest.fixture(scope="module")
def films(tmp_path_factory, astronaut, surprised):
    folder = tmp_path_factory.mktemp("films")
    smile, surprise = (cv2.resize(picture[:384], SIZE) for picture in (astronaut, surprised))
    half = cv2.resize(astronaut[:384, 60:316], (320, 480))
    smaller = np.zeros_like(half)
    smaller[:456, :304] = cv2.resize(half, (304, 456))
    return {
        "smile": film(folder / "smile.y4m", [smile]),
        "changing": film(folder / "changing.y4m", [smile] * 33 + [surprise] * 33),
        "two": film(folder / "two.y4m", [np.hstack(pair) for pair in ((half, smaller), (smaller, half))]),
        "nobody": film(folder / "nobody.y4m", [np.full((480, 640, 3), 90, np.uint8)]),
    }


@pytest.fixture(scope="module")
def playwright():
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="module")
def browser_with(playwright, chromium):
    """A browser started with such flags; one for all who want the same."""
    running = {}

    def browser(*flags):
        if flags not in running:
            running[flags] = playwright.chromium.launch(executable_path=chromium, args=[*BROWSER_FLAGS, *flags])
        return running[flags]

    yield browser
    for one in running.values():
        one.close()


@pytest.fixture(scope="module")
def page_with(browser_with):
    """A page of a browser started with such flags, which has forgotten who used it before.

    Scripts that a page has run before run again at half the cost, so a page goes from visit to visit.
    """
    waiting = defaultdict(list)

    @contextmanager
    def visited(*flags):
        page = waiting[flags].pop() if waiting[flags] else browser_with(*flags).new_context().new_page()
        page.set_default_timeout(WAIT)
        try:
            yield page
        finally:
            if page.is_closed():
                page.context.close()
            else:
                forget(page)
                waiting[flags].append(page)

    return visited


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """Puts a film before the camera of the browser; the path of that film, which is always the same.

    Chromium opens the file whenever a page starts the camera, so one browser does for all films.
    """
    path = tmp_path_factory.mktemp("camera") / "camera.y4m"

    def show(camera):
        link = path.with_name("next")
        link.symlink_to(camera)
        link.replace(path)
        return path

    return show


@pytest.fixture(scope="module")
def live_page(page_with, shown, app):
    """Opens the page with a camera that shows a film; with None there is no camera, with False it is refused.

    `script` runs before the page's own. Frames are read on the server, unless `reader` is None: then where the page
    itself would have them read. Four a second are enough for most tests; with an `interval` of None as many as come.
    """

    @contextmanager
    def opened(
        camera, url=app.url, viewport=DESKTOP, scheme="light", flags=(), script="", reader="server", interval="0.25"
    ):
        flags = [*flags]
        if camera is not None:
            flags.append("--use-fake-device-for-media-stream")
        if camera:
            flags += ["--use-fake-ui-for-media-stream", f"--use-file-for-fake-video-capture={shown(camera)}"]
        with page_with(*flags) as page, noted(page) as problems:
            page.set_viewport_size(viewport)
            with run_before(page, (READ_ON_SERVER if reader else "") + script):
                page.goto(f"{url}/?__theme={scheme}")
                page.wait_for_selector(".live[data-ready]")
                if interval:
                    page.locator(".interval").select_option(interval)
                yield page
        assert problems == []

    return opened


@pytest.fixture
def node(tmp_path):
    """Runs a script that imports modules from `live/` and `browser/`; returns what it prints, as JSON."""
    if not shutil.which("node"):
        pytest.skip("no node on this machine")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    for room in ("live", "browser"):
        shutil.copytree(ROOT / "ui" / room, tmp_path / room, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    for name in ("chooser.js", "sharing.js"):
        shutil.copy(ROOT / "ui" / name, tmp_path)

    def run(text):
        (tmp_path / "script.js").write_text(text)
        done = subprocess.run(["node", "script.js"], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run
