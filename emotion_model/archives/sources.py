"""Which recordings an archive has: files, folders, globs, lists, and whatever fsspec opens."""

from __future__ import annotations

import csv
import glob
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
from fsspec.caching import ReadAheadCache
from fsspec.implementations.local import LocalFileSystem
from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

from emotion_model.clips import container
from emotion_model.faces import images
from emotion_model.files import spelled_out

PHOTO, CLIP = "photo", "clip"
KINDS = (PHOTO, CLIP)
_KIND_OF = dict.fromkeys(images.ENDINGS, PHOTO) | dict.fromkeys(container.ENDINGS, CLIP)
_PIECE = 1 << 20  # bytes, that are fetched at a time
_AHEAD = 1 << 16  # bytes, that are asked for besides: a zip file is looked at in small pieces
_PROCESSES = Path("/proc/self/ns/pid")  # a link to what tells one container's processes from another's
# Not of `github://OWNER:REPOSITORY@BRANCH` and the like.
_PASSWORD = re.compile(r"(?<![\w+.-])((?!git)[\w+.-]+://[^/@:]*):[^/]*@")
_LISTS = (".txt", ".lst", ".csv", ".tsv")
_COLUMNS = ("source", "path", "file", "filename", "url", "uri")  # of a list with a head, the first that it has


class SourceError(ValueError):
    """A source cannot be listed; the message says which and why."""


@dataclass(frozen=True)
class Source:
    """One recording.

    Attributes:
        uri: an absolute path, or a URL that fsspec opens.
        kind: `photo` or `clip`, by its ending.
        bytes: its size; 0 where the place does not say.
        fault: why it cannot be read, where that was seen when it was looked for: of a folder that cannot be listed, or
            of what a list names in vain. Such a one stands for what is missing, and fails.
    """

    uri: str
    kind: str
    bytes: int = 0
    fault: str = ""

    @property
    def name(self) -> str:
        """The file's name alone."""
        return PurePosixPath(self.uri if is_local(self.uri) else _without_query(self.uri.split("::")[0])).name

    @property
    def told(self) -> str:
        """The address as tables and people are given it: without its password, if it has one."""
        return spelled_out(_without_password(self.uri))


def find_sources(
    given: Sequence[str], kinds: Sequence[str] = KINDS, without: Path | None = None
) -> tuple[list[Source], int]:
    """The recordings that were asked for, each once, in the order given and by name inside of a folder.

    Args:
        given: files; folders, with all that lies below; globs; `.zip` files; lists (`.txt` with a line per source,
            `.csv` and `.tsv` with a column `source`, `path`, `file` or `url`, else the first one), whose relative
            entries count from the list's own folder; each a path or a URL that fsspec opens. What is hidden (a name
            that begins with a dot) is passed over. A file that is named by itself is taken whatever its ending.
        kinds: those that are wanted.
        without: a folder of this machine whose files are none, such as that of an archive's own copies.

    Returns:
        The recordings, and how many files were passed over because they are none.

    Raises:
        SourceError: one of those given cannot be had, or the package for such URLs is missing.
    """
    found: dict[str, Source] = {}
    others = 0
    left_out = without and without.resolve()

    @cache
    def is_left_out(folder: Path) -> bool:
        return left_out is not None and folder.resolve().is_relative_to(left_out)

    for name in given:
        for source in _expanded(name):
            if source is None:
                others += 1
            elif not (source.fault or source.kind in kinds):
                continue
            elif not (is_local(source.uri) and is_left_out(Path(source.uri).parent)):
                found.setdefault(source.uri, source)
    return list(found.values()), others


def _expanded(name: str) -> Iterator[Source | None]:
    told = _without_password(name)
    try:
        yield from _listed(name)
    except SourceError:
        raise
    except ImportError as error:
        raise SourceError(f"{told}: such addresses need another package: {error}.") from error
    except Exception as error:  # every file system has errors of its own
        raise SourceError(f"{told}: cannot be listed ({error}).") from error


def _listed(name: str) -> Iterator[Source | None]:
    local = is_local(name)
    address = str(_absolute(Path(name))) if local else name
    if (local or "::" not in address) and PurePosixPath(address).suffix.lower() == ".zip":
        address, local = f"zip://::{address}", False
    system, path = (LocalFileSystem(), address) if local else fsspec.core.url_to_fs(address)
    try:
        about = system.info(path)
    except FileNotFoundError:
        about = None
    ending = PurePosixPath(path).suffix.lower()
    if about is None and any(sign in _without_query(path) for sign in "*?["):
        yield from _matching(system, path, address)
    elif about is None and not ending:
        raise SourceError(f"{_without_password(name)}: there is no such file or folder.")
    elif about is None:
        yield Source(_uri(system, path, address), _kind(path) or CLIP)  # said of it when it is read
    elif about["type"] == "directory":
        yield from _below(system, path, address)
    elif ending in _LISTS:
        for entry in _entries(system, path, address):
            yield from _of_list(entry)
    else:
        yield Source(_uri(system, path, address), _kind(path) or CLIP, _size(about))


def _of_list(entry: str) -> Iterator[Source | None]:
    """What an entry of a list stands for; one that stands for nothing is named, as one of thousands ends no run."""
    # A list may name thousands of files elsewhere: to ask for each of them takes hours.
    kind = None if is_local(entry) else _kind(entry)
    try:
        yield from [Source(entry, kind)] if kind else _expanded(entry)
    except SourceError as error:
        yield Source(entry, CLIP, fault=str(error))


def _matching(system: Any, pattern: str, address: str) -> Iterator[Source | None]:
    matches = system.glob(pattern, detail=True)
    if not matches and "*" not in pattern and (kind := _kind(pattern)):
        yield Source(_uri(system, pattern, address), kind)  # rather a name with brackets: said of it when it is read
    elif not matches:
        raise SourceError(f"{_without_password(address)}: nothing fits this pattern.")
    asked_for = _hidden_parts(pattern)
    for path, about in matches.items():
        if _hidden_parts(path) > asked_for:
            continue
        if about["type"] == "directory" or _is_linked_folder(about):
            yield from _below(system, path, address)
        else:
            yield _taken(about, system, address)


def _below(system: Any, path: str, address: str, above: tuple[Path, ...] = ()) -> Iterator[Source | None]:
    """What lies in a folder and those below it, links to folders among them; `above`: where links led here from."""
    above = (*above, Path(path).resolve())
    for one, about in sorted(_found(system, path).items()):
        inside = PurePosixPath(one[len(path) :].lstrip("/"))
        if any(part.startswith(".") for part in inside.parts):
            continue
        if "fault" in about:
            yield Source(_uri(system, one, address), CLIP, fault=about["fault"])
        elif not _is_linked_folder(about):
            yield _taken(about, system, address)
        elif not _is_known(Path(one).resolve(), above):
            yield from _below(system, one, address, above)


def _found(system: Any, path: str) -> dict[str, dict[str, Any]]:
    """What lies in a folder and those below it, by name, as `ls` tells it; of a folder that cannot be listed its fault.

    `find` leaves such folders out without a word; but not where a place lists all of them at once.
    """
    if system.async_impl or type(system).find is not AbstractFileSystem.find:
        return dict(system.find(path, detail=True))
    found: dict[str, dict[str, Any]] = {}
    folders = [path]
    while folders:
        folder = folders.pop()
        try:
            listed = system.ls(folder, detail=True)
        except OSError as error:
            why = f"This folder cannot be listed ({error.strerror or error}): make it readable, and run the same again."
            found[folder] = {"name": folder, "fault": why}
            continue
        for about in listed:
            if about["type"] != "directory":
                found[about["name"]] = about
            elif (inner := about["name"].rstrip("/")) != folder:
                folders.append(inner)
    return found


def _is_known(folder: Path, above: tuple[Path, ...]) -> bool:
    """Whether a link leads in a circle, or to what is listed without it."""
    inside = folder.relative_to(above[0]).parts if folder.is_relative_to(above[0]) else None
    listed = inside is not None and not any(part.startswith(".") for part in inside)
    return listed or any(one.is_relative_to(folder) for one in above)


def _hidden_parts(path: str) -> int:
    return sum(part.startswith(".") for part in PurePosixPath(path).parts)


def _is_linked_folder(about: dict[str, Any]) -> bool:
    return bool(about.get("islink")) and Path(about["name"]).is_dir()


def _taken(about: dict[str, Any], system: Any, address: str) -> Source | None:
    kind = _kind(about["name"])
    return Source(_uri(system, about["name"], address), kind, _size(about)) if kind else None


def _uri(system: Any, path: str, address: str) -> str:
    """The address of a file that was found by listing another address."""
    if isinstance(system, LocalFileSystem):
        return str(path)
    if "::" in address:  # a file in a file
        inner, outer = address.split("::", 1)
        return f"{inner.split('://')[0]}://{path}::{outer}"
    scheme, _, rest = address.partition("://")
    at_its_host = f"{scheme}://{rest.split('/')[0]}/{path.lstrip('/')}"  # for NAS and the like a path says only where
    return at_its_host if system._strip_protocol(at_its_host) == path else str(system.unstrip_protocol(path))


def _entries(system: Any, path: str, address: str) -> Iterator[str]:
    """The sources that a list names, which was found at an address."""
    ending = PurePosixPath(path).suffix.lower()
    with system.open(path, "rt", encoding="utf-8-sig", newline="") as file:
        if ending in (".txt", ".lst"):
            lines = [line.strip() for line in file]
            entries = [line for line in lines if line and not line.startswith("#")]
        else:
            rows = [row for row in csv.reader(file, delimiter="\t" if ending == ".tsv" else ",") if row]
            head = [cell.strip().lower() for cell in rows[0]] if rows else []
            column = next((head.index(one) for one in _COLUMNS if one in head), None)
            entries = [row[column or 0].strip() for row in rows[column is not None :] if len(row) > (column or 0)]
    folder = path.rpartition("/")[0]
    for entry in filter(None, entries):
        if not is_local(entry) or Path(entry).is_absolute():
            yield entry
        else:
            yield _uri(system, f"{folder}/{PurePosixPath(entry)}", address)


def _absolute(path: Path) -> Path:
    """The path from the root, without the way up and down again: a file is the same however it was reached."""
    parts = path.absolute().parts
    up = max((i for i, part in enumerate(parts) if part == ".."), default=-1)
    # Only so far are links followed: what was asked for keeps its name.
    return Path(*parts[: up + 1]).resolve() / Path(*parts[up + 1 :])


def is_local(name: str) -> bool:
    """Whether that is a path of this machine, and no address that fsspec opens."""
    return name.startswith("/") or ("://" not in name and "::" not in name)


def _is_on_the_web(address: str) -> bool:
    return address.startswith(("http://", "https://"))


def _without_query(address: str) -> str:
    return address.split("?")[0] if _is_on_the_web(address) else address


def _without_password(address: str) -> str:
    return address if is_local(address) else _PASSWORD.sub(r"\1@", address)


def _kind(path: str) -> str | None:
    return _KIND_OF.get(PurePosixPath(_without_query(path)).suffix.lower())


def _size(about: dict[str, Any]) -> int:
    return int(about.get("size") or 0)


def _copies() -> str:
    """How the names of folders with copies begin; the number of their process follows, which says nothing elsewhere."""
    processes = re.sub(r"\D", "", str(_PROCESSES.readlink())) if _PROCESSES.is_symlink() else ""
    return f"archive-copy-{platform.node()}-{processes}-"


def remove_left_copies() -> None:
    """Remove the copies that `local_copy` made in processes of this machine that were killed since.

    Other machines and containers may have the same folder for such files, and processes of the same number.
    """
    if sys.platform != "linux":
        return
    ours = _copies()
    for folder in Path(tempfile.gettempdir()).glob(f"{glob.escape(ours)}*-*"):
        number = folder.name.removeprefix(ours).split("-")[0]
        if number.isdecimal() and not Path("/proc", number).exists():
            shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class LocalCopy:
    """A recording as a file of this machine, once it has been fetched."""

    source: Source
    path: Path

    def fetch(self) -> Iterator[int]:
        """Fetch it, where it lies elsewhere: the bytes so far, after each megabyte or sooner.

        Raises:
            OSError: it cannot be had.
        """
        if is_local(self.source.uri):
            return
        try:
            yield from self._fetched()
        except ValueError:  # of a server that knows no ranges: from there it comes in one stream
            if not _is_on_the_web(self.source.uri):
                raise
            yield from self._fetched(block_size=0)

    def _fetched(self, **options: Any) -> Iterator[int]:
        system, path = _placed(self.source.uri)
        _ask_for_little_more(getattr(system, "fo", None))  # the file that this one lies in, if it does
        try:
            with system.open(path, "rb", **options) as file, self.path.open("wb") as written:
                _ask_for_little_more(file)
                while piece := file.read(_PIECE):
                    written.write(piece)
                    yield written.tell()
        except Exception:
            _opened.cache_clear()  # what leads there may have broken
            raise


def _placed(uri: str) -> tuple[Any, str]:
    """The file system that a file lies in, and where."""
    inner, _, outer = uri.partition("::")
    scheme, lies_in_file, path = inner.partition("://")
    if not (outer and lies_in_file):
        return fsspec.core.url_to_fs(uri)
    system = _opened(f"{scheme}://::{outer}")
    return system, system._strip_protocol(path)


@lru_cache(maxsize=1)
def _opened(address: str) -> Any:
    """A file with files in it, left open for the next of them: to open it takes the longer, the more there are."""
    return fsspec.core.url_to_fs(address)[0]


def _ask_for_little_more(file: Any) -> None:
    """Let a file ask its place for hardly more than is read of it: most ask for 5 MiB more, and nothing is heard."""
    if isinstance(file, AbstractBufferedFile):
        file.cache = ReadAheadCache(_AHEAD, file.cache.fetcher, file.size)


@contextmanager
def local_copy(source: Source) -> Iterator[LocalCopy]:
    """The recording as a file of this machine: itself where it is one, else a copy, which is removed at the end."""
    if is_local(source.uri):
        yield LocalCopy(source, Path(source.uri))
        return
    with tempfile.TemporaryDirectory(prefix=f"{_copies()}{os.getpid()}-") as folder:
        yield LocalCopy(source, Path(folder) / f"copy{PurePosixPath(source.name).suffix}")
