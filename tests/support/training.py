"""Made-up faces, and short runs on them."""

import shutil
from dataclasses import replace

import cv2
import keras
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from emotion_model import EMOTIONS, EmotionClassifier
from support.models import TINY
from train.config import AugmentationConfig, Preset, TrainingConfig
from train.data.fer2013 import FaceDataset

VOTES = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "not_a_face")


def faces(count, seed):
    return np.random.default_rng(seed).integers(0, 256, (count, 48, 48), np.uint8)


def names(count):
    return [EMOTIONS[i % 7] for i in range(count)]


def write_parquet(folder, split, images, emotions, drop=(), votes=None):
    encoded = [{"bytes": cv2.imencode(".png", image)[1].tobytes(), "path": None} for image in images]
    columns = {"image": encoded, "emotion": emotions}
    for i, name in enumerate(VOTES):
        columns[f"votes_{name}"] = [row[i] for row in votes] if votes is not None else [1] * len(images)
    pq.write_table(pa.table({k: v for k, v in columns.items() if k not in drop}), folder / f"{split}.parquet")


def nothing(**changes):
    off = {"rotation": 0, "shift": 0, "zoom": 0, "flip": False, "brightness": 0, "contrast": 0, "erasing": 0}
    return AugmentationConfig(**(off | changes))


RECIPE = TrainingConfig(
    epochs=3, batch_size=8, learning_rate=3e-3, augmentation=AugmentationConfig(rotation=5, shift=0.02)
)


def separable(count, seed):
    """Faces that are easily told apart: each class has a brightness of its own."""
    labels = np.arange(count) % 7
    return FaceDataset(faces(count, seed) // 8 + (labels * 32).astype(np.uint8)[:, None, None], labels)


def preset(**changes):
    return Preset(TINY, replace(RECIPE, **changes))


def pupil(**changes):
    """A network and a recipe that learn from a hundred or so of them."""
    network = replace(TINY, filters=(8,), kernel_sizes=((3,),), batch_norm=False)
    recipe = {"epochs": 6, "batch_size": 7, "learning_rate": 2e-2, "ema_momentum": 0.9}
    return replace(preset(**(recipe | changes)), architecture=network)


class Impatient:
    """What `Run.train` asks whether to stop, as a signal would make it: yes, from the so many-th time on."""

    def __init__(self, times):
        self.left = times

    @property
    def stopped(self):
        self.left -= 1
        return self.left <= 0


def weights_of(path):
    return keras.saving.load_model(path / "model.keras").get_weights()


def same(a, b):
    return all(np.allclose(x, y, atol=1e-6) for x, y in zip(a, b, strict=True))


def relabelled(model, folder, labels):
    """A copy of a model whose outputs keep their places and get other labels."""
    shutil.copytree(model, folder)
    config = replace(EmotionClassifier.load(model).config, labels=labels)
    (folder / "config.json").write_text(config.to_json(), encoding="utf-8")
    return folder
