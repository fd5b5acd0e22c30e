"""The convolutional network, built from a small config.

One builder makes the reference network and every variation of it: more blocks, mixed kernel sizes,
spatial attention anywhere, skip connections, no batch norm, other poolings and dropout rates.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import keras

POOLINGS = ("avg", "max", "both")


def setting(default: Any, meaning: str) -> Any:
    """A field of a config whose meaning the command lines tell too."""
    return field(default=default, metadata={"meaning": meaning})


@dataclass(frozen=True)
class ArchitectureConfig:
    """The shape of the network. The defaults are the reference network: 5,347,784 trainable parameters.

    Raises:
        ValueError: a value is out of range; the message quotes it and says what is allowed.
    """

    filters: tuple[int, ...] = setting((64, 128, 256, 512), "convolution filters, one number per block")
    kernel_sizes: tuple[tuple[int, ...], ...] = setting(
        ((3, 3), (3, 3), (3, 3), (3, 3)), "sides of the kernels, one list per block with one entry per convolution"
    )
    attention_blocks: tuple[int, ...] = setting((3,), "blocks with spatial attention, counted from 1; may be none")
    skip_connections: bool = setting(False, "add each block's input to its output, as ResNet does")
    batch_norm: bool = setting(True, "batch normalisation after each convolution and hidden layer")
    pooling: str = setting("both", "global pooling of the last feature map; both: the two side by side")
    spatial_dropout: float = setting(0.1, "share of whole feature maps that is dropped after each block")
    dense_units: tuple[int, ...] = setting((512, 256), "sizes of the classifier's hidden layers; may be none")
    dense_dropout: tuple[float, ...] = setting((0.3, 0.25), "share that is dropped after each hidden layer")
    classes: int = 7
    image_size: int = setting(48, "side of the grey input in pixels")

    def __post_init__(self) -> None:
        for one in fields(self):  # JSON has no tuples: accept lists, keep the config hashable
            value = getattr(self, one.name)
            if isinstance(value, list):
                frozen = tuple(tuple(item) if isinstance(item, list) else item for item in value)
                object.__setattr__(self, one.name, frozen)
        blocks = len(self.filters)
        if not blocks or any(not isinstance(n, int) or n < 1 for n in self.filters):
            raise ValueError(f"filters={self.filters!r}: give one positive whole number per block, e.g. (64, 128, 256)")
        if self.image_size < 2**blocks:
            raise ValueError(
                f"image_size={self.image_size} is halved by each of the {blocks} blocks: use at least {2**blocks}"
            )
        if len(self.kernel_sizes) != blocks or any(not kernels for kernels in self.kernel_sizes):
            raise ValueError(
                f"kernel_sizes={self.kernel_sizes!r}: give one non-empty tuple per block ({blocks}), e.g. (3, 3)"
            )
        if any(k < 1 or k % 2 == 0 for kernels in self.kernel_sizes for k in kernels):
            raise ValueError(f"kernel_sizes={self.kernel_sizes!r}: kernel sizes are odd and positive, such as 3 or 5")
        if any(not 1 <= block <= blocks for block in self.attention_blocks):
            raise ValueError(f"attention_blocks={self.attention_blocks!r}: blocks are counted from 1 to {blocks}")
        if self.pooling not in POOLINGS:
            raise ValueError(f"pooling={self.pooling!r}: choose one of {', '.join(POOLINGS)}")
        if len(self.dense_dropout) != len(self.dense_units):
            raise ValueError(
                f"dense_dropout={self.dense_dropout!r}: give one rate for each of dense_units={self.dense_units!r}"
            )
        if any(not isinstance(n, int) or n < 1 for n in self.dense_units):
            raise ValueError(f"dense_units={self.dense_units!r}: layer widths are positive whole numbers")
        for rate in (self.spatial_dropout, *self.dense_dropout):
            if not 0 <= rate < 1:
                raise ValueError(f"dropout rate {rate!r}: use 0 (off) up to, not including, 1")
        if self.classes < 2:
            raise ValueError(f"classes={self.classes}: a classifier needs at least 2")

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values; `ArchitectureConfig(**values)` restores the config."""
        return asdict(self)


def build_model(config: ArchitectureConfig | None = None) -> keras.Model:
    """Build the network.

    Input: float32 grey pixels `(n, image_size, image_size, 1)` in 0..255; the scaling to 0..1 is the first layer,
    so it cannot be forgotten. Output: float32 probabilities `(n, classes)`, each row summing to 1.

    Source: a VGG-style reference network for FER2013 (Goodfellow et al., 2013) with a sigmoid spatial attention map;
    He-normal initialisation (He et al., 2015), batch normalisation (Ioffe & Szegedy, 2015), spatial dropout
    (Tompson et al., 2015).
    """
    config = config or ArchitectureConfig()
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
    layers = keras.layers
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
        x = keras.layers.BatchNormalization(name=f"{name}_bn")(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x)


def count_multiply_adds(model: keras.Model) -> int:
    """Multiply-adds of one forward pass of one image: convolutions and dense layers, biases left out."""
    total = 0
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            _, height, width, _ = layer.output.shape
            total += height * width * math.prod(layer.kernel.shape)
        elif isinstance(layer, keras.layers.Dense):
            total += math.prod(layer.kernel.shape)
    return total
