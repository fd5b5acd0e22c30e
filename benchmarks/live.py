"""How many results a second does the Live tab give in a real browser, how late are they, and what do they cost?

Both ways: read in the browser by itself (`in_browser`), and read on the server (the rest).

Method: the app is started on a free loopback port, and headless Chromium opens its Live tab with a film for a camera,
640x480 pixels at 30 frames a second. A result counts from the moment its frame is taken from the video until the
browser has painted the boxes (the page's own `performance.measure`). CPU is that of the server alone, of both cores
100 % each, read from /proc. Then VISITORS clients send frames at once, each its next when the last is answered, and
the slowest of them counts as well as all together. Memory of the server is read after the first minute of a session
and at its end. Run it on an otherwise idle machine; browser and server share it. The last line is JSON.

    python benchmarks/live.py [--minutes 10] [--film FILE.mjpeg]    default film: scikit-image's portrait, moving

The browser fetches onnxruntime-web from the web, or from the folder or address that EMOTION_ORT_URL names.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import shutil
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from startup import resident_mb, running_app

SECONDS = 20  # of each measurement
VISITORS = 16


def make_film(path: Path) -> Path:
    """The portrait, swaying from side to side, as MJPEG."""
    import skimage.data

    portrait = cv2.resize(skimage.data.astronaut()[:384], (640, 480))[..., ::-1]
    pictures = [np.roll(portrait, round(60 * np.sin(i / 60 * 2 * np.pi)), axis=1) for i in range(60)]
    path.write_bytes(b"".join(cv2.imencode(".jpg", picture)[1].tobytes() for picture in pictures))
    return path


def first_frame(film: Path) -> str:
    """A JPEG of the film as a data URL."""
    read, picture = cv2.VideoCapture(str(film)).read()
    assert read, f"{film} cannot be read"
    return "data:image/jpeg;base64," + base64.b64encode(cv2.imencode(".jpg", picture)[1].tobytes()).decode()


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def watch(page: Any, pid: int, seconds: float) -> dict[str, float]:
    """Results, their delays and the server's CPU while the page runs for so long."""
    page.evaluate(
        """() => {
          window.delays = [];
          window.observer ??= new PerformanceObserver(list => {
            for (const one of list.getEntries()) if (one.name === 'live-result') window.delays.push(one.duration);
          });
          window.observer.observe({entryTypes: ['measure']});
        }"""
    )
    began, used = time.perf_counter(), cpu_seconds(pid)
    page.wait_for_timeout(seconds * 1000)
    delays = page.evaluate("window.delays")
    elapsed = time.perf_counter() - began
    return {
        "results_per_s": round(len(delays) / elapsed, 1),
        "delay_median_ms": round(float(np.median(delays)), 1),
        "delay_p95_ms": round(float(np.percentile(delays, 95)), 1),
        "server_cpu_percent": round(100 * (cpu_seconds(pid) - used) / elapsed),
    }


def renderer_mb() -> float:
    """Memory of the largest process that shows a page: resident, in MB."""
    sizes = [0.0]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if b"--type=renderer" in (process / "cmdline").read_bytes():
                sizes.append(resident_mb(int(process.name)))
        except OSError:
            continue  # it has ended
    return max(sizes)


def in_browser(browser: Any, url: str, pid: int, minutes: float) -> dict[str, Any]:
    """The page as a visitor first finds it: time to the first result, cold and warm, then as `watch` does."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    found: dict[str, Any] = {}
    for visit in ("cold", "warm"):
        page.goto(url)
        page.wait_for_selector(".live[data-ready]")
        page.wait_for_timeout(2000)
        began = time.perf_counter()
        page.get_by_role("button", name="Start camera").click()
        page.wait_for_selector(".face-box")
        found[f"first_result_{visit}_s"] = round(time.perf_counter() - began, 2)
    if page.locator(".privacy").get_attribute("data-reader") == "server":
        reason = page.locator(".privacy").inner_text()
        page.close()  # or it would be read beside the visitor who comes next
        return {"not": reason}
    page.wait_for_timeout(3000)
    found |= watch(page, pid, SECONDS)
    page.wait_for_timeout(max(0.0, 60 - SECONDS - 3) * 1000)
    found["page_mb_after_1_min"] = round(renderer_mb())
    page.wait_for_timeout(max(0.0, minutes - 1) * 60_000)
    found[f"page_mb_after_{minutes:g}_min"] = round(renderer_mb())
    found["at_the_end"] = watch(page, pid, SECONDS)
    page.close()
    return found


def many_visitors(url: str, frame: str, seconds: float) -> dict[str, Any]:
    """VISITORS clients at once, over the same requests that the page makes; then one more."""
    config = json.load(urllib.request.urlopen(f"{url}/config"))
    live = next(one for one in config["components"] if one["props"].get("elem_id") == "live")
    answers = [0] * VISITORS
    waits: list[float] = []

    def ask(name: str, at: float) -> dict[str, Any]:
        data = {"image": frame, "session": name, "time": at, "smoothing": 2.0}
        body = {"data": data, "component_id": live["id"], "fn_name": "detect", "session_hash": name}
        request = urllib.request.Request(f"{url}/gradio_api/component_server/", json.dumps(body).encode())
        request.add_header("Content-Type", "application/json")
        return json.load(urllib.request.urlopen(request))

    end = time.perf_counter() + seconds

    def visit(number: int) -> None:
        while (now := time.perf_counter()) < end:
            answers[number] += "rows" in ask(f"visitor-{number}", now)
            waits.append(time.perf_counter() - now)

    threads = [threading.Thread(target=visit, args=(i,)) for i in range(VISITORS)]
    for thread in threads:
        thread.start()
    time.sleep(seconds / 2)
    one_more = ask("visitor-too-many", time.perf_counter()).get("error", "served")
    for thread in threads:
        thread.join()
    return {
        "visitors": VISITORS,
        "all_per_s": round(sum(answers) / seconds, 1),
        "slowest_per_s": round(min(answers) / seconds, 1),
        "fastest_per_s": round(max(answers) / seconds, 1),
        "answer_p95_ms": round(float(np.percentile(waits, 95)) * 1000),
        "one_more": one_more,
    }


def main() -> None:
    """Measure and print."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10, help="length of the session whose memory is watched")
    parser.add_argument("--film", type=Path, help="MJPEG file for the camera")
    options = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-headless-shell")
    if not chromium:
        raise SystemExit("no chromium on this machine")
    result: dict[str, Any] = {"cpu_count": os.cpu_count()}
    with running_app() as (url, pid), tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        film = options.film or make_film(Path(folder) / "film.mjpeg")
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=[
                "--no-sandbox",
                "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream",
                f"--use-file-for-fake-video-capture={film}",
            ],
        )
        result["in_browser"] = in_browser(browser, url, pid, options.minutes)
        print("in the browser", result["in_browser"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.add_init_script("localStorage.setItem('emotion-lens-reader', '\"server\"')")
        page.goto(url)
        page.wait_for_selector(".live[data-ready]")
        page.get_by_role("button", name="Start camera").click()
        page.wait_for_selector(".face-box")
        page.wait_for_timeout(3000)
        result["one_visitor"] = watch(page, pid, SECONDS)
        print("one visitor", result["one_visitor"])
        page.wait_for_timeout(max(0, 60 - SECONDS - 3) * 1000)
        memory = {"server_mb_after_1_min": round(resident_mb(pid))}
        page.wait_for_timeout(max(0.0, options.minutes - 1) * 60_000)
        memory[f"server_mb_after_{options.minutes:g}_min"] = round(resident_mb(pid))
        memory["page_js_heap_mb"] = round(page.evaluate("performance.memory.usedJSHeapSize") / 2**20)
        result["memory"] = memory
        print("memory", memory)
        result["at_the_end"] = watch(page, pid, SECONDS)
        print("at the end", result["at_the_end"])
        browser.close()
        time.sleep(12)  # until the browser's place is free in any case
        result["many"] = many_visitors(url, first_frame(film), SECONDS)
        print("many", result["many"])
    print(json.dumps(result))


if __name__ == "__main__":
    main()
