"""Pages in Chromium, and what is measured on them."""

from contextlib import contextmanager

import numpy as np
import pytest

BROWSER_FLAGS = ("--no-sandbox", "--disable-gpu")
# What is the same in a window of either size is tested in one of them.
DESKTOP = pytest.mark.parametrize("window", ["desktop"], indirect=True)
PHONE = pytest.mark.parametrize("window", ["phone"], indirect=True)
# A script for before the page's own: Live has its frames read on the server.
READ_ON_SERVER = "localStorage.setItem('emotion-lens-reader', '\"server\"');"
# Whether the page keeps the screen on, by a lock such as browsers give.
AWAKE = """
window.locks = [];
Object.defineProperty(navigator, 'wakeLock', {value: {async request() {
  const lock = {released: false, async release() { this.released = true; }};
  locks.push(lock);
  return lock;
}}});
window.lit = () => locks.filter(lock => !lock.released).length;
"""
WAIT = 60_000  # ms; a machine busy with other things is slow, not broken


def opened(window, address):
    """A page whose errors are noted in its `problems`."""
    page = window.new_page()
    page.problems = []
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.goto(address)
    return page


@contextmanager
def noted(page):
    """The errors of a page meanwhile."""
    problems = []

    def note(error):
        problems.append(str(error))

    page.on("pageerror", note)
    try:
        yield problems
    finally:
        page.remove_listener("pageerror", note)


@contextmanager
def run_before(page, script):
    """A script runs before the page's own as long as this lasts; `add_init_script` could not be taken back."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("Page.enable")
    devtools.send("Page.addScriptToEvaluateOnNewDocument", {"source": f"(() => {{{script}\n}})();"})
    try:
        yield
    finally:
        if not page.is_closed():
            devtools.detach()


def forget(page):
    """Ends what a page does, and whatever it has kept."""
    page.unroute_all()
    devtools = page.context.new_cdp_session(page)
    origin = page.evaluate("sessionStorage.clear(), Storage.prototype.setItem = () => {}, origin")
    page.goto("about:blank")
    devtools.send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": "all"})
    devtools.detach()


def luminance(colour):
    rgb = np.array([float(v) for v in colour[colour.index("(") + 1 : -1].split(",")[:3]]) / 255
    return float(np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722])


def contrast(a, b):
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)
