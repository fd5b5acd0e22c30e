"""How long from `python app.py` until the page answers, and how much memory does it hold then and after use?

Method: the app is started on a free loopback port; the time until the page and then `/model_info` answer is taken,
and the resident memory is read from /proc, at once and after CALLS photos through `/predict`: through `gradio_client`,
and in one step over HTTP, which has no wait of the client's own; the median time of each is taken. Linux only. The last
line is JSON.

    python benchmarks/startup.py
"""

from __future__ import annotations

import base64
import io
import json
import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parent.parent
CALLS = 50


def resident_mb(pid: int) -> float:
    """Resident memory of a process in MB; 0 once it has gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


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


def portrait(width: int = 512, height: int = 512) -> str:
    """The portrait that scikit-image brings along, `height` of its 512 rows scaled to that width, as base64 JPEG."""
    import skimage.data

    buffer = io.BytesIO()
    shown = Image.fromarray(skimage.data.astronaut()[:height])
    shown.resize((width, round(height * width / 512))).save(buffer, "JPEG", quality=95)
    return base64.b64encode(buffer.getvalue()).decode()


def median_ms(call: Callable[[], object]) -> float:
    """Of CALLS calls."""
    times = []
    for _ in range(CALLS):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return round(1000 * statistics.median(times), 1)


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
        text = portrait()
        through_client = median_ms(lambda: client.predict(text, api_name="/predict"))
        body = json.dumps({"data": [text]}).encode()
        request = urllib.request.Request(f"{url}/gradio_api/run/predict", body, {"Content-Type": "application/json"})
        in_one_step = median_ms(lambda: urllib.request.urlopen(request).read())
        result = {
            "page_answers_s": round(page, 2),
            "api_answers_s": round(answer, 2),
            "rss_mb": round(fresh),
            f"rss_after_{2 * CALLS}_photos_mb": round(resident_mb(pid)),
            "predict_gradio_client_ms": through_client,
            "predict_one_step_ms": in_one_step,
        }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
