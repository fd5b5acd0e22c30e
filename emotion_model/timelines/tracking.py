"""The same face over the frames of a camera or a clip: its id, smoothed probabilities and a label that holds still."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Real

import numpy as np

from emotion_model.face import Face

VELOCITY_SECONDS = 0.2  # time constant of the velocity's running mean: long enough to even out a jittering box
COASTING_SECONDS = 1.0  # a face out of sight is expected to keep moving for about this long
LONGEST_GAP = 5.2  # seconds between two frames over which a face can still be followed; one in 5 may be a little late
MISSED_LOOKS = 2.5  # times the last two frames' distance: where frames are rare, one that missed a face ends nobody
QUICK_SECONDS = 0.2  # time constant of the mean that watches for real changes
EVIDENCE_STEP = 0.15  # seconds; one frame counts for no more, or at low frame rates a single odd one would decide
RESTLESS_SECONDS = 5.0  # time constant with which a change of label is forgotten
RESTLESS_STEP = 2.0  # what one change adds to the lead that the next one takes, as a multiple of it
DRIFT = 0.08  # s; what the lead in the slow mean, summed up over time, comes to before the label goes with it
DRIFT_STEP = 0.2  # seconds; as above
CLEAR_MARGIN = 0.03  # of the probability; by so much it has to pass the limit before unclear becomes clear, or back
HAIR = np.float32(1e-4)  # by so much the label leads in what is shown as a tie


@dataclass(frozen=True)
class TrackingConfig:
    """How faces are followed and how calm the results are. Times in seconds, lengths in face widths."""

    smoothing: float = 2.0  # s; time constant of the running mean of the probabilities; 0 gives the raw ones
    label_lead: float = 0.1  # 0..1; another emotion's momentary lead up to this says nothing against the label
    label_evidence: float = 0.03  # s; what the square of its lead beyond that adds up to before the label follows
    patience: float = 1.0  # s; a face that frames have missed for this long, and more than one of them, has left
    reach: float = 0.6  # widths; how far from the expected place a face is still the same one
    speed: float = 2.0  # widths per s; what is added to the reach for the time since the face was last seen
    size_ratio: float = 1.8  # how much larger or smaller the same face may be from frame to frame

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not isinstance(value, Real):
                raise TypeError(f"{name}={value!r}: give a number")
        if not 0 <= self.smoothing <= 60:
            raise ValueError(f"smoothing={self.smoothing}: use 0 (raw) to 60 seconds")
        if not 0 <= self.label_lead < 1:
            raise ValueError(f"label_lead={self.label_lead}: use 0 up to, but not, 1")
        if not self.label_evidence >= 0:
            raise ValueError(f"label_evidence={self.label_evidence}: must not be negative; 0 follows every lead")
        if not self.patience >= 0:
            raise ValueError(f"patience={self.patience}: must not be negative; 0 gives a missed face a new id")
        if not self.reach > 0:
            raise ValueError(f"reach={self.reach}: must be above 0 face widths")
        if not self.speed >= 0:
            raise ValueError(f"speed={self.speed}: must not be negative")
        if not self.size_ratio > 1:
            raise ValueError(f"size_ratio={self.size_ratio}: must be above 1")


class EmotionSmoother:
    """The emotions of one face over time, made steady: what is shown, and the label, which is its leader.

    Two exponential running means, with time constants in seconds, so that the frame rate, also an irregular one,
    does not matter. The slow one is shown. The quick one watches for real changes: its lead over the label,
    squared, is summed up over time, and only when the sum is large enough does the label change (a one-sided
    cumulative sum: Page, "Continuous inspection schemes", 1954); then the slow mean begins anew from the quick one.
    So a short or small lead is forgotten, and a large and lasting one shows at once. A mean that has just begun is
    the plain mean of what it has seen. Where the leader of the slow mean changes gradually, the label goes with it;
    a lead below `HAIR` is none, and is shown as the label's. Whenever the label has changed, it takes a larger lead
    for some seconds, so that a face between two emotions does not flicker.
    """

    def __init__(self) -> None:
        self.probabilities: np.ndarray | None = None  # float32 (classes,), as shown
        self.label = 0  # index of the label that holds
        self._quick: np.ndarray = np.empty(0)
        self._slow: np.ndarray = np.empty(0)
        self._age = QUICK_SECONDS  # of the slow mean, in seconds
        self._time = 0.0
        self._evidence: np.ndarray = np.empty(0)
        self._drift: np.ndarray = np.empty(0)
        self._restless = 0.0  # changes of label, fading

    def update(self, raw: np.ndarray, time: float, config: TrackingConfig) -> np.ndarray:
        """Take in the probabilities of one frame, float32 `(classes,)`, at a time in seconds; returns what is shown."""
        if self.probabilities is None or not config.smoothing:
            self._quick = self._slow = raw.copy()  # what others hold may be changed by them
            self.probabilities = raw.copy()
            self.label, self._time = int(np.argmax(raw)), time
            self._evidence, self._drift = np.zeros_like(raw), np.zeros_like(raw)
            return self.probabilities
        elapsed, self._time = time - self._time, time
        self._move_means(raw, elapsed, config.smoothing)
        self._restless *= math.exp(-elapsed / RESTLESS_SECONDS)
        needed = config.label_lead * (1 + self._restless)
        lead = self._quick - self._quick[self.label] - needed
        self._evidence = np.maximum(self._evidence + lead * np.abs(lead) * min(elapsed, EVIDENCE_STEP), 0)
        quickest = int(np.argmax(self._quick))
        if quickest != self.label and self._evidence[quickest] > config.label_evidence:
            self._slow, self._age = self._quick, QUICK_SECONDS
            self._change(quickest)
        leader = int(np.argmax(self._slow))
        self._drift = np.maximum(self._drift + (self._slow - self._slow[self.label]) * min(elapsed, DRIFT_STEP), 0)
        if self._drift[leader] > DRIFT * (1 + self._restless):
            self._change(leader)
        self.probabilities = self._slow.copy()
        if leader != self.label:  # by too little, or for too short a time: shown as a tie
            self.probabilities[self.label] = self._slow[leader] + HAIR
            self.probabilities /= self.probabilities.sum()
        return self.probabilities

    def _move_means(self, raw: np.ndarray, elapsed: float, smoothing: float) -> None:
        quick = min(QUICK_SECONDS, smoothing)
        self._quick = self._quick + np.float32(1 - math.exp(-elapsed / quick)) * (raw - self._quick)
        self._age += elapsed
        share = elapsed / self._age if self._age < smoothing else 1 - math.exp(-elapsed / smoothing)
        self._slow = self._slow + np.float32(share) * (raw - self._slow)

    def _change(self, label: int) -> None:
        self.label = label
        self._evidence, self._drift = np.zeros_like(self._evidence), np.zeros_like(self._drift)
        self._restless += RESTLESS_STEP


class _Track:
    """One face: where it is, how it moves and what it shows."""

    def __init__(self, number: int, face: Face, time: float) -> None:
        self.number = number
        self.emotions = EmotionSmoother()
        self.clear = face.clear
        self.seen = time
        self.shown_until = time
        self.missed = False  # by the last frame
        self.size = _size(face)
        self.centre = _centre(face)
        self.velocity = 0j  # pixels per second

    def expected(self, time: float) -> complex:
        """Where its centre should be now: on along its way, ever slower."""
        return self.centre + self.velocity * COASTING_SECONDS * (1 - math.exp(-(time - self.seen) / COASTING_SECONDS))

    def distances(self, places: Sequence[tuple[float, complex]], time: float, config: TrackingConfig) -> list[float]:
        """How far faces of these sizes and centres are from what is expected of this one; infinite if not the same."""
        expected, reach = self.expected(time), config.reach + config.speed * (time - self.seen)
        distances = []
        for size, centre in places:
            small, large = sorted((size, self.size))
            offset = abs(centre - expected) / large
            same = large / small <= config.size_ratio and offset <= reach
            distances.append(offset + math.log(large / small) if same else math.inf)
        return distances

    def update(self, face: Face, time: float, duration: float, config: TrackingConfig) -> Face:
        """Take in the face of one frame; returns it with id, smoothed probabilities and steady label."""
        elapsed, centre = time - self.seen, _centre(face)
        if elapsed > 0:
            weight = 1 - math.exp(-elapsed / VELOCITY_SECONDS)
            self.velocity += weight * ((centre - self.centre) / elapsed - self.velocity)
        self.centre, self.size, self.seen, self.missed = centre, _size(face), time, False
        self.shown_until = time + duration
        smoothed = self.emotions.update(face.probabilities, time, config)
        margin = CLEAR_MARGIN if config.smoothing else 0.0
        limit = face.clear_from + (-margin if self.clear else margin)
        self.clear = bool(smoothed[self.emotions.label] >= limit)
        return replace(
            face,
            track_id=self.number,
            probabilities=smoothed,
            raw_probabilities=face.probabilities,
            steady_emotion=face.emotions[self.emotions.label],
            steady_clear=self.clear,
        )


class FaceTracker:
    """Gives the faces of successive frames their ids and smooths what each of them shows.

    Faces are matched by place and size: each known face is expected a little further along its way, and the nearest
    pairs are joined first. That holds through a missed detection, a short occlusion and two faces crossing, at any
    frame rate from 1 in `LONGEST_GAP` seconds on, also an irregular one. Ids count from 1 and are never given twice.
    Memory: the faces of the last `patience` seconds, or of the last frames where those are rare.

        tracker = FaceTracker()
        for time, image in frames:
            faces = tracker.update(detector.detect(image), time)

    Attributes:
        config: may be exchanged at any time.
    """

    def __init__(self, config: TrackingConfig | None = None) -> None:
        """Begin without any faces; by default with the `TrackingConfig` that suits live pictures and clips."""
        self.config = config or TrackingConfig()
        self._tracks: list[_Track] = []
        self._time = -math.inf
        self._step = 0.0  # seconds between the last two frames
        self._count = 0

    def update(self, faces: Sequence[Face], time: float, duration: float = 0.0) -> list[Face]:
        """The faces of one frame, in the order given, with `track_id`, smoothed `probabilities` and a steady `emotion`.

        Args:
            faces: as the detector found them; an empty list counts as a frame without a face.
            time: of the frame, in seconds, on any clock that does not run backwards.
            duration: seconds that the frame is shown, if that is known: for so long its faces are there.

        Raises:
            ValueError: the time is before that of the last frame, or not a number.
        """
        if not time >= self._time:
            raise ValueError(f"time={time}: must not be before the last frame's {self._time}; for another clip, cut()")
        self._forget(time)
        self._step = time - self._time if self._time > -math.inf else 0.0
        self._time = time
        tracks = self._matched(faces, time)
        return [track.update(face, time, duration, self.config) for track, face in zip(tracks, faces, strict=True)]

    def cut(self) -> None:
        """Forget the faces and the clock, as at a scene cut: whoever is seen next gets a new id."""
        self._tracks = []
        self._time = -math.inf
        self._step = 0.0

    def _forget(self, time: float) -> None:
        """Forget who has not been seen for too long."""
        # Where frames are rare, whoever was in the last one has not been missed yet.
        patience = max(self.config.patience, LONGEST_GAP)
        missed_patience = self.config.patience and max(
            self.config.patience, min(MISSED_LOOKS * self._step, LONGEST_GAP)
        )
        self._tracks = [
            track
            for track in self._tracks
            if time - track.shown_until <= (missed_patience if track.missed else patience)
        ]

    def _matched(self, faces: Sequence[Face], time: float) -> list[_Track]:
        """Whose face each one is: the nearest track's, or that of somebody new."""
        places = [(_size(face), _centre(face)) for face in faces]
        pairs = sorted(
            (distance, i, j)
            for i, track in enumerate(self._tracks)
            for j, distance in enumerate(track.distances(places, time, self.config))
            if distance < math.inf
        )
        for track in self._tracks:
            track.missed = True
            track.shown_until = min(track.shown_until, time)  # whatever the file said
        track_of: dict[int, _Track] = {}
        taken: set[int] = set()
        for _, i, j in pairs:
            if i not in taken and j not in track_of:
                taken.add(i)
                track_of[j] = self._tracks[i]
        for j, face in enumerate(faces):
            if j not in track_of:
                self._count += 1
                track_of[j] = _Track(self._count, face, time)
                self._tracks.append(track_of[j])
        return [track_of[j] for j in range(len(faces))]


def _centre(face: Face) -> complex:
    """Across and, as the imaginary part, down: numpy is slow at single places."""
    x, y, width, height = face.box
    return complex(x + width / 2, y + height / 2)


def _size(face: Face) -> float:
    return math.sqrt(max(face.box[2] * face.box[3], 1))  # a face of somebody else's detector may have no extent
