"""What a machine can get wrong while a network is trained: no such backend, a full disk."""

import os
import subprocess
import sys

import pytest

from support import warm
from support.paths import ROOT
from support.training import faces, names, write_parquet

TRAIN = [
    "--filters", "2", "4", "--kernel-sizes", "3", "3", "--attention-blocks", "--dense-units", "4",
    "--dense-dropout", "0", "--schedule", "one_cycle", "--early-stopping-patience", "0", "--batch-size", "8",
]  # fmt: skip


def run(*arguments, python=sys.executable, **variables):
    return subprocess.run(
        [python, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_backend_that_cannot_train_is_named_with_the_mend():
    for backend in ("theano", "openvino"):
        ended = run("-m", "train", "--summary", KERAS_BACKEND=backend)
        assert ended.returncode != 0
        assert ended.stderr.splitlines()[-1].startswith(f"error: KERAS_BACKEND={backend}: ")
        assert "choose tensorflow, torch or jax" in ended.stderr and "Traceback" not in ended.stderr


def test_a_backend_that_cannot_serve_is_named_and_the_next_one_serves():
    ended = run("-m", "emotion_model", "info", KERAS_BACKEND="theano")
    assert ended.returncode == 0 and "Model" in ended.stdout
    assert ended.stderr.count("\n") == 1
    assert "KERAS_BACKEND=theano: choose openvino, tensorflow, torch or jax; Keras runs on openvino" in ended.stderr


def package(folder, name, content=""):
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text(content)


def require_told(ended, reason, asked):
    """One sentence says why OpenVINO does not serve, whether somebody asked for it or not."""
    if asked:
        assert f"KERAS_BACKEND=openvino cannot be used ({reason}); Keras runs on tensorflow" in ended.stderr
    else:
        assert ended.stderr.count("OpenVINO") == 1, ended.stderr
        assert f"OpenVINO cannot start ({reason}): pip install -U openvino. Until then Keras" in ended.stderr


BROKEN = "raise OSError('libopenvino.so: cannot open it')", "libopenvino.so: cannot open it"
TOO_OLD = "__version__ = '2021.4'", "version 2021.4 is too old"


def test_without_openvino_another_runtime_names_a_face_and_one_sentence_says_why(tmp_path, photo):
    content, reason = BROKEN
    package(tmp_path, "openvino", content)
    ended = run("-m", "emotion_model", "image", photo, PYTHONPATH=str(tmp_path), KERAS_BACKEND="")
    assert ended.returncode == 0 and "happy" in ended.stdout, ended.stderr
    require_told(ended, reason, "")


@pytest.mark.parametrize(
    ("broken", "asked"),
    [(BROKEN, "openvino"), (TOO_OLD, "openvino"), (TOO_OLD, "")],
    ids=["broken, asked for", "too old, asked for", "too old"],
)
def test_without_openvino_keras_takes_another_backend_and_one_sentence_says_why(tmp_path, broken, asked):
    content, reason = broken
    package(tmp_path, "openvino", content)
    package(tmp_path, "tensorflow")
    choose = "from emotion_model.network.backends import choose_backend; print(choose_backend())"
    ended = run("-c", choose, PYTHONPATH=str(tmp_path), KERAS_BACKEND=asked)
    assert ended.stdout == "tensorflow\n", ended.stderr
    require_told(ended, reason, asked)


def test_a_run_goes_on_after_a_full_disk_and_nothing_half_written_stays(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=120k", "tmpfs", str(disk)]
    if not hasattr(os, "geteuid") or os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk can only be made by root, where mounting is allowed")
    try:
        data = tmp_path / "fer2013"
        data.mkdir()
        for split, seed in (("train", 0), ("validation", 1), ("test", 2)):
            write_parquet(data, split, faces(28, seed), names(28))
        command = ("-m", "train", "--preset", "seed", "--data", data, "--out", disk / "run", "--epochs", "2", *TRAIN)
        (disk / "other").write_bytes(b"x" * 70_000)
        full = run(*command, python=warm.python())
        assert full.returncode == 2
        assert "the disk is full; free some space and run the same line" in full.stderr
        assert not list(disk.rglob(".partial*"))
        (disk / "other").unlink()
        subprocess.run(["mount", "-o", "remount,size=50m", str(disk)], check=True)
        assert run(*command, python=warm.python()).returncode == 0
        assert (disk / "run" / "metrics.json").exists()
    finally:
        subprocess.run(["umount", str(disk)], check=True)
