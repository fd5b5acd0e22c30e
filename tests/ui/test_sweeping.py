"""Visitors' files on the server, and their end."""

import threading
import time
from pathlib import Path

from ui.sweeping import Sweeper, sweep


def test_what_is_old_goes_and_what_is_fresh_stays(tmp_path):
    for name in ("old/photo.jpg", "tmp_broken_upload", "empty/deeper/none"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "empty/deeper/none").unlink()
    time.sleep(0.3)
    (tmp_path / "old/fresh.jpg").write_bytes(b"x")
    (tmp_path / "elsewhere").symlink_to(Path(__file__).resolve())
    sweep(tmp_path, 0.25)
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")} >= {"old", "old/fresh.jpg"}
    assert not (tmp_path / "old/photo.jpg").exists() and not (tmp_path / "tmp_broken_upload").exists()
    assert not (tmp_path / "empty/deeper").exists()
    sweep(tmp_path, -1)
    sweep(tmp_path, -1)
    assert not list(tmp_path.iterdir())
    assert Path(__file__).exists(), "a link goes, not what it leads to"


def test_it_goes_on_while_files_come_and_go(tmp_path):
    ended = threading.Event()

    def visitors():
        while not ended.is_set():
            path = tmp_path / "a" / "b"
            path.parent.mkdir(exist_ok=True)
            try:
                path.write_bytes(b"x")
                path.unlink()
            except OSError:
                pass  # swept away

    coming = threading.Thread(target=visitors)
    coming.start()
    sweeper = Sweeper(tmp_path, 0, 0.001)
    sweeper.start()
    time.sleep(0.5)
    ended.set()
    coming.join()
    (tmp_path / "last").write_bytes(b"x")
    for _ in range(100):
        if not (tmp_path / "last").exists():
            break
        time.sleep(0.05)
    assert sweeper.is_alive() and not list(tmp_path.iterdir())
    sweeper.stop()
    sweeper.join(5)
    assert not sweeper.is_alive()
