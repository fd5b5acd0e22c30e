"""How fast is this project beside what people use instead: DeepFace and fer?

Method: each system has an environment and a process of its own. In turn, ROUNDS times, each looks at the same pictures
in memory: a 640x480 frame with one face, and photos of 1280x960 with 1, 5 and 20 faces (TIMES looks each; the median
over all counts), and at every frame of the same 640x360 clip, from the file on. Start is the time from the command to
the first answer, the best of ROUNDS; memory is what the process holds after it. DeepFace runs on ONNX Runtime with
YuNet; where its network cannot be had, a file of the same architecture with random values stands in, since speed does
not depend on them. fer runs with its default, the Haar cascade. Faces are the portrait that scikit-image ships. Run it
on an otherwise idle machine; Linux only; needs requirements-dev.txt and requirements-hub.txt. The last line is JSON.

    python benchmarks/rivals.py [--folder WHERE_ENVIRONMENTS_ARE_KEPT]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from startup import resident_mb
from video import write_clip

ROOT = Path(__file__).parent.parent
PACKAGES = {"deepface": ["deepface==0.0.103", "onnxruntime", "flask"], "fer": ["fer==25.10.3", "setuptools<80"]}
NAMES = ("ours", "ours-live", "deepface", "fer")
ROUNDS, TIMES, CLIP_SECONDS = 3, 10, 4
PHOTO_FACES = (1, 5, 20)


def environment(name: str, folder: Path) -> Path:
    """The interpreter of a rival's environment, made where it is not there yet."""
    place = folder / name
    python, ready = place / "bin" / "python", place / "ready"
    if not ready.exists():
        print(f"installing {', '.join(PACKAGES[name])} …", flush=True)
        venv.create(place, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES[name]], check=True)
        ready.touch()
    return python


def prepare_deepface(python: Path, home: Path) -> str:
    """Put the files that DeepFace needs into its home; returns where the values of its network come from."""
    sys.path.insert(0, str(ROOT))
    from emotion_model.faces.detection import find_yunet

    weights = home / ".deepface" / "weights"
    weights.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(find_yunet(), weights / "face_detection_yunet_2023mar.onnx")
    network = weights / "facial_expression_model_weights.onnx"
    code = "from deepface import DeepFace; DeepFace.build_model('Emotion', 'facial_attribute')"
    options = {"DEEPFACE_HOME": str(home), "DEEPFACE_BACKEND_ENGINE": "onnx"}
    got = subprocess.run([python, "-c", code], env=os.environ | options, capture_output=True, check=False)
    if got.returncode == 0:
        return "its own"
    write_network(network)
    return "random"


def write_network(path: Path) -> None:
    """DeepFace's emotion network with random values: what its source says, as ONNX with Keras' order of axes."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    nodes: list[Any] = []
    values: list[Any] = []
    last = "pixels"

    def add(kind: str, *shapes: tuple[int, ...], **options: Any) -> None:
        nonlocal last
        inputs = [last]
        for shape in shapes:
            value = rng.normal(0, 0.05, shape).astype(np.float32)
            inputs.append(f"value{len(values)}")
            values.append(numpy_helper.from_array(value, inputs[-1]))
        last = f"{kind}{len(nodes)}"
        nodes.append(helper.make_node(kind, inputs, [last], **options))

    add("Transpose", perm=[0, 3, 1, 2])
    add("Conv", (64, 1, 5, 5), (64,))
    add("Relu")
    add("MaxPool", kernel_shape=[5, 5], strides=[2, 2])
    for before, after in ((64, 64), (64, 128)):
        for channels in (before, after):
            add("Conv", (after, channels, 3, 3), (after,))
            add("Relu")
        add("AveragePool", kernel_shape=[3, 3], strides=[2, 2])
    add("Flatten")
    for size, wide in ((128, 1024), (1024, 1024), (1024, 7)):
        add("Gemm", (size, wide), (wide,))
        add("Softmax" if wide == 7 else "Relu")
    graph = helper.make_graph(
        nodes,
        "emotion",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["faces", 48, 48, 1])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, ["faces", 7])],
        values,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


class Contender:
    """A system at work in a process of its own."""

    def __init__(self, name: str, python: Path, variables: dict[str, str], log: Path) -> None:
        """Start it."""
        self.name = name
        self._process = subprocess.Popen(
            [python, ROOT / "benchmarks" / "contender.py", name],
            env=os.environ | variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log.open("a"),
            text=True,
        )

    def ask(self, **asked: Any) -> dict[str, Any]:
        """Its answer."""
        assert self._process.stdin and self._process.stdout
        print(json.dumps(asked), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended by itself; see its log")
        return json.loads(line)

    @property
    def memory_mb(self) -> float:
        """What it holds now."""
        return resident_mb(self._process.pid)

    def end(self) -> None:
        """End it."""
        self._process.communicate()


def pictures(folder: Path) -> dict[str, Path]:
    """Names and files of the pictures to look at."""
    import skimage.data

    head = skimage.data.astronaut()[20:260, 110:350, ::-1]
    made = {}
    for name, (width, height), faces in (
        ("frame", (640, 480), 1),
        *((f"photo_{count}", (1280, 960), count) for count in PHOTO_FACES),
    ):
        picture = np.random.default_rng(0).integers(90, 140, (height, width, 3), np.uint8)
        columns = int(np.ceil(np.sqrt(faces * width / height)))
        rows = -(-faces // columns)
        side = round(0.9 * min(width / columns, height / rows, 400))
        for i in range(faces):
            x = round((i % columns + 0.5) * width / columns - side / 2)
            y = round((i // columns + 0.5) * height / rows - side / 2)
            picture[y : y + side, x : x + side] = cv2.resize(head, (side, side), interpolation=cv2.INTER_AREA)
        path = folder / f"{name}.png"
        cv2.imwrite(str(path), picture)
        made[name] = path
    return made


def measure(commands: dict[str, tuple[Path, dict[str, str]]], folder: Path) -> dict[str, dict[str, Any]]:
    """All figures of all systems, which take turns."""
    made, film = pictures(folder), folder / "clip.mp4"
    write_clip(film, CLIP_SECONDS)
    figures: dict[str, dict[str, Any]] = {name: {"start_s": [], "memory_mb": [], "clip_ms": []} for name in commands}
    running: list[Contender] = []
    for number in range(ROUNDS):
        for name, (python, variables) in commands.items():
            started = time.perf_counter()
            one = Contender(name, python, variables, folder / f"{name}.log")
            one.ask(photo=str(made["frame"]), times=1)
            figures[name]["start_s"].append(time.perf_counter() - started)
            figures[name]["memory_mb"].append(one.memory_mb)
            if number < ROUNDS - 1:
                one.end()
            else:
                running.append(one)
    for _ in range(ROUNDS):
        for one in running:
            for picture, path in made.items():
                answer = one.ask(photo=str(path), times=TIMES)
                figures[one.name].setdefault(f"{picture}_ms", []).extend(answer["ms"][1:])
                figures[one.name][f"{picture}_faces"] = answer["faces"]
            figures[one.name]["clip_ms"].append(one.ask(clip=str(film))["ms"])
    for one in running:
        one.end()
    return {name: {what: _summed_up(what, value) for what, value in found.items()} for name, found in figures.items()}


def _summed_up(what: str, values: Any) -> float:
    if not isinstance(values, list):
        return values
    return round(min(values) if what == "start_s" else statistics.median(values), 2)


def table(figures: dict[str, dict[str, Any]]) -> str:
    """The figures as Markdown."""
    head = ["", *figures]
    rows = [[what, *(str(found[what]) for found in figures.values())] for what in next(iter(figures.values()))]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Times this project beside DeepFace and fer.")
    kept = Path(tempfile.gettempdir()) / "emotion-rivals"
    parser.add_argument("--folder", type=Path, default=kept, help="where the rivals' environments are kept")
    folder: Path = parser.parse_args().folder
    pythons = {name: environment(name, folder) for name in PACKAGES}
    with tempfile.TemporaryDirectory() as name:
        made = Path(name)
        weights = prepare_deepface(pythons["deepface"], made)
        options = {"DEEPFACE_HOME": str(made), "DEEPFACE_BACKEND_ENGINE": "onnx", "DEEPFACE_LOG_LEVEL": "40"}
        commands: dict[str, tuple[Path, dict[str, str]]] = {
            name: (pythons.get(name, Path(sys.executable)), {}) for name in NAMES
        }
        commands["deepface"] = pythons["deepface"], options
        figures = measure(commands, made)
    print(table(figures))
    processor = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.processor(),
    )
    print(json.dumps({"cpu_count": os.cpu_count(), "processor": processor, "deepface_values": weights} | figures))


if __name__ == "__main__":
    main()
