"""What a clip may be, and what is said of one that cannot be used."""

from __future__ import annotations

from dataclasses import dataclass

from emotion_model.errors import CodedError
from emotion_model.faces.images import MAX_FILE_BYTES, MAX_PIXELS


class MediaError(CodedError):
    """A clip cannot be used, or a result not be written.

    Attributes:
        code: what is wrong, for programs: `unreadable`, `empty`, `too_large`, `too_long`, `too_many_pixels`,
            `too_fast`, `not_a_video`, `a_picture`, `no_video`, `encrypted`, `unsupported_codec`, `damaged`,
            `bad_range`, `disk_full` or `unwritable`.

    The message is one sentence for the person who sent the clip.
    """


@dataclass(frozen=True)
class MediaLimits:
    """What a clip may be; None for no limit."""

    megabytes: float | None = None
    seconds: float | None = None  # of the part that is read
    pixels: int = 7680 * 4320  # per frame
    side: int = 16_384  # pixels; where H.264 ends
    rate: float = 300.0  # frames per second; phones record 240
    picture_megabytes: float = MAX_FILE_BYTES / 2**20  # of each picture of a sequence
    picture_pixels: int = MAX_PIXELS  # the same, before it is scaled to the first one's size

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and not value > 0:
                raise ValueError(f"{name}={value}: must be above 0")
