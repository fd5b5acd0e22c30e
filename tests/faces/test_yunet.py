"""YuNet: on OpenVINO and on OpenCV the same faces, and the same ones however often it has looked."""

import sys

import numpy as np
import pytest
from PIL import Image

from emotion_model import DetectorError
from emotion_model.faces import yunet as yunet_module
from emotion_model.faces.detection import OVERLAP, SCORE_THRESHOLD, find_yunet
from emotion_model.faces.yunet import STEADY_LOOKS, STEADY_SIZES, OpenCvYuNet, OpenVinoYuNet
from support.environment import run_program


@pytest.fixture(scope="module")
def file():
    try:
        return find_yunet()
    except DetectorError as error:
        pytest.skip(f"no YuNet here: {error}")


def sized(picture, width, height):
    return np.asarray(Image.fromarray(picture).resize((width, height)))


@pytest.mark.parametrize("size", [(640, 480), (448, 252), (333, 471), (1280, 960), (70, 90)])
@pytest.mark.parametrize("name", ["astronaut", "crowd", "landscape"])
def test_openvino_and_opencv_find_the_same_faces(file, request, name, size):
    picture = sized(request.getfixturevalue(name), *size)
    ours = OpenVinoYuNet(file, SCORE_THRESHOLD, OVERLAP).find(picture)
    theirs = OpenCvYuNet(file, SCORE_THRESHOLD, OVERLAP).find(picture)
    assert ours.shape == theirs.shape
    # Faces of which both are equally sure come in any order.
    nearest = [int(np.abs(theirs[:, :2] - row[:2]).sum(axis=1).argmin()) for row in ours]
    assert sorted(nearest) == list(range(len(theirs)))
    theirs = theirs[nearest]
    np.testing.assert_allclose(ours[:, :14], theirs[:, :14], atol=1)  # pixels
    np.testing.assert_allclose(ours[:, 14], theirs[:, 14], atol=0.01)


def test_pictures_that_keep_coming_at_one_size_show_the_same_faces_all_along(file, astronaut):
    yunet = OpenVinoYuNet(file, SCORE_THRESHOLD, OVERLAP)
    small, other = sized(astronaut, 160, 128), sized(astronaut, 128, 160)
    first, others = yunet.find(small), yunet.find(other)
    assert len(first) == len(others) == 1
    for _ in range(STEADY_LOOKS + 5):
        np.testing.assert_array_equal(yunet.find(small), first)
    np.testing.assert_array_equal(yunet.find(other), others)


@pytest.mark.programs
def test_a_forked_worker_looks_on_for_as_long_as_it_likes(file):
    program = f"""
import os
from pathlib import Path
import numpy as np
from emotion_model.faces.yunet import STEADY_LOOKS, OpenVinoYuNet
yunet = OpenVinoYuNet(Path({str(file)!r}), 0.7, 0.3)
picture = np.zeros((64, 64, 3), np.uint8)
yunet.find(picture)
child = os.fork()
if not child:
    print({{len(yunet.find(picture)) for _ in range(STEADY_LOOKS + 5)}}, flush=True)
    os._exit(0)
os.waitpid(child, 0)
"""
    ended = run_program(program)
    assert ended.stdout.split("\n")[0] == "{0}", ended.stderr


def test_what_is_no_network_is_refused(tmp_path):
    (tmp_path / "no.onnx").write_bytes(b"no network")
    with pytest.raises(RuntimeError):
        OpenVinoYuNet(tmp_path / "no.onnx", SCORE_THRESHOLD, OVERLAP)


def test_networks_of_their_own_are_made_for_few_sizes(file, monkeypatch):
    made = []
    make = yunet_module._load
    monkeypatch.setattr(yunet_module, "_load", lambda path, *size: made.append(size) or make(path, *size))
    monkeypatch.setattr(yunet_module, "STEADY_LOOKS", 1)
    monkeypatch.setattr(yunet_module, "_steady", {})
    yunet = OpenVinoYuNet(file, SCORE_THRESHOLD, OVERLAP)
    for _ in range(4):
        for side in (64, 96, 128, 160, 192, 224, 256):
            assert len(yunet.find(np.zeros((side, 64, 3), np.uint8))) == 0
    assert len(made) == 1 + STEADY_SIZES


def test_a_size_that_comes_now_and_then_gets_no_network_of_its_own_and_one_that_keeps_coming_does(file, monkeypatch):
    made = []
    make = yunet_module._load
    monkeypatch.setattr(yunet_module, "_load", lambda path, *size: made.append(size) or make(path, *size))
    monkeypatch.setattr(yunet_module, "STEADY_LOOKS", 3)
    monkeypatch.setattr(yunet_module, "RECENT_LOOKS", 12)
    monkeypatch.setattr(yunet_module, "_steady", {})
    yunet = OpenVinoYuNet(file, SCORE_THRESHOLD, OVERLAP)
    for _ in range(12):
        for side in (64, 96, 128, 160, 192, 224):
            yunet.find(np.zeros((side, 64, 3), np.uint8))
    assert made == [()]
    for _ in range(12 + 4):  # what came before may count against it once
        yunet.find(np.zeros((96, 64, 3), np.uint8))
    assert made == [(), ((96, 64),)]


@pytest.mark.programs
@pytest.mark.skipif(sys.platform != "linux", reason="reads a process's memory as Linux tells it")
def test_the_memory_for_a_large_picture_can_be_given_back(file):
    program = f"""
from pathlib import Path
import numpy as np
from emotion_model.faces.yunet import OpenVinoYuNet
from emotion_model.runtime import give_back_memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 // 10**6

yunet = OpenVinoYuNet(Path({str(file)!r}), 0.7, 0.3)
yunet.find(np.zeros((320, 320, 3), np.uint8))
before = resident()
yunet.find(np.zeros((2048, 2048, 3), np.uint8))
kept = resident() - before
give_back_memory()
print(kept, resident() - before, len(yunet.find(np.zeros((320, 320, 3), np.uint8))))
"""
    ended = run_program(program)
    kept, left, faces = map(int, ended.stdout.split())
    assert kept > 100 and left < 80 and faces == 0, ended.stderr  # MB
