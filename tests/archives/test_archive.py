"""Whole archives, read by the command itself: complete whatever dies on the way."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

if not find_spec("ray"):  # imported by the programs alone, where it can be
    pytest.skip("needs requirements-archive.txt", allow_module_level=True)

from emotion_model import VideoReader, read_image
from emotion_model.__main__ import main
from emotion_model.archives import run as run_module
from emotion_model.archives import workers as workers_module
from emotion_model.archives.answers import Fetched, Result, Sign, failure
from emotion_model.archives.folder import ArchiveFolder
from emotion_model.archives.run import ArchiveRun
from emotion_model.archives.settings import ArchiveSettings
from emotion_model.archives.sources import Source
from emotion_model.archives.workers import Died, Ended, Worker, Workers, WorkersError
from emotion_model.commands import archive_run
from emotion_model.commands.archive import from_root
from emotion_model.network.config import BUNDLED_DIR, WEIGHTS_FILE
from emotion_model.processes import usable_cores
from support import environment, warm
from support.apps import free_port
from support.clips import face_film, write_clip
from support.paths import ROOT
from support.processes import descendants, is_alive

WAIT = 120.0  # s; only a fault takes as long


@pytest.fixture(scope="module")
def archive(astronaut: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips, one of them long, photos, and files that cannot be read."""
    folder = tmp_path_factory.mktemp("archive")
    film = face_film(astronaut)
    write_clip(folder / "long.mp4", film, seconds=14)
    for number in range(3):
        write_clip(folder / f"clip {number}.mp4", film, seconds=3)
    for number in range(8):
        Image.fromarray(np.roll(astronaut, 8 * number, axis=1)).save(folder / f"photo{number:02d}.jpg")
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.jpg").write_bytes(b"no picture")
    (folder / "cut off.mp4").write_bytes((folder / "long.mp4").read_bytes()[:3000])
    return folder


class Running:
    """The command under way, with what it told so far."""

    def __init__(self, *arguments: str | Path, python: str = sys.executable) -> None:
        command = [python, "-m", "emotion_model", "archive", *map(str, arguments), "--json", "--part", "5"]
        # A group of its own, as a terminal gives it: Ctrl-C reaches all of it.
        with environment.as_users_have_it():
            self.process = subprocess.Popen(
                command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
            )
        self.events: list[dict[str, Any]] = []

    def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Read on until such an event."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.events.append(json.loads(line))
            if wanted(self.events[-1]):
                return self.events[-1]
        raise AssertionError(f"ended before: {self.process.stderr and self.process.stderr.read()}")

    def end(self) -> int:
        """Wait for its end; the exit status."""
        output, self.errors = self.process.communicate(timeout=WAIT)
        self.events += [json.loads(line) for line in output.splitlines()]
        return self.process.returncode


def tables(out: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, str]]:
    """Rows of faces and people in an order of their own, and the status of each file."""
    faces = pq.read_table(out / "faces").to_pylist()
    people = pq.read_table(out / "people").to_pylist()
    files = pq.read_table(out / "files.parquet").to_pylist()
    faces.sort(key=lambda row: (row["source"], row["frame"], row["face_id"] or 0, row["x"] or 0))
    people.sort(key=lambda row: (row["source"], row["face_id"]))
    return faces, people, {Path(row["source"]).name: row["status"] for row in files}


@pytest.fixture(scope="module")
def connected() -> Iterator[Any]:
    """Ray, with processes of its own, for all whose driver lives on."""
    before = dict(os.environ)
    with environment.as_users_have_it():
        ray = workers_module._connected("local")
    for name in set(os.environ) - set(before):  # else the programs that others start would know its token
        del os.environ[name]
    yield ray
    ray.shutdown()


@pytest.fixture(scope="module")
def whole(archive: Path, connected: Any, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What a run that nothing disturbs has told."""
    out = tmp_path_factory.mktemp("whole") / "out"
    with environment.as_users_have_it(), pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as told:
        _use(connected, patch)
        assert main(["archive", str(archive), "--out", str(out), "--json", "--part", "5"]) == 1  # some files failed
    return [json.loads(line) for line in told.getvalue().splitlines()]


def _use(connected: Any, patch: pytest.MonkeyPatch) -> None:
    """Workers start in processes that are there already, and that stay."""
    patch.setattr(workers_module, "_connected", lambda *_: connected)
    patch.setattr(connected, "shutdown", lambda: None)


def out_of(events: list[dict[str, Any]]) -> Path:
    return Path(events[-1]["out"])


def test_every_file_is_there_or_named(whole: list[dict[str, Any]], archive: Path):
    faces, people, files = tables(out_of(whole))
    bad = {"empty.mp4": "failed", "text.jpg": "failed", "cut off.mp4": "failed"}
    assert files == {file.name: "done" for file in archive.iterdir()} | bad
    frames = {(row["source"], row["frame"]) for row in faces}
    # Counted apart: 14 and 3 s at 10 frames a second, every second of which is looked at.
    counts = {name: sum(Path(source).name == name for source, _ in frames) for name in files}
    assert counts == {
        name: 0 if files[name] == "failed" else 70 if name == "long.mp4" else 15 if name.startswith("clip") else 1
        for name in files
    }
    assert {row["source"] for row in people} == {str(archive / name) for name in counts if counts[name] > 1}
    assert {(row["model"], row["detector"]) for row in faces} == {("bundled", faces[0]["detector"])}


def test_the_events_tell_of_each_file_and_of_the_end(whole: list[dict[str, Any]]):
    told = [one for one in whole if one["event"] == "file"]
    assert len(told) == 15 and {one["status"] for one in told} == {"done", "failed"}
    assert all(one["error"] and one["code"] for one in told if one["status"] == "failed")
    last = whole[-1]
    assert (last["event"], last["done"], last["failed"], last["listed"]) == ("end", 12, 3, 15)
    assert last["media_seconds"] == pytest.approx(23, abs=1)
    assert {Path(one["source"]).name for one in last["failed_files"]} == {"empty.mp4", "text.jpg", "cut off.mp4"}
    page = (out_of(whole) / "summary.html").read_text()
    assert all(text in page for text in ("<b>8</b>photos", "<b>4</b>clips", "empty.mp4", "neutral", "<svg"))
    assert "http" not in page  # nothing from elsewhere


def test_the_questions_that_the_documentation_answers(whole: list[dict[str, Any]], tmp_path: Path):
    text = (ROOT / "docs" / "archive.md").read_text().split("```python\n")[1].split("```")[0]
    (tmp_path / "emotions").symlink_to(out_of(whole))
    asked = subprocess.run([sys.executable, "-c", text], cwd=tmp_path, capture_output=True, text=True)
    assert asked.returncode == 0, asked.stderr
    happy, tenths, moments = asked.stdout.split("\n\n")[:3]
    assert "long.mp4" in happy and "clip 2.mp4" in happy
    assert all(f"│    {tenth}.0 │" in tenths for tenth in range(10))
    assert "surprise" in moments


@pytest.fixture
def processes(connected: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers start in processes that are there already."""
    _use(connected, monkeypatch)


@pytest.mark.usefixtures("processes")
def test_whatever_dies_nothing_is_lost_or_twice(
    whole: list[dict[str, Any]], archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "out"
    first = Running(archive, "--out", out)
    first.until(lambda one: one["event"] == "file")
    os.killpg(first.process.pid, signal.SIGINT)  # Ctrl-C
    assert first.end() == 130, first.errors
    assert "the same command goes on" in first.errors and "Traceback" not in first.errors
    done = [name for name, status in tables(out)[2].items() if status == "done"]
    assert 0 < len(done) < 12

    second = Running(archive, "--out", out)
    second.until(lambda one: one["event"] == "progress" and one["workers"] > 0)
    workers = [pid for pid, name in descendants(second.process.pid).items() if name.startswith("ray::Worker")]
    os.kill(workers[0], signal.SIGKILL)
    second.until(lambda one: one["event"] == "file" and one["status"] == "done")
    workers = [pid for pid, name in descendants(second.process.pid).items() if name.startswith("ray::Worker")]
    second.process.kill()
    second.process.wait()
    ends = time.monotonic() + WAIT
    while any(is_alive(pid) for pid in workers):
        assert time.monotonic() < ends, "workers outlive their driver"
        time.sleep(0.1)

    assert main(["archive", str(archive), "--out", str(out), "--json", "--part", "5"]) == 1
    third = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    again = {Path(one["source"]).name for one in third if one["event"] == "file"}
    assert not again & set(done)  # what was done stayed
    assert tables(out) == tables(out_of(whole))


@contextmanager
def cluster(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, list[int]]]:
    """Two nodes of one core each on loopback: the address for clients, and the processes of both."""
    ray = Path(sys.executable).with_name("ray")
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)
    monkeypatch.setenv("RAY_CLIENT_RECONNECT_GRACE_PERIOD", "6")  # s, instead of 30
    monkeypatch.setenv("RAY_enable_worker_prestart", "0")  # of workers that nobody wants
    port, door = free_port(), free_port()
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # as if the package were installed on all nodes
    common = [
        "--num-cpus=1",
        "--node-ip-address=127.0.0.1",
        "--block",
        "--disable-usage-stats",
        "--include-log-monitor=false",
    ]
    ports = [f"--port={port}", f"--ray-client-server-port={door}", "--include-dashboard=false"]
    nodes: list[subprocess.Popen[bytes]] = []

    def start(name: str, *arguments: str) -> None:
        log = folder / f"{name}.log"
        with log.open("w") as output:
            command = [ray, "start", *arguments, *common]
            nodes.append(subprocess.Popen(command, stdout=output, stderr=subprocess.DEVNULL, cwd=ROOT))
        wait_until(lambda: "Ray runtime started" in log.read_text())  # and the cluster has it

    try:
        start("head", "--head", *ports)
        wait_until(lambda: accepts(door))
        start("node", f"--address=127.0.0.1:{port}")  # else both workers would start on the first
        yield f"ray://127.0.0.1:{door}", [node.pid for node in nodes]
    finally:
        for node in reversed(nodes):
            for pid in [*descendants(node.pid), node.pid]:
                with suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            node.wait()


def accepts(port: int) -> bool:
    """Whether something listens there."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def wait_until(true: Callable[[], Any], running: Running | None = None) -> Any:
    """What it says as soon as that is something, while a command runs."""
    ends = time.monotonic() + WAIT
    while time.monotonic() < ends:
        if said := true():
            return said
        if running and running.process.poll() is not None:
            raise AssertionError(f"status {running.end()} before: {running.errors}\n{running.events}")
        time.sleep(0.1)
    raise AssertionError("nothing came of it")


def busy(node: int) -> list[int]:
    """The workers of a node that have a job, as Ray calls their processes then."""
    methods = ("ray::Worker.run", "ray::Worker.more")
    return [pid for pid, name in descendants(node).items() if name.startswith(methods)]


def test_a_cluster_gives_the_same_though_a_node_dies_and_its_end_is_told(
    whole: list[dict[str, Any]], archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with cluster(tmp_path, monkeypatch) as (address, [head, node]):
        shared = ["--address", address, "--workers", "2"]
        running = Running(archive, "--out", tmp_path / "out", *shared, python=warm.python())
        wait_until(lambda: busy(head) or busy(node), running)
        halted = busy(head)  # or it would read everything before the other one is there
        for pid in halted:
            os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: busy(node), running)
        for pid, name in descendants(node).items():
            if name.startswith("ray::Worker") or "raylet/raylet" in name:
                os.kill(pid, signal.SIGKILL)
        for pid in halted:
            os.kill(pid, signal.SIGCONT)
        assert running.end() == 1, running.errors
        assert tables(tmp_path / "out") == tables(out_of(whole))

        alone = ["--address", address, "--workers", "1"]
        running = Running(archive / "long.mp4", "--out", tmp_path / "another", *alone, python=warm.python())
        wait_until(lambda: busy(head), running)
        for pid in [*descendants(head), head]:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        assert running.end() == 2 and "The cluster has gone (" in running.errors
        assert "the same command goes on from there" in running.errors


@pytest.mark.usefixtures("processes")
def test_a_second_run_does_nothing_and_another_rate_is_refused(
    whole: list[dict[str, Any]], archive: Path, capsys: pytest.CaptureFixture[str]
):
    command = ["archive", str(archive), "--out", str(out_of(whole)), "--part", "5"]
    assert main(["archive", str(archive / "clip 1.mp4"), *command[2:4]]) == 0
    assert "1 of 1 files are done" in capsys.readouterr().out
    assert main(["archive", str(archive / "clip 1.mp4"), *command[2:4], "--json"]) == 0
    last = json.loads(capsys.readouterr().out)
    assert (last["files"], last["done_before"], last["failed_files"]) == (0, 1, [])
    assert main([*command, "--rate", "7"]) == 2
    assert "another rate (5.0 instead of 7.0)" in capsys.readouterr().err
    assert main([*command, "--annotated"]) == 2
    assert "without --annotated: use another folder" in capsys.readouterr().err


def test_tables_go_to_a_folder_of_this_machine(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit, match="2"):
        main(["archive", "a.mp4", "--out", "s3://bucket/out"])
    assert "'s3://bucket/out': give a folder of this machine" in capsys.readouterr().err


@pytest.mark.usefixtures("processes")
def test_a_model_is_found_by_a_relative_path_and_known_again_by_another(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    relative, out = BUNDLED_DIR.relative_to(ROOT), tmp_path / "out"
    inside = relative.relative_to("emotion_model")
    monkeypatch.chdir(ROOT / "emotion_model")  # where no worker is
    assert main(["archive", str(photo), "--out", str(out), "--workers", "1", "--model", str(inside)]) == 0
    assert {row["model"] for row in tables(out)[0]} == {str(BUNDLED_DIR / WEIGHTS_FILE)}
    assert main(["archive", str(photo), "--out", str(out), "--model", "bundled"]) == 0
    monkeypatch.chdir(ROOT)
    assert from_root([str(relative), "bundled", "no/such"]) == [str(ROOT / relative), "bundled", "no/such"]


@pytest.mark.usefixtures("processes")
def test_workers_that_die_hang_or_fail_are_replaced(tmp_path: Path):
    class Kind:
        def fine(self, count: int) -> Iterator[int]:
            yield from range(count)

        def dies(self) -> Iterator[int]:
            yield 1
            os.kill(os.getpid(), signal.SIGKILL)

        def hangs(self) -> Iterator[int]:
            yield 2
            time.sleep(1000)

        def fails(self) -> Iterator[int]:
            yield 3
            raise ValueError("by itself")

    heard: dict[str, list[Any]] = {name: [] for name in ("dies", "hangs", "fails", "fine")}
    jobs = list(heard)
    ends = time.monotonic() + WAIT
    with Workers(Kind, (), count=2) as workers:
        while time.monotonic() < ends and not all(
            heard[job] and isinstance(heard[job][-1], Ended | Died) for job in ("dies", "fails", "fine")
        ):
            while jobs and workers.idle:
                job = jobs.pop(0)
                workers.start(job, job, (3,) if job == "fine" else ())
            for job, message in workers.messages(timeout=1):
                heard[job].append(message)
                if (job, message) == ("hangs", 2):
                    workers.end("hangs")
    assert heard["fine"] == [0, 1, 2, Ended()] and heard["hangs"] == [2]
    assert isinstance(heard["dies"][-1], Died)  # what it said last may be lost
    assert heard["fails"] == [3, Died("by itself")]


def test_a_share_of_the_cores_binds_a_worker_to_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    allowed, threads = getattr(os, "sched_getaffinity", lambda _: {0})(0), cv2.getNumThreads()
    if len(allowed) < 2:
        pytest.skip("needs two cores")
    (tmp_path / "cpu.max").write_text("100000 100000")
    monkeypatch.setattr("emotion_model.processes._CGROUP_LIMIT", tmp_path / "cpu.max")
    monkeypatch.setattr("emotion_model.processes._LIMITS", [])
    try:
        Worker(list, ())
        assert os.sched_getaffinity(0) == allowed
        (tmp_path / "cpu.max").unlink()
        assert usable_cores() == cv2.getNumThreads() == 1
    finally:
        os.sched_setaffinity(0, allowed)
        cv2.setNumThreads(threads)


class Far(BaseHTTPRequestHandler):
    """A place that has a photo, and a clip that never ends."""

    photo = b""

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.photo)))
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        if self.path.endswith(".mp4"):
            time.sleep(WAIT)
        with suppress(OSError):
            self.wfile.write(self.photo)

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.usefixtures("processes")
def test_what_lies_elsewhere_is_fetched_and_what_hangs_given_up(photo: Path, clip: Path, tmp_path: Path):
    Far.photo = photo.read_bytes()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Far)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    place = f"http://127.0.0.1:{server.server_port}"
    (tmp_path / "list.txt").write_text(f"{place}/hangs.mp4\n{place}/photo.jpg\n{clip}\n")
    options = ["--out", str(tmp_path / "out"), "--workers", "1", "--patience", "10", "--annotated"]
    assert main(["archive", str(tmp_path / "list.txt"), *options]) == 1
    server.shutdown()
    rows = pq.read_table(tmp_path / "out" / "files.parquet").to_pylist()
    moving, late, read = sorted(rows, key=lambda row: row["source"])
    assert (late["status"], late["code"]) == ("failed", "too_slow") and "more than 10 s" in late["error"]
    assert (read["source"], read["faces"], read["width"]) == (f"{place}/photo.jpg", 1, 512)
    assert read_image(tmp_path / "out" / read["annotated"]).shape == (512, 512, 3)
    with VideoReader(tmp_path / "out" / moving["annotated"]) as reader:
        assert reader.duration == pytest.approx(2, abs=0.1)


@pytest.mark.usefixtures("processes")
def test_a_file_that_takes_its_worker_with_it_is_named_and_the_others_are_read(tmp_path: Path):
    class Kind:
        def read(self, sources: list[Source]) -> Iterator[Result]:
            for source in sources:
                if source.uri == "/deadly.jpg":
                    os.kill(os.getpid(), signal.SIGKILL)
                file = {
                    "source": source.uri,
                    "kind": "photo",
                    "status": "done",
                    "frames": 1,
                    "faces": 0,
                    "seconds": 0.1,
                }
                yield Result(source, file)

    sources = [Source(f"/{name}.jpg", "photo", 1) for name in ("a", "deadly", "b", "c")]  # one job, at first
    with ArchiveFolder(tmp_path, {"emotions": ["calm"]}) as folder, Workers(Kind, (), count=1) as workers:
        run = ArchiveRun(sources, folder, workers, ArchiveSettings())
        told = {result.source.name: result.file for result in run if result}
    assert {name: file["status"] for name, file in told.items()} == {
        "a.jpg": "done",
        "b.jpg": "done",
        "c.jpg": "done",
        "deadly.jpg": "failed",
    }
    assert told["deadly.jpg"]["code"] == "crashed" and "ended the worker 2 times" in told["deadly.jpg"]["error"]
    assert (run.progress.done, run.progress.failed, run.progress.share) == (3, 1, 1.0)


@pytest.mark.parametrize(
    ("sign", "rate", "status"),
    [(Fetched(1 << 20), 5, "done"), (Sign(0.0, 9.0), 5, "failed"), (Sign(0.0, 9.0), 1 / 60, "done")],
)
def test_what_comes_slowly_is_waited_for_and_what_is_read_slowly_is_not(tmp_path, monkeypatch, sign, rate, status):
    source = Source("memory://far/clip.mp4", "clip", 5 << 20)
    now = iter(range(0, 10_000, 25))  # s; each look at the clock is so much later
    monkeypatch.setattr(run_module, "time", SimpleNamespace(monotonic=lambda: next(now)))
    done = Result(
        source, {"source": source.uri, "kind": "clip", "status": "done", "frames": 1, "faces": 0, "seconds": 1.0}
    )

    class Told:
        """A worker, as it is heard."""

        idle, says = 1, iter([sign, sign, sign, sign, done, Ended()])

        def start(self, job: Any, *_: Any) -> None:
            self.idle, self.job = 0, job

        def end(self, job: Any) -> None:
            pass

        def messages(self, timeout: float) -> list[Any]:
            return [(self.job, next(self.says))]

    with ArchiveFolder(tmp_path, {"emotions": ["calm"]}) as folder:
        run: Any = ArchiveRun([source], folder, Told(), ArchiveSettings(rate))  # type: ignore[arg-type]
        (result,) = filter(None, run)
    assert result.file["status"] == status


def test_a_disk_without_room_for_copies_ends_the_run_and_blames_no_file(tmp_path: Path):
    row = {"kind": "photo", "status": "done", "frames": 1, "faces": 0, "seconds": 1.0}
    sources = [Source(f"/{name}.jpg", "photo", 1) for name in "abc"]
    full = "/out/annotated/b.jpg: there is no room left on the disk."

    class Told:
        """A worker, as it is heard."""

        idle = 1

        def start(self, job: Any, *_: Any) -> None:
            self.idle, self.job = 0, job

        def messages(self, timeout: float) -> Iterator[Any]:
            yield self.job, Result(sources[0], row | {"source": "/a.jpg"})
            yield self.job, failure(sources[1], "disk_full", full)

    with ArchiveFolder(tmp_path, {"emotions": ["calm"]}) as folder, pytest.raises(OSError, match=full):
        list(ArchiveRun(sources, folder, Told(), ArchiveSettings(annotated=True)))  # type: ignore[arg-type]
    assert tables(tmp_path)[2] == {"a.jpg": "done"}


class Alone(nullcontext):
    """A worker in this process."""

    def __init__(self, kind: type, arguments: tuple[Any, ...], *_: object) -> None:
        super().__init__(self)
        self.reader, self.idle = kind(*arguments), 1

    def start(self, job: Any, method: str, arguments: tuple[Any, ...]) -> None:
        self.idle, self.job, self.said = 0, job, getattr(self.reader, method)(*arguments)

    def messages(self, timeout: float) -> Iterator[Any]:
        yield self.job, next(self.said)


@pytest.mark.parametrize("why", [WorkersError("The cluster has gone."), OSError(28, "No space left on device")])
def test_a_run_that_cannot_go_on_still_sums_up_what_is_done(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], why: Exception
):
    class Leaving(Alone):
        """A worker that answers once."""

        def messages(self, timeout: float) -> Iterator[Any]:
            yield from super().messages(timeout)
            raise why

    monkeypatch.setattr(archive_run, "Workers", Leaving)
    photo = Path(shutil.copy(photo, tmp_path))
    command = ["archive", str(photo), str(tmp_path / "never read.jpg"), "--out", str(tmp_path / "out")]
    assert main(command) == 1
    said = capsys.readouterr()
    assert "1 of 2 files are done, 0 failed" in said.out and f"error: {why}\nended early; the same" in said.err
    assert tables(tmp_path / "out")[2] == {photo.name: "done"}
    assert "<b>1</b>photos" in (tmp_path / "out" / "summary.html").read_text()
    assert main(["archive", *command[2:]]) == 2 and f"error: {why}" in capsys.readouterr().err

    with photo.open("ab") as file:
        file.write(b"sent once more")
    assert main(command) == 1 and len(tables(tmp_path / "out")[0]) == 1
    rows = {row["source"]: row for row in pq.read_table(tmp_path / "out" / "files.parquet").to_pylist()}
    assert rows[str(photo)]["bytes"] == photo.stat().st_size
    assert "rows stay" not in capsys.readouterr().err
    assert main(["archive", str(photo.rename(tmp_path / "moved.jpg")), *command[3:]]) == 1
    assert "not among these sources, their rows stay: 2 files\n" in capsys.readouterr().err
    assert len(tables(tmp_path / "out")[0]) == 2


def test_a_run_whose_reader_has_enough_keeps_what_is_done(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(archive_run, "Workers", Alone)
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as unread:
        monkeypatch.setattr(sys, "stdout", unread)
        assert main(["archive", str(photo), "--out", str(tmp_path / "out"), "--json"]) == 141
    assert "roken" not in capsys.readouterr().err
    assert tables(tmp_path / "out")[2] == {photo.name: "done"}


@pytest.mark.usefixtures("processes")
def test_cores_that_join_the_cluster_get_workers_unless_their_number_was_given(
    connected: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(workers_module, "GROWTH_SECONDS", 0)
    monkeypatch.setattr(connected, "cluster_resources", lambda: {"CPU": 1})
    with Workers(list, ()) as workers, Workers(list, (), count=1) as others:
        monkeypatch.setattr(connected, "cluster_resources", lambda: {"CPU": 2})
        assert not [*workers.messages(timeout=0), *others.messages(timeout=0)]
        assert (workers.count, others.count) == (2, 1)


@pytest.mark.usefixtures("processes")
def test_workers_that_cannot_start_say_why():
    class Kind:
        def __init__(self) -> None:
            raise ValueError("node7 has another detector (haar) than the command (yunet)")

    with Workers(Kind, (), count=1) as workers, pytest.raises(WorkersError, match=r"started: .*node7 has another"):
        while True:
            list(workers.messages(timeout=1))


@pytest.mark.usefixtures("processes")
def test_a_cluster_that_goes_between_two_answers_is_told_by_the_next_job():
    def gone(*_: object) -> None:
        raise ConnectionError("Request cannot be fulfilled because the data client has disconnected.")

    with Workers(list, (), count=1) as workers:
        while not workers.idle:
            list(workers.messages(timeout=1))
        actor, workers._idle[0] = workers._idle[0], SimpleNamespace(run=SimpleNamespace(remote=gone))
        with pytest.raises(WorkersError, match=r"cluster has gone \(.*disconnected\)\. .*the same command goes on"):
            workers.start("job", "read", ())
        workers._idle.append(actor)  # or nobody would end it


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1"])
def test_no_cluster_is_told(address: str):
    with pytest.raises(WorkersError, match=f"No cluster at {address}: .*refused"):
        Workers(object, (), address=address)


def test_a_package_that_is_missing_is_named(photo, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["archive", str(photo), "--out", str(tmp_path / "out")]) == 2
    assert "ray is missing: pip install -r requirements-archive.txt" in capsys.readouterr().err
