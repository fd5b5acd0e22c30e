"""Clips for the tests, made with PyAV: a real face that moves, tones as sound, and every kind of bad file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

WIDTH, HEIGHT, RATE = 320, 240, 10
TICKS = 90_000


def face_film(portrait: np.ndarray, width: int = WIDTH, height: int = HEIGHT) -> Callable[[float], np.ndarray]:
    """Time in seconds -> uint8 RGB `(height, width, 3)`: the portrait's face gliding from left to right."""
    head = portrait[20:260, 110:350]  # 240 x 240
    ground = np.full((height, width, 3), 90, np.uint8)

    def frame(time: float) -> np.ndarray:
        picture = ground.copy()
        x = min(int(time * 20), width - 240)
        picture[:240, x : x + 240] = head[:height]
        return picture

    return frame


def write_clip(
    path: Path,
    frame: Callable[[float], np.ndarray],
    times: Sequence[float] | None = None,
    seconds: float = 2.0,
    codec: str = "libx264",
    sound: str | None = None,
    sound_rate: int = 48_000,
    rotation: int = 0,
    options: dict[str, str] | None = None,
    pix_fmt: str = "yuv420p",
) -> Path:
    """A clip whose frames show `frame(time)` at these times (by default RATE per second), with a tone as sound."""
    times = [i / RATE for i in range(round(seconds * RATE))] if times is None else times
    with av.open(str(path), "w", options=options or {}) as container:
        video = container.add_stream(codec, rate=RATE)
        first = frame(times[0])
        video.height, video.width = first.shape[:2]
        video.pix_fmt = pix_fmt
        if codec == "libx264":
            video.options = {"g": "8", "preset": "veryfast"}
        if codec not in ("gif", "apng"):
            video.codec_context.time_base = Fraction(1, TICKS if codec == "libx264" else 1000)
        if rotation:
            video.set_display_rotation(rotation)
        audio = container.add_stream(sound, rate=sound_rate) if sound else None
        if audio:
            audio.layout = "mono"
        base = video.codec_context.time_base or Fraction(1, RATE)
        for time in times:
            picture = av.VideoFrame.from_ndarray(frame(time), format="rgb24").reformat(format=pix_fmt)
            picture.pts, picture.time_base = round(time / base), base
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
        if audio:
            tone = np.sin(np.arange(round(seconds * sound_rate)) * 2 * np.pi * 440 / sound_rate) * 8000
            resampler = av.AudioResampler(format=audio.codec_context.format, layout="mono", rate=sound_rate)
            fifo = av.AudioFifo()
            samples = av.AudioFrame.from_ndarray(tone.astype(np.int16)[None], format="s16", layout="mono")
            samples.rate, samples.pts, samples.time_base = sound_rate, 0, Fraction(1, sound_rate)
            for piece in resampler.resample(samples):
                fifo.write(piece)
            size = audio.codec_context.frame_size or 1024
            while piece := fifo.read(size, partial=True):
                container.mux(audio.encode(piece))
            container.mux(audio.encode(None))
    return path


def write_long_clip(path: Path, frame: Callable[[float], np.ndarray], seconds: int) -> Path:
    """Five seconds of a film to and fro, encoded once: nothing in it jumps, so a face stays one person."""
    short = write_clip(path.with_stem("short"), lambda time: frame(min(time, 10 - time)), seconds=10)
    with av.open(str(short)) as once, av.open(str(path), "w") as container:
        pictures = once.streams.video[0]
        stream = container.add_stream_from_template(pictures)
        packets = [packet for packet in once.demux(pictures) if packet.dts is not None]
        for begin in range(0, seconds, 10):
            for packet in packets:
                copy = av.Packet(bytes(packet))
                copy.stream, copy.time_base, copy.duration = stream, packet.time_base, packet.duration
                copy.pts, copy.dts = (one + round(begin / packet.time_base) for one in (packet.pts, packet.dts))
                copy.is_keyframe = packet.is_keyframe
                container.mux(copy)
    short.unlink()
    return path


def write_tone(path: Path) -> Path:
    """Sound without pictures."""
    with av.open(str(path), "w") as container:
        audio = container.add_stream("aac", rate=48_000)
        audio.layout = "mono"
        for i in range(20):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.rate, frame.pts, frame.time_base = 48_000, i * 1024, Fraction(1, 48_000)
            container.mux(audio.encode(frame))
        container.mux(audio.encode(None))
    return path


def decode(path: Path) -> tuple[list[float], list[np.ndarray]]:
    """An independent look at a clip: times and pictures, as PyAV gives them."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
        return [frame.time for frame in frames], [frame.to_ndarray(format="rgb24") for frame in frames]


def audio_seconds(path: Path) -> tuple[str, float]:
    """Codec and length of the sound, from its decoded samples."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        count = sum(frame.samples for frame in container.decode(audio=0))
        return stream.codec.canonical_name, count / stream.rate
