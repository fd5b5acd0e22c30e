"""The whole page: its tabs, and what stands around them."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from emotion_model import EmotionDetector, ModelConfig
from ui import agents, album, api, model, photo, social
from ui.browser.networks import Networks
from ui.calls import Page
from ui.live import tab as live
from ui.live.sessions import Live
from ui.pictures import emoji_url
from ui.sweeping import KEEP_SECONDS, SWEEP_SECONDS
from ui.video import tab as video
from ui.video.runs import Analysis, VideoLimits

SCRIPT = Path(__file__).with_name("page.js")  # for `launch(js=...)`


class Lens(Page):
    """The page with what its preview needs, where somebody shares its address."""

    def get_config_file(self) -> Any:
        """As Gradio has it, with the preview."""
        return super().get_config_file() | social.preview()


def build_page(detector: EmotionDetector, networks: Networks | None = None) -> Lens:
    """The whole page, and all endpoints, around one detector; with `networks`, Live reads in the visitor's browser."""
    analysis, networks = Analysis(detector, VideoLimits()), networks or Networks()
    with Lens(title="Emotion Lens", analytics_enabled=False) as page:
        agents.build_tools(detector, analysis)
        gr.HTML(masthead())
        if detector.notice:
            gr.HTML(notice(detector.notice), elem_id="notice")
        with gr.Tab("Live", id="live"):
            live.build_tab(Live(detector), networks)
        with gr.Tab("Photo", id="photo"):
            photo.build_tab(detector)
        with gr.Tab("Video", id="video", render_children=True):
            video.build_tab(analysis)
        with gr.Tab("Album", id="album", render_children=True):
            album.build_tab(detector)
        with gr.Tab("Model", id="model"):
            model.build_tab(detector)
        gr.HTML(fine_print(detector.classifier.config, networks.host))
        api.build_endpoints(detector)
    return page


def masthead() -> str:
    """Name of the page and what it does."""
    heads = "".join(f'<img src="{emoji_url(name)}" alt="">' for name in ("happy", "surprise", "sad"))
    return (
        f'<div class="masthead"><div class="heads" aria-hidden="true">{heads}</div><div>'
        "<h1>Emotion Lens</h1>"
        f"<p>{social.SENTENCE}</p>"
        "</div></div>"
    )


def notice(message: str) -> str:
    """Something that visitors should know before they begin, such as a fallback in use."""
    return f'<div class="status notice"><span>{escape(message)}</span></div>'


def fine_print(config: ModelConfig, host: str) -> str:
    """Privacy and limits, on every page; `host`: the other server that browsers ask."""
    accuracy, minutes = config.metrics.get("test", {}).get("accuracy"), (KEEP_SECONDS + SWEEP_SECONDS) // 60
    measured = f"it names {accuracy:.0%} of the FER2013 test pictures as their labels do," if accuracy else "it errs,"
    asked = f"What runs networks in browsers comes from {escape(host)}, which so learns of your visit. " if host else ""
    return (
        '<div class="fineprint"><p><strong>Privacy.</strong> Live says under its picture who reads it: your browser or '
        f"the server. {asked}Photos and clips go to the server: what your page shows of them is deleted there "
        f"within {minutes} minutes, the numbers of a page that was closed within an hour, and nothing of it is logged. "
        "Your browser keeps which camera you chose last, who was to read Live, and the networks that it has fetched, "
        "until you clear this site’s data; and, until this tab is closed, the numbers of a Live timeline that was not "
        "saved (Clear removes them).</p>"
        "<p><strong>Limits.</strong> The network names the expression a face shows, not what somebody feels; "
        f"{measured} and how well it does for different groups of people has not been measured. Not for decisions "
        "about people, nor for use at work or in education (EU AI Act, Article 5).</p></div>"
    )
