"""The rooms of the source depend on each other in one direction, and a picture takes no more than it needs."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from importlib.util import find_spec
from pathlib import Path

import pytest

from support import warm
from support.environment import of_users, run_program
from support.paths import ROOT

OURS = ("emotion_model", "train", "ui")
DOORS = {"emotion_model", "emotion_model.__main__"}  # they open on every room


def modules():
    """Every module of ours by its dotted name."""
    paths = [path for room in OURS for path in (ROOT / room).rglob("*.py") if "published" not in path.parts]
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in [ROOT / "app.py", *paths]
    }


def imports(path: Path, known):
    """All that a module imports at its top or inside its functions: modules of ours, and packages of others.

    Imports for types alone do not count.
    """
    found = set()
    waiting = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            waiting += node.orelse
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (inner & known) or {node.module}
        else:
            waiting += ast.iter_child_nodes(node)
    return found


def room(module):
    """The package that a module lies in, such as emotion_model.faces; a module at the top is a room of its own."""
    return ".".join(module.split(".")[:2])


@pytest.fixture(scope="module")
def graph():
    """What each module imports."""
    known = modules()
    found = {name: imports(path, set(known)) for name, path in known.items()}
    assert "emotion_model.faces.detection" in found["emotion_model.pipeline"], "imports are not found"
    return found


def within(name, packages):
    return any(name == package or name.startswith(f"{package}.") for package in packages)


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("emotion_model", ("train", "ui", "app", "gradio")),
        ("train", ("ui", "app", "gradio", "av", "emotion_model.clips")),
        ("ui", ("train", "app")),
        ("emotion_model.faces", ("emotion_model.network", "emotion_model.clips", "emotion_model.hub", "keras")),
        ("emotion_model.network", ("emotion_model.clips", "emotion_model.hub", "emotion_model.drawing", "matplotlib")),
        ("emotion_model.timelines", ("cv2", "av", "matplotlib", "emotion_model.network", "emotion_model.clips")),
    ],
)
def test_a_room_knows_nothing_of_those_that_use_it(graph, package, forbidden):
    wrong = {
        (name, imported)
        for name, found in graph.items()
        if within(name, [package])
        for imported in found
        if within(imported, forbidden)
    }
    assert not wrong


def test_no_room_comes_back_to_itself(graph):
    rooms = {}
    for name, found in graph.items():
        ours = {room(imported) for imported in found if within(imported, OURS) and imported not in DOORS}
        if name not in DOORS:
            rooms.setdefault(room(name), set()).update(ours - {room(name)})
    TopologicalSorter(rooms).prepare()  # a CycleError names the circle


def test_no_module_comes_back_to_itself(graph):
    TopologicalSorter({name: found & set(graph) for name, found in graph.items() if name not in DOORS}).prepare()


@pytest.mark.parametrize(
    ("program", "unloaded"),
    [
        ("import emotion_model", {"numpy", "cv2", "keras", "openvino"}),
        ("from emotion_model import *", {"keras", "tensorflow", "torch", "jax"}),
        (
            "import numpy as np; from emotion_model import EmotionDetector, draw_faces;"
            "frame = np.zeros((99, 99, 3), np.uint8); draw_faces(frame, EmotionDetector().detect(frame))",
            {"av", "matplotlib", "keras", "tensorflow", "torch", "jax", "gradio"},
        ),
        (
            "from emotion_model.__main__ import main\ntry: main(['--help'])\nexcept SystemExit: pass",
            {"av", "keras", "openvino"},
        ),
    ],
)
@pytest.mark.programs
def test_what_is_not_needed_is_not_loaded(program, unloaded):
    code = f"{program}\nimport sys; print('loaded:', *({unloaded!r} & set(sys.modules)))"
    ended = run_program(code)
    assert ended.stdout.splitlines()[-1].strip() == "loaded:", ended.stdout[-300:] + ended.stderr


@pytest.mark.parametrize("backend", ["torch", "jax"])
@pytest.mark.programs
def test_training_needs_neither_video_nor_page_nor_tensorflow(backend):
    """It has to run on machines that lack them."""
    if not find_spec(backend):
        pytest.skip(f"needs {backend}")
    code = (
        "import sys\n"
        "from train.__main__ import main\n"
        "unneeded = {'av', 'gradio', 'tensorflow', 'openvino'}\n"
        "assert not unneeded & set(sys.modules), unneeded & set(sys.modules)\n"
        "sys.modules.update(dict.fromkeys(unneeded))\n"
        "small = ['--filters', '2', '--kernel-sizes', '3', '--attention-blocks']\n"
        "sys.exit(main(['--preset', 'compact', *small, '--summary']))"
    )
    # The process that programs on PyTorch are forked from has imported what the tests need, too.
    python = sys.executable if backend == "torch" else warm.python()
    ended = subprocess.run(
        [python, "-c", code],
        cwd=ROOT,
        env=of_users(KERAS_BACKEND=backend),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-800:]
