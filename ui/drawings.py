"""The figures that `train.report` drew of a model, in the Model tab; they travel when somebody looks at them."""

from __future__ import annotations

from html import escape
from pathlib import Path

from PIL import Image
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import BaseRoute, Route

from emotion_model.files import digest_of
from emotion_model.network.config import FIGURES_DIR, ModelConfig, figures_are_of
from ui.browser.networks import FOR_EVER
from ui.cards import status

FOLDER = "figures"  # of the addresses
# In the order of the page, and what each answers.
_FIGURES = {
    "confusion": "Which emotion is taken for which?",
    "per_class": "How well is each emotion recognised?",
    "reliability": "Is it as often right as it is sure?",
    "mistakes": "Where is it wrong and sure of it?",
    "robustness": "How does it do on poor pictures?",
    "curves": "How did the training go?",
}


def drawings(folder: Path, config: ModelConfig) -> str:
    """The figures that `train.report` drew of a model, as far as they lie in the folder; else a sentence.

    Those that came with a model from the Hub may lack the record which says whose they are, and are taken for its own.
    """
    if figures_are_of(config, folder) is False:
        return status("No figures.", "Those that lie beside this model were drawn of another one.", "quiet")
    drawn = [(folder / f"{name}.png", question) for name, question in _FIGURES.items()]
    found = "".join(_drawing(path, question) for path, question in drawn if path.is_file())
    if not found:
        return status("No figures.", "This model came without them, or they could not be fetched.", "quiet")
    return f'<div class="drawings">{found}</div>'


def routes(folder: Path) -> list[BaseRoute]:
    """The figures in a model's folder, for the app that serves the page."""

    async def answer(request: Request) -> FileResponse:
        name = request.path_params["name"]
        path = folder / FIGURES_DIR / f"{name}.png"
        if name not in _FIGURES or not path.is_file():
            raise HTTPException(404)
        return FileResponse(path, headers={"Cache-Control": FOR_EVER})

    return [Route(f"/{FOLDER}/{{digest}}/{{name}}.png", answer)]


def _drawing(path: Path, question: str) -> str:
    try:
        with Image.open(path) as picture:
            width, height = picture.size
            says = picture.info.get("Description", question)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return ""  # such as the pointer that git leaves where it has no LFS
    digest = digest_of(path)[:16]
    return (
        f'<figure><figcaption>{escape(question)}</figcaption><img loading="lazy" src="{FOLDER}/{digest}/{path.name}" '
        f'width="{width}" height="{height}" alt="{escape(says)}"></figure>'
    )
