"""The bundled network gives the same answers whatever runs it, and nobody is forced to another framework."""

import hashlib
import json
import shutil
import subprocess
import sys

import matplotlib.font_manager  # makes the list of fonts where there is none yet
import numpy as np
import pytest

from emotion_model import EmotionClassifier, ModelError
from emotion_model.faces.cropping import level, network_input
from emotion_model.network.classifier import LARGEST_BATCH
from emotion_model.network.config import BUNDLED_DIR, CONFIG_FILE
from emotion_model.runtime import RuntimeUnavailableError
from support.environment import as_users_have_it, of_users, run_program
from support.paths import ROOT

ANSWER = """
import sys
import numpy as np
asked = []
sys.addaudithook(lambda event, _: asked.append(event) if event in ("socket.connect", "socket.getaddrinfo") else None)
{first}
from emotion_model import EmotionClassifier
classifier = EmotionClassifier.load(sys.argv[1])
faces = np.load(sys.argv[2])[: int(sys.argv[4])]
np.savez(sys.argv[3], probabilities=classifier.predict(faces), attention=classifier.attention(faces[:5]))
assert not asked, "it reports to somebody"
print(classifier.engine, *sorted({{"keras", "tensorflow", "torch", "jax"}} & set(sys.modules)))
"""


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """A thousand crops as a detector could give them, from noise to smooth: the file of uint8 (1000, 48, 48)."""
    rng = np.random.default_rng(7)
    coarse = rng.integers(0, 256, (1000, 6, 6)).astype(np.float32)
    smooth = np.stack([np.kron(one, np.ones((8, 8), np.float32)) for one in coarse])
    share = rng.random((1000, 1, 1), np.float32)
    noise = rng.integers(0, 256, smooth.shape)
    path = tmp_path_factory.mktemp("faces") / "faces.npy"
    np.save(path, (smooth * share + noise * (1 - share)).astype(np.uint8))
    return path


@pytest.fixture(scope="module")
def keras_only(tmp_path_factory):
    """The bundled model as somebody brings it who left its ONNX form behind."""
    folder = tmp_path_factory.mktemp("model")
    for name in (CONFIG_FILE, "emotion_cnn.keras"):
        shutil.copyfile(BUNDLED_DIR / name, folder / name)
    return folder


def answers(model, faces, out, first, count):
    """What a program of its own answers: the arrays, what it prints, and what it complains of."""
    command = [sys.executable, "-c", ANSWER.format(first=first), model, faces, out, count]
    ended = subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env=of_users(HOME=str(out.parent), MPLCONFIGDIR=matplotlib.get_cachedir()),  # its list of fonts takes seconds
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert not (out.parent / "intel").exists(), "OpenVINO has noted who it reports on"
    return np.load(out), ended.stdout.strip(), ended.stderr


@pytest.fixture(scope="module")
def expected(keras_only, faces):
    """What Keras says on a framework that trains."""
    classifier = EmotionClassifier.load(keras_only)
    if classifier.engine == "Keras on OpenVINO":
        pytest.skip("needs TensorFlow, PyTorch or JAX to compare with: requirements-train.txt")
    pixels = np.load(faces)
    return {"probabilities": classifier.predict(pixels), "attention": classifier.attention(pixels[:5])}


@pytest.mark.parametrize(
    ("bundled", "first", "engine"),
    [
        (True, "", "OpenVINO"),
        (True, "import torch", "OpenVINO torch"),
        (False, "", "Keras on OpenVINO"),
        (False, "import torch", "Keras on torch"),
        (False, "import torch, emotion_model; emotion_model.EmotionClassifier()", "Keras on torch"),
    ],
)
@pytest.mark.programs
def test_every_engine_says_the_same_and_takes_only_what_it_needs(
    bundled, first, engine, keras_only, faces, expected, tmp_path
):
    pytest.importorskip("torch", reason="needs torch: requirements-torch.txt")
    # What everybody has is asked for all of them; what is expected comes from Keras on a framework too.
    count = 30 if engine == "Keras on torch" else 250 if first or not bundled else 1000
    found, printed, noise = answers(BUNDLED_DIR if bundled else keras_only, faces, tmp_path / "a.npz", first, count)
    # Keras itself looks at other frameworks that are installed.
    assert (printed == engine if bundled else printed.startswith(engine)) and not noise
    for name in ("probabilities", "attention"):
        assert found[name].dtype == np.float32
        np.testing.assert_allclose(found[name], expected[name][:count], atol=1e-4)


def test_the_shipped_onnx_form_has_the_temperatures_of_its_config(astronaut):
    """Browsers take its word for how sure it is; the package applies those of the config."""
    runtime = pytest.importorskip("onnxruntime")
    classifier = EmotionClassifier.load(BUNDLED_DIR)
    views = [astronaut[60:200, 160 + x : 290 + x] for x in range(-40, 41, 10)]
    batch = network_input(views, classifier.config.image_size)
    level(batch)
    session = runtime.InferenceSession(classifier.onnx())
    [probabilities] = session.run(["probabilities"], {"grey_pixels": batch})
    np.testing.assert_allclose(probabilities, classifier.predict(views), atol=1e-4)


def test_a_damaged_onnx_form_is_refused(tmp_path, monkeypatch):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    folder = shutil.copytree(BUNDLED_DIR, tmp_path / "model")
    (folder / "emotion_cnn.onnx").write_bytes(b"no network")
    with pytest.raises(ModelError, match=r"emotion_cnn\.onnx: its sha256 is not the one in config\.json"):
        EmotionClassifier.load(folder)


def test_an_onnx_form_that_cannot_be_run_gives_way_to_keras(tmp_path, monkeypatch, caplog):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    folder = shutil.copytree(BUNDLED_DIR, tmp_path / "model")
    (folder / "emotion_cnn.onnx").write_bytes(b"no network")
    config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    config["weights"]["onnx"]["sha256"] = hashlib.sha256(b"no network").hexdigest()
    (folder / CONFIG_FILE).write_text(json.dumps(config), encoding="utf-8")
    classifier = EmotionClassifier.load(folder)
    assert classifier.engine.startswith("Keras on ")
    assert "Keras serves" in caplog.text


def test_a_model_that_is_to_run_on_openvino_runs_on_keras_where_it_cannot(monkeypatch):
    def unavailable():
        raise RuntimeUnavailableError("OpenVINO cannot start (it is gone): pip install -U openvino.")

    monkeypatch.setattr("emotion_model.runtime._core", unavailable)
    monkeypatch.setenv("KERAS_BACKEND", "openvino")
    assert EmotionClassifier.load(BUNDLED_DIR).engine.startswith("Keras on")


@pytest.mark.programs
def test_a_forked_worker_answers_though_its_parent_was_busy_and_says_what_to_do_where_it_cannot():
    program = """
import os, signal, threading, time
import numpy as np
from emotion_model import EmotionClassifier
classifier = EmotionClassifier()
face = np.zeros((48, 48), np.uint8)
expected = classifier.predict([face])
began, over = threading.Event(), threading.Event()
def answer():
    while not over.is_set():
        began.set()
        classifier.predict([face] * 32)
busy = threading.Thread(target=answer)
busy.start()
began.wait()
child = os.fork()
if not child:
    same = np.allclose(classifier.predict([face]), expected, atol=1e-5)
    print("same" if same else "different", flush=True)
    try:
        print(EmotionClassifier().engine, flush=True)
    except Exception as error:
        print(error, flush=True)
    os._exit(0)
over.set()
deadline = time.monotonic() + 90
while not (ended := os.waitpid(child, os.WNOHANG)[0]) and time.monotonic() < deadline:
    time.sleep(0.01)
if not ended:
    os.kill(child, signal.SIGKILL)
busy.join()
print(np.allclose(classifier.predict([face]), expected, atol=1e-5))
"""
    ended = run_program(program)
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert (lines[0], lines[-1]) == ("same", "True"), ended.stderr
    assert "spawn" in ended.stdout + ended.stderr and "Until then" not in ended.stderr


KERAS = """
import time
time.sleep(0.2)
class backend:
    backend = staticmethod(lambda: {backend!r})
"""


@pytest.fixture
def stand_in(tmp_path):
    """Makes a `keras` that is there in no time, which runs on what one says."""

    def make(backend):
        (tmp_path / "keras").mkdir()
        (tmp_path / "keras" / "__init__.py").write_text(KERAS.format(backend=backend))
        return {"PYTHONPATH": str(tmp_path)}

    return make


def test_threads_that_ask_for_keras_at_once_all_have_it_whole(stand_in):
    program = """
import os
from concurrent.futures import ThreadPoolExecutor
from emotion_model.network.backends import import_keras
with ThreadPoolExecutor(4) as pool:
    print({module.backend.backend() for module in pool.map(lambda _: import_keras(("json",)), range(4))})
print(os.environ.get("KERAS_BACKEND"))
"""
    ended = run_program(program, **stand_in("json"))
    assert ended.stdout == "{'json'}\nNone\n", ended.stderr


def test_whoever_builds_a_network_where_it_cannot_learn_is_told(stand_in):
    ended = run_program("import keras, emotion_model; emotion_model.build_model()", **stand_in("openvino"))
    assert ended.stderr.startswith("Keras runs on openvino in this program, where no network"), ended.stderr
    assert "or set KERAS_BACKEND to tensorflow, torch or jax." in ended.stderr


def test_whoever_builds_a_network_has_it_on_a_framework_that_trains(tmp_path):
    (tmp_path / "tensorflow.py").touch()
    (tmp_path / "keras.py").write_text("import os; print(os.environ['KERAS_BACKEND'])")  # no layers, so there it ends
    ended = run_program("import emotion_model; emotion_model.build_model()", PYTHONPATH=str(tmp_path))
    assert ended.stdout == "tensorflow\n", ended.stderr


def test_attention_is_had_of_no_face_and_of_many():
    with as_users_have_it():
        classifier = EmotionClassifier()
    faces = np.random.default_rng(0).integers(0, 256, (LARGEST_BATCH + 3, 48, 48), np.uint8)
    maps = classifier.attention(faces)
    assert classifier.attention([]).shape == (0, *maps.shape[1:])
    assert maps[-1] == pytest.approx(classifier.attention(faces[-1:])[0], abs=1e-4)
