"""How the page looks where somebody shares its address: the picture and the sentence of the preview."""

from __future__ import annotations

import os
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import BaseRoute, Route

PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "social.jpg"  # 1200 x 630 pixels
SENTENCE = "See which emotion each face shows, and how it changes: live, in photos and in clips."


def preview() -> dict[str, str]:
    """What Gradio's page template puts into the tags of the preview."""
    # Spaces say by which names they are reached, their own domain the last; previews want whole addresses.
    host = os.environ.get("SPACE_HOST", "").partition(",")[0]
    return {"thumbnail": f"{f'https://{host}' if host else ''}/{PICTURE.name}", "simple_description": SENTENCE}


def routes() -> list[BaseRoute]:
    """The picture, for the app that serves the page."""

    async def answer(request: Request) -> FileResponse:
        return FileResponse(PICTURE)

    return [Route(f"/{PICTURE.name}", answer)]
