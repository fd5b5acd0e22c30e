"""The server as it is launched."""

from __future__ import annotations

from typing import Any

import gradio as gr
import httpx

from ui.server import serve


def test_it_keeps_no_statistics_and_takes_photos_however_small_clips_have_to_be(monkeypatch, tmp_path):
    for name in ("GRADIO_ANALYTICS_MAX_EVENTS", "GRADIO_ANALYTICS_CACHE_FREQUENCY"):
        monkeypatch.setenv(name, "")  # as it was, in the end
    monkeypatch.setenv("EMOTION_VIDEO_MB", "5")
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.setattr("ui.server.share_memory", lambda: None)  # it would hold for all tests of this process
    pages: list[gr.Blocks] = []
    launch = gr.Blocks.launch

    def launch_here(page: gr.Blocks, **options: Any) -> None:
        pages.append(page)
        launch(page, prevent_thread_lock=True, quiet=True, server_name="127.0.0.1", **options)

    monkeypatch.setattr(gr.Blocks, "launch", launch_here)
    serve(tmp_path)
    (page,) = pages
    try:
        url = str(page.local_url)
        for _ in range(3):
            event = httpx.post(f"{url}gradio_api/call/model_info", json={"data": []}).json()["event_id"]
            assert "complete" in httpx.get(f"{url}gradio_api/call/model_info/{event}").text
        assert len(page._queue.event_analytics) <= 1
        assert not page._queue.cached_event_analytics_summary["functions"]
        assert httpx.get(f"{url}monitoring").status_code == 403
        photo = {"files": ("photo.jpg", bytes(10 * 2**20))}
        assert httpx.post(f"{url}gradio_api/upload", files=photo, timeout=60).status_code == 200
        clip = {"files": ("clip.mp4", bytes(12 * 2**20))}
        assert httpx.post(f"{url}gradio_api/upload", files=clip, timeout=60).status_code == 413
    finally:
        page.close()
