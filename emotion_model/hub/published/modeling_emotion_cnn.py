"""The emotion CNN in plain PyTorch, for `transformers`; published beside the weights.

It needs torch and transformers alone. The network is rebuilt from `config.json`, so one file serves every variation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import ImageClassifierOutputWithNoAttention

BATCH_NORM_EPSILON = 1e-3  # Keras's default, not PyTorch's
KNOWN = {
    "filters",
    "kernel_sizes",
    "attention_blocks",
    "skip_connections",
    "batch_norm",
    "pooling",
    "spatial_dropout",
    "dense_units",
    "dense_dropout",
    "classes",
    "image_size",
}


class EmotionCNNConfig(PretrainedConfig):
    """What `config.json` says; `architecture` holds the shape of the network, `temperature` scales its logits."""

    model_type = "emotion_cnn"

    def __init__(
        self,
        architecture: dict[str, Any] | None = None,
        temperature: float | Sequence[float] = 1.0,
        **kwargs: Any,
    ) -> None:
        self.architecture = architecture or {}
        # Under another name, because transformers takes `temperature` for a setting of text generation.
        self.logit_temperature = temperature
        super().__init__(**kwargs)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values, under the names that `config.json` has."""
        values = super().to_dict()
        values["temperature"] = values.pop("logit_temperature", 1.0)
        return values


class EmotionCNNForImageClassification(PreTrainedModel):
    """Grey face crops to emotions.

    Layers bear the names they have in the Keras network. Dropout is left out: this module is for inference.
    """

    config_class = EmotionCNNConfig
    main_input_name = "pixel_values"

    def __init__(self, config: EmotionCNNConfig) -> None:
        super().__init__(config)
        shape = config.architecture
        if set(shape) != KNOWN or shape["pooling"] not in ("avg", "max", "both"):
            known = ", ".join(sorted(KNOWN))
            raise ValueError(f"config.json describes a network that this file cannot build: {shape}; it knows {known}")
        if config.num_labels != shape["classes"]:
            raise ValueError(
                f"num_labels={config.num_labels}: this network tells {shape['classes']} classes apart, and its "
                "temperatures are theirs; the project's `python -m train.finetune` adds classes or drops some"
            )
        channels = 1
        for number, (filters, kernels) in enumerate(zip(shape["filters"], shape["kernel_sizes"], strict=True), start=1):
            block = f"block{number}"
            if shape["skip_connections"]:
                self._add_conv(f"{block}_shortcut", channels, filters, 1)
            for index, kernel in enumerate(kernels, start=1):
                self._add_conv(f"{block}_conv{index}", channels, filters, kernel)
                channels = filters
            if number in shape["attention_blocks"]:
                self.add_module(f"{block}_attention", nn.Conv2d(channels, 1, 1))
        features = channels * (2 if shape["pooling"] == "both" else 1)
        for number, units in enumerate(shape["dense_units"], start=1):
            self.add_module(f"dense{number}", nn.Linear(features, units))
            if shape["batch_norm"]:
                self.add_module(f"dense{number}_bn", nn.BatchNorm1d(units, eps=BATCH_NORM_EPSILON))
            features = units
        self.logits = nn.Linear(features, shape["classes"])
        self.post_init()

    def forward(
        self, pixel_values: torch.Tensor, labels: torch.Tensor | None = None, **_: Any
    ) -> ImageClassifierOutputWithNoAttention:
        """Grey pixels, float32 `(n, 1, size, size)` in 0..255 -> calibrated `logits` `(n, classes)`.

        With `labels`, int64 `(n,)`, the cross-entropy is in `loss`.
        """
        shape = self.config.architecture
        x = pixel_values / 255
        for number, kernels in enumerate(shape["kernel_sizes"], start=1):
            x = self._block(x, f"block{number}", len(kernels), number in shape["attention_blocks"])
        pooled = []
        if shape["pooling"] in ("avg", "both"):
            pooled.append(x.mean(dim=(2, 3)))
        if shape["pooling"] in ("max", "both"):
            pooled.append(x.amax(dim=(2, 3)))
        x = torch.cat(pooled, dim=1)
        for number in range(1, len(shape["dense_units"]) + 1):
            x = self._normed(f"dense{number}", x).relu()
        logits = self._calibrated(self.logits(x))
        loss = None if labels is None else nn.functional.cross_entropy(logits, labels)
        return ImageClassifierOutputWithNoAttention(loss=loss, logits=logits)

    def _calibrated(self, logits: torch.Tensor) -> torch.Tensor:
        """Divided by the temperature; of one per class, by their geometric mean weighted by the probabilities."""
        logs = torch.tensor(self.config.logit_temperature, dtype=logits.dtype, device=logits.device).log()
        return logits / (logits.softmax(dim=1) * logs).sum(dim=1, keepdim=True).exp()

    def _block(self, x: torch.Tensor, name: str, convolutions: int, attention: bool) -> torch.Tensor:
        shortcut = x
        for index in range(1, convolutions + 1):
            x = self._normed(f"{name}_conv{index}", x)
            if index == convolutions and self.config.architecture["skip_connections"]:
                x = x + self._normed(f"{name}_shortcut", shortcut)
            x = x.relu()
        if attention:
            x = x * getattr(self, f"{name}_attention")(x).sigmoid()
        return nn.functional.max_pool2d(x, 2)

    def _normed(self, name: str, x: torch.Tensor) -> torch.Tensor:
        x = getattr(self, name)(x)
        return getattr(self, f"{name}_bn")(x) if self.config.architecture["batch_norm"] else x

    def _add_conv(self, name: str, channels: int, filters: int, kernel: int) -> None:
        self.add_module(name, nn.Conv2d(channels, filters, kernel, padding=kernel // 2))
        if self.config.architecture["batch_norm"]:
            self.add_module(f"{name}_bn", nn.BatchNorm2d(filters, eps=BATCH_NORM_EPSILON))
