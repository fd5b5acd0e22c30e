"""Whose answer a visitor still waits for."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import gradio as gr
from starlette.types import ASGIApp, Receive, Scope, Send

_NUMBER = "emotion_lens.number"
_numbers = itertools.count(1)
_VISITORS = 1000  # whose latest is remembered

# What is said where there was no answer: the queue was full, or something unforeseen went wrong. What was sent before
# the server was started anew is not there any more, and has to be sent again.
NOT_TAKEN = "Too many are waiting, or the fault is ours: "


class Numbered:
    """ASGI middleware: numbers all requests as they come.

    What waits in one queue of Gradio is begun in that order, but each in a thread of its own: two that were sent in one
    breath may come to their first line the other way round.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its number."""
        scope[_NUMBER] = next(_numbers)
        await self.app(scope, receive, send)


def asked(request: gr.Request) -> int:
    """The number of a request that went through `Numbered`; of any other the next one."""
    scope = request.request.scope if request.request else {}
    return scope.get(_NUMBER) or next(_numbers)


def remember(latest: dict[Any, Any], session: str | None, value: Any) -> None:
    """Note a visitor's latest; of more than so many, whoever's is oldest is forgotten. No other thread may be at it."""
    latest.pop(session, None)
    latest[session] = value
    if len(latest) > _VISITORS:
        del latest[next(iter(latest))]


class Turns:
    """What each visitor of a tab has asked for last: the answers to what they asked before end at their next step."""

    def __init__(self) -> None:
        self._newest: dict[str | None, int] = {}
        self._lock = threading.Lock()

    def newest(self, session: str | None, number: int, steps: Iterator[Any]) -> Iterator[Any]:
        """The steps of an answer, as long as the visitor has asked for nothing else, by the numbers of the questions.

        One that gives way ends with a step that changes nothing: Gradio sends the last one once more when the answer is
        over. A whole answer does not: the page would take what is sent behind it as a change of the very objects that
        it may be about to show.
        """
        self.note(session, number)
        for step in steps:
            if self._newest.get(session, number) > number:
                yield gr.skip()
                return
            yield step

    def note(self, session: str | None, number: int) -> bool:
        """Something was asked for, though its answer may have to wait: those before end. Whether it is the newest."""
        with self._lock:
            newest = max(number, self._newest.get(session, 0))
            remember(self._newest, session, newest)
        return newest == number


def by_the_page(outputs: Sequence[Any], values: Iterable[Any]) -> dict[str, Any]:
    """A listener by which the page itself shows these values: a late answer would take away what came after."""
    return _in_page([], outputs, json.dumps(list(values)))


def by_what_is_given(inputs: Sequence[Any], outputs: Sequence[Any], nothing: Any, something: Any) -> dict[str, Any]:
    """A listener by which the page itself shows one of two things, at once: it knows best what is handed in by now.

    Args:
        inputs: where something may be handed in.
        outputs: what is changed.
        nothing: their values where no input has anything.
        something: their values else.
    """
    return _in_page(inputs, outputs, f"given.some(there) ? {json.dumps(list(something))} : {json.dumps(list(nothing))}")


def without_what_is_gone(inputs: Sequence[Any], outputs: Sequence[Any], nothing: Any, answer: Any) -> dict[str, Any]:
    """A listener behind an answer, for what was taken out while the answer was on its way: the page empties itself.

    Args:
        inputs: where something was handed in.
        outputs: what the answer has changed.
        nothing: their values without an answer.
        answer: the one of them that has something only where there was something to show.
    """
    gone, same = "there(given.pop()) && !given.some(there)", [gr.skip()] * len(outputs)
    return _in_page([*inputs, answer], outputs, f"{gone} ? {json.dumps(list(nothing))} : {json.dumps(same)}")


def _in_page(inputs: Sequence[Any], outputs: Sequence[Any], values: str) -> dict[str, Any]:
    """Shows values that a script works out; it has those of the inputs in `given`, and knows which are `there`."""
    there = "const there = one => Boolean(one) && one.length !== 0;"
    return {
        "fn": None,
        "inputs": list(inputs),
        "outputs": list(outputs),
        "js": f"(...given) => {{ {there} return {values}; }}",
        "api_visibility": "private",
    }
