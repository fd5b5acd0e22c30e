"""Errors that a program can tell apart, and a person can read."""

from __future__ import annotations


class CodedError(ValueError):
    """Something given cannot be used.

    Attributes:
        code: what is wrong, for programs; each kind of error lists its own.

    The message is one sentence for the person who gave it.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    def __reduce__(self) -> tuple[type, tuple[str, str]]:  # or no worker process could hand it over
        return type(self), (self.code, str(self))
