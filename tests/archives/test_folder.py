"""The folder of an archive: nothing lost, nothing twice, one program at a time."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from emotion_model.archives import folder as module
from emotion_model.archives import report
from emotion_model.archives.answers import UNLISTED, Result, failure
from emotion_model.archives.folder import ArchiveFolder, FolderError
from emotion_model.archives.report import write_page
from emotion_model.archives.sources import Source
from emotion_model.archives.tables import faces_table
from emotion_model.labels import Label
from emotion_model.timelines.table import frame_rows
from support.disk import files_up_to

RECORD: dict[str, Any] = {
    "model": "one",
    "model_digest": "1",
    "detector": "yunet",
    "emotions": ["calm", "wild"],
    "rate": 5,
}


def result(name: str, rows: int = 3) -> Result:
    """Of a clip with so many frames in which nobody is."""
    source = Source(name, "clip", 10)
    same = {"source": name, "kind": "clip", "model": "one", "detector": "yunet"}
    empty = [row for i in range(rows) for row in frame_rows(i / 5, i, [], RECORD["emotions"])]
    file = {"source": name, "kind": "clip", "bytes": 10, "status": "done", "frames": rows, "faces": 0, "seconds": 1.0}
    return Result(source, file, faces_table(empty, RECORD["emotions"], same))


def content(path: Path) -> tuple[dict[str, str], list[str]]:
    """The status of each file, and the source of each row of faces."""
    files = pq.read_table(path / "files.parquet").to_pylist()
    faces = pq.read_table(path / "faces").to_pylist()
    return {row["source"]: row["status"] for row in files}, [row["source"] for row in faces]


def test_rows_stand_in_the_tables_when_the_folder_is_closed(tmp_path: Path):
    with ArchiveFolder(tmp_path / "new" / "out", RECORD) as folder:
        folder.add(result("a"))
        folder.add(failure(Source("b", "photo"), "damaged", "It is damaged."))
        assert not (folder.path / "files.parquet").exists()
    assert content(folder.path) == ({"a": "done", "b": "failed"}, ["a"] * 3)
    with ArchiveFolder(folder.path, RECORD) as again:
        assert again.is_done("a") and not again.is_done("b") and not again.is_done("c")
        again.add(result("b", 2))  # what failed is tried again
        again.add(result("c", 1))
    assert content(folder.path) == ({"a": "done", "b": "done", "c": "done"}, ["a"] * 3 + ["b"] * 2 + ["c"])


def test_many_rows_and_much_time_make_a_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "COMMIT_ROWS", 5)
    with ArchiveFolder(tmp_path, RECORD) as folder:
        for name in "abc":
            folder.add(result(name))
        assert content(tmp_path)[0] == {"a": "done", "b": "done"}
        folder.commit_if_due()
        assert len(content(tmp_path)[0]) == 2
        monkeypatch.setattr(module, "COMMIT_SECONDS", 0)
        folder.commit_if_due()
        assert len(content(tmp_path)[0]) == 3
    assert len(list((tmp_path / "faces").iterdir())) == 2


def test_a_clip_of_hours_has_a_part_of_its_own_or_none(tmp_path: Path):
    with ArchiveFolder(tmp_path, RECORD) as folder:
        first, second = folder.long_table(), folder.long_table()
        for table in (first, second, first):
            table.write(result("long").faces)
        assert not list((tmp_path / "faces").iterdir())  # queries would take what is not done
        second.abandon()
        long = result("long")
        folder.add(Result(long.source, long.file), first)
        assert not (tmp_path / "files.parquet").exists()  # whose every row would be written anew for each such clip
    assert content(tmp_path) == ({"long": "done"}, ["long"] * 6)
    assert [file.name for file in (tmp_path / "faces").iterdir()] == ["part-00001.parquet"]


def test_whoever_queries_the_tables_while_they_are_written_sees_no_half_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write, seen = pq.write_table, []

    def looks(table: Any, path: Path, **options: Any) -> None:
        write(table, path, **options)
        seen.append([file.name for name in ("faces", "people") for file in (tmp_path / name).glob("*.parquet")])

    monkeypatch.setattr(module.pq, "write_table", looks)
    with ArchiveFolder(tmp_path, RECORD) as folder:
        folder.add(result("a"))
    part = "part-00001.parquet"
    assert seen == [[], [part], [part, part]]  # as its faces, its people and the table of files are written


@pytest.mark.parametrize("moment", ["faces", "people", "files"])
def test_a_program_that_ends_while_it_writes_leaves_nothing_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
):
    with ArchiveFolder(tmp_path, RECORD) as folder:
        folder.add(result("a"))
    write, tables = pq.write_table, iter(("faces", "people", "files"))  # in their order

    def ends(table: Any, path: Path, **options: Any) -> None:
        if next(tables) == moment:
            path.write_bytes(b"half")
            raise KeyboardInterrupt
        write(table, path, **options)

    broken = ArchiveFolder(tmp_path, RECORD)
    broken.add(result("b"))
    monkeypatch.setattr(module.pq, "write_table", ends)
    with pytest.raises(KeyboardInterrupt):
        broken.commit()
    assert not broken.is_done("b")
    broken._lock.close()  # as the system does it
    monkeypatch.setattr(module.pq, "write_table", write)
    (tmp_path / "faces" / ".partial-part-00007.parquet").write_bytes(b"half")  # of one that was killed
    assert content(tmp_path)[0] == {"a": "done"}
    with ArchiveFolder(tmp_path, RECORD) as again:
        assert not again.is_done("b")
        assert content(tmp_path)[1] == ["a"] * 3
        again.add(result("b"))
    assert content(tmp_path) == ({"a": "done", "b": "done"}, ["a"] * 3 + ["b"] * 3)


@pytest.mark.parametrize("broken", range(4))  # people of the long clip; faces and people of the other; files
def test_what_could_not_be_written_is_written_by_a_second_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: int
):
    write, count = pq.write_table, iter(range(100))

    def fails_once(table: Any, path: Path, **options: Any) -> None:
        write(table, path, **options)
        if next(count) == broken:
            raise OSError(errno.ENOSPC, "No space left on device")

    with ArchiveFolder(tmp_path, RECORD) as folder:
        long, table = result("long"), folder.long_table()
        table.write(long.faces)
        folder.add(result("a"))
        folder.add(Result(long.source, long.file), table)
        monkeypatch.setattr(module.pq, "write_table", fails_once)
        with pytest.raises(OSError, match="No space left"):
            folder.commit()
        assert not folder.is_done("a")
        folder.commit()
        statuses, rows = content(tmp_path)
        assert (statuses, sorted(rows)) == ({"a": "done", "long": "done"}, ["a"] * 3 + ["long"] * 3)
        folder.add(result("b"))
    assert folder.table("faces").count_rows() == len(content(tmp_path)[1]) == 9


def test_a_second_failure_hides_no_first_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fails(*_: Any, **__: Any) -> None:
        raise OSError(next(said))

    said = iter(("the first", "the second"))
    with pytest.raises(OSError, match="the first"), ArchiveFolder(tmp_path, RECORD) as folder:
        folder.add(result("a"))
        monkeypatch.setattr(module.pq, "write_table", fails)
        folder.commit()
    ArchiveFolder(tmp_path, RECORD).close()  # and nothing keeps others out


def test_a_long_clip_that_the_disk_does_not_take_takes_no_others_with_it(tmp_path: Path):
    with ArchiveFolder(tmp_path, RECORD) as folder:
        folder.add(result("a"))
        long, table = result("long"), folder.long_table()
        table.write(long.faces)
        (file,) = tmp_path.glob(".partial-long-*")
        with files_up_to(file.stat().st_size + 10), pytest.raises(OSError, match="File too large"):
            folder.add(Result(long.source, long.file), table)
    assert content(tmp_path) == ({"a": "done"}, ["a"] * 3)


def test_nothing_gets_its_name_before_it_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    flush, flushed = os.fsync, {}

    def recorded(file: int) -> None:
        flush(file)
        flushed[os.fstat(file).st_ino] = os.fstat(file).st_size

    monkeypatch.setattr(os, "fsync", recorded)
    with ArchiveFolder(tmp_path, RECORD) as folder:
        long, table = result("long"), folder.long_table()
        table.write(long.faces)
        folder.add(result("a"))
        folder.add(Result(long.source, long.file), table)
    named = [tmp_path / "archive.json", *tmp_path.rglob("*.parquet")]
    assert len(named) == 6
    assert {file.name for file in named if flushed.get(file.stat().st_ino) != file.stat().st_size} == set()


@pytest.mark.parametrize("table", ["faces", "people"])
@pytest.mark.parametrize("lost", [Path.unlink, lambda file: file.write_bytes(b"")])
def test_what_a_power_cut_took_is_read_anew(tmp_path: Path, table: str, lost: Any):
    with ArchiveFolder(tmp_path, RECORD) as folder:
        folder.add(result("a"))
        folder.commit()
        folder.add(result("b"))
    lost(tmp_path / table / "part-00002.parquet")
    with ArchiveFolder(tmp_path, RECORD) as folder:
        assert folder.is_done("a") and not folder.is_done("b")
        assert folder.table("faces").count_rows() == folder.table("people").count_rows() + 3 == 3
        folder.add(result("b"))
    assert content(tmp_path) == ({"a": "done", "b": "done"}, ["a"] * 3 + ["b"] * 3)
    (tmp_path / "archive.json").write_bytes(b"")
    with pytest.raises(FolderError, match=rf"{tmp_path}/archive\.json is empty or damaged: .*use another folder"):
        ArchiveFolder(tmp_path, RECORD)


def test_files_of_somebody_else_beside_the_tables_stay(tmp_path: Path):
    with ArchiveFolder(tmp_path, RECORD) as folder:
        folder.add(result("a"))
    (tmp_path / "faces" / ".ipynb_checkpoints").mkdir()
    (tmp_path / "faces" / "mine.parquet").write_bytes(b"mine")
    (tmp_path / "faces" / "part-00009.parquet").write_bytes(b"never committed")
    with ArchiveFolder(tmp_path, RECORD) as folder:
        assert folder.table("faces").count_rows() == 3
        write_page(folder, [Label("calm"), Label("wild")])
    assert {path.name for path in (tmp_path / "faces").iterdir()} == {
        ".ipynb_checkpoints", "mine.parquet", "part-00001.parquet"
    }  # fmt: skip


def test_of_too_many_files_the_page_names_the_first_and_says_how_many_more(tmp_path: Path):
    fault, cut = "It is <damaged>.", "It breaks off."
    with ArchiveFolder(tmp_path, RECORD) as folder:
        for number in range(report.LISTED + 2):
            folder.add(failure(Source(f"failed{number}", "photo"), "damaged", fault))
            if number < report.LISTED + 1:
                one = result(f"cut{number}", 1)
                folder.add(Result(one.source, one.file | {"code": "cut_off", "error": cut}, one.faces))
        folder.commit()
        write_page(folder, [Label("calm"), Label("wild")])
    page = (tmp_path / report.PAGE_NAME).read_text()
    assert page.count("It is &lt;damaged&gt;.") == page.count(cut) == report.LISTED
    assert "Not read: 202<" in page and "<p>And 2 more: the table of files names them all.</p>" in page
    assert "Read as far as they go: 201<" in page and "<p>And 1 more: the table of files names them all.</p>" in page


def test_a_name_that_is_no_text_is_spelled_out_and_known_again(tmp_path: Path):
    source = Source("/archive/caf\udce9.jpg", "photo")
    with ArchiveFolder(tmp_path, RECORD) as folder:
        folder.add(failure(source, "damaged", "It is damaged."))
        folder.add(result("b"))
    assert content(tmp_path)[0] == {r"/archive/caf\xe9.jpg": "failed", "b": "done"}
    with ArchiveFolder(tmp_path, RECORD) as again:
        assert source.told in again.files


@pytest.mark.parametrize("moment", [None, "files"])
def test_what_has_another_size_since_is_dropped_with_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str | None
):
    with ArchiveFolder(tmp_path, RECORD) as folder:
        folder.add(result("a"))
        folder.add(result("b"))
        folder.commit()
        folder.add(result("c"))
        now = [Source(name, "clip", size) for name, size in (("a", 11), ("b", 10), ("c", 0))]
        if moment:  # the disk fills as the table of files is written
            monkeypatch.setattr(folder, "_write_files", lambda _: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                folder.forget_outdated(now)
            monkeypatch.undo()
    with ArchiveFolder(tmp_path, RECORD) as folder:
        assert sorted(content(tmp_path)[1]) == ["a"] * 3 + ["b"] * 3 + ["c"] * 3
        folder.forget_outdated(now)
        assert content(tmp_path) == ({"b": "done", "c": "done"}, ["c"] * 3 + ["b"] * 3)
        folder.forget_outdated([Source("b", "clip", 12)])
        assert content(tmp_path) == ({"c": "done"}, ["c"] * 3)
        folder.add(result("b"))
    assert content(tmp_path) == ({"c": "done", "b": "done"}, ["c"] * 3 + ["b"] * 3)


def test_many_rows_are_dropped_as_fast_as_few_each(tmp_path: Path):
    class Name(str):
        looked_up = 0

        def __hash__(self) -> int:
            Name.looked_up += 1
            return super().__hash__()

    with ArchiveFolder(tmp_path, RECORD) as folder:
        folder.files = {Name(i): {"code": None, "bytes": 10, "part": None} for i in range(200)}
        folder.forget_outdated([Source(str(i), "clip", 11) for i in range(200)])
        assert not folder.files and Name.looked_up < 200 * 10


def test_what_could_not_be_listed_stays_no_longer_than_it_is_named(tmp_path: Path):
    locked = Source("/there/locked", "clip", fault="This folder cannot be listed.")
    with ArchiveFolder(tmp_path, RECORD) as folder:
        folder.add(failure(locked, UNLISTED, locked.fault))
        folder.add(failure(Source("bad.mp4", "clip"), "damaged", "It is damaged."))
        folder.commit()
        folder.forget_outdated([locked])
        assert set(folder.files) == {"/there/locked", "bad.mp4"}
        folder.forget_outdated([Source("/there/locked/a.mp4", "clip")])
    assert content(tmp_path) == ({"bad.mp4": "failed"}, [])


@pytest.fixture
def begun(tmp_path: Path) -> Iterator[Path]:
    with ArchiveFolder(tmp_path / "out", RECORD) as folder:
        folder.add(result("a"))
    yield folder.path


@pytest.mark.parametrize(("name", "other"), [("model_digest", "2"), ("rate", 6), ("rate", None), ("detector", "haar")])
def test_another_model_or_rate_goes_elsewhere(begun: Path, name: str, other: Any):
    with pytest.raises(FolderError, match=rf"another {name.removesuffix('_digest')} \(.*use another folder"):
        ArchiveFolder(begun, RECORD | {name: other})
    ArchiveFolder(begun, RECORD).close()  # and the refusal holds no lock


def test_a_model_goes_by_the_name_that_it_had_first(begun: Path):
    with ArchiveFolder(begun, RECORD | {"model": "/the/same/one"}) as folder:
        assert folder.record == RECORD
    with pytest.raises(FolderError, match=r"another model \(one instead of two\)"):
        ArchiveFolder(begun, RECORD | {"model": "two", "model_digest": "2"})


def test_two_programs_on_one_folder_refuse_each_other(begun: Path):
    with ArchiveFolder(begun, RECORD), pytest.raises(FolderError, match=r"in use by process \d+ on "):
        ArchiveFolder(begun, RECORD)


def test_a_disk_that_cannot_lock_is_told_of(
    begun: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(module, "lock", lambda _: None)
    ArchiveFolder(begun, RECORD).close()
    assert "cannot lock: let no second run write there" in caplog.text


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path: Path):
    (tmp_path / "holiday.txt").write_text("mine")
    with pytest.raises(FolderError, match=r"other files in it \(holiday.txt\)"):
        ArchiveFolder(tmp_path, RECORD)
    with pytest.raises(FolderError, match="is a file"):
        ArchiveFolder(tmp_path / "holiday.txt", RECORD)
    with pytest.raises(FolderError, match=r"caf\\xe9: no table can be written where a name is no UTF-8"):
        ArchiveFolder(tmp_path / "caf\udce9", RECORD)
    assert [file.name for file in tmp_path.iterdir()] == ["holiday.txt"]
