"""Which recordings an archive has."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
import pytest
from fsspec.implementations.local import LocalFileSystem

from emotion_model.__main__ import command_parser
from emotion_model.archives.fetching import local_copy, remove_left_copies
from emotion_model.archives.sources import (
    CLIP,
    PHOTO,
    Source,
    SourceError,
    find_sources,
)
from emotion_model.commands.archive_run import _sources


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Two photos, two clips, a note and what systems hide; the content does not matter."""
    folder = tmp_path / "archive"
    for name in (
        "b.JPG",
        "a.mp4",
        "deep/er/c.mov",
        "deep/d e.png",
        "notes.md",
        ".hidden.jpg",
        ".Trash/e.mp4",
        "deep/._d.jpg",
    ):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(name.encode())
    return folder


@contextmanager
def served(folder: Path, handler: type[SimpleHTTPRequestHandler] = SimpleHTTPRequestHandler) -> Iterator[str]:
    """The address at which a folder is served."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


def names(found: list, folder: Path) -> list[str]:
    return [str(Path(one.uri).relative_to(folder)) for one in found]


def test_a_folder_is_searched_to_its_bottom_without_what_is_hidden(archive: Path):
    found, others = find_sources([str(archive)])
    assert names(found, archive) == ["a.mp4", "b.JPG", "deep/d e.png", "deep/er/c.mov"]
    assert [one.kind for one in found] == [CLIP, PHOTO, PHOTO, CLIP]
    assert [one.bytes for one in found] == [5, 5, 12, 13]
    assert others == 1  # the note


def test_whatever_is_read_is_found(tmp_path: Path):
    kinds = {
        "a.jp2": PHOTO,
        "b.HIF": PHOTO,
        "c.jfif": PHOTO,
        "d.apng": CLIP,
        "e.h264": CLIP,
        "f.ivf": CLIP,
        "g.gif": CLIP,
    }
    for name in kinds:
        (tmp_path / name).touch()
    assert {one.name: one.kind for one in find_sources([str(tmp_path)])[0]} == kinds


def test_links_to_folders_are_followed_but_not_in_circles(archive: Path, tmp_path: Path):
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "f.mp4").write_bytes(b"far")
    (tmp_path / "far" / "back").symlink_to(archive)
    (archive / "linked").symlink_to(tmp_path / "far")
    (archive / "deep" / "up").symlink_to(tmp_path)
    expected = ["a.mp4", "b.JPG", "deep/d e.png", "deep/er/c.mov", "linked/f.mp4"]
    assert names(find_sources([str(archive)])[0], archive) == expected
    assert "linked/f.mp4" in names(find_sources([str(archive / "link*")])[0], archive)


def test_a_link_to_a_folder_that_is_listed_anyway_adds_nothing(archive: Path):
    (archive / "latest").symlink_to(archive / "deep")
    assert names(find_sources([str(archive)])[0], archive) == ["a.mp4", "b.JPG", "deep/d e.png", "deep/er/c.mov"]


def test_nor_does_it_where_it_and_what_it_leads_to_are_given_one_by_one(archive: Path):
    (archive / "latest").symlink_to(archive / "deep")
    expected = ["deep/d e.png", "deep/er/c.mov"]
    for given in (["deep", "latest"], ["latest", "deep"]):
        assert names(find_sources([str(archive / one) for one in given])[0], archive) == expected
    assert names(find_sources([str(archive / "latest")])[0], archive) == ["latest/d e.png", "latest/er/c.mov"]


def test_a_link_into_what_is_hidden_is_followed(archive: Path):
    (archive / ".store").mkdir()
    (archive / ".store" / "g.mp4").write_bytes(b"stored")
    (archive / "day").symlink_to(archive / ".store")
    assert "day/g.mp4" in names(find_sources([str(archive)])[0], archive)


def test_a_link_to_a_file_that_is_listed_anyway_adds_nothing(archive: Path, tmp_path: Path):
    (tmp_path / "far.mp4").write_bytes(b"far")
    (archive / "0.mp4").symlink_to("deep/er/c.mov")
    for name in ("f.mp4", "g.mp4"):
        (archive / name).symlink_to(tmp_path / "far.mp4")
    expected = ["a.mp4", "b.JPG", "deep/d e.png", "deep/er/c.mov", "f.mp4"]
    assert names(find_sources([str(archive)])[0], archive) == expected
    assert names(find_sources([str(archive / "0.mp4")])[0], archive) == ["0.mp4"]


def test_a_pattern_follows_links_as_a_folder_does(archive: Path, tmp_path: Path):
    (tmp_path / "far" / "er").mkdir(parents=True)
    (tmp_path / "far" / "er" / "f.mov").write_bytes(b"far")
    (tmp_path / "far" / "back").symlink_to(archive)
    (archive / "linked").symlink_to(tmp_path / "far")
    (archive / "latest").symlink_to(archive / "deep")
    assert names(find_sources([str(archive / "**" / "*.mov")])[0], archive) == ["deep/er/c.mov", "linked/er/f.mov"]
    assert names(find_sources([str(archive / "l*" / "er")])[0], archive) == ["latest/er/c.mov", "linked/er/f.mov"]
    assert names(find_sources([str(archive / "*" / "er" / "?.mov")])[0], archive) == [
        "deep/er/c.mov",
        "linked/er/f.mov",
    ]


def test_a_pattern_names_the_folders_on_its_way_that_cannot_be_listed(archive: Path):
    with served(archive, Hadoop) as place:
        host = place.replace("http", "webhdfs")
        (archive / "deep" / "locked").mkdir()
        for pattern, expected in (
            ("**/*.mov", ["deep/er/c.mov", "deep/locked"]),
            ("deep/*/*.mov", ["deep/er/c.mov", "deep/locked"]),
            ("deep/e*/*.mov", ["deep/er/c.mov"]),
            ("*/*.png", ["deep/d e.png"]),
        ):
            found, _ = find_sources([f"{host}/{pattern}"])
            assert [one.uri.removeprefix(f"{host}/") for one in found] == expected
            assert all(bool(one.fault) is (one.name == "locked") for one in found)


def test_a_folder_that_cannot_be_listed_is_named_whatever_is_wanted(archive: Path):
    name, opened = "d" * 250, [os.open(archive / "deep", os.O_RDONLY)]
    for _ in range(17):  # until the path is longer than the system takes, from anybody
        os.mkdir(name, dir_fd=opened[-1])
        opened.append(os.open(name, os.O_RDONLY, dir_fd=opened[-1]))
    for kinds, count in (((CLIP, PHOTO), 4), ((PHOTO,), 2)):
        found, _ = find_sources([str(archive)], kinds)
        (named,) = [one for one in found if one.fault]
        assert named.uri.startswith(f"{archive}/deep/ddd") and "cannot be listed (File name too long)" in named.fault
        assert len(found) == count + 1
    os.rename(name, ".hidden", src_dir_fd=opened[0], dst_dir_fd=opened[0])
    for one in opened:
        os.close(one)
    assert len(find_sources([str(archive)])[0]) == 4


def test_question_marks_and_colons_in_names_are_part_of_them(tmp_path: Path):
    for name in ("what?/Who is it?.mp4", "what?/12::30.mp4", "what?/is it?.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"content")
    found, others = find_sources([str(tmp_path)])
    assert [(one.name, one.kind) for one in found] == [
        ("12::30.mp4", CLIP), ("Who is it?.mp4", CLIP), ("is it?.jpg", PHOTO)
    ]  # fmt: skip
    assert others == 0
    with local_copy(found[0]) as copy:
        assert not list(copy.fetch()) and copy.path.read_bytes() == b"content"
    assert find_sources([str(tmp_path / "what?" / "is it?.jpg")])[0][0].kind == PHOTO
    assert find_sources([str(tmp_path / "what?" / "12::30.mp4")])[0] == found[:1]


def test_a_pattern_passes_over_what_is_hidden_unless_it_asks_for_it(archive: Path):
    (archive / "._a.mp4").write_bytes(b"left by a computer of another kind")
    assert names(find_sources([str(archive / "*.mp4")])[0], archive) == ["a.mp4"]
    assert names(find_sources([str(archive / ".*.mp4")])[0], archive) == ["._a.mp4"]
    assert names(find_sources([str(archive / "**" / "*.mp4")])[0], archive) == ["a.mp4"]


def test_copies_of_processes_that_were_killed_are_removed(archive: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    dead = subprocess.Popen(["true"])
    dead.wait()
    with local_copy(Source("memory://a.mp4", CLIP)) as copy:
        ours = copy.path.parent.name
        left = ours.replace(f"-{os.getpid()}-", f"-{dead.pid}-")
        others = left.replace(platform.node(), "another-machine")
        for name in (left, others):
            (tmp_path / name).mkdir()
            (tmp_path / name / "copy.mp4").touch()
        remove_left_copies()
        assert {path.name for path in tmp_path.glob("archive-copy-*")} == {ours, others}


def test_each_recording_counts_once_and_only_of_the_kinds_that_are_wanted(archive: Path):
    given = [str(archive / "b.JPG"), str(archive), str(archive / "*.mp4"), str(archive / "dee*")]
    assert names(find_sources(given)[0], archive) == ["b.JPG", "a.mp4", "deep/d e.png", "deep/er/c.mov"]
    assert names(find_sources(given, (CLIP,))[0], archive) == ["a.mp4", "deep/er/c.mov"]
    assert names(find_sources(given, (PHOTO,))[0], archive) == ["b.JPG", "deep/d e.png"]
    for flag, wanted in (("--clips-only", ["a.mp4", "deep/er/c.mov"]), ("--photos-only", ["b.JPG", "deep/d e.png"])):
        options = command_parser().parse_args(["archive", str(archive), "--out", str(archive / "out"), flag])
        assert names(_sources(options), archive) == wanted


def test_the_copies_of_an_archive_inside_of_its_source_are_none_of_its_recordings(archive: Path, tmp_path: Path):
    (archive / "out" / "annotated").mkdir(parents=True)
    for name in ("out/annotated/a-12345678.mp4", "out/annotated.mp4", "annotated.jpg"):
        (archive / name).touch()
    (tmp_path / "link").symlink_to(archive)
    wanted = ["a.mp4", "annotated.jpg", "b.JPG", "deep/d e.png", "deep/er/c.mov", "out/annotated.mp4"]
    for given, out in product((archive, tmp_path / "link"), (archive / "out", tmp_path / "link" / "out")):
        options = command_parser().parse_args(["archive", str(given), "--out", str(out)])
        assert names(_sources(options), given) == wanted


def test_relative_paths_become_absolute(archive: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(archive)
    wanted = ["a.mp4", "deep/d e.png", "deep/er/c.mov", "b.JPG"]
    assert names(find_sources(["a.mp4", "deep", "*.JPG"])[0], archive) == wanted
    monkeypatch.chdir(archive / "deep")
    assert names(find_sources(["../a.mp4", "er/../../deep", "../*.JPG", "../a.mp4"])[0], archive) == wanted


def test_a_glob_is_none_the_less_one_where_no_name_may_hold_its_signs(archive: Path, monkeypatch: pytest.MonkeyPatch):
    """As on Windows, which has an error of its own for them."""
    info = LocalFileSystem.info

    def ask(system: LocalFileSystem, path: str) -> dict[str, Any]:
        if "*" in os.fspath(path):
            error = OSError(22, "The filename, directory name, or volume label syntax is incorrect")
            error.winerror = 123  # type: ignore[attr-defined]
            raise error
        return info(system, path)

    monkeypatch.setattr(LocalFileSystem, "info", ask)
    assert names(find_sources([f"{archive}/*.mp4"])[0], archive) == ["a.mp4"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.txt", "# the first ones\na.mp4\n\ndeep/d e.png\r\n{folder}/b.JPG\n"),
        ("list.csv", "who,path\nAnn,a.mp4\nBob,deep/d e.png\nEve,{folder}/b.JPG\n"),
        ("list.csv", "a.mp4,Ann\ndeep/d e.png,Bob\n{folder}/b.JPG,Eve\n"),
        ("list.csv", "\ufeffwho;path;share\nAnn;a.mp4;0,5\nBob;deep/d e.png;0,25\nEve;{folder}/b.JPG;0\n"),
        ("list.csv", "path,note\na.mp4,x;y\ndeep/d e.png,\n{folder}/b.JPG,\n"),
        ("list.tsv", "\ufefffile\twho\na.mp4\tAnn\ndeep/d e.png\tBob\n{folder}/b.JPG\tEve\n"),
    ],
)
def test_a_list_names_recordings_from_where_it_lies(archive: Path, name: str, text: str):
    (archive / name).write_text(text.format(folder=archive), encoding="utf-8")
    assert names(find_sources([str(archive / name)])[0], archive) == ["a.mp4", "deep/d e.png", "b.JPG"]


def test_what_a_list_names_in_vain_ends_nothing_but_a_run_on_nothing_else(archive: Path):
    (archive / "list.txt").write_text("a.mp4\ngone\n*.gone\nnosuch://bucket\nb.JPG\ntypo.png\n")
    found, _ = find_sources([str(archive / "list.txt")], (PHOTO,))
    assert [one.name for one in found] == ["gone", "*.gone", "bucket", "b.JPG", "typo.png"]
    said = ("no such file", "nothing fits", "cannot be listed")
    assert all(text in one.fault for text, one in zip(said, found, strict=False))
    assert (
        not found[3].fault
        and found[4].fault == "there is no such file."
        and not any(one.told in one.fault for one in found)
    )
    (archive / "list.txt").write_text("gone\n")
    options = command_parser().parse_args(["archive", str(archive / "list.txt"), "--out", str(archive / "out")])
    with pytest.raises(ValueError, match="gone: there is no such file or folder") as caught:
        _sources(options)
    assert str(caught.value).count("gone") == 1


def test_what_a_list_names_is_no_list(archive: Path):
    for name in ("list.txt", "meta.csv"):
        (archive / name).write_text("\n".join(("list.txt", "meta.csv", "a.mp4")))
    found, others = find_sources([str(archive / "list.txt")])
    assert names(found, archive) == ["a.mp4"] and others == 2


def test_one_name_that_is_no_text_refuses_no_list(archive: Path):
    (archive / "caf\udce9.mp4").write_bytes(b"clip")
    (archive / "list.txt").write_bytes(b"a.mp4\ncaf\xe9.mp4\n")
    assert names(find_sources([str(archive / "list.txt")])[0], archive) == ["a.mp4", "caf\udce9.mp4"]


@pytest.mark.parametrize("coding", ["utf-16", "utf-16-be"])
@pytest.mark.parametrize("name", ["list.txt", "list.csv"])
def test_a_list_in_utf_16_is_refused_with_what_to_do(archive: Path, name: str, coding: str):
    mark = "\ufeff" if coding.endswith("be") else ""
    (archive / name).write_text(f"{mark}a.mp4\n", encoding=coding)
    with pytest.raises(SourceError, match=rf"{name}: this list is UTF-16: save it as UTF-8"):
        find_sources([str(archive / name)])


def test_a_file_of_this_machine_is_one_however_its_address_is_written(archive: Path):
    (archive / "list.txt").write_text(f"a.mp4\nfile://{archive}/a.mp4\nfile://{archive}/deep/er\n")
    given = [str(archive / "list.txt"), f"file://{archive}/a.mp4"]
    assert names(find_sources(given)[0], archive) == ["a.mp4", "deep/er/c.mov"]


def test_a_list_at_a_signed_address_is_one(archive: Path):
    (archive / "list.csv").write_text("path\na.mp4\n")
    with served(archive) as place:
        assert [one.uri for one in find_sources([f"{place}/list.csv?sig=a/b"])[0]] == [f"{place}/a.mp4"]


class Refusing(SimpleHTTPRequestHandler):
    """Lets nobody in."""

    def do_GET(self) -> None:
        self.send_error(403)

    def do_HEAD(self) -> None:
        self.send_error(403)


def test_a_place_that_refuses_is_told_apart_from_one_without_the_file(archive: Path):
    for handler, said in (
        (Refusing, "cannot be listed (403, message='Forbidden'"),
        (SimpleHTTPRequestHandler, "no such"),
    ):
        with served(archive, handler) as place, pytest.raises(SourceError) as caught:
            find_sources([f"{place}/gone.csv"])
        assert said in str(caught.value)


def test_a_list_on_a_server_names_recordings_beside_it(archive: Path):
    (archive / "list.txt").write_text("a.mp4\n./deep/er/c.mov\n")
    with served(archive) as place:
        found, _ = find_sources([f"{place}/list.txt"])
    assert [one.uri for one in found] == [f"{place}/a.mp4", f"{place}/deep/er/c.mov"]


def test_a_zip_file_is_a_folder(archive: Path, tmp_path: Path):
    packed = tmp_path / "packed.zip"
    with zipfile.ZipFile(packed, "w") as file:
        for one in archive.rglob("*"):
            file.write(one, one.relative_to(archive))
    found, others = find_sources([str(packed)])
    assert [one.uri for one in found] == [
        f"zip://{name}::{packed}" for name in ("a.mp4", "b.JPG", "deep/d e.png", "deep/er/c.mov")
    ]
    assert (others, found[2].bytes, found[2].name) == (1, 12, "d e.png")
    with local_copy(found[2]) as copy:
        assert list(copy.fetch()) == [12]
        assert copy.path.read_bytes() == b"deep/d e.png" and copy.path.suffix == ".png"
    assert not copy.path.exists()
    again, _ = find_sources([found[0].uri])  # as it is written in a list of what to read once more
    assert again == found[:1]
    assert find_sources([str(tmp_path / "*.zip")]) == (found, others)
    (tmp_path / "broken.zip").touch()
    broken, *sound = find_sources([str(tmp_path / "*.zip")])[0]
    assert broken.name == "broken.zip" and "cannot be listed" in broken.fault and sound == found


def test_files_of_other_places_are_fetched_and_removed(archive: Path):
    import fsspec

    with fsspec.open("memory://far/away.jpg", "wb") as file:
        file.write(b"picture" * (1 << 20))
    (found,), _ = find_sources(["memory://far"])
    assert (found.uri, found.kind, found.bytes) == ("memory:///far/away.jpg", PHOTO, 7 << 20)
    with local_copy(found) as copy:
        assert list(copy.fetch()) == [megabytes << 20 for megabytes in range(1, 8)], "signs that it comes"
        assert copy.path.read_bytes() == b"picture" * (1 << 20)


class Hadoop(SimpleHTTPRequestHandler):
    """Serves a folder by WebHDFS, a protocol of those whose paths do not name the host."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(url.query).items()}
        path = Path(self.directory, unquote(url.path).removeprefix("/webhdfs/v1/"))
        if not path.exists():
            self.answer({"RemoteException": {"exception": "FileNotFoundException", "message": "gone"}}, 404)
        elif path.name == "locked" and asked["op"] == "LISTSTATUS":
            self.answer({"RemoteException": {"exception": "AccessControlException", "message": "not for you"}}, 403)
        elif asked["op"] == "LISTSTATUS":
            self.answer({"FileStatuses": {"FileStatus": [self.status(one) for one in path.iterdir()]}})
        elif asked["op"] == "GETFILESTATUS":
            self.answer({"FileStatus": self.status(path)})
        else:
            self.answer(path.read_bytes()[int(asked["offset"]) :][: int(asked["length"])])

    def status(self, path: Path) -> dict[str, str | int]:
        kind = "DIRECTORY" if path.is_dir() else "FILE"
        return {"pathSuffix": path.name, "type": kind, "length": path.stat().st_size}

    def answer(self, content: object, status: int = 200) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(content if isinstance(content, bytes) else json.dumps(content).encode())


def test_what_lies_on_a_host_keeps_its_name_and_tells_no_password(archive: Path, tmp_path: Path):
    (archive / "locked").mkdir()
    (archive / "list.txt").write_text("a.mp4\n")
    with served(tmp_path, Hadoop) as place:
        host = place.removeprefix("http://")
        found, _ = find_sources([f"webhdfs://me:a@secret@{host}/archive"])
        assert [one.told for one in found] == [
            f"webhdfs://me@{host}/archive/{name}"
            for name in ("a.mp4", "b.JPG", "deep/d e.png", "deep/er/c.mov", "locked")
        ]
        assert "cannot be listed (not for you)" in found[4].fault
        with local_copy(found[2]) as copy:
            assert list(copy.fetch()) == [12] and copy.path.read_bytes() == b"deep/d e.png"
        given = [f"webhdfs://me:a@secret@{host}/archive/{name}" for name in ("list.txt", "*.JPG")]
        assert [one.uri for one in find_sources(given)[0]] == [one.uri for one in found[:2]]
        with pytest.raises(SourceError) as caught:
            find_sources([f"webhdfs://me:a@secret@{host}/gone"])
    assert "gone: there is no such" in str(caught.value) and "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("zip://a.mp4::ftp://me:se:cret@nas/x.zip", "zip://a.mp4::ftp://me@nas/x.zip"),
        ("https://:token@there:80/a.mp4", "https://@there:80/a.mp4"),
        ("github://owner:project@main/a.mp4", None),
        ("sftp://nas:22/a@b.mp4", None),
        ("/home/me:12@noon.mp4", None),
    ],
)
def test_an_address_is_told_without_its_password_and_otherwise_as_it_is(uri: str, told: str | None):
    assert Source(uri, CLIP).told == (told or uri)


class InRanges(SimpleHTTPRequestHandler):
    """Gives the bytes that it is asked for, and notes how many those are."""

    asked: ClassVar[list[int]] = []

    def do_GET(self) -> None:
        start, end = map(int, self.headers["Range"].removeprefix("bytes=").split("-"))
        content = Path(self.translate_path(self.path)).read_bytes()
        self.asked.append(end + 1 - start)
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{min(end, len(content) - 1)}/{len(content)}")
        self.end_headers()
        self.wfile.write(content[start : end + 1])


def test_a_file_elsewhere_is_asked_for_in_pieces_of_a_megabyte(tmp_path: Path):
    content = np.random.default_rng(1).bytes((7 << 20) + 5)
    (tmp_path / "large.mp4").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "packed.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.write(tmp_path / "large.mp4", "large.mp4")
    with served(tmp_path, InRanges) as place:
        for address in (f"{place}/large.mp4", f"{place}/packed.zip"):
            (found,), _ = find_sources([address])
            InRanges.asked.clear()
            with local_copy(found) as copy:
                signs = 0
                for signs, _ in enumerate(copy.fetch(), 1):
                    assert sum(InRanges.asked) <= (signs << 20) + (1 << 18), "a sign after each megabyte"
                assert signs == 8 and copy.path.read_bytes() == content


def test_a_zip_file_is_opened_once_for_all_that_lies_in_it(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "packed.zip", "w") as file:
        for number in range(9):
            file.writestr(f"{number}.mp4", np.random.default_rng(number).bytes(1 << 17))
    with served(tmp_path, InRanges) as place:
        found, _ = find_sources([f"{place}/packed.zip"])
        InRanges.asked.clear()
        asked = [0]
        for one in found:
            with local_copy(one) as copy:
                assert list(copy.fetch()) == [1 << 17]
            asked.append(len(InRanges.asked))
    first, *others = np.diff(asked)
    assert len(others) == 8 and max(others) < first


def test_a_file_of_a_server_that_gives_no_parts_is_fetched_whole(tmp_path: Path):
    content = bytes(range(256)) * (1 << 15)
    (tmp_path / "large.mp4").write_bytes(content)
    with served(tmp_path) as place, local_copy(find_sources([f"{place}/large.mp4"])[0][0]) as copy:
        assert list(copy.fetch())[-1] == len(content) and copy.path.read_bytes() == content


def test_a_file_that_is_named_by_itself_is_taken_whatever_it_is_called(archive: Path):
    found, _ = find_sources([str(archive / "notes.md"), str(archive / "gone.jpg")])
    assert [(one.name, one.kind) for one in found] == [("notes.md", CLIP), ("gone.jpg", PHOTO)]
    (found,), others = find_sources([str(archive / "notes.md"), str(archive / "a.mp4")], (PHOTO,))
    assert (found.name, found.kind, others) == ("notes.md", PHOTO, 0)


def test_a_file_that_is_gone_and_has_signs_of_patterns_in_its_name_ends_nothing(archive: Path):
    gone = ["Talk [dQw4w9WgXcQ].mp4", "Who is it?.jpg", "memory://gone/Talk [1].mp4"]
    (archive / "list.txt").write_text("\n".join([*gone, "deep/[a-z] ?.png"]))
    found, _ = find_sources([str(archive / "list.txt")])
    assert [one.name for one in found] == ["Talk [dQw4w9WgXcQ].mp4", "Who is it?.jpg", "Talk [1].mp4", "d e.png"]
    for one in found[:3]:
        with pytest.raises(FileNotFoundError), local_copy(one) as copy:
            assert list(copy.fetch()) or copy.path.read_bytes()
    with served(archive) as place:
        assert [one.uri for one in find_sources([f"{place}/gone.mp4?from=here"])[0]] == [f"{place}/gone.mp4?from=here"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("no/such/folder", "no such file or folder"),
        ("no*thing.jpg", "nothing fits"),
        ("", "a name is empty"),
        ("nosuch://bucket", "cannot be listed"),
    ],
)
def test_what_cannot_be_listed_is_named(given: str, said: str):
    with pytest.raises(SourceError, match=said) as caught:
        find_sources([given])
    assert given in str(caught.value)
