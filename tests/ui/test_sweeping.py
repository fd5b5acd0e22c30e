"""Visitors' files on the server, and their end."""

import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from support.paths import ROOT
from ui.sweeping import Sweeper, own_folder, sweep


def test_what_is_old_goes_and_what_is_fresh_stays(tmp_path, monkeypatch):
    for name in ("old/photo.jpg", "tmp_broken_upload", "empty/deeper/none"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "empty/deeper/none").unlink()
    (tmp_path / "elsewhere").symlink_to(Path(__file__).resolve())
    time.sleep(0.5)
    fresh = tmp_path / "old/fresh.jpg"
    fresh.write_bytes(b"x")
    now = fresh.lstat().st_ctime
    monkeypatch.setattr("ui.sweeping.time.time", lambda: now + 0.1)
    sweep(tmp_path, 60)
    assert (tmp_path / "old/photo.jpg").exists() and (tmp_path / "empty/deeper").exists()
    sweep(tmp_path, 0.3)
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}
    assert left <= {"old", "old/fresh.jpg", "empty"} and fresh.exists()
    assert Path(__file__).exists(), "a link goes, not what it leads to"
    monkeypatch.setattr("ui.sweeping.time.time", lambda: now + 3600)
    sweep(tmp_path, 0.3)
    assert not list(tmp_path.iterdir())


def test_it_goes_on_while_files_come_and_go(tmp_path):
    ended = threading.Event()
    come = []

    def visitors():
        while not ended.is_set():
            with suppress(OSError):  # swept away
                (tmp_path / "a").mkdir(exist_ok=True)
                (tmp_path / "a" / "b").write_bytes(b"x")
                (tmp_path / "a" / "b").unlink()
                come.append(True)

    coming = threading.Thread(target=visitors)
    coming.start()
    swept: list[None] = []
    sweeper = Sweeper(tmp_path, 0, 0.001, lambda: swept.append(None))
    sweeper.start()
    before = len(come)
    time.sleep(0.5)
    assert len(come) > before
    ended.set()
    coming.join()
    (tmp_path / "last").write_bytes(b"x")
    deadline = time.monotonic() + 20
    while list(tmp_path.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not list(tmp_path.iterdir())
    assert swept
    sweeper.stop()
    sweeper.join(20)
    assert not sweeper.is_alive()


def test_the_folder_of_a_server_that_was_killed_goes_and_that_of_one_that_runs_stays(tmp_path):
    text = """
import sys
from ui.sweeping import own_folder

with own_folder(sys.argv[1]) as folder:
    (folder / "photo.jpg").write_bytes(b"x")
    print(folder, flush=True)
    sys.stdin.read()
"""

    def serve() -> tuple[subprocess.Popen[str], Path]:
        command = [sys.executable, "-c", text, str(tmp_path)]
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return process, Path(process.stdout.readline().strip())

    (tmp_path / "emotion-lens-before").mkdir()  # as servers called theirs that locked nothing
    killed, left = serve()
    running, own = serve()
    killed.kill()
    killed.communicate()
    assert (left / "photo.jpg").exists()
    with own_folder(str(tmp_path)) as folder:
        assert set(tmp_path.iterdir()) == {own, folder, tmp_path / "emotion-lens-before"}
        assert (own / "photo.jpg").exists()
    running.communicate("")
    assert set(tmp_path.iterdir()) == {tmp_path / "emotion-lens-before"}


def test_what_others_put_among_the_folders_of_servers_is_no_hindrance(tmp_path):
    for name in ("pipe", "folder", "bytes"):
        (tmp_path / f"emotion-lens-{name}").mkdir()
    os.mkfifo(tmp_path / "emotion-lens-pipe" / "held")
    (tmp_path / "emotion-lens-folder" / "held").mkdir()
    (tmp_path / "emotion-lens-bytes" / "held").write_bytes(b"\xff")
    with own_folder(str(tmp_path)) as folder:
        assert folder.is_dir()
    assert {path.name for path in tmp_path.iterdir()} == {"emotion-lens-pipe", "emotion-lens-folder"}
