"""Where things lie: the project, and real photos, clips and faces, where the environment names them."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ORT = ROOT / "tests" / "node_modules" / "onnxruntime-web" / "dist"  # what runs networks in browsers and in Node


def media(name: str) -> Path:
    """A real photo or clip; the test is skipped where EMOTION_TEST_MEDIA does not give it."""
    folder = os.environ.get("EMOTION_TEST_MEDIA")
    if not folder or not (Path(folder) / name).is_file():
        pytest.skip(f"EMOTION_TEST_MEDIA names no folder with {name}")
    return Path(folder) / name


def fer2013() -> Path:
    """The data set's folder; the test is skipped where EMOTION_TEST_DATA does not give it."""
    folder = os.environ.get("EMOTION_TEST_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("EMOTION_TEST_DATA names no folder with FER2013")
    return Path(folder)
