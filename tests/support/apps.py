"""The running app."""

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support import warm
from support.environment import of_users
from support.paths import ROOT

WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
PORTS = iter(range(21_000 + 1_000 * WORKER + secrets.randbelow(500), 22_000 + 1_000 * WORKER))


@dataclass(frozen=True)
class RunningApp:
    """The app as `python app.py` starts it."""

    url: str
    log: Path
    process: subprocess.Popen[bytes]


def free_port() -> int:
    """A port that nothing else takes before the app does.

    Each process that tests has a thousand of its own, below those that the system hands out, and begins anywhere among
    them: another run of the tests has the same thousand.
    """
    for port in PORTS:
        with socket.socket() as free, contextlib.suppress(OSError):
            free.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no port is free")


@contextlib.contextmanager
def start_app(folder: Path, port: int | None = None, root: Path = ROOT, **variables: str) -> Iterator[RunningApp]:
    """Start the app, on a free port by default, its log in `folder`; it is ended, as a host would, at the end."""
    port = port or free_port()
    log = folder / "log"
    environment = of_users(GRADIO_SERVER_NAME="127.0.0.1", GRADIO_SERVER_PORT=str(port), **variables)
    with log.open("w") as output:
        process = subprocess.Popen(
            [warm.python() if root == ROOT else sys.executable, "app.py"],
            cwd=root,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            if process.poll() is not None:
                pytest.fail(f"app.py ended by itself:\n{log.read_text()}")
            try:
                urllib.request.urlopen(url, timeout=5)
                break
            except OSError:
                time.sleep(0.2)
        else:
            pytest.fail(f"app.py did not answer:\n{log.read_text()}")
        yield RunningApp(url, log, process)
    except Exception:
        print(f"app.py, status {process.poll()}:\n{log.read_text()}")
        raise
    finally:
        process.terminate()
        process.wait(20)
