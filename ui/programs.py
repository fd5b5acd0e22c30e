"""Endpoints that are made for programs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from emotion_model.faces.detection import FINDERS

DETECTOR = " or ".join(f'"{name}"' for name in FINDERS)  # in answers, as descriptions put it


def for_programs(function: Callable[..., Any]) -> Callable[..., Any]:
    """An endpoint that is no tool for agents, though Gradio makes one of each."""
    plain: Any = getattr(function, "__func__", function)
    plain._mcp_type = "none"
    return function
