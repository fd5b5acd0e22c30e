"""Passing over what comes before a part of a clip, without decoding it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import chain

import av

from emotion_model.clips.times import CLOCK_JUMP


def passed_over(
    packets: Iterable[av.Packet], start: float, rate: float, zero: float
) -> tuple[int, float, Iterator[av.Packet]]:
    """Pass over what a part from `start` on, in seconds, does not need.

    Args:
        packets: of the clip's pictures, from its beginning.
        start: when the part begins.
        rate: frames per second.
        zero: when the clip begins by its own clock, in seconds.

    Returns:
        How many frames were passed over, the `lost` of a `Clock` that goes on from there, and the packets from the last
        key frame before the part on.
    """
    packets, clock = iter(packets), _PacketClock(rate, zero)
    kept: list[av.Packet] = []  # since the last key frame before the part
    passed, lost = 0, 0.0
    for packet in packets if start > 0 else ():
        if packet.pts is not None and packet.size:
            time = clock.time(float(packet.pts * packet.time_base))
            if packet.is_keyframe and time <= start:
                passed += sum(not one.is_discard for one in kept)
                kept, lost = [], clock.lost
            if time < start:
                kept.append(packet)
                continue
        kept.append(packet)
        break
    return passed, lost, chain(kept, packets)


class _PacketClock:
    """A `Clock` for packets, as far as they tell their times without being decoded."""

    def __init__(self, rate: float, zero: float) -> None:
        self._step, self._zero, self._latest = 1 / rate, zero, -math.inf
        self.lost = 0.0

    def time(self, shown: float) -> float:
        """When what is in the next packet is shown, from what it says itself, in seconds."""
        time = shown - self._zero + self.lost
        if time < self._latest - CLOCK_JUMP:
            self.lost += self._latest + self._step - time
            time = self._latest + self._step
        self._latest = max(self._latest, time)
        return time
