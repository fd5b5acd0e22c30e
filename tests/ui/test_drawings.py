"""The Model tab's figures."""

import re

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from emotion_model import ModelConfig
from emotion_model.network.config import BUNDLED_DIR, CONFIG_FILE, FIGURES_DIR, FIGURES_RECORD
from ui.drawings import drawings, routes


@pytest.fixture
def server():
    return TestClient(Starlette(routes=routes(BUNDLED_DIR)))


def test_the_page_holds_their_addresses_alone_and_the_server_has_what_is_there(server):
    config = ModelConfig.from_json((BUNDLED_DIR / CONFIG_FILE).read_text(encoding="utf-8"))
    html = drawings(BUNDLED_DIR / FIGURES_DIR, config)
    assert len(html) < 10_000 and "data:" not in html, "every visitor is sent this, and few look at it"
    addresses = re.findall(r'loading="lazy" src="([^"]*)"', html)
    assert len(addresses) == 6
    for address in addresses:
        answer = server.get(f"/{address}")
        assert answer.headers["content-type"] == "image/png" and "immutable" in answer.headers["cache-control"]
        assert answer.content == (BUNDLED_DIR / FIGURES_DIR / address.rsplit("/", 1)[1]).read_bytes()


@pytest.mark.parametrize("name", ["nothing.png", "../config.json", "%2e%2e%2fconfig.png", "figures.json"])
def test_nothing_else_of_the_models_folder_is_given_out(server, name):
    assert server.get(f"/figures/0/{name}").status_code == 404


def test_a_figure_drawn_anew_has_another_address(tmp_path):
    pages = set()
    for drawn in ("confusion.png", "per_class.png"):
        (tmp_path / "curves.png").write_bytes((BUNDLED_DIR / FIGURES_DIR / drawn).read_bytes())
        pages.add(re.search('src="([^"]*)"', drawings(tmp_path, ModelConfig()))[1])
    assert len(pages) == 2 and all(address.endswith("/curves.png") for address in pages)


def test_a_model_without_them_says_so(tmp_path):
    assert "No figures." in drawings(tmp_path, ModelConfig())


@pytest.mark.parametrize("content", [b"version https://git-lfs.github.com/spec/v1\n", b"", b"\x89PNG\r\n\x1a\n\0IHDR"])
def test_what_is_no_picture_is_left_out(tmp_path, content):
    (tmp_path / "confusion.png").write_bytes(content)
    assert "No figures." in drawings(tmp_path, ModelConfig())
    (tmp_path / "curves.png").write_bytes((BUNDLED_DIR / FIGURES_DIR / "curves.png").read_bytes())
    html = drawings(tmp_path, ModelConfig())
    assert "curves.png" in html and "confusion.png" not in html


@pytest.mark.parametrize(
    ("record", "shown"),
    [
        (None, True),  # pulled from a repository that was published without one
        ('{"weights_sha256": "own"}', True),
        ('{"weights_sha256": "former"}', False),
        ("[", False),
        ("[]", False),
        ("[" * 100_000, False),
    ],
)
def test_figures_of_another_model_are_not_shown(tmp_path, record, shown):
    (tmp_path / "curves.png").write_bytes((BUNDLED_DIR / FIGURES_DIR / "curves.png").read_bytes())
    if record is not None:
        (tmp_path / FIGURES_RECORD).write_text(record)
    html = drawings(tmp_path, ModelConfig(weights={"sha256": "own"}))
    assert ("curves.png" in html) is shown and ("drawn of another one" in html) is not shown
