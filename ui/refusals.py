"""What Gradio itself would refuse without a word: a sentence that says what to do, and no path of the server."""

from __future__ import annotations

import re
import weakref
from collections.abc import Iterator
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import gradio as gr
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from gradio import mcp, route_utils
from gradio.exceptions import InvalidPathError
from gradio.queueing import Queue
from gradio.route_utils import API_PREFIX, FnIndexInferError, GradioMultiPartParser
from gradio.state_holder import SessionState
from gradio.utils import get_upload_folder, is_in_or_equal
from gradio_client.utils import handle_file, is_http_url_like
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ui.fetching import SECONDS, TooLargeError, fetch, goes_with_its_call, unpack
from ui.inputs import MOST_BYTES
from ui.turns import Numbered

NOT_UPLOADED = (
    "The file is not on this server, or no longer: choose it once more. Programs send it to /gradio_api/upload first, "
    "then the path that this answers (agents: the page's address with /gradio_api/file= and that path behind it)."
)
BAD_BASE64 = "The text of the data URL is not valid base64: send it whole, or the address of the file."
INCOMPLETE = 'Some values are missing: "data" has to hold one for each parameter, as /gradio_api/info lists them.'
UNREACHABLE = (
    f"The file at this address cannot be had, or not within {SECONDS} seconds: give an https address that anybody may "
    "open, or upload the file."
)
NO_ADDRESS = (
    "Give the file's address (https://...) or a data URL (data:image/jpeg;base64,...); a large file is sent to "
    "/gradio_api/upload first."
)
IN_STEPS = (
    "This endpoint answers again and again while it works: send the request to /gradio_api/call/ in the place of "
    "/gradio_api/run/, then read what comes under the id that this answers, or use gradio_client."
)
ADDRESSES = "A call may give one file at an address: upload the others."
WRONG_KIND = "A value is not of the kind that this endpoint takes: /gradio_api/info lists what each parameter is."
NOT_UNDERSTOOD = 'The request was not understood: send JSON such as {"data": [...]}, as /gradio_api/info describes it.'
NOTHING_WAITS = (
    "Nothing waits under this id: it was read already, or is not one that this server gave. Send the request again."
)
UNKNOWN = "There is no such endpoint: /gradio_api/info lists those that there are."
TOO_LARGE = "The file is larger than this server takes: make it smaller, or cut it, and try again."
TOO_LARGE_UPLOAD = "The upload is larger than this server takes: make it smaller, or send fewer files at once."
NOT_OURS = "Only this server's own files are to be had here: fetch this one from its own address."
FULL = "Too many are waiting at the moment: try again in a minute."
LARGE_REQUEST = (
    "The request is larger than the 24 MB that this server takes: send a file to /gradio_api/upload first, then the "
    "path that this answers."
)
NO_FORM = (
    "The upload was not understood: send it as multipart form data, each file with its name in a field named files."
)
FAILED = "That did not work, and the fault is ours: try once more, or send something else."

UPLOAD_REFUSALS = {400: (NO_FORM, "bad_request"), 413: (TOO_LARGE_UPLOAD, "too_large"), 422: (NO_FORM, "bad_request")}

UPLOAD = f"{API_PREFIX}/upload"
FILE_ELSEWHERE = re.compile(f"{API_PREFIX}/file[=/]https?://")
RESULT = re.compile("/call/[^/]+/(?P<id>[^/]+)$")

# Bytes; the largest picture as base64 text has 14 million, and of a somewhat larger one its endpoint says what to do.
LARGEST_REQUEST = 24 * 2**20
# Bytes; the page sends all photos of an album in one upload, 200 of 10 MB, which have a tenth to spare.
LARGEST_UPLOAD = 2200 * 2**20
LARGEST_FIELD = 1024  # bytes of one that is no file in an upload; Gradio has no use for any

_FETCHED: ContextVar[list[Path]] = ContextVar("fetched")  # the files that go when a call ends


class Page(gr.Blocks):
    """A page whose endpoints say what was wrong with what they were sent, and whose sessions keep nothing of it.

    Gradio notes in a visitor's session every value that it is sent and every one that it answers, pictures too, for
    links to the page as it stands; there they would lie until many others have come. This page offers no such links.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # What to do when a call ends that answers in steps, by the iterator that is handed from step to step.
        self._ends: weakref.WeakKeyDictionary[Any, weakref.finalize] = weakref.WeakKeyDictionary()

    async def process_api(self, block_fn: Any, *args: Any, **options: Any) -> dict[str, Any]:
        """As Gradio does it; what a call has had fetched, or has brought along, goes when the call ends.

        Raises:
            gr.Error: a call in one step asks for what answers in many, of which it would be given the first.
        """
        if getattr(block_fn, "types_generator", False) and not options.get("event_id"):
            raise Refusal("bad_request", IN_STEPS)
        fetched: list[Path] = []
        token, answer, iterator = _FETCHED.set(fetched), None, options.get("iterator")
        try:
            answer = await super().process_api(block_fn, *args, **options)
        finally:
            _FETCHED.reset(token)
            if not answer or not answer["is_generating"]:
                self._remove(fetched)
                if iterator in self._ends:
                    self._ends.pop(iterator)()
            elif fetched:
                last = answer["iterator"]  # a call that is cancelled between two steps ends with it
                self._ends[last] = weakref.finalize(last, self._remove, fetched)
        return answer

    async def preprocess_data(
        self, block_fn: Any, inputs: Any, state: SessionState | None, explicit_call: bool = False
    ) -> Any:
        """As Gradio does it.

        A component that has been sent an update is another one from then on in that session; how its values are read
        is taken over here, where that was set on it.

        Raises:
            gr.Error: the values cannot be used, with a code as title.
        """
        try:
            given = zip(block_fn.inputs, inputs, strict=False)
            elsewhere = [(block, file) for block, value in given for file in _elsewhere(value)]
            if len(elsewhere) > 1:  # no endpoint needs two, and while files come, their call keeps a place from others
                raise Refusal("bad_request", ADDRESSES)
            for block, file in elsewhere:
                file["path"] = str(await self._fetched(file["path"], block))
            for block in block_fn.inputs:
                if "preprocess" in vars(block) and state is not None and block._id in state:
                    state[block._id].preprocess = block.preprocess
            return await super().preprocess_data(block_fn, inputs, state, explicit_call)
        except gr.Error:
            raise
        except Exception as error:
            raise _refusal(error) from None
        finally:
            _forget(state)

    async def postprocess_data(self, block_fn: Any, predictions: Any, state: SessionState | None) -> list[Any]:
        """As Gradio does it."""
        try:
            return await super().postprocess_data(block_fn, predictions, state)
        finally:
            _forget(state)

    async def _fetched(self, address: str, block: Any) -> Path:
        if not getattr(block, "data_model", None):  # a plain value
            raise Refusal("bad_request", WRONG_KIND)
        limit = MOST_BYTES if isinstance(block, gr.Image) else self.max_file_size
        try:
            path = await fetch(address, get_upload_folder(), limit)
        except TooLargeError:
            raise Refusal("too_large", TOO_LARGE) from None
        except Exception:
            raise Refusal("unreachable", UNREACHABLE) from None
        _FETCHED.get([]).append(path)
        self.upload_file_set.add(str(path))  # deleted when its time is over, as what is uploaded, if not before
        return path

    def _remove(self, fetched: list[Path]) -> None:
        for path in fetched:
            self.upload_file_set.discard(str(path))
            with suppress(OSError):  # another hand was quicker
                path.unlink()
                path.parent.rmdir()


class Refusal(gr.Error):
    """What is said of a value that cannot be used, with a code as title."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message, title=code, print_exception=False)

    def __str__(self) -> str:
        return self.message  # Gradio puts it into quotes


def _refusal(error: Exception) -> Exception:
    if isinstance(error, InvalidPathError):
        return Refusal("not_uploaded", NOT_UPLOADED)
    if isinstance(error, ValueError) and "enough input" in str(error):
        return Refusal("missing", INCOMPLETE)
    if isinstance(error, ValueError | TypeError | KeyError | AttributeError):
        return Refusal("bad_request", WRONG_KIND)
    return error


def _forget(state: SessionState | None) -> None:
    """Drop what Gradio has noted of a session's values; of one that it misses it notes the component anew."""
    if state:
        state.config_values.clear()


def _elsewhere(values: Any) -> Iterator[dict[str, Any]]:
    """The files at addresses among the values; those of this very server become the paths that they stand for.

    The page may not open addresses of its own machine, lest visitors look around there. Nor any of its files that were
    not uploaded: Gradio looks at the path of a file only where the request says that it is one.

    Raises:
        Refusal: a file was not uploaded.
    """
    if isinstance(values, list | tuple):
        for value in values:
            yield from _elsewhere(value)
        return
    if not isinstance(values, dict):
        return
    yield from _elsewhere(list(values.values()))
    path = values.get("path")
    if not isinstance(path, str):
        return
    if not is_http_url_like(path):
        if not _uploaded(path):
            raise Refusal("not_uploaded", NOT_UPLOADED)
        return
    own = unquote(urlsplit(path).path.partition(f"{API_PREFIX}/file=")[2])
    if own and _uploaded(own) and Path(own).is_file():
        values["path"] = own
        if goes_with_its_call(Path(own)):
            _FETCHED.get([]).append(Path(own))
    else:
        yield values


def _uploaded(path: str) -> bool:
    """Whether it is an uploaded file's path, and no folder, which would be read as the pictures of a sequence.

    The file may be gone: each tab has its own sentence for a visitor who took longer than files are kept.
    """
    try:
        return is_in_or_equal(path, get_upload_folder()) and (Path(path).is_file() or not Path(path).exists())
    except (OSError, ValueError):  # no file can have this name
        return False


def _not_understood(_: Request, __: Exception) -> JSONResponse:
    return JSONResponse({"error": NOT_UNDERSTOOD, "title": "bad_request"}, 422)


def _unknown(_: Request, __: Exception) -> JSONResponse:
    return JSONResponse({"error": UNKNOWN, "title": "unknown_endpoint"}, 404)


def _refused(_: Request, error: Exception) -> JSONResponse:
    """As FastAPI answers, but for the two that tell visitors nothing that they could do."""
    status, detail = getattr(error, "status_code", 500), str(getattr(error, "detail", error))
    if status == 413 and detail != LARGE_REQUEST:
        detail = TOO_LARGE
    elif "Queue is full" in detail:
        detail = FULL
    return JSONResponse({"detail": detail, "error": detail}, status, getattr(error, "headers", None))


def _failed(_: Request, __: Exception) -> JSONResponse:
    return JSONResponse({"error": FAILED, "title": "failed"}, 500)


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


class AgentsServer(mcp.GradioMCPServer):
    """Gradio's server for agents; that would quote all of what is no address, and keep what a data URL holds."""

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


# Gradio makes both by these names, and can be given no others.
route_utils.GradioMultiPartParser = SmallFields  # type: ignore[misc]
mcp.GradioMCPServer = AgentsServer  # type: ignore[misc]


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
                error, title = UPLOAD_REFUSALS[message["status"]]
                await JSONResponse({"error": error, "title": title}, message["status"])(scope, receive, send)
            elif not refused:
                await send(message)

        await self.app(scope, receive, answer)


class KnownResults:
    """ASGI middleware: for a result that was read before Gradio waits for ever, at an id it never gave it breaks."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what asks for no result, or for one that waits or is being made."""
        place = RESULT.search(scope["path"]) if scope["type"] == "http" and scope["method"] == "GET" else None
        if place and not _waits(scope["app"].get_blocks()._queue, place["id"]):
            await JSONResponse({"error": NOTHING_WAITS, "title": "unknown_id"}, 404)(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def _waits(queue: Queue, event: str) -> bool:
    return event in queue.event_ids_to_events or any(event in ids for ids in queue.pending_event_ids_session.values())


class OwnFiles:
    """ASGI middleware: Gradio would hand on any file that anybody may open, however large, as if it lay here."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what asks for no file elsewhere."""
        if scope["type"] == "http" and FILE_ELSEWHERE.match(_route(scope)):
            await JSONResponse({"error": NOT_OURS, "title": "not_uploaded"}, 403)(scope, receive, send)
        else:
            await self.app(scope, receive, send)


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


# For FastAPI, as `launch(app_kwargs=...)` takes them.
APP_OPTIONS: dict[str, Any] = {
    "exception_handlers": {
        RequestValidationError: _not_understood,
        FnIndexInferError: _unknown,
        HTTPException: _refused,
        Exception: _failed,
    },
    "middleware": [
        Middleware(Numbered),
        Middleware(RefusedUploads),
        Middleware(KnownResults),
        Middleware(OwnFiles),
        Middleware(BoundedRequests),
    ],
}
