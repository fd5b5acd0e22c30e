"""What a visitor's events are wired to, answered by Gradio as it answers them, without a browser."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from gradio.blocks import BlockFunction
from gradio.state_holder import SessionState
from gradio.utils import get_upload_folder
from starlette.requests import Request

from ui import examples
from ui.page import build_page
from ui.video import runs


@pytest.fixture
def page(detector) -> gr.Blocks:
    return build_page(detector)


@pytest.fixture
def uploaded(clip, photo) -> Iterator[dict[str, Any]]:
    """A clip and a photo, as the page names what was uploaded."""
    Path(get_upload_folder()).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=get_upload_folder()) as folder:
        yield {
            name: {"path": shutil.copy(path, folder), "meta": {"_type": "gradio.FileData"}}
            for name, path in (("clip", clip), ("photo", photo))
        }


class Visit:
    """What a visitor does, and what comes back."""

    def __init__(self, page: gr.Blocks) -> None:
        self._page, self._state = page, SessionState(page)

    def wired(self, elem_id: str, event: str) -> list[BlockFunction]:
        """What the server does at an event, in order."""
        (block,) = (one for one in self._page.blocks.values() if one.elem_id == elem_id)
        return [one for one in self._page.fns.values() if (block._id, event) in one.targets and one.fn]

    def wired_after(self, function: BlockFunction) -> list[BlockFunction]:
        """What the server does once a function has answered."""
        return [one for one in self._page.fns.values() if one.trigger_after == function._id and one.fn]

    def ask(self, function: BlockFunction, values: list[Any], number: int, iterator: Any = None) -> dict[str, Any]:
        """The next answer of a function, to the request of that number."""
        request = gr.Request(Request({"type": "http", "headers": [], "emotion_lens.number": number}), session_hash="me")
        return asyncio.run(
            self._page.process_api(
                function, values, self._state, request, iterator, session_hash="me", event_id=str(number)
            )
        )


def shown(function: BlockFunction, answer: dict[str, Any]) -> dict[str, Any]:
    """What an answer changes, by the components' names."""
    unchanged = (gr.skip(), gr.skip() | {"props": gr.skip()}, [], None)
    changes = zip(function.outputs, answer["data"], strict=True)
    return {block.elem_id: value for block, value in changes if value not in unchanged}


def test_what_the_page_does_for_itself_is_no_endpoint_for_programs(page):
    for_programs = {"/analyze_video", "/detect_frame", "/detect_image", "/model_info", "/predict"}
    for_agents = {"/read_clip", "/read_model", "/read_photo"}
    assert set(page.get_api_info()["named_endpoints"]) == for_programs | for_agents


def test_a_clip_that_is_taken_out_while_it_is_read_leaves_no_line_of_its_own(page, uploaded, monkeypatch):
    monkeypatch.setattr(runs, "REPORT_SECONDS", 0)
    visit = Visit(page)
    taken, *_, reading = visit.wired("video-clip", "input")
    visit.ask(taken, [uploaded["clip"]], 1)
    answer = visit.ask(reading, [uploaded["clip"], None, "every frame", 0, 0, False], 2)
    for _ in range(4):
        answer = visit.ask(reading, [], 2, answer["iterator"])
    assert shown(reading, answer), "it is under way"
    visit.ask(taken, [None], 3)
    while answer["is_generating"]:
        answer = visit.ask(reading, [], 2, answer["iterator"])
    assert shown(reading, answer) == {}, "Gradio sends the last step once more"


def test_nothing_is_sent_behind_the_results_of_a_clip(page, uploaded):
    visit = Visit(page)
    (*_, reading) = visit.wired("video-clip", "input")
    values: list[Any] = [uploaded["clip"], None, "5 per second", 0, 0, False]
    answer: dict[str, Any] = {"is_generating": True, "iterator": None}
    while answer["is_generating"]:
        answer = visit.ask(reading, values, 1, answer["iterator"])
    last = shown(reading, answer)
    assert last["video-files"]["visible"] and last["video-annotated"]["path"] and "1 person" in last["video-status"]


def test_a_clip_that_comes_while_the_example_is_made_is_not_overwritten_by_it(page, uploaded, monkeypatch):
    def made() -> str:
        visit.ask(taken, [uploaded["clip"]], 2)
        return uploaded["clip"]["path"]

    visit = Visit(page)
    (tried,) = visit.wired("video-example", "click")
    taken, *_ = visit.wired("video-clip", "input")
    monkeypatch.setattr(examples, "clip_path", made)
    assert shown(tried, visit.ask(tried, [], 1)) == {}
    assert "video-clip" in shown(tried, visit.ask(tried, [], 3)), "it was asked for after the clip came"


def test_photos_that_come_while_the_example_is_made_are_neither_overwritten_by_it_nor_read_twice(
    page, uploaded, monkeypatch
):
    def made() -> list[Path]:
        visit.ask(noted, [], 2)
        return portraits

    visit, given, portraits = Visit(page), [[uploaded["photo"]], None], examples.photo_paths()
    (tried,) = visit.wired("album-example", "click")
    (reading_it,) = visit.wired_after(tried)
    noted, reading = visit.wired("album-photos", "upload")
    with monkeypatch.context() as patched:
        patched.setattr(examples, "photo_paths", made)
        assert shown(tried, visit.ask(tried, [], 1)) == {}
    assert shown(reading_it, visit.ask(reading_it, given, 4)) == {}
    assert "1 face" in shown(reading, visit.ask(reading, given, 3))["album-status"]
    example = shown(tried, visit.ask(tried, [], 5))["album-photos"]
    assert "0 of 3" in shown(reading_it, visit.ask(reading_it, [example, None], 6))["album-status"]


def test_a_photo_that_was_read_is_not_read_again_when_others_come_or_go(page, uploaded):
    visit, photo = Visit(page), uploaded["photo"]
    _, reading = visit.wired("album-photos", "upload")
    assert "1 face." in shown(reading, visit.ask(reading, [[photo], None], 1))["album-status"]
    Path(photo["path"]).unlink()
    assert "1 face." in shown(reading, visit.ask(reading, [[photo], None], 2))["album-status"]
    assert "Add photos" in shown(reading, visit.ask(reading, [None, None], 3))["album-status"]
    assert "not readable" in shown(reading, visit.ask(reading, [[photo], None], 4))["album-status"], "it was taken out"


def test_a_photo_that_comes_while_an_example_waits_is_not_overwritten_by_it(page, uploaded):
    visit = Visit(page)
    noted, *example = visit.wired("photo-example", "click")
    visit.ask(noted, [], 1)
    noted, *reading = visit.wired("photo", "upload")
    visit.ask(noted, [], 3)
    assert not noted.queue
    assert shown(example[0], visit.ask(example[0], [], 2)) == {}
    assert "1 face found" in shown(reading[0], visit.ask(reading[0], [uploaded["photo"]], 4))["status"]


def test_a_photo_is_taken_out_at_once_though_it_still_waits_to_be_read(page, uploaded):
    visit = Visit(page)
    noted, reading = visit.wired("own-photo", "upload")
    (gone,) = visit.wired("own-photo", "clear")
    visit.ask(noted, [], 1)
    visit.ask(gone, [], 3)
    assert not gone.queue
    assert shown(reading, visit.ask(reading, [uploaded["photo"]], 2)) == {}


def test_clips_wait_in_one_queue_by_whichever_door_they_come(page):
    doors = {one.api_name: one for one in page.fns.values() if one.api_name in ("read_clip", "analyze_video")}
    assert len(doors) == 2
    assert {(one.concurrency_id, one.concurrency_limit) for one in doors.values()} == {(runs.CLIPS, 2)}
