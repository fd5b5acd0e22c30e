"""Training configurations and the named presets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from emotion_model.files import disk_is_full
from emotion_model.network.architecture import ArchitectureConfig, setting

CHOICES = {
    "loss": ("focal", "cross_entropy"),
    "optimizer": ("adam", "adamw"),
    "schedule": ("plateau", "one_cycle"),
    "precision": ("auto", "float32", "mixed_bfloat16", "mixed_float16"),
    "mixing": ("mixup", "cutmix"),
}
# Settings that do nothing where another one has this value.
IDLE_WITH: dict[str, tuple[str, Any]] = {
    "weight_decay": ("optimizer", "adam"),
    "focal_gamma": ("loss", "cross_entropy"),
    "warmup": ("schedule", "plateau"),
    "plateau_factor": ("schedule", "one_cycle"),
    "plateau_patience": ("schedule", "one_cycle"),
    "minimum_learning_rate": ("schedule", "one_cycle"),
    "mixing": ("mixup", 0.0),
}
LARGEST_SEED = 2**32 - 1  # that Keras takes


def ranges(config: Any) -> dict[str, tuple[float, float]]:
    """The least and the most of each setting that has them, of a config or its class."""
    return {f.name: f.metadata["ends"] for f in fields(config) if f.metadata.get("ends")}


def _check_ranges(config: object, **more: tuple[float, float]) -> None:
    for name, (low, high) in (ranges(config) | more).items():
        value = getattr(config, name)
        if not low <= value <= high:
            raise ValueError(f"{name}={value!r}: use a value from {low} to {high}")


@dataclass(frozen=True)
class AugmentationConfig:
    """Random changes to a training face; each range is symmetric and 0 turns it off. Defaults: the reference recipe.

    Raises:
        ValueError: a value is out of range.
    """

    rotation: float = setting(25.0, "degrees, to either side", (0, 180))
    shift: float = setting(0.2, "share of the image's side, in both directions", (0, 0.9))
    zoom: float = setting(0.2, "share; 0.2 scales by 0.8 to 1.2", (0, 0.9))
    flip: bool = setting(True, "mirror every second face")
    brightness: float = setting(0.0, "share of the full range, added or taken away", (0, 0.9))
    contrast: float = setting(0.0, "share; 0.3 multiplies by 0.7 to 1.3", (0, 0.9))
    erasing: float = setting(0.0, "probability that a rectangle of the face is covered (Zhong et al., 2020)", (0, 1))
    degradation: float = setting(0.0, "probability of low resolution, blur, noise or JPEG, one of the four", (0, 1))

    def __post_init__(self) -> None:
        _check_ranges(self)

    def scaled(self, strength: float) -> AugmentationConfig:
        """The same changes with every range and probability, but that of mirroring, multiplied by `strength`."""
        return replace(self, **{name: getattr(self, name) * strength for name in ranges(self)})


@dataclass(frozen=True)
class TrainingConfig:
    """How a network is fitted. Defaults: the reference recipe.

    Raises:
        ValueError: a value is out of range.
    """

    epochs: int = setting(100, "times that every training face is seen", (1, 10_000))
    batch_size: int = setting(32, "faces in a step", (1, 10_000))
    loss: str = setting("focal", "focal (Lin et al., 2017) or cross-entropy")
    focal_gamma: float = setting(
        2.0, "how much less the focal loss weighs faces that are easy; 0 makes it a quarter of cross-entropy", (0, 10)
    )
    optimizer: str = setting("adam", "adamw also decays the weights")
    learning_rate: float = setting(3e-4, "of the first step, or the peak of one_cycle", (1e-7, 1))
    weight_decay: float = setting(0.0, "of adamw", (0, 1))
    schedule: str = setting("plateau", "lower the rate when val_loss stalls, or warm up linearly, then cosine to zero")
    warmup: float = setting(0.1, "share of all steps, for one_cycle", (0, 1))
    plateau_factor: float = setting(0.5, "what the rate is multiplied by when val_loss stalls", (0.01, 0.99))
    plateau_patience: int = setting(6, "epochs without a better val_loss before that", (0, 10_000))
    minimum_learning_rate: float = setting(1e-6, "below which plateaus do not lower it", (1e-7, 1))
    early_stopping_patience: int = setting(
        20, "epochs without a better val_loss before the end; 0 turns it off", (0, 10_000)
    )
    label_smoothing: float = setting(0.0, "share of each target that is spread over all classes", (0, 0.9))
    mixup: float = setting(
        0.0, "both parameters of the Beta for two faces' shares (Zhang et al., 2018); 0 turns it off", (0, 10)
    )
    mixing: str = setting("mixup", "where mixup is on: blend two faces, or put a rectangle of one into the other")
    ferplus_weight: float = setting(0.0, "share of the FER+ votes (Barsoum et al., 2016) in each target", (0, 1))
    distillation: float = setting(
        0.0, "share of a teacher's probabilities in each target (Hinton et al., 2015)", (0, 1)
    )
    class_weight_power: float = setting(
        0.0, "a class weighs (1 / its frequency) to this power; 1 is fully balanced", (0, 1)
    )
    logit_adjustment: float = setting(
        0.0,
        "answers are compared as if each class were this power of its frequency likelier (Menon et al., 2021)",
        (0, 2),
    )
    sharpness_radius: float = setting(
        0.0,
        "distance at which gradients are taken, uphill of the weights (SAM; Foret et al., 2021); 0 turns it off",
        (0, 10),
    )
    attention_consistency: float = setting(
        0.0, "weight of how far the attention to a face and to its mirror image differ (Zhang et al., 2022)", (0, 10)
    )
    ema_momentum: float = setting(
        0.0,
        "per step, of the averaged weights that are kept; less in the first 9 / (1 - it) steps; 0: none",
        (0, 0.99999),
    )
    gentle_epochs: int = setting(
        0, "at the end, without mixup and with variations half as strong: nearer to faces as they are in use"
    )
    levels: bool = setting(
        False, "varied faces that are dark, pale or flat get usual levels, as they do where a network serves"
    )
    device_augmentation: bool = setting(False, "vary faces where the network trains, which a GPU does faster")
    precision: str = setting("float32", "auto: mixed_bfloat16, whose weights stay float32, where that is faster")
    seed: int = setting(0, "of the first weights, the order and the variations of the faces", (0, LARGEST_SEED))
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)

    def __post_init__(self) -> None:
        if isinstance(self.augmentation, dict):
            object.__setattr__(self, "augmentation", AugmentationConfig(**self.augmentation))
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name}={getattr(self, name)!r}: choose one of {', '.join(choices)}")
        _check_ranges(self, gentle_epochs=(0, self.epochs))
        for name in ("sharpness_radius", "attention_consistency"):
            if self.device_augmentation and getattr(self, name):
                raise ValueError(
                    f"{name}={getattr(self, name)!r}: needs faces that the processor varies; turn device_augmentation "
                    "off (--no-device-augmentation)"
                )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values; `TrainingConfig(**values)` restores the config."""
        return asdict(self)


_PARTS = (ArchitectureConfig, TrainingConfig, AugmentationConfig)


@dataclass(frozen=True)
class Preset:
    """A network and the recipe it is trained with.

    Raises:
        ValueError: the one cannot learn by the other.
    """

    architecture: ArchitectureConfig
    training: TrainingConfig

    def __post_init__(self) -> None:
        network = self.architecture
        if self.training.batch_size == 1 and network.batch_norm and network.dense_units:
            raise ValueError(
                "batch_size=1: batch norm makes every face the same to a hidden layer that sees one at a time; use at "
                "least 2, or batch_norm=False"
            )


def settings() -> dict[str, Any]:
    """Name and default of everything that can be varied, network, recipe and augmentation alike."""
    return {f.name: f.default for part in _PARTS for f in fields(part) if f.name != "augmentation"}


def meanings() -> dict[str, str]:
    """Name and meaning of every setting that has a flag."""
    return {f.name: f.metadata["meaning"] for part in _PARTS for f in fields(part) if f.metadata}


def with_settings(preset: Preset, changes: Mapping[str, Any]) -> Preset:
    """A preset with some settings changed; names as `settings` lists them.

    Raises:
        ValueError: an unknown name, a value that is out of range, or one that would do nothing beside the others.
    """
    unknown = sorted(set(changes) - set(settings()))
    if unknown:
        raise ValueError(f"unknown setting {', '.join(unknown)}: choose among {', '.join(settings())}")

    def of(part: Any) -> dict[str, Any]:
        return {f.name: changes[f.name] for f in fields(part) if f.name in changes}

    augmentation = replace(preset.training.augmentation, **of(AugmentationConfig))
    training = replace(preset.training, **of(TrainingConfig), augmentation=augmentation)
    _require_effect(changes, training)
    return Preset(replace(preset.architecture, **of(ArchitectureConfig)), training)


def _require_effect(changes: Mapping[str, Any], training: TrainingConfig) -> None:
    """Refuse settings that were asked for and would do nothing, and early stopping that could cut off the end of a run.

    Not where a config is made: a preset's own, such as its weight decay, may lie idle, and so may what a record holds.
    What the reference has is taken too, so that a run of a plan can take back what all of its runs are given.

    Raises:
        ValueError: there are some.
    """
    defaults = settings()
    for name, (other, value) in IDLE_WITH.items():
        if changes.get(name, defaults[name]) != defaults[name] and getattr(training, other) == value:
            raise ValueError(
                f"{name}={changes[name]!r} does nothing with {other}={value!r}: choose another {other}, or "
                f"{name}={defaults[name]!r}"
            )
    if changes.get("optimizer") == "adamw" and not training.weight_decay and "weight_decay" not in changes:
        raise ValueError(
            "optimizer='adamw': with weight_decay=0.0 it does nothing that adam does not; set weight_decay, or use adam"
        )
    minimum, rate = changes.get("minimum_learning_rate", defaults["minimum_learning_rate"]), training.learning_rate
    if minimum != defaults["minimum_learning_rate"] and training.schedule == "plateau" and minimum >= rate:
        raise ValueError(
            f"minimum_learning_rate={minimum!r}: no plateau could lower learning_rate={rate!r}; use a value below it"
        )
    patience = training.early_stopping_patience
    may_stop = 0 < patience < training.epochs - 1  # the first epoch is always the best so far
    for name, without in (("gentle_epochs", 0), ("schedule", "plateau")):
        if may_stop and (value := getattr(training, name)) != without:
            raise ValueError(
                f"{name}={value!r}: early_stopping_patience={patience} could end the run before its last epochs, which "
                "that is for; set early_stopping_patience=0"
            )


_REFERENCE = Preset(ArchitectureConfig(), TrainingConfig())

PRESETS: dict[str, Preset] = {
    # The reference network and recipe, value for value.
    "seed": _REFERENCE,
    # Variations of the reference network, each with the reference's recipe. What is a single value has no preset but a
    # flag, such as --pooling max.
    "fifth_block": with_settings(_REFERENCE, {"filters": (64, 128, 256, 512, 1024), "kernel_sizes": ((3, 3),) * 5}),
    "mixed_kernels": with_settings(_REFERENCE, {"kernel_sizes": ((3, 5),) * 4}),
    "attention_all": with_settings(_REFERENCE, {"attention_blocks": (1, 2, 3, 4)}),
    "attention_none": with_settings(_REFERENCE, {"attention_blocks": ()}),
    "resnet": with_settings(_REFERENCE, {"skip_connections": True}),
    # After VGG-13 (Simonyan & Zisserman, 2015): deeper in the late blocks, average pooling, no attention.
    "vgg": with_settings(
        _REFERENCE,
        {"kernel_sizes": ((3, 3), (3, 3), (3, 3, 3), (3, 3, 3)), "attention_blocks": (), "pooling": "avg"},
    ),
    # The bundled model's: fits a 10 MB file and the time that a live picture has. One convolution instead of two at
    # full resolution, where most of the reference's time goes, and width where it is cheap.
    "compact": Preset(
        ArchitectureConfig(
            filters=(32, 96, 160, 320),
            kernel_sizes=((5,), (3, 3), (3, 3), (3, 3)),
            dense_units=(256,),
            dense_dropout=(0.3,),
        ),
        TrainingConfig(
            epochs=60,
            batch_size=128,
            loss="cross_entropy",
            optimizer="adamw",
            learning_rate=3e-3,
            weight_decay=0.05,
            schedule="one_cycle",
            early_stopping_patience=0,
            label_smoothing=0.05,
            ferplus_weight=0.3,
            class_weight_power=0.25,
            ema_momentum=0.999,
            precision="auto",
            augmentation=AugmentationConfig(
                rotation=15.0, shift=0.1, zoom=0.15, brightness=0.15, contrast=0.3, erasing=0.3, degradation=0.2
            ),
        ),
    ),
}


def same_network(recorded: Mapping[str, Any], other: ArchitectureConfig) -> bool:
    """Whether the weights of one network fit another: dropout has none, and attention comes in no order.

    Args:
        recorded: the architecture of the one, as a `config.json` has it; where that says nothing, it is another.
        other: the other network.
    """

    def weighed(one: ArchitectureConfig) -> ArchitectureConfig:
        attention, none = tuple(sorted(set(one.attention_blocks))), (0.0,) * len(one.dense_units)
        return replace(one, attention_blocks=attention, spatial_dropout=0.0, dense_dropout=none)

    return bool(recorded) and weighed(ArchitectureConfig(**recorded)) == weighed(other)


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two JSON-ready configs, for people: `training.epochs 10, now 20`."""
    told = []
    for name in sorted({*before, *now}):
        old, new = before.get(name), now.get(name)
        if isinstance(old, Mapping) or isinstance(new, Mapping):
            told += [f"{name}.{one}" for one in differences(old or {}, new or {})]
        elif old != new:
            told.append(f"{name} {json.dumps(old)}, now {json.dumps(new)}")
    return told


def explain(error: Exception, out: Path) -> str:
    """What a command line says of an error: its own sentence, or the mend where the disk of `out` is full."""
    if disk_is_full(error):
        return f"{out}: the disk is full; free some space and run the same line once more"
    return str(error)
