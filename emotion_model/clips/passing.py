"""Passing over what comes before a part of a clip, without decoding it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import av

from emotion_model.clips.times import CLOCK_JUMP


@dataclass(frozen=True)
class Passed:
    """What was passed over before a part.

    Attributes:
        frames: how many were, before the key frame at which decoding begins.
        lost: of a `Clock` that goes on from that key frame.
        kept: the packets from there up to the part; none where decoding begins with the clip.
    """

    frames: int
    lost: float
    kept: list[av.Packet]

    def number(self, first: av.VideoFrame) -> int:
        """Which frame of the clip is the first one decoded: those that a key frame is shown after may need others."""
        return self.frames + _count(self.kept, until=first.pts)


def passed_over(
    packets: Iterable[av.Packet], start: float, rate: float, zero: float
) -> tuple[Passed, Iterator[av.Packet]]:
    """Pass over what a part from `start` on, in seconds, does not need.

    Args:
        packets: of the clip's pictures, from its beginning.
        start: when the part begins.
        rate: frames per second.
        zero: when the clip begins by its own clock, in seconds.

    Returns:
        What was passed over, and the packets from the last key frame before the part on.
    """
    packets, clock = iter(packets), _PacketClock(rate, zero)
    kept: list[av.Packet] = []  # since the last key frame before the part
    first = True  # which is the clip's first one: what comes, or would be shown, before that is never decoded
    passed, lost = 0, 0.0
    behind: tuple[av.Packet, ...] = ()
    for packet in packets if start > 0 else ():
        time = clock.time(packet) if packet.pts is not None and packet.size else math.inf
        if packet.is_keyframe and time <= start:
            if kept and kept[0].is_keyframe:
                passed += _count(kept, since=kept[0].pts if first else None)
                first = False
            kept, lost = [packet], clock.lost
        elif time < start:
            kept.append(packet)
        else:
            behind = (packet,)
            break
    return Passed(passed, lost, [] if first else kept), chain(kept, behind, packets)


def _count(packets: Iterable[av.Packet], since: int | None = None, until: int | None = None) -> int:
    """How many of them are frames that are shown, from one time on and before another one, in ticks."""
    shown = [one.pts for one in packets if not one.is_discard and one.pts is not None]
    return sum((since is None or pts >= since) and (until is None or pts < until) for pts in shown)


class _PacketClock:
    """A `Clock` for packets, as far as they tell their times without being decoded."""

    def __init__(self, rate: float, zero: float) -> None:
        self._step, self._zero, self._latest, self._decoded = 1 / rate, zero, -math.inf, -math.inf
        self.lost = 0.0

    def time(self, packet: av.Packet) -> float:
        """When what is in the next packet, which says so, is shown."""
        time = float((packet.pts or 0) * packet.time_base) - self._zero + self.lost
        # Those that are shown before others come behind them, by seconds in slow clips; their decoding times rise.
        decoded = self._decoded if packet.dts is None else float(packet.dts * packet.time_base)
        if decoded < self._decoded - CLOCK_JUMP:
            self.lost += self._latest + self._step - time
            time = self._latest + self._step
        self._decoded, self._latest = decoded, max(self._latest, time)
        return time
