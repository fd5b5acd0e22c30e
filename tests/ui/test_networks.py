"""What browsers are handed to read faces by themselves."""

import hashlib
from itertools import chain

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from emotion_model import EmotionDetector, EmotionEnsemble, FaceDetector
from emotion_model.faces.any_size import for_any_size
from emotion_model.faces.detection import find_yunet
from support.paths import ORT
from ui.browser.networks import RUNTIME_URL, RUNTIMES, Networks, networks_for
from ui.page import fine_print


@pytest.fixture(scope="module")
def networks(detector):
    if detector.faces.name != "yunet":
        pytest.skip("no YuNet here")
    return networks_for(detector)


def test_every_file_is_what_the_page_is_told_and_may_be_kept_for_ever(networks):
    client = TestClient(Starlette(routes=networks.routes))
    files = [networks.how["files"], *networks.how["runtimes"].values()]
    own = [file for each in files for file in each.values() if not file["address"].startswith("http")]
    assert len(own) >= 2
    for file in own:
        answer = client.get("/" + file["address"])
        assert answer.status_code == 200 and "immutable" in answer.headers["cache-control"]
        assert len(answer.content) == file["bytes"] < 30_000_000
        assert hashlib.sha256(answer.content).hexdigest() == file["sha256"]
        runs = file["address"].endswith((".mjs", ".wasm"))
        assert ("content-encoding" in answer.headers) == runs, "what runs is a quarter as large compressed"
        whole = client.get("/" + file["address"], headers={"Accept-Encoding": "identity"})
        assert whole.content == answer.content and "content-encoding" not in whole.headers
        assert client.get("/" + file["address"].replace(file["sha256"], "0" * 64)).status_code == 404


def test_the_runtime_comes_from_the_web_or_from_a_place_of_ones_own(detector, networks, monkeypatch, tmp_path, caplog):
    monkeypatch.delenv("EMOTION_ORT_URL", raising=False)
    files = networks_for(detector).how["runtimes"]["processor"]
    assert files["module"]["address"] == f"{RUNTIME_URL}/ort.wasm.bundle.min.mjs"
    monkeypatch.setenv("EMOTION_ORT_URL", "https://example.org/ort/")
    files = networks_for(detector).how["runtimes"]["processor"]
    assert files["binary"]["address"] == "https://example.org/ort/ort-wasm-simd-threaded.wasm"
    for place in (tmp_path, tmp_path / "mistyped"):
        caplog.clear()
        monkeypatch.setenv("EMOTION_ORT_URL", str(place))
        without = networks_for(detector)
        assert without.how is None and without.why_not.endswith("is missing here.")
        assert str(place) in caplog.text and str(place) not in without.why_not


def test_the_fine_print_names_the_server_that_browsers_ask_besides(detector, monkeypatch, tmp_path):
    config = detector.classifier.config
    for place, host in (("", "cdn.jsdelivr.net"), ("https://example.org/ort/", "example.org")):
        monkeypatch.setenv("EMOTION_ORT_URL", place)
        found = networks_for(detector)
        if not found.how:
            pytest.skip(found.why_not)
        assert f"comes from {host}, which so learns of your visit" in fine_print(config, found.host)
    for name, content in (("a.mjs", b"a"), ("b.wasm", b"b")):
        found.how["runtimes"] = {"processor": {name: found.add(name, content)}}
        assert found.host == "" and "learns" not in fine_print(config, "")
    assert Networks().host == ""


def test_the_fine_print_says_what_the_browser_keeps_of_live(detector):
    assert "until this tab is closed, the numbers of a Live timeline" in fine_print(detector.classifier.config, "")


def test_the_pinned_runtime_is_the_published_one():
    if not ORT.is_dir():
        pytest.skip("no onnxruntime-web: npm install --prefix tests --no-package-lock")
    for name, (digest, size) in chain.from_iterable(files.items() for files in RUNTIMES.values()):
        content = (ORT / name).read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (digest, size)


def test_what_does_not_run_in_browsers_is_said(detector):
    haar = EmotionDetector(detector.classifier, FaceDetector("haar"))
    assert networks_for(haar).why_not == "The face detector in use here does not run in browsers."
    if detector.faces.name == "yunet":
        several = EmotionDetector(EmotionEnsemble([detector.classifier]), detector.faces)
        assert networks_for(several).why_not == "The model in use here does not run in browsers."


def test_yunet_takes_any_size_and_finds_the_same(networks, astronaut):
    """Against OpenVINO, at 640x640, which the file names, and at another size."""
    onnxruntime = pytest.importorskip("onnxruntime")
    content = find_yunet().read_bytes()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    freed, fixed = (onnxruntime.InferenceSession(one, options) for one in (for_any_size(content), content))
    square = np.zeros((1, 3, 640, 640), np.float32)
    square[0, :, :512, :512] = astronaut[..., ::-1].transpose(2, 0, 1)
    for one, other in zip(freed.run(None, {"input": square}), fixed.run(None, {"input": square}), strict=True):
        np.testing.assert_array_equal(one, other)
    small = freed.run(["cls_8"], {"input": square[:, :, :352, :448]})[0]
    assert small.shape == (1, 352 // 8 * (448 // 8), 1)


@pytest.mark.parametrize("content", [b"", b"abc", b"\x3a\xff", b"\x3a\x05abc", b"\x0a\x00"])
def test_other_files_are_refused(content):
    with pytest.raises(ValueError, match=r"not an ONNX file|no input"):
        for_any_size(content)


def test_a_network_with_another_input_is_refused(detector):
    with pytest.raises(ValueError, match="no two sides of 640"):
        for_any_size(detector.classifier.onnx())
