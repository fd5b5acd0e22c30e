"""The Live tab as its scripts find it."""

from __future__ import annotations

import json
from html import escape

import cv2
import numpy as np

from emotion_model import Label, TrackingConfig
from emotion_model.drawing.sharing import AROUND, BLOCKS
from emotion_model.labels import PERSON_COLOURS, UNCLEAR
from emotion_model.timelines.table import columns
from ui.browser.networks import Networks
from ui.pictures import emoji_file, emoji_url, encoded

INTERVALS = (0, 0.25, 0.5, 1, 1.5, 2, 3)  # seconds between frames; 0 is as fast as possible
MAX_SMOOTHING = 4.0  # seconds
TIMELINE_SECONDS = 60
STILL_QUALITY = 80  # of a JPEG that every visitor is sent
EMOJI_SIDE = 192  # pixels; shown at half that on dense screens


def page_html(labels: tuple[Label, ...], networks: Networks, preview: np.ndarray | None, model: str) -> str:
    """The Live tab as `live.js` finds it.

    Args:
        labels: of the model.
        networks: what a browser reads faces with; gets the pictures of the page too, which it hands out.
        preview: what stands where the camera's picture comes, uint8 RGB.
        model: its name.
    """
    still = ""
    if preview is not None:
        jpeg = encoded(".jpg", preview[..., ::-1], cv2.IMWRITE_JPEG_QUALITY, STILL_QUALITY)
        still = f'<img class="still" src="{networks.add("still.jpg", jpeg)["address"]}" alt="">'
    settings = {
        "labels": [vars(label) | {"picture": _emoji(label.name, labels, networks)} for label in labels],
        "unclear": vars(UNCLEAR) | {"picture": _emoji(UNCLEAR.name, labels, networks)},
        "columns": columns([label.name for label in labels]),
        "colours": PERSON_COLOURS,
        "seconds": TIMELINE_SECONDS,
        "hiding": {"blocks": BLOCKS, "around": AROUND},
        "model": model,
        "browser": {"how": networks.how, "why_not": networks.why_not},
    }
    return f"""
<section class="live" aria-label="Live camera" data-settings="{escape(json.dumps(settings))}">
  <div class="live-top">
    <div class="live-left">{_camera(still)}</div>
    <div class="live-right">{_reading(labels)}{_settings()}</div>
  </div>
  {_timeline(labels)}
  <div class="announcer" aria-live="polite"></div>
</section>"""


def _emoji(emotion: str, labels: tuple[Label, ...], networks: Networks) -> str:
    """The address of an emoji: eight large ones inside the page would stand before its first script."""
    ours = emoji_file(emotion, labels, EMOJI_SIDE)
    return networks.add("emoji.webp", ours)["address"] if ours else emoji_url(emotion, labels, EMOJI_SIDE)


def _camera(still: str) -> str:
    return f"""
<div class="stage" data-state="off">
  <video playsinline muted aria-label="Your camera"></video>
  <div class="boxes" aria-hidden="true"></div>
  <div class="cover">
    {still}
    <p>Your camera as a mirror that reads faces.</p>
    <button type="button" class="button primary start">Start camera</button>
  </div>
  <div class="meter" aria-hidden="true" hidden></div>
</div>
<div class="status quiet live-status" role="status" aria-live="polite"><strong>Camera off.</strong>
  <span>Press “Start camera” and allow it in the browser.</span></div>
<p class="privacy" role="status" aria-live="polite"></p>
<div class="toolbar" role="group" aria-label="Camera">
  <button type="button" class="button stop" disabled>Stop</button>
  <button type="button" class="button pause" disabled>Pause</button>
  <button type="button" class="button mirror" aria-pressed="true">Mirror</button>
  <button type="button" class="button snapshot" disabled>Snapshot</button>
  <button type="button" class="button share" disabled>Share</button>
</div>"""


def _reading(labels: tuple[Label, ...]) -> str:
    bars = "".join(
        f'<li data-emotion="{escape(label.name)}"><span>{escape(label.name.capitalize())}</span>'
        f'<span class="track" aria-hidden="true"><span class="fill" style="--tone:{escape(label.colour)}">'
        '</span></span><span class="value">–</span></li>'
        for label in labels
    )
    return f"""
<div class="reading live-card">
  <header><img class="big-emoji" src="{emoji_url("neutral")}" alt="" data-state="none">
    <div><div class="number">Main face</div><h2>No face yet</h2><p class="doubt"></p></div>
    <div class="live-confidence"></div></header>
  <ul class="live-bars" aria-label="Emotions of the main face">{bars}</ul>
  <dl class="measures"><div><dt>Intensity</dt><dd class="intensity">–</dd></div><div><dt>Valence</dt>
    <dd class="valence">–</dd></div><div><dt>Arousal</dt><dd class="arousal">–</dd></div></dl>
</div>"""


def _settings() -> str:
    intervals = "".join(
        f'<option value="{seconds}">{f"every {seconds:g} s" if seconds else "as fast as possible"}</option>'
        for seconds in INTERVALS
    )
    smoothing = TrackingConfig().smoothing
    return f"""
<div class="panel settings" role="group" aria-label="Settings">
  <label>Read a frame <select class="interval">{intervals}</select></label>
  <label>Read it <select class="reader"><option value="processor">in this browser</option>
    <option value="server">on the server</option></select></label>
  <label>Camera <select class="camera"><option value="user">front</option>
    <option value="environment">back</option></select></label>
  <label>Faces <select class="largest"><option value="">all</option><option value="1">largest only</option></select>
  </label>
  <label>In saved pictures <select class="hide"><option value="">faces shown</option>
    <option value="1">faces hidden</option></select></label>
  <label>Smoothing <input class="smoothing" type="range" min="0" max="{MAX_SMOOTHING}" step="0.05"
    value="{smoothing}"><output class="smoothing-value">{smoothing} s</output></label>
</div>"""


def _timeline(labels: tuple[Label, ...]) -> str:
    chips = "".join(
        f'<label class="chip" style="--tone:{escape(label.colour)}"><input type="checkbox" checked '
        f'value="{escape(label.name)}"><span>{escape(label.name.capitalize())}</span></label>'
        for label in labels
    )
    return f"""
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
</div>"""
