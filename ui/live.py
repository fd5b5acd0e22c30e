"""The Live tab and `/detect_frame`: frames of a camera in, faces with ids out; the picture itself stays in the browser.

The page shows its visitor's own video and sends one small JPEG after the other to `Live.detect`, over a plain request
each: no queue, no stream that holds a place, nothing to rejoin. A visitor has few frames under way at a time, so
several share the processor evenly. What comes back are numbers, which `live.js` draws over the video and into the
timeline.
"""

from __future__ import annotations

import json
import math
import re
import threading
import time
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from emotion_model import (
    EmotionDetector,
    Face,
    FaceDetector,
    FaceTracker,
    ImageError,
    Label,
    TrackingConfig,
    read_base64_image,
)
from emotion_model.labels import PERSON_COLOURS
from emotion_model.timelines.table import columns, frame_rows
from ui import render

SCRIPT = Path(__file__).with_name("live.js")
INTERVALS = (0, 0.25, 0.5, 1, 1.5, 2, 3)  # seconds between frames; 0 is as fast as possible
MAX_SMOOTHING = 2.0  # seconds
TIMELINE_SECONDS = 60
LATE_SECONDS = 60  # no frame is on its way to the server for longer
EMOJI_SIDE = 192  # pixels; shown at half that on dense screens

DETECT_FRAME = (
    "One frame of a video or camera: the faces in it, followed from frame to frame. `image` is base64 text or a data "
    "URL; `session` 8 to 64 letters, digits, - or _ that are yours alone, such as a UUID, the same for all frames; "
    "`time` the frame's time in seconds, never decreasing (default: the server's clock); `smoothing` the time constant "
    'in seconds, 0 for raw values. Returns {"width": int, "height": int, "detector": "yunet" or "haar", "time": float, '
    '"faces": [{"face_id": int, "box": [x, y, w, h] in pixels, "emotion": str, "confidence": 0..1, "intensity": 0..1, '
    '"valence": -1..1, "arousal": -1..1, "probabilities": {label: 0..1}}]}, the largest face first. A session ends '
    "some seconds after its last frame; when too many are under way the error's title is `busy`."
)


@dataclass(frozen=True)
class LiveConfig:
    """How many are served at a time, and for how long a place is kept."""

    seats: int = 8
    idle_seconds: float = 10.0  # a session without a frame for this long is over
    max_characters: int = 2_000_000  # of a frame as base64 text; 640x480 pixels take about 60,000

    def __post_init__(self) -> None:
        if self.seats < 1:
            raise ValueError(f"seats={self.seats}: at least one visitor must have a place")
        if not self.idle_seconds > 0:
            raise ValueError(f"idle_seconds={self.idle_seconds}: must be above 0")
        if self.max_characters < 1000:
            raise ValueError(f"max_characters={self.max_characters}: no picture is that small; use at least 1000")


class SessionError(ValueError):
    """A frame is not accepted.

    Attributes:
        code: `busy`, `bad_session`, `bad_time` or `bad_smoothing`.

    The message is one sentence for the person who sent the frame.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class _Session:
    """What is known of one visitor: nothing but the faces of the last second, as numbers."""

    def __init__(self, now: float) -> None:
        self.tracker = FaceTracker()
        self.lock = threading.Lock()
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
        self.detector = EmotionDetector(detector.classifier, FaceDetector(detector.faces.name, fine=False))
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
            ImageError: the frame cannot be decoded.
            SessionError: no place is free, or the session's name, the time or the smoothing is not valid.
        """
        tracking = _tracking(smoothing)
        if seconds is not None and not (isinstance(seconds, int | float) and math.isfinite(seconds)):
            raise SessionError("bad_time", f"time={seconds}: give seconds as a number.")
        if isinstance(image, str) and len(image) > self.config.max_characters:
            raise ImageError("too_large", "The frame is too large: send it at 640 pixels or so, as JPEG.")
        own = self._session(session)
        pixels = read_base64_image(image)
        faces = self.detector.detect(pixels)
        with own.lock:
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

    @property
    def visitors(self) -> int:
        """How many sessions are under way."""
        with self._lock:
            return len(self._sessions)

    def _session(self, name: str) -> _Session:
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
            self._sessions[name].used = now
            return self._sessions[name]


def build_tab(live: Live) -> None:
    """The content of the Live tab, and the endpoint `/detect_frame`; to be called inside `gr.Blocks`."""
    config = live.detector.classifier.config

    def detect(frame: dict[str, Any]) -> dict[str, Any]:
        """One frame from the page: `image`, `session`, `time`, `smoothing`, `largest` -> rows as in the export."""
        began = time.perf_counter()
        try:
            found = live.detect(frame["image"], frame["session"], frame["time"], frame["smoothing"])
        except (ImageError, SessionError) as error:
            return {"error": error.code, "message": str(error)}
        except (KeyError, TypeError):
            return {"error": "bad_request", "message": "The frame was not understood: load the page anew."}
        rows = frame_rows(found.time, 0, found.faces[:1] if frame.get("largest") else found.faces, config.emotions)
        return {
            "rows": [list(row.values()) for row in rows],
            "width": found.width,
            "height": found.height,
            "started": found.started,
            "milliseconds": round((time.perf_counter() - began) * 1000, 1),
        }

    def leave(session: str) -> bool:
        live.leave(session)
        return True

    def detect_frame(
        image: str, session: str, time: float | None = None, smoothing: float | None = None
    ) -> dict[str, Any]:
        try:
            found = live.detect(image, session, time, smoothing)
        except (ImageError, SessionError) as error:
            raise gr.Error(str(error), title=error.code, print_exception=False) from None
        return {
            "width": found.width,
            "height": found.height,
            "detector": live.detector.faces.name,
            "time": round(found.time, 3),
            "faces": [face.to_dict() for face in found.faces],
        }

    gr.HTML(
        page_html(config.labels),
        js_on_load=SCRIPT.read_text(encoding="utf-8"),
        server_functions=[detect, leave],
        elem_id="live",
    )
    gr.api(detect_frame, api_name="detect_frame", api_description=DETECT_FRAME)


def page_html(labels: tuple[Label, ...]) -> str:
    """The Live tab as `live.js` finds it."""
    settings = {
        "labels": [vars(label) | {"picture": render.emoji_url(label.name, labels, EMOJI_SIDE)} for label in labels],
        "columns": columns([label.name for label in labels]),
        "colours": PERSON_COLOURS,
        "seconds": TIMELINE_SECONDS,
    }
    chips = "".join(
        f'<label class="chip" style="--tone:{escape(label.colour)}"><input type="checkbox" checked '
        f'value="{escape(label.name)}"><span>{escape(label.name.capitalize())}</span></label>'
        for label in labels
    )
    bars = "".join(
        f'<li data-emotion="{escape(label.name)}"><span>{escape(label.name.capitalize())}</span>'
        f'<span class="track" aria-hidden="true"><span class="fill" style="--tone:{escape(label.colour)};width:0">'
        '</span></span><span class="value">–</span></li>'
        for label in labels
    )
    intervals = "".join(
        f'<option value="{seconds}">{f"every {seconds:g} s" if seconds else "as fast as possible"}</option>'
        for seconds in INTERVALS
    )
    smoothing = TrackingConfig().smoothing
    return f"""
<section class="live" aria-label="Live camera" data-settings="{escape(json.dumps(settings))}">
  <div class="live-top">
    <div class="live-left">
      <div class="stage" data-state="off">
        <video playsinline muted aria-label="Your camera"></video>
        <div class="boxes" aria-hidden="true"></div>
        <div class="cover">
          <img src="{render.emoji_url("happy")}" alt="">
          <p>Your camera as a mirror that reads faces. The picture stays in your browser; single frames are read and
          forgotten.</p>
          <button type="button" class="button primary start">Start camera</button>
        </div>
        <div class="meter" aria-hidden="true" hidden></div>
      </div>
      <div class="status quiet live-status" role="status" aria-live="polite"><strong>Camera off.</strong>
        <span>Press “Start camera” and allow it in the browser.</span></div>
      <div class="toolbar" role="group" aria-label="Camera">
        <button type="button" class="button stop" disabled>Stop</button>
        <button type="button" class="button pause" aria-pressed="false" disabled>Pause</button>
        <button type="button" class="button mirror" aria-pressed="true">Mirror</button>
        <button type="button" class="button snapshot" disabled>Snapshot</button>
      </div>
    </div>
    <div class="live-right">
    <div class="reading live-card">
      <header><img class="big-emoji" src="{render.emoji_url("neutral")}" alt="" data-state="none">
        <div><div class="number">Main face</div><h3>No face yet</h3></div><div class="live-confidence"></div></header>
      <ul class="live-bars" aria-label="Emotions of the main face">{bars}</ul>
      <dl class="measures"><div><dt>Intensity</dt><dd class="intensity">–</dd></div><div><dt>Valence</dt>
        <dd class="valence">–</dd></div><div><dt>Arousal</dt><dd class="arousal">–</dd></div></dl>
    </div>
    <div class="panel settings" role="group" aria-label="Settings">
      <label>Read a frame <select class="interval">{intervals}</select></label>
      <label>Faces <select class="largest"><option value="">all</option><option value="1">largest only</option></select>
      </label>
      <label>Smoothing <input class="smoothing" type="range" min="0" max="{MAX_SMOOTHING}" step="0.05"
        value="{smoothing}"><output class="smoothing-value">{smoothing} s</output></label>
    </div>
    </div>
  </div>
  <div class="panel timeline">
    <div class="timeline-head">
      <h2>Timeline</h2>
      <label>Show <select class="view"><option value="face">emotions of one face</option>
        <option value="faces">every face</option></select></label>
      <label>Face <select class="chosen"><option value="">main</option></select></label>
      <span class="grow"></span>
      <span class="toolbar" role="group" aria-label="Save the session">
        <button type="button" class="button csv" disabled>CSV</button>
        <button type="button" class="button json" disabled>JSON</button>
        <button type="button" class="button picture" disabled>Picture</button>
        <button type="button" class="button clear" disabled>Clear</button>
      </span>
    </div>
    <canvas role="img" aria-label="Timeline, empty"></canvas>
    <div class="chips" role="group" aria-label="Emotions shown">{chips}</div>
  </div>
  <div class="announcer" aria-live="polite"></div>
</section>"""


def _is_name(session: object) -> bool:
    return isinstance(session, str) and re.fullmatch(r"[\w-]{8,64}", session, re.ASCII) is not None


def _tracking(smoothing: float | None) -> TrackingConfig:
    standard = TrackingConfig()
    if smoothing is None:
        return standard
    if not isinstance(smoothing, int | float) or not 0 <= smoothing <= 60:
        raise SessionError("bad_smoothing", f"smoothing={smoothing}: give 0 (raw) to 60 seconds.")
    if smoothing == 0:
        return TrackingConfig(smoothing=0, label_lead=0, label_evidence=0)
    return replace(standard, smoothing=float(smoothing))
