"""How much faster than real time is a clip analysed, and does memory grow with its length?

Method: a 640x360 clip with one moving face at 30 frames a second is generated, 30 s long. It goes the whole way, from
file to files, in processes of their own: annotated (every frame), analysis only (every frame), and 5 frames a second.
The clip's length over the time from opening to the last file counts, the best of RUNS. Then peak memory is compared
between a clip of 30 s and one of 30 minutes, annotated, at 1 frame a second. Run it on an otherwise idle machine. The
last line is JSON.

    python benchmarks/video.py [--skip-memory]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

RUNS = 3
WIDTH, HEIGHT, RATE = 640, 360, 30
CASES = {"annotated": (None, True), "analysis_only": (None, False), "five_per_second": (5.0, False)}


def write_clip(path: Path, seconds: float) -> None:
    """A face that glides to and fro before a grey ground, with a tone."""
    import skimage.data

    head = cv2.resize(skimage.data.astronaut()[20:260, 110:350], (220, 220), interpolation=cv2.INTER_AREA)
    noise = np.random.default_rng(0).integers(90, 140, (HEIGHT, WIDTH, 3), np.uint8)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=RATE, options={"preset": "ultrafast", "crf": "23"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        audio = container.add_stream("aac", rate=44_100)
        audio.layout = "mono"
        sound = 0
        for i in range(round(seconds * RATE)):
            picture = noise.copy()
            x = round((WIDTH - 220) * (0.5 + 0.5 * np.sin(i / RATE)))
            picture[70:290, x : x + 220] = head
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            while sound < (i + 1) * 44_100 // RATE:
                tone = np.sin(np.arange(sound, sound + 1024) * 0.06).astype(np.float32)[None] * 0.1
                frame = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
                frame.rate, frame.pts, frame.time_base = 44_100, sound, Fraction(1, 44_100)
                container.mux(audio.encode(frame))
                sound += 1024
        container.mux(video.encode(None))
        container.mux(audio.encode(None))


def run(clip: Path, rate: float | None, annotated: bool, times: int) -> dict[str, float]:
    """Analyse a clip in this process; times real time, and peak memory in MB."""
    from emotion_model import EmotionDetector
    from emotion_model.clips.analysis import VideoConfig, video_detector
    from emotion_model.clips.outputs import VideoOutputs
    from emotion_model.clips.reading import VideoReader
    from emotion_model.clips.run import VideoRun

    detector = video_detector(EmotionDetector())
    detector.classifier.warm_up()
    best, frames = 0.0, 0
    for _ in range(times):
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder)
            outputs = VideoOutputs(annotated=out / "out.mp4" if annotated else None, csv=out / "out.csv")
            started = time.perf_counter()
            with (
                VideoReader(clip) as reader,
                VideoRun(reader, detector, outputs, VideoConfig(rate)) as one,
            ):
                for _progress in one:
                    pass
            best = max(best, reader.duration / (time.perf_counter() - started))
            frames = one.summary.frames
            assert len(one.summary.people) == 1, "the face was lost"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"times_real_time": round(best, 2), "frames": frames, "peak_mb": round(peak, 1)}


def apart(clip: Path, rate: float | None, annotated: bool, times: int) -> dict[str, float]:
    """`run` in a process of its own, so that peaks are its alone."""
    code = (
        "import json, pathlib, benchmarks.video as video\n"
        f"print(json.dumps(video.run(pathlib.Path({str(clip)!r}), {rate}, {annotated}, {times})))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--skip-memory", action="store_true", help="leave out the clip of 30 minutes")
    options = parser.parse_args()
    result: dict[str, object] = {"cpu_count": os.cpu_count()}
    with tempfile.TemporaryDirectory() as folder:
        short, long = Path(folder) / "30s.mp4", Path(folder) / "30min.mp4"
        write_clip(short, 30)
        for name, (rate, annotated) in CASES.items():
            result[name] = apart(short, rate, annotated, RUNS)
            print(name, result[name])
        if not options.skip_memory:
            write_clip(long, 1800)
            peaks = {name: apart(clip, 1.0, True, 1)["peak_mb"] for name, clip in (("30_s", short), ("30_min", long))}
            result["peak_mb"] = peaks | {"growth": round(peaks["30_min"] - peaks["30_s"], 1)}
            print("memory", result["peak_mb"])
    print(json.dumps(result))


if __name__ == "__main__":
    main()
