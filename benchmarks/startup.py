"""How long from `python app.py` until the page answers, and how much memory does it hold then and after use?

Method: the app is started on a free loopback port; the time until the page and then `/model_info` answer is taken,
and the resident memory is read from /proc, at once and after CALLS photos through `/predict`. Linux only. The last
line is JSON.

    python benchmarks/startup.py
"""

from __future__ import annotations

import base64
import io
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parent.parent
CALLS = 50


def resident_mb(pid: int) -> float:
    """Resident memory of a process in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


@contextmanager
def running_app() -> Iterator[tuple[str, int]]:
    """The app on a free loopback port, once its page answers: its address and the number of its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env=os.environ | {"GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_SERVER_PORT": str(port)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        started = time.perf_counter()
        while True:
            try:
                urllib.request.urlopen(url, timeout=1)
                break
            except OSError:
                if process.poll() is not None or time.perf_counter() - started > 120:
                    raise SystemExit("app.py did not start; run it by hand to see why") from None
                time.sleep(0.05)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait(20)


def main() -> None:
    """Measure and print."""
    from gradio_client import Client

    started = time.perf_counter()
    with running_app() as (url, pid):
        page = time.perf_counter() - started
        client = Client(url, verbose=False)
        client.predict(api_name="/model_info")
        answer = time.perf_counter() - started
        fresh = resident_mb(pid)
        buffer = io.BytesIO()
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)).save(buffer, "JPEG")
        text = base64.b64encode(buffer.getvalue()).decode()
        for _ in range(CALLS):
            client.predict(text, api_name="/predict")
        result = {
            "page_answers_s": round(page, 2),
            "api_answers_s": round(answer, 2),
            "rss_mb": round(fresh),
            f"rss_after_{CALLS}_photos_mb": round(resident_mb(pid)),
        }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
