"""The folder of an archive: its tables in parts, and the table of files, which says what counts.

    archive.json        the model, the detector and the rate: the same for all rows
    files.parquet       what became of each file; what it does not name is not there yet
    faces/part-*.parquet, people/part-*.parquet
    annotated/          the annotated copies, if there are any

Rows wait in memory until a part is worth a file. A part is written outside of the two folders, as queries of them take
hidden files too, and moved there once it is on the disk; then the table of files is, which names it. Whatever ends the
program in between leaves parts that the table does not name: they are removed when the folder is opened again, and
their files are read anew. So are those of a part that a power cut took, though the table names it.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from emotion_model.archives.answers import UNLISTED, Result
from emotion_model.archives.settings import difference
from emotion_model.archives.sources import Source
from emotion_model.archives.tables import FILES, faces_schema, people_schema
from emotion_model.files import lock, read_json, spelled_out, to_disk, whole_file, write_json

COMMIT_ROWS = 250_000  # of faces in a part
COMMIT_SECONDS = 20.0  # after which what is done is written, however little
RECORD_NAME, FILES_NAME = "archive.json", "files.parquet"
_TABLES = ("faces", "people")  # in parts


class FolderError(ValueError):
    """The folder cannot be used; the message says why and what to do."""


class ArchiveFolder:
    """The folder of an archive, opened by one program at a time.

        with ArchiveFolder(Path("out"), record) as folder:
            folder.add(result)

    Attributes:
        path: where it lies.
        record: what its rows have in common; the model by the name that it had when the archive was begun.
        files: the row of every file that the table of files has, by its source.
    """

    def __init__(self, path: Path, record: dict[str, Any]) -> None:
        """Open or begin an archive; `record` is what its rows have in common.

        Raises:
            FolderError: another program uses it, it has rows of another model or rate, or it is no such folder.
            OSError: it cannot be written.
        """
        self.path, self.record = path, record
        if (name := spelled_out(str(path))) != str(path):
            raise FolderError(f"{name}: no table can be written where a name is no UTF-8: choose another folder.")
        try:
            path.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            raise FolderError(f"{path} is a file: choose a folder.") from error
        strange = [one.name for one in path.iterdir() if not one.name.startswith(".")]
        if strange and not (path / RECORD_NAME).exists():
            raise FolderError(f"{path} has other files in it ({strange[0]}): choose an empty or a new folder.")
        self._lock = _locked(path)
        try:
            self._agree()
            self._sweep()
        except BaseException:
            self._lock.close()
            raise
        emotions = record["emotions"]
        self._schemas = {"faces": faces_schema(emotions), "people": people_schema(emotions)}
        self._waiting: list[tuple[Result, LongTable | None]] = []
        self._rows = self._long = 0
        self._committed, self._failed = time.monotonic(), False

    def _agree(self) -> None:
        file = self.path / RECORD_NAME
        if not file.exists():
            write_json(file, self.record)
            return
        try:
            before = read_json(file)
        except ValueError as error:
            raise FolderError(
                f"{file} is empty or damaged: nothing says which model the tables beside it are of; use another folder."
            ) from error
        if name := difference(before, self.record):
            raise FolderError(
                f"{self.path} was begun with another {name.removesuffix('_digest')} ({before.get(name)} instead of "
                f"{self.record[name]}): use another folder, or the same settings as then."
            )
        self.record = {name: before.get(name) for name in self.record}  # one name of the model for all rows

    def _sweep(self) -> None:
        """Read what counts, and remove what does not; a row whose part a power cut took does not count."""
        table = self.path / FILES_NAME
        rows = pq.read_table(table, schema=FILES).to_pylist() if table.exists() else []
        named = {row["part"] for row in rows} - {None}
        self._part = max(named, default=0)
        there = {part for part in named if all(_has_content(self._file(name, part)) for name in _TABLES)}
        self.files: dict[str, dict[str, Any]] = {
            row["source"]: row for row in rows if row["part"] is None or row["part"] in there
        }
        for folder in (self.path / name for name in _TABLES):
            folder.mkdir(exist_ok=True)
            for file in folder.iterdir():
                if file.name.startswith(".partial-") or (_number(file) or 0) not in {0, *there}:
                    file.unlink()
        for file in (*self.path.glob(".partial-*"), *self.path.glob("annotated/.partial-*")):
            file.unlink()

    def is_done(self, source: str) -> bool:
        """Whether a file's rows are there."""
        return source in self.files and self.files[source]["status"] == "done"

    def forget_outdated(self, sources: Sequence[Source]) -> None:
        """Drop the rows of files that have another size since, and of what could not be listed and is no longer named.

        What else stands in their parts gets parts of new numbers, so that nothing is lost or twice whatever happens.
        """
        sizes = {one.told: one.bytes for one in sources}
        gone = {name for name, row in self.files.items() if _is_outdated(row, sizes.get(name))}
        if not gone:
            return
        files = {name: row for name, row in self.files.items() if name not in gone}
        parts: defaultdict[int, list[str]] = defaultdict(list)  # with those of their sources that go
        for name in gone:
            if (part := self.files[name]["part"]) is not None:
                parts[part].append(name)
        others = {part: self._next_part() for part in sorted(parts.keys() & {row["part"] for row in files.values()})}
        for part, number in others.items():
            stays = ~pc.field("source").isin(parts[part])
            for table, schema in self._schemas.items():
                rows = pq.read_table(self._file(table, part), schema=schema, filters=stays)
                self._write(table, number, [rows])
        self._write_files({name: row | {"part": others.get(row["part"], row["part"])} for name, row in files.items()})
        for part in parts:
            for table in self._schemas:
                self._file(table, part).unlink()

    def table(self, name: str) -> ds.Dataset:
        """The rows of `faces` or `people` that count, whatever else lies in that folder."""
        parts = sorted({row["part"] for row in self.files.values()} - {None})
        return ds.dataset([self._file(name, part) for part in parts], self._schemas[name], format="parquet")

    def add(self, result: Result, long: LongTable | None = None) -> None:
        """Take in what became of a file; it is written soon, together with others.

        Args:
            result: its row in the table of files, and its rows in the others.
            long: the rows of its faces, if they were too many for a table in memory.

        Raises:
            OSError: the disk does not take it.
        """
        if long:
            long.end()
        self._waiting.append((result, long))
        self._rows += result.faces.num_rows if result.faces is not None else 0
        if self._rows >= COMMIT_ROWS:
            self.commit()

    def long_table(self) -> LongTable:
        """A table of faces that is written as it grows, for a clip of hours."""
        self._long += 1
        return LongTable(self.path / f".partial-long-{self._long}.parquet", self._schemas["faces"])

    def commit_if_due(self) -> None:
        """Write what has waited for long."""
        if self._waiting and time.monotonic() - self._committed > COMMIT_SECONDS:
            self.commit()

    def commit(self) -> None:
        """Write all that is done; from here on nothing of it can be lost. Where that fails, it waits on."""
        self._committed, self._failed = time.monotonic(), True
        # Numbers are taken only at the end, long clips first: a second try writes over what the first one left.
        part, files = self._part, dict(self.files)
        together = [result for result, long in self._waiting if not long]
        last = part + len(self._waiting) - len(together) + 1
        for result, long in self._waiting:
            number = last if result.faces is not None else None
            if long:
                number = part = part + 1
                long.move(self._file("faces", number))
                self._write("people", number, [result.people])
            row: dict[str, Any] = dict.fromkeys(FILES.names)
            files[result.source.told] = row | result.file | {"part": number}
        if any(result.faces is not None for result in together):
            part = last
            self._write("faces", part, [result.faces for result in together])
            self._write("people", part, [result.people for result in together])
        self._write_files(files)
        self._part, self._waiting, self._rows, self._failed = part, [], 0, False

    def _write_files(self, files: dict[str, dict[str, Any]]) -> None:
        with whole_file(self.path / FILES_NAME) as partial:
            _write_to_disk(pa.Table.from_pylist(list(files.values()), FILES), partial)
        self.files = files

    def _next_part(self) -> int:
        self._part += 1
        return self._part

    def _file(self, table: str, part: int) -> Path:
        return self.path / table / f"part-{part:05d}.parquet"

    def _write(self, table: str, part: int, tables: list[pa.Table | None]) -> None:
        rows = pa.concat_tables([self._schemas[table].empty_table(), *(one for one in tables if one is not None)])
        with whole_file(self._file(table, part), within=self.path) as partial:
            _write_to_disk(rows, partial)

    def close(self) -> None:
        """Write what waits, unless that has just failed, and let others use the folder."""
        try:
            if self._waiting and not self._failed:
                self.commit()
        finally:
            self._lock.close()

    def __enter__(self) -> ArchiveFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class LongTable:
    """The faces of one clip, on their way into a file."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._path = path
        self._writer = pq.ParquetWriter(path, schema, compression="zstd")

    def write(self, faces: pa.Table) -> None:
        """Append rows."""
        self._writer.write_table(faces)

    def end(self) -> None:
        """Write the file's end; where that fails all of it is lost, as a second try would leave that out."""
        self._writer.close()
        to_disk(self._path)

    def move(self, target: Path) -> None:
        """Give the file, which has ended, its name; or another one."""
        self._path = self._path.replace(target)

    def abandon(self) -> None:
        """Leave no file."""
        self._writer.close()
        self._path.unlink(missing_ok=True)


def _is_outdated(row: dict[str, Any], size: int | None) -> bool:
    """Whether a row is of what is no more; `size` of the file in bytes now, None if it is not among the sources."""
    if size is None:
        return bool(row["code"] == UNLISTED)
    return bool(size and row["bytes"] and size != row["bytes"])


def _write_to_disk(table: pa.Table, file: Path) -> None:
    pq.write_table(table, file, compression="zstd")
    to_disk(file)


def _has_content(file: Path) -> bool:
    return file.exists() and file.stat().st_size > 0


def _number(file: Path) -> int | None:
    """Of a part of the tables; None for files of somebody else's."""
    found = re.fullmatch(r"part-(\d+)\.parquet", file.name)
    return int(found[1]) if found else None


def _locked(folder: Path) -> IO[str]:
    file = (folder / ".lock").open("a+", encoding="utf-8")
    had = lock(file)
    if had is None:
        said = "%s lies on a disk that cannot lock: let no second run write there, or both lose rows."
        logging.getLogger(__name__).warning(said, folder)
    if had is False:
        file.seek(0)
        holder = file.read().strip() or "another program"
        file.close()
        raise FolderError(f"{folder} is in use by {holder}: wait for it, or choose another folder.")
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}")
    file.flush()
    return file
