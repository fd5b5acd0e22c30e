"""The same code trains on every Keras backend, and what one saves another loads."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

from support import warm
from support.environment import of_users
from support.paths import ROOT

for needed, where in (("torch", "requirements-torch.txt"), ("jax", "requirements-dev.txt")):
    if not find_spec(needed):  # imported by the programs alone
        pytest.skip(f"needs {needed}: {where}", allow_module_level=True)

TRAIN = """
import json, sys
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path
import numpy as np, keras
sys.path[:0] = ["tests"]
from support.models import TINY
from dataclasses import replace
from emotion_model.faces.cropping import network_input
from support.training import Impatient, faces
from train.config import Preset, TrainingConfig
from train.data.fer2013 import FaceDataset
from train.fitting import checkpoint, fit as fitting, run
from train.fitting.fit import fit
from train.fitting.signals import StoppedError
run.draw_curves = lambda history, path: path.touch()  # a third of a second each
# Each backend compiles it, and that takes its time.
SMALLEST = replace(TINY, filters=(8,), kernel_sizes=((3,),), attention_blocks=(1,))
labels = np.arange(56) % 7
data = FaceDataset(faces(56, 0) // 8 + (labels * 32).astype(np.uint8)[:, None, None], labels)
inputs = network_input(data.images, 48)
for folder, precision, augmented in json.loads(sys.argv[1]):
    recipe = TrainingConfig(epochs=3, batch_size=8, learning_rate=1e-2, precision=precision, ema_momentum=0.9,
        device_augmentation=augmented == "device")
    out = Path(folder)
    if keras.backend.backend() == "jax":  # where an epoch is one execution, which ends before it is known to be asked
        on_signal, fitting.interruptible = fitting.interruptible, lambda *_, **__: nullcontext(Impatient(2))
        try:
            fit(Preset(SMALLEST, recipe), data, data, out, 0)
        except StoppedError:
            assert json.loads((out / checkpoint.CHECKPOINT / "state.json").read_text())["epoch"] == 1
        fitting.interruptible = on_signal
    fit(Preset(SMALLEST, recipe), data, data, out, 0)
    model = keras.saving.load_model(out / "model.keras")
    np.savez(out / "answers.npz", inputs=inputs, probabilities=model.predict(inputs, batch_size=len(inputs), verbose=0))
if keras.backend.backend() != "tensorflow":
    assert "tensorflow" not in sys.modules, "starting took twice as long"
    assert find_spec("tensorflow"), "the program cannot import it later"
"""
PREDICT = """
import json, sys, numpy as np, keras
differences = {}
for folder in sys.argv[1:]:
    saved = np.load(folder + "/answers.npz")
    inputs = saved["inputs"]
    probabilities = keras.saving.load_model(folder + "/model.keras").predict(inputs, batch_size=len(inputs), verbose=0)
    differences[folder] = float(np.abs(probabilities - saved["probabilities"]).max())
print(json.dumps([keras.backend.backend(), differences]))
"""
RUNS = (
    ("tensorflow", "float32", "processor"),
    ("torch", "float32", "processor"),
    ("torch", "mixed_bfloat16", "device"),
    ("jax", "mixed_bfloat16", "device"),
)


def run(python, backend, code, *arguments):
    environment = os.environ | {"KERAS_BACKEND": backend}
    command = [python, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder for each of the runs, with the model and what it answered on the backend that trained it."""
    folders = {which: tmp_path_factory.mktemp(which[0]) for which in RUNS}
    for backend in ("tensorflow", "torch", "jax"):
        asked = [(str(folder), *which[1:]) for which, folder in folders.items() if which[0] == backend]
        run(warm.python(), backend, TRAIN, json.dumps(asked))
    return folders


@pytest.mark.parametrize("which", RUNS, ids=" ".join)
def test_every_backend_learns(trained, which):
    history = json.loads((trained[which] / "history.json").read_text())
    assert history[-1]["loss"] < history[0]["loss"], "it learned nothing"
    assert json.loads((trained[which] / "environment.json").read_text())["backend"] == which[0]
    assert [entry["epoch"] for entry in history] == [1, 2, 3]


def test_faces_are_varied_and_mixed_on_tensorflow_with_a_gpu_too():
    code = """
import sys
import numpy as np, tensorflow as tf
from tensorflow.config import PhysicalDevice
sys.path[:0] = ["tests"]
from dataclasses import replace
from support.models import TINY
from support.training import faces, preset
from train.config import Preset
from train.fitting.networks import Networks
tf.config.list_physical_devices = lambda kind=None: [PhysicalDevice("/physical_device:GPU:0", "GPU")]
small = replace(TINY, filters=(8,), kernel_sizes=((3,),), attention_blocks=(1,))
recipe = Preset(small, preset(device_augmentation=True, mixup=0.2).training)
learner = Networks(recipe, 1, None, None, np.ones(7) / 7).learner
print(learner.fit(faces(8, 0), np.eye(7, dtype=np.float32)[np.arange(8) % 7], 8, verbose=0).history["loss"][0])
"""
    assert float(run(warm.python(), "tensorflow", code).split()[-1]) > 0


@pytest.mark.parametrize("loaded", ["tensorflow", "torch", "jax"])
def test_a_model_trained_on_one_backend_answers_the_same_on_another(trained, loaded):
    others = [str(folder) for (backend, *_), folder in trained.items() if backend != loaded]
    backend, differences = json.loads(run(warm.python(), loaded, PREDICT, *others).splitlines()[-1])
    assert backend == loaded and list(differences) == others
    assert max(differences.values()) < 1e-4, differences


@pytest.mark.parametrize(
    ("device", "asked", "taken"),
    [("gpu", None, "jax"), ("cpu", None, "torch"), ("none, as it is broken", None, "torch"), ("gpu", "torch", "torch")],
)
def test_training_takes_the_fastest_backend_where_nobody_names_one(tmp_path, device, asked, taken):
    broken = "raise OSError\n" * device.startswith("none")
    (tmp_path / "jax.py").write_text(f"{broken}def default_backend():\n    return {device!r}\n")
    (tmp_path / "jax_plugins").mkdir()
    environment = of_users(PYTHONPATH=str(tmp_path), **({"KERAS_BACKEND": asked} if asked else {}))
    command = [sys.executable, "-m", "train.release", "--data", "nowhere", "--out", str(tmp_path), "--plan", "nowhere"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, f"backend: {taken}\n")
    assert "nowhere: cannot be read as TOML" in done.stderr


@pytest.mark.parametrize(("backend", "kind"), [("torch", "Fused"), ("jax", "Block")])
def test_fast_layers_compute_what_keras_own_do(backend, kind):
    code = """
import numpy as np, keras
from emotion_model.network.architecture import ArchitectureConfig
from emotion_model.network.building import build_model
from train.fitting.fast import with_fast_layers
keras.utils.set_random_seed(0)
config = ArchitectureConfig(filters=(4, 8), kernel_sizes=((3,), (3,)), attention_blocks=(2,), dense_units=(8,),
    dense_dropout=(0.0,), spatial_dropout=0.0, image_size=16)
plain = build_model(config)
fast = with_fast_layers(plain)
rng = np.random.default_rng(0)
x, y = rng.uniform(0, 255, (16, 16, 16, 1)).astype("float32"), np.eye(7, dtype="float32")[rng.integers(0, 7, 16)]
for model in (plain, fast):
    model.compile(optimizer=keras.optimizers.SGD(0.05), loss="categorical_crossentropy")
    for _ in range(3):
        model.train_on_batch(x, y)
kinds = {type(layer).__name__ for layer in fast.layers} - {type(layer).__name__ for layer in plain.layers}
print(sorted(kinds)[0], max(np.abs(a - b).max() for a, b in zip(plain.get_weights(), fast.get_weights())))
"""
    name, difference = run(warm.python(), backend, code).split()[-2:]
    assert name.startswith(kind) and float(difference) < 1e-4, "moving variances, for one"
