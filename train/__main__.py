"""Train a network.

python -m train --data DIR --preset compact --out RUN_DIR     train, or go on with a stopped run
python -m train --preset seed --summary                       print its size and settings as JSON, train nothing

Every setting of network, recipe and augmentation has a flag of its own, such as --learning-rate, --no-batch-norm,
--attention-blocks or --rotation.
"""

from __future__ import annotations

import json
import math
import sys
from dataclasses import asdict, replace
from pathlib import Path

from emotion_model.network.building import build_model, count_multiply_adds
from emotion_model.network.config import ModelError
from train.config import PRESETS, Preset, explain, settings, with_settings
from train.data.fer2013 import FaceDataset, learning_faces
from train.fitting.fit import fit
from train.fitting.signals import StoppedError
from train.fitting.starts import Start
from train.fitting.teachers import Teacher, require_teacher
from train.flags import command_parser
from train.runs import told


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = command_parser()
    options = parser.parse_args(arguments)
    try:
        changes = {name: getattr(options, name) for name in settings() if getattr(options, name, None) is not None}
        preset = with_settings(PRESETS[options.preset], changes)
        if options.summary:
            model = build_model(preset.architecture)
            summary = {
                "preset": options.preset,
                "trainable_parameters": sum(math.prod(weight.shape) for weight in model.trainable_weights),
                "multiply_adds": count_multiply_adds(model),
                "architecture": asdict(preset.architecture),
                "training": preset.training.to_dict(),
            }
            print(json.dumps(summary))
            return 0
        if options.data is None or options.out is None:
            parser.error("--data and --out are needed to train")
        require_teacher(preset, bool(options.teacher))
        _require_blocks(options.frozen_blocks, preset, bool(options.start))

        train, validation, dropped = _faces(options.data, options.limit)
        if train.votes is None and preset.training.ferplus_weight:
            weight = preset.training.ferplus_weight
            print(f"no FER+ votes in this form of the data (docs/training.md): ferplus_weight {weight} becomes 0")
            preset = replace(preset, training=replace(preset.training, ferplus_weight=0.0))
        start = _start(options.start, preset, options.frozen_blocks) if options.start else None
        teacher = None
        if options.teacher and preset.training.device_augmentation:
            teacher = Teacher.beside(options.teacher, train.emotions)
        elif options.teacher:
            teacher = Teacher.of_models(options.teacher, train)
        metrics = fit(preset, train, validation, options.out, dropped, options.track, start, teacher=teacher)
    except StoppedError as stopped:
        print(stopped)
        return 130
    except KeyboardInterrupt:  # while data are read or teachers asked; once it trains, a run stops with a checkpoint
        print("stopped outside of the training: nothing is lost, the same command begins there again", file=sys.stderr)
        return 130
    except (ModelError, ValueError, OSError) as error:
        print(f"error: {explain(error, options.out)}", file=sys.stderr)
        return 2
    print(f"{told(metrics)} -> {options.out}")
    return 0


def _faces(data_dir: Path, limit: int | None) -> tuple[FaceDataset, FaceDataset, int]:
    """What `learning_faces` has, of training faces at most `limit`; tells how many there are."""
    train, validation, dropped = learning_faces(data_dir)
    whole = len(train)
    if limit is not None:
        train = train.sample(limit)
    of = f" of {whole:,}" if len(train) < whole else ""
    why = f"{dropped:,} dropped: they also stand in validation or test"
    print(f"{len(train):,}{of} training faces ({why}), {len(validation):,} validation faces", flush=True)
    return train, validation, dropped


def _require_blocks(frozen: int, preset: Preset, started: bool) -> None:
    blocks = len(preset.architecture.filters)
    if not 0 <= frozen <= blocks:
        raise ValueError(f"--frozen-blocks {frozen}: the network has {blocks} blocks, use a number from 0 to {blocks}")
    if frozen and not started:
        raise ValueError("--frozen-blocks keeps the weights that --start brings: give --start too")


def _start(name: str, preset: Preset, frozen_blocks: int) -> Start:
    start = Start.of(name, preset)
    if not frozen_blocks:
        return start
    frozen = tuple(f"block{block}_" for block in range(1, frozen_blocks + 1))
    return replace(
        start,
        record=start.record | {"frozen_blocks": frozen_blocks},
        trainable=lambda layer: not layer.name.startswith(frozen),
    )


if __name__ == "__main__":
    sys.exit(main())
