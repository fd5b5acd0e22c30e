"""What do workers bring to an archive, and what does it cost to have them?

Method: CLIPS clips of 10 s (640x360, 30 frames a second, one moving face) are generated. They are read by a plain loop
in one process that is bound to one core, and as an archive by one worker and by two, at 5 frames a second, without
annotation. What counts is the time from the first job to the last table; starting is told apart. In turn in ROUNDS
rounds, the best of each. Then 64 workers do jobs that sleep for a known time: what is missing to 64 times the speed is
the cost of handing out and taking in. With `--memory` that many clips and ten times as many photos are read in one run,
and the memory of command and workers is told over time. Run it on an otherwise idle machine. The last line is JSON.

    python benchmarks/archive.py [--memory 500] [--skip-many]
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from startup import resident_mb

sys.path.insert(0, str(Path(__file__).parent.parent))

from emotion_model.archives.answers import Result
from emotion_model.archives.folder import ArchiveFolder
from emotion_model.archives.reading import Reader
from emotion_model.archives.run import ArchiveRun
from emotion_model.archives.settings import ArchiveSettings
from emotion_model.archives.sources import Source, find_sources
from emotion_model.archives.workers import Workers
from emotion_model.labels import EMOTIONS

ROOT = Path(__file__).resolve().parent.parent
CLIPS, SECONDS = 24, 10.0
ROUNDS = 3
MANY, NAPS, NAP = 64, 20, 2.0  # workers, jobs of each, seconds of each
LOOP = """
import os, sys, time
os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[0]})
sys.path.insert(0, sys.argv[1])
from emotion_model.archives.reading import Reader
from emotion_model.archives.settings import ArchiveSettings
from emotion_model.archives.sources import find_sources
from pathlib import Path
reader, (sources, _) = Reader(ArchiveSettings(), Path(".")), find_sources(sys.argv[2:])
began = time.perf_counter()
for source in sources:
    list(reader.read([source]))
print(time.perf_counter() - began)
"""


class Sleeper:
    """Reads nothing, in a known time."""

    def read(self, sources: Sequence[Source]) -> Iterator[Result]:
        """A result for each recording, after a nap."""
        for source in sources:
            time.sleep(NAP)
            file = {"source": source.uri, "kind": source.kind, "bytes": 1, "status": "done", "frames": 0, "faces": 0}
            yield Result(source, file | {"seconds": NAP})


def make(folder: Path, clips: int, photos: int) -> None:
    """Clips and photos, the first of each made and the others copied."""
    import skimage.data
    from PIL import Image
    from video import write_clip  # of this folder

    write_clip(folder / "clip.mp4", SECONDS)
    Image.fromarray(skimage.data.astronaut()).save(folder / "photo.jpg", quality=92)
    for kind, suffix, count in (("clip", "mp4", clips), ("photo", "jpg", photos)):
        for number in range(1, count):
            shutil.copyfile(folder / f"{kind}.{suffix}", folder / f"{kind} {number:05d}.{suffix}")


def loop(source: Path) -> float:
    """Seconds of the plain loop."""
    done = subprocess.run([sys.executable, "-c", LOOP, str(ROOT), str(source)], stdout=subprocess.PIPE, text=True)
    return float(done.stdout.splitlines()[-1])


def archive(
    sources: Sequence[Source], kind: type, arguments: tuple[Any, ...], workers: int, out: Path
) -> tuple[float, float]:
    """Seconds of an archive from the first job to the last table, and of starting before."""
    settings = ArchiveSettings()
    record = {"emotions": list(EMOTIONS)}
    began = time.perf_counter()
    with ArchiveFolder(out, record) as folder, Workers(kind, arguments, workers) as pool:
        while pool.idle < pool.count:
            list(pool.messages(timeout=0.1))
        started = time.perf_counter()
        for _ in ArchiveRun(sources, folder, pool, settings):
            pass
        ended = time.perf_counter()
        assert all(row["status"] == "done" for row in folder.files.values()) and len(folder.files) == len(sources)
    return ended - started, started - began


def speed(folder: Path) -> dict[str, Any]:
    """The plain loop, one worker, two workers."""
    clips, _ = find_sources([str(folder / "*.mp4")])
    best: dict[str, float] = {}
    starting = 0.0
    for number in range(ROUNDS):
        seconds = {"loop": loop(folder / "*.mp4")}
        for workers in (1, 2):
            out = folder.parent / f"out{number}{workers}"
            seconds[f"workers_{workers}"], starting = archive(clips, Reader, (ArchiveSettings(), out), workers, out)
        print({name: round(value, 2) for name, value in seconds.items()}, file=sys.stderr)
        best = {name: min(value, best.get(name, value)) for name, value in seconds.items()}
    return {
        "clip_seconds": CLIPS * SECONDS,
        **{f"{name}_s": round(value, 2) for name, value in best.items()},
        "overhead": round(best["workers_1"] / best["loop"] - 1, 3),
        "two_over_one": round(best["workers_1"] / best["workers_2"], 2),
        "times_real_time": round(CLIPS * SECONDS / best["workers_2"], 1),
        "start_s": round(starting, 1),
    }


def many(folder: Path) -> dict[str, Any]:
    """Workers that sleep."""
    sources = [Source(f"/nap{number}", "clip", 1) for number in range(MANY * NAPS)]
    seconds, starting = archive(sources, Sleeper, (), MANY, folder.parent / "many")
    return {
        "workers": MANY,
        "seconds": round(seconds, 2),
        "efficiency": round(NAPS * NAP / seconds, 3),
        "start_s": round(starting, 1),
    }


def memory(folder: Path, clips: int) -> dict[str, Any]:
    """One long run, with the memory of all its processes over time, MB."""
    sys.path.append(str(ROOT / "tests"))
    from support.processes import descendants

    out = folder.parent / "memory"
    command = [sys.executable, "-m", "emotion_model", "archive", str(folder), "--out", str(out), "--json"]
    running = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    over: list[dict[str, float]] = []
    event: dict[str, Any] = {}
    for line in running.stdout:
        event = json.loads(line)
        if event["event"] == "progress" and event["elapsed"] > 10 * len(over):
            below = descendants(running.pid)
            workers = [resident_mb(pid) for pid, name in below.items() if name.startswith("ray::Worker")]
            sizes = {"command": resident_mb(running.pid), "largest_worker": max(workers, default=0.0)}
            over.append({"elapsed": event["elapsed"]} | {what: round(mb, 1) for what, mb in sizes.items()})
            print(over[-1] | {"done": event["done"]}, file=sys.stderr)
    half = over[len(over) // 2]
    return {
        "clips": clips,
        "photos": 10 * clips,
        "status": running.wait(),
        "seconds": event["elapsed"],
        "faces": event["faces"],
        "at_half_mb": half,
        "at_end_mb": over[-1],
    }


def main() -> None:
    """Measure, and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--memory", type=int, metavar="CLIPS", help="read so many clips and ten times the photos")
    parser.add_argument("--skip-many", action="store_true", help="without the sleepers")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="archive-benchmark-") as place:
        folder = Path(place) / "recordings"
        folder.mkdir()
        if options.memory:
            make(folder, options.memory, 10 * options.memory)
            print(json.dumps({"memory": memory(folder, options.memory)}))
            return
        make(folder, CLIPS, 1)
        result = {"clips": speed(folder)}
        if not options.skip_many:
            result["sleepers"] = many(folder)
        print(json.dumps(result))


if __name__ == "__main__":
    main()
