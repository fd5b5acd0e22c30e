"""What holds for any probabilities that are scaled, and for any config that is written and read."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotion_model import ArchitectureConfig, Label, ModelConfig, ModelError
from emotion_model.faces.cropping import Framing
from emotion_model.network.calibration import scale_confidence
from support.strategies import labels, probabilities

temperatures = st.floats(0.01, 100)
batches = st.lists(probabilities(), min_size=1, max_size=5).map(np.stack)
per_class = st.lists(temperatures, min_size=7, max_size=7).map(tuple)
numbers = st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | numbers | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
records = st.dictionaries(st.text(max_size=8).map("x_".__add__), values, max_size=3)  # what is shown is of its kind


# Temperature scaling


@given(batches, temperatures | per_class)
def test_scaled_rows_are_float32_probabilities_that_sum_to_one(batch, temperature):
    scaled = scale_confidence(batch, temperature)
    assert scaled.shape == batch.shape and scaled.dtype == np.float32
    assert (scaled >= 0).all() and scaled.sum(axis=1) == pytest.approx(np.ones(len(batch)), abs=1e-5)


@given(batches, temperatures | per_class)
def test_scaling_keeps_the_order_of_the_classes(batch, temperature):
    scaled = scale_confidence(batch, temperature)
    for before, after in zip(batch, scaled, strict=True):
        assert (np.diff(after[np.argsort(before, kind="stable")]) >= 0).all()


@given(batches)
def test_a_temperature_of_one_changes_nothing(batch):
    assert scale_confidence(batch, 1.0) == pytest.approx(batch, abs=1e-6)
    assert scale_confidence(batch, (1.0,) * 7) == pytest.approx(batch, abs=1e-6)


@given(batches, temperatures)
def test_the_same_temperature_for_every_class_is_one_temperature(batch, temperature):
    assert scale_confidence(batch, (temperature,) * 7) == pytest.approx(scale_confidence(batch, temperature), abs=1e-4)


@given(batches, temperatures, temperatures)
def test_a_higher_temperature_never_makes_a_face_surer(batch, one, other):
    surer, calmer = (scale_confidence(batch, t).max(axis=1) for t in sorted((one, other)))
    assert (calmer <= surer + 1e-6).all()


@given(batches, temperatures | per_class)
def test_a_face_is_scaled_alike_alone_and_among_others(batch, temperature):
    together = scale_confidence(batch, temperature)
    for i in range(len(batch)):
        assert scale_confidence(batch[i : i + 1], temperature)[0] == pytest.approx(together[i], abs=1e-5)


# config.json


@st.composite
def model_configs(draw):
    found = draw(labels())
    each = st.lists(temperatures, min_size=len(found), max_size=len(found)).map(tuple)
    framing = st.builds(Framing, side=st.floats(0.2, 5), dx=st.floats(-1, 1), dy=st.floats(-1, 1))
    return ModelConfig(
        labels=found,
        image_size=draw(st.integers(8, 1000)),
        framing=draw(st.dictionaries(st.sampled_from(["yunet", "haar"]), framing)),
        temperature=draw(temperatures | each),
        weights=draw(records),
        architecture=draw(records),
        training=draw(records),
        metrics=draw(st.dictionaries(st.text(max_size=8), records, max_size=2)),
    )


@given(model_configs())
def test_a_model_config_comes_back_from_json_as_it_was(config):
    assert ModelConfig.from_json(config.to_json()) == config


@given(model_configs(), st.dictionaries(st.text(max_size=8).map("x_".__add__), values, max_size=3))
def test_keys_of_other_libraries_in_a_model_config_do_no_harm(config, others):
    assert ModelConfig.from_json(json.dumps(json.loads(config.to_json()) | others)) == config


@given(model_configs(), st.data())
def test_a_model_config_with_any_value_exchanged_is_read_or_refused(config, data):
    content = json.loads(config.to_json())
    part = data.draw(st.sampled_from([content, content["preprocessing"], *content["labels"]]))
    name = data.draw(st.sampled_from(sorted(part)))
    if data.draw(st.booleans()):
        del part[name]
    else:
        part[name] = data.draw(values)
    read_or_refused(json.dumps(content))


@given(values.map(json.dumps) | st.text())
def test_any_text_is_a_model_config_or_refused(text):
    read_or_refused(text)


def read_or_refused(text):
    try:
        assert isinstance(ModelConfig.from_json(text), ModelConfig)
    except ModelError as error:
        assert str(error).startswith("config.json is")


@given(st.floats(max_value=0.0099) | st.floats(min_value=100.01) | st.just(math.nan), st.booleans())
def test_a_temperature_out_of_range_is_refused_by_its_value(temperature, alone):
    with pytest.raises(ValueError) as refused:
        ModelConfig(temperature=temperature if alone else (1.0,) * 6 + (temperature,))
    assert str(temperature) in str(refused.value)


@given(st.floats().filter(lambda side: not 0.2 <= side <= 5), st.floats().filter(lambda d: not abs(d) <= 1))
def test_a_framing_out_of_range_is_refused_by_its_value(side, shift):
    for given_values in ({"side": side}, {"dx": shift}, {"dy": shift}):
        with pytest.raises(ValueError) as refused:
            Framing(**given_values)
        ((name, value),) = given_values.items()
        assert f"{name}={value}" in str(refused.value)


@pytest.mark.parametrize("name", ["side", "dx", "dy"])
def test_a_framing_that_is_no_number_is_refused(name):
    with pytest.raises(ValueError, match=f"{name}=nan"):
        Framing(**{name: math.nan})
    text = (
        ModelConfig(framing={"yunet": Framing()})
        .to_json()
        .replace(f'"{name}": {Framing().__dict__[name]}', f'"{name}": NaN')
    )
    with pytest.raises(ModelError, match="nan"):
        ModelConfig.from_json(text)


# The network's shape


@st.composite
def architectures(draw):
    blocks, layers = draw(st.integers(1, 5)), draw(st.integers(0, 3))

    def each(one, count, least=0):
        return st.lists(one, min_size=max(count, least), max_size=count).map(tuple)

    rates, counts = st.floats(0, 0.99), st.integers(1, 512)
    kernels = st.lists(st.sampled_from([1, 3, 5, 7]), min_size=1, max_size=3).map(tuple)
    return ArchitectureConfig(
        filters=draw(each(counts, blocks)),
        kernel_sizes=draw(each(kernels, blocks)),
        attention_blocks=draw(st.lists(st.integers(1, blocks), unique=True).map(tuple)),
        skip_connections=draw(st.booleans()),
        batch_norm=draw(st.booleans()),
        pooling=draw(st.sampled_from(["avg", "max", "both"])),
        spatial_dropout=draw(rates),
        dense_units=draw(each(counts, layers)),
        dense_dropout=draw(each(rates, layers)),
        classes=draw(st.integers(2, 50)),
        image_size=draw(st.integers(max(8, 2**blocks), 256)),
    )


@given(architectures())
def test_an_architecture_comes_back_from_json_as_it_was(config):
    again = ArchitectureConfig(**json.loads(json.dumps(config.to_dict())))
    assert again == config and hash(again) == hash(config)


@given(
    st.one_of(
        st.tuples(st.just("classes"), st.integers(max_value=1)),
        st.tuples(st.just("image_size"), st.integers(max_value=15)),
        st.tuples(st.just("pooling"), st.text().filter(lambda text: text not in ("avg", "max", "both"))),
        st.tuples(st.just("filters"), st.lists(st.integers(max_value=0), min_size=4, max_size=4).map(tuple)),
        st.tuples(st.just("dense_units"), st.lists(st.integers(max_value=0), min_size=2, max_size=2).map(tuple)),
        st.tuples(st.just("attention_blocks"), st.lists(st.integers(min_value=5), min_size=1).map(tuple)),
        st.tuples(st.just("spatial_dropout"), st.floats().filter(lambda rate: not 0 <= rate < 1)),
    )
)
def test_an_architecture_out_of_range_is_refused_by_its_value(change):
    name, value = change
    with pytest.raises(ValueError) as refused:
        ArchitectureConfig(**{name: value})
    assert repr(value) in str(refused.value)


# Labels


@given(st.from_regex(r"#[0-9a-fA-F]{6}", fullmatch=True))
def test_a_colour_is_its_three_levels(colour):
    assert "#{:02x}{:02x}{:02x}".format(*Label("calm", colour=colour).rgb) == colour.lower()


@given(st.text().filter(lambda text: len(text) != 7 or text[0] != "#") | st.from_regex(r"#[g-z]{6}", fullmatch=True))
def test_another_colour_is_refused_by_its_value(colour):
    with pytest.raises(ValueError) as refused:
        Label("calm", colour=colour)
    assert repr(colour) in str(refused.value)
