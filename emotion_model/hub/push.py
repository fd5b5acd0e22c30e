"""Publish the model and the page on the Hugging Face Hub.

    python -m emotion_model.hub push USER/NAME              the model, in every form, with its card
    python -m emotion_model.hub deploy USER/NAME            the page, as a Space
    python -m emotion_model.hub card                        the model card alone, to look at

The token is that of `hf auth login`, or HF_TOKEN. Doing the same twice changes nothing the second time.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from emotion_model.download import HubError, explain
from emotion_model.hub.card import CARD_FILE, model_card
from emotion_model.network.classifier import BUNDLED_DIR, CONFIG_FILE, FIGURES_DIR, ModelConfig, ModelError

ROOT = Path(__file__).parents[2]
# What a Space needs of a checkout; the rest makes, tests and measures.
SPACE_PARTS = ("app.py", "emotion_model", "ui", "requirements.txt", "packages.txt", "README.md")
SPACE_VARIABLES = ("EMOTION_MODEL_REPO", "EMOTION_MODEL_REVISION")
MADE_BY_PUSH = (f"{FIGURES_DIR}/*.png", "*.keras", "*.onnx")  # removed from the repository when no longer made


def push(
    repo_id: str,
    model: Path = BUNDLED_DIR,
    private: bool = False,
    tag: str | None = None,
    figures: Path | None = None,
    dry_run: bool = False,
    say: Callable[[str], None] = print,
) -> str | None:
    """Publish a model: one commit and a version tag.

    Args:
        repo_id: `USER/NAME`.
        model: a `.keras` file, or its folder.
        private: make a new repository private.
        tag: name of the version; by default the next of v1, v2, ... where anything changed.
        figures: folder of figures; by default `figures` beside the model.
        dry_run: list what would go, and ask nobody.
        say: is given the lines for people to read.

    Returns:
        The tag of the published version; None for a dry run.

    Raises:
        HubError: the Hub refuses, or cannot be reached.
        ModelError: the model cannot be published; see `forms.prepare`.
    """
    from emotion_model.hub.forms import prepare  # imports Keras, which takes seconds; --help and the card do without

    _check_name(repo_id)
    if tag is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", tag):
        raise HubError(f"tag {tag!r}: use letters, digits, dots, dashes and underscores, such as v1.")
    if not dry_run:
        _check_token()
    with tempfile.TemporaryDirectory(prefix="emotion-model-") as name:
        folder = Path(name)
        for note in prepare(model, folder, repo_id, figures):
            say(f"note: {note}")
        files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
        _list(files, say)
        if dry_run:
            say(f"nothing was sent; without --dry-run this goes to {repo_id}")
            return None
        return _asked(repo_id, lambda: _push(repo_id, files, private, tag, say))


def _push(repo_id: str, files: dict[str, Path], private: bool, tag: str | None, say: Callable[[str], None]) -> str:
    from huggingface_hub import HfApi

    api = HfApi()
    _create(api, repo_id, "model", private)
    tags = {one.name: one.target_commit for one in api.list_repo_refs(repo_id).tags}
    before = api.repo_info(repo_id).sha
    if tag in tags and tags[tag] != before:
        raise HubError(f"{repo_id}: the tag {tag} stands for an older version, and people rely on it: choose another.")
    commit = _commit(api, repo_id, "model", files, MADE_BY_PUSH, "Publish the model")
    say(f"{api.endpoint}/{repo_id}: " + (f"commit {commit[:8]}" if commit != before else "nothing has changed"))
    known = [name for name, target in tags.items() if target == commit]
    if tag in tags and tags[tag] != commit:
        raise HubError(f"{repo_id}: published, but the tag {tag} stands for the version before: give this one another.")
    if tag in known or (tag is None and known):
        tag = tag or known[-1]
        say(f"version {tag}, as before")
        return tag
    if tag is None:
        numbers = [int(name[1:]) for name in tags if re.fullmatch(r"v\d+", name)]
        tag = f"v{max(numbers, default=0) + 1}"
    api.create_tag(repo_id, tag=tag, revision=commit)
    say(f"version {tag}")
    return tag


def deploy(
    repo_id: str,
    model: str | None = None,
    revision: str | None = None,
    private: bool = False,
    dry_run: bool = False,
    root: Path = ROOT,
    say: Callable[[str], None] = print,
) -> str | None:
    """Create or update the Space that serves the page.

    Args:
        repo_id: `USER/NAME` of the Space.
        model: `USER/NAME` of the model that it pulls; by default the bundled one serves.
        revision: branch, tag or commit of the model; by default the newest. The Space is pinned to its commit.
        private: make a new Space private.
        dry_run: list what would go; only the model's repository is looked at.
        root: a checkout of the project.
        say: is given the lines for people to read.

    Returns:
        The Space's address; None for a dry run.

    Raises:
        HubError: the Hub refuses, or cannot be reached; or this is no checkout.
    """
    _check_name(repo_id)
    if revision and not model:
        raise HubError("--revision is that of a model: give --model too.")
    if not (root / "app.py").is_file():
        raise HubError(f"{root} holds no app.py: deploy from a checkout of the project.")
    if not dry_run:
        _check_token()
    variables, preload, hidden = {}, [], False
    if model:
        _check_name(model)
        commit, preload, hidden = _asked(model, lambda: _look_up(model, revision))
        variables = dict(zip(SPACE_VARIABLES, (model, commit), strict=True))
    with tempfile.TemporaryDirectory(prefix="emotion-space-") as name:
        files = _space_files(root)
        readme = Path(name) / CARD_FILE
        text = (root / CARD_FILE).read_text(encoding="utf-8")
        readme.write_text(space_readme(text, model, variables.get(SPACE_VARIABLES[1]), preload), encoding="utf-8")
        files[CARD_FILE] = readme
        _list(files, say)
        for key, value in variables.items():
            say(f"variable {key}={value}")
        if hidden:
            say(f"note: {model} is private: give the Space a secret HF_TOKEN that may read it.")
        if dry_run:
            say(f"nothing was sent; without --dry-run this goes to the Space {repo_id}")
            return None
        return _asked(repo_id, lambda: _deploy(repo_id, files, variables, private, say))


def _deploy(
    repo_id: str, files: dict[str, Path], variables: dict[str, str], private: bool, say: Callable[[str], None]
) -> str:
    from huggingface_hub import HfApi

    api = HfApi()
    _create(api, repo_id, "space", private, space_sdk="gradio")
    present = {key: one.value for key, one in api.get_space_variables(repo_id).items()}
    for key in SPACE_VARIABLES:  # only where they differ: each change restarts the Space
        if key in variables and present.get(key) != variables[key]:
            api.add_space_variable(repo_id, key, variables[key])
        elif key not in variables and key in present:
            api.delete_space_variable(repo_id, key)
    before = api.repo_info(repo_id, repo_type="space").sha
    folders = tuple(f"{part}/*" for part in SPACE_PARTS if "." not in part)
    commit = _commit(api, repo_id, "space", files, folders, "Deploy the page")
    url = f"{api.endpoint}/spaces/{repo_id}"
    say(f"{url}: " + (f"commit {commit[:8]}" if commit != before else "nothing has changed"))
    return url


def space_readme(text: str, model: str | None = None, commit: str | None = None, preload: Sequence[str] = ()) -> str:
    """The README of a Space: its front matter names the model and its files that the build puts into the cache.

    Raises:
        HubError: the text has no front matter.
    """
    from huggingface_hub import metadata_load, metadata_save

    if not text.startswith("---\n"):
        raise HubError("README.md has no front matter, which a Space needs.")
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "README.md"
        path.write_text(text, encoding="utf-8")
        values = metadata_load(path)
        if model:
            values["models"] = [model, *values.get("models", [])]
            values["preload_from_hub"] = [
                f"{model} {','.join(preload)} {commit}",
                *values.get("preload_from_hub", []),
            ]
            metadata_save(path, values)
        return path.read_text(encoding="utf-8")


def _look_up(model: str, revision: str | None) -> tuple[str, list[str], bool]:
    """Commit of a published model, the files that the page uses, and whether it is private."""
    from huggingface_hub import HfApi, hf_hub_download

    info = HfApi().repo_info(model, revision=revision)
    config = ModelConfig.from_json(
        Path(hf_hub_download(model, CONFIG_FILE, revision=info.sha)).read_text(encoding="utf-8")
    )
    figures = sorted(one.rfilename for one in info.siblings or () if fnmatch(one.rfilename, f"{FIGURES_DIR}/*.png"))
    return info.sha, [CONFIG_FILE, config.weights["file"], *figures], bool(info.private)


def _space_files(root: Path) -> dict[str, Path]:
    files = {}
    for part in SPACE_PARTS:
        path = root / part
        for one in sorted(path.rglob("*")) if path.is_dir() else [path]:
            inner = one.relative_to(root)
            hidden = any(name == "__pycache__" or name.startswith(".") for name in inner.parts)
            if one.is_file() and not hidden:
                files[inner.as_posix()] = one
    return files


def _create(api: Any, repo_id: str, kind: str, private: bool, **options: Any) -> None:
    api.create_repo(repo_id, repo_type=kind, private=private or None, exist_ok=True, **options)
    if private and not api.repo_info(repo_id, repo_type=kind).private:
        raise HubError(f"{repo_id} exists and is public: make it private in its settings, or leave out --private.")


def _commit(api: Any, repo_id: str, kind: str, files: dict[str, Path], ours: tuple[str, ...], message: str) -> str:
    """One commit that makes the repository hold these files; those matching `ours` besides are removed."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    there = api.list_repo_files(repo_id, repo_type=kind)
    stale = [path for path in there if path not in files and any(fnmatch(path, pattern) for pattern in ours)]
    operations = [CommitOperationAdd(path, str(source)) for path, source in files.items()]
    operations += [CommitOperationDelete(path) for path in stale]
    return api.create_commit(repo_id, operations, commit_message=message, repo_type=kind).oid


def _check_name(repo_id: str) -> None:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repo_id)
        if "/" not in repo_id:
            raise HFValidationError("it lacks the account")
    except HFValidationError as error:
        raise HubError(
            f"{repo_id!r} is no name for the Hub: give USER/NAME of letters, digits, '-', '_' and '.', "
            "at most 96 of them, neither beginning nor ending with '-' or '.'."
        ) from error


def _check_token() -> None:
    from huggingface_hub import get_token

    if not get_token():
        raise HubError("no token: log in with `hf auth login`, or set HF_TOKEN to one that may write.")


def _asked(repo_id: str, ask: Callable[[], Any]) -> Any:
    """The answer of `ask`, which talks with the Hub; whatever goes wrong becomes a HubError of one sentence."""
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
    from huggingface_hub.utils import logging

    logging.set_verbosity_error()  # our own messages say it in one sentence
    try:
        return ask()
    except (HfHubHTTPError, httpx2.HTTPError, OfflineModeIsEnabled, OSError) as error:
        raise explain(error, repo_id) from error
    except ValueError as error:  # what the Hub finds wrong in the metadata of a README
        raise HubError(f"{repo_id}: {' '.join(str(error).split())}") from error


def _list(files: dict[str, Path], say: Callable[[str], None]) -> None:
    for path, source in files.items():
        say(f"{source.stat().st_size:>12,}  {path}")
    say(f"{sum(source.stat().st_size for source in files.values()):>12,}  bytes in {len(files)} files")


def _card(model: Path, repo_id: str) -> str:
    source = (model if model.is_dir() else model.parent) / CONFIG_FILE
    return model_card(ModelConfig.from_json(source.read_text(encoding="utf-8")), repo_id)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status: 0 all well, 2 it could not be done."""
    parser = argparse.ArgumentParser(prog="python -m emotion_model.hub", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    pushing = commands.add_parser("push", help="publish the model: weights in every form, figures and card")
    deploying = commands.add_parser("deploy", help="create or update the Space that serves the page")
    card = commands.add_parser("card", help="print the model card")
    for command in (pushing, deploying):
        command.add_argument("repo", metavar="USER/NAME", help="name on the Hub")
        command.add_argument("--private", action="store_true", help="make a new repository private")
        command.add_argument("--dry-run", action="store_true", help="list what would go, and send nothing")
    for command in (pushing, card):
        command.add_argument(
            "--model", type=Path, default=BUNDLED_DIR, help="a .keras file or its folder (default: the bundled model)"
        )
    pushing.add_argument("--tag", help="name of the version (default: the next of v1, v2, ... if anything changed)")
    pushing.add_argument("--figures", type=Path, help="folder that train.report filled (default: figures in --model)")
    deploying.add_argument("--model", metavar="USER/NAME", help="model on the Hub to pull (default: the bundled one)")
    deploying.add_argument("--revision", help="branch, tag or commit of that model (default: its newest)")
    card.add_argument("--repo", metavar="USER/NAME", default="USER/emotion-cnn", help="name in the card's examples")
    card.add_argument("--out", type=Path, help="where the card goes (default: printed)")
    options = parser.parse_args(arguments)
    try:
        if options.command == "push":
            push(options.repo, options.model, options.private, options.tag, options.figures, options.dry_run)
        elif options.command == "deploy":
            deploy(options.repo, options.model, options.revision, options.private, options.dry_run)
        else:
            text = _card(options.model, options.repo)
            if options.out:
                options.out.write_text(text, encoding="utf-8")
            else:
                print(text)
    except (HubError, ModelError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0
