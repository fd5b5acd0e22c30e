"""What publishing a model and deploying a page share: names, tokens, commits, and errors in one sentence."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from emotion_model.download import HubError, explain, hub_as_needed
from emotion_model.network.config import ModelError


def create(api: Any, repo_id: str, kind: str, private: bool, **options: Any) -> None:
    """Make sure that the repository is there.

    Raises:
        HubError: it is to be private, and there is a public one.
    """
    api.create_repo(repo_id, repo_type=kind, private=private or None, exist_ok=True, **options)
    if private and not api.repo_info(repo_id, repo_type=kind).private:
        raise HubError(f"{repo_id} exists and is public: make it private in its settings, or leave out --private.")


def commit_files(
    api: Any,
    repo_id: str,
    kind: str,
    files: dict[str, Path],
    ours: tuple[str, ...],
    message: str,
) -> str:
    """One commit that makes the repository hold these files; those matching `ours` besides are removed.

    A pattern without a folder stands for files that lie in none. What is removed is told.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    there = api.list_repo_files(repo_id, repo_type=kind)
    stale = [path for path in there if path not in files and any(_matches(path, pattern) for pattern in ours)]
    for path in stale:
        print(f"{'removed':>12}  {path}")
    operations = [
        *(CommitOperationAdd(path, str(source)) for path, source in files.items()),
        *(CommitOperationDelete(path) for path in stale),
    ]
    return api.create_commit(repo_id, operations, commit_message=message, repo_type=kind).oid


def _matches(path: str, pattern: str) -> bool:
    return fnmatch(path, pattern) and ("/" in pattern or "/" not in path)


def check_token(repo_id: str) -> None:
    """Refuse to begin without a token that the Hub takes, before anything is made that takes long.

    Raises:
        HubError: there is none, the Hub does not take it, or it may only read.
    """
    from huggingface_hub import HfApi, get_token

    if not get_token():
        raise HubError("no token: log in with `hf auth login`, or set HF_TOKEN to one that may write.")
    user = asked(repo_id, HfApi().whoami)
    if user.get("auth", {}).get("accessToken", {}).get("role") == "read":
        raise HubError(f"{repo_id}: your token may only read: use one that may write to this account.")


def asked(repo_id: str, ask: Callable[[], Any]) -> Any:
    """The answer of `ask`, which talks with the Hub; whatever goes wrong there becomes a HubError of one sentence."""
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    explained = (HfHubHTTPError, httpx2.HTTPError, OfflineModeIsEnabled, OSError)
    try:
        with hub_as_needed():
            return ask()
    except (HubError, ModelError):
        raise
    except explained as error:
        raise explain(error, repo_id) from error
    except (RuntimeError, ValueError) as error:  # ValueError: what the Hub finds wrong in the metadata of a README
        cause = error.__cause__ if isinstance(error, RuntimeError) else None  # why a large file could not be sent
        if isinstance(cause, explained):
            raise explain(cause, repo_id) from error
        told = f"{error} {cause or ''}"
        raise HubError(f"{repo_id}: {' '.join(told.split())}") from error


def list_files(files: dict[str, Path]) -> None:
    """Tell the files that go, and their sizes."""
    for path, source in files.items():
        print(f"{source.stat().st_size:>12,}  {path}")
    print(f"{sum(source.stat().st_size for source in files.values()):>12,}  bytes in {len(files)} files")
