"""What fine-tuning is told."""

from __future__ import annotations

from dataclasses import dataclass, replace

from emotion_model.network.architecture import setting
from train.config import AugmentationConfig, TrainingConfig

EPOCH_FACES = 256  # own faces in an epoch; fewer pictures are seen several times, varied anew each time
FEWEST_MISTAKES = 10  # in a validation set; fewer say nothing about how sure the model may be
FEW_HELD_OUT = 50  # below this the report says how coarse it is
RECIPE = TrainingConfig(
    batch_size=32,
    loss="cross_entropy",
    schedule="one_cycle",
    early_stopping_patience=0,
    label_smoothing=0.05,
    augmentation=AugmentationConfig(rotation=10.0, shift=0.06, zoom=0.1, brightness=0.1, contrast=0.2, degradation=0.1),
)


@dataclass(frozen=True)
class Settings:
    """How to fine-tune.

    Raises:
        ValueError: a value is out of range.
    """

    epochs_frozen: int = setting(10, "epochs of the classifier alone; 0 for none")
    epochs: int = setting(10, "epochs of the whole network; 0 for none")
    learning_rate: float = setting(1e-3, "of the classifier; the whole network gets a tenth")
    held_out: float = setting(0.2, "share of each class for the report, and as much again to choose the epoch")
    seed: int = setting(0, "another one splits and trains otherwise")

    def __post_init__(self) -> None:
        if min(self.epochs_frozen, self.epochs) < 0 or not self.epochs_frozen + self.epochs:
            raise ValueError(f"epochs_frozen={self.epochs_frozen}, epochs={self.epochs}: give at least one epoch")
        if not 1e-6 <= self.learning_rate <= 0.1:
            raise ValueError(f"learning_rate={self.learning_rate}: use a value from 1e-06 to 0.1")
        if not 0.1 <= self.held_out <= 0.4:
            raise ValueError(f"held_out={self.held_out}: use a share from 0.1 to 0.4")
        self.recipes()  # refuse now what they refuse

    def recipes(self) -> tuple[TrainingConfig | None, TrainingConfig | None]:
        """How the classifier alone learns, and how the whole network; None for a phase that is left out."""
        return self._recipe(self.epochs_frozen, self.learning_rate), self._recipe(self.epochs, self.learning_rate / 10)

    def _recipe(self, epochs: int, rate: float) -> TrainingConfig | None:
        return replace(RECIPE, epochs=epochs, learning_rate=rate, seed=self.seed) if epochs else None
