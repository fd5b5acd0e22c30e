"""The convolutional network, built from its config with Keras."""

from __future__ import annotations

import logging
import math
from functools import cache
from typing import TYPE_CHECKING, Any

from emotion_model.network.architecture import ArchitectureConfig
from emotion_model.network.backends import TRAINING, alternatives, import_keras

if TYPE_CHECKING:
    import keras


@cache
def _keras() -> Any:
    """Keras on a backend that trains: whoever builds a network wants to train it."""
    keras = import_keras(TRAINING)
    if keras.backend.backend() not in TRAINING:
        logging.getLogger(__name__).warning(
            "Keras runs on %s in this program, where no network can be trained: call `build_model` before a model is "
            "loaded with Keras, or set KERAS_BACKEND to %s.",
            keras.backend.backend(),
            alternatives(TRAINING),
        )
    return keras


def build_model(config: ArchitectureConfig | None = None) -> keras.Model:
    """Build the network.

    Input: float32 grey pixels `(n, image_size, image_size, 1)` in 0..255; the scaling to 0..1 is the first layer,
    so it cannot be forgotten. Output: float32 probabilities `(n, classes)`, each row summing to 1.

    Source: a VGG-style reference network for FER2013 (Goodfellow et al., 2013) with a sigmoid spatial attention map;
    He-normal initialisation (He et al., 2015), batch normalisation (Ioffe & Szegedy, 2015), spatial dropout
    (Tompson et al., 2015).
    """
    config = config or ArchitectureConfig()
    keras = _keras()
    layers = keras.layers
    inputs = keras.Input((config.image_size, config.image_size, 1), name="grey_pixels")
    x = layers.Rescaling(1 / 255, name="scale")(inputs)
    for number, (filters, kernels) in enumerate(zip(config.filters, config.kernel_sizes, strict=True), start=1):
        x = _block(x, number, filters, kernels, config)
    pooled = []
    if config.pooling in ("avg", "both"):
        pooled.append(layers.GlobalAveragePooling2D(name="global_avg")(x))
    if config.pooling in ("max", "both"):
        pooled.append(layers.GlobalMaxPooling2D(name="global_max")(x))
    x = pooled[0] if len(pooled) == 1 else layers.Concatenate(name="global_pool")(pooled)
    for number, (units, rate) in enumerate(zip(config.dense_units, config.dense_dropout, strict=True), start=1):
        x = layers.Dense(units, kernel_initializer="he_normal", name=f"dense{number}")(x)
        x = _norm_relu(x, f"dense{number}", config.batch_norm)
        x = layers.Dropout(rate, name=f"dense{number}_dropout")(x)
    # Probabilities stay float32 under mixed precision: a half-precision softmax does not sum to 1.
    x = layers.Dense(config.classes, name="logits", dtype="float32")(x)
    return keras.Model(inputs, layers.Softmax(name="probabilities", dtype="float32")(x), name="emotion_cnn")


def _block(x: Any, number: int, filters: int, kernels: tuple[int, ...], config: ArchitectureConfig) -> Any:
    layers = _keras().layers
    name = f"block{number}"
    shortcut = x
    for index, kernel in enumerate(kernels, start=1):
        conv = f"{name}_conv{index}"
        x = layers.Conv2D(filters, kernel, padding="same", kernel_initializer="he_normal", name=conv)(x)
        if index == len(kernels) and config.skip_connections:
            shortcut = layers.Conv2D(filters, 1, kernel_initializer="he_normal", name=f"{name}_shortcut")(shortcut)
            if config.batch_norm:
                x = layers.BatchNormalization(name=f"{conv}_bn")(x)
                shortcut = layers.BatchNormalization(name=f"{name}_shortcut_bn")(shortcut)
            x = layers.ReLU(name=f"{conv}_relu")(layers.Add(name=f"{name}_add")([x, shortcut]))
        else:
            x = _norm_relu(x, conv, config.batch_norm)
    if number in config.attention_blocks:
        attention = layers.Conv2D(1, 1, activation="sigmoid", name=f"{name}_attention")(x)
        x = layers.Multiply(name=f"{name}_attended")([x, attention])
    x = layers.MaxPooling2D(2, name=f"{name}_pool")(x)
    return layers.SpatialDropout2D(config.spatial_dropout, name=f"{name}_dropout")(x)


def _norm_relu(x: Any, name: str, batch_norm: bool) -> Any:
    if batch_norm:
        x = _keras().layers.BatchNormalization(name=f"{name}_bn")(x)
    return _keras().layers.ReLU(name=f"{name}_relu")(x)


def count_multiply_adds(model: keras.Model) -> int:
    """Multiply-adds of one forward pass of one image: convolutions and dense layers, biases left out."""
    total = 0
    for layer in model.layers:
        if isinstance(layer, _keras().layers.Conv2D):
            _, height, width, _ = layer.output.shape
            total += height * width * math.prod(layer.kernel.shape)
        elif isinstance(layer, _keras().layers.Dense):
            total += math.prod(layer.kernel.shape)
    return total
