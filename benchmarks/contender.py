"""One of the systems that `rivals.py` compares, in an environment of its own.

It reads one request a line on its standard input, and answers each with a line of JSON:
`{"photo": PATH, "times": N}` with `{"faces": how many it found, "ms": [N durations from the pixels to the answer]}`,
`{"clip": PATH}` with `{"frames": N, "ms": duration of a frame on the mean, from the file to the last answer}`.

    python benchmarks/contender.py ours|ours-live|deepface|fer
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Look = Callable[[Any], int]  # uint8 BGR (height, width, 3) -> how many faces


def ours(live: bool = False) -> Look:
    """This project: its default for photos, or that for live pictures."""
    sys.path.insert(0, str(Path(__file__).parent.parent))
    from emotion_model import EmotionDetector
    from emotion_model.clips.analysis import video_detector

    detector = video_detector(EmotionDetector()) if live else EmotionDetector()
    return lambda picture: len(detector.detect(picture[..., ::-1]))


def deepface() -> Look:
    """DeepFace on ONNX Runtime with YuNet, as its documentation recommends for speed."""
    from deepface import DeepFace  # type: ignore[import-not-found] # in its own environment

    def look(picture: Any) -> int:
        found = DeepFace.analyze(
            picture, actions=["emotion"], detector_backend="yunet", enforce_detection=False, silent=True
        )
        return sum(face["face_confidence"] > 0 for face in found)

    return look


def fer() -> Look:
    """The fer package with its default, the Haar cascade."""
    from fer.fer import FER  # type: ignore[import-not-found] # likewise

    detector = FER()
    return lambda picture: len(detector.detect_emotions(picture))


SYSTEMS: dict[str, Callable[[], Look]] = {
    "ours": ours,
    "ours-live": lambda: ours(live=True),
    "deepface": deepface,
    "fer": fer,
}


def photo(look: Look, path: str, times: int) -> dict[str, Any]:
    """Look at one picture again and again."""
    import cv2

    picture = cv2.imread(path)
    durations, faces = [], 0
    for _ in range(times):
        started = time.perf_counter()
        faces = look(picture)
        durations.append((time.perf_counter() - started) * 1000)
    return {"faces": faces, "ms": durations}


def clip(name: str, look: Look, path: str) -> dict[str, Any]:
    """Every frame of a clip: by our own way through clips, or one after another where there is none that streams."""
    import cv2

    started, frames = time.perf_counter(), 0
    if name.startswith("ours"):
        from emotion_model import EmotionDetector
        from emotion_model.clips.analysis import analyze, video_detector
        from emotion_model.clips.reading import VideoReader

        detector = video_detector(EmotionDetector())
        started = time.perf_counter()
        with VideoReader(path) as reader:
            frames = sum(1 for _ in analyze(reader, detector))
    else:
        capture = cv2.VideoCapture(path)
        while (read := capture.read())[0]:
            look(read[1])
            frames += 1
    return {"frames": frames, "ms": (time.perf_counter() - started) * 1000 / frames}


def main() -> None:
    """Answer until the input ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what the systems print is no answer
    name = sys.argv[1]
    look = SYSTEMS[name]()
    for line in sys.stdin:
        asked = json.loads(line)
        answer = clip(name, look, asked["clip"]) if "clip" in asked else photo(look, asked["photo"], asked["times"])
        answers.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
