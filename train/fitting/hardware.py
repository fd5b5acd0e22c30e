"""What trains here: a GPU or the processor, on which backend, and the precision that it is best at."""

from __future__ import annotations

import re
import sys
import time
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from emotion_model.network.backends import TRAINING, import_keras
from emotion_model.processes import usable_cores

JAX_DEVICES = ("jax_plugins", "libtpu")  # one of which JAX has for all but the processor; without, it is not imported
TRIED_MAPS = (8, 24, 24, 96)  # a batch in the middle of the network, to try a precision with
TRIES = 3
AMPERE = (8, 0)  # compute capability of Nvidia's first GPUs with bfloat16
CPU_WITH_BFLOAT16 = re.compile(r"^(?:flags|Features)\s*:.*\b(?:avx512_bf16|amx_bf16|bf16)\b", re.MULTILINE)  # x86, Arm


def fastest_backend() -> str | None:
    """JAX where it has a GPU, else PyTorch where it is there: `train.fitting.fast` has layers for these alone.

    To be asked before Keras is imported, which stays on its backend.
    """
    if find_spec("jax") and any(map(find_spec, JAX_DEVICES)):
        try:
            import jax

            if jax.default_backend() != "cpu":
                return "jax"
        except Exception as error:  # a broken installation fails in many ways
            print(f"JAX cannot be used ({error})", file=sys.stderr)
    return "torch" if find_spec("torch") else None


def what_trains(precision: str) -> str:
    """What trains here, for people: backend, device, and this precision."""
    names = {"tensorflow": "TensorFlow", "torch": "PyTorch", "jax": "JAX"}
    cores = usable_cores()
    device = device_name() or f"{cores} CPU core{'s' * (cores > 1)}"
    return f"{names[import_keras(TRAINING).backend.backend()]}, {device}, {precision}"


def fastest_precision(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """`mixed_bfloat16` where this machine's GPU computes it, or its processor does and faster, else `float32`.

    A processor that has to emulate bfloat16 trains ten times slower with it. Where there is no `cpuinfo`, as outside
    Linux, it counts as one of those.
    """
    gpu = _gpu()
    if gpu:
        has = gpu[1]
    else:
        has = cpuinfo.exists() and bool(CPU_WITH_BFLOAT16.search(cpuinfo.read_text())) and _bfloat16_is_faster()
    return "mixed_bfloat16" if has else "float32"


@cache
def _bfloat16_is_faster() -> bool:
    """Whether a convolution is; processors that have bfloat16 without AMX were three times faster with it, or half."""
    ops = import_keras(TRAINING).ops
    maps, kernel = np.ones(TRIED_MAPS, np.float32), np.ones((3, 3, TRIED_MAPS[-1], TRIED_MAPS[-1]), np.float32)

    def seconds(dtype: str) -> float:
        inputs = [ops.cast(values, dtype) for values in (maps, kernel)]
        times = []
        for _ in range(TRIES + 1):  # the first one prepares
            started = time.perf_counter()
            ops.convert_to_numpy(ops.cast(ops.sum(ops.conv(*inputs, padding="same")), "float32"))
            times.append(time.perf_counter() - started)
        return min(times[1:])

    return seconds("bfloat16") < seconds("float32")


def _gpu() -> tuple[str | None, bool] | None:
    """The GPU that Keras would use, by its maker's name, and whether it computes bfloat16; None without one."""
    keras = import_keras(TRAINING)
    backend = keras.backend.backend()
    if backend == "torch":
        device = keras.ops.zeros(1).device  # where Keras puts its tensors, by KERAS_TORCH_DEVICE or what is there
        if device.type != "cuda":
            return None if device.type == "cpu" else (device.type, False)
        import torch

        return torch.cuda.get_device_name(device), torch.cuda.is_bf16_supported(including_emulation=False)
    if backend == "jax":
        import jax

        device = jax.devices()[0]
        return None if jax.default_backend() == "cpu" else (device.device_kind, _jax_has_bfloat16(device))
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return None
    details = tf.config.experimental.get_device_details(gpus[0])
    return details.get("device_name"), details.get("compute_capability", (0, 0)) >= AMPERE


def _jax_has_bfloat16(device: Any) -> bool:
    """Whether a device of JAX computes it; a TPU does, and what tells no version as Nvidia's do counts as one."""
    version = re.fullmatch(r"(\d+)\.(\d+)", str(getattr(device, "compute_capability", None)))
    return version is None or (int(version[1]), int(version[2])) >= AMPERE


def device_name() -> str | None:
    """The GPU that trains, by its maker's name; None where it is the processor."""
    gpu = _gpu()
    return gpu[0] if gpu else None
