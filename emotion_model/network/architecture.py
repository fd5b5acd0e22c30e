"""The shape of the convolutional network, as a small config.

One config describes the reference network and every variation of it: more blocks, mixed kernel sizes,
spatial attention anywhere, skip connections, no batch norm, other poolings and dropout rates.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

POOLINGS = ("avg", "max", "both")
SMALLEST_SIZE = 8  # pixels of a face's side


def setting(default: Any, meaning: str, ends: tuple[float, float] | None = None) -> Any:
    """A field of a config: its meaning, which the command lines tell too, and the least and the most it may be."""
    return field(default=default, metadata={"meaning": meaning, "ends": ends})


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
        smallest = max(SMALLEST_SIZE, 2**blocks)
        if self.image_size < smallest:
            raise ValueError(f"image_size={self.image_size}: use at least {smallest} pixels; each block halves them")
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
