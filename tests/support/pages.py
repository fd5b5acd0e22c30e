"""What is measured on a page in Chromium."""

import numpy as np
import pytest

BROWSER_FLAGS = ("--no-sandbox", "--disable-gpu")
# What is the same in a window of either size is tested in one of them.
DESKTOP = pytest.mark.parametrize("window", ["desktop"], indirect=True)
PHONE = pytest.mark.parametrize("window", ["phone"], indirect=True)
# A script for before the page's own: Live has its frames read on the server.
READ_ON_SERVER = "localStorage.setItem('emotion-lens-reader', '\"server\"');"
WAIT = 60_000  # ms; a machine busy with other things is slow, not broken


def opened(window, address):
    """A page whose errors are noted in its `problems`."""
    page = window.new_page()
    page.problems = []
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.goto(address)
    return page


def luminance(colour):
    rgb = np.array([float(v) for v in colour[colour.index("(") + 1 : -1].split(",")[:3]]) / 255
    return float(np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722])


def contrast(a, b):
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)
