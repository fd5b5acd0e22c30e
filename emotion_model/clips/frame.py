"""One frame of a clip."""

from __future__ import annotations

import threading

import av
import cv2
import numpy as np
from av.video.reformatter import Colorspace, VideoReformatter

_scalers = threading.local()


def _scaler(interpolation: str) -> VideoReformatter:
    """What scales pictures in this thread: for as long as their size stays the same, it is made ready but once."""
    if not hasattr(_scalers, interpolation):
        setattr(_scalers, interpolation, VideoReformatter())
    return getattr(_scalers, interpolation)


class VideoFrame:
    """One frame of a clip; its pixels are converted when they are asked for.

    Attributes:
        index: its number in the clip, from 0.
        time: when it is shown, in seconds of the clip's clock.
        duration: for how long, in seconds, as the file says; 0 where it does not.
        until: when the next one is shown, or the clip ends.
    """

    def __init__(
        self,
        index: int,
        time: float,
        duration: float,
        until: float,
        source: av.VideoFrame | np.ndarray,
        size: tuple[int, int],
        turns: int = 0,
        mirrored: bool = False,
    ) -> None:
        """A frame whose picture has this size, width and height, after so many quarter turns counterclockwise, before
        which it is mirrored left to right or not."""
        self.index, self.time, self.duration, self.until = index, time, duration, until
        self._source, self._size, self._turns, self._mirrored = source, size, turns, mirrored

    @property
    def image(self) -> np.ndarray:
        """Pixels, uint8 RGB `(height, width, 3)`, upright, of the clip's size."""
        return self.at_size(*self._size)

    def at_size(self, width: int, height: int) -> np.ndarray:
        """The whole frame at another size, uint8 RGB `(height, width, 3)`; cheaper than `image`."""
        if isinstance(self._source, np.ndarray):
            return fitted(self._source, width, height)
        size = (height, width) if self._turns % 2 else (width, height)
        try:
            pixels = _rgb(self._source, *size)
        except av.FFmpegError:  # of a colour matrix that FFmpeg only knows by name, such as YCgCo: colours may be off
            self._source.colorspace = Colorspace.DEFAULT
            pixels = _rgb(self._source, *size)
        if not (self._turns or self._mirrored):
            return pixels
        return np.ascontiguousarray(np.rot90(pixels[:, ::-1] if self._mirrored else pixels, self._turns))


def _rgb(source: av.VideoFrame, width: int, height: int) -> np.ndarray:
    interpolation = "AREA" if width < 128 else "BILINEAR"
    # One thread: for a single frame, starting more costs more than they save.
    scaled = _scaler(interpolation).reformat(
        source, width, height, format="rgb24", interpolation=interpolation, threads=1
    )
    return scaled.to_ndarray()


def fitted(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """A picture, uint8 `(height, width, 3)`, scaled into a frame of so many pixels, black where its shape differs."""
    scale = min(width / image.shape[1], height / image.shape[0])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    if size != (image.shape[1], image.shape[0]):
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    sides = (top, height - size[1] - top, left, width - size[0] - left)
    return cv2.copyMakeBorder(image, *sides, cv2.BORDER_CONSTANT) if any(sides) else image
