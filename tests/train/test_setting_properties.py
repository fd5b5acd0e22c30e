"""What holds for any training settings that are written, read, changed or refused."""

import json
import math
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.config import (
    CHOICES,
    IDLE_WITH,
    PRESETS,
    AugmentationConfig,
    TrainingConfig,
    differences,
    ranges,
    settings,
    with_settings,
)

VARIATIONS = ranges(AugmentationConfig)
ON_THE_PROCESSOR = ("sharpness_radius", "attention_consistency")  # not with device_augmentation
BOUNDED = VARIATIONS | ranges(TrainingConfig)


def drawn(name):
    low, high = BOUNDED[name]
    return st.integers(low, high) if isinstance(settings()[name], int) else st.floats(low, high)


variations = st.builds(AugmentationConfig, flip=st.booleans(), **{name: drawn(name) for name in VARIATIONS})
trainings = st.builds(
    TrainingConfig,
    device_augmentation=st.booleans(),
    augmentation=variations,
    **{name: drawn(name) for name in ranges(TrainingConfig) if name not in ON_THE_PROCESSOR},
    **{name: st.sampled_from(choices) for name, choices in CHOICES.items()},
)


def kind(name):
    return AugmentationConfig if name in VARIATIONS else TrainingConfig


@given(trainings)
def test_training_settings_come_back_from_json_as_they_were(config):
    assert TrainingConfig(**json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize("part", [AugmentationConfig, TrainingConfig])
def test_every_number_of_a_recipe_has_a_least_and_a_most(part):
    numbers = {f.name for f in fields(part) if type(f.default) in (int, float)}
    assert numbers - {"gentle_epochs"} == set(ranges(part)), "gentle epochs are at most all epochs"


@given(st.sampled_from(sorted(BOUNDED)), st.floats() | st.integers())
def test_a_value_out_of_range_is_refused_by_name_value_and_range_any_other_is_taken(name, value):
    low, high = BOUNDED[name]
    if low <= value <= high:
        assert getattr(kind(name)(**{name: value}), name) == value
    else:
        with pytest.raises(ValueError) as refused:
            kind(name)(**{name: value})
        assert str(refused.value) == f"{name}={value!r}: use a value from {low} to {high}"


@given(st.sampled_from(sorted(BOUNDED)), st.sampled_from([math.nan, math.inf, -math.inf]))
def test_what_is_no_finite_number_is_refused(name, value):
    with pytest.raises(ValueError, match=name):
        kind(name)(**{name: value})


@given(st.sampled_from(sorted(ON_THE_PROCESSOR)), st.floats(1e-6, 10))
def test_what_works_on_the_processor_alone_is_refused_elsewhere(name, value):
    with pytest.raises(ValueError, match=rf"{name}={value!r}: needs faces .* turn device_augmentation off \(--no-dev"):
        TrainingConfig(device_augmentation=True, **{name: value})


@given(st.sampled_from(sorted(CHOICES)), st.text())
def test_another_choice_is_refused_by_its_value_and_the_choices_are_told(name, value):
    if value not in CHOICES[name]:
        with pytest.raises(ValueError) as refused:
            TrainingConfig(**{name: value})
        assert all(word in str(refused.value) for word in (f"{name}={value!r}", *CHOICES[name]))


@given(trainings, st.integers(1, 10_000))
def test_gentle_epochs_are_at_most_all_of_them(config, more):
    values = config.to_dict()
    assert TrainingConfig(**values | {"gentle_epochs": config.epochs}).gentle_epochs == config.epochs
    with pytest.raises(ValueError, match=f"gentle_epochs={config.epochs + more}:"):
        TrainingConfig(**values | {"gentle_epochs": config.epochs + more})


@given(variations, st.floats(0, 1))
def test_scaled_variations_are_no_stronger_and_mirror_as_before(config, strength):
    scaled = config.scaled(strength)
    assert scaled.flip == config.flip
    for one in fields(config):
        assert getattr(scaled, one.name) <= getattr(config, one.name)
    assert config.scaled(1.0) == config


@given(st.sampled_from(sorted(PRESETS)), trainings)
def test_changed_settings_are_the_presets_but_for_what_was_changed(name, config):
    config = replace(config, batch_size=max(2, config.batch_size), early_stopping_patience=0)
    if config.minimum_learning_rate >= config.learning_rate:
        config = replace(config, minimum_learning_rate=settings()["minimum_learning_rate"])
    config = replace(config, **{one: settings()[one] for one in IDLE_WITH if idle(config, one)})
    changes = {key: value for key, value in config.to_dict().items() if key in settings()}
    changes |= config.to_dict()["augmentation"]
    changed = with_settings(PRESETS[name], changes)
    assert changed.training == config and changed.architecture == PRESETS[name].architecture
    assert with_settings(PRESETS[name], {}) == PRESETS[name]


def idle(config, name):
    other, value = IDLE_WITH[name]
    return getattr(config, other) == value


@pytest.mark.parametrize(
    ("asked", "works", "said"),
    [
        ({"weight_decay": 0.05}, {"optimizer": "adamw"}, "weight_decay=0.05 does nothing with optimizer='adam'"),
        ({"loss": "cross_entropy", "focal_gamma": 1.0}, {"loss": "focal"}, "another loss, or focal_gamma=2.0"),
        ({"warmup": 0.3}, {"schedule": "one_cycle"}, "warmup=0.3 does nothing with schedule='plateau'"),
        ({"schedule": "one_cycle", "plateau_factor": 0.1}, {"schedule": "plateau"}, "plateau_factor=0.1 does nothing"),
        ({"schedule": "one_cycle", "plateau_patience": 3}, {"schedule": "plateau"}, "plateau_patience=3 does nothing"),
        (
            {"schedule": "one_cycle", "minimum_learning_rate": 1e-5},
            {"schedule": "plateau"},
            "minimum_learning_rate=1e-05 does nothing",
        ),
        ({"optimizer": "adamw"}, {"weight_decay": 0.05}, "optimizer='adamw': with weight_decay=0.0 it"),
        (
            {"minimum_learning_rate": 1e-3, "learning_rate": 1e-3},
            {"minimum_learning_rate": 1e-4},
            "minimum_learning_rate=0.001: no plateau could lower learning_rate=0.001",
        ),
        ({"mixing": "cutmix"}, {"mixup": 0.2}, "mixing='cutmix' does nothing with mixup=0.0: choose another mixup, or"),
        (
            {"early_stopping_patience": 20, "gentle_epochs": 10},
            {"early_stopping_patience": 0},
            "gentle_epochs=10: early_stopping_patience=20 could end the run .* set early_stopping_patience=0",
        ),
        (
            {"early_stopping_patience": 20, "schedule": "one_cycle"},
            {"epochs": 21},
            "schedule='one_cycle': early_stopping_patience=20 could end the run before its last epochs",
        ),
        ({"batch_size": 1}, {"batch_norm": False}, "batch_size=1: .* use at least 2, or batch_norm=False"),
        ({"batch_size": 1}, {"dense_units": (), "dense_dropout": ()}, "batch_size=1"),
    ],
)
def test_what_would_do_nothing_is_refused_where_it_is_asked_for(asked, works, said):
    seed = with_settings(PRESETS["seed"], {"early_stopping_patience": 0})
    with pytest.raises(ValueError, match=said):
        with_settings(seed, asked)
    with_settings(seed, asked | works)
    TrainingConfig(**asked)  # as a record may hold it


def test_what_a_preset_or_a_whole_plan_brings_may_lie_idle():
    assert with_settings(PRESETS["compact"], {"optimizer": "adam"}).training.weight_decay == 0.05
    common = {"optimizer": "adamw", "weight_decay": 0.1}
    assert with_settings(PRESETS["seed"], common | {"weight_decay": 0.0}).training.optimizer == "adamw"
    own = {"optimizer": "adam", "weight_decay": 0.0}
    assert with_settings(PRESETS["seed"], common | own) == PRESETS["seed"]


@given(trainings, trainings)
def test_settings_differ_from_themselves_in_nothing_and_from_others_in_what_is_told(one, other):
    before, now = one.to_dict(), other.to_dict()
    assert differences(before, before) == []
    flat = [
        values | {f"augmentation.{name}": value for name, value in values.pop("augmentation").items()}
        for values in (one.to_dict(), other.to_dict())
    ]
    told = {line.split(" ", 1)[0] for line in differences(before, now)}
    assert told == {name for name in flat[0] if flat[0][name] != flat[1][name]}
