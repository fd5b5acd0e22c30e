"""Does the page's memory stay where it is, however many come and however long they stay?

Method: the app is started on a free loopback port. First NEWCOMERS clients come one after another, each with a session
of its own and one call. Then BUSY clients ask for photos of many sizes without a pause, and every few seconds the
memory of the server is read. The growth counts from the tenth minute, or the middle where that comes first, to the end:
each the median of two minutes, or of a tenth of the time, as every answer takes some memory for a moment. The last line
is JSON.

    python benchmarks/soak.py [--minutes 10] [--newcomers 2000]
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import threading
import time

from gradio_client import Client
from startup import portrait, resident_mb, running_app

BUSY = 8
SIZES = list(itertools.product(range(320, 961, 32), range(352, 513, 40)))  # of the photos: width, rows of the portrait
LOOK_SECONDS = 5.0
SETTLED_MINUTES = 10.0  # until memory is expected to stay
WINDOW_MINUTES = 2.0


def newcomers(url: str, pid: int, count: int) -> dict[str, float]:
    """Memory before and after so many sessions of one call each, in MB."""
    client = Client(url, verbose=False)
    client.predict(portrait(), api_name="/predict")
    before = resident_mb(pid)
    for _ in range(count):
        client.reset_session()
        client.predict(api_name="/model_info")
    return {"clients": count, "before_mb": round(before, 1), "grown_mb": round(resident_mb(pid) - before, 1)}


def busy(url: str, pid: int, minutes: float) -> dict[str, float]:
    """Answers, failures and memory while clients ask without a pause."""
    pictures, began = itertools.cycle([portrait(*size) for size in SIZES]), time.monotonic()
    until = began + 60 * minutes
    answers: list[bool] = []

    def ask() -> None:
        client = Client(url, verbose=False)
        while time.monotonic() < until:
            try:
                answers.append(client.predict(next(pictures), api_name="/predict")["emotion"] == "happy")
            except Exception:
                answers.append(False)

    workers = [threading.Thread(target=ask) for _ in range(BUSY)]
    for worker in workers:
        worker.start()
    memory: list[tuple[float, float]] = []  # minutes since the beginning, MB
    while time.monotonic() < until:
        time.sleep(min(LOOK_SECONDS, max(0.0, until - time.monotonic())))
        memory.append(((time.monotonic() - began) / 60, resident_mb(pid)))
    for worker in workers:
        worker.join()
    return {
        "minutes": minutes,
        "answers": len(answers),
        "answers_per_s": round(len(answers) / minutes / 60, 1),
        "wrong_or_lost": answers.count(False),
        **growth(memory, minutes),
    }


def growth(memory: list[tuple[float, float]], minutes: float) -> dict[str, float]:
    """How much memory grew once it had settled; `memory`: minutes since the beginning and MB."""
    window, settled = min(WINDOW_MINUTES, minutes / 10), min(SETTLED_MINUTES, minutes / 2)
    before = statistics.median(mb for minute, mb in memory if settled <= minute <= settled + window)
    end = statistics.median(mb for minute, mb in memory if minute >= minutes - window)
    later = [mb for minute, mb in memory if minute >= settled]
    return {
        "first_mb": round(memory[0][1], 1),
        "settled_mb": round(before, 1),
        "end_mb": round(end, 1),
        "lowest_mb": round(min(later), 1),
        "highest_mb": round(max(later), 1),
        "growth_percent": round(100 * (end / before - 1), 2),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--newcomers", type=int, default=2000)
    options = parser.parse_args()
    with running_app() as (url, pid):
        came = newcomers(url, pid, options.newcomers)
        print("newcomers", came, flush=True)
        stayed = busy(url, pid, options.minutes)
        print("busy", stayed, flush=True)
    print(json.dumps({"newcomers": came, "busy": stayed}))


if __name__ == "__main__":
    main()
