"""How long does one frame take, from pixels to probabilities, and how long the network alone?

Method: a 640x480 frame with one face is given to the whole pipeline with each face detector, looking quickly as for
live pictures and finely as for photos, and ready-cropped faces to the classifier alone in batches of 1 and 16. Each
case is warmed up and then timed RUNS times; the median and the 90th percentile count. Run it on an otherwise idle
machine. The last line is JSON.

    python benchmarks/frame.py [PHOTO]       default: scikit-image's portrait of an astronaut
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from emotion_model import DetectorError, EmotionClassifier, EmotionDetector, FaceDetector, read_image

RUNS = 100


def milliseconds(call: Callable[[], object]) -> dict[str, float]:
    """Median and 90th percentile of a call's duration."""
    for _ in range(5):
        call()
    times = []
    for _ in range(RUNS):
        started = time.perf_counter()
        call()
        times.append((time.perf_counter() - started) * 1000)
    return {"median_ms": round(float(np.median(times)), 2), "p90_ms": round(float(np.percentile(times, 90)), 2)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("photo", nargs="?", help="default: scikit-image's portrait of an astronaut")
    options = parser.parse_args()
    if options.photo:
        picture = read_image(options.photo)
    else:
        import skimage.data

        picture = skimage.data.astronaut()[:384]
    frame = cv2.resize(picture, (640, 480), interpolation=cv2.INTER_AREA)
    classifier = EmotionClassifier()
    result: dict[str, Any] = {"cpu_count": os.cpu_count()}
    for name in ("yunet", "haar"):
        for look, fine in (("live", False), ("photo", True)):
            try:
                detector = EmotionDetector(classifier, FaceDetector(name, fine=fine), mirrored=fine)
            except DetectorError as error:
                print(f"{name}: {error}")
                continue
            key = f"frame_640x480_{name}_{look}"
            result[key] = {"faces": len(detector.detect(frame))}
            result[key] |= milliseconds(partial(detector.detect, frame))
            print(key, result[key])
    face = np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)
    for size in (1, 16):
        timed = milliseconds(partial(classifier.predict, [face] * size))
        result[f"classifier_batch_{size}"] = timed | {"median_ms_per_face": round(timed["median_ms"] / size, 2)}
        print("batch", size, result[f"classifier_batch_{size}"])
    print(json.dumps(result))


if __name__ == "__main__":
    main()
