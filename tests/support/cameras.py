"""A film for a camera, and the Live tab's windows."""

import cv2

from support.pages import WAIT

SIZE = (640, 480)  # pixels of a film
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


def film(path, pictures):
    path.write_bytes(b"".join(cv2.imencode(".jpg", picture[..., ::-1])[1].tobytes() for picture in pictures))
    return path


def start(page):
    page.get_by_role("button", name="Start camera").click()


def wait_for_rows(page, count):
    page.wait_for_function(f"document.querySelector('.timeline canvas').dataset.rows >= {count}", timeout=WAIT)
