"""Take the pictures of the page that the README shows: two tabs, each on light and on dark ground; and its preview.

The page runs on a free loopback port in headless Chromium. What it sees is scikit-image's portrait of Eileen Collins,
which NASA gave to the public domain: as a photo, and as the film of a camera.

    make pictures    (PYTHONPATH=benchmarks python docs/pictures.py)
"""

from __future__ import annotations

import io
import shutil
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import skimage.data
from PIL import Image
from playwright.sync_api import sync_playwright
from startup import running_app

FOLDER = Path(__file__).with_name("pictures")
SIZE = {"width": 1180, "height": 860}  # of the window; pictures have it twice, for fine screens
PREVIEW = {"width": 1200, "height": 630}  # where somebody shares the page's address
LIVE_SECONDS = 5  # until the numbers stand still
MARGIN = 8  # below the last thing shown
MAX_BYTES = 200_000


def make_film(path: Path, portrait: np.ndarray) -> Path:
    """The camera's film, as MJPEG: a part of the portrait, which sways a little; mirrored, as the page mirrors too."""
    pictures = []
    for i in range(90):
        left = 80 + round(6 * np.sin(i / 90 * 2 * np.pi))
        part = cv2.resize(portrait[:270, left : left + 360], (640, 480), interpolation=cv2.INTER_CUBIC)
        pictures.append(cv2.imencode(".jpg", part[:, ::-1, ::-1])[1].tobytes())
    path.write_bytes(b"".join(pictures))
    return path


def photo_tab(page: Any, photo: Path) -> None:
    """The Photo tab with a result."""
    page.get_by_role("tab", name="Photo").click()
    page.wait_for_selector("#photo input[type=file]", state="attached")
    page.set_input_files("#photo input[type=file]", photo)
    page.wait_for_selector(".card")
    page.wait_for_function("document.querySelector('#annotated img')?.complete")
    page.wait_for_timeout(1000)  # the bars grow


def live_tab(page: Any) -> None:
    """The Live tab in the middle of a session."""
    page.wait_for_selector(".live[data-ready]")
    page.get_by_role("button", name="Start camera").click()
    page.wait_for_selector(".face-box")
    page.wait_for_timeout(LIVE_SECONDS * 1000)


def save(page: Any, name: str, last: str) -> None:
    """The page from its top to the end of its element `last`, as WebP."""
    path = FOLDER / f"{name}.webp"
    end = page.locator(last).last.bounding_box()
    shown = {"x": 0, "y": 0, "width": SIZE["width"], "height": end["y"] + end["height"] + MARGIN}
    Image.open(io.BytesIO(page.screenshot(clip=shown, full_page=True))).convert("RGB").save(path, quality=80, method=6)
    size = path.stat().st_size
    print(f"{path.name}: {size / 1000:.0f} kB")
    if size > MAX_BYTES:
        raise SystemExit(f"{path.name} is larger than {MAX_BYTES / 1000:.0f} kB.")


def main() -> None:
    """Take all pictures."""
    chromium = shutil.which("chromium") or shutil.which("chromium-headless-shell")
    if not chromium:
        raise SystemExit("no chromium on this machine")
    FOLDER.mkdir(exist_ok=True)
    with running_app() as (url, _), tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        portrait, photo = skimage.data.astronaut(), Path(folder) / "portrait.jpg"
        Image.fromarray(portrait).save(photo, quality=95)
        film = make_film(Path(folder) / "film.mjpeg", portrait)
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=[
                "--no-sandbox",
                "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream",
                f"--use-file-for-fake-video-capture={film}",
            ],
        )
        for scheme in ("light", "dark"):
            page = browser.new_page(viewport=SIZE, device_scale_factor=2)
            page.goto(f"{url}/?__theme={scheme}")
            if page.locator("#notice").count():
                raise SystemExit(f"The page says: {page.locator('#notice').inner_text()}")  # not what the README tells
            live_tab(page)
            save(page, f"live-{scheme}", ".live-top")
            page.get_by_role("button", name="Stop").click()
            photo_tab(page, photo)
            save(page, f"photo-{scheme}", ".card")
            page.close()
        page = browser.new_page(viewport=PREVIEW)
        page.goto(f"{url}/?__theme=light")
        live_tab(page)
        picture = page.screenshot(type="jpeg", quality=85)
        (FOLDER / "social.jpg").write_bytes(picture)
        print(f"social.jpg: {len(picture) / 1000:.0f} kB")
        browser.close()


if __name__ == "__main__":
    main()
