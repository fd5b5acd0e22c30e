"""YuNet, a small face detector (Wu, Peng and Yu, 2023), on OpenVINO or on OpenCV.

Both give the same faces. OpenVINO takes about half the time; OpenCV stands in where it is missing. What OpenCV's
`FaceDetectorYN` does around the network is done here alike: the picture is filled up to multiples of 32 pixels with
black, a face's score is the geometric mean of the network's two, and overlapping boxes give way to the surest one.
"""

from __future__ import annotations

import logging
from collections import Counter
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from emotion_model.processes import Lock
from emotion_model.runtime import Network, RuntimeUnavailableError

STRIDES = (8, 16, 32)  # pixels between the places at which the network looks for faces of three sizes
DIVISOR = 32  # pixels; the sides of the network's input are multiples of it
MAX_CANDIDATES = 5000  # the surest ones, before overlapping boxes are sorted out
STEADY_LOOKS = 200  # at pictures of one size: from then on a network for that size has saved what making it takes
RECENT_LOOKS = 1000  # among so many: photos of many sizes, each of which comes now and then, are not worth one
STEADY_SIZES = 4  # at most: each takes 8 MB, and making one a third of a second
STEADY_PIXELS = 448 * 448  # of the quick look; for larger pictures such a network would need too much memory

_log = logging.getLogger(__name__)


class YuNet(Protocol):
    """The network with all around it, at one threshold."""

    def find(self, image_rgb: np.ndarray) -> np.ndarray:
        """Faces in uint8 RGB `(height, width, 3)`: float32 `(n, 15)`, the surest first.

        A row holds the box (x, y, w, h), five landmarks (x, y), the eye at the picture's left first, all in pixels, and
        the score, 0..1.
        """


def load_yunet(path: Path, score_threshold: float, overlap: float) -> YuNet:
    """The network on OpenVINO; on OpenCV where that cannot run it, which is told of in a warning.

    Args:
        path: the model file.
        score_threshold: the least score of a face, 0..1.
        overlap: boxes that overlap by more (intersection over union) are one face.

    Raises:
        cv2.error: the file is no such network.
    """
    try:
        return OpenVinoYuNet(path, score_threshold, overlap)
    except RuntimeUnavailableError as error:
        error.tell()
    except RuntimeError as error:
        _log.warning("%s: OpenVINO cannot run it (%s); OpenCV looks for faces.", path, error)
    return OpenCvYuNet(path, score_threshold, overlap)


class OpenCvYuNet:
    """YuNet as OpenCV runs it."""

    def __init__(self, path: Path, score_threshold: float, overlap: float) -> None:
        """Load the network; overlap is the intersection over union from which two boxes are one face.

        Raises:
            cv2.error: the file is no such network.
        """
        self._lock = Lock()  # the detector keeps state between calls
        # Read here: on Windows OpenCV opens no path with letters of other languages.
        given = "onnx", np.fromfile(path, np.uint8), np.empty(0, np.uint8)
        self._network = cv2.FaceDetectorYN.create(*given, (320, 320), score_threshold, overlap, MAX_CANDIDATES)

    def find(self, image_rgb: np.ndarray) -> np.ndarray:
        """See `YuNet.find`."""
        bgr = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2BGR)
        with self._lock:
            self._network.setInputSize(image_rgb.shape[1::-1])
            _, rows = self._network.detect(bgr)
        return np.empty((0, 15), np.float32) if rows is None else rows


class OpenVinoYuNet:
    """YuNet as OpenVINO runs it, for pictures of every size."""

    def __init__(self, path: Path, score_threshold: float, overlap: float) -> None:
        """Load the network; overlap is the intersection over union from which two boxes are one face.

        Raises:
            RuntimeUnavailableError: OpenVINO cannot be used.
            RuntimeError: the file is no such network.
        """
        self._path, self._score_threshold, self._overlap = path, score_threshold, overlap
        self._network = _load(path)
        self._looks: Counter[tuple[int, ...]] = Counter()
        self._outputs = {
            (kind, stride): self._network.position(f"{kind}_{stride}")
            for kind in ("cls", "obj", "bbox", "kps")
            for stride in STRIDES
        }

    def find(self, image_rgb: np.ndarray) -> np.ndarray:
        """See `YuNet.find`."""
        padded = _padded(image_rgb)
        results = self._suited(padded.shape[:2])(padded[np.newaxis])
        raw = {name: results[index][0] for name, index in self._outputs.items()}
        rows = np.concatenate([self._decoded(raw, stride, padded.shape[1] // stride) for stride in STRIDES])
        return self._sorted_out(rows)

    def _suited(self, size: tuple[int, ...]) -> Network:
        """The network for pictures of this height and width: a quicker one, for no others, where they keep coming."""
        if size[0] * size[1] > STEADY_PIXELS:
            return self._network
        if (self._path, size) in _steady:
            return _steady[self._path, size]
        if self._looks.total() >= RECENT_LOOKS:
            self._looks.clear()
        self._looks[size] += 1
        if self._looks[size] > STEADY_LOOKS and len(_steady) < STEADY_SIZES:
            self._looks[size] = 0
            with suppress(RuntimeUnavailableError):  # in a process that was forked off
                return _steady.setdefault((self._path, size), _load(self._path, size))
        return self._network

    def _decoded(self, raw: dict[tuple[str, int], np.ndarray], stride: int, columns: int) -> np.ndarray:
        """The rows of one stride whose score reaches the threshold."""
        scores = np.sqrt(np.clip(raw["cls", stride][:, 0], 0, 1) * np.clip(raw["obj", stride][:, 0], 0, 1))
        kept = np.flatnonzero(scores >= self._score_threshold)
        rows = np.empty((len(kept), 15), np.float32)
        if not len(kept):
            return rows
        places = np.stack([kept % columns, kept // columns], axis=1).astype(np.float32)
        boxes, points = raw["bbox", stride][kept], raw["kps", stride][kept]
        rows[:, 2:4] = np.exp(boxes[:, 2:4]) * stride
        rows[:, :2] = (places + boxes[:, :2]) * stride - rows[:, 2:4] / 2
        rows[:, 4:14] = (np.tile(places, 5) + points) * stride
        rows[:, 14] = scores[kept]
        return rows

    def _sorted_out(self, rows: np.ndarray) -> np.ndarray:
        if len(rows) < 2:
            return rows
        boxes = rows[:, :4].astype(np.int32)  # as OpenCV compares them
        kept = cv2.dnn.NMSBoxes(
            boxes.tolist(), rows[:, 14].tolist(), self._score_threshold, self._overlap, top_k=MAX_CANDIDATES
        )
        return rows[np.asarray(kept, dtype=np.intp).ravel()]


def _padded(image_rgb: np.ndarray) -> np.ndarray:
    height, width = image_rgb.shape[:2]
    bottom, right = -height % DIVISOR, -width % DIVISOR
    if not bottom and not right:
        return np.ascontiguousarray(image_rgb)
    return cv2.copyMakeBorder(image_rgb, 0, bottom, 0, right, cv2.BORDER_CONSTANT)


_steady: dict[tuple[Path, tuple[int, ...]], Network] = {}  # by the size of their pictures


@lru_cache(maxsize=STEADY_SIZES + 2)
def _load(path: Path, size: tuple[int, ...] = (-1, -1)) -> Network:
    """The network for uint8 RGB of one height and width, or of any; detectors of all thresholds share it."""
    return Network(path.read_bytes(), prepared=partial(_for_pictures, size))


def _for_pictures(size: tuple[int, ...], model: Any) -> Any:
    import openvino as ov
    from openvino.preprocess import ColorFormat, PrePostProcessor

    model.reshape({model.input(0): ov.PartialShape([1, 3, *size])})
    steps = PrePostProcessor(model)
    picture = steps.input(0)
    picture.tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC")).set_color_format(ColorFormat.RGB)
    picture.model().set_layout(ov.Layout("NCHW"))
    picture.preprocess().convert_element_type(ov.Type.f32).convert_color(ColorFormat.BGR)
    return steps.build()
