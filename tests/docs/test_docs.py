"""The README's snippets, run as they stand; only the address of the page is that of the app under test."""

import re
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest

from support import clips
from support.paths import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def snippets(section, language):
    text = README.split(f"\n## {section}\n")[1].split("\n## ")[0]
    found = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    assert found, f"no {language} snippet in section {section}"
    return found


@pytest.fixture
def run(app, photo, astronaut, tmp_path):
    (tmp_path / "photo.jpg").write_bytes(photo.read_bytes())
    clips.write_clip(tmp_path / "clip.mp4", clips.face_film(astronaut), sound="aac")

    def run_snippet(command, text):
        text = text.replace("http://127.0.0.1:7860", app.url)
        done = subprocess.run([*command, text], cwd=tmp_path, capture_output=True, text=True, env=environment())
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run_snippet


def environment():
    import os

    return os.environ | {"PYTHONPATH": str(ROOT), "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}"}


@pytest.mark.parametrize("text", snippets("API", "python"), ids=["detect_image", "predict"])
def test_the_python_calls_of_the_api(run, text):
    assert "happy" in run([sys.executable, "-c"], text)


def test_the_curl_calls_of_the_api(run):
    (text,) = snippets("API", "bash")
    printed = run(["bash", "-euo", "pipefail", "-c"], text)
    assert printed.count("event: complete") == 4
    assert printed.count('"happy"') >= 3 and '"face_id"' in printed and '"colour"' in printed


@pytest.fixture
def run_node(run, tmp_path):
    packages = ROOT / "tests" / "node_modules"
    if not shutil.which("node") or not (packages / "@gradio" / "client").is_dir():
        pytest.skip("no node, or no @gradio/client: npm install --prefix tests --no-package-lock")
    (tmp_path / "node_modules").symlink_to(packages)
    return lambda text: run(["node", "--input-type=module", "-e"], text)


def test_the_javascript_example(run_node):
    (text,) = snippets("API", "javascript")
    photo, frame = run_node(text).splitlines()
    assert photo.startswith("happy ") and frame == "face 1 happy"


def test_a_clip_in_javascript(run_node):
    (text,) = snippets("Video", "javascript")
    *progress, person = run_node(text).splitlines()
    assert progress[-1].startswith("100 %, ") and person.startswith("person 1 http")


def test_a_clip_with_curl(run):
    (text,) = snippets("Video", "bash")
    printed = run(["bash", "-euo", "pipefail", "-c"], text)
    assert "event: complete" in printed and '"peaks"' in printed


def test_the_webcam_client(run, tmp_path, astronaut):
    film = cv2.VideoWriter(str(tmp_path / "film.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (512, 512))
    for i in range(5):
        film.write(np.roll(astronaut, 8 * i, axis=1)[..., ::-1].copy())
    film.release()
    text = snippets("Live", "python")[0]
    assert len(text.splitlines()) <= 20
    printed = run([sys.executable, "-c"], text.replace("VideoCapture(0)", "VideoCapture('film.avi')"))
    assert printed.count("face 1 is happy") == printed.count(" s: ") == 5


def test_the_tracking_example(run):
    printed = run([sys.executable, "-c"], snippets("Live", "python")[1])
    assert printed.count("1 happy") == 3


def test_the_call_for_a_clip(run):
    printed = run([sys.executable, "-c"], snippets("Video", "python")[0])
    assert "100%" in printed and "person 1 {" in printed and "_annotated.mp4" in printed and "_emotions.csv" in printed


def test_the_example_of_a_stream_of_faces(run):
    printed = run([sys.executable, "-c"], snippets("Video", "python")[1])
    assert printed.count("(1, 'happy')") == 10


@pytest.mark.parametrize("text", snippets("Python", "python"))
def test_the_python_example(run, text):
    assert run([sys.executable, "-c"], text).startswith("happy ")


def test_the_command_line_example(run, tmp_path):
    (text,) = snippets("Command line", "bash")
    printed = run(["bash", "-euo", "pipefail", "-c"], text)
    assert printed.startswith("photo.jpg: happy ") and "clip.mp4: 1 person in 20 frames" in printed
    assert all(
        (tmp_path / f"{name}").stat().st_size for name in ("out.png", "out.mp4", "clip.csv", "clip.vtt", "clip.png")
    )


def test_the_two_commands_stand_first():
    first = README.split("```bash\n")[1].split("```")[0]
    assert [line.split("#")[0].strip() for line in first.splitlines()] == ["make app", "make test"]


def test_the_presets_table_states_the_real_sizes():
    from emotion_model.network.architecture import build_model, count_multiply_adds
    from train.config import PRESETS

    for name, preset in PRESETS.items():
        model = build_model(preset.architecture)
        parameters = sum(weight.value.numpy().size for weight in model.trainable_weights)
        size = f"| `{name}` | {parameters:,} parameters, {count_multiply_adds(model) / 1e6:.0f} million multiply-adds |"
        assert size in README


def test_every_path_in_the_table_exists():
    table = README.split("\n## What is where\n")[1].split("\n## ")[0]
    for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE):
        folder = ROOT
        for name in re.findall(r"`([^`]+)`", row):
            path = ROOT / name if "/" in name or (ROOT / name).exists() else folder / name
            assert path.exists(), name
            folder = path.parent if path.is_file() else path
