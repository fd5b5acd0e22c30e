"""What README and docs show, run as it stands; only the address of the page is that of the app under test."""

import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections import Counter

import cv2
import httpx
import numpy as np
import pytest

from emotion_model.network.config import BUNDLED_DIR, CONFIG_FILE
from support import warm
from support.environment import of_users
from support.paths import ROOT

PAGES = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")))}


def snippets(page, heading, language):
    """The snippets of a language under a heading, in their order."""
    text = PAGES[page].split(f"\n## {heading}\n")[1].split("\n## ")[0]
    found = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    assert found, f"no {language} snippet under {heading} in {page}"
    return found


@pytest.fixture
def run(app, photo, clip, tmp_path, tmp_path_factory):
    python = tmp_path_factory.mktemp("bin") / "python"
    python.symlink_to(warm.python())
    (tmp_path / "photo.jpg").write_bytes(photo.read_bytes())
    (tmp_path / "clip.mp4").write_bytes(clip.read_bytes())

    environment = of_users(
        PYTHONPATH=str(ROOT), PATH=os.pathsep.join((str(python.parent), f"{sys.prefix}/bin", os.environ["PATH"]))
    )

    def run_snippet(command, text, **more):
        text = text.replace("http://127.0.0.1:7860", app.url)
        done = subprocess.run([*command, text], cwd=tmp_path, capture_output=True, text=True, env=environment | more)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run_snippet


def test_the_python_call_of_the_readme(run):
    (text,) = snippets("README.md", "API", "python")
    assert "\nhappy " in run([warm.python(), "-c"], text)


@pytest.mark.parametrize("text", snippets("api.md", "Python", "python"), ids=["detect_image", "predict"])
def test_the_python_calls_of_the_api(run, text):
    assert "happy" in run([warm.python(), "-c"], text)


def test_the_python_call_of_an_agent(run, app, photo):
    with photo.open("rb") as file:
        (path,) = httpx.post(f"{app.url}/gradio_api/upload", files={"files": file}).json()
    text = PAGES["agents.md"].split("```python\n")[1].split("```")[0]
    printed = run(
        [warm.python(), "-c"], text.replace("https://example.org/photo.jpg", f"{app.url}/gradio_api/file={path}")
    )
    assert json.loads(printed)["faces"][0]["emotion"] == "happy"


def test_the_curl_calls_of_the_api(run):
    text, quick = snippets("api.md", "curl", "bash")
    printed = run(["bash", "-euo", "pipefail", "-c"], text)
    assert json.loads(run(["bash", "-euo", "pipefail", "-c"], quick))["data"][0]["emotion"] == "happy"
    assert printed.count("event: complete") == 5
    assert printed.count('"happy"') >= 4 and '"face_id"' in printed and '"colour"' in printed


@pytest.fixture
def run_node(run, tmp_path):
    packages = ROOT / "tests" / "node_modules"
    if not shutil.which("node") or not (packages / "@gradio" / "client").is_dir():
        pytest.skip("no node, or no @gradio/client: npm install --prefix tests --no-package-lock")
    (tmp_path / "node_modules").symlink_to(packages)
    return lambda text: run(["node", "--input-type=module", "-e"], text)


def test_the_javascript_example(run_node):
    (text,) = snippets("api.md", "JavaScript", "javascript")
    photo, frame = run_node(text).splitlines()
    assert photo.startswith("happy ") and frame == "face 1 happy"


def test_a_clip_in_javascript(run_node):
    (text,) = snippets("video.md", "From JavaScript", "javascript")
    *progress, person = run_node(text).splitlines()
    assert progress[-1].startswith("100 %, ") and person.startswith("person 1 http")


def test_a_clip_with_curl(run):
    (text,) = snippets("video.md", "With curl", "bash")
    printed = run(["bash", "-euo", "pipefail", "-c"], text)
    assert "event: complete" in printed and '"peaks"' in printed


@pytest.fixture
def camera(tmp_path, astronaut):
    """Five frames that stand in for a camera's: film.avi, where snippets run."""
    film = cv2.VideoWriter(str(tmp_path / "film.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (512, 512))
    for i in range(5):
        film.write(np.roll(astronaut, 8 * i, axis=1)[..., ::-1].copy())
    film.release()


@pytest.mark.usefixtures("camera")
def test_the_webcam_client(run):
    (text,) = snippets("api.md", "Frames of a camera", "python")
    assert len(text.splitlines()) <= 20
    printed = run([warm.python(), "-c"], text.replace("VideoCapture(0)", "VideoCapture('film.avi')"))
    assert printed.count("face 1 is happy") == printed.count(" s: ") == 5


@pytest.mark.usefixtures("camera")
def test_the_examples_in_python(run, tmp_path):
    """A model at a path, tracking and several models, in one process."""
    for name in ("mine", "other"):
        shutil.copytree(BUNDLED_DIR, tmp_path / "runs" / name)
    (path,) = snippets("python.md", "A model at a path", "python")
    (tracking,) = snippets("python.md", "Frames of a camera", "python")
    (ensemble,) = snippets("python.md", "Several models as one", "python")
    printed = run(
        [warm.python(), "-c"],
        "\n".join([path, tracking.replace("VideoCapture(0)", "VideoCapture('film.avi')"), ensemble]),
    )
    assert printed.startswith("happy\n") and printed.count("[(1, 'happy', ") == 5
    assert len((tmp_path / "camera.csv").read_text().splitlines()) == 6 and (tmp_path / "camera.jpg").stat().st_size
    assert printed.endswith("happy\n")


def test_the_network_itself_in_python(run):
    (text,) = snippets("python.md", "The network itself", "python")
    assert run([warm.python(), "-c"], text, KERAS_BACKEND="torch") == "(None, 48, 48, 1) (None, 7)\n"


def test_the_call_for_a_clip(run):
    printed = run([warm.python(), "-c"], snippets("video.md", "From Python, by the API", "python")[0])
    assert "100%" in printed and "person 1 {" in printed and "_annotated.mp4" in printed and "_emotions.csv" in printed


def test_the_example_of_a_stream_of_faces(run):
    printed = run([warm.python(), "-c"], snippets("video.md", "In Python", "python")[0])
    assert printed.count("(1, 'happy')") == 10


def test_the_rows_of_a_clip_in_pandas(run, tmp_path):
    """Means over time, with the odd frame without a face."""
    (text,) = snippets("video.md", "Rows", "python")
    head = "time,frame,face_id,happy,valence,arousal,clear"
    rows = [
        "0.0,0,1,0.2,0,0,true",
        "1.0,1,1,0.8,0,0,false",
        "1.0,1,2,0.5,0,0,true",
        "4.0,2,,,,,",
        "5.0,3,1,0.1,0,0,true",
    ]
    (tmp_path / "clip.csv").write_text("\n".join([head, *rows]))
    lines = [line.split() for line in run([warm.python(), "-c"], text).splitlines()[-2:]]
    assert [(name, float(happy)) for name, happy, *_ in lines] == [("1", 0.65), ("2", 0.5)]


@pytest.mark.parametrize("text", snippets("README.md", "Python", "python"))
def test_the_python_example(run, text):
    assert run([warm.python(), "-c"], text).startswith("happy ")


def test_the_command_line_example(run, tmp_path):
    (text,) = snippets("README.md", "Command line", "bash")
    printed = run(["bash", "-euo", "pipefail", "-c"], text)
    assert printed.startswith("photo.jpg: happy ") and "clip.mp4: 1 person in 20 frames" in printed
    assert all(
        (tmp_path / f"{name}").stat().st_size for name in ("out.png", "out.mp4", "clip.csv", "clip.vtt", "clip.png")
    )


def test_the_two_commands_stand_first():
    first = PAGES["README.md"].split("```bash\n")[1].split("```")[0]
    assert [line.split("#")[0].strip() for line in first.splitlines()] == ["make app", "make test"]


def test_the_presets_table_states_the_real_sizes():
    from emotion_model.network.building import build_model, count_multiply_adds
    from train.config import PRESETS

    for name, preset in PRESETS.items():
        model = build_model(preset.architecture)
        parameters = sum(math.prod(weight.shape) for weight in model.trainable_weights)
        size = f"| `{name}` | {parameters:,} parameters, {count_multiply_adds(model) / 1e6:.0f} million multiply-adds |"
        assert size in PAGES["training.md"]


def test_the_scores_of_the_released_models_are_those_on_record():
    plan, before, bundled = (
        json.loads(path.read_text(encoding="utf-8"))[key]["test"]
        for path, key in (
            (ROOT / "train" / "results" / "cpu-plan-levels" / "release.json", "scores"),
            (ROOT / "train" / "results" / "cpu-plan" / "release.json", "scores"),
            (BUNDLED_DIR / CONFIG_FILE, "metrics"),
        )
    )
    told = " ".join(PAGES["training.md"].split())
    assert f"[{100 * plan['accuracy']:.2f} % on the test split]" in told
    assert f"in its last stage {100 * before['accuracy']:.2f} % and {before['macro_f1']:.3f})" in told
    assert f"the bundled model has {100 * bundled['accuracy']:.2f} % and {bundled['macro_f1']:.3f}." in told


def tree():
    """Paths of the tree in docs/architecture.md, folders with a slash at the end."""
    folders, paths = [], []
    for line in PAGES["architecture.md"].split("```\n")[1].splitlines():
        depth, name = (len(line) - len(line.lstrip())) // 2, line.split()[0]
        folders[depth:] = [name]
        paths.append("".join(folders))
    return paths


def test_every_path_of_the_tree_exists():
    for path in tree():
        assert (ROOT / path).is_dir() if path.endswith("/") else (ROOT / path).is_file(), path


def test_every_module_stands_in_the_tree():
    rooms = [path for room in ("emotion_model", "train", "ui") for path in (ROOT / room).rglob("*.*")]
    modules = {
        path.relative_to(ROOT).as_posix()
        for path in rooms
        if path.suffix in (".py", ".js", ".css") and path.name != "__init__.py"
    }
    assert modules <= set(tree())


def test_every_file_of_the_walks_exists():
    walks = PAGES["architecture.md"].split("## Five walks")[1]
    for name in re.findall(r"`([\w/.]+\.(?:py|js|md)|[\w/]+/)`", walks):
        assert (ROOT / name).exists() or (ROOT / "emotion_model" / name).exists(), name


def anchors(text):
    """Of headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_and_picture_leads_somewhere(page):
    folder = ROOT if page == "README.md" else ROOT / "docs"
    links = re.findall(r"\]\(([^)]+)\)|(?:src|srcset)=\"([^\"]+)\"", PAGES[page])
    for link in [one or other for one, other in links if ":" not in one + other]:
        path, _, anchor = link.partition("#")
        target = folder / path if path else folder / page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), link


def test_every_command_shown_exists():
    shown = {name for text in PAGES.values() for name in re.findall(r"python -m ((?:emotion_model|train)[\w.]*)", text)}
    assert {"emotion_model", "emotion_model.hub", "train", "train.finetune"} <= shown
    for name in shown:
        path = ROOT / name.replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), name


def test_the_readme_fits_on_its_pages():
    assert len(PAGES["README.md"].splitlines()) <= 150


def test_no_entry_of_the_changelog_stands_twice():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    entries = [" ".join(entry.split()) for entry in re.findall(r"^- .*(?:\n  .*)*", text, re.MULTILINE)]
    assert [entry for entry, times in Counter(entries).items() if times > 1] == []
