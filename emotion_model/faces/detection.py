"""Finding faces: YuNet where its model file can be had, OpenCV's Haar cascade otherwise."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from emotion_model.download import HubError, download
from emotion_model.faces.boxes import Detection
from emotion_model.faces.turning import turned, turned_back, way_up
from emotion_model.faces.yunet import load_yunet
from emotion_model.files import digest_of
from emotion_model.processes import Lock

_log = logging.getLogger(__name__)
YUNET_REPO = "opencv/face_detection_yunet"
YUNET_FILE = "face_detection_yunet_2023mar.onnx"
YUNET_SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
ENLARGED_SIDE = 192  # pixels; longest side that smaller pictures are enlarged to: YuNet misses faces under 10 pixels
COARSE_SIDE = 448  # pixels; longest side of a quick look, at 4:3 with hardly any filling up to YuNet's multiples of 32
NATIVE_SIDE = 960  # pixels; up to this longest side one look finds small and large faces alike
FINE_SIDE = 1280  # pixels; longest side of the fine look at larger pictures, which misses faces that fill them
GLANCE_SIDE = 640  # pixels; longest side when it is only asked which way is up
LARGE_SIDE = 1920  # pixels; pictures above are searched for faces that the fine look is too coarse for
WIDE_SIDE = 4096  # pixels; longest side when they are
PORTRAIT = 0.1  # of the longest side: with a face as large as that, nobody hands the picture in for tiny ones
BRIGHT_PERCENTILE = 99.5  # of a picture's values: what is brighter may be a lamp
DARK = 60  # 0..255; pictures whose brightest values lie below are brightened where no face is found
PADDED_SIDE = 64  # pixels; below 33 in either direction YuNet reads memory that is not the picture's
SCORE_THRESHOLD = 0.7  # 0..1; YuNet keeps faces it is at least this sure of
OVERLAP = 0.3  # boxes that overlap by more (intersection over union) are one face


class DetectorError(RuntimeError):
    """The face detector that was asked for cannot be had; the message says why and what to do."""


Found = list[tuple[np.ndarray, np.ndarray | None, float]]  # of each face box, landmarks if there are some, and score


class Finder(Protocol):
    """What finds the faces of a picture, at the size that it is given in.

    Attributes:
        tells_way_up: whether it is surer of upright faces than of others, which tells which way up a picture is.
    """

    tells_way_up: bool

    def find(self, image_rgb: np.ndarray) -> Found:
        """The faces in uint8 RGB `(height, width, 3)`, in its pixels; boxes may reach beyond it."""


class YuNetFinder:
    """YuNet."""

    tells_way_up = True

    def __init__(self, score_threshold: float) -> None:
        """Load it; raises DetectorError where its file cannot be had."""
        self._network = load_yunet(find_yunet(), score_threshold, OVERLAP)

    def find(self, image_rgb: np.ndarray) -> Found:
        """See `Finder.find`."""
        return [(row[:4], row[4:14].reshape(5, 2), float(row[14])) for row in self._network.find(image_rgb)]


class HaarFinder:
    """OpenCV's cascade, which is equally sure of everything."""

    tells_way_up = False

    def __init__(self, score_threshold: float) -> None:  # it has no scores
        """Load it; raises DetectorError where this OpenCV has none."""
        self._cascade = _load_haar()
        self._lock = Lock()  # the cascade keeps state between calls

    def find(self, image_rgb: np.ndarray) -> Found:
        """See `Finder.find`."""
        grey = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2GRAY)
        with self._lock:
            boxes = self._cascade.detectMultiScale(grey, scaleFactor=1.1, minNeighbors=5, minSize=(24, 24))
        # The cascade gives no probability; what passed its neighbour test counts as found.
        return [(np.array(box, dtype=np.float32), None, 1.0) for box in boxes]


FINDERS: dict[str, Callable[[float], Finder]] = {"yunet": YuNetFinder, "haar": HaarFinder}
DETECTORS = ("auto", *FINDERS)


class FaceDetector:
    """Finds every face in a picture.

    Attributes:
        name: `yunet` or `haar`, whichever serves.
        score_threshold: YuNet keeps faces it is at least this sure of, 0..1.
        notice: a sentence for visitors when a lesser detector serves than was hoped for, else "".
        fallback_reason: why that is so, for whoever runs the server; may name files.
    """

    def __init__(self, name: str | None = None, score_threshold: float = SCORE_THRESHOLD, fine: bool = True) -> None:
        """Choose and load a detector.

        Args:
            name: `auto` (YuNet, else Haar), `yunet` or `haar`; by default the environment's EMOTION_DETECTOR, or auto.
            score_threshold: see above.
            fine: for stills: look for small faces too, and turn the picture where its faces do not look upright;
                without, at 448 pixels only, for live video.

        Raises:
            DetectorError: that detector cannot be had.
            ValueError: no such detector, or a threshold out of range.
        """
        name = name or os.environ.get("EMOTION_DETECTOR") or "auto"
        if name not in DETECTORS:
            raise ValueError(f"detector {name!r}: choose one of {', '.join(DETECTORS)}")
        if not 0 < score_threshold <= 1:
            raise ValueError(f"score_threshold={score_threshold}: use a value above 0, up to 1")
        self.score_threshold, self.fine = score_threshold, fine
        self.notice = self.fallback_reason = ""
        self.name = "yunet" if name == "auto" else name
        try:
            self._finder = FINDERS[self.name](score_threshold)
        except DetectorError as error:
            if name != "auto":
                raise
            self.notice = (
                "The YuNet detector is not available here, so the Haar cascade looks for faces: it misses more."
            )
            self.fallback_reason = str(error)
            _log.warning("%s %s", self.notice, self.fallback_reason)
            self.name = "haar"
            self._finder = HaarFinder(score_threshold)

    @property
    def tells_way_up(self) -> bool:
        """Whether it is surer of upright faces than of others; see `Finder`."""
        return self._finder.tells_way_up

    def detect(self, image_rgb: np.ndarray, turn: int | None = None) -> list[Detection]:
        """Find the faces in uint8 RGB `(height, width, 3)`, the largest first; none gives an empty list.

        Args:
            image_rgb: the picture.
            turn: quarters by which it has to be turned clockwise until it is upright, 0..3. By default a `fine`
                detector finds that out; the cascade, which is equally sure of everything, takes pictures as they are.
        """
        height, width = image_rgb.shape[:2]
        if turn is None and self.fine and self.tells_way_up:
            turn, found = self._way_up(image_rgb)
            if not found and (brighter := _brightened(image_rgb)) is not None:
                image_rgb = brighter
                turn, found = self._way_up(image_rgb)
        else:
            turn = turn or 0
            found = self._looked(turned(image_rgb, turn))
        if self.fine:
            found = self._with_small(turned(image_rgb, turn), found)
        found = [turned_back(one, turn, width, height) for one in found]
        return _in_order(found)

    def look_closer(self, image_rgb: np.ndarray, found: list[Detection], turn: int = 0) -> list[Detection]:
        """What a quick look has found in a frame of a clip, and the faces that were too small for it.

        In frames of up to `GLANCE_SIDE` those say too little; the cascade would take too long for its frames.

        Args:
            image_rgb: the frame, uint8 `(height, width, 3)`.
            found: what the quick look has found, which says how the frame is turned.
            turn: how it is where that has found nobody, as for `detect`.
        """
        height, width = image_rgb.shape[:2]
        if self.fine or self.name != "yunet" or max(height, width) <= GLANCE_SIDE:
            return found
        turn = found[0].turn if found else turn
        scale = min(1.0, FINE_SIDE / max(height, width))
        finer = [turned_back(one, turn, width, height) for one in self._detect_at(turned(image_rgb, turn), scale)]
        return _in_order(_merge(found + finer))

    def _with_small(self, image_rgb: np.ndarray, found: list[Detection]) -> list[Detection]:
        """With the faces of a large still that are too small for the fine look."""
        longest = max(image_rgb.shape[:2])
        largest = max((max(one.box[2:]) for one in found), default=0)
        if longest <= LARGE_SIDE or largest >= PORTRAIT * longest:
            return found
        return _merge(found + self._detect_at(image_rgb, min(1.0, WIDE_SIDE / longest)))

    def _way_up(self, image_rgb: np.ndarray) -> tuple[int, list[Detection]]:
        scale = min(1.0, GLANCE_SIDE / max(image_rgb.shape[:2]))
        small = cache(lambda: _resized(image_rgb, scale))  # once for all turns, and only where they are looked at
        return way_up(
            lambda turn: self._looked(turned(image_rgb, turn)),
            lambda turn: self._detect_at(turned(small(), turn), 1.0),
        )

    def _looked(self, image_rgb: np.ndarray) -> list[Detection]:
        longest = max(image_rgb.shape[:2])
        if longest <= COARSE_SIDE or (self.fine and longest <= NATIVE_SIDE):
            sides = [max(longest, ENLARGED_SIDE)]
        else:
            sides = [COARSE_SIDE, min(longest, FINE_SIDE)] if self.fine else [COARSE_SIDE]
        found = [detection for side in sides for detection in self._detect_at(image_rgb, side / longest)]
        if not found and self.fine and COARSE_SIDE < longest <= NATIVE_SIDE:  # made smaller, a picture has less grain
            found = self._detect_at(image_rgb, COARSE_SIDE / longest)
        return _merge(found) if len(sides) > 1 else found

    def _detect_at(self, image_rgb: np.ndarray, scale: float) -> list[Detection]:
        height, width = image_rgb.shape[:2]
        image_rgb = _resized(image_rgb, scale)
        size = image_rgb.shape[1::-1]
        right, bottom = (max(0, PADDED_SIDE - side) for side in size)
        if right or bottom:
            image_rgb = cv2.copyMakeBorder(image_rgb, 0, bottom, 0, right, cv2.BORDER_REPLICATE)
        scale_xy = np.array([width / size[0], height / size[1]], dtype=np.float32)
        found = []
        for box, landmarks, score in self._finder.find(image_rgb):
            left, top, wide, high = box
            # A box wholly in the padding is no face of this picture.
            if wide > 0 and high > 0 and left + wide > 0 and top + high > 0 and left < size[0] and top < size[1]:
                points = None if landmarks is None else landmarks * scale_xy
                found.append(Detection(tuple((box * np.tile(scale_xy, 2)).tolist()), points, score))
        return found


def find_yunet() -> Path:
    """Path of the YuNet model file: EMOTION_YUNET_PATH, the Hub's cache, or the Hub.

    Raises:
        DetectorError: it is in none of them, or its content is not the expected one.
    """
    given = os.environ.get("EMOTION_YUNET_PATH")
    if not given:
        try:
            # The digest pins the content more strictly than a revision of the repository would.
            return download(YUNET_REPO, YUNET_FILE, sha256=YUNET_SHA256)
        except HubError as error:
            raise DetectorError(f"{error} Or set EMOTION_YUNET_PATH to a copy of {YUNET_FILE}.") from error
    path = Path(given)
    try:
        digest = digest_of(path)
    except OSError as error:
        raise DetectorError(f"{path} cannot be read ({error.strerror}): set EMOTION_YUNET_PATH to a copy.") from error
    if digest != YUNET_SHA256:
        raise DetectorError(f"{path} is not the expected {YUNET_FILE} (its sha256 differs): remove it and try again.")
    return path


def _resized(image_rgb: np.ndarray, scale: float) -> np.ndarray:
    height, width = image_rgb.shape[:2]
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if size == (width, height):
        return image_rgb
    if scale > 1:
        return cv2.resize(image_rgb, size, interpolation=cv2.INTER_CUBIC)
    # Down to half the size no pixel is passed over, and the mean over areas takes five times as long.
    return cv2.resize(image_rgb, size, interpolation=cv2.INTER_LINEAR if scale >= 0.5 else cv2.INTER_AREA)


def _brightened(image_rgb: np.ndarray) -> np.ndarray | None:
    """A dark picture as bright as others; None of one that is bright enough, or all black."""
    small = _resized(image_rgb, min(1.0, COARSE_SIDE / max(image_rgb.shape[:2])))
    brightest = float(np.percentile(small, BRIGHT_PERCENTILE))
    return cv2.convertScaleAbs(image_rgb, alpha=255 / brightest) if 0 < brightest < DARK else None


def _load_haar() -> cv2.CascadeClassifier:
    if not hasattr(cv2, "CascadeClassifier"):
        raise DetectorError(f"OpenCV {cv2.__version__} has no Haar cascade: install opencv-python-headless below 5.")
    path, cascade = Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_alt2.xml", cv2.CascadeClassifier()
    with suppress(OSError):  # given as text: on Windows OpenCV opens no path with letters of other languages
        content = path.read_text(encoding="utf-8")
        storage = cv2.FileStorage(content, cv2.FILE_STORAGE_READ | cv2.FILE_STORAGE_MEMORY)
        cascade.read(storage.getFirstTopLevelNode())
    if cascade.empty():
        raise DetectorError("OpenCV's Haar cascade file is missing: install opencv-python-headless anew.")
    return cascade


def _in_order(found: list[Detection]) -> list[Detection]:
    """The largest first; position breaks ties, so that the order does not depend on the detector's threads."""
    return sorted(found, key=lambda one: (-one.box[2] * one.box[3], one.box[1], one.box[0]))


def _merge(found: list[Detection]) -> list[Detection]:
    """Keep the surest of the boxes that show the same face."""
    if not found:
        return found
    boxes = [detection.box for detection in found]
    kept = cv2.dnn.NMSBoxes(boxes, [detection.score for detection in found], 0.0, OVERLAP)
    return [found[i] for i in np.asarray(kept).ravel()]
