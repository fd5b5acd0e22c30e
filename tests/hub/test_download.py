"""Pulling models and the face detector, against a Hub on the loopback interface."""

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from gradio_client import Client
from huggingface_hub import constants
from huggingface_hub.utils import logging

from emotion_model import DetectorError, EmotionClassifier, EmotionDetector, FaceDetector, ModelError, download
from emotion_model.download import SILENCE_SECONDS, HubError
from emotion_model.faces.detection import YUNET_FILE, YUNET_REPO, find_yunet
from emotion_model.network.config import BUNDLED_DIR, CONFIG_FILE, WEIGHTS_FILE
from support.apps import start_app
from support.environment import of_users
from support.hub_server import Repo, running_hub
from support.paths import ROOT

NAME = "maker/emotion-cnn"


def set_endpoint(monkeypatch, url):
    """What HF_ENDPOINT sets, for a client that is already imported."""
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", url)
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with running_hub() as hub:
        set_endpoint(monkeypatch, hub.url)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(download, "_dead_until", 0.0)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield hub


@pytest.fixture(scope="session")
def published_files(tiny_model):
    weights = (tiny_model / WEIGHTS_FILE).read_bytes()
    config = json.loads((tiny_model / CONFIG_FILE).read_text())
    config["weights"] = {"file": WEIGHTS_FILE, "sha256": hashlib.sha256(weights).hexdigest(), "bytes": len(weights)}
    config |= {"model_type": "emotion_cnn", "auto_map": {}, "id2label": {"0": "angry"}}  # other libraries' keys
    return {WEIGHTS_FILE: weights, CONFIG_FILE: json.dumps(config).encode()}


@pytest.fixture
def repo(hub, published_files):
    repo = hub.repos[f"models/{NAME}"] = Repo()
    repo.tags["v1"] = repo.commit(dict(published_files))
    return repo


def cached_files(tmp_path):
    return [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def seconds(function):
    started = time.monotonic()
    function()
    return time.monotonic() - started


def test_a_published_model_is_pulled_pinned_and_used(repo, tiny_model, astronaut):
    pulled = EmotionDetector.from_pretrained(NAME, revision="v1").classifier
    commit = repo.tags["v1"]
    assert pulled.source == f"{NAME} at v1 ({commit[:8]})"
    crops = [astronaut[70:195, 175:275]]
    assert np.array_equal(pulled.predict(crops), EmotionClassifier.load(tiny_model).predict(crops))
    assert EmotionClassifier.from_pretrained(NAME, commit).source == f"{NAME} ({commit[:8]})"


def test_a_tag_stays_and_main_moves(hub, repo, published_files):
    config = json.loads(published_files[CONFIG_FILE]) | {"temperature": 2.0}
    repo.commit(published_files | {CONFIG_FILE: json.dumps(config).encode()})
    assert EmotionClassifier.from_pretrained(NAME, "v1").config.temperature == 1.0
    assert EmotionClassifier.from_pretrained(NAME).config.temperature == 2.0


def test_with_a_warm_cache_a_pinned_commit_asks_nobody(hub, repo):
    commit = repo.tags["v1"]
    EmotionClassifier.from_pretrained(NAME, commit)
    hub.requests.clear()
    EmotionClassifier.from_pretrained(NAME, commit)
    assert hub.requests == []


def test_of_any_number_of_figures_the_first_ones_come(hub, repo, published_files):
    figures = {f"figures/{number}.png": b"x" for number in range(30)}
    config = json.loads(published_files[CONFIG_FILE]) | {"figures": [Path(figure).name for figure in figures]}
    commit = repo.commit(published_files | figures | {CONFIG_FILE: json.dumps(config).encode()})
    folder = EmotionClassifier.from_pretrained(NAME, commit).folder
    assert len(list((folder / "figures").iterdir())) == 20 and (folder / "figures" / "0.png").exists()


def test_figures_come_with_the_model_once_and_it_serves_without_them(hub, repo, published_files):
    names = ["confusion.png", "curves.png", "figures.json"]
    config = json.loads(published_files[CONFIG_FILE]) | {"figures": [*names, "../other.png", "notes.json", 7]}
    figures = {f"figures/{name}": name.encode() for name in (*names, "notes.json")}
    commit = repo.commit(published_files | figures | {CONFIG_FILE: json.dumps(config).encode(), "other.png": b""})
    hub.fail("figures/confusion", status=404)
    folder = EmotionClassifier.from_pretrained(NAME, commit).folder
    assert {path.name for path in (folder / "figures").iterdir()} == {"curves.png", "figures.json"}
    hub.faults.clear()
    assert EmotionClassifier.from_pretrained(NAME, commit).folder == folder
    assert {path.name: path.read_text() for path in (folder / "figures").iterdir()} == {name: name for name in names}
    hub.requests.clear()
    EmotionClassifier.from_pretrained(NAME, commit)
    assert hub.requests == []


@pytest.mark.parametrize("status", [500, 429, 401, None])
@pytest.mark.parametrize("revision", ["v1", None])
def test_with_a_warm_cache_the_hub_may_be_down_and_the_log_says_so(hub, repo, monkeypatch, revision, status, caplog):
    EmotionClassifier.from_pretrained(NAME, revision)
    assert caplog.messages == []
    if status:
        hub.fail("resolve", status=status)
    else:
        set_endpoint(monkeypatch, "http://127.0.0.1:9")  # nothing listens there
    assert NAME in EmotionClassifier.from_pretrained(NAME, revision).source
    (said,) = caplog.messages
    assert said.startswith(f"{NAME}: the Hub ") and "The copy in the cache serves" in said


def test_with_a_warm_cache_offline_mode_works_and_without_it_says_so(hub, repo, monkeypatch, caplog):
    EmotionClassifier.from_pretrained(NAME, "v1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    hub.requests.clear()
    assert EmotionClassifier.from_pretrained(NAME, "v1").source.startswith(NAME)
    assert caplog.messages == [], "it was asked for"
    with pytest.raises(ModelError, match=r"HF_HUB_OFFLINE|cannot be reached"):
        EmotionClassifier.from_pretrained("maker/other")
    assert hub.requests == []


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"status": 401}, "hf auth login"),
        ({"status": 402}, "paid account"),
        ({"status": 403}, "no rights"),
        ({"status": 429}, "too many requests"),
        ({"status": 500}, "trouble of its own"),
        ({"status": 503}, "status 503"),
    ],
)
def test_refusals_become_sentences_at_once(hub, repo, fault, said):
    hub.fail("resolve", **fault)
    started = time.monotonic()
    with pytest.raises(ModelError, match=said):
        EmotionClassifier.from_pretrained(NAME)
    assert time.monotonic() - started < SILENCE_SECONDS, "it waited for an answer that was there"


@pytest.mark.parametrize(
    ("name", "revision", "said"),
    [
        ("maker/nothing", None, "check the name"),
        (NAME, "v9", "no such revision"),
        (NAME, "0123abcd", "commits of 40 digits"),
        ("no name at all", None, "USER/NAME"),
        ("emotion-cnn", None, "give USER/NAME"),
        ("maker/empty", None, "lacks this file"),
    ],
)
def test_what_is_not_there_is_named(hub, repo, name, revision, said):
    hub.repos["models/maker/empty"] = Repo()
    hub.repo("maker/empty").commit({})
    with pytest.raises(ModelError, match=said):
        EmotionClassifier.from_pretrained(name, revision)


def test_a_private_model_needs_a_token(hub, repo, monkeypatch):
    repo.private = True
    with pytest.raises(ModelError, match="hf auth login"):
        EmotionClassifier.from_pretrained(NAME)
    monkeypatch.setenv("HF_TOKEN", "hf_owner")
    assert EmotionClassifier.from_pretrained(NAME).source.startswith(NAME)


def test_an_expired_token_is_left_out_where_everybody_may_read(hub, repo, monkeypatch, caplog):
    monkeypatch.setenv("HF_TOKEN", "hf_expired")
    assert EmotionClassifier.from_pretrained(NAME).source.startswith(NAME)
    (said,) = caplog.messages  # of two files
    assert "may have expired" in said and "hf_expired" not in caplog.text
    repo.private = True
    repo.commit(dict(repo.files))
    with pytest.raises(ModelError, match="set a valid HF_TOKEN"):
        EmotionClassifier.from_pretrained(NAME, repo.commits[-1][0])


def test_a_cut_download_is_resumed(hub, repo, published_files):
    repo.commit(published_files | {"large.bin": bytes(range(256)) * 2000})
    hub.fail("GET .*large.bin", cut_after=200_000, times=1)
    path = download.download(NAME, "large.bin")
    assert path.read_bytes() == bytes(range(256)) * 2000
    assert hub.requests.count(f"GET /{NAME}/resolve/main/large.bin") == 2


def test_a_download_that_is_cut_for_good_leaves_nothing_that_loads(hub, repo, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "SILENCE_SECONDS", 1.5)
    hub.fail(f"GET .*{WEIGHTS_FILE}", cut_after=1000)
    with pytest.raises(ModelError, match="sign of life"):
        EmotionClassifier.from_pretrained(NAME)
    assert not [path for path in cached_files(tmp_path) if path.name.endswith(".keras")]
    hub.faults.clear()
    monkeypatch.setattr(download, "_dead_until", 0.0)
    assert EmotionClassifier.from_pretrained(NAME).source.startswith(NAME)


def test_a_slow_download_is_waited_for_as_long_as_it_moves(hub, repo, published_files, monkeypatch):
    monkeypatch.setattr(download, "SILENCE_SECONDS", 2.0)
    repo.commit(published_files | {"large.bin": bytes(2**20)})
    hub.fail("GET .*large.bin", drip=0.3)
    assert seconds(lambda: download.download(NAME, "large.bin")) > 2


def test_the_hubs_client_is_left_as_it_was(hub, repo):
    before = logging.get_verbosity(), constants.DOWNLOAD_CHUNK_SIZE
    download.download(NAME, WEIGHTS_FILE)
    with pytest.raises(HubError):
        download.download(NAME, "nothing.bin")
    assert (logging.get_verbosity(), constants.DOWNLOAD_CHUNK_SIZE) == before


def test_weights_that_are_not_what_the_config_says_are_refused(hub, repo, published_files):
    repo.commit(published_files | {WEIGHTS_FILE: b"<html>404</html>"})
    with pytest.raises(ModelError, match="sha256"):
        EmotionClassifier.from_pretrained(NAME)


def test_a_cached_file_that_was_damaged_is_fetched_anew(hub, repo, tmp_path):
    EmotionClassifier.from_pretrained(NAME, "v1")
    (weights,) = [path.resolve() for path in (tmp_path / "cache").rglob(WEIGHTS_FILE)]
    weights.write_bytes(weights.read_bytes()[:1000])
    assert EmotionClassifier.from_pretrained(NAME, "v1").source.startswith(NAME)


def test_a_file_over_the_limit_is_not_fetched(hub, repo, published_files):
    repo.commit(published_files | {"large.bin": bytes(5000)})
    with pytest.raises(HubError, match="5,000 bytes"):
        download.download(NAME, "large.bin", max_bytes=4999)
    assert not any("GET" in request for request in hub.requests)


def test_a_dead_network_is_waited_for_once_and_briefly(hub, repo, monkeypatch):
    hub.fail("resolve", silent=30)
    monkeypatch.setenv("EMOTION_MODEL_REPO", NAME)
    monkeypatch.delenv("EMOTION_YUNET_PATH", raising=False)
    monkeypatch.delenv("EMOTION_DETECTOR", raising=False)
    classifier, faces = EmotionClassifier.from_environment(), FaceDetector()
    assert classifier.source == "bundled" and "bundled" in classifier.notice
    # Given up for the silence, before the client's own, longer limit.
    assert "no sign of life from the Hub for 5 s" in classifier.fallback_reason and NAME not in classifier.notice
    assert faces.name == "haar" and "a moment ago" in faces.fallback_reason
    assert set(hub.requests) == {f"HEAD /{NAME}/resolve/main/{CONFIG_FILE}"}, "the second file was waited for as well"


def test_the_environment_names_repository_and_revision(hub, repo, published_files, monkeypatch):
    repo.commit(published_files)
    monkeypatch.setenv("EMOTION_MODEL_REPO", NAME)
    monkeypatch.setenv("EMOTION_MODEL_REVISION", "v1")
    classifier = EmotionClassifier.from_environment()
    assert classifier.source == f"{NAME} at v1 ({repo.tags['v1'][:8]})" and classifier.notice == ""


@pytest.mark.parametrize(("name", "said"), [("emotion-cnn", "give USER/NAME"), ("maker/nothing", "check the name")])
def test_a_mistyped_folder_is_said_to_be_none(hub, monkeypatch, name, said):
    monkeypatch.setenv("EMOTION_MODEL_REPO", name)
    reason = EmotionClassifier.from_environment().fallback_reason
    assert reason.startswith(f"There is no folder {name}. ") and said in reason


def test_yunet_is_fetched_once_and_checked(hub, monkeypatch):
    given = os.environ.get("EMOTION_YUNET_PATH")
    monkeypatch.delenv("EMOTION_YUNET_PATH", raising=False)
    repo = hub.repos[f"models/{YUNET_REPO}"] = Repo()
    repo.commit({YUNET_FILE: b"version https://git-lfs.github.com/spec/v1\n"})
    with pytest.raises(DetectorError, match="sha256"):
        find_yunet()
    if not given:
        pytest.skip("EMOTION_YUNET_PATH names no copy of YuNet")
    repo.commit({YUNET_FILE: Path(given).read_bytes()})
    assert FaceDetector("yunet").name == "yunet"
    hub.requests.clear()
    assert FaceDetector("yunet").name == "yunet" and hub.requests == []


def test_without_network_and_cache_the_face_detector_falls_back(hub, monkeypatch):
    monkeypatch.delenv("EMOTION_YUNET_PATH", raising=False)
    set_endpoint(monkeypatch, "http://127.0.0.1:9")  # nothing listens there
    with pytest.raises(DetectorError, match="EMOTION_YUNET_PATH"):
        find_yunet()


def test_the_page_pulls_its_model_or_says_why_not(hub, repo, tmp_path):
    # With its ONNX form, as it is published: a page that has to load it with Keras starts slowly.
    repo.tags["v1"] = repo.commit({path.name: path.read_bytes() for path in BUNDLED_DIR.iterdir() if path.is_file()})
    variables = {"EMOTION_MODEL_REPO": NAME, "EMOTION_MODEL_REVISION": "v1", "HF_HOME": str(tmp_path / "home")}
    with start_app(tmp_path, HF_ENDPOINT=hub.url, **variables) as app:
        info = Client(app.url, verbose=False).predict(api_name="/model_info")
        assert info["source"] == f"{NAME} at v1 ({repo.tags['v1'][:8]})" and "bundled" not in info["notice"]
    variables["EMOTION_MODEL_REVISION"] = "v9"
    with start_app(tmp_path, HF_ENDPOINT=hub.url, **variables) as app:
        info = Client(app.url, verbose=False).predict(api_name="/model_info")
        assert info["source"] == "bundled" and "the bundled one is" in info["notice"]
        assert "no such revision" in app.log.read_text() and "revision" not in info["notice"]


def test_nothing_is_written_outside_the_cache(hub, repo, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "work").mkdir()
    text = f"from emotion_model import EmotionClassifier as C; print(C.from_pretrained({NAME!r}, 'v1').source)"
    variables = {"HF_ENDPOINT": hub.url, "HF_HUB_CACHE": str(tmp_path / "elsewhere"), "HOME": str(home)}
    variables["MPLCONFIGDIR"] = str(tmp_path / "fonts")  # not ours
    environment = {name: value for name, value in of_users().items() if not name.startswith("HF_")} | variables
    done = subprocess.run(
        [sys.executable, "-c", text],
        cwd=tmp_path / "work",
        env=environment | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith(f"{NAME} at v1"), done.stderr
    written = [path for folder in (home, tmp_path / "work") for path in folder.rglob("*") if path.is_file()]
    assert [path for path in written if ".keras" not in path.parts] == []
    assert any(path.name == WEIGHTS_FILE for path in (tmp_path / "elsewhere").rglob("*"))
