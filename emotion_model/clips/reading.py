"""Reading clips: every common form in, and a clear sentence for what cannot be read.

Everything goes through PyAV (FFmpeg's libraries); no program has to be installed.
"""

from __future__ import annotations

import contextlib
import math
import re
import stat
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np

from emotion_model.clips.container import decoded, open_container, packets
from emotion_model.clips.frame import VideoFrame, fitted
from emotion_model.clips.limits import MediaError, MediaLimits
from emotion_model.clips.passing import passed_over
from emotion_model.clips.times import Clock, seconds
from emotion_model.faces.images import ENDINGS, ImageError, read_image, why_unreadable
from emotion_model.files import identity
from emotion_model.timelines.clock import clock

LONG_FRAME = 0.1  # s; where the next frame comes later than that after the start, the one before it counts from there
CUT_SECONDS, CUT_SHARE = 1.0, 0.02  # s, and of the length; a clip that lacks more of its end than either is cut off
USUAL_RATE = 25.0  # frames per second, where a clip tells none
FEW_FRAMES = 5  # too few to tell a rate by: a recorder that was busy seems to have made them at a thousand a second
_CLIP_FORMS = "use an MP4, MOV, WebM, MKV, AVI or GIF file"


class VideoReader:
    """A clip, opened for reading: a video file, an animated GIF, or the pictures of a sequence.

        with VideoReader("clip.mp4") as reader:
            for frame in reader.frames(end=10):
                print(frame.index, frame.time, frame.image.shape)

    Frames that are damaged or missing are left out; the times of the others stay right. Memory: a few frames.

    Attributes:
        width, height: of the upright frames in pixels; pixels are square.
        duration: seconds to the end of the last frame, as well as it can be known without decoding.
        rate: mean frames per second.
        has_audio: whether there is sound.
        ended: the end of the last frame in seconds, once all have been read; None until then.
        notice: once all have been read, a sentence if the clip breaks off before its header says, else empty.
        path: the file; None for a sequence of pictures.
    """

    def __init__(
        self, source: str | Path | Sequence[str | Path], limits: MediaLimits | None = None, sequence_rate: float = 25.0
    ) -> None:
        """Open a clip.

        Args:
            source: a video file or animated GIF; a folder with pictures, which are taken in the order of their names;
                or a list of picture files, in the order given.
            limits: what the clip may be.
            sequence_rate: frames per second that a sequence of pictures is played at.

        Raises:
            MediaError: it cannot be read, or is over a limit.
            ValueError: the rate is not above 0.
            TypeError: the source is neither a path nor a list of paths.
        """
        if not 0 < sequence_rate <= 1000:
            raise ValueError(f"sequence_rate={sequence_rate}: use a rate above 0, up to 1000 frames per second")
        self.limits = limits or MediaLimits()
        self.path: Path | None = None
        self._mirrored = False  # left is right, before a frame is turned
        self._turns = 0  # quarter turns, counterclockwise, that make a frame upright
        self.has_audio = False
        self.ended: float | None = None
        self.notice = ""
        self._lag: float | None = None  # s; of decoding times, where those are what the frames' times follow from
        self._pictures: list[Path] = []
        if not isinstance(source, str | Path):
            try:
                pictures = [Path(one) for one in source]
            except TypeError as error:
                raise TypeError(f"source: give a path or a list of paths ({error})") from error
            self._open_pictures(pictures, sequence_rate)
        elif (found := _pictures_in(Path(source))) is not None:
            if not found:
                raise MediaError("empty", f"{source}: there are no pictures in this folder.")
            self._open_pictures(found, sequence_rate)
        else:
            self._open_file(Path(source))

    def _open_pictures(self, paths: list[Path], rate: float) -> None:
        if not paths:
            raise MediaError("empty", "No pictures were given.")
        self._pictures, self.rate = paths, rate
        self.duration = len(paths) / rate
        try:
            self.height, self.width = self._picture(paths[0]).shape[:2]
        except ImageError as error:
            raise _unusable(paths[0], error) from error
        self._check_frame(self.width, self.height)

    def _picture(self, path: Path) -> np.ndarray:
        return read_image(path, self.limits.picture_pixels, round(self.limits.picture_megabytes * 2**20))

    def _open_file(self, path: Path) -> None:
        self.path = path
        head = b""
        try:
            facts = path.stat()
            if regular := stat.S_ISREG(facts.st_mode):  # to open a pipe would be to wait for who writes
                with path.open("rb") as file:
                    head = file.read(16)
        except (OSError, ValueError) as error:
            raise MediaError("unreadable", why_unreadable(path, error)) from error
        if not regular:
            said = f"{path}: a pipe or a device cannot be wound back: save the clip to a file first."
            raise MediaError("unreadable", said)
        size = facts.st_size
        if not size:
            raise MediaError("empty", "The file is empty (0 bytes): choose another clip.")
        if self.limits.megabytes and size > self.limits.megabytes * 2**20:
            raise MediaError(
                "too_large",
                f"The clip has {size / 2**20:.0f} MB, and the limit is {self.limits.megabytes:g} MB: "
                "make it shorter or smaller and try again.",
            )
        try:
            container = open_container(path)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise self._unopened(path, head) from error
        with container:
            self._inspect(container)
        self._first_frame()

    def _unopened(self, path: Path, head: bytes) -> MediaError:
        clip = head[4:8] in (b"ftyp", b"moov", b"mdat") or head[:4] in (b"\x1aE\xdf\xa3", b"RIFF")
        if clip and head[8:12] != b"WEBP":
            return MediaError("damaged", "The clip is damaged or cut off: save or send it once more.")
        with contextlib.suppress(ImageError):
            self._picture(path)
            return MediaError("a_picture", f"This is a single picture, not a clip: {_CLIP_FORMS}.")
        return MediaError("not_a_video", f"This is not a video that can be read: {_CLIP_FORMS}.")

    def _inspect(self, container: Any) -> None:
        """What the header tells; nothing is decoded."""
        self.has_audio = any(stream.codec_context for stream in container.streams.audio)
        streams = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
        if not streams and not container.streams.audio:
            raise MediaError("damaged", "The clip is damaged or cut off: save or send it once more.")
        if not streams:
            raise MediaError("no_video", f"The file has sound but no pictures: {_CLIP_FORMS} with a video track.")
        stream = streams[0]
        self._track = stream.index
        if stream.codec_context is None:
            raise MediaError("unsupported_codec", "The clip's video codec is not supported: convert it to H.264 (MP4).")
        self._zero = max(container.start_time or 0, 0) / av.time_base
        rate = stream.average_rate or stream.guessed_rate
        self.rate = float(rate) if rate else USUAL_RATE
        duration = container.duration / av.time_base if container.duration else 0.0
        # Recorders in browsers write no duration, and a header can say anything: then the packets tell. Matroska and
        # WebM may count it from zero where their clock does not begin there, as in one of several segments.
        beyond = (self.limits.seconds and duration > self.limits.seconds) or self.rate > self.limits.rate
        if duration <= 0 or beyond or (self._zero > LONG_FRAME and container.format.name.startswith("matroska")):
            duration = self._measure(container)
        self.duration = duration
        if self.rate > self.limits.rate:
            raise MediaError(
                "too_fast",
                f"The clip has {self.rate:,.0f} frames per second, and the limit is {self.limits.rate:g}: "
                "save it with a lower frame rate.",
            )
        width, height = stream.codec_context.width, stream.codec_context.height
        if width and height:
            self._check_frame(width, height)  # before a decoder takes memory for it

    def _measure(self, container: Any) -> float:
        """Length and rate by the packets."""
        count, end = self._packets_told(container)
        if count > 1 and end > 0:
            self.rate = count / end
        if count < FEW_FRAMES:
            self.rate = min(self.rate, USUAL_RATE)
        return end or count / self.rate

    def reads(self, path: Path) -> bool:
        """Whether a file, by whichever of its names, is the clip or one of its pictures."""
        read = self._pictures if self.path is None else [self.path]
        return (asked := identity(path)) is not None and asked in map(identity, read)

    def length(self) -> float:
        """Seconds to the end of the last packet, whatever the header says; nothing is decoded."""
        if self.path is None:
            return self.duration
        with open_container(self.path) as container:
            count, end = self._packets_told(container)
        return end or count / self.rate

    def _packets_told(self, container: Any) -> tuple[int, float]:
        """How many packets there are, and the end of the last one in seconds; 0 where they have no times."""
        count, end = 0, 0.0
        for packet in packets(container, container.streams[self._track]):
            count += bool(packet.size)
            if packet.size and packet.pts is not None:  # a bare stream has no times
                end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base) - self._zero)
        return count, end

    def _first_frame(self) -> None:
        """Size and rotation are those of the frames; headers may say something else."""
        with open_container(self.path) as container:
            stream = container.streams[self._track]
            encrypted = False
            for packet in packets(container, stream):
                encrypted = encrypted or packet.has_sidedata("encryption_info")
                for frame in decoded(packet):
                    if encrypted:
                        break
                    self._turns, self._mirrored = _lie_of(frame)
                    aspect = float(stream.sample_aspect_ratio or 1)
                    aspect = aspect if 0.1 < aspect < 10 else 1.0
                    width, height = round(frame.width * aspect), frame.height
                    self.width, self.height = (height, width) if self._turns % 2 else (width, height)
                    self._check_frame(self.width, self.height)
                    # AVI knows only the order of decoding: what stands for a frame's time there is not its own.
                    if container.format.name == "avi" and frame.dts is not None:
                        self._lag = seconds(frame, frame.dts)
                    return
            if encrypted:
                raise MediaError("encrypted", "The clip is encrypted (copy protection): choose one without.")
        raise MediaError("damaged", "Not a single frame of the clip can be decoded: save or send it once more.")

    def _check_frame(self, width: int, height: int) -> None:
        if width * height > self.limits.pixels or max(width, height) > self.limits.side:
            raise MediaError(
                "too_many_pixels",
                f"The clip's frames are {width} x {height} pixels, and the limit is {self.limits.pixels / 1e6:.1f} "
                "megapixels: make it smaller and try again.",
            )

    def span(self, start: float = 0.0, end: float | None = None) -> tuple[float, float]:
        """Start and end in seconds of the part that is asked for, within the clip.

        Raises:
            MediaError: the part is empty, or longer than the limit.
        """
        last = self.duration if end is None else min(end, self.duration)
        if not (math.isfinite(start) and 0 <= start < last):
            raise MediaError(
                "bad_range", f"There is nothing from {start:g} s to {last:g} s: the clip is {self.duration:.1f} s long."
            )
        if self.limits.seconds and last - start > self.limits.seconds + 0.5:
            raise MediaError(
                "too_long",
                f"That is {clock(last - start)} of video, and the limit is {clock(self.limits.seconds)}: "
                "choose a shorter part of the clip.",
            )
        return start, last

    def frames(self, start: float = 0.0, end: float | None = None) -> Iterator[VideoFrame]:
        """The frames shown from `start` up to, but not at, `end` (seconds), in order of time; may be called again.

        Raises:
            MediaError: of a sequence, a picture cannot be read; the clip goes on far beyond the limit; or the disk or
                the network that it lies on fails.
        """
        return self._read_pictures(start, end) if self._pictures else self._read_file(start, end)

    def _read_pictures(self, start: float, end: float | None) -> Iterator[VideoFrame]:
        for index, path in enumerate(self._pictures):
            time, until = index / self.rate, (index + 1) / self.rate
            if time < start and until - start > LONG_FRAME:  # still shown then
                time = start
            if time < start or (end is not None and time >= end):
                continue
            try:
                picture = self._picture(path)
            except ImageError as error:
                raise _unusable(path, error) from error
            size = (self.width, self.height)  # of the first, so that none that is kept is larger
            yield VideoFrame(index, time, until - time, until, fitted(picture, *size), size)
        self.ended = self.duration

    def _read_file(self, start: float, end: float | None) -> Iterator[VideoFrame]:
        longest = self.limits.seconds * 1.1 + 5 if self.limits.seconds else math.inf
        times, until = Clock(self.rate, self._zero, self._lag), 0.0
        with open_container(self.path) as container:
            stream = container.streams[self._track]
            stream.thread_type = "AUTO"
            passed, rest = passed_over(packets(container, stream), start, self.rate, self._zero)
            index, times.lost = None, passed.lost
            for frame, time, following in times.timed(one for packet in rest for one in decoded(packet)):
                self._check_frame(frame.width, frame.height)
                index = passed.number(frame) if index is None else index + 1
                if end is not None and time >= end:
                    return
                if time - start > longest:
                    raise MediaError(
                        "too_long",
                        f"The clip goes on beyond what its header says, and the limit is "
                        f"{clock(self.limits.seconds or 0)}: choose a shorter part.",
                    )
                duration = seconds(frame, frame.duration)
                until = time + (duration or 1 / self.rate) if following is None else following
                if time >= start - 1e-6:
                    yield self._frame(index, time, duration, until, frame)
                elif until - start > LONG_FRAME:  # still shown then
                    duration = min(until, math.inf if end is None else end) - start
                    yield self._frame(index, start, duration, until, frame)
        if index is not None:
            self.ended = until
            told = _told_seconds(container, stream, self._zero)
            if told - self.ended > max(CUT_SECONDS, CUT_SHARE * told):
                where = f"{clock(self.ended)} of {clock(told)}"
                self.notice = f"The clip breaks off at {where}: it is cut off or damaged, save or send it once more."

    def _frame(self, index: int, time: float, duration: float, until: float, frame: av.VideoFrame) -> VideoFrame:
        return VideoFrame(index, time, duration, until, frame, (self.width, self.height), self._turns, self._mirrored)

    def close(self) -> None:
        """Nothing to do: the file is open only while it is read. Readers can be used like other files all the same."""

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _lie_of(frame: av.VideoFrame) -> tuple[int, bool]:
    """Quarter turns, counterclockwise, that make a frame upright, and whether it is mirrored left to right before."""
    turns = round(frame.rotation / 90)
    with contextlib.suppress(KeyError, ValueError):  # without one; among side data of a kind that PyAV does not know
        beside: Any = frame.side_data  # the types of PyAV have but one kind
        a, b, _, c, d = struct.unpack_from("=5i", beside["DISPLAYMATRIX"])
        if a * d < b * c:  # it mirrors: the angle is then half a turn off
            return (turns + 2) % 4, True
    return turns % 4, False


def _told_seconds(container: Any, stream: Any, zero: float) -> float:
    """How long the pictures are by the header of a file whose clock begins at `zero` seconds.

    0 where it does not tell, or FFmpeg only guesses by the size.
    """
    if stream.duration and container.format.name.startswith("mov"):
        return seconds(stream, stream.duration)
    told = re.fullmatch(r"(\d+):(\d+):([\d.]+)", stream.metadata.get("DURATION", ""))  # Matroska and WebM
    end = sum(float(one) * unit for one, unit in zip(told.groups(), (3600, 60, 1), strict=True)) if told else 0.0
    return max(end - zero, 0.0)


def _pictures_in(path: Path) -> list[Path] | None:
    """The pictures of a sequence, in its order; None where the path is no folder."""
    try:
        return sorted(filter(_is_picture, path.iterdir()), key=by_number) if path.is_dir() else None
    except OSError as error:
        raise MediaError("unreadable", why_unreadable(path, error)) from error


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in ENDINGS and not path.name.startswith(".")  # as macOS leaves on sticks


def _unusable(path: Path, error: ImageError) -> MediaError:
    code = "unreadable" if error.code == "unreadable" else "damaged"
    return MediaError(code, f"{path.name}: {error}")


def by_number(path: Path) -> list[tuple[int, str]]:
    """Where a picture of a sequence belongs: `frame10` behind `frame9`."""
    parts = re.split(r"(\d+)", path.name)
    return [(int(part), "") if part.isdecimal() else (0, part.lower()) for part in parts] + [(0, path.name)]
