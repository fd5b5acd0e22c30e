"""Put the page on the Hub, as a Space."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

from emotion_model.download import HubError, check_name
from emotion_model.hub.card import CARD_FILE
from emotion_model.hub.repository import asked, check_token, commit_files, create, list_files
from emotion_model.network.config import CONFIG_FILE, FIGURES_FILES, read_published

ROOT = Path(__file__).parents[2]

# What a Space needs of a checkout, and what its README leads to; the rest makes, tests and measures.
SPACE_PARTS = ("app.py", "emotion_model", "ui", "docs", "requirements.txt", "README.md", "LICENSE")
SPACE_NOTE = (
    "> This Space holds the page and what runs it. What is said here of tests, training and contributing needs a\n"
    "> checkout of the whole project.\n"
)
SPACE_VARIABLES = ("EMOTION_MODEL_REPO", "EMOTION_MODEL_REVISION")


def deploy(
    repo_id: str,
    model: str | None = None,
    revision: str | None = None,
    private: bool = False,
    dry_run: bool = False,
) -> None:
    """Create or update the Space that serves the page.

    Args:
        repo_id: `USER/NAME` of the Space.
        model: `USER/NAME` of the model that it pulls; by default the bundled one serves.
        revision: branch, tag or commit of the model; by default the newest. The Space is pinned to its commit.
        private: make a new Space private.
        dry_run: list what would go; only the model's repository is looked at.

    Raises:
        HubError: the Hub refuses, or cannot be reached; or this is no checkout, or one that git does not read.
        ModelError: what the model's repository holds was not published by `push`.
    """
    _require_deployable(repo_id, model, revision)
    if not dry_run:
        check_token(repo_id)
    variables, preload, hidden = {}, [], False
    if model:
        check_name(model)
        commit, preload, hidden = asked(model, lambda: _look_up(model, revision))
        variables = dict(zip(SPACE_VARIABLES, (model, commit), strict=True))
    with tempfile.TemporaryDirectory(prefix="emotion-space-") as name:
        files = _space_files()
        readme = Path(name) / CARD_FILE
        text = (ROOT / CARD_FILE).read_text(encoding="utf-8")
        readme.write_text(
            space_readme(text, repo_id, model, variables.get(SPACE_VARIABLES[1]), preload), encoding="utf-8"
        )
        files[CARD_FILE] = readme
        list_files(files)
        for key, value in variables.items():
            print(f"variable {key}={value}")
        if hidden:
            print(f"note: not everybody may read {model}: give the Space a secret HF_TOKEN that may, then restart it.")
            if not private:
                print("note: Live hands the network to every visitor's browser: with --private only you may visit it.")
        if dry_run:
            print(f"nothing was sent; without --dry-run this goes to the Space {repo_id}")
        else:
            asked(repo_id, lambda: _deploy(repo_id, files, variables, private))


def _require_deployable(repo_id: str, model: str | None, revision: str | None) -> None:
    check_name(repo_id)
    if revision and not model:
        raise HubError("--revision is that of a model: give --model too.")
    if not (ROOT / "app.py").is_file():
        raise HubError(f"{ROOT} holds no app.py: deploy from a checkout of the project.")


def _deploy(repo_id: str, files: dict[str, Path], variables: dict[str, str], private: bool) -> None:
    from huggingface_hub import HfApi

    api = HfApi()
    create(api, repo_id, "space", private, space_sdk="gradio")
    before = api.repo_info(repo_id, repo_type="space").sha
    folders = tuple(f"{part}/*" for part in SPACE_PARTS if "." not in part)
    commit = commit_files(api, repo_id, "space", files, folders, "Deploy the page")
    # After the files: where they cannot be sent, the page and the model that serve go on together.
    present = {key: one.value for key, one in api.get_space_variables(repo_id).items()}
    named, pinned = SPACE_VARIABLES
    if pinned in present and present.get(named) != variables.get(named):
        # First, as no other model has that commit: until the rest is set, or where that fails, a model's newest serves.
        api.delete_space_variable(repo_id, pinned)
        del present[pinned]
    for key in SPACE_VARIABLES:  # only where they differ: each change restarts the Space
        if key in variables and present.get(key) != variables[key]:
            api.add_space_variable(repo_id, key, variables[key])
        elif key not in variables and key in present:
            api.delete_space_variable(repo_id, key)
    print(f"{api.endpoint}/spaces/{repo_id}: " + (f"commit {commit}" if commit != before else "nothing has changed"))


def space_readme(
    text: str, repo_id: str, model: str | None = None, commit: str | None = None, preload: Sequence[str] = ()
) -> str:
    """The README of a Space: its front matter names its preview, the model and its files that the build fetches.

    It begins with what a Space lacks of the project that the rest is about.

    Raises:
        HubError: the text has no front matter.
    """
    from huggingface_hub import RepoCard, constants

    if not text.startswith("---\n"):
        raise HubError("README.md has no front matter, which a Space needs.")
    card = RepoCard(text)
    values = card.data
    values["thumbnail"] = f"{constants.ENDPOINT}/spaces/{repo_id}/resolve/main/docs/pictures/social.jpg"
    if model:
        values["models"] = [model, *values.get("models", [])]
        if preload:
            own = f"{model} {','.join(preload)} {commit}"
            values["preload_from_hub"] = [own, *values.get("preload_from_hub", [])]
    card.text = f"\n{SPACE_NOTE}{card.text}"
    return str(card)


def _look_up(model: str, revision: str | None) -> tuple[str, list[str], bool]:
    """Commit of a published model, the files that a build may fetch for the page, and whether it is private or gated.

    A build knows no secrets: what not everybody may read is pulled when the page starts.
    """
    from huggingface_hub import HfApi, hf_hub_download

    info = HfApi().model_info(model, revision=revision)
    if info.sha is None:
        raise HubError(f"{model}: the Hub names no commit.")
    weights = read_published(model, Path(hf_hub_download(model, CONFIG_FILE, revision=info.sha))).weights
    if info.private or info.gated:
        return info.sha, [], True
    there = sorted(one.rfilename for one in info.siblings or ())
    onnx = (weights.get("onnx") or {}).get("file")
    others = [name for name in there if name == onnx or any(fnmatch(name, kind) for kind in FIGURES_FILES)]
    return info.sha, [CONFIG_FILE, weights["file"], *others], False


def _space_files() -> dict[str, Path]:
    tracked = _tracked()
    if tracked is None:
        print("note: git knows nothing of this copy, so every file of the page goes")
    files = {}
    for part in SPACE_PARTS:
        path = ROOT / part
        for one in sorted(path.rglob("*")) if path.is_dir() else [path]:
            inner = one.relative_to(ROOT)
            hidden = any(name == "__pycache__" or name.startswith(".") for name in inner.parts)
            if not one.is_file() or hidden:
                continue
            if tracked is None or inner.as_posix() in tracked:
                files[inner.as_posix()] = one
            else:
                print(f"note: {inner} is not in git, so it stays here")
    return files


def _tracked() -> set[str] | None:
    """What git knows in this checkout, for a Space is public, and notes may lie about; None where git knows nothing of
    it: there is no git, or this is a copy that was unpacked, perhaps inside another repository.

    Raises:
        HubError: there is a repository, and git does not say.
    """
    if not any((folder / ".git").exists() for folder in (ROOT, *ROOT.parents)):
        return None
    try:
        done = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], capture_output=True, text=True, check=True)
    except FileNotFoundError:
        return None
    except subprocess.CalledProcessError as error:
        raise HubError(f"{ROOT}: which files git knows it does not say: {' '.join(error.stderr.split())}") from error
    tracked = set(done.stdout.split("\0"))
    return tracked if "app.py" in tracked else None
