"""Which recordings an archive has: files, folders, globs, lists, and whatever fsspec opens."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem
from fsspec.spec import AbstractFileSystem
from fsspec.utils import glob_translate

from emotion_model.clips import container
from emotion_model.faces import images
from emotion_model.files import spelled_out

PHOTO, CLIP = "photo", "clip"
KINDS = (PHOTO, CLIP)
_KIND_OF = dict.fromkeys(images.ENDINGS, PHOTO) | dict.fromkeys(container.ENDINGS, CLIP)
# Not of `github://OWNER:REPOSITORY@BRANCH` and the like.
_PASSWORD = re.compile(r"(?<![\w+.-])((?!git)[\w+.-]+://[^/@:]*):[^/]*@")
_LISTS = (".txt", ".lst", ".csv", ".tsv")
_ZIP = ".zip"
_UTF16 = ("\udcff\udcfe", "\udcfe\udcff")  # how such a file begins, read as UTF-8
_GONE = (404, 410)  # of HTTP
_SIGNS = "*?["  # of globs
_NO_NAME = 123  # Windows' error for a path with such a sign
_COLUMNS = ("source", "path", "file", "filename", "url", "uri")  # of a list with a head, the first that it has


class SourceError(ValueError):
    """A source cannot be listed; the message says which and why, as `name` and `why`."""

    def __init__(self, name: str, why: str) -> None:
        self.name, self.why = _without_password(name), why
        super().__init__(f"{self.name}: {why}")

    def __reduce__(self) -> tuple[type, tuple[str, str]]:  # or no worker process could hand it over
        return type(self), (self.name, self.why)


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
            that begins with a dot) is passed over. A file that is named by itself is taken whatever its ending; but
            what a list names is no list, else it could name itself.
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
            if source and not (source.fault or _kind(source.name)):
                source = replace(source, kind=kinds[-1])  # by itself, so it is what is wanted, if it is anything
            if source is None:
                others += 1
            elif not (source.fault or source.kind in kinds):
                continue
            elif not (is_local(source.uri) and is_left_out(Path(source.uri).parent)):
                found.setdefault(source.uri, source)
    return _without_links(found), others


def _without_links(found: dict[str, Source]) -> list[Source]:
    """Each file once, though links lead to it: by its own name, else by a folder that is a link, or by a link to it."""
    resolved = cache(Path.resolve)  # many lie in one folder
    places: dict[str, Path] = {}
    chosen: dict[Path, tuple[int, str]] = {}
    for uri in filter(is_local, found):
        path = Path(uri)
        is_link = path.is_symlink()
        place = places[uri] = path.resolve() if is_link else resolved(path.parent) / path.name
        detour = 2 if is_link else int(place != path)
        if place not in chosen or detour < chosen[place][0]:
            chosen[place] = detour, uri
    return [source for uri, source in found.items() if uri not in places or chosen[places[uri]][1] == uri]


def _expanded(name: str, in_list: bool = False) -> Iterator[Source | None]:
    try:
        yield from _listed(name.removeprefix("file://"), in_list)
    except SourceError:
        raise
    except ImportError as error:
        raise SourceError(name, f"such addresses need another package: {error}.") from error
    except Exception as error:  # every file system has errors of its own
        raise SourceError(name, f"cannot be listed ({error}).") from error


def _listed(name: str, in_list: bool) -> Iterator[Source | None]:
    if not name:  # as of a variable that is not set: else it would be the current folder
        raise SourceError("''", "a name is empty; the current folder is called '.'.")
    local = is_local(name)
    address = _absolute(Path(name)).as_posix() if local else name
    system, path = (LocalFileSystem(), address) if local else fsspec.core.url_to_fs(address)
    reason: BaseException | None = None
    try:
        about = system.info(path)
    except OSError as error:
        if not isinstance(error, FileNotFoundError) and getattr(error, "winerror", None) != _NO_NAME:
            raise
        about, reason = None, cause(error)
    plain = _without_query(path)
    ending = PurePosixPath(plain).suffix.lower()
    if about is None and any(sign in plain for sign in _SIGNS):
        yield from _matching(system, path, address)
    elif about is None and (not ending or ending in (*_LISTS, _ZIP)):
        raise SourceError(name, f"cannot be listed ({reason})." if reason else "there is no such file or folder.")
    elif about is None:
        fault = "there is no such file." if in_list and local else ""  # else said of it when it is read
        yield Source(_uri(system, path, address), _kind(path) or CLIP, fault=fault)
    elif about["type"] == "directory":
        yield from _below(system, path, address)
    elif ending == _ZIP and "::" not in address:
        packed = f"zip://::{address}"
        system, path = fsspec.core.url_to_fs(packed)
        yield from _below(system, path, packed)
    elif ending not in _LISTS:
        yield Source(_uri(system, path, address), _kind(path) or CLIP, _size(about))
    elif in_list:
        yield None
    else:
        for entry in _entries(system, path, address):
            yield from _one_of_many(entry)


def cause(error: OSError) -> BaseException | None:
    """Why a file is not there for us; None where it is gone.

    To fsspec a server that refuses, or that cannot be reached, is as one without the file.
    """
    reason = error.__cause__
    is_of_the_web = reason is not None and type(reason).__module__.startswith("aiohttp")
    return reason if is_of_the_web and getattr(reason, "status", None) not in _GONE else None


def _one_of_many(entry: str) -> Iterator[Source | None]:
    """What one of many names stands for; one that stands for nothing is named, as one of thousands ends no run."""
    # A list may name thousands of files elsewhere: to ask for each of them takes hours.
    kind = None if is_local(entry) else _kind(entry)
    try:
        yield from [Source(entry, kind)] if kind else _expanded(entry, in_list=True)
    except SourceError as error:
        yield Source(entry, CLIP, fault=error.why)


@dataclass(frozen=True)
class _Wanted:
    """What is asked for below a folder: all that fits a glob, and what lies in the folders that do."""

    root: str
    pattern: str = "**"  # as it goes on from there

    @classmethod
    def by(cls, pattern: str) -> _Wanted:
        """What a glob asks for."""
        parts = pattern.split("/")
        first = next(i for i, part in enumerate(parts) if any(sign in part for sign in _SIGNS))
        return cls("/".join(parts[:first]) or pattern[: pattern.startswith("/")], "/".join(parts[first:]))

    def inside(self, path: str) -> str:
        """A path as it goes on from the root."""
        return path[len(self.root) :].lstrip("/")

    def fits(self, inside: str) -> bool:
        """Whether it is asked for."""
        parts = inside.split("/")
        begins = ("/".join(parts[:count]) for count in range(1, len(parts) + 1))
        return self._shown(inside) and any(map(_fitting(self.pattern), begins))

    def leads_to(self, folder: str) -> bool:
        """Whether what is asked for may lie in this folder, those above which lead there."""
        parts = self.pattern.split("/")
        begin = parts[: folder.count("/") + 1]
        on_the_way = "**" in begin or (len(begin) < len(parts) and _fitting("/".join(begin))(folder))
        return self._shown(folder) and bool(on_the_way or self.fits(folder))

    def _shown(self, inside: str) -> bool:
        return _hidden_parts(inside) <= _hidden_parts(self.pattern)


@cache
def _fitting(pattern: str) -> Any:
    return re.compile(glob_translate(pattern)).match


def _matching(system: Any, pattern: str, address: str) -> Iterator[Source | None]:
    wanted = _Wanted.by(pattern)
    if _lists_at_once(system):
        matches = [one for one in system.glob(pattern, detail=True).values() if wanted.fits(wanted.inside(one["name"]))]
        found = [one for about in matches for one in _taken(about, system, address, wanted)]
    else:
        found = list(_below(system, wanted.root, address, wanted)) if system.isdir(wanted.root) else []
    if found or system.glob(pattern):
        yield from found
    elif "*" not in pattern and (kind := _kind(pattern)):
        yield Source(_uri(system, pattern, address), kind)  # rather a name with brackets: said of it when it is read
    else:
        raise SourceError(address, "nothing fits this pattern.")


def _below(
    system: Any, path: str, address: str, wanted: _Wanted | None = None, above: tuple[Path, ...] = ()
) -> Iterator[Source | None]:
    """What is wanted in a folder and those below it, by default everything that is not hidden.

    Links to folders are followed; `above` is where they led here from.
    """
    wanted = wanted or _Wanted(path)
    above = (*above, Path(path).resolve())
    for one, about in sorted(_found(system, path, wanted).items()):
        inside = wanted.inside(one)
        if "fault" in about:
            yield Source(_uri(system, one, address), CLIP, fault=about["fault"])
        elif _is_linked_folder(about):
            target = Path(one).resolve()
            circle = any(place.is_relative_to(target) for place in above)
            if wanted.leads_to(inside) and not circle and not _is_found_anyway(target, above[0], wanted):
                yield from _below(system, one, address, wanted, above)
        elif wanted.fits(inside):
            by_link = len(above) > 1
            if not (by_link and _is_found_anyway(above[-1] / one[len(path) :].lstrip("/"), above[0], wanted)):
                yield from _taken(about, system, address, wanted)


def _is_found_anyway(place: Path, root: Path, wanted: _Wanted) -> bool:
    """Whether a link leads to what is found without it."""
    return place.is_relative_to(root) and wanted.fits(place.relative_to(root).as_posix())


def _lists_at_once(system: Any) -> bool:
    """Whether a place tells all that lies below a folder in one answer."""
    return bool(system.async_impl) or type(system).find is not AbstractFileSystem.find


def _found(system: Any, path: str, wanted: _Wanted) -> dict[str, dict[str, Any]]:
    """What lies in a folder and those below it, by name, as `ls` tells it; of a folder that cannot be listed its fault.

    `find` leaves such folders out without a word; but not where a place lists all of them at once.
    """
    if _lists_at_once(system):
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
            elif (inner := about["name"].rstrip("/")) != folder and wanted.leads_to(wanted.inside(inner)):
                folders.append(inner)
    return found


def _hidden_parts(path: str) -> int:
    return sum(part.startswith(".") for part in PurePosixPath(path).parts)


def _is_linked_folder(about: dict[str, Any]) -> bool:
    return bool(about.get("islink")) and Path(about["name"]).is_dir()


def _taken(about: dict[str, Any], system: Any, address: str, wanted: _Wanted) -> Iterator[Source | None]:
    uri, kind = _uri(system, about["name"], address), _kind(about["name"])
    if about["type"] == "directory":
        yield from _below(system, about["name"], address)
    elif uri.lower().endswith(_ZIP) and wanted.pattern.lower().endswith(_ZIP):
        yield from _one_of_many(uri)
    else:
        yield Source(uri, kind, _size(about)) if kind else None


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
    plain = _without_query(path)
    ending = PurePosixPath(plain).suffix.lower()
    # A name need be no text, and one such name no reason to refuse all others.
    with system.open(path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        lines = file.readlines()
    first = lines[0] if lines else ""
    if first.startswith(_UTF16):
        raise SourceError(address, "this list is UTF-16: save it as UTF-8.")
    if ending in (".txt", ".lst"):
        stripped = [line.strip() for line in lines]
        entries = [line for line in stripped if line and not line.startswith("#")]
    else:
        # Spreadsheets write semicolons where people write numbers with a comma.
        sign = "\t" if ending == ".tsv" else ";" if ";" in first and "," not in first else ","
        rows = [row for row in csv.reader(lines, delimiter=sign) if row]
        head = [cell.strip().lower() for cell in rows[0]] if rows else []
        column = next((head.index(one) for one in _COLUMNS if one in head), None)
        entries = [row[column or 0].strip() for row in rows[column is not None :] if len(row) > (column or 0)]
    folder = plain.rpartition("/")[0]
    for entry in filter(None, entries):
        entry = entry.removeprefix("file://")
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


def is_on_the_web(address: str) -> bool:
    """Whether an address is one of HTTP."""
    return address.startswith(("http://", "https://"))


def _without_query(address: str) -> str:
    return address.split("?")[0] if is_on_the_web(address) else address


def _without_password(address: str) -> str:
    return address if is_local(address) else _PASSWORD.sub(r"\1@", address)


def _kind(path: str) -> str | None:
    return _KIND_OF.get(PurePosixPath(_without_query(path)).suffix.lower())


def _size(about: dict[str, Any]) -> int:
    return int(about.get("size") or 0)
