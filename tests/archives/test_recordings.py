"""One recording at a time: the rows of photos, clips, and clips that were cut."""

from __future__ import annotations

import shutil
import struct
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from emotion_model import EmotionDetector, VideoConfig, VideoReader, analyze, read_image, video_detector
from emotion_model.archives.answers import Cut, Fetched, Part, Result, Sign
from emotion_model.archives.folder import LongTable
from emotion_model.archives.long_clip import LongClip
from emotion_model.archives.reading import Reader
from emotion_model.archives.settings import ArchiveSettings, digest
from emotion_model.archives.sources import Source, find_sources
from emotion_model.faces.cropping import Framing
from emotion_model.labels import LABELS
from emotion_model.network.config import BUNDLED_DIR, ModelConfig
from emotion_model.timelines.clock import clock
from support import environment
from support.apps import free_port
from support.clips import face_film, write_clip


@pytest.fixture(scope="module")
def clip(astronaut: np.ndarray, surprised: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve seconds in which somebody moves, is gone for a while, and comes back with another face."""
    film, other = face_film(astronaut, 400), face_film(surprised, 400)

    def frame(time: float) -> np.ndarray:
        shown = film(time) if time < 4 else other(time)
        return np.full_like(shown, 90) if 5 < time < 6.5 else shown

    return write_clip(tmp_path_factory.mktemp("archive") / "clip.mp4", frame, seconds=12)


@pytest.fixture(scope="module", params=[5.0, None, 3.0])
def rate(request: pytest.FixtureRequest) -> float | None:
    return request.param


@pytest.fixture(scope="module")
def whole(clip: Path, rate: float | None, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """The clip, read at one go."""
    with environment.as_users_have_it():  # as what it is compared with
        result = read(reader(tmp_path_factory.mktemp("whole"), rate=rate), clip)
    assert isinstance(result, Result) and result.faces is not None
    return result


def reader(folder: Path, **settings: float | None) -> Reader:
    return Reader(ArchiveSettings(**settings), folder)  # type: ignore[arg-type]


def read(reader: Reader, path: Path) -> Result | Cut:
    (source,), _ = find_sources([str(path)])
    *signs, last = reader.read([source])
    assert all(isinstance(one, Sign) for one in signs)
    return last


def rows_in_parts(worker: Reader, clip: Path, whole: Result) -> pa.Table:
    """The faces of a clip that a worker cuts, which are those of the whole."""
    cut = read(worker, clip)
    assert isinstance(cut, Cut) and len(cut.bounds) >= 2
    (source,), _ = find_sources([str(clip)])
    state, tables = None, []
    for start, end in zip([0.0, *cut.bounds], [*cut.bounds, None], strict=True):
        *_, looked = worker.look(source, Part(start, end))
        *_, joined = worker.join(source, looked.frames, state, cut.duration if end is None else None)
        tables.append(joined.faces)
        state = joined.state
    faces = pa.concat_tables(tables)
    assert faces.equals(whole.faces)
    assert joined.people.equals(whole.people) and round(joined.end, 3) == whole.file["duration"]
    return faces


@pytest.mark.parametrize("length", [2.0, 4.0])
def test_a_cut_clip_has_the_rows_of_an_uncut_one(
    clip: Path, whole: Result, tmp_path: Path, rate: float | None, length: float
):
    worker = reader(tmp_path, rate=rate, part_seconds=length)
    faces = rows_in_parts(worker, clip, whole)
    assert faces.num_rows > (32 if rate else 112)
    assert len(set(whole.faces["emotion"].to_pylist())) > 2  # two emotions and nobody: something carries over


def test_so_it_has_where_frames_come_only_now_and_then(astronaut: np.ndarray, tmp_path: Path):
    times = [start + i / 20 for start in range(0, 48, 4) for i in range(4)]
    clip = write_clip(tmp_path / "screen.mkv", face_film(astronaut), times)
    whole = read(reader(tmp_path, rate=5.0), clip)
    assert isinstance(whole, Result)
    rows_in_parts(reader(tmp_path, rate=5.0, part_seconds=12.0), clip, whole)


def test_a_clip_that_is_fetched_is_not_cut(clip: Path, tmp_path: Path):
    with fsspec.open("memory://recordings/long.mp4", "wb") as file:
        file.write(clip.read_bytes())
    read = reader(tmp_path, part_seconds=2).read([Source("memory://recordings/long.mp4", "clip")])
    assert isinstance(next(one for one in read if not isinstance(one, Fetched)), Sign)  # a cut one is not begun


def test_a_clip_that_breaks_off_keeps_its_rows_and_is_named(astronaut: np.ndarray, tmp_path: Path):
    whole = write_clip(tmp_path / "whole.mp4", face_film(astronaut), seconds=4, options={"movflags": "+faststart"})
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    worker = reader(tmp_path)
    results = [read(worker, broken), read(worker, whole)]
    assert all(isinstance(one, Result) and one.file["status"] == "done" for one in results)
    cut, sound = (one.file for one in results)
    assert cut["code"] == "cut_off" and f"breaks off at {clock(cut['duration'])} of 0:04" in cut["error"]
    assert cut["faces"] > 0 and "code" not in sound

    (source,), _ = find_sources([str(broken)])
    long = LongClip(source, Cut(4.0, 320, 240, (1.0,)), LongTable(tmp_path / "long.parquet", results[0].faces.schema))
    for number, part in long.parts():
        *_, looked = worker.look(source, part)
        long.looked(number, looked.frames)
        *_, joined = worker.join(source, *long.next_join())
        result = long.joined(joined)
    long.abandon()
    assert (result.file["code"], result.file["error"]) == (cut["code"], cut["error"])


def test_the_rows_of_a_clip_are_those_of_its_analysis(clip: Path, tmp_path: Path, detector: EmotionDetector):
    result = read(reader(tmp_path, rate=5), clip)
    assert isinstance(result, Result) and result.faces is not None
    with VideoReader(clip) as opened:
        frames = list(analyze(opened, video_detector(detector), VideoConfig(5)))
    rows = [(round(frame.time, 3), face) for frame in frames for face in frame.faces or [None]]
    assert result.faces["time"].to_pylist() == [time for time, _ in rows]
    assert result.faces["face_id"].to_pylist() == [face and face.track_id for _, face in rows]
    assert result.faces["emotion"].to_pylist() == [face and face.emotion for _, face in rows]
    assert result.file["frames"] == len(frames) and result.file["faces"] == sum(len(one.faces) for one in frames)
    assert result.file["people"] == result.people.num_rows == 2


def test_the_row_of_a_photo_says_what_the_detector_says(photo: Path, tmp_path: Path, detector: EmotionDetector):
    result = read(reader(tmp_path), photo)
    (face,) = detector.detect(read_image(photo))
    assert isinstance(result, Result) and result.faces is not None and result.people is None
    (row,) = result.faces.to_pylist()
    assert (row["x"], row["y"], row["w"], row["h"]) == face.box and row["emotion"] == face.emotion
    assert row["happy"] == pytest.approx(face.to_dict()["probabilities"]["happy"], abs=1e-6)
    assert (row["kind"], row["face_id"], row["source"]) == ("photo", None, str(photo))
    assert (result.file["width"], result.file["height"], result.file["faces"]) == (512, 512, 1)


def test_a_photo_is_one_whatever_it_is_called(photo: Path, tmp_path: Path):
    named = tmp_path / "photo"
    named.symlink_to(photo)
    result = read(reader(tmp_path), named)
    assert isinstance(result, Result) and (result.source.uri, result.file["kind"]) == (str(named), "photo")
    assert result.faces is not None and result.faces["kind"].to_pylist() == ["photo"]


def test_a_photo_without_a_face_has_a_row_without_one(landscape: np.ndarray, tmp_path: Path):
    Image.fromarray(landscape).save(tmp_path / "empty.png")
    result = read(reader(tmp_path), tmp_path / "empty.png")
    assert isinstance(result, Result) and result.faces is not None
    (row,) = result.faces.to_pylist()
    assert row["emotion"] is None and row["frame"] == 0 and result.file["faces"] == 0


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("empty.jpg", b"", "empty"),
        ("text.png", b"no picture at all", "not_an_image"),
        ("text.mp4", b"no clip at all, however long", "not_a_video"),
        ("gone.jpg", None, "unreadable"),
        ("gone.mp4", None, "unreadable"),
        ("gone \udce9.mp4", None, "unreadable"),  # a name that is no text
    ],
)
def test_a_bad_file_is_a_result(tmp_path: Path, name: str, content: bytes | None, code: str):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    result = read(reader(tmp_path), tmp_path / name)
    assert isinstance(result, Result) and result.faces is None
    assert (result.file["status"], result.file["code"]) == ("failed", code)
    assert result.file["error"].endswith((".", ")")) and len(result.file["error"].encode()) > 10
    assert str(tmp_path) not in result.file["error"]


def test_what_could_not_be_listed_is_a_result(tmp_path: Path):
    (result,) = reader(tmp_path).read([Source(str(tmp_path), "clip", fault="This folder cannot be listed.")])
    assert isinstance(result, Result) and result.faces is None
    assert (result.file["code"], result.file["error"]) == ("unlisted", "This folder cannot be listed.")


def test_what_a_place_refuses_is_not_called_missing(tmp_path: Path):
    port = free_port()
    (result,) = reader(tmp_path).read([Source(f"http://127.0.0.1:{port}/a.mp4", "clip")])
    assert result.file["code"] == "unreadable" and f"Cannot connect to host 127.0.0.1:{port}" in result.file["error"]
    (result,) = reader(tmp_path).read([Source("memory://gone/a.mp4", "clip")])
    assert result.file["error"] == "There is no such file."


def test_another_file_that_is_missing_is_not_taken_for_the_recording(photo: Path, tmp_path: Path):
    (result,) = Reader(ArchiveSettings(annotated=True), tmp_path / "gone").read([Source(str(photo), "photo")])
    assert str(tmp_path / "gone") in result.file["error"]


@pytest.mark.parametrize("kind", ["photo", "clip"])
def test_a_full_disk_is_told_of_annotated_copies(kind: str, request: pytest.FixtureRequest, tmp_path: Path):
    (source,), _ = find_sources([str(request.getfixturevalue(kind))])
    worker = Reader(ArchiveSettings(rate=1, annotated=True), tmp_path)
    *_, done = worker.read([source])
    copy = tmp_path / done.file["annotated"]
    copy.with_name(f".partial-{copy.name}").symlink_to("/dev/full")
    *_, full = worker.read([source])
    assert full.file["code"] == "disk_full" and f"{copy}: there is no room left" in full.file["error"]


def test_a_model_may_lie_where_the_name_is_no_text(photo: Path, tmp_path: Path):
    shutil.copytree(BUNDLED_DIR, tmp_path / "caf\udce9")
    result = read(Reader(ArchiveSettings(models=(str(tmp_path / "caf\udce9"),)), tmp_path), photo)
    assert isinstance(result, Result) and result.faces is not None
    assert r"caf\xe9" in result.faces["model"][0].as_py()


def test_a_clip_is_not_cut_by_a_length_that_it_does_not_have(astronaut: np.ndarray, tmp_path: Path):
    clip = write_clip(tmp_path / "clip.mkv", face_film(astronaut), seconds=1)
    told = b"\x44\x89\x88"  # the length of a Matroska file, in ms
    before, after = clip.read_bytes().split(told)
    clip.write_bytes(before + told + struct.pack(">d", 1e12) + after[8:])
    with VideoReader(clip) as opened:
        assert opened.duration == pytest.approx(1e9) and opened.length() == pytest.approx(1)
    result = read(reader(tmp_path), clip)
    assert isinstance(result, Result) and result.file["duration"] == pytest.approx(1)


def test_a_worker_with_another_model_or_detector_refuses(tmp_path: Path):
    record = reader(tmp_path).record
    Reader(ArchiveSettings(), tmp_path, record)
    with pytest.raises(ValueError, match=r"another detector.*than the command.*give all nodes the same"):
        Reader(ArchiveSettings(), tmp_path, record | {"detector": "other"})


def test_a_model_is_known_by_its_digest_and_called_as_the_command_calls_it(tmp_path: Path):
    record = reader(tmp_path).record
    assert Reader(ArchiveSettings(models=(str(BUNDLED_DIR),)), tmp_path, record).record == record
    with pytest.raises(ValueError, match=r"another model \(.* than the command \(2\)"):
        Reader(ArchiveSettings(), tmp_path, record | {"model_digest": "2"})


@pytest.mark.parametrize(("sha256", "same"), [("a" * 64, True), (None, False)])
def test_a_model_without_a_sha256_is_told_by_its_place(sha256: str | None, same: bool):
    config = ModelConfig(weights={"sha256": sha256})
    one, other = (digest(SimpleNamespace(config=config, source=source)) for source in ("one", "other"))
    assert (one == other) is same


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"metrics": {"test": {"accuracy": 0.7}}}, True),
        ({"labels": tuple(replace(label, colour="#123456") for label in LABELS)}, True),
        ({"labels": LABELS[::-1]}, False),
        ({"temperature": 2.0}, False),
        ({"clear_from": 0.4}, False),
        ({"framing": {"yunet": Framing(1.1)}}, False),
    ],
)
def test_a_model_is_another_one_where_rows_may_differ(change: dict[str, Any], same: bool):
    config = ModelConfig(weights={"sha256": "a" * 64})
    one, other = (digest(SimpleNamespace(config=each, source="")) for each in (config, replace(config, **change)))
    assert (one == other) is same


@pytest.mark.parametrize("values", [{"rate": 0}, {"rate": -1}, {"part_seconds": 0}, {"patience": 0}])
def test_settings_that_make_no_sense_are_refused(values: dict[str, float]):
    with pytest.raises(ValueError, match=f"{next(iter(values))}={next(iter(values.values()))}"):
        ArchiveSettings(**values)  # type: ignore[arg-type]
