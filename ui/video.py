"""The Video tab and `/analyze_video`: a clip in; annotated copy, timelines, tables and subtitles out."""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components.plot import PlotData

from emotion_model import EmotionDetector, ImageError
from emotion_model.clips.analysis import VideoConfig, video_detector
from emotion_model.clips.limits import MediaError, MediaLimits
from emotion_model.clips.reading import VideoReader
from emotion_model.clips.run import VideoOutputs, VideoProgress, VideoRun
from emotion_model.labels import Label, person_colour
from emotion_model.timelines.clock import clock
from emotion_model.timelines.summary import ClipSummary, Person
from emotion_model.timelines.table import frame_rows
from ui import render

SCRIPT = Path(__file__).with_name("video.js")
REPORT_SECONDS = 0.5  # between two looks at a run
MAX_SEGMENTS = 3000  # drawn in the timeline; the longest ones
RATES = {"every frame": 0.0, "10 per second": 10.0, "5 per second": 5.0, "2 per second": 2.0, "1 per second": 1.0}
FILES = ("csv", "json", "vtt", "srt", "plot", "summary", "zip")

ANALYZE_VIDEO = (
    "Everybody's emotions over a clip (MP4, MOV, WebM, MKV, AVI or GIF). `rate` is how many frames per second are "
    "analysed (0: every one); `start` and `end` choose a part, in seconds (`end` 0: to the clip's end); `annotated` "
    "asks for the annotated clip too. Answers again and again while it works, with "
    '{"done": false, "progress": 0..1, "seconds_left": float or null, "rows": [those since the answer before]}, and at '
    'last with {"done": true, "progress": 1, "seconds_left": 0, "rows", "summary"}, the annotated clip (or null) and '
    "the files: CSV, JSON, WebVTT, SRT, PNG of the timeline, summary as JSON, and a zip of all. A row has the columns "
    'of the CSV: "time" in seconds, "frame", "face_id", "x", "y", "w", "h", a probability per label, "emotion", '
    '"confidence", "intensity", "valence", "arousal" and "raw_<label>"; without a face all but time and frame are '
    "null. Cancel the job to stop."
)


@dataclass(frozen=True)
class VideoLimits:
    """What the page takes; the defaults suit two processors and free storage."""

    seconds: float = field(default_factory=lambda: float(os.environ.get("EMOTION_VIDEO_SECONDS") or 600))
    megabytes: float = field(default_factory=lambda: float(os.environ.get("EMOTION_VIDEO_MB") or 200))
    pictures: int = 3000  # of a sequence
    at_once: int = 2  # clips in work at the same time; others wait

    def __post_init__(self) -> None:
        for name in ("seconds", "megabytes", "pictures", "at_once"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}={getattr(self, name)}: must be above 0")


class _Replaced(Exception):  # noqa: N818 - no error, but the way out of a run
    """The visitor has gone on to another clip, or to none."""


class _Runs:
    """The run that each visitor has under way, so that it can be stopped, or give way to another clip."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: dict[str, VideoRun] = {}

    def begin(self, session: str, run: VideoRun) -> None:
        with self._lock:
            before, self._runs[session] = self._runs.get(session), run
        if before:
            before.stop()

    def end(self, session: str, run: VideoRun) -> bool:
        """Whether the visitor still waits for this run, and not for another one or none."""
        with self._lock:
            awaited = self._runs.get(session) is run
            if awaited:
                del self._runs[session]
            return awaited

    def stop(self, session: str) -> None:
        with self._lock:
            if session in self._runs:
                self._runs[session].stop()

    def drop(self, session: str) -> None:
        with self._lock:
            run = self._runs.pop(session, None)
        if run:
            run.stop()


@dataclass(frozen=True, eq=False)
class _Step:
    """What a run reports: its progress and new rows, and at the end its files, which go when the next step is taken."""

    progress: VideoProgress | None
    rows: list[dict[str, Any]]
    summary: ClipSummary
    outputs: VideoOutputs | None = None
    stopped: bool = False


def build_tab(detector: EmotionDetector, limits: VideoLimits | None = None) -> None:
    """The content of the Video tab, and the endpoint `/analyze_video`; to be called inside `gr.Blocks`."""
    limits = limits or VideoLimits()
    quick = video_detector(detector)
    labels = detector.classifier.config.labels
    names = [label.name for label in labels]
    runs = _Runs()

    def steps(source: Any, config: VideoConfig, annotated: bool, session: str) -> Iterator[_Step]:
        media_limits = MediaLimits(megabytes=limits.megabytes, seconds=limits.seconds, pixels=4096 * 2304)
        with tempfile.TemporaryDirectory(prefix="clip-") as folder:
            stem = "".join(c if c.isalnum() or c in "-_" else "_" for c in Path(_first(source)).stem)[:40] or "clip"
            paths = {name: Path(folder) / f"{stem}_{_ENDINGS[name]}" for name in (*FILES, "annotated")}
            if not annotated:
                del paths["annotated"]
            outputs = VideoOutputs(**paths)
            rows: list[dict[str, Any]] = []
            with (
                VideoReader(source, media_limits) as reader,
                VideoRun(reader, quick, outputs, config) as run,
            ):
                runs.begin(session, run)
                try:
                    told = time.monotonic()
                    for progress in run:
                        rows += frame_rows(progress.frame.time, progress.frame.index, progress.frame.faces, names)
                        if time.monotonic() - told >= REPORT_SECONDS:
                            yield _Step(progress, rows, run.summary)
                            rows, told = [], time.monotonic()
                finally:
                    awaited = runs.end(session, run)
                if not awaited:
                    raise _Replaced  # no file is finished for nobody
            yield _Step(None, rows, run.summary, outputs, run.stopped)

    def show(
        clip: str | None,
        pictures: list[str] | None,
        rate: str,
        start: float,
        end: float,
        strip: bool,
        request: gr.Request,
    ) -> Iterator[dict[Any, Any]]:
        nothing = {annotated: None, summary_box: ""} | {
            part: gr.update(visible=False) for part in (timeline, person, files)
        }
        source = clip or _sequence(pictures, limits)
        if not source:
            runs.drop(request.session_hash or "")
            said = render.status("Add a clip to begin.", "Upload or record one.", "quiet")
            yield nothing | {status: said, stop: gr.update(interactive=False)}
            return
        yield nothing | {status: _progress(None), stop: gr.update(interactive=True)}
        try:
            config = VideoConfig(RATES[rate] or None, start or 0.0, end or None, strip)
            for step in steps(source, config, True, request.session_hash or ""):
                if step.outputs is None:
                    yield {status: _progress(step.progress), summary_box: summary_html(step.summary, brief=True)}
                    continue
                people = step.summary.people
                chosen = max(people, key=lambda one: one.seconds, default=None)
                yield {
                    annotated: str(step.outputs.annotated),
                    status: _done(step),
                    summary_box: summary_html(step.summary),
                    timeline: gr.update(value=timeline_figure(step.summary, chosen), visible=True),
                    person: gr.update(
                        choices=[(f"Person {one.number}", one.number) for one in people],
                        value=chosen.number if chosen else None,
                        visible=len(people) > 1,
                    ),
                    files: gr.update(value=[str(getattr(step.outputs, name)) for name in FILES], visible=True),
                    state: step.summary,
                    stop: gr.update(interactive=False),
                }
        except _Replaced:
            return  # the page shows what came after
        except (MediaError, ImageError, ValueError) as error:
            yield {
                status: render.problem(_for_visitors(error)),
                summary_box: "",
                stop: gr.update(interactive=False),
            }

    def choose(number: int | None, summary: ClipSummary | None) -> Any:
        if summary is None:
            return gr.skip()
        return timeline_figure(summary, next((one for one in summary.people if one.number == number), None))

    def halt(request: gr.Request) -> None:
        runs.stop(request.session_hash or "")

    def analyze_video(
        video: str | None,
        rate: float = 0,
        start: float = 0,
        end: float = 0,
        annotated: bool = True,
        request: gr.Request = None,  # type: ignore[assignment]
    ) -> Iterator[tuple[dict[str, Any], str | None, list[str] | None]]:
        if not video:
            raise gr.Error("No clip was sent: give a file.", title="empty", print_exception=False)
        try:
            config = VideoConfig(rate or None, start or 0.0, end or None)
            for step in steps(video, config, annotated, f"api {id(request)} {threading.get_ident()}"):
                answer: dict[str, Any] = {"done": step.outputs is not None}
                if step.outputs is None:
                    left = step.progress.seconds_left if step.progress else None
                    fraction = step.progress.fraction if step.progress else 0.0
                    answer |= {"progress": round(fraction, 4), "seconds_left": None if left is None else round(left, 1)}
                    yield answer | {"rows": step.rows}, None, None
                    continue
                answer |= {"progress": 1.0, "seconds_left": 0.0, "rows": step.rows, "summary": step.summary.to_dict()}
                drawn = str(step.outputs.annotated) if step.outputs.annotated else None
                yield answer, drawn, [str(getattr(step.outputs, name)) for name in FILES]
        except (MediaError, ValueError) as error:
            code = error.code if isinstance(error, MediaError) else "bad_value"
            raise gr.Error(_for_visitors(error), title=code, print_exception=False) from None

    camera = {"video": {"width": {"ideal": 640}, "height": {"ideal": 480}}, "audio": False}  # no microphone
    with gr.Row(equal_height=True):
        clip = gr.Video(
            label="Your clip",
            sources=["upload", "webcam"],
            height=420,
            min_width=300,
            webcam_options=gr.WebcamOptions(mirror=False, constraints=camera),
            elem_id="video-clip",
        )
        annotated = gr.Video(
            label="What the network sees",
            height=420,
            min_width=300,
            interactive=False,
            buttons=["download"],
            elem_id="video-annotated",
        )
    with gr.Accordion("Settings, and other kinds of clips", open=False):
        with gr.Row():
            rate = gr.Dropdown(list(RATES), value="10 per second", label="Frames to analyse", min_width=160)
            start = gr.Number(0, minimum=0, label="From second", min_width=120)
            end = gr.Number(0, minimum=0, label="To second", info="0: to the end", min_width=120)
            strip = gr.Checkbox(True, label="Timeline along the bottom of the clip", min_width=200)
        pictures = gr.File(
            label="A GIF, or the pictures of a sequence",
            file_count="multiple",
            file_types=["image", ".gif"],
            height=130,
            elem_id="video-pictures",
        )
    with gr.Row():
        go = gr.Button("Analyse", variant="primary", elem_id="video-go")
        stop = gr.Button("Stop and keep what is done", interactive=False, elem_id="video-stop")
    status = gr.HTML(
        render.status(
            "Add a clip to begin.",
            f"Up to {clock(limits.seconds)} minutes and {limits.megabytes:g} MB: every person in it gets a timeline.",
            "quiet",
        ),
        elem_id="video-status",
        js_on_load=SCRIPT.read_text(encoding="utf-8"),
    )
    person = gr.Dropdown([], label="Person shown in the timeline", visible=False, elem_id="video-person")
    timeline = gr.Plot(label="Timeline", show_label=False, visible=False, elem_id="video-timeline")
    summary_box = gr.HTML("", elem_id="video-summary")
    files = gr.File(
        label="Files", file_count="multiple", interactive=False, visible=False, height=260, elem_id="video-files"
    )
    state = gr.State(None, time_to_live=3600)

    gr.on(
        [clip.input, clip.stop_recording, pictures.upload, go.click],
        show,
        [clip, pictures, rate, start, end, strip],
        [annotated, status, summary_box, timeline, person, files, state, stop],
        api_visibility="private",
        show_progress="hidden",
        trigger_mode="multiple",  # another clip replaces the one in work
        concurrency_limit=limits.at_once,
        concurrency_id="video",
    )
    # One source at a time.
    gr.on(
        [clip.input, clip.stop_recording],
        lambda: None,
        None,
        pictures,
        api_visibility="private",
        queue=False,
        show_progress="hidden",
    )
    pictures.upload(lambda: None, None, clip, api_visibility="private", queue=False, show_progress="hidden")
    stop.click(halt, None, None, api_visibility="private", queue=False)
    person.input(choose, [person, state], timeline, api_visibility="private", show_progress="hidden")
    gr.Button(visible=False).click(
        analyze_video,
        [
            gr.Video(label="Clip", visible=False),
            gr.Number(0, label="Frames per second to analyse; 0 for every one", visible=False),
            gr.Number(0, label="Start in seconds", visible=False),
            gr.Number(0, label="End in seconds; 0 for the clip's end", visible=False),
            gr.Checkbox(True, label="Annotated clip too", visible=False),
        ],
        [
            gr.JSON(label="Progress and rows", visible=False),
            gr.Video(label="Annotated clip", visible=False),
            gr.File(label="Files", file_count="multiple", visible=False),
        ],
        api_name="analyze_video",
        api_description=ANALYZE_VIDEO,
        concurrency_limit=limits.at_once,
        concurrency_id="video",
    )
    if context := gr.context.Context.root_block:
        context.unload(halt)  # nobody waits any more


_ENDINGS = {
    "csv": "emotions.csv",
    "json": "emotions.json",
    "vtt": "emotions.vtt",
    "srt": "emotions.srt",
    "plot": "timeline.png",
    "summary": "summary.json",
    "zip": "all.zip",
    "annotated": "annotated.mp4",
}


def summary_html(summary: ClipSummary, brief: bool = False) -> str:
    """A card per person: how long they show which emotion, means, changes, and buttons to the strongest moments.

    Args:
        summary: of a clip, also while it grows.
        brief: without the moments, whose pictures would be sent again and again.
    """
    people = summary.people
    if not people:
        return ""
    cards = "".join(_person_card(one, summary, brief) for one in people)
    return f'<ul class="cards" data-start="{summary.start}" aria-label="People in the clip">{cards}</ul>'


def _person_card(person: Person, summary: ClipSummary, brief: bool) -> str:
    top = max(person.shares, key=lambda name: person.shares[name])
    rows = [(label.name, person.shares.get(label.name, 0.0) / person.seconds) for label in summary.labels]
    facts = (("Valence", f"{person.valence:+.2f}"), ("Arousal", f"{person.arousal:+.2f}"), ("Changes", person.changes))
    measures = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts)
    moments = "" if brief else "".join(_moment(peak, summary.labels) for peak in person.moments)
    return (
        f'<li class="card person" style="--person:{person_colour(person.number)}"><header>'
        f'<img class="face" src="{render.emoji_url(top, summary.labels)}" alt="">'
        f'<div><div class="number">Person {person.number}, '
        f"{clock(person.first)} to {clock(person.last)}</div><h3>Mostly {escape(top)}</h3></div></header>"
        f'{render.bars(rows, summary.labels)}<dl class="measures">{measures}</dl>'
        + (f'<div class="moments" role="group" aria-label="Strongest moments">{moments}</div>' if moments else "")
        + "</li>"
    )


def _moment(peak: Any, labels: Sequence[Label]) -> str:
    picture = (
        render.emoji_url(peak.emotion, labels)
        if peak.thumbnail is None
        else render.picture_url(peak.thumbnail[..., ::-1])
    )
    said = f"{escape(peak.emotion)} {peak.probability:.0%}"
    return (
        f'<button type="button" class="moment" data-time="{peak.time:.3f}" title="Show {said} at {clock(peak.time)}">'
        f'<img src="{picture}" alt=""><span>{said}</span><span>{clock(peak.time)}</span></button>'
    )


def timeline_figure(summary: ClipSummary, person: Person | None) -> PlotData:
    """The timeline for Plotly, which Gradio brings along: a band per person, stacked areas of one of them."""
    people = summary.people
    axis = {"range": [summary.start, summary.end], "gridcolor": "rgba(128,128,128,.25)", "zeroline": False}
    bands = min(0.05 * max(len(people), 2), 0.5)
    layout: dict[str, Any] = {
        "height": 430 + 18 * len(people),
        "margin": {"l": 84, "r": 16, "t": 28, "b": 40},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "barmode": "overlay",
        "bargap": 0.25,
        "hovermode": "x unified",
        "dragmode": "zoom",
        "xaxis": axis | {"title": {"text": "seconds", "standoff": 4}, "anchor": "y3", "hoverformat": ".2f"},
        "yaxis": {"domain": [1 - bands, 1], "fixedrange": True, "type": "category",
            "categoryorder": "array", "categoryarray": [f"Person {one.number}" for one in reversed(people)]},
        "yaxis2": {
            "domain": [0.3, 1 - bands - 0.04],
            "range": [0, 1],
            "tickformat": ".0%",
            "fixedrange": True,
            "tickvals": [0, 0.5, 1],
        },
        "yaxis3": {
            "domain": [0, 0.24],
            "range": [-1, 1],
            "fixedrange": True,
            "tickvals": [-1, 0, 1],
            "ticktext": ["unpleasant", "0", "pleasant"],
            "gridcolor": axis["gridcolor"],
            "zeroline": False,
        },
        "legend": {"orientation": "h", "y": -0.13, "yanchor": "top", "traceorder": "normal"},
        "shapes": [
            {"type": "line", "x0": summary.start, "x1": summary.start, "y0": 0, "y1": 1, "yref": "paper",
             "line": {"color": "#6f54e4", "width": 2}}
        ],
    }  # fmt: skip
    data = _bands(summary) + (_areas(summary, person) if person else [])
    if not people:
        layout["annotations"] = [
            {"text": "No face was seen.", "showarrow": False, "xref": "paper", "yref": "paper", "x": 0.5, "y": 0.5}
        ]
    config = {"displaylogo": False, "scrollZoom": False, "modeBarButtonsToRemove": ["select2d", "lasso2d"]}
    return PlotData(type="plotly", plot=json.dumps({"data": data, "layout": layout, "config": config}))


def _bands(summary: ClipSummary) -> list[dict[str, Any]]:
    parts = [(one.end - one.start, person.number, one) for person in summary.people for one in person.segments]
    parts = sorted(parts, key=lambda part: -part[0])[:MAX_SEGMENTS]
    traces = []
    for label in summary.labels:
        mine = [(number, one) for _, number, one in parts if one.emotion == label.name]
        traces.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": label.name,
                "legendgroup": label.name,
                "showlegend": False,
                "base": [round(one.start, 3) for _, one in mine],
                "x": [round(one.end - one.start, 3) for _, one in mine],
                "y": [f"Person {number}" for number, _ in mine],
                "marker": {"color": label.colour, "line": {"width": 0}},
                "hoverinfo": "skip",
            }
        )
    return traces


def _areas(summary: ClipSummary, person: Person) -> list[dict[str, Any]]:
    rows = summary.timeline(person)
    step = summary.bin_seconds
    # Where somebody is not seen the areas fall to nothing at once.
    times: list[float] = []
    values: list[dict[str, Any] | None] = []

    def edge(row: dict[str, Any], side: int) -> None:
        there = row["time"] + side * step / 2
        inner, outer = (round(there, 4), row), (round(there + side * 1e-3, 4), None)
        for when, value in (inner, outer) if side > 0 else (outer, inner):
            times.append(when)
            values.append(value)

    for i, row in enumerate(rows):
        if i == 0 or row["time"] - rows[i - 1]["time"] > 1.5 * step:
            if i:
                edge(rows[i - 1], 1)
            edge(row, -1)
        times.append(row["time"])
        values.append(row)
    if rows:
        edge(rows[-1], 1)
    traces: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": label.name,
            "legendgroup": label.name,
            "yaxis": "y2",
            "stackgroup": "emotions",
            "x": times,
            "y": [0 if row is None else row[label.name] for row in values],
            "line": {"width": 0, "color": label.colour},
            "fillcolor": label.colour,
            "hovertemplate": "%{y:.0%}",
        }
        for label in summary.labels
    ]
    traces.append(
        {
            "type": "scatter",
            "mode": "lines",
            "name": "valence",
            "yaxis": "y3",
            "showlegend": False,
            "x": times,
            "y": [None if row is None else row["valence"] for row in values],
            "line": {"width": 2, "color": person_colour(person.number)},
            "hovertemplate": "%{y:+.2f}",
        }
    )
    return traces


def _progress(progress: VideoProgress | None) -> str:
    if progress is None:
        return render.status("Opening the clip.", "", extra='<progress max="1" aria-label="Progress"></progress>')
    left = "" if progress.seconds_left is None else f"about {clock(progress.seconds_left)} left"
    bar = f'<progress max="1" value="{progress.fraction:.3f}" aria-label="Progress"></progress>'
    return render.status(
        f"{progress.fraction:.0%}", f"at {clock(progress.frame.time)} of the clip, {left}".rstrip(", "), extra=bar
    )


def _done(step: _Step) -> str:
    people = step.summary.people
    count = "No face was seen." if not people else "1 person." if len(people) == 1 else f"{len(people)} people."
    looked = f"{step.summary.frames} frames from {clock(step.summary.start)} to {clock(step.summary.end)}"
    if step.stopped:
        return render.status("Stopped.", f"{count} What was done is kept: {looked}.")
    hint = "Click on the timeline or on a moment to see it in the clip." if people else "Try a clip with larger faces."
    return render.status(count, f"{looked}. {hint}", "" if people else "quiet")


def _sequence(pictures: list[str] | None, limits: VideoLimits) -> Any:
    """One file is a clip of its own, several are a sequence in the order of their names."""
    if not pictures:
        return None
    if len(pictures) > limits.pictures:
        return pictures[: limits.pictures]
    return pictures[0] if len(pictures) == 1 else sorted(pictures, key=lambda path: Path(path).name)


def _first(source: Any) -> str:
    return str(source) if isinstance(source, str | Path) else str(source[0])


def _for_visitors(error: Exception) -> str:
    """The error's sentence, but for one that would name a path on this machine."""
    if getattr(error, "code", "") == "unreadable":
        return "The clip is no longer on the server: send it once more."
    if getattr(error, "code", "") in ("disk_full", "unwritable"):
        return "The server has no room for the result at the moment: try a shorter clip, or later."
    return str(error)
