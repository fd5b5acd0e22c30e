"""The classes of a fine-tuned model, and the weights that it begins with."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from emotion_model.labels import KNOWN, Label
from emotion_model.network.architecture import ArchitectureConfig
from emotion_model.network.building import build_model
from emotion_model.network.classifier import EmotionClassifier
from emotion_model.network.config import CONFIG_FILE, ModelConfig, ModelError

# Of new classes: as far from the known emotions' colours as anything legible is, for the kinds of colour vision that
# `LABELS` names.
SPARE_COLOURS = ("#9c36c6", "#7e606c")


def choose_labels(base: Sequence[Label], found: Collection[str], drop: Collection[str] = ()) -> tuple[Label, ...]:
    """The classes of the new model: the base model's in their order, without the dropped ones, then the new ones.

    Raises:
        ValueError: a class to drop that the model does not have, or fewer than two classes left.
    """
    names = [label.name for label in base]
    for name in drop:
        if name not in names:
            raise ValueError(f"--drop {name}: the model has no such class; it has {', '.join(names)}")
    labels = [label for label in base if label.name not in drop]
    taken = {label.colour for label in (*labels, *KNOWN.values())}
    spare = iter(colour for colour in SPARE_COLOURS if colour not in taken)
    for name in sorted(set(found) - set(names)):
        labels.append(KNOWN.get(name) or Label(name, colour=next(spare, Label.colour)))
    if len(labels) < 2:
        raise ValueError(f"{', '.join(drop)} dropped: a model needs at least two classes, so drop fewer")
    ModelConfig(labels=tuple(labels))  # says now, not after the first epochs, what names it takes
    return tuple(labels)


def start_weights(base: EmotionClassifier, labels: Sequence[Label]) -> tuple[ArchitectureConfig, list[np.ndarray]]:
    """The base model's network with an output for each label, and its weights.

    Kept classes keep theirs; a new one begins as the mean of the base model's, neither favoured nor ruled out.

    Raises:
        ModelError: the model's config does not describe its network.
    """
    if not base.config.architecture:
        raise ModelError(f"{base.source}: its {CONFIG_FILE} does not say which network it is; export it anew.")
    try:
        architecture = ArchitectureConfig(**base.config.architecture | {"classes": len(labels)})
        network = build_model(architecture)
        for layer in network.layers:
            values = base.model.get_layer(layer.name).get_weights()
            if layer.name == "logits":
                values = [_outputs(value, base.emotions, labels) for value in values]
            layer.set_weights(values)
    except (TypeError, ValueError) as error:
        raise ModelError(f"{base.source}: it is not the network that its {CONFIG_FILE} describes ({error}).") from error
    return architecture, network.get_weights()


def _outputs(value: np.ndarray, emotions: Sequence[str], labels: Sequence[Label]) -> np.ndarray:
    """Kernel or bias of the last layer, its last axis rearranged from the old classes to the new."""
    columns = [value[..., emotions.index(one.name)] if one.name in emotions else value.mean(-1) for one in labels]
    return np.stack(columns, axis=-1)
