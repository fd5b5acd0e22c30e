"""The server: loads the models, and serves page and API."""

from __future__ import annotations

import os
from pathlib import Path

from emotion_model import EmotionClassifier, EmotionDetector
from ui import drawings, social
from ui.browser.networks import networks_for
from ui.inputs import MOST_BYTES
from ui.memory import share_memory
from ui.page import SCRIPT, build_page
from ui.requests import APP_OPTIONS, replace_parts
from ui.scripts import bundle
from ui.sweeping import KEEP_SECONDS, SWEEP_SECONDS, Sweeper
from ui.theme import STYLE_SHEET, page_theme
from ui.video.runs import VideoLimits

SPARE_UPLOAD = 1.1  # uploads may be over the readers' own limits, so that their clear sentence is what people see
QUEUE_LENGTH = 64
# Gradio would keep who called what, 10,000 times, and count it at every call, for a page that is closed here.
NO_STATISTICS = {"GRADIO_ANALYTICS_MAX_EVENTS": "1", "GRADIO_ANALYTICS_CACHE_FREQUENCY": f"{10**12}"}
SESSIONS = 100  # that Gradio remembers, the last ones used: what has changed on the page, no pictures


def serve(files: Path) -> None:
    """Load the models and serve the page until stopped; below `files`, which is ours alone, lies what visitors send."""
    share_memory()
    detector = EmotionDetector(EmotionClassifier.from_environment())
    detector.classifier.warm_up()
    networks = networks_for(detector)
    os.environ |= NO_STATISTICS
    page = build_page(detector, networks)
    Sweeper(files, KEEP_SECONDS, SWEEP_SECONDS, page.forget_files).start()
    routes = [*networks.routes, *social.routes()]
    if isinstance(detector.classifier, EmotionClassifier):
        routes += drawings.routes(detector.classifier.folder)
    replace_parts()
    page.queue(max_size=QUEUE_LENGTH, default_concurrency_limit=2)
    page.launch(
        theme=page_theme(),
        css_paths=STYLE_SHEET,
        js=f"() => {{\n{bundle(SCRIPT)}}}",
        max_file_size=round(max(VideoLimits().megabytes * 2**20, MOST_BYTES) * SPARE_UPLOAD),
        footer_links=["api", "gradio"],
        app_kwargs=APP_OPTIONS | {"routes": routes},
        run_history=False,
        enable_monitoring=False,
        mcp_server=True,
        ssr_mode=False,
        state_session_capacity=SESSIONS,
    )
