"""How long does pulling the model take: cold, warm, pinned, offline, and with a Hub that is silent?

Method: a Hub on the loopback interface (that of the tests) holds the bundled model; each case is a fresh process that
imports the package first and then times `EmotionClassifier.from_environment()`, loading included, and the same for the
bundled model alone. So the figures leave out the line to the real Hub. The last line is JSON, in seconds.

    python benchmarks/hub.py
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

NAME = "maker/emotion-cnn"
MEASURE = """
import time
from emotion_model import EmotionClassifier
started = time.perf_counter()
classifier = EmotionClassifier.from_environment()
print(round(time.perf_counter() - started, 2), classifier.source, classifier.fallback_reason, sep="|")
"""


def measure(cache: Path, url: str, **variables: str) -> float:
    """Seconds until a fresh process has its model."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "EMOTION_"))}
    environment |= {"HF_ENDPOINT": url, "HF_HOME": str(cache), "PYTHONPATH": str(ROOT)} | variables
    done = subprocess.run([sys.executable, "-c", MEASURE], env=environment, capture_output=True, text=True, check=True)
    seconds, source, reason = done.stdout.strip().split("|")
    print(f"{seconds:>6} s  {source}  {reason}")
    return float(seconds)


def main() -> None:
    """Measure and print."""
    from emotion_model.network.config import BUNDLED_DIR
    from support.hub_server import Repo, running_hub

    with running_hub() as hub, tempfile.TemporaryDirectory() as folder:
        warm, cold = Path(folder) / "warm", Path(folder) / "cold"
        repo = hub.repos[f"models/{NAME}"] = Repo()
        commit = repo.commit({path.name: path.read_bytes() for path in BUNDLED_DIR.iterdir() if path.is_file()})
        tag = {"EMOTION_MODEL_REPO": NAME, "EMOTION_MODEL_REVISION": "v1"}
        repo.tags["v1"] = commit
        result = {
            "bundled": measure(cold, hub.url),
            "cold": measure(warm, hub.url, **tag),
            "warm_tag": measure(warm, hub.url, **tag),
            "warm_commit": measure(warm, hub.url, EMOTION_MODEL_REPO=NAME, EMOTION_MODEL_REVISION=commit),
            "offline": measure(warm, hub.url, HF_HUB_OFFLINE="1", **tag),
            "refused_warm": measure(warm, "http://127.0.0.1:9", **tag),
            "refused_cold": measure(cold, "http://127.0.0.1:9", **tag),
        }
        hub.fail(".*", silent=60)
        result["silent_warm"] = measure(warm, hub.url, **tag)
        result["silent_cold"] = measure(cold, hub.url, **tag)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
