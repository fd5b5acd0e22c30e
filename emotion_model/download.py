"""Files from the Hub, through its standard cache: checked, and without making anybody wait for a dead network."""

from __future__ import annotations

import functools
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from emotion_model.files import digest_of

SILENCE_SECONDS = 5.0  # without a sign of life the network counts as dead
DEAD_SECONDS = 60.0  # for so long a dead network is not tried again: several files must not each wait for it
MAX_BYTES = 500_000_000  # nothing larger is fetched unasked

_log = logging.getLogger(__name__)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_STATUS = re.compile(r"HTTP status \w+ error \((\d{3})\b")  # in the words of hf_xet
_dead_until = 0.0
_use = threading.Lock()
_using, _before = 0, (0, 0)  # how many use the Hub's client, and its verbosity and its steps before they did


class HubError(RuntimeError):
    """The Hub did not do what was asked; the message says why and what to do.

    Attributes:
        final: the answer is about the thing asked for, so an older copy must not stand in for it.
    """

    def __init__(self, message: str, final: bool = False) -> None:
        super().__init__(message)
        self.final = final


def check_name(repo_id: str) -> None:
    """Refuse what is no name for the Hub.

    Raises:
        HubError: it is not.
    """
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


def download(
    repo_id: str, filename: str, revision: str | None = None, sha256: str | None = None, max_bytes: int = MAX_BYTES
) -> Path:
    """A file of a model repository: from the cache if it is there at this commit, else from the Hub.

    Where the Hub cannot be reached, does not answer within SILENCE_SECONDS or refuses, what the cache holds of the
    revision serves, and a warning in the log says why. A file that came only in part never gets its name in the cache.
    A cached file whose sha256 is wrong is fetched once more.

    Args:
        repo_id: `USER/NAME`.
        filename: path inside the repository.
        revision: branch, tag or commit; the main branch by default.
        sha256: what the file's content must have; unchecked by default.
        max_bytes: size from which a file is refused.

    Returns:
        Path inside the cache, `.../snapshots/<commit>/<filename>`.

    Raises:
        HubError: it cannot be had, or its content is not the expected one.
    """
    from huggingface_hub import constants, try_to_load_from_cache  # slow to import, and often not needed

    check_name(repo_id)
    cached = try_to_load_from_cache(repo_id, filename, revision=revision)
    pinned = revision is not None and _COMMIT.fullmatch(revision)
    # A commit never changes, a known digest pins the content as well, and offline nobody can be asked.
    settled = pinned or sha256 or constants.HF_HUB_OFFLINE
    if isinstance(cached, str) and settled and _has_digest(Path(cached), sha256):
        return Path(cached)
    try:
        path = _fetch(repo_id, filename, revision, max_bytes)
        if not _has_digest(path, sha256):
            path = _fetch(repo_id, filename, revision, max_bytes, anew=True)
    except HubError as error:
        if error.final or not isinstance(cached, str):
            raise
        _log.warning("%s The copy in the cache serves, which may be an older one.", error)
        path = Path(cached)
    if not _has_digest(path, sha256):
        raise HubError(f"{repo_id}: {filename} is not the expected file, its sha256 differs; remove {path}.")
    return path


def explain(error: Exception, repo_id: str) -> HubError:
    """One sentence for what the Hub's client raised: what was wrong, and what to do about it."""
    from huggingface_hub import errors

    response = getattr(error, "response", None)
    status = _status_by_xet(error) if response is None else getattr(response, "status_code", None)
    said = getattr(error, "server_message", None) or next(iter(str(error).splitlines()), "")
    final = False
    if isinstance(error, errors.RevisionNotFoundError):
        text, final = "there is no such revision: look up its branches, tags and commits of 40 digits.", True
    elif isinstance(error, errors.EntryNotFoundError) and not isinstance(error, errors.LocalEntryNotFoundError):
        text, final = "the repository lacks this file: was it published with `python -m emotion_model.hub push`?", True
    elif isinstance(error, errors.OfflineModeIsEnabled):
        text = "HF_HUB_OFFLINE is set, and this needs the Hub: unset it, or fetch the file once with a network."
    elif isinstance(error, errors.GatedRepoError):
        text = "the repository is gated: ask for access on its page, and set HF_TOKEN."
    elif isinstance(error, errors.RepositoryNotFoundError) and status != 401:
        text = "there is no such repository, or it is private: check the name, or set HF_TOKEN."
    elif status == 401:
        text = "the Hub does not know you: check the name, and log in with `hf auth login` or set a valid HF_TOKEN."
    elif status == 402:
        text = (
            f"the Hub wants to be paid for this ({said}): a new Space that runs a program needs a paid account (PRO, "
            "Team or Enterprise); one that is there already may be updated without."
        )
    elif status == 403:
        text = "your token has no rights here: use one that may write to this account."
    elif status == 409:
        text = "somebody else changed it at the same time, or it exists already: look at its page and try again."
    elif status == 429:
        text = "the Hub asks for a pause (too many requests): wait some minutes, and log in for a higher limit."
    elif status is not None and status >= 500:
        text = f"the Hub has trouble of its own (status {status}): try again later."
    elif status is not None:
        text = f"the Hub refused it (status {status}): {said}"
    elif isinstance(error, OSError) and getattr(error, "errno", None) and not isinstance(error, ConnectionError):
        text = f"it cannot be written ({error.strerror}): make room, or set HF_HOME to a folder that can be written."
    else:
        text = f"the Hub cannot be reached ({type(error).__name__}): check the network."
    return HubError(f"{repo_id}: {text}", final)


def _status_by_xet(error: Exception) -> int | None:
    """The status for which hf_xet, which sends and fetches large files, gave up: its errors have no response."""
    if told := _STATUS.search(str(error)):
        return int(told[1])
    return 403 if isinstance(error, PermissionError) and not error.errno else None  # of no file of this machine


def _fetch(repo_id: str, filename: str, revision: str | None, max_bytes: int, anew: bool = False) -> Path:
    """Ask the Hub, and download what the cache lacks, in a thread that can be left behind.

    Without DNS, or with a server that is silent, the client waits and retries for longer than anybody waits for a
    page. What arrives late is in the cache at the next start.
    """
    global _dead_until
    if time.monotonic() < _dead_until:
        raise HubError(f"{repo_id}: the Hub did not answer a moment ago: check the network.")
    life = time.monotonic()
    answer: Future[str] = Future()

    def alive() -> None:
        nonlocal life
        life = time.monotonic()

    def work() -> None:
        try:
            answer.set_result(_download(repo_id, filename, revision, max_bytes, anew, alive))
        except Exception as error:
            answer.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    while not answer.done() and time.monotonic() - life < SILENCE_SECONDS:
        wait([answer], timeout=0.05)
    if not answer.done():
        _dead_until = time.monotonic() + DEAD_SECONDS
        raise HubError(f"{repo_id}: no sign of life from the Hub for {SILENCE_SECONDS:.0f} s: check the network.")
    try:
        return Path(answer.result())
    except HubError:
        raise
    except Exception as error:  # whatever the network does, the answer is one sentence
        raise explain(error, repo_id) from error


def _download(
    repo_id: str, filename: str, revision: str | None, max_bytes: int, anew: bool, alive: Callable[[], None]
) -> str:
    """The file's path in the cache; calls `alive` whenever something comes."""
    from huggingface_hub import get_hf_file_metadata, get_token, hf_hub_download, hf_hub_url
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils import tqdm

    class Bar(tqdm):
        def update(self, n: float | None = 1) -> Any:
            alive()
            return super().update(n)

    # Asked for by itself, because the download would retry an error that is certain for half a minute.
    url = hf_hub_url(repo_id, filename, revision=revision)
    # Longer than the silence that is waited for, which is to be noticed first: it marks the network as dead.
    patience = 2 * SILENCE_SECONDS
    with hub_as_needed():
        token: bool | None = None  # the user's, if there is one
        try:
            size = get_hf_file_metadata(url, timeout=patience).size
        except HfHubHTTPError as error:
            if error.response.status_code != 401 or not get_token():
                raise
            # With a token that it does not take, the Hub refuses what everybody may read too.
            token = False
            size = get_hf_file_metadata(url, token=token, timeout=patience).size
            _tell_of_token(repo_id)
        if size is not None and size > max_bytes:
            raise HubError(f"{repo_id}: {filename} has {size:,} bytes, and the limit is {max_bytes:,}.", final=True)
        alive()
        return hf_hub_download(
            repo_id,
            filename,
            revision=revision,
            etag_timeout=patience,
            force_download=anew,
            token=token,
            tqdm_class=Bar,
        )


@functools.cache  # once, not for every file
def _tell_of_token(repo_id: str) -> None:
    _log.warning("%s: the Hub does not take your token, which may have expired: asked without it.", repo_id)


@contextmanager
def hub_as_needed() -> Iterator[None]:
    """The Hub's client silent, as our own messages say it in one sentence, and in small steps; in the end as before.

    A program may use that client itself. Several threads may be in here: the last one to leave restores it.
    """
    global _using, _before
    from huggingface_hub import constants
    from huggingface_hub.utils import logging

    with _use:
        if not _using:
            _before = logging.get_verbosity(), constants.DOWNLOAD_CHUNK_SIZE
            logging.set_verbosity_error()
            # By default a bar moves every 10 MB, which for a slow line is no sign of life.
            constants.DOWNLOAD_CHUNK_SIZE = min(constants.DOWNLOAD_CHUNK_SIZE, 2**16)
        _using += 1
    try:
        yield
    finally:
        with _use:
            _using -= 1
            if not _using:
                verbosity, constants.DOWNLOAD_CHUNK_SIZE = _before
                logging.set_verbosity(verbosity)


def _has_digest(path: Path, sha256: str | None) -> bool:
    return sha256 is None or digest_of(path) == sha256
