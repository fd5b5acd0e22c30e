"""The page as an MCP server, by a client of that protocol."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import Awaitable, Callable
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import mcp
import pytest
from mcp.client.streamable_http import streamable_http_client
from PIL import Image

from emotion_model import EMOTIONS
from support.apps import RunningApp, start_app
from support.clips import write_long_clip
from support.paths import ROOT


@pytest.fixture
def ask(app: RunningApp) -> Callable[[Callable[[Any], Awaitable[Any]]], Any]:
    """What a conversation with the server comes to."""
    return lambda conversation: asyncio.run(talk(app, conversation))


async def talk(app: RunningApp, conversation: Callable[[Any], Awaitable[Any]]) -> Any:
    async with (
        streamable_http_client(f"{app.url}/gradio_api/mcp/") as (read, write, _),
        mcp.ClientSession(read, write) as session,
    ):
        await session.initialize()
        return await conversation(session)


def upload(app: RunningApp, path: Path) -> str:
    """The address of a file that the server then has."""
    with path.open("rb") as file:
        (at,) = httpx.post(f"{app.url}/gradio_api/upload", files={"files": file}).json()
    return f"{app.url}/gradio_api/file={at}"


@pytest.fixture
def address(app: RunningApp) -> Callable[[Path], str]:
    return partial(upload, app)


def test_the_tools_say_what_they_take_and_give(ask):
    tools = {tool.name: tool for tool in ask(lambda session: session.list_tools()).tools}
    assert set(tools) == {"detect_image", "analyze_video", "model_info"}
    for tool in tools.values():
        assert "Returns" in tool.description and len(tool.description) > 100
        assert "seven" not in tool.description, "a model may have other emotions"
        assert all(len(about["description"]) > 20 for about in tool.inputSchema["properties"].values())
    assert set(tools["analyze_video"].inputSchema["properties"]) == {"clip", "rate", "start", "end"}
    assert tools["analyze_video"].inputSchema["required"] == ["clip"]


def test_a_photo_gives_numbers_and_the_annotated_picture(ask, address, photo):
    answer = ask(lambda session: session.call_tool("detect_image", {"photo": address(photo)}))
    text, picture, _ = answer.content
    (face,) = json.loads(text.text)["faces"]
    assert not answer.isError and face["emotion"] == "happy"
    with Image.open(BytesIO(base64.b64decode(picture.data))) as drawn, Image.open(photo) as original:
        assert drawn.size == original.size and drawn.tobytes() != original.convert("RGB").tobytes()


def test_a_clip_gives_people_and_progress(ask, address, clip):
    heard: list[str] = []

    async def listen(_: float, __: float | None, message: str | None) -> None:
        heard.append(message or "")

    asked = {"clip": address(clip), "rate": 0, "start": 0.5}
    answer = ask(lambda session: session.call_tool("analyze_video", asked, progress_callback=listen))
    told = json.loads(answer.content[0].text)
    (person,) = told["people"]
    assert told["notice"] == ""
    assert (person["first"], person["shares"]["happy"]) == (0.5, 1.0)
    assert len(heard) >= 2
    alone = ask(lambda session: session.call_tool("analyze_video", {"clip": asked["clip"]}))  # no progress wanted
    assert json.loads(alone.content[0].text)["people"][0]["first"] == 0.0


@pytest.fixture(scope="module")
def clips_of_agents(tmp_path_factory, film):
    """An app of its own and its folder; and a call about a clip that takes long to read."""
    folder = tmp_path_factory.mktemp("agents")
    long = write_long_clip(folder / "long.mp4", film, seconds=300)
    with start_app(folder, TMPDIR=str(folder)) as app:
        yield app, folder, {"clip": upload(app, long), "rate": 0}


def test_a_clip_is_read_no_further_for_an_agent_that_has_hung_up(clips_of_agents):
    app, folder, asked = clips_of_agents

    async def hang_up(session: Any) -> None:
        begun = asyncio.Event()

        async def listen(*_: Any) -> None:
            begun.set()

        call = asyncio.create_task(session.call_tool("analyze_video", asked, progress_callback=listen))
        await begun.wait()
        assert not list(folder.rglob("clip-*")), "no files are written for an agent"
        call.cancel()

    async def one_after_another() -> None:  # two are read at a time, so the third begins when one of them has ended
        async with asyncio.timeout(60):  # to the end all of them would take minutes
            for _ in range(12):
                await talk(app, hang_up)

    asyncio.run(one_after_another())


def test_where_many_agents_wait_for_clips_the_others_are_told_and_photos_are_read(clips_of_agents, photo):
    app, _, asked = clips_of_agents
    at = upload(app, photo)

    async def wait_for_all() -> tuple[set[str], Any]:
        calls = {
            asyncio.create_task(talk(app, lambda session: session.call_tool("analyze_video", asked))) for _ in range(45)
        }
        told: set[str] = set()
        waiting = calls
        while len(waiting) > 10:  # two are read at a time, and eight may wait
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            told |= {call.result().content[0].text for call in done}
        answer = await talk(app, lambda session: session.call_tool("detect_image", {"photo": at}))
        for call in waiting:
            call.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        return told, json.loads(answer.content[0].text)

    told, seen = asyncio.run(wait_for_all())
    assert told == {"Too many clips wait to be read: try again in a few minutes."}
    assert len(seen["faces"]) == 1


@pytest.mark.parametrize(
    ("tool", "asked", "said"),
    [
        ("detect_image", {"photo": "{text}"}, "This is not a picture that can be read"),
        ("analyze_video", {"clip": "{text}"}, "This is not a video that can be read"),
        ("analyze_video", {"clip": "{clip}", "start": 50}, "There is nothing from 50 s"),
        ("analyze_video", {"clip": "{clip}", "rate": -1}, "rate=-1"),
        ("detect_image", {"photo": "http://127.0.0.1:1/photo.jpg"}, "The file at this address cannot be had"),
        ("analyze_video", {"clip": "file:///etc/passwd"}, "Give the file's address (https://...)"),
        ("detect_image", {"photo": "data:image/jpeg;base64,AAA"}, "not valid base64: send it whole"),
        ("detect_image", {"photo": "data:image/jpeg;base64,Ä"}, "not valid base64: send it whole"),
        ("detect_image", {"photo": "QUJD" * 50_000}, "or a data URL (data:image/jpeg;base64,...)"),
        ("detect_image", {}, "'photo' is a required property"),
    ],
)
def test_what_cannot_be_read_is_told_in_a_sentence(ask, address, clip, tmp_path, tool, asked, said):
    (tmp_path / "text.jpg").write_text("no picture")
    known = {"{text}": address(tmp_path / "text.jpg"), "{clip}": address(clip)}
    answer = ask(
        lambda session: session.call_tool(tool, {name: known.get(value, value) for name, value in asked.items()})
    )
    told = answer.content[0].text
    assert answer.isError and said in told and len(told) < 300


def test_what_is_said_of_the_model_is_json(ask):
    answer = ask(lambda session: session.call_tool("model_info", {}))
    told = json.loads(answer.content[0].text)
    assert [label["name"] for label in told["labels"]] == list(EMOTIONS) and told["metrics"]["test"]["images"] == 3589


def test_files_in_the_call_itself_are_read_and_go_with_it(tmp_path, photo, clip):
    (tmp_path / "checkout").symlink_to(ROOT)  # so that the program starts as users start it, imports and all

    def data_url(path: Path, kind: str) -> str:
        return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"

    def left() -> list[Path]:
        return [Path(place, name) for place, _, names in os.walk(tmp_path) for name in names]

    async def both(session: Any) -> list[dict[str, Any]]:
        asked = {"photo": data_url(photo, "image/jpeg")}, {"clip": data_url(clip, "video/mp4"), "rate": 1}
        answers = [
            await session.call_tool(tool, one)
            for tool, one in zip(("detect_image", "analyze_video"), asked, strict=True)
        ]
        return [json.loads(answer.content[0].text) for answer in answers]

    with start_app(tmp_path, root=tmp_path / "checkout", TMPDIR=str(tmp_path)) as app:
        seen, followed = asyncio.run(talk(app, both))
        assert len(seen["faces"]) == len(followed["people"]) == 1
        sent = photo.read_bytes(), clip.read_bytes()
        assert [path for path in left() if path.is_file() and path.read_bytes() in sent] == []
    assert left() == [app.log] or set(left()) == {app.log, tmp_path / "checkout"}


def test_files_of_the_server_that_nobody_uploaded_stay_there(ask, app, photo):
    """Neither what lies elsewhere, nor by a way out of the uploads."""
    for path in (photo, f"{photo.parent}/../{photo.parent.name}/{photo.name}"):
        asked = {"photo": f"{app.url}/gradio_api/file={path}"}
        answer = ask(lambda session, asked=asked: session.call_tool("detect_image", asked))
        assert answer.isError and "cannot be had" in answer.content[0].text
