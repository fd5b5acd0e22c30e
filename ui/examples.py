"""Something to try for who has neither a camera nor a photo at hand: a portrait in the public domain, and what is made
of it.

The portrait is Grace Hopper's, by the U.S. Navy; Matplotlib brings it along. In the clip, made when it is first asked
for, its mouth is drawn into a smile, and back.
"""

from __future__ import annotations

import importlib.util
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from emotion_model import read_image
from ui.sweeping import kept_if_filled

SECONDS, RATE = 7, 15
HEIGHT = 480  # pixels of the clip
MOUTH = ((229.0, 268.0), (302.0, 270.0))  # its corners in the portrait, in pixels
FACE = (170.0, 213.0)  # width and height of the face
_lock = threading.Lock()
_made: list[Path] = []
_photos: list[Path] = []


def portrait_path() -> Path:
    """The portrait's file; matplotlib itself is not loaded for it.

    Raises:
        FileNotFoundError: matplotlib, which has it, is not installed.
    """
    spec = importlib.util.find_spec("matplotlib")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("matplotlib, which has the example's portrait, is not installed")
    return Path(spec.origin).parent / "mpl-data" / "sample_data" / "grace_hopper.jpg"


def portrait() -> np.ndarray:
    """The portrait, uint8 RGB `(600, 512, 3)`."""
    return read_image(portrait_path())


def photo_paths() -> list[Path]:
    """Three photos: the portrait, smiling, and both side by side."""
    with _lock:
        if not _photos or not _photos[0].exists():
            image = portrait()
            smile = smiling(image, 1.0)
            pictures = {"portrait": image, "smile": smile, "both": np.hstack([image, smile[:, ::-1]])}
            with _folder() as folder:
                for name, picture in pictures.items():
                    Image.fromarray(picture).save(folder / f"{name}.jpg", quality=92)
            _photos[:] = [folder / f"{name}.jpg" for name in pictures]
        return list(_photos)


def clip_path() -> Path:
    """The clip's file, made if it is not there yet; it goes with the server's other files."""
    with _lock:
        if not _made or not _made[0].exists():
            with _folder() as folder:
                _write_clip(folder / "example.mp4")
            _made[:] = [folder / "example.mp4"]
        return _made[0]


@contextmanager
def _folder() -> Iterator[Path]:
    """A new folder; where it cannot be filled it goes again, and the next visitor has everything made anew."""
    folder = Path(tempfile.mkdtemp(prefix="example-"))
    with kept_if_filled(folder):
        yield folder


def smiling(image: np.ndarray, smile: float) -> np.ndarray:
    """The portrait, uint8 RGB `(600, 512, 3)`, with the corners of its mouth drawn outwards and up; 0 leaves them."""
    y, x = np.mgrid[0 : image.shape[0], 0 : image.shape[1]].astype(np.float32)
    across, down = np.zeros_like(x), np.zeros_like(y)
    for (left, top), side in zip(MOUTH, (-1, 1), strict=True):
        near = np.exp(-((x - left) ** 2) / (2 * (0.09 * FACE[0]) ** 2) - (y - top) ** 2 / (2 * (0.07 * FACE[1]) ** 2))
        across -= near * side * smile * 0.06 * FACE[0]
        down += near * smile * 0.10 * FACE[1]
    return cv2.remap(image, x + across, y + down, cv2.INTER_LINEAR)


def _write_clip(path: Path) -> None:
    import av

    image = portrait()
    width = round(image.shape[1] * HEIGHT / image.shape[0] / 2) * 2
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=RATE)
        video.width, video.height, video.pix_fmt = width, HEIGHT, "yuv420p"
        for number in range(SECONDS * RATE):
            time = number / RATE
            smile = float(np.clip(time - 1.5, 0, 1) - np.clip(time - 5, 0, 1))
            sway = np.array([[1, 0, 6 * np.sin(1.3 * time)], [0, 1, 3 * np.sin(2.1 * time)]], np.float32)
            moved = cv2.warpAffine(smiling(image, smile), sway, image.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
            small = cv2.resize(moved, (width, HEIGHT), interpolation=cv2.INTER_AREA).astype(np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(small, format="rgb24")))
        container.mux(video.encode(None))
