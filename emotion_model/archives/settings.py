"""How the recordings of an archive are looked at."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from emotion_model.files import spelled_out
from emotion_model.network.protocol import Classifier
from emotion_model.pipeline import EmotionDetector

PATIENCE_RATE = 20.0  # s more for each second of the clip that was read


@dataclass(frozen=True)
class ArchiveSettings:
    """What decides on the rows of an archive, and on the time that a file may take."""

    rate: float | None = 5.0  # frames per second of clips that are looked at; None for every frame
    models: tuple[str, ...] = ()  # paths; none for the environment's model
    detector: str | None = None  # of faces; None for the environment's
    annotated: bool = False  # write annotated copies too; clips are then not cut into parts
    part_seconds: float = 180.0  # into parts of this length clips are cut that are longer than one and a half
    patience: float = 60.0  # s that a file may take, and each megabyte of one that is fetched from elsewhere

    def __post_init__(self) -> None:
        from emotion_model.clips.analysis import VideoConfig  # the command line needs the defaults, and no PyAV

        VideoConfig(self.rate)  # refuses what is no rate
        for name in ("part_seconds", "patience"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}={getattr(self, name)}: use more than 0 seconds")

    def record(self, detector: EmotionDetector) -> dict[str, Any]:
        """What the rows of one archive have in common, JSON-ready."""
        classifier = detector.classifier
        return {
            "model": spelled_out(classifier.source),
            "model_digest": digest(classifier),
            "detector": detector.faces.name,
            "emotions": list(classifier.emotions),
            "rate": self.rate,
        }


def digest(classifier: Classifier) -> str:
    """Tells one model from another: by weights, calibration, framing and names, wherever the files lie.

    A config that does not name its weights by their sha256 says too little: there the place counts too.
    """
    told = []
    for one in getattr(classifier, "members", [classifier]):
        values = asdict(one.config)  # of which scores, colours and the like change no row
        counting = [values[name] for name in ("image_size", "framing", "temperature", "clear_from")]
        told.append([one.config.emotions, *counting, one.config.weights.get("sha256") or one.source])
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


def difference(one: dict[str, Any], other: dict[str, Any]) -> str | None:
    """What is the first thing in which two records differ; None where rows of both may stand in one table.

    A model may have two names, as a path is spelled in several ways: its digest decides.
    """
    same_model = one.get("model_digest") == other.get("model_digest")
    names = (name for name, value in other.items() if one.get(name) != value)
    return next((name for name in names if not (name == "model" and same_model)), None)
