"""Small real models."""

import hashlib
import json
from pathlib import Path
from typing import Any

from emotion_model import ArchitectureConfig
from emotion_model.network.config import CONFIG_FILE, WEIGHTS_FILE

TINY = ArchitectureConfig(
    filters=(4, 8), kernel_sizes=((3,), (3,)), attention_blocks=(), dense_units=(8,), dense_dropout=(0.1,)
)


def write_config(folder: Path, config: dict[str, Any]) -> None:
    """Write `config.json` with the digest of the weights beside it."""
    digest = hashlib.sha256((folder / WEIGHTS_FILE).read_bytes()).hexdigest()
    config["weights"]["sha256"] = digest
    (folder / CONFIG_FILE).write_text(json.dumps(config))
