"""Requests that Gradio would answer without saying what to do, or read further than this server can afford.

And answers that would go out larger, or more often, than slow connections can bear.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from typing import Any
from urllib.parse import quote

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from gradio import mcp, queueing, route_utils, routes
from gradio.data_classes import PredictBodyInternal
from gradio.queueing import Queue
from gradio.route_utils import API_PREFIX, FileUploadProgress, FnIndexInferError, GradioMultiPartParser
from gradio.state_holder import SessionState, StateHolder
from gradio.utils import get_upload_folder
from gradio_client.utils import handle_file, is_http_url_like
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ui.browser.networks import FOR_EVER
from ui.fetching import has_room, unpack
from ui.refusals import (
    BAD_BASE64,
    FAILED,
    FULL,
    INCOMPLETE_BY_NAME,
    LARGE_REQUEST,
    LONG_SESSION,
    NO_ADDRESS,
    NO_FORM,
    NO_ROOM,
    NO_SUCH_NAME,
    NOT_OURS,
    NOT_UNDERSTOOD,
    NOTHING_WAITS,
    TOO_LARGE,
    TOO_LARGE_UPLOAD,
    UNKNOWN,
)
from ui.sweeping import KEEP_SECONDS
from ui.sweeping import SWEEP_SECONDS as LOOK_SECONDS
from ui.turns import Numbered
from ui.video.runs import CLIPS, CLIPS_IN_QUEUE

UPLOAD_REFUSALS = {400: (NO_FORM, "bad_request"), 413: (TOO_LARGE_UPLOAD, "too_large"), 422: (NO_FORM, "bad_request")}

UPLOAD = f"{API_PREFIX}/upload"
RECORDING = f"{API_PREFIX}/process_recording"
FILE_ELSEWHERE = re.compile(f"{API_PREFIX}/file[=/]https?://")
ONE_STEP = re.compile(f"{API_PREFIX}/(?:run|api)/")
NO_CODE = "Error"  # the title that Gradio gives errors of its own
RESULT = re.compile("/call/(?:v2/)?[^/]+/(?P<id>[^/]+)$")

# Bytes; the largest picture as base64 text has 14 million, and of a somewhat larger one its endpoint says what to do.
LARGEST_REQUEST = 24 * 2**20
# Bytes; the page sends all photos of an album in one upload, 200 of 10 MB, which have a tenth to spare.
LARGEST_UPLOAD = 2200 * 2**20
LONGEST_SESSION = 64  # characters of a session's name; those of Gradio's page have eleven, of its client 36
COMPRESSION = 4  # of the page, 1..9; 9 takes twice as long for two hundredths less
LARGEST_FIELD = 1024  # bytes of one that is no file in an upload; Gradio has no use for any


def _says(error: str, title: str, status: int) -> JSONResponse:
    return JSONResponse({"error": error, "title": title}, status)


def _refused(_: Request, error: Exception) -> JSONResponse:
    """As FastAPI answers, but for the two that tell visitors nothing that they could do."""
    status, detail = getattr(error, "status_code", 500), str(getattr(error, "detail", error))
    if status == 413 and detail != LARGE_REQUEST:
        detail = TOO_LARGE
    elif "Queue is full" in detail:
        detail = FULL
    return JSONResponse({"detail": detail, "error": detail}, status, getattr(error, "headers", None))


def _refused_by_name(request: Request, error: Exception) -> JSONResponse:
    """What Gradio trips over where a call names its values, before it looks at any; other errors are our fault.

    Raises:
        Exception: the error, where it is another one.
    """
    if "/call/v2/" in request.url.path:
        if error.args == (f"/{request.path_params['api_name']}",):
            return _says(UNKNOWN, "unknown_endpoint", 404)
        if "No value provided" in str(error):
            return _says(INCOMPLETE_BY_NAME, "missing", 422)
        if "not a valid key-word argument" in str(error):
            return _says(NO_SUCH_NAME, "bad_request", 422)
    raise error


def _route(scope: Scope) -> str:
    """The path of a request behind the one that the whole page may stand under."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


class SmallFields(GradioMultiPartParser):
    """Gradio's reader of uploads; that would keep a field that is no file in memory, however long it is."""

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        """A piece of a field has come."""
        part = self._current_part
        if part.file is None and len(part.data) + end - start > LARGEST_FIELD:
            raise MultiPartException(NO_FORM)
        super().on_part_data(data, start, end)


class UploadsUnderWay(FileUploadProgress):
    """How far uploads have come, for the page; Gradio would note each that it was asked about for ever."""

    async def is_tracked(self, upload_id: str) -> bool:
        """Wait until an upload begins."""
        try:
            return await super().is_tracked(upload_id)
        except asyncio.CancelledError:  # it did not
            self._signals.pop(upload_id, None)
            raise

    def stop_tracking(self, upload_id: str) -> None:
        """An upload has ended, or nobody follows it any more."""
        super().stop_tracking(upload_id)
        self._signals.pop(upload_id, None)


class AgentsServer(mcp.GradioMCPServer):
    """Gradio's server for agents.

    That would quote all of what is no address, and keep what a data URL holds.
    """

    def convert_strings_to_filedata(self, value: Any, filedata_positions: list[list[str | int]]) -> Any:
        """Files of the addresses and data URLs that an agent has sent; no tool takes them deeper inside."""
        return {
            name: _as_file(given) if [name] in filedata_positions and isinstance(given, str) else given
            for name, given in value.items()
        }


def _as_file(given: str) -> dict[str, Any]:
    """A file as Gradio takes it. One of a data URL has an address too: Gradio's client would upload another copy.

    Raises:
        ValueError: it is neither an address nor a data URL.
    """
    if given.startswith("data:"):
        try:
            path = unpack(given, get_upload_folder())
        except ValueError:
            raise ValueError(BAD_BASE64) from None
        given = f"http://localhost{API_PREFIX}/file={quote(str(path))}"
    if not is_http_url_like(given):
        raise ValueError(NO_ADDRESS)
    return handle_file(given)


class NamedSessions(StateHolder):
    """Gradio's sessions, by names that callers choose; those would be kept in thousands of places, however long."""

    def __getitem__(self, session_id: str) -> SessionState:
        """The session that a call names, which comes before all else that is done with the name.

        Raises:
            HTTPException: the name is too long.
        """
        if len(session_id) > LONGEST_SESSION:
            raise HTTPException(422, LONG_SESSION)
        return super().__getitem__(session_id)


class FairQueue(Queue):
    """Gradio's queue.

    Clips, which take minutes, would fill the whole of it, and nobody's photo would be taken. And what nobody reads, of
    a clip some 30 MB for each face, would lie there until thousands of others had come; the names of those who read all
    of theirs would for ever.
    """

    def __init__(self, *settings: Any, **others: Any) -> None:
        """Gradio's settings."""
        super().__init__(*settings, **others)
        self._unread: dict[str, tuple[frozenset[str], float]] = {}  # by session: events, and since when only these
        self._looks = False

    async def push(self, body: PredictBodyInternal, request: Request, username: str | None) -> Any:
        """Take a call, but not one for another clip where so many wait; its result is kept as long as files are."""
        if body.fn_index is not None and route_utils.get_fn(self.blocks, None, body).concurrency_id == CLIPS:
            clips = self.event_queue_per_concurrency_id.get(CLIPS)
            if clips and len(clips.queue) >= CLIPS_IN_QUEUE:
                return False, FULL, "queue_full"
        answer = await super().push(body, request, username)
        if not self._looks:  # one timer for all: one for each call would itself take memory for as long
            self._looks = True
            asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look)
        return answer

    def _look(self) -> None:
        """Drop what sessions have not read for so long, and look again while anything lies here."""
        now, before = time.monotonic(), self._unread
        self._unread, busy = {}, {event.session_hash for event in self.event_ids_to_events.values()}
        for session in {*self.pending_messages_per_session, *self.pending_event_ids_session}:
            events = frozenset(self.pending_event_ids_session.get(session, ()))
            same, since = before.get(session, (None, now))
            if events != same or session in busy:  # new, or something is still being made
                since = now
            if now - since < (KEEP_SECONDS if events else LOOK_SECONDS):
                self._unread[session] = events, since
            else:
                self.pending_event_ids_session.pop(session, None)
                self.pending_messages_per_session.pop(session, None)
        self._looks = bool(self._unread)
        if self._looks:
            asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look)


def replace_parts() -> None:
    """Let the classes above stand for Gradio's, which it makes by name, and takes no others."""
    route_utils.GradioMultiPartParser = SmallFields  # type: ignore[misc]
    mcp.GradioMCPServer = AgentsServer  # type: ignore[misc]
    routes.StateHolder = NamedSessions  # type: ignore[misc]
    queueing.Queue = FairQueue  # type: ignore[misc]
    routes.file_upload_statuses = UploadsUnderWay()


class RefusedUploads:
    """ASGI middleware: Gradio's upload route answers in words of its own, which no handler of exceptions sees."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on, but for the answer to an upload that was refused."""
        if scope["type"] != "http" or _route(scope) != UPLOAD:
            await self.app(scope, receive, send)
            return
        refused = False

        async def answer(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start" and message["status"] in UPLOAD_REFUSALS:
                refused = True
                await _says(*UPLOAD_REFUSALS[message["status"]], message["status"])(scope, receive, send)
            elif not refused:
                await send(message)

        await self.app(scope, receive, answer)


class RefusedInOneStep:
    """ASGI middleware: a call in one step that is refused gets status 500 of Gradio, as if the fault were ours."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on, but for that status where the answer has a code as title."""
        if scope["type"] != "http" or not ONE_STEP.match(_route(scope)):
            await self.app(scope, receive, send)
            return
        failed: Message | None = None

        async def answer(message: Message) -> None:
            nonlocal failed
            if message["type"] == "http.response.start" and message["status"] == 500:
                failed = message  # the body, which comes next, tells what it is
                return
            if failed:
                title = json.loads(message["body"]).get("title", NO_CODE)
                status = 500 if title == NO_CODE else 503 if title == "busy" else 422
                await send({**failed, "status": status})
                failed = None
            await send(message)

        await self.app(scope, receive, answer)


class AnswerableRequests:
    """ASGI middleware: what Gradio would wait for in vain, fetch from elsewhere or work at for nobody, is refused."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is not refused."""
        refusal = _refusal(scope) if scope["type"] == "http" else None
        await (refusal or self.app)(scope, receive, send)


def _refusal(scope: Scope) -> JSONResponse | None:
    # For a result that was read before Gradio waits for ever, at an id that it never gave it breaks.
    place = RESULT.search(scope["path"]) if scope["method"] == "GET" else None
    if place and not _waits(scope["app"].get_blocks()._queue, place["id"]):
        return _says(NOTHING_WAITS, "unknown_id", 404)
    # It would hand on any file that anybody may open, however large, as if it lay here.
    if FILE_ELSEWHERE.match(_route(scope)):
        return _says(NOT_OURS, "not_uploaded", 403)
    # Nothing on the page asks for it: it would cut anybody's clips, however many, and leave them beside the uploads.
    if _route(scope) == RECORDING:
        return _says(UNKNOWN, "unknown_endpoint", 404)
    return None


def _waits(queue: Queue, event: str) -> bool:
    return event in queue.event_ids_to_events or any(event in ids for ids in queue.pending_event_ids_session.values())


class BoundedRequests:
    """ASGI middleware: of an upload Gradio bounds each file alone; all else it reads whole before it looks at it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is not too large."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        upload = _route(scope) == UPLOAD
        limit = max(LARGEST_UPLOAD, scope["app"].get_blocks().max_file_size or 0) if upload else LARGEST_REQUEST
        length = Headers(scope=scope).get("content-length", "")
        if length.isdigit() and int(length) > limit:
            refusal = {"error": LARGE_REQUEST, "detail": LARGE_REQUEST, "title": "too_large"}
            await JSONResponse(refusal, 413)(scope, receive, send)  # to an upload `RefusedUploads` says something else
            return
        coming = int(length) if length.isdigit() else limit
        if upload and not has_room(coming):
            await _says(NO_ROOM, "busy", 503)(scope, receive, send)
            return
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > limit and upload:  # in the words of Gradio, which then removes what it has written of it
                raise MultiPartException("maximum allowed size")
            if taken > limit:
                raise HTTPException(413, LARGE_REQUEST)
            return message

        await self.app(scope, counted, send)


class CompressedPage:
    """ASGI middleware: Gradio compresses only what has an ending in its path, and so not the page itself."""

    def __init__(self, app: ASGIApp) -> None:
        self.app, self.compressed = app, GZipMiddleware(app, compresslevel=COMPRESSION)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on; the page comes back compressed where the browser takes it so."""
        page = scope["type"] == "http" and scope["method"] == "GET" and _route(scope) == "/"
        await (self.compressed if page else self.app)(scope, receive, send)


class KeptScripts:
    """ASGI middleware: browsers keep Gradio's scripts and styles, in whose names is the digest of their content.

    Gradio says nothing of that, nor does it ever answer that one has not changed.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on."""

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 200:
                MutableHeaders(scope=message)["Cache-Control"] = FOR_EVER
            await send(message)

        script = scope["type"] == "http" and _route(scope).startswith("/assets/")
        await self.app(scope, receive, told if script else send)


# For FastAPI, as `launch(app_kwargs=...)` takes them.
APP_OPTIONS: dict[str, Any] = {
    "exception_handlers": {
        RequestValidationError: lambda *_: _says(NOT_UNDERSTOOD, "bad_request", 422),
        FnIndexInferError: lambda *_: _says(UNKNOWN, "unknown_endpoint", 404),
        HTTPException: _refused,
        KeyError: _refused_by_name,
        TypeError: _refused_by_name,
        Exception: lambda *_: _says(FAILED, "failed", 500),
    },
    "middleware": [
        Middleware(Numbered),
        Middleware(CompressedPage),
        Middleware(KeptScripts),
        Middleware(RefusedUploads),
        Middleware(RefusedInOneStep),
        Middleware(AnswerableRequests),
        Middleware(BoundedRequests),
    ],
}
