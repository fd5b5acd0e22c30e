"""Shared parts: test photos, a tiny real model, the running app."""

from __future__ import annotations

from support import environment

environment.choose()  # before anything imports Keras

# isort: split
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

from emotion_model import EmotionDetector, Label, ModelConfig
from emotion_model.hub.forms import NEEDS
from emotion_model.network.architecture import ArchitectureConfig
from emotion_model.network.config import BUNDLED_DIR, CONFIG_FILE, WEIGHTS_FILE
from support import cameras, clips, warm
from support.apps import RunningApp, start_app
from support.models import TINY, write_config
from support.pages import BROWSER_FLAGS, WAIT
from support.paths import ORT, ROOT

# The property tests look at the same examples in every run, keep nothing on disk, and know no clock.
# EMOTION_TEST_EXAMPLES=5000 looks longer, and elsewhere each time.
LONGER = os.environ.get("EMOTION_TEST_EXAMPLES")
settings.register_profile("suite", max_examples=int(LONGER or 40), derandomize=not LONGER, deadline=None, database=None)
settings.load_profile("suite")

# Where nobody trains.
USE = ("archives/", "clips/", "faces/", "package/test_command_line", "package/test_pipeline", "page/", "ui/")
PACKAGE = ("package/test_command_line", "package/test_faults")
PROGRAMS = ("archives/test_archive", "docs/test_docs", "hub/", "page/", *PACKAGE)


# Why a test may be skipped though everything is there to test with.
NEVER_HERE = (
    "no graphics chip that chromium can use by WebGPU",
    "the cascade needs larger faces",
    "the cascade needs more light",
)

# The files that take longest, the longest first: begun last, one of them would run on alone.
LONGEST = (
    "train/test_fitting",
    "train/test_backends",
    "page/test_live_page",
    "archives/test_archive",
    "page/test_video_page",
    "page/test_private_live",
    "network/test_engines",
    "page/test_photo_page",
    "hub/",
    "train/",
)


def pytest_configure(config: pytest.Config) -> None:
    """All the processes of a run start their programs from one place, and begin there themselves."""
    if hasattr(config, "workerinput"):
        sys.executable = config.workerinput["python"]
        return
    programs = ExitStack()
    # A run that was stopped and one that goes on compile the same.
    os.environ["JAX_COMPILATION_CACHE_DIR"] = programs.enter_context(TemporaryDirectory(prefix="jax-"))
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    programs.enter_context(warm.interpreter())
    config.add_cleanup(programs.close)
    if config.getoption("tx", None):
        config.option.tx = [f"popen//python={warm.python()}" for _ in config.option.tx]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """What `sys.executable` is where workers are not forked."""
    node.workerinput["python"] = sys.executable


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what takes long, so that `make check` can leave it out, and begin with what takes longest."""
    items.sort(key=lambda item: _turn(item.path.relative_to(ROOT / "tests").as_posix()))
    for item in items:
        place = item.path.relative_to(ROOT / "tests").as_posix()
        if "chromium" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")
        if place.startswith("train/"):
            item.add_marker("training")
        if place.startswith(PROGRAMS):
            item.add_marker("programs")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """With EMOTION_TEST_COMPLETE=1, as in CI, a run fails that skips what could be tested there."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not os.environ.get("EMOTION_TEST_COMPLETE"):  # None: a worker, which sees a part of them
        return
    reasons = {report.longrepr[2].removeprefix("Skipped: ") for report in reporter.stats.get("skipped", [])}
    if missing := sorted(reasons - set(NEVER_HERE)):
        reporter.write_line(
            f"\nEMOTION_TEST_COMPLETE: nothing may be skipped because of: {'; '.join(missing)}", red=True
        )
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _turn(place: str) -> int:
    return next((turn for turn, one in enumerate(LONGEST) if place.startswith(one)), len(LONGEST))


@pytest.fixture(autouse=True)
def backend_of_users(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody trains, models and programs run on what users have, not on the backend that the tests train with."""
    if request.path.relative_to(ROOT / "tests").as_posix().startswith(USE):
        monkeypatch.delenv("KERAS_BACKEND", raising=False)


@pytest.fixture(scope="session")
def astronaut() -> np.ndarray:
    """A public-domain portrait with one smiling face: uint8 RGB (512, 512, 3)."""
    import skimage.data

    return skimage.data.astronaut()


@pytest.fixture(scope="session")
def surprised(astronaut: np.ndarray) -> np.ndarray:
    """The portrait with its smile painted over by an open mouth, which the bundled model takes for surprise."""
    picture = astronaut.copy()
    mouth = picture[122:165, 186:252]
    height, width = mouth.shape[:2]
    painted = np.full_like(mouth, np.median(astronaut[105:125, 195:245].reshape(-1, 3), axis=0).astype(np.uint8))
    cv2.ellipse(painted, (width // 2, round(height * 0.6)), (10, 16), 0, 0, 360, (40, 10, 10), -1)
    y, x = np.mgrid[0:height, 0:width]
    share = np.clip(1.6 - 1.6 * np.hypot(2 * x / width - 1, 2 * y / height - 1) ** 2, 0, 1)[..., None]
    mouth[:] = (share * painted + (1 - share) * mouth).astype(np.uint8)
    return picture


@pytest.fixture(scope="session")
def photo(astronaut: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photos") / "photo.jpg"
    Image.fromarray(astronaut).save(path, quality=95)
    return path


@pytest.fixture(scope="session")
def film(astronaut: np.ndarray) -> Callable[[float], np.ndarray]:
    """Time in seconds -> a picture of the portrait's face, gliding."""
    return clips.face_film(astronaut)


@pytest.fixture(scope="session")
def clip(film: Callable[[float], np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of the film, 320x240 at 10 frames a second, with sound; a name with a space, as people's have."""
    return clips.write_clip(tmp_path_factory.mktemp("clips") / "my clip.mp4", film, sound="aac")


@pytest.fixture(scope="session")
def crowd(astronaut: np.ndarray) -> np.ndarray:
    """The same face twenty times: uint8 RGB (800, 1000, 3)."""
    face = np.asarray(Image.fromarray(astronaut[0:260, 100:360]).resize((200, 200)))
    return np.tile(face, (4, 5, 1))


@pytest.fixture(scope="session")
def landscape() -> np.ndarray:
    """A picture without a face: uint8 RGB (240, 320, 3), a smooth gradient."""
    y, x = np.mgrid[0:240, 0:320]
    return np.stack([x * 255 // 319, y * 255 // 239, np.full_like(x, 120)], axis=-1).astype(np.uint8)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a real but untrained model."""
    import keras

    from emotion_model import build_model

    folder = tmp_path_factory.mktemp("tiny")
    keras.utils.set_random_seed(1)
    build_model(TINY).save(folder / WEIGHTS_FILE)
    (folder / CONFIG_FILE).write_text(ModelConfig().to_json(), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def detector() -> EmotionDetector:
    """The bundled model behind whichever face detector this machine has."""
    with environment.as_users_have_it():
        return EmotionDetector()


@pytest.fixture(scope="session")
def converters() -> None:
    """The packages that publishing needs; the test is skipped where one is missing."""
    for name in NEEDS:
        pytest.importorskip(name, reason=f"needs {name}: requirements-hub.txt")


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small untrained model of three classes with the bundled model's records, so that it has a card."""
    import keras

    from emotion_model import build_model

    folder = tmp_path_factory.mktemp("small")
    keras.utils.set_random_seed(2)
    shape = ArchitectureConfig(**(TINY.to_dict() | {"classes": 3, "image_size": 32}))
    build_model(shape).save(folder / WEIGHTS_FILE)
    config = json.loads((BUNDLED_DIR / CONFIG_FILE).read_text(encoding="utf-8"))
    config["labels"] = [vars(Label(name)) for name in ("calm", "bored", "amused")]
    config["preprocessing"]["image_size"] = 32
    config["architecture"] = shape.to_dict()
    config["temperature"] = 1.5
    config["weights"] |= {"sha256": None, "bytes": (folder / WEIGHTS_FILE).stat().st_size}
    scores = {"images": 9, "accuracy": 0.5556, "macro_f1": 0.5, "ece": 0.1}
    scores["per_class"] = {
        name: {"precision": 0.5, "recall": 0.5, "f1": 0.5, "images": 3} for name in ("calm", "bored", "amused")
    }
    scores["confusion"] = [[2, 1, 0], [1, 2, 0], [2, 0, 1]]
    config["metrics"] = {"test": scores}
    write_config(folder, config)
    return folder


@pytest.fixture(scope="module")
def warm_programs() -> Iterator[None]:
    """What the product starts with `sys.executable` starts at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", warm.python())
        yield


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    browsers = {"EMOTION_ORT_URL": str(ORT)} if ORT.is_dir() else {}
    with start_app(tmp_path_factory.mktemp("app"), **browsers) as running:
        yield running


@pytest.fixture(scope="session")
def chromium() -> str:
    path = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    if not path:
        pytest.skip("no chromium on this machine")
    return path


@pytest.fixture(scope="module")
def browser(chromium: str, astronaut: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Chromium, whose fake camera shows the portrait; closed after each file, as Playwright runs once at a time."""
    from playwright.sync_api import sync_playwright

    portrait = cv2.resize(astronaut[:384], cameras.SIZE)
    camera = cameras.film(tmp_path_factory.mktemp("camera") / "portrait.y4m", [portrait])
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=[
                *BROWSER_FLAGS,
                "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream",
                f"--use-file-for-fake-video-capture={camera}",
            ],
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module", params=["desktop", "phone"])
def window(request: pytest.FixtureRequest, browser: Any) -> Iterator[Any]:
    """A window of either size, whose pages share the browser's cache as those of one visitor do."""
    viewport = {"desktop": cameras.DESKTOP, "phone": cameras.PHONE}[request.param]
    context = browser.new_context(viewport=viewport, permissions=["camera", "clipboard-read", "clipboard-write"])
    context.set_default_timeout(WAIT)
    yield context
    context.close()
