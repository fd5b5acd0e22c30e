"""The Video tab and `/analyze_video`: a clip in; annotated copy, timelines, tables and subtitles out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from ui import cards, examples
from ui.inputs import files_input
from ui.programs import for_programs
from ui.sweeping import KEEP_SECONDS
from ui.turns import NOT_TAKEN, asked, by_the_page, by_what_is_given, without_what_is_gone
from ui.video.handlers import (
    EMPTIED,
    INVITATION,
    NO_STOP,
    RATES,
    Answer,
    Updates,
    answers,
    choose,
    show,
)
from ui.video.runs import CLIPS, Analysis, VideoLimits
from ui.video.words import FIELDS, stopping_line, waiting_line

SCRIPT = Path(__file__).with_name("video.js")
# The line of a timeline that is new stands where the clip does.
AGAIN = "() => { document.querySelector('#video-annotated video')?.dispatchEvent(new Event('timeupdate')); }"
ANALYZE_VIDEO = (
    "Everybody's emotions over a clip (MP4, MOV, WebM, MKV, AVI or GIF). `rate` is how many frames per second are "
    "analysed (0: every one); `start` and `end` choose a part, in seconds (`end` 0: to the clip's end); `annotated` "
    "asks for the annotated clip too. Answers again and again while it works, with "
    '{"done": false, "progress": 0..1, "seconds_left": float or null, "rows": [those since the answer before]}, and at '
    'last with {"done": true, "progress": 1, "seconds_left": 0, "rows", "summary", "notice"}, the annotated clip (or '
    "null) and the files: CSV, JSON, WebVTT, SRT, PNG of the timeline, summary as JSON, all on one page as HTML, and a "
    'zip. `notice` says so where the clip breaks off before its header says, else it is "". A row has the columns of '
    'the CSV: "time" in seconds, "frame", "face_id", "x", "y", "w", "h", a probability per '
    'label, "emotion", "confidence", "intensity", "valence", "arousal", "clear" and "raw_<label>"; without a face all '
    "but time and frame are null. Cancel the job to stop."
)


def build_tab(analysis: Analysis) -> None:
    """The content of the Video tab, and the endpoint `/analyze_video`; to be called inside `gr.Blocks`."""
    parts = _layout(analysis.limits)
    _wire(parts, analysis)
    _endpoint(analysis)


def _layout(limits: VideoLimits) -> dict[str, Any]:
    """The components, by their names."""
    parts: dict[str, Any] = {}
    camera = {"video": {"width": {"ideal": 640}, "height": {"ideal": 480}}, "audio": False}  # no microphone
    with gr.Row(equal_height=True):
        parts["clip"] = gr.Video(
            label="Your clip",
            sources=["upload", "webcam"],
            height=420,
            min_width=300,
            webcam_options=gr.WebcamOptions(mirror=False, constraints=camera),
            elem_id="video-clip",
        )
        parts["annotated"] = gr.Video(
            label="What the network sees",
            height=420,
            min_width=300,
            interactive=False,
            buttons=["download"],
            elem_id="video-annotated",
        )
    parts |= _settings()
    with gr.Row():
        parts["go"] = gr.Button("Analyse", variant="primary", elem_id="video-go")
        parts["stop"] = gr.Button("Stop and keep what is done", interactive=False, elem_id="video-stop")
    parts["example"] = gr.Button("No clip at hand? Try a portrait that smiles", size="sm", elem_id="video-example")
    return parts | _results(limits)


def _settings() -> dict[str, Any]:
    parts: dict[str, Any] = {}
    with gr.Accordion("Settings, and other kinds of clips", open=False):
        with gr.Row():
            parts["rate"] = gr.Dropdown(list(RATES), value="10 per second", label="Frames to analyse", min_width=160)
            parts["start"] = gr.Number(0, label=FIELDS["start"], min_width=120)
            parts["end"] = gr.Number(0, label=FIELDS["end"], info="0: to the end", min_width=120)
            parts["strip"] = gr.Checkbox(True, label="Timeline along the bottom of the clip", min_width=200)
        parts["pictures"] = files_input(
            label="A GIF, or the pictures of a sequence", height=130, elem_id="video-pictures"
        )
    return parts


def _results(limits: VideoLimits) -> dict[str, Any]:
    said = f"Up to {limits.length} and {limits.megabytes:g} MB: every person in it gets a timeline."
    person: Any = gr.Dropdown([], label="Person shown in the timeline", visible=False, elem_id="video-person")
    person.preprocess = lambda number: number  # Gradio may have forgotten the choices; `choose` knows what to say
    return {
        "status": gr.HTML(
            cards.status("Add a clip to begin.", said, "quiet"),
            elem_id="video-status",
            js_on_load=SCRIPT.read_text(encoding="utf-8"),
        ),
        "person": person,
        "timeline": gr.Plot(label="Timeline", show_label=False, visible=False, elem_id="video-timeline"),
        "summary": gr.HTML("", elem_id="video-summary"),
        "files": gr.File(
            label="Files", file_count="multiple", interactive=False, visible=False, height=260, elem_id="video-files"
        ),
        "state": gr.State(None, time_to_live=KEEP_SECONDS),
    }


class _Handlers:
    """What is done for the visitor who asks."""

    def __init__(self, parts: dict[str, Any], analysis: Analysis) -> None:
        self._parts, self._analysis = parts, analysis

    def taken(self, source: Any, request: gr.Request) -> None:
        """A clip or pictures came, or went: that counts before it has waited for its turn."""
        self._analysis.want(request.session_hash or "", source, asked(request))

    def pressed(self, clip: str | None, pictures: list[str] | None, request: gr.Request) -> None:
        """Analyse was pressed: likewise."""
        self.taken(clip or pictures, request)

    def shown(
        self,
        clip: str | None,
        pictures: list[str] | None,
        rate: str,
        start: float,
        end: float,
        strip: bool,
        request: gr.Request,
    ) -> Iterator[dict[Any, Any]]:
        """What the components show, again and again."""
        visitor = (request.session_hash or "", asked(request))
        for updates in show(self._analysis, clip, pictures, rate, start, end, strip, *visitor):
            yield self._on_page(updates)

    def tried(self, request: gr.Request) -> Any:
        """The example was asked for: its clip, if nothing else came while that was made, and no pictures."""
        visitor, number = request.session_hash or "", asked(request)
        self._analysis.want(visitor, None, number)
        clip = self._parts["clip"].move_resource_to_block_cache(examples.clip_path())  # as the page will name it
        return (clip, None) if self._analysis.want(visitor, clip, number) else (gr.skip(), gr.skip())

    def halt(self, request: gr.Request) -> None:
        """Stop was pressed."""
        self._analysis.stop(request.session_hash or "")

    def left(self, request: gr.Request) -> None:
        """The page is gone."""
        self._analysis.leave(request.session_hash or "")

    def _on_page(self, updates: Updates) -> dict[Any, Any]:
        return {self._parts[name]: value for name, value in updates.items()}


def _reading(parts: dict[str, Any], do: _Handlers, at_once: int) -> dict[str, Any]:
    """The listener that reads what was handed in."""
    given = ("clip", "pictures", "rate", "start", "end", "strip")
    shown = ("annotated", "status", "summary", "timeline", "person", "files", "state", "stop")
    return {
        "fn": do.shown,
        "inputs": [parts[name] for name in given],
        "outputs": [parts[name] for name in shown],
        "api_visibility": "private",
        "show_progress": "hidden",
        "trigger_mode": "multiple",  # another clip replaces the one in work
        "concurrency_limit": at_once,
        "concurrency_id": CLIPS,
    }


def _wire(parts: dict[str, Any], analysis: Analysis) -> None:
    """What happens when a visitor does something."""
    clip, pictures, do = parts["clip"], parts["pictures"], _Handlers(parts, analysis)
    quiet: dict[str, Any] = {"api_visibility": "private", "queue": False, "show_progress": "hidden"}
    quiet["trigger_mode"] = "multiple"  # another clip may come while the one before is being told of
    told = [parts["status"], parts["stop"]]
    reading, room = _reading(parts, do, analysis.limits.at_once), EMPTIED | NO_STOP
    shown = [parts[name] for name in (*room, "status")]
    nothing, waiting = ([*room.values(), said] for said in (INVITATION, waiting_line(analysis.limits.at_once)))
    missed = [cards.problem(NOT_TAKEN + "press Analyse in a minute, or add the clip once more."), *NO_STOP.values()]
    failed = by_what_is_given([clip, pictures], told, [INVITATION, *NO_STOP.values()], missed)
    emptied = without_what_is_gone([clip, pictures], shown, nothing, parts["annotated"])

    def read(listen: Callable[..., Any]) -> None:
        answered = listen(**reading)
        answered.failure(**failed)
        answered.then(**emptied)

    # What an event is wired to runs one after the other. One source at a time; and what the page does by itself cannot
    # take away what came after.
    for source, other, events in (
        (clip, pictures, [clip.input, clip.stop_recording]),
        (pictures, clip, [pictures.upload, pictures.clear, pictures.delete]),
    ):
        gr.on(events, **by_what_is_given([source], [*shown, other], [*nothing, None], [*waiting, None]))
        gr.on(events, do.taken, source, None, **quiet)
        read(partial(gr.on, events))
    parts["go"].click(**by_what_is_given([clip, pictures], shown, nothing, waiting))
    parts["go"].click(do.pressed, [clip, pictures], None, **quiet)
    read(parts["go"].click)
    # What lies there after this came while the example was on its way.
    parts["example"].click(**by_the_page([clip, pictures, *shown], [None, None, *waiting]))
    tried = parts["example"].click(do.tried, None, [clip, pictures], **quiet)
    untried = [cards.problem(NOT_TAKEN + "try the portrait again in a minute.")]
    tried.failure(**by_what_is_given([clip, pictures], [parts["status"]], untried, [gr.skip()]))
    read(tried.success)  # what came meanwhile is not read a second time
    parts["stop"].click(**by_the_page(told, [stopping_line(), *NO_STOP.values()]))
    parts["stop"].click(do.halt, None, None, **quiet)
    chosen = parts["person"].input(
        choose,
        [parts["person"], parts["state"]],
        parts["timeline"],
        api_visibility="private",
        show_progress="hidden",
        trigger_mode="always_last",
    )
    chosen.then(None, js=AGAIN, api_visibility="private")
    if context := gr.context.Context.root_block:
        context.unload(do.left)


def _endpoint(analysis: Analysis) -> None:
    """`/analyze_video`; its components say what it takes and gives, and are never shown."""

    def analyze_video(
        video: str | None,
        rate: float = 0,
        start: float = 0,
        end: float = 0,
        annotated: bool = True,
        request: gr.Request = None,  # type: ignore[assignment]
    ) -> Iterator[Answer]:
        yield from answers(analysis, video, rate, start, end, annotated, str(id(request)))

    gr.Button(visible=False).click(
        for_programs(analyze_video),
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
        concurrency_limit=analysis.limits.at_once,
        concurrency_id=CLIPS,
    )
