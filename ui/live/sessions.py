"""Faces of several cameras at once, each in a session of its own."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass, replace

from emotion_model import (
    EmotionDetector,
    Face,
    FaceTracker,
    ImageError,
    TrackingConfig,
    read_base64_image,
    video_detector,
)
from emotion_model.errors import CodedError

MOST_SECONDS = 1e15  # milliseconds since 1970 by mistake are fewer
LATE_SECONDS = 60  # no frame is on its way to the server for longer
# Of one session, each in one of the 40 threads that all answers of the server need. The page has three under way, and
# after a change of cameras three older ones too.
MOST_UNDER_WAY = 8
MOST_CHARACTERS = 2_000_000  # of a frame as base64 text; 640x480 pixels take about 60,000
MOST_PIXELS = 4_000_000  # of a frame: a small text can unfold into gigabytes


@dataclass(frozen=True)
class LiveConfig:
    """How many are served at a time, and for how long a place is kept."""

    seats: int = 16
    idle_seconds: float = 10.0  # a session without a frame for this long is over

    def __post_init__(self) -> None:
        if self.seats < 1:
            raise ValueError(f"seats={self.seats}: at least one visitor must have a place")
        if not self.idle_seconds > 0:
            raise ValueError(f"idle_seconds={self.idle_seconds}: must be above 0")


class SessionError(CodedError):
    """A frame is not accepted.

    Attributes:
        code: `busy`, `bad_session`, `bad_time` or `bad_smoothing`.

    The message is one sentence for the person who sent the frame.
    """


class _Session:
    """What is known of one visitor: nothing but the faces of the last second, as numbers."""

    def __init__(self, now: float) -> None:
        self.tracker = FaceTracker()
        self.lock = threading.Lock()
        self.seen = False  # has any picture come yet?
        self.under_way = 0  # frames that are being read
        self.started = now
        self.used = now


@dataclass(frozen=True, eq=False)
class Frame:
    """What was found in one frame: its size in pixels, its time in seconds, and the faces, largest first."""

    width: int
    height: int
    time: float
    faces: list[Face]
    started: float  # when the session began, on the server's clock; ids count from 1 since


class Live:
    """Follows the faces of several visitors at once, each in a session of its own."""

    def __init__(self, detector: EmotionDetector, config: LiveConfig | None = None) -> None:
        """Share the model of a detector; faces are looked for quickly, at the size that live pictures need."""
        self.config = config or LiveConfig()
        self.detector = video_detector(detector)
        self._sessions: dict[str, _Session] = {}
        self._left: dict[str, float] = {}  # sessions that were ended, and when
        self._lock = threading.Lock()

    def detect(self, image: str, session: str, seconds: float | None = None, smoothing: float | None = None) -> Frame:
        """Read one frame and follow its faces.

        Args:
            image: the frame as base64 text or as a data URL.
            session: 8 to 64 letters, digits, `-` or `_`; the same for all frames of one camera.
            seconds: time of the frame; by default the server's clock.
            smoothing: time constant in seconds, 0 for raw values and labels; by default that of `TrackingConfig`.

        Raises:
            ImageError: the frame cannot be decoded, or is too large.
            SessionError: no place is free, or too many frames of the session are being read, or its name, the time or
                the smoothing is not valid.
        """
        tracking = _tracking(smoothing)
        if seconds is not None and not (isinstance(seconds, int | float) and abs(seconds) <= MOST_SECONDS):
            raise SessionError("bad_time", "time: give seconds as a number.")
        if isinstance(image, str) and len(image) > MOST_CHARACTERS:
            raise ImageError("too_large", "The frame is too large: send it at 640 pixels or so, as JPEG.")
        own = self._session(session)
        try:
            return self._read(image, session, own, seconds, tracking)
        finally:
            with self._lock:
                own.under_way -= 1

    def _read(self, image: str, name: str, own: _Session, seconds: float | None, tracking: TrackingConfig) -> Frame:
        try:
            pixels = read_base64_image(image, MOST_PIXELS)
        except ImageError:
            self._forget(name, own)
            raise
        faces = self.detector.detect(pixels)
        with own.lock:
            own.seen = True
            own.used = time.monotonic()
            own.tracker.config = tracking
            try:
                now = own.used if seconds is None else float(seconds)
                faces = own.tracker.update(faces, now)
            except ValueError:
                raise SessionError(
                    "bad_time", f"time={seconds}: it is before the last frame's; use another session for another video."
                ) from None
        height, width = pixels.shape[:2]
        return Frame(width, height, now, faces, own.started)

    def leave(self, session: str) -> None:
        """End a session now, so that its place is free; frames that are still on their way do not bring it back."""
        with self._lock:
            now = time.monotonic()
            self._left = {name: then for name, then in self._left.items() if now - then < LATE_SECONDS}
            if _is_name(session):
                self._left[session] = now
            self._sessions.pop(session, None)

    def _forget(self, name: str, session: _Session) -> None:
        """Give the place back of somebody who has never sent a picture."""
        with self._lock:
            if not session.seen and self._sessions.get(name) is session:
                del self._sessions[name]

    @property
    def visitors(self) -> int:
        """How many sessions are under way."""
        with self._lock:
            return len(self._sessions)

    def _session(self, name: str) -> _Session:
        """The session of a frame, which is under way from here on."""
        if not _is_name(name):
            raise SessionError("bad_session", "session: give 8 to 64 letters, digits, - or _, such as a UUID.")
        with self._lock:
            now = time.monotonic()
            over = [key for key, one in self._sessions.items() if now - one.used > self.config.idle_seconds]
            for key in over:
                del self._sessions[key]
            if name in self._left:
                raise SessionError("bad_session", "session: this one was ended; use another for further frames.")
            if name not in self._sessions:
                if len(self._sessions) >= self.config.seats:
                    raise SessionError(
                        "busy", f"All {self.config.seats} places are taken: yours comes as soon as one is free."
                    )
                self._sessions[name] = _Session(now)
            session = self._sessions[name]
            if session.under_way >= MOST_UNDER_WAY:
                raise SessionError(
                    "busy", f"{MOST_UNDER_WAY} frames of this session are being read: send the next after an answer."
                )
            session.under_way += 1
            session.used = now
            return session


def _is_name(session: object) -> bool:
    return isinstance(session, str) and re.fullmatch(r"[\w-]{8,64}", session, re.ASCII) is not None


def _tracking(smoothing: float | None) -> TrackingConfig:
    standard = TrackingConfig()
    if smoothing is None:
        return standard
    if not isinstance(smoothing, int | float) or not 0 <= smoothing <= 60:
        raise SessionError("bad_smoothing", f"smoothing={smoothing}: give 0 (raw) to 60 seconds.")
    return replace(standard, smoothing=float(smoothing))
