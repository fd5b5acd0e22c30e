"""Publishing model and page, against a Hub on the loopback interface, through the command line as people use it."""

import base64
import json
import re
import shutil
import subprocess
from functools import partial

import cv2
import hf_xet
import httpx
import numpy as np
import pytest
import yaml
from gradio_client import Client
from huggingface_hub import constants

from emotion_model import EmotionClassifier, ModelConfig, ModelError
from emotion_model.download import HubError
from emotion_model.hub.card import LICENSE
from emotion_model.hub.command import main
from emotion_model.hub.conversion import write_onnx
from emotion_model.hub.forms import prepare
from emotion_model.hub.repository import asked
from emotion_model.hub.space import SPACE_NOTE, space_readme
from emotion_model.network.config import BUNDLED_DIR, CONFIG_FILE, WEIGHTS_FILE
from emotion_model.runtime import RuntimeUnavailableError
from support.apps import start_app
from support.hub_server import Repo, check_metadata, running_hub
from support.models import write_config
from support.paths import ROOT

NAME, SPACE = "maker/emotion-cnn", "maker/emotion"


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with running_hub() as hub:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
        template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr("huggingface_hub.hf_api.api.endpoint", hub.url)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("HF_TOKEN", "hf_owner")
        yield hub


@pytest.fixture(scope="module")
def onnx_form(small, converters, tmp_path_factory):
    """The bytes of the small model's ONNX form."""
    folder = tmp_path_factory.mktemp("onnx")
    write_onnx(EmotionClassifier.load(small), folder)
    return (folder / "emotion_cnn.onnx").read_bytes()


@pytest.fixture
def exported(onnx_form, monkeypatch):
    """The small model is not exported once more, which takes seconds: one push does that."""
    use(onnx_form, monkeypatch)


def use(onnx_form, monkeypatch):
    monkeypatch.setattr("emotion_model.hub.conversion.save_onnx", lambda *given: given[-1].write_bytes(onnx_form))


def metadata(text):
    return yaml.safe_load(re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)[1])


def test_a_push_is_one_commit_with_every_form_and_a_tag(hub, converters, small, capsys):
    assert main(["push", NAME, "--model", str(small)]) == 0
    repo = hub.repo(NAME)
    assert len(repo.commits) == 2 and repo.tags == {"v1": repo.commits[-1][0]} and not repo.private
    assert set(repo.files) == {
        ".gitattributes",
        "LICENSE",
        "README.md",
        "config.json",
        "emotion_cnn.keras",
        "emotion_cnn.onnx",
        "handler.py",
        "image_processing_emotion_cnn.py",
        "model.safetensors",
        "modeling_emotion_cnn.py",
        "preprocessor_config.json",
        "requirements.txt",
    }
    printed = capsys.readouterr().out
    assert (
        "version v1" in printed
        and f"commit {repo.commits[-1][0]}\n" in printed
        and "emotion_cnn.onnx" in printed
        and "no figures" in printed
    )
    values = metadata(repo.files["README.md"].decode())
    assert (values["library_name"], values["pipeline_tag"]) == ("transformers", "image-classification")
    assert values["license"] and values["datasets"] == ["fer2013"]

    # The same again changes nothing, also where it is made anew.
    assert main(["push", NAME, "--model", str(small)]) == 0
    assert len(repo.commits) == 2 and repo.tags.keys() == {"v1"}
    assert "nothing has changed" in capsys.readouterr().out

    # What it published can be loaded, and is the model.
    pulled = EmotionClassifier.from_pretrained(NAME, "v1")
    assert pulled.emotions == ("calm", "bored", "amused") and pulled.config.temperature == 1.5


def test_a_changed_model_becomes_the_next_version(hub, onnx_form, small, tmp_path, capsys, monkeypatch):
    model = shutil.copytree(small, tmp_path / "model")
    (model / "figures").mkdir()
    shutil.copyfile(BUNDLED_DIR / "figures" / "confusion.png", model / "figures" / "confusion.png")
    digest = json.loads((model / CONFIG_FILE).read_text())["weights"]["sha256"]
    (model / "figures" / "figures.json").write_text(json.dumps({"weights_sha256": digest}))
    with monkeypatch.context() as unchanged:
        use(onnx_form, unchanged)
        assert main(["push", NAME, "--model", str(model), "--tag", "first", "--private"]) == 0
        repo = hub.repo(NAME)
        assert repo.private and "figures/confusion.png" in repo.files
        assert "![Confusion matrix" in repo.files["README.md"].decode()
        pulled = EmotionClassifier.from_pretrained(NAME, "first").folder
        for name in ("confusion.png", "figures.json"):
            assert (pulled / "figures" / name).read_bytes() == repo.files[f"figures/{name}"]
        again = tmp_path / "again"
        again.mkdir()
        assert prepare(pulled, again, NAME) == [] and (again / "figures" / "confusion.png").exists(), "edited, say"
        capsys.readouterr()
        assert main(["push", NAME, "--model", str(model), "--figures", str(tmp_path / "figurse")]) == 2, "mistyped"
        assert f"error: no figures in {tmp_path / 'figurse'}: draw them" in capsys.readouterr().err
        assert "figures/confusion.png" in repo.files

    config = json.loads((model / CONFIG_FILE).read_text()) | {"temperature": 1.25}
    write_config(model, config)
    (model / "figures" / "figures.json").write_text("{}")
    repo.files.update({"NOTES.md": b"its owner's own", "checkpoints/epoch_12.keras": b"likewise", "older.onnx": b""})
    assert main(["push", NAME, "--model", str(model)]) == 0
    assert repo.tags.keys() == {"first", "v1"} and repo.tags["v1"] == repo.commits[-1][0]
    assert not [name for name in repo.files if name.startswith("figures/")], "figures of other weights stay out"
    assert {"NOTES.md", "checkpoints/epoch_12.keras"} <= repo.files.keys() and "older.onnx" not in repo.files
    printed = capsys.readouterr().out
    assert "not about these weights" in printed
    assert "removed  figures/confusion.png" in printed and "removed  older.onnx" in printed
    monkeypatch.setattr("emotion_model.hub.forms.prepare", lambda *_: [])  # it does not come to sending
    assert main(["push", NAME, "--model", str(model), "--tag", "first"]) == 2
    assert "first stands for an older version" in capsys.readouterr().err and len(repo.commits) == 3


def test_a_dry_run_asks_nobody_and_needs_no_token(hub, exported, small, monkeypatch, capsys):
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", "/nowhere")
    monkeypatch.setattr("emotion_model.hub.command.BUNDLED_DIR", small)
    assert main(["push", NAME, "--model", "bundled", "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "model.safetensors" in printed and "emotion_cnn.onnx" in printed
    assert "nothing was sent" in printed and hub.requests == []


def test_weights_of_ones_own_may_have_a_licence_of_their_own(hub, exported, small, monkeypatch, capsys):
    found = {}

    def look(folder, *_):
        found["card"], found["code"] = ((folder / name).read_text() for name in ("README.md", "LICENSE"))

    monkeypatch.setattr("emotion_model.hub.push.list_files", lambda files: look(files["README.md"].parent))
    assert main(["push", NAME, "--model", str(small), "--license", "cc-by-nc-4.0", "--dry-run"]) == 0
    assert metadata(found["card"])["license"] == "cc-by-nc-4.0" and "MIT License" in found["code"]
    assert "under the licence cc-by-nc-4.0, the code here under MIT" in found["card"]


def test_without_an_openvino_that_runs_it_nothing_is_published(hub, converters, small, monkeypatch, capsys):
    def unavailable():
        raise RuntimeUnavailableError("OpenVINO cannot start (it is gone): pip install -U openvino.")

    monkeypatch.setattr("emotion_model.hub.conversion.save_onnx", lambda *given: given[-1].write_bytes(b"no network"))
    for said in ("error: OpenVINO cannot run the ONNX form (", "error: OpenVINO cannot start (it is gone): pip"):
        assert main(["push", NAME, "--model", str(small), "--dry-run"]) == 2
        assert said in capsys.readouterr().err
        monkeypatch.setattr("emotion_model.runtime._core", unavailable)


@pytest.mark.parametrize("name", ["emotion-cnn", "maker/a b", "maker/-a", "maker/a--b", "a/b/c", "maker/" + "x" * 100])
def test_a_name_that_is_not_allowed_is_told_at_once(hub, name, capsys):
    for arguments in (["push", "--", name], ["deploy", "--", name], ["card", f"--repo={name}"]):
        assert main(arguments) == 2
        assert "USER/NAME" in capsys.readouterr().err
    assert hub.requests == []


def test_without_a_token_nothing_begins(hub, monkeypatch, capsys):
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", "/nowhere")
    for command in ("push", "deploy"):
        assert main([command, NAME]) == 2
        assert "hf auth login" in capsys.readouterr().err


@pytest.mark.parametrize(("token", "said"), [("hf_expired", "valid HF_TOKEN"), ("hf_reader", "may only read")])
@pytest.mark.parametrize("command", ["push", "deploy"])
def test_with_a_token_that_will_not_do_nothing_begins(hub, monkeypatch, command, token, said, capsys):
    monkeypatch.setenv("HF_TOKEN", token)
    assert main([command, NAME]) == 2
    printed = capsys.readouterr()
    assert said in printed.err and printed.out == "" and hub.requests == ["GET /api/whoami-v2"]


FAULTS = [
    ({"pattern": "POST .*/create", "status": 401}, "valid HF_TOKEN"),
    ({"pattern": "POST .*/create", "status": 403}, "no rights"),
    ({"pattern": "POST .*/commit/", "status": 409}, "at the same time"),
    ({"pattern": "POST .*/create", "status": 429}, "too many requests"),
    ({"pattern": "POST .*/commit/", "status": 500}, "status 500"),
    ({"pattern": "POST .*/validate-yaml", "status": 400}, "Invalid metadata"),
    ({"pattern": "POST .*/commit/", "cut_after": 0}, "cannot be reached"),
]


@pytest.mark.parametrize(("fault", "said"), FAULTS, ids=[said for _, said in FAULTS])
def test_refusals_of_the_hub_become_sentences(hub, fault, said, capsys):
    hub.fail(**fault)
    assert main(["deploy", NAME]) == 2
    printed = capsys.readouterr().err
    assert said in printed and printed.count("\n") == 1
    assert "Traceback" not in printed and "hf_owner" not in printed


def test_so_does_that_of_a_large_file(hub, monkeypatch, capsys):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    hub.large = "social.jpg$"
    hub.fail("PUT /storage", status=403)
    assert main(["deploy", NAME]) == 2
    printed = capsys.readouterr().err
    assert "no rights" in printed and printed.count("\n") == 1


@pytest.mark.parametrize(("status", "said"), [(401, "valid HF_TOKEN"), (403, "no rights")])
def test_so_does_that_of_a_large_file_by_xet(hub, status, said, capsys):
    hub.large = "social.jpg$"
    hub.fail("GET .*/xet-write-token/", status=status)
    assert main(["deploy", NAME]) == 2
    assert said in capsys.readouterr().err.splitlines()[-1], "below the client's bars"


def test_whatever_else_the_hubs_client_raises_is_one_sentence():
    def fail(error):
        raise error

    sending = RuntimeError("Error while uploading 'a' to the Hub.")
    sending.__cause__ = ValueError("malformed\nanswer")
    for error, expected in (
        (HubError("no room"), HubError("no room")),
        (ModelError("no model"), ModelError("no model")),
        (RuntimeError("Data processing\nerror"), HubError(f"{NAME}: Data processing error")),
        (sending, HubError(f"{NAME}: Error while uploading 'a' to the Hub. malformed answer")),
        (
            hf_xet.XetAuthenticationError("Authentication error"),
            HubError(f"{NAME}: your token has no rights here: use one that may write to this account."),
        ),
    ):
        with pytest.raises(RuntimeError) as caught:
            asked(NAME, partial(fail, error))
        assert (type(caught.value), str(caught.value)) == (type(expected), str(expected))


def test_somebody_elses_account_is_refused(hub, capsys):
    assert main(["deploy", "other/emotion"]) == 2
    assert "no rights" in capsys.readouterr().err
    hub.repos["spaces/other/emotion"] = Repo(sdk="gradio")
    hub.repo("other/emotion", "spaces").commit({})
    assert main(["deploy", "other/emotion"]) == 2
    assert "no rights" in capsys.readouterr().err


def test_without_a_network_it_says_so(hub, monkeypatch, capsys):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.hf_api.api.endpoint", "http://127.0.0.1:9")
    assert main(["deploy", SPACE]) == 2
    assert "cannot be reached" in capsys.readouterr().err


def test_a_public_repository_does_not_silently_stay_public(hub, capsys):
    assert main(["deploy", SPACE]) == 0
    assert main(["deploy", SPACE, "--private"]) == 2
    assert "is public" in capsys.readouterr().err


def test_a_space_is_created_updated_and_pinned_to_its_model(hub, small, capsys):
    model = hub.repos[f"models/{NAME}"] = Repo()
    files = {path.name: path.read_bytes() for path in small.iterdir()} | {"figures/curves.png": b"", "other.png": b""}
    files["figures/figures.json"] = b"{}"
    files["emotion_cnn.onnx"] = b""
    model.tags["v1"] = model.commit(files)
    model.commit({"later": b""})
    assert main(["deploy", SPACE, "--model", NAME, "--revision", "v1"]) == 0
    space = hub.repo(SPACE, "spaces")
    commit = model.tags["v1"]
    assert space.sdk == "gradio"
    assert space.variables == {"EMOTION_MODEL_REPO": NAME, "EMOTION_MODEL_REVISION": commit}
    files = set(space.files)
    assert {
        "app.py",
        "README.md",
        "requirements.txt",
        "ui/page.py",
        "ui/style.css",
        "ui/live/live.js",
        "emotion_model/network/bundled/config.json",
    } <= files
    assert not any(re.search(r"__pycache__|^train/|^tests/|/\.|^\.(?!gitattributes)", name) for name in files)
    readme = space.files["README.md"].decode()
    assert "\n---\n\n> This Space holds the page" in readme
    values = metadata(readme)
    assert values["models"] == [NAME, "opencv/face_detection_yunet"]
    assert (
        values["preload_from_hub"][0]
        == f"{NAME} config.json,{WEIGHTS_FILE},emotion_cnn.onnx,figures/curves.png,figures/figures.json {commit}"
    )

    hub.requests.clear()
    assert main(["deploy", SPACE, "--model", NAME, "--revision", "v1"]) == 0
    assert "nothing has changed" in capsys.readouterr().out
    assert not any(re.search("POST .*/(commit|variables)", request) for request in hub.requests), "it would restart"

    space.files["ui/old.py"] = b""
    assert main(["deploy", SPACE]) == 0
    assert space.variables == {} and "ui/old.py" not in space.files
    assert metadata(space.files["README.md"].decode())["models"] == ["opencv/face_detection_yunet"]


def test_what_was_deployed_runs_by_itself_with_its_model(hub, small, tmp_path):
    """The files and variables of the Space, and nothing else of the checkout."""
    model = hub.repos[f"models/{NAME}"] = Repo()
    model.commit({path.name: path.read_bytes() for path in small.iterdir()})
    assert main(["deploy", SPACE, "--model", NAME]) == 0
    space = hub.repo(SPACE, "spaces")
    root = tmp_path / "space"
    for name, content in space.files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    environment = space.variables | {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home")}
    large = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 255, (2000, 3000, 3), np.uint8))[1]
    text = base64.b64encode(large.tobytes()).decode()
    with start_app(tmp_path, root=root, **environment) as app:
        info = Client(app.url, verbose=False).predict(api_name="/model_info")
        for _ in range(8):
            posted = httpx.post(f"{app.url}/gradio_api/call/v2/predict", json={"image": text}, timeout=30)
            assert posted.status_code == 200
    assert app.process.returncode == 0, "it was ended in the middle of a picture"
    assert info["source"] == f"{NAME} ({model.commits[-1][0][:8]})"
    assert [label["name"] for label in info["labels"]] == ["calm", "bored", "amused"]


@pytest.mark.parametrize("hidden", ["private", "gated"])
def test_a_model_that_not_everybody_may_read_is_pulled_by_the_page_alone(hub, small, hidden, capsys):
    model = hub.repos[f"models/{NAME}"] = Repo(**{hidden: True})
    model.commit({path.name: path.read_bytes() for path in small.iterdir()})
    assert main(["deploy", SPACE, "--model", NAME]) == 0
    told = capsys.readouterr().out
    assert "give the Space a secret HF_TOKEN" in told and "hands the network to every visitor" in told
    space = hub.repo(SPACE, "spaces")
    assert space.variables["EMOTION_MODEL_REPO"] == NAME
    assert NAME not in str(metadata(space.files["README.md"].decode())["preload_from_hub"]), "builds know no secrets"


def test_what_git_does_not_know_stays_here(hub, monkeypatch, tmp_path, capsys):
    for path in ("app.py", "README.md", "docs/guide.md", "docs/private.txt"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes((ROOT / path).read_bytes() if (ROOT / path).exists() else b"mine")
    monkeypatch.setattr("emotion_model.hub.space.ROOT", tmp_path)
    monkeypatch.setattr("emotion_model.hub.space.SPACE_PARTS", ("app.py", "docs", "README.md"))
    everything = "note: git knows nothing of this copy, so every file of the page goes"
    assert main(["deploy", SPACE, "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert everything in printed and "docs/private.txt" in printed, "where there is no git everything goes"
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    assert main(["deploy", SPACE, "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert everything in printed and "docs/guide.md" in printed, "unpacked inside a repository that does not track it"
    subprocess.run(["git", "add", "app.py", "README.md", "docs/guide.md"], cwd=tmp_path, check=True)
    assert main(["deploy", SPACE]) == 0
    printed = capsys.readouterr().out
    assert "docs/private.txt is not in git" in printed and everything not in printed
    assert {name for name in hub.repo(SPACE, "spaces").files if "docs/" in name} == {"docs/guide.md"}
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # git's own, as where another user's checkout is mounted
    assert main(["deploy", SPACE]) == 2
    assert "detected dubious ownership in repository" in capsys.readouterr().err


def test_a_commit_that_fails_leaves_model_and_page_together(hub, small, monkeypatch):
    hub.repos[f"models/{NAME}"] = Repo()
    hub.repo(NAME).commit({path.name: path.read_bytes() for path in small.iterdir()})
    assert main(["deploy", SPACE]) == 0

    def refuse(*_):
        raise HubError("no room")

    monkeypatch.setattr("emotion_model.hub.space.commit_files", refuse)
    assert main(["deploy", SPACE, "--model", NAME]) == 2
    assert hub.repo(SPACE, "spaces").variables == {}


def test_one_model_is_never_asked_for_at_the_commit_of_another(hub, small):
    states = []

    class Watched(dict):
        def __setitem__(self, key, value):
            super().__setitem__(key, value)
            states.append(dict(self))

        def pop(self, *given):
            super().pop(*given)
            states.append(dict(self))

    commits = {}
    for name in (NAME, "maker/other"):
        repo = hub.repos[f"models/{name}"] = Repo()
        commits[name] = repo.commit({path.name: path.read_bytes() for path in small.iterdir()} | {"of": name.encode()})
    assert main(["deploy", SPACE, "--model", NAME]) == 0
    space = hub.repo(SPACE, "spaces")
    space.variables = Watched(space.variables)
    assert main(["deploy", SPACE, "--model", "maker/other"]) == 0
    assert states[-1] == {"EMOTION_MODEL_REPO": "maker/other", "EMOTION_MODEL_REVISION": commits["maker/other"]}
    for state in states:
        assert state.get("EMOTION_MODEL_REVISION") in (None, commits[state["EMOTION_MODEL_REPO"]])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--revision", "v1"], "give --model too"),
        (["--model", "maker/nothing"], "check the name"),
        (["--model", NAME, "--revision", "v9"], "no such revision"),
    ],
)
def test_a_space_without_its_model_is_not_deployed(hub, small, arguments, said, capsys):
    hub.repos[f"models/{NAME}"] = Repo()
    hub.repo(NAME).commit({})
    assert main(["deploy", SPACE, *arguments]) == 2
    assert said in capsys.readouterr().err and f"spaces/{SPACE}" not in hub.repos


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({}, "has no file of its weights: publish the model"),
        ({"file": WEIGHTS_FILE}, "has no sha256 of its weights: publish the model"),
        ({"file": WEIGHTS_FILE, "sha256": "0", "onnx": None}, ""),
    ],
)
def test_neither_is_one_whose_config_names_no_weights(hub, small, record, said, capsys):
    config = json.loads((small / CONFIG_FILE).read_text()) | {"weights": record}
    hub.repos[f"models/{NAME}"] = Repo()
    hub.repo(NAME).commit({CONFIG_FILE: json.dumps(config).encode()})
    assert main(["deploy", SPACE, "--model", NAME, "--dry-run"]) == (2 if said else 0)
    assert said in capsys.readouterr().err
    with pytest.raises(ModelError, match=said or "lacks this file"):
        EmotionClassifier.from_pretrained(NAME)


def test_the_front_matter_fits_what_is_installed():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    values = metadata(text)
    assert check_metadata(text, "space") == []
    assert f"gradio[mcp]=={values['sdk_version']} " in (ROOT / "requirements.txt").read_text()
    assert isinstance(values["python_version"], str) and values["app_file"] == "app.py"
    required = re.search(r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text())[1]
    assert [int(n) for n in values["python_version"].split(".")] >= [int(n) for n in required.split(".")]
    pinned = metadata(space_readme(text, "user/space", "a/b", "c", ["d"]))
    assert pinned["preload_from_hub"] == ["a/b d c", *values["preload_from_hub"]] and pinned["license"] == LICENSE
    alone = space_readme(text, "user/space")
    preview = {"thumbnail": f"{constants.ENDPOINT}/spaces/user/space/resolve/main/docs/pictures/social.jpg"}
    assert metadata(alone) == values | preview
    assert alone.split("\n---\n", 1)[1] == f"\n{SPACE_NOTE}" + text.split("\n---\n", 1)[1]


def test_every_package_the_page_needs_is_in_its_requirements():
    """The Space installs requirements.txt alone: nothing outside it may be needed before a visitor comes."""
    import ast
    import sys

    distributions = {
        "cv2": "opencv",
        "PIL": "pillow",
        "pillow_heif": "pillow-heif",
        "huggingface_hub": "huggingface-hub",
        "lazy_loader": "lazy-loader",
        "httpx2": "huggingface-hub",
        "anyio": "gradio",
        "fastapi": "gradio",
        "gradio_client": "gradio",
        "httpx": "gradio",
        "jinja2": "gradio",
        "safehttpx": "gradio",
        "starlette": "gradio",
    }
    wanted = (ROOT / "requirements.txt").read_text().lower()
    # The optional doors.
    later = {"torch", "transformers", "safetensors", "onnx", "onnxruntime", "tensorflow", "jax", "fsspec", "pyarrow"}
    for path in [ROOT / "app.py", *(ROOT / "ui").rglob("*.py"), *(ROOT / "emotion_model").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            for name in {name.split(".")[0] for name in names} - later:
                known = name in sys.stdlib_module_names or name in ("emotion_model", "ui", "app")
                assert known or distributions.get(name, name) in wanted, f"{path.name} imports {name}"


def test_a_network_of_another_make_is_refused(converters, small, tmp_path):
    import keras

    model = shutil.copytree(small, tmp_path / "model")
    config = json.loads((model / CONFIG_FILE).read_text())
    inputs = keras.Input((32, 32, 1))
    outputs = keras.layers.Dense(3, activation="softmax", name="logits")(keras.layers.Flatten()(inputs))
    keras.Model(inputs, outputs).save(model / WEIGHTS_FILE)
    write_config(model, config)
    with pytest.raises(ModelError, match="do not fit") as caught:
        prepare(model, tmp_path, NAME)
    assert "\n" not in str(caught.value)
    write_config(model, config | {"architecture": {"layers": 3}})
    with pytest.raises(ModelError, match="build_model"):
        prepare(model, tmp_path, NAME)


@pytest.mark.parametrize("name", ["../outside.keras", "inner/emotion_cnn.keras", "config.json", ""])
def test_a_config_whose_weights_lie_elsewhere_is_refused(converters, small, tmp_path, name):
    model, out = shutil.copytree(small, tmp_path / "model"), tmp_path / "out"
    out.mkdir()
    config = json.loads((model / CONFIG_FILE).read_text())
    (model / CONFIG_FILE).write_text(json.dumps(config | {"weights": config["weights"] | {"file": name}}))
    with pytest.raises(ModelError, match=f"names '{name}' as its weights, which is no .keras file beside it: make it"):
        prepare(model, out, NAME)
    assert not list(out.iterdir()) and {path.name for path in tmp_path.iterdir()} == {"model", "out"}


def test_a_model_without_records_is_not_published(converters, tiny_model, tmp_path, capsys):
    model = shutil.copytree(tiny_model, tmp_path / "model")
    assert main(["push", NAME, "--model", str(model), "--dry-run"]) == 2
    assert "train.export" in capsys.readouterr().err
    assert ModelConfig.from_json((model / CONFIG_FILE).read_text()).metrics == {}


def test_the_package_offers_the_same_commands(hub, capsys):
    from emotion_model.__main__ import main as package

    assert package(["hub", "push", "no name"]) == 2
    assert "USER/NAME" in capsys.readouterr().err
