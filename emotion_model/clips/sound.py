"""The sound of a clip on its way into another file."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av

from emotion_model.clips.container import decoded, open_container, packets
from emotion_model.clips.reading import VideoReader

GAP = 0.1  # s; sound that comes so much later than the last one leaves a silence
MP3_RATE = 16_000  # Hz; MP4 files take no slower MP3


class Sound:
    """The sound of a clip on its way into a file, as far as the pictures have come."""

    def __init__(self, source: VideoReader, target: Any, start: float) -> None:
        self._input = open_container(source.path)
        stream = next(s for s in self._input.streams.audio if s.codec_context)
        self._zero = max(self._input.start_time or 0, 0) / av.time_base + start
        self._target = target
        self._copied = _is_copied(stream)
        if self._copied:
            self._stream = target.add_stream_from_template(stream)
        else:
            rate = min(stream.rate or 48_000, 48_000)
            rate = rate if rate in (16_000, 22_050, 24_000, 32_000, 44_100, 48_000) else 48_000
            self._stream = target.add_stream("aac", rate=rate)
            self._stream.layout = "mono" if stream.codec_context.channels == 1 else "stereo"
            self._resampler: av.AudioResampler | None = None
            self._heard: tuple[str, str, int] | None = None  # format, channels and rate of what comes
        self._packets: Iterator[av.Packet] | None = iter(packets(self._input, stream))
        self._next: av.Packet | None = None
        self._fresh = True
        self._last = -1  # time of the packet before, where they are copied

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
                packet.pts = max((packet.pts or 0) - offset, 0)
                if packet.pts <= self._last:  # MP4 takes only times that rise
                    packet.pts = self._last + max(packet.duration or 0, 1)
                self._last = packet.dts = packet.pts
                packet.stream = self._stream
                self._target.mux(packet)
            else:
                for frame in decoded(packet):
                    self._encode(frame)

    def _encode(self, frame: Any) -> None:
        rate = self._stream.rate
        if frame.pts is not None:
            # Sound that begins later than the pictures, or after a silence, keeps its distance.
            due = round((float(frame.pts * frame.time_base) - self._zero) * rate)
            if self._fresh:
                self._position, self._fresh = max(0, due), False
            elif due - self._position > GAP * rate:
                self._flush()
                self._position = due
        heard = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._resampler is None or heard != self._heard:  # as where a broadcast goes from two channels to six
            self._flush()
            self._resampler = av.AudioResampler(format="fltp", layout=self._stream.layout.name, rate=rate)
            self._heard = heard
        frame.pts = None
        for resampled in self._resampler.resample(frame):
            self._send(resampled)

    def _flush(self) -> None:
        """Write what the resampler holds back; it takes nothing more."""
        if self._resampler is not None:
            for frame in self._resampler.resample(None):
                self._send(frame)
            self._resampler = None

    def _send(self, frame: Any) -> None:
        frame.pts, frame.time_base = self._position, Fraction(1, self._stream.rate)
        self._position += frame.samples
        for packet in self._stream.encode(frame):
            self._target.mux(packet)

    def finish(self) -> None:
        """Write what the encoder holds back."""
        self._packets = None
        if not self._copied and not self._fresh:
            self._flush()
            for packet in self._stream.encode(None):
                self._target.mux(packet)
            self._fresh = True

    def close(self) -> None:
        """Close the source."""
        self._input.close()


def _is_copied(stream: Any) -> bool:
    """Whether every browser plays it from an MP4 file as it is; the rest becomes AAC."""
    if stream.codec.canonical_name == "mp3":
        return (stream.rate or 0) >= MP3_RATE
    # With a header in each packet, as broadcasts have it, a single damaged one would end the file.
    return stream.codec.canonical_name == "aac" and bool(stream.codec_context.extradata)
