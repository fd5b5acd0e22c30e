"""Calls of endpoints: what they are sent is had fetched, and said to be wrong where Gradio would say nothing."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Iterator
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import gradio as gr
from gradio.exceptions import InvalidPathError
from gradio.route_utils import API_PREFIX
from gradio.state_holder import SessionState
from gradio.utils import get_upload_folder, is_in_or_equal
from gradio_client.utils import is_http_url_like

from ui.fetching import AT_ONCE, TooLargeError, fetch, goes_with_its_call, has_room, unpack
from ui.inputs import MOST_BYTES
from ui.refusals import (
    ADDRESSES,
    BAD_BASE64,
    IN_STEPS,
    INCOMPLETE,
    NO_ROOM,
    NOT_UPLOADED,
    TOO_LARGE,
    UNREACHABLE,
    WRONG_KIND,
    Refusal,
)

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
        self._coming = asyncio.Semaphore(AT_ONCE)

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
                if options.get("session_hash") == options.get("event_id"):
                    self._forget_session(options.get("event_id"))
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
            if len(elsewhere) > 1:  # no endpoint needs two
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
        brought = address.startswith("data:")
        try:
            folder = get_upload_folder()
            # Elsewhere than where all requests are answered: a picture of 10 MB takes a while.
            if brought:
                path = await asyncio.to_thread(unpack, address, folder)
            else:
                async with self._coming:
                    if not has_room(limit or 0):
                        raise Refusal("busy", NO_ROOM)
                    path = await fetch(address, folder, limit)
        except TooLargeError:
            raise Refusal("too_large", TOO_LARGE) from None
        except gr.Error:
            raise
        except Exception:
            raise (Refusal("bad_base64", BAD_BASE64) if brought else Refusal("unreachable", UNREACHABLE)) from None
        _FETCHED.get([]).append(path)
        return path

    def forget_files(self) -> None:
        """Forget the names of files that are gone: Gradio notes each that comes or is shown, for its own sweeper.

        That one is not used here (`ui.sweeping` says why), and forgets no file that another hand has deleted.
        """
        for names in self.temp_file_sets:
            names.difference_update([name for name in list(names) if not Path(name).exists()])

    def _forget_session(self, event: Any) -> None:
        """Forget the session that Gradio makes, and names by the call, where a call came without one.

        It would keep it in the place of a visitor's: it keeps so many.
        """
        with self.state_holder.lock:
            self.state_holder.session_data.pop(event, None)
            self.state_holder.time_last_used.pop(event, None)

    def _remove(self, fetched: list[Path]) -> None:
        for path in fetched:
            with suppress(OSError):  # another hand was quicker
                path.unlink()
                path.parent.rmdir()


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
    """The files at addresses and in data URLs among the values.

    Those of this very server become the paths that they stand for.

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
    path = values.get("path") or values.get("url")
    if not isinstance(path, str):
        return
    values["path"] = path  # Gradio looks for the file nowhere else
    if path.startswith("data:"):
        yield values
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
