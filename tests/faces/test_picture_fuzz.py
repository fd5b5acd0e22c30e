"""Damaged pictures: each is read or refused with a sentence, in time and without much memory."""

import pytest

from emotion_model.faces.images import FORMATS
from support.damage import damaged, pictures, require_outcomes, try_picture

FILES = pictures()
SEED, COUNT, PIECES = 7, 680, 10

pytestmark = [
    pytest.mark.fuzz,
    pytest.mark.filterwarnings("ignore"),  # decoders warn of what is damaged
]


def test_there_is_a_picture_of_every_form_and_whole_ones_are_read():
    named = {"JPG": "JPEG", "HEIC": "HEIF", "JP2": "JPEG2000"}
    endings = {name.split(".")[1].upper() for name in FILES}
    assert {named.get(ending, ending) for ending in endings} == set(FORMATS)
    assert {try_picture(data).code for data in FILES.values()} == {"read"}


def test_damage_is_the_same_for_a_seed_and_another_for_others():
    first, again, other = ([damaged(FILES, seed, number) for number in range(50)] for seed in (SEED, SEED, SEED + 1))
    assert first == again and first != other


@pytest.mark.parametrize("piece", range(PIECES))
def test_damaged_pictures_are_read_or_refused_with_a_sentence(piece):
    require_outcomes(FILES, SEED, range(piece, COUNT, PIECES), lambda name, data: try_picture(data))
