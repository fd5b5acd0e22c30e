"""Writing clips: H.264 that every browser plays, with the sound of a source."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from emotion_model.clips.limits import MediaError
from emotion_model.clips.reading import VideoReader
from emotion_model.clips.sound import Sound
from emotion_model.files import disk_is_full, whole_file

_TICKS = 90_000  # per second; the usual clock of video files, divisible by every common frame rate
_BT709 = 1  # FFmpeg's number of that standard, whose colours and brightness sRGB pictures have
_BT601 = 6  # likewise; how OpenCV splits colours into brightness and the rest
_LIMITED_RANGE = 1  # likewise, of the range of values that video usually has


@contextlib.contextmanager
def video_writer(
    path: str | Path,
    width: int,
    height: int,
    rate: float = 25.0,
    audio: VideoReader | None = None,
    start: float = 0.0,
) -> Iterator[VideoWriter]:
    """Write an MP4 file that every browser plays: H.264, yuv420p, its index in front, with the sound of a source.

        with video_writer("out.mp4", 640, 360, audio=reader) as writer:
            writer.write(image, time=0.0)

    The file stands under its name only after the `with` block has ended without an exception.

    Args:
        path: a name ending in `.mp4`.
        width: of the frames in pixels; an odd width or height is made even by repeating the last column or row.
        height: likewise.
        rate: about how many frames per second will come.
        audio: the clip whose sound is taken over: copied where MP4 takes it as it is, else encoded as AAC.
        start: where in that clip the pictures begin, in seconds.

    Raises:
        MediaError: the file cannot be written, as when the disk is full.
    """
    path = Path(path)
    require_mp4(path)
    with writing(path), whole_file(path) as partial:
        writer = VideoWriter(partial, width, height, rate, audio, start)
        try:
            yield writer
            writer.finish()
        finally:
            writer.close()


def require_mp4(path: Path) -> None:
    """Refuse a name that ends like that of another kind of file.

    Raises:
        MediaError: it does.
    """
    if path.suffix.lower() not in (".mp4", ".m4v"):
        raise MediaError("unwritable", f"{path}: annotated clips are MP4 files; use a name ending in .mp4.")


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Says in one sentence, as a `MediaError`, why a file cannot be written."""
    try:
        yield
    except (av.FFmpegError, OSError) as error:
        if disk_is_full(error):
            raise MediaError(
                "disk_full", f"{path}: there is no room left on the disk; make some and try again."
            ) from error
        reason = getattr(error, "strerror", None) or error
        raise MediaError("unwritable", f"{path}: cannot be written ({reason}).") from error


class VideoWriter:
    """An MP4 file being written; `video_writer` makes and ends it."""

    def __init__(
        self, path: Path, width: int, height: int, rate: float, audio: VideoReader | None, start: float
    ) -> None:
        """Begin the file; see `video_writer`."""
        self._size = (width, height)
        self._even = (width + width % 2, height + height % 2)
        self._rate = min(max(rate, 1.0), 240.0)
        self._durations: dict[int, int] = {}
        self._last = -1
        self._sound: Sound | None = None
        self._sound_end = math.inf
        self._container = av.open(f"file:{path}", "w", format="mp4", options={"movflags": "+faststart"})
        # Without B-frames decoding and presentation times are the same, which keeps irregular frame rates exact.
        options = {"preset": "veryfast", "crf": "21", "bf": "0", "subq": "1"}
        rate_fraction = Fraction(self._rate).limit_denominator(1001)
        self._video = self._container.add_stream("libx264", rate=rate_fraction, options=options)
        self._video.width, self._video.height = self._even
        self._video.pix_fmt = "yuv420p"
        context = self._video.codec_context
        context.time_base = Fraction(1, _TICKS)
        context.color_primaries = context.color_trc = _BT709
        context.colorspace = _BT601
        context.color_range = _LIMITED_RANGE
        if audio is not None and audio.has_audio:
            self._sound = Sound(audio, self._container, start)

    def write(self, image_rgb: np.ndarray, time: float, duration: float = 0.0) -> None:
        """Append a frame.

        Args:
            image_rgb: uint8 RGB `(height, width, 3)`.
            time: seconds from the beginning of this file, rising.
            duration: seconds it is shown if it is the last one; 0 for one over the rate.
        """
        right, bottom = self._even[0] - self._size[0], self._even[1] - self._size[1]
        if right or bottom:
            image_rgb = cv2.copyMakeBorder(image_rgb, 0, bottom, 0, right, cv2.BORDER_REPLICATE)
        planes = np.asarray(cv2.cvtColor(image_rgb, cv2.COLOR_RGB2YUV_I420), np.uint8)
        frame = _frame(planes)
        frame.pts = self._last = max(round(time * _TICKS), self._last + 1)
        frame.time_base = Fraction(1, _TICKS)
        self._durations[frame.pts] = max(1, round((duration or 1 / self._rate) * _TICKS))
        self._mux(self._video.encode(frame))
        if self._sound:
            self._sound.write_until(time)

    def _mux(self, packets: Sequence[av.Packet]) -> None:
        for packet in packets:
            packet.duration = 0 if packet.pts is None else self._durations.pop(packet.pts, 0)
            self._container.mux(packet)

    def cut_sound(self, end: float) -> None:
        """Let the sound end at a time in seconds of this file; without, all of it is written."""
        self._sound_end = end

    def finish(self) -> None:
        """Write what is held back: the last frames and the rest of the sound.

        Raises:
            MediaError: no frame was written.
        """
        if self._last < 0:
            raise MediaError("empty", "There are no frames to write.")
        self._mux(self._video.encode(None))
        if self._sound:
            self._sound.write_until(self._sound_end)
            self._sound.finish()
        self._container.close()

    def close(self) -> None:
        """Close the files; after `finish` nothing is left to do."""
        if self._sound:
            self._sound.close()
        with contextlib.suppress(av.FFmpegError, OSError):  # of a file that is given up
            self._container.close()


def _frame(planes: np.ndarray) -> av.VideoFrame:
    """Planes of brightness and colour, uint8 `(height * 3 / 2, width)`, as a frame."""
    if len(planes) % 6:  # PyAV takes heights that are multiples of four without a copy, and makes others smaller
        return av.VideoFrame.from_ndarray(planes, format="yuv420p")
    return av.VideoFrame.from_numpy_buffer(planes, format="yuv420p")
