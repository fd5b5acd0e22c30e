"""What agents find: the tools of the page as an MCP server, told in their own words.

Gradio makes a tool of every endpoint. Those that programs use make little sense to an agent: pictures as base64, frames
of a session, thousands of rows, values that are no text. It gets these instead, by the same names.
"""

from __future__ import annotations

import inspect
import json
import secrets
from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any

import gradio as gr
import numpy as np
from anyio import from_thread, to_thread

from emotion_model import EmotionDetector, ImageError, draw_faces
from ui.api import Api
from ui.inputs import a_place, for_visitors, photo_input, read_picture
from ui.refusals import Refusal
from ui.video.handlers import part
from ui.video.runs import CLIPS, Analysis, Step
from ui.video.words import refused


def description(function: Callable[..., Any]) -> str:
    """What a tool does and gives, from its docstring; Gradio takes the parameters from there, and cuts up the rest."""
    about, _, gives = (inspect.getdoc(function) or "").partition("Returns:")
    return " ".join(f"{about.partition('Args:')[0]} Returns {gives}".split())


class Tools:
    """What the tools do; their docstrings are what agents are told of them."""

    def __init__(self, detector: EmotionDetector, analysis: Analysis) -> None:
        """Answer with this model, about clips by this analysis."""
        self._detector, self._analysis, self._api = detector, analysis, Api(detector)

    def detect_image(self, photo: str | None) -> tuple[str, np.ndarray]:
        """Tell which emotion each face in a photo shows: the numbers, and the photo with boxes and words.

        Args:
            photo: address of the picture (https://...; JPEG, PNG, WebP, HEIC and others, up to 10 MB).

        Returns:
            JSON: width, height and faces, the largest first: box [x, y, w, h] in pixels, emotion, confidence and a
            probability for each emotion (0..1), clear (false where the confidence is too little for a word), intensity
            (0..1), valence and arousal (-1..1). No face gives an empty list. What a face shows is not what somebody
            feels.
        """
        try:
            if photo is None:
                raise ImageError("empty", "No picture was sent: give its address.")
            with a_place():
                image = read_picture(photo)
                faces = self._detector.detect(image)
                drawn = draw_faces(image, faces, self._detector.classifier.config.labels)
        except ImageError as error:
            raise Refusal(error.code, for_visitors(error)) from None
        return json.dumps(self._detector.to_dict(image, faces), ensure_ascii=False), drawn

    async def analyze_video(self, clip: str | None, rate: float = 5, start: float = 0, end: float = 0) -> str:
        """Tell how everybody's emotions change over a clip. Takes a second for about twenty seconds of clip.

        Args:
            clip: address of the video (https://...; MP4, MOV, WebM, MKV, AVI or GIF).
            rate: frames per second that are looked at; 5 suits most, 0 looks at every one.
            start: where to begin, in seconds.
            end: where to end, in seconds; 0 for the clip's end.

        Returns:
            JSON: frames, and people: when and how long each is seen (s), the share of that time for each emotion
            (0..1), mean valence and arousal (-1..1), how often the emotion changed, and the moments when each was
            strongest; and a notice where the clip breaks off early, else "".
        """
        if not clip:
            raise Refusal("empty", "No clip was sent: give its address.")
        session = f"agent {secrets.token_hex(8)}"
        try:
            steps = self._analysis.steps(clip, part(rate, start, end), (), session)
            # An agent that has hung up, or no longer wants this, waits for no step.
            last = await to_thread.run_sync(_read, steps, abandon_on_cancel=True)
            return json.dumps(last.summary.to_dict() | {"notice": last.notice}, ensure_ascii=False)
        except ValueError as error:
            raise refused(error) from None
        finally:
            self._analysis.leave(session)

    def model_info(self) -> str:
        """Tell which model serves, what it can name and how well it does.

        Returns:
            JSON: source; labels, each with name, emoji and colour; detector; notice, which says so where another model
            than the one asked for serves, else ""; weights, with parameters and multiply_adds; temperature; and
            metrics, scores such as accuracy and macro_f1 (0..1) by the split that they were measured on.
        """
        return json.dumps(self._api.model_info(), ensure_ascii=False)


def _read(steps: Generator[Step, None, None]) -> Step:
    """The last step of a run; those before are told."""
    with closing(steps):
        for step in steps:
            if not step.outputs:
                from_thread.run(_tell, step.progress.fraction if step.progress else float(step.writing))
    return step


async def _tell(fraction: float) -> None:
    """Say to an agent how much of a clip is read, if it has asked for that; programs are told nothing."""
    from mcp.server.lowlevel.server import request_ctx  # as late as Gradio does

    call = request_ctx.get(None)
    if call and call.meta and call.meta.progressToken is not None:
        await call.session.send_progress_notification(
            call.meta.progressToken, 100 * fraction, 100, f"{fraction:.0%} of the clip", str(call.request_id)
        )


def build_tools(detector: EmotionDetector, analysis: Analysis) -> None:
    """Add the tools to a page; to be called inside `gr.Blocks`, before the endpoints of the same names.

    A tool is called as its function; the endpoints behind them are `/read_photo`, `/read_clip` and `/read_model`.
    """
    tools = Tools(detector, analysis)
    gr.Button(visible=False).click(
        tools.detect_image,
        photo_input(label="Photo", visible=False),
        [
            gr.Textbox(label="Faces as JSON", visible=False),
            gr.Image(label="Annotated photo", format="jpeg", visible=False),
        ],
        api_name="read_photo",
        api_description=description(tools.detect_image),
        queue=False,
    )
    gr.Button(visible=False).click(
        tools.analyze_video,
        [
            gr.Video(label="Clip", visible=False),
            gr.Number(5, label="Frames per second", visible=False),
            gr.Number(0, label="Start in seconds", visible=False),
            gr.Number(0, label="End in seconds; 0 for the clip's end", visible=False),
        ],
        gr.Textbox(label="People as JSON", visible=False),
        api_name="read_clip",
        api_description=description(tools.analyze_video),
        queue=False,  # for agents, who could not hang up there; programs that call the endpoint wait in it all the same
        concurrency_limit=analysis.limits.at_once,
        concurrency_id=CLIPS,
    )
    gr.Button(visible=False).click(
        tools.model_info,
        None,
        gr.Textbox(label="Model as JSON", visible=False),
        api_name="read_model",
        api_description=description(tools.model_info),
        queue=False,
    )
