import math

import keras
import numpy as np
import pytest

from emotion_model.network.architecture import ArchitectureConfig
from emotion_model.network.building import build_model, count_multiply_adds


def trainable(model):
    return sum(math.prod(weight.shape) for weight in model.trainable_weights)


def test_the_reference_network_has_exactly_5347784_trainable_parameters():
    assert trainable(build_model(ArchitectureConfig())) == 5_347_784


def test_the_reference_attention_map_is_12_by_12_and_multiplies_block_3():
    model = build_model()
    assert model.get_layer("block3_attention").output.shape == (None, 12, 12, 1)
    assert model.get_layer("block3_attended").output.shape == (None, 12, 12, 256)


def test_multiply_adds_of_a_known_network():
    config = ArchitectureConfig(
        filters=(2,), kernel_sizes=((3,),), attention_blocks=(), pooling="avg", dense_units=(), dense_dropout=()
    )
    assert count_multiply_adds(build_model(config)) == 48 * 48 * 9 * 2 + 2 * 7


small = {"filters": (4, 8), "kernel_sizes": ((3, 3), (3,)), "attention_blocks": ()}
variations = {
    "five blocks": {"filters": (4, 4, 8, 8, 16), "kernel_sizes": ((3, 3),) * 5, "attention_blocks": (3,)},
    "mixed kernels": small | {"kernel_sizes": ((5, 3), (3, 5))},
    "attention everywhere": small | {"attention_blocks": (1, 2)},
    "skip connections": small | {"skip_connections": True},
    "skip connections, no batch norm": small | {"skip_connections": True, "batch_norm": False},
    "no batch norm": small | {"batch_norm": False},
    "average pooling": small | {"pooling": "avg"},
    "max pooling": small | {"pooling": "max"},
    "no dropout": small | {"spatial_dropout": 0.0, "dense_dropout": (0.0, 0.0)},
    "no hidden layers": small | {"dense_units": (), "dense_dropout": ()},
    "nine classes": small | {"classes": 9},
}


@pytest.mark.parametrize("changes", variations.values(), ids=variations.keys())
def test_every_variation_gives_probabilities_and_survives_saving(changes, tmp_path):
    config = ArchitectureConfig(**changes)
    model = build_model(config)
    faces = np.random.default_rng(0).uniform(0, 255, (3, 48, 48, 1)).astype(np.float32)
    probabilities = model.predict(faces, verbose=0)
    assert probabilities.shape == (3, config.classes)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_allclose(again.predict(faces, verbose=0), probabilities, atol=1e-6)


def test_a_fifth_block_of_1024_filters_can_be_added_to_the_reference():
    config = ArchitectureConfig(filters=(64, 128, 256, 512, 1024), kernel_sizes=((3, 3),) * 5)
    assert trainable(build_model(config)) > 5_347_784 + 2 * 9 * 512 * 1024


def test_a_config_comes_back_from_its_json_values():
    config = ArchitectureConfig(**small)
    as_lists = {k: [list(v) if isinstance(v, tuple) else v for v in x] if isinstance(x, tuple) else x
                for k, x in config.to_dict().items()}  # fmt: skip
    assert ArchitectureConfig(**as_lists) == config


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"filters": ()}, r"filters=\(\)"),
        ({"filters": (64, 0, 256, 512)}, "positive whole number"),
        ({"kernel_sizes": ((3, 3),)}, "one non-empty tuple per block"),
        ({"kernel_sizes": ((3, 4), (3, 3), (3, 3), (3, 3))}, "odd"),
        ({"attention_blocks": (5,)}, "counted from 1 to 4"),
        ({"pooling": "mean"}, "avg, max, both"),
        ({"spatial_dropout": 1.0}, "1.0"),
        ({"dense_dropout": (0.3,)}, "one rate for each"),
        ({"classes": 1}, "classes=1"),
        ({"image_size": 8}, "image_size=8: use at least 16 pixels"),
        (small | {"image_size": 7}, "image_size=7: use at least 8 pixels"),
    ],
)
def test_an_invalid_value_is_quoted_and_mended(changes, said):
    with pytest.raises(ValueError, match=said):
        ArchitectureConfig(**changes)
