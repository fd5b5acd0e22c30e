"""The preview of the page's address."""

from io import BytesIO

from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from ui import social


def test_the_preview_names_a_picture_that_is_served(monkeypatch):
    monkeypatch.delenv("SPACE_HOST", raising=False)
    address = social.preview()["thumbnail"]
    answer = TestClient(Starlette(routes=social.routes())).get(address)
    assert answer.headers["content-type"] == "image/jpeg" and len(answer.content) < 300_000
    assert Image.open(BytesIO(answer.content)).size == (1200, 630)
    monkeypatch.setenv("SPACE_HOST", "user-lens.hf.space")
    assert social.preview()["thumbnail"] == f"https://user-lens.hf.space{address}"
    monkeypatch.setenv("SPACE_HOST", "user-lens.hf.space,lens.example.org")
    assert social.preview()["thumbnail"] == f"https://user-lens.hf.space{address}"
