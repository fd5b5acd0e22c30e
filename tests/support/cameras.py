"""A film for a camera, and the Live tab's windows."""

import cv2

from support.pages import WAIT

SIZE = (640, 480)  # pixels of a film
RATE = 10  # its frames in a second
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


def film(path, pictures):
    """Frames as a camera gives them, with nothing to decode; each one that is shown costs the browser as much again."""
    height, width = pictures[0].shape[:2]
    frames = (b"FRAME\n" + cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420).tobytes() for picture in pictures)
    path.write_bytes(f"YUV4MPEG2 W{width} H{height} F{RATE}:1 Ip C420\n".encode() + b"".join(frames))
    return path


def start(page):
    page.get_by_role("button", name="Start camera").click()


def wait_for_rows(page, count):
    page.wait_for_function(f"document.querySelector('.timeline canvas').dataset.rows >= {count}", timeout=WAIT)
