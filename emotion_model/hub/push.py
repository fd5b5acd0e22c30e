"""Publish a model: one commit with every form and its card, and a version tag."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from emotion_model.download import HubError, check_name
from emotion_model.hub.repository import asked, check_token, commit_files, create, list_files
from emotion_model.network.config import BUNDLED_DIR, FIGURES_FILES

# Removed from the repository when no longer made.
MADE_BY_PUSH = (*FIGURES_FILES, "*.keras", "*.onnx")


def push(
    repo_id: str,
    model: Path = BUNDLED_DIR,
    private: bool = False,
    tag: str | None = None,
    figures: Path | None = None,
    dry_run: bool = False,
    license_id: str | None = None,
) -> None:
    """Publish a model: one commit and a version tag.

    Args:
        repo_id: `USER/NAME`.
        model: a `.keras` file, or its folder.
        private: make a new repository private.
        tag: name of the version; by default the next of v1, v2, ... where anything changed.
        figures: folder of figures; by default `figures` beside the model.
        dry_run: list what would go, and ask nobody.
        license_id: of the weights, as the Hub abbreviates it; by default that of the project.

    Raises:
        HubError: the Hub refuses, or cannot be reached.
        ModelError: the model cannot be published; see `forms.prepare`.
    """
    from emotion_model.hub.forms import prepare  # imports Keras, which takes seconds; --help and the card do without

    check_name(repo_id)
    if tag is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", tag):
        raise HubError(f"tag {tag!r}: use letters, digits, dots, dashes and underscores, such as v1.")
    if not dry_run:
        check_token(repo_id)
    with tempfile.TemporaryDirectory(prefix="emotion-model-") as name:
        folder = Path(name)
        for note in prepare(model, folder, repo_id, figures, license_id):
            print(f"note: {note}")
        files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
        list_files(files)
        if dry_run:
            print(f"nothing was sent; without --dry-run this goes to {repo_id}")
        else:
            asked(repo_id, lambda: _push(repo_id, files, private, tag))


def _push(repo_id: str, files: dict[str, Path], private: bool, tag: str | None) -> None:
    from huggingface_hub import HfApi

    api = HfApi()
    create(api, repo_id, "model", private)
    tags = {one.name: one.target_commit for one in api.list_repo_refs(repo_id).tags}
    before = api.repo_info(repo_id).sha
    if tag in tags and tags[tag] != before:
        raise HubError(f"{repo_id}: the tag {tag} stands for an older version, and people rely on it: choose another.")
    commit = commit_files(api, repo_id, "model", files, MADE_BY_PUSH, "Publish the model")
    print(f"{api.endpoint}/{repo_id}: " + (f"commit {commit}" if commit != before else "nothing has changed"))
    known = [name for name, target in tags.items() if target == commit]
    if tag in tags and tags[tag] != commit:
        raise HubError(f"{repo_id}: published, but the tag {tag} stands for the version before: give this one another.")
    if tag in known or (tag is None and known):
        print(f"version {tag or known[-1]}, as before")
        return
    if tag is None:
        numbers = [int(name[1:]) for name in tags if re.fullmatch(r"v\d+", name)]
        tag = f"v{max(numbers, default=0) + 1}"
    api.create_tag(repo_id, tag=tag, revision=commit)
    print(f"version {tag}")
