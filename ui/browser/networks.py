"""What a visitor's own browser needs to read faces by itself, so that no picture leaves it.

Both networks run there in onnxruntime-web. This hands out their files and says how they are used: the scripts beside it
do for a frame what `EmotionDetector` and `FaceTracker` do here, with the values of those modules.
"""

from __future__ import annotations

import gzip
import hashlib
import logging
import os
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from emotion_model import EmotionClassifier, EmotionDetector, TrackingConfig
from emotion_model.face import VALENCE_AROUSAL
from emotion_model.faces import cropping, detection, yunet
from emotion_model.faces.any_size import for_any_size
from emotion_model.timelines import tracking
from emotion_model.timelines.table import columns

WORKER = Path(__file__).with_name("worker.js")
RUNTIME_URL = "https://cdn.jsdelivr.net/npm/onnxruntime-web@1.30.0/dist"
# What runs the networks, on the processor or (by WebGPU) on the graphics chip: each a module and its binary, pinned by
# content: sha256 and bytes.
RUNTIMES = {
    "processor": {
        "ort.wasm.bundle.min.mjs": ("11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90", 73054),
        "ort-wasm-simd-threaded.wasm": ("3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2", 14239897),
    },
    "graphics": {
        "ort.webgpu.bundle.min.mjs": ("0730816731ce2cdfb06f273da065d4a1c7091eb9d1756a83b2916c8a89d015e2", 117732),
        "ort-wasm-simd-threaded.asyncify.wasm": (
            "39f9f0894d478800487ed9f7dbe92618498db320cf55c8e3d89adff8dce658da",
            26781914,
        ),
    },
}
FOLDER = "browser"  # of the addresses
FOR_EVER = "public, max-age=31536000, immutable"  # an address holds the digest of its content
PACKED = (".mjs", ".wasm")  # sent compressed, in a quarter of the bytes; networks are hardly smaller so
TYPES = {".mjs": "text/javascript", ".wasm": "application/wasm", ".webp": "image/webp", ".jpg": "image/jpeg"}

_log = logging.getLogger(__name__)


class UnavailableError(RuntimeError):
    """A browser cannot read faces with this server's networks; the message says why, for visitors."""


@dataclass
class Networks:
    """What the page's scripts are told, and the files that the server hands out for it.

    Attributes:
        how: JSON-ready; see `networks_for`. None where a browser cannot do it.
        why_not: a sentence for visitors in that case, else "".
        files: contents by their addresses.
    """

    how: dict[str, Any] | None = None
    why_not: str = ""
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def host(self) -> str:
        """The other server that a browser asks, for what runs the networks; "" where this one has that too."""
        runtimes = (self.how or {}).get("runtimes", {})
        files = (file for runtime in runtimes.values() for file in runtime.values())
        return next((urlsplit(file["address"]).netloc for file in files), "")

    @property
    def routes(self) -> list[BaseRoute]:
        """For the app that serves the page."""
        return [Route(f"/{FOLDER}/{{digest}}/{{name}}", self._answer)]

    def add(self, name: str, content: bytes) -> dict[str, Any]:
        """Hand out a file; returns what the scripts are told of it."""
        digest = hashlib.sha256(content).hexdigest()
        address = f"{FOLDER}/{digest}/{name}"
        self.files[address] = content
        return {"address": address, "sha256": digest, "bytes": len(content)}

    async def _answer(self, request: Request) -> Response:
        digest, name = request.path_params["digest"], request.path_params["name"]
        content = self.files.get(f"{FOLDER}/{digest}/{name}")
        if content is None:
            raise HTTPException(404)
        kind, headers = TYPES.get(Path(name).suffix, "application/octet-stream"), {"Cache-Control": FOR_EVER}
        if Path(name).suffix in PACKED:
            headers["Vary"] = "Accept-Encoding"
            if "gzip" in request.headers.get("accept-encoding", ""):
                content, headers["Content-Encoding"] = await run_in_threadpool(_packed, content), "gzip"
        return Response(content, media_type=kind, headers=headers)


@cache
def _packed(content: bytes) -> bytes:
    return gzip.compress(content, 6, mtime=0)


def networks_for(detector: EmotionDetector) -> Networks:
    """The networks of a detector for browsers; without them where they have no form that runs there."""
    networks = Networks()
    try:
        networks.how = _how(detector, networks)
    except UnavailableError as error:
        networks.why_not = str(error)
    return networks


def _how(detector: EmotionDetector, networks: Networks) -> dict[str, Any]:
    classifier = detector.classifier
    if detector.faces.name != "yunet":
        raise UnavailableError("The face detector in use here does not run in browsers.")
    onnx = classifier.onnx() if isinstance(classifier, EmotionClassifier) else None
    if onnx is None:
        raise UnavailableError("The model in use here does not run in browsers.")
    config = classifier.config
    return {
        "runtimes": {kind: _runtime(kind, networks) for kind in RUNTIMES},
        "files": {
            "faces": networks.add("faces.onnx", for_any_size(detection.find_yunet().read_bytes())),
            "emotions": networks.add("emotions.onnx", onnx),
        },
        "faces": {
            "side": detection.COARSE_SIDE,
            "enlarged": detection.ENLARGED_SIDE,
            "divisor": yunet.DIVISOR,
            "strides": yunet.STRIDES,
            "score": detection.SCORE_THRESHOLD,
            "overlap": detection.OVERLAP,
        },
        "emotions": {
            "names": config.emotions,
            "imageSize": config.image_size,
            "framing": asdict(config.framing_of("yunet")),
            "levels": {
                "least": cropping.LEAST_CONTRAST,
                "dimmest": cropping.MEAN_BRIGHTNESS[0],
                "brightest": cropping.MEAN_BRIGHTNESS[1],
                "most": cropping.MOST_GAIN,
            },
            "affects": VALENCE_AROUSAL,
        },
        "tracking": asdict(TrackingConfig())
        | {name: float(value) for name, value in vars(tracking).items() if name.isupper()}
        | {"clear_from": config.clear_from},
        "columns": len(columns(config.emotions)),
    }


def _runtime(kind: str, networks: Networks) -> dict[str, Any]:
    """Two files of onnxruntime-web: from EMOTION_ORT_URL, which may be a folder of this machine, or the web."""
    place = os.environ.get("EMOTION_ORT_URL") or RUNTIME_URL
    found = {}
    for part, (name, (digest, size)) in zip(("module", "binary"), RUNTIMES[kind].items(), strict=True):
        if place.startswith(("https://", "http://")):
            found[part] = {"address": f"{place.rstrip('/')}/{name}", "sha256": digest, "bytes": size}
        else:
            found[part] = networks.add(name, _read(Path(place) / name, digest))
    return found


def _read(path: Path, digest: str) -> bytes:
    if path.is_file() and hashlib.sha256(content := path.read_bytes()).hexdigest() == digest:
        return content
    version = RUNTIME_URL.rpartition("@")[2].partition("/")[0]
    _log.warning("EMOTION_ORT_URL: %s is not that of onnxruntime-web %s: copy its folder `dist`.", path, version)
    raise UnavailableError("What runs the networks in browsers is missing here.")
