"""Reading and writing clips: every common form in, H.264 with sound out, and a clear sentence for what cannot be read.

Everything goes through PyAV (FFmpeg's libraries); no program has to be installed.
"""

from __future__ import annotations

import contextlib
import errno
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from emotion_model.faces.images import ImageError, read_image
from emotion_model.files import whole_file

# Only demuxers of plain clips: a playlist, for one, could name files and addresses of this machine.
_DEMUXERS = "aac,apng,asf,avi,flac,flv,gif,h264,hevc,ivf,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpeg,mpegts,ogg,wav"
_PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".avif")
_COPIED_AUDIO = ("aac", "mp3")  # what every browser plays from an MP4 file; the rest becomes AAC
_TICKS = 90_000  # per second; the usual clock of video files, divisible by every common frame rate
_BT709 = 1  # FFmpeg's number of that colour standard
_LIMITED_RANGE = 1  # likewise, of the range of values that video usually has
_CLIP_FORMS = "use an MP4, MOV, WebM, MKV, AVI or GIF file"


class MediaError(ValueError):
    """A clip cannot be used, or a result not be written.

    Attributes:
        code: what is wrong, for programs: `unreadable`, `empty`, `too_large`, `too_long`, `too_many_pixels`,
            `too_fast`, `not_a_video`, `a_picture`, `no_video`, `encrypted`, `unsupported_codec`, `damaged`,
            `bad_range`, `disk_full` or `unwritable`.

    The message is one sentence for the person who sent the clip.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class MediaLimits:
    """What a clip may be; None for no limit."""

    megabytes: float | None = None
    seconds: float | None = None  # of the part that is read
    pixels: int = 7680 * 4320  # per frame
    side: int = 16_384  # pixels; where H.264 ends
    rate: float = 300.0  # frames per second; phones record 240

    def __post_init__(self) -> None:
        for name in ("megabytes", "seconds", "pixels", "side", "rate"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name}={value}: must be above 0")


class VideoFrame:
    """One frame of a clip; its pixels are converted when they are asked for.

    Attributes:
        index: its number in the clip, from 0.
        time: when it is shown, in seconds of the clip's clock.
        duration: for how long, in seconds, as the file says; 0 where it does not.
    """

    def __init__(
        self, index: int, time: float, duration: float, source: av.VideoFrame | np.ndarray, reader: VideoReader
    ) -> None:
        self.index, self.time, self.duration = index, time, duration
        self._source, self._reader = source, reader

    @property
    def image(self) -> np.ndarray:
        """Pixels, uint8 RGB `(height, width, 3)`, upright, of the reader's size."""
        return self._pixels(self._reader.width, self._reader.height)

    def thumbnail(self, width: int, height: int) -> np.ndarray:
        """The whole frame at another size, uint8 RGB `(height, width, 3)`; cheaper than `image`."""
        return self._pixels(width, height)

    def _pixels(self, width: int, height: int) -> np.ndarray:
        if isinstance(self._source, np.ndarray):
            return _fitted(self._source, width, height)
        turns = self._reader.turns
        size = (height, width) if turns % 2 else (width, height)
        interpolation = "AREA" if width < 128 else "BILINEAR"
        # One thread: for a single frame, starting more costs more than they save.
        rgb = self._source.reformat(*size, format="rgb24", interpolation=interpolation, threads=1)
        pixels = rgb.to_ndarray()
        return np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels


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
        """
        if not 0 < sequence_rate <= 1000:
            raise ValueError(f"sequence_rate={sequence_rate}: use a rate above 0, up to 1000 frames per second")
        self.limits = limits or MediaLimits()
        self.path: Path | None = None
        self.turns = 0  # quarter turns, counterclockwise, that make a frame upright
        self.has_audio = False
        self._container: Any = None
        self._pictures: list[Path] = []
        if not isinstance(source, str | Path):
            self._open_pictures([Path(one) for one in source], sequence_rate)
        elif Path(source).is_dir():
            folder = Path(source)
            found = sorted(path for path in folder.iterdir() if path.suffix.lower() in _PICTURE_SUFFIXES)
            if not found:
                raise MediaError("empty", f"{folder}: there are no pictures in this folder.")
            self._open_pictures(found, sequence_rate)
        else:
            self._open_file(Path(source))

    def _open_pictures(self, paths: list[Path], rate: float) -> None:
        if not paths:
            raise MediaError("empty", "No pictures were given.")
        self._pictures, self.rate = paths, rate
        self.duration = len(paths) / rate
        try:
            self.height, self.width = read_image(paths[0]).shape[:2]
        except ImageError as error:
            raise MediaError("damaged", f"{paths[0].name}: {error}") from error
        self._check_frame(self.width, self.height)

    def _open_file(self, path: Path) -> None:
        self.path = path
        try:
            size = path.stat().st_size
            with path.open("rb") as file:
                head = file.read(16)
        except FileNotFoundError as error:
            raise MediaError("unreadable", f"{path}: no such file.") from error
        except OSError as error:
            raise MediaError("unreadable", f"{path}: cannot be read ({error.strerror}).") from error
        if not size:
            raise MediaError("empty", "The file is empty (0 bytes): choose another clip.")
        if self.limits.megabytes and size > self.limits.megabytes * 2**20:
            raise MediaError(
                "too_large",
                f"The clip has {size / 2**20:.0f} MB, and the limit is {self.limits.megabytes:g} MB: "
                "make it shorter or smaller and try again.",
            )
        try:
            self._container = _open(path)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise self._unopened(path, head) from error
        try:
            self._inspect()
        except BaseException:
            self.close()
            raise

    def _unopened(self, path: Path, head: bytes) -> MediaError:
        if head[4:8] in (b"ftyp", b"moov", b"mdat") or head[:4] in (b"\x1aE\xdf\xa3", b"RIFF"):
            return MediaError("damaged", "The clip is damaged or cut off: save or send it once more.")
        with contextlib.suppress(ImageError):
            read_image(path)
            return MediaError("a_picture", f"This is a single picture, not a clip: {_CLIP_FORMS}.")
        return MediaError("not_a_video", f"This is not a video that can be read: {_CLIP_FORMS}.")

    def _inspect(self) -> None:
        container = self._container
        self.has_audio = any(stream.codec_context for stream in container.streams.audio)
        streams = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
        if not streams and not container.streams.audio:
            raise MediaError("damaged", "The clip is damaged or cut off: save or send it once more.")
        if not streams:
            raise MediaError("no_video", f"The file has sound but no pictures: {_CLIP_FORMS} with a video track.")
        self._stream = stream = streams[0]
        if stream.codec_context is None:
            raise MediaError("unsupported_codec", "The clip's video codec is not supported: convert it to H.264 (MP4).")
        stream.thread_type = "AUTO"
        self._zero = max(container.start_time or 0, 0) / av.time_base
        rate = stream.average_rate or stream.guessed_rate
        self.rate = float(rate) if rate else 25.0
        duration = container.duration / av.time_base if container.duration else 0.0
        # Recorders in browsers write no duration, and a header can say anything: then the packets tell.
        if duration <= 0 or (self.limits.seconds and duration > self.limits.seconds) or self.rate > self.limits.rate:
            duration = self._measure()
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
        self._first_frame()

    def _measure(self) -> float:
        """Seconds to the end of the last packet; nothing is decoded."""
        count, end = 0, 0.0
        for packet in self._packets(self._container, self._stream):
            if packet.size and packet.pts is not None:
                count += 1
                end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base) - self._zero)
        if count > 1 and end > 0:
            self.rate = count / end
        self._container.seek(0)
        return end or count / self.rate

    def _first_frame(self) -> None:
        """Size and rotation are those of the frames; headers may say something else."""
        with _open(self.path) as container:
            stream = container.streams[self._stream.index]
            encrypted = False
            for packet in self._packets(container, stream):
                encrypted = encrypted or packet.has_sidedata("encryption_info")
                for frame in self._decode(packet):
                    if encrypted:
                        break
                    self.turns = round(frame.rotation / 90) % 4
                    aspect = float(stream.sample_aspect_ratio or 1)
                    aspect = aspect if 0.1 < aspect < 10 else 1.0
                    width, height = round(frame.width * aspect), frame.height
                    self.width, self.height = (height, width) if self.turns % 2 else (width, height)
                    self._check_frame(self.width, self.height)
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
            MediaError: of a sequence, a picture cannot be read; or the clip goes on far beyond the limit.
        """
        return self._read_pictures(start, end) if self._pictures else self._read_file(start, end)

    def _read_pictures(self, start: float, end: float | None) -> Iterator[VideoFrame]:
        for index, path in enumerate(self._pictures):
            time = index / self.rate
            if time < start or (end is not None and time >= end):
                continue
            try:
                yield VideoFrame(index, time, 1 / self.rate, read_image(path), self)
            except ImageError as error:
                raise MediaError("damaged", f"{path.name}: {error}") from error

    def _read_file(self, start: float, end: float | None) -> Iterator[VideoFrame]:
        longest = self.limits.seconds * 1.1 + 5 if self.limits.seconds else math.inf
        last = -math.inf
        with _open(self.path) as container:
            stream = container.streams[self._stream.index]
            stream.thread_type = "AUTO"
            waiting: list[av.Packet] = []  # since the last key frame before the start
            index = skipped = 0
            started = start <= 0
            for packet in self._packets(container, stream):
                time = None if packet.pts is None else float(packet.pts * packet.time_base) - self._zero
                if not started and time is not None and packet.size:
                    if packet.is_keyframe and time <= start:
                        skipped += sum(not one.is_discard for one in waiting)
                        waiting = []
                    if time < start:
                        waiting.append(packet)
                        continue
                if not started:
                    started, index = True, skipped
                for ready in (*waiting, packet):
                    for frame in self._decode(ready):
                        time = last + 1 / self.rate if frame.pts is None else frame.time - self._zero
                        time = max(time, last, 0.0)  # a clock that runs backwards stands still here
                        if not math.isfinite(time):
                            time = 0.0
                        last = time
                        if end is not None and time >= end:
                            return
                        if time - start > longest:
                            raise MediaError(
                                "too_long",
                                f"The clip goes on beyond what its header says, and the limit is "
                                f"{clock(self.limits.seconds or 0)}: choose a shorter part.",
                            )
                        if time >= start - 1e-6:
                            duration = float((frame.duration or 0) * frame.time_base) if frame.time_base else 0.0
                            yield VideoFrame(index, time, duration, frame, self)
                        index += 1
                waiting = []

    @staticmethod
    def _packets(container: Any, stream: Any) -> Iterator[av.Packet]:
        """Packets of the stream, the empty one that flushes the decoder last; a file that breaks off just ends."""
        packets = container.demux(stream)
        while True:
            try:
                yield next(packets)
            except StopIteration:
                return
            except (av.FFmpegError, OSError):
                yield _flush(stream)
                return

    @staticmethod
    def _decode(packet: av.Packet) -> Sequence[Any]:
        try:
            return packet.decode()
        except (av.FFmpegError, OSError, ValueError):
            return ()  # a damaged frame; the next ones are decoded

    def close(self) -> None:
        """Close the file."""
        if self._container is not None:
            self._container.close()

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def sampled(frames: Iterator[VideoFrame], rate: float | None, start: float = 0.0) -> Iterator[tuple[VideoFrame, bool]]:
    """Every frame with whether it is one of `rate` per second, counted from `start`; all are, if the rate is None."""
    due = start
    for frame in frames:
        chosen = rate is None or frame.time >= due - 5e-4
        if chosen and rate is not None:
            due = start + (math.floor((frame.time - start) * rate + 1e-3) + 1) / rate
        yield frame, chosen


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
        audio: the clip whose sound is taken over: copied where it is AAC or MP3, else encoded as AAC.
        start: where in that clip the pictures begin, in seconds.

    Raises:
        MediaError: the file cannot be written, as when the disk is full.
    """
    path = Path(path)
    if path.suffix.lower() not in (".mp4", ".m4v"):
        raise MediaError("unwritable", f"{path}: annotated clips are MP4 files; use a name ending in .mp4.")
    with writing(path), whole_file(path) as partial:
        writer = VideoWriter(partial, width, height, rate, audio, start)
        try:
            yield writer
            writer.finish()
        finally:
            writer.close()


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Says in one sentence, as a `MediaError`, why a file cannot be written."""
    try:
        yield
    except (av.FFmpegError, OSError) as error:
        number = getattr(error, "errno", None)
        if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
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
        self._sound: _Sound | None = None
        self._sound_end = math.inf
        self._container = av.open(f"file:{path}", "w", format="mp4", options={"movflags": "+faststart"})
        # Without B-frames decoding and presentation times are the same, which keeps irregular frame rates exact.
        options = {"preset": "veryfast", "crf": "21", "bf": "0"}
        rate_fraction = Fraction(self._rate).limit_denominator(1001)
        self._video = self._container.add_stream("libx264", rate=rate_fraction, options=options)
        self._video.width, self._video.height = self._even
        self._video.pix_fmt = "yuv420p"
        context = self._video.codec_context
        context.time_base = Fraction(1, _TICKS)
        context.color_primaries = context.color_trc = context.colorspace = _BT709
        context.color_range = _LIMITED_RANGE
        if audio is not None and audio.has_audio:
            self._sound = _Sound(audio, self._container, start)

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
        frame = av.VideoFrame.from_ndarray(image_rgb, format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG", threads=1)
        frame.pts = self._last = max(round(time * _TICKS), self._last + 1)
        frame.time_base = Fraction(1, _TICKS)
        self._durations[frame.pts] = max(1, round((duration or 1 / self._rate) * _TICKS))
        self._mux(self._video.encode(frame))
        if self._sound:
            self._sound.write_until(time)

    def _mux(self, packets: Sequence[av.Packet]) -> None:
        for packet in packets:
            packet.duration = self._durations.pop(packet.pts, 0)
            self._container.mux(packet)

    def cut_sound(self, end: float) -> None:
        """Let the sound end at a time in seconds of this file; without, all of it is written."""
        self._sound_end = end

    def finish(self) -> None:
        """Write what is held back: the last frames and the rest of the sound."""
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


class _Sound:
    """The sound of a clip on its way into a file, as far as the pictures have come."""

    def __init__(self, source: VideoReader, target: Any, start: float) -> None:
        self._input = _open(source.path)
        stream = next(s for s in self._input.streams.audio if s.codec_context)
        self._zero = max(self._input.start_time or 0, 0) / av.time_base + start
        self._target = target
        self._copied = stream.codec.canonical_name in _COPIED_AUDIO
        if self._copied:
            self._stream = target.add_stream_from_template(stream)
        else:
            rate = min(stream.rate or 48_000, 48_000)
            rate = rate if rate in (16_000, 22_050, 24_000, 32_000, 44_100, 48_000) else 48_000
            self._stream = target.add_stream("aac", rate=rate)
            self._stream.layout = "mono" if stream.codec_context.channels == 1 else "stereo"
            self._resampler = av.AudioResampler(format="fltp", layout=self._stream.layout.name, rate=rate)
        self._packets: Iterator[av.Packet] | None = iter(VideoReader._packets(self._input, stream))
        self._next: av.Packet | None = None
        self._fresh = True

    def write_until(self, time: float) -> None:
        """Pass on what is heard before `time`, in seconds of the target."""
        while self._packets is not None:
            packet = self._next or next(self._packets, None)
            self._next = None
            if packet is None or (packet.size == 0 and packet.pts is None):
                self._packets = None
                return
            when = None if packet.pts is None else float(packet.pts * packet.time_base) - self._zero
            if when is not None and when >= time:
                self._next = packet
                return
            if when is None or when + float((packet.duration or 0) * packet.time_base) <= 0:
                continue
            if self._copied:
                offset = round(self._zero / packet.time_base)
                packet.pts = max(packet.pts - offset, 0)
                packet.dts = packet.pts
                packet.stream = self._stream
                self._target.mux(packet)
            else:
                for frame in VideoReader._decode(packet):
                    self._encode(frame)

    def _encode(self, frame: Any) -> None:
        if self._fresh and frame.pts is not None:
            # Sound that begins later than the pictures keeps its distance.
            lead = float(frame.pts * frame.time_base) - self._zero
            self._position = max(0, round(lead * self._stream.rate))
            self._fresh = False
        frame.pts = None
        for resampled in self._resampler.resample(frame):
            self._send(resampled)

    def _send(self, frame: Any) -> None:
        frame.pts, frame.time_base = self._position, Fraction(1, self._stream.rate)
        self._position += frame.samples
        for packet in self._stream.encode(frame):
            self._target.mux(packet)

    def finish(self) -> None:
        """Write what the encoder holds back."""
        self._packets = None
        if not self._copied and not self._fresh:
            for frame in self._resampler.resample(None):
                self._send(frame)
            for packet in self._stream.encode(None):
                self._target.mux(packet)
            self._fresh = True

    def close(self) -> None:
        """Close the source."""
        self._input.close()


def clock(seconds: float) -> str:
    """A time for people: `0:07`, `12:30`, `1:02:03`."""
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def _open(path: Path | None) -> Any:
    options = {"format_whitelist": _DEMUXERS, "protocol_whitelist": "file"}
    return av.open(f"file:{path}", options=options, metadata_errors="replace")


def _flush(stream: Any) -> av.Packet:
    packet = av.Packet()
    packet.stream = stream
    return packet


def _fitted(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """A picture scaled into a frame, with black where its shape differs."""
    scale = min(width / image.shape[1], height / image.shape[0])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    if size != (image.shape[1], image.shape[0]):
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    sides = (top, height - size[1] - top, left, width - size[0] - left)
    return cv2.copyMakeBorder(image, *sides, cv2.BORDER_CONSTANT) if any(sides) else image
