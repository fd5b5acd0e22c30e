"""The page inside another site, as the docs embed it."""

import functools
import re
import threading
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import expect

from support.pages import WAIT
from support.paths import ROOT


@contextmanager
def serving(folder):
    """Address of a site with these files, another one than the app's."""
    handler = functools.partial(SimpleHTTPRequestHandler, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_address[1]}/"
        server.shutdown()


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_the_page_works_in_a_frame_of_another_site_in_the_theme_asked_for(app, browser, photo, theme, tmp_path):
    page = (ROOT / "docs" / "publishing.md").read_text(encoding="utf-8")
    frame = re.search(r"<iframe .*</iframe>", page)[0]
    frame = frame.replace("https://USER-emotion.hf.space/", app.url).replace("theme=dark", f"theme={theme}")
    (tmp_path / "index.html").write_text(f"<!doctype html><h1>A blog</h1>{frame}")
    with serving(tmp_path) as blog:
        context = browser.new_context(color_scheme="light" if theme == "dark" else "dark")  # not what is asked for
        context.set_default_timeout(WAIT)
        page = context.new_page()
        page.goto(blog)
        inner = page.frame_locator("iframe")
        inner.get_by_role("tab", name="Photo").click()
        inner.locator("#photo input[type=file]").set_input_files(photo)
        expect(inner.locator("#status")).to_contain_text("1 face found", timeout=WAIT)
        dark = inner.locator("body").evaluate("body => body.classList.contains('dark')")
        assert dark == (theme == "dark")
        # Nothing sticks out sideways: the frame is as wide as the blog.
        assert inner.locator("html").evaluate("html => html.scrollWidth <= html.clientWidth")
        context.close()
