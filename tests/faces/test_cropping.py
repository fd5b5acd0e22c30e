import math

import cv2
import numpy as np
import pytest

from emotion_model.faces.cropping import Framing, crop_face, level, network_input
from emotion_model.faces.images import ImageError


def drawn_face(size, centre, side, degrees):
    """A head with two bright eyes; returns the picture, the box and the landmarks of a detector that sees it all."""
    image = np.full((size, size), 90, np.uint8)
    turn = math.radians(degrees)
    across, down = np.array([math.cos(turn), math.sin(turn)]), np.array([-math.sin(turn), math.cos(turn)])
    eyes = [centre - across * side * 0.2 - down * side * 0.12, centre + across * side * 0.2 - down * side * 0.12]
    mouth = [centre + across * s * side * 0.15 + down * side * 0.25 for s in (-1, 1)]
    for eye in eyes:
        cv2.circle(image, tuple(np.round(eye).astype(int).tolist()), round(side * 0.06), 255, -1, cv2.LINE_AA)
    box = (centre[0] - side / 2, centre[1] - side / 2, side, side)
    return image, box, np.array([*eyes, centre, *mouth], np.float32)


def bright_spots(crop):
    """Centres of the bright blobs, left to right, in shares of the crop's side."""
    _, _, _, centres = cv2.connectedComponentsWithStats((crop > 170).astype(np.uint8))
    return np.array(sorted(centres[1:].tolist())) / (len(crop) - 1)


@pytest.mark.parametrize("degrees", [-40, -15, 0, 20, 60])
@pytest.mark.parametrize("side", [40, 150, 600])
def test_eyes_are_level_and_in_their_place_whatever_the_roll_and_size(degrees, side):
    image, box, landmarks = drawn_face(1000, np.array([480.0, 510.0]), side, degrees)
    spots = bright_spots(crop_face(image, box, landmarks, Framing(), 48))
    np.testing.assert_allclose(spots, [[0.3, 0.38], [0.7, 0.38]], atol=0.03)


@pytest.mark.parametrize("side", [20, 47, 91])
@pytest.mark.parametrize("corner", [10.0, 10.2, 17.4])
def test_the_crop_lies_where_it_should_to_a_fraction_of_a_pixel(side, corner):
    """In a picture whose pixel x has the value 2 x, the values of a crop tell where it was taken."""
    ramp = np.tile(np.arange(125, dtype=np.uint8) * 2, (125, 1))
    expected = 2 * (corner + (np.arange(48) + 0.5) * side / 48 - 0.5)
    box = (corner, corner, side, side)
    across = crop_face(ramp, box, None, Framing(), 48).mean(axis=0) - expected
    down = crop_face(np.ascontiguousarray(ramp.T), box, None, Framing(), 48).mean(axis=1) - expected
    for error in (across, down):
        assert abs(error.mean()) < 0.6  # rounding gives up to 0.5, a shift by half a pixel 1.0


@pytest.mark.parametrize("side", [60, 90, 100, 150, 400])
def test_sharpness_does_not_depend_on_the_size_of_the_face(side):
    noise = np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)
    picture = cv2.resize(noise, (side, side), interpolation=cv2.INTER_LINEAR)
    crop = crop_face(picture, (0, 0, side, side), None, Framing(), 48)
    assert 0.45 < crop.astype(float).std() / noise.astype(float).std() < 1.05


def test_framing_scales_and_shifts_the_crop():
    image, box, landmarks = drawn_face(1000, np.array([500.0, 500.0]), 200, 0)
    spots = bright_spots(crop_face(image, box, landmarks, Framing(side=2.0, dx=0.2, dy=-0.1), 96))
    np.testing.assert_allclose(spots, [[0.3, 0.49], [0.5, 0.49]], atol=0.02)


def test_the_shift_turns_with_the_face():
    image, box, landmarks = drawn_face(1000, np.array([500.0, 500.0]), 200, 30)
    spots = bright_spots(crop_face(image, box, landmarks, Framing(side=2.0, dx=0.2, dy=-0.1), 96))
    np.testing.assert_allclose(spots, [[0.3, 0.49], [0.5, 0.49]], atol=0.02)


@pytest.mark.parametrize("box", [(-30, -20, 60, 60), (80, 80, 60, 60), (-500, -500, 50, 50), (200, 10, 0, 0)])
def test_a_box_over_the_edge_repeats_the_edge(box):
    crop = crop_face(np.full((100, 100), 77, np.uint8), box, None, Framing(), 48)
    assert crop.shape == (48, 48) and crop.dtype == np.uint8 and (crop == 77).all()


def test_shrinking_a_sharp_picture_does_not_alias():
    stripes = np.tile(np.array([0, 255], np.uint8), (960, 480))
    crop = crop_face(stripes, (0, 0, 960, 960), None, Framing(), 48)
    assert np.abs(crop[2:-2, 2:-2].astype(int) - 127).max() < 12


def test_faces_of_any_kind_and_size_become_one_batch(astronaut):
    faces = [
        astronaut,
        astronaut[:30, :50],
        astronaut[..., 0],
        np.zeros((48, 48, 4), np.uint8),
        np.zeros((1, 1), np.uint8),
    ]
    batch = network_input(faces, 48)
    assert batch.shape == (5, 48, 48, 1) and batch.dtype == np.float32
    assert batch.min() >= 0 and 200 < batch.max() <= 255


def seen_in(face, light):
    """A face, 0..255, as a camera gives it there."""
    return np.clip(np.rint(light(face.astype(np.float32))), 0, 255).astype(np.uint8)


def levelled(faces):
    batch = network_input(faces, 48)
    level(batch)
    return batch


@pytest.mark.parametrize(
    "light",
    [lambda x: x / 10, lambda x: 128 + x / 5, lambda x: 230 + x / 10, lambda x: x / 2, lambda x: 90 + x / 2],
    ids=["dark", "flat", "haze", "dim", "pale"],
)
def test_faces_get_the_levels_that_they_lack(astronaut, light):
    """The more alike, the nearer to what the face would be in good light; whole grey levels are all that is lost."""
    face = network_input([astronaut[60:230, 140:310]], 48)[0, ..., 0]
    wanted = levelled([np.rint(face).astype(np.uint8)])
    [found] = levelled([seen_in(face, light)])
    assert 89 < found.mean() < 171 and found.std() > 37 and found.min() >= 0 and found.max() <= 255
    assert np.corrcoef(found.ravel(), wanted.ravel())[0, 1] > 0.98


def test_a_face_that_fades_does_not_flicker(astronaut):
    face = network_input([astronaut[60:230, 140:310]], 48)[0, ..., 0]
    fading = levelled([seen_in(face, lambda x, k=k: x * k) for k in np.linspace(1, 0.3, 200)])
    assert np.abs(np.diff(fading, axis=0)).mean(axis=(1, 2, 3)).max() < 1.5


@pytest.mark.parametrize("grey", [0, 7, 130, 255])
def test_nothing_but_one_grey_stays_one_grey(grey):
    assert np.unique(levelled([np.full((48, 48), grey, np.uint8)])) == min(max(grey, 90), 170)


def test_a_face_in_good_light_keeps_its_pixels(astronaut):
    face = network_input([astronaut[60:230, 140:310]], 48)
    assert (levelled([astronaut[60:230, 140:310]]) == face).all()


def test_no_faces_become_an_empty_batch():
    assert network_input([], 48).shape == (0, 48, 48, 1)


def test_a_face_of_48_by_48_passes_unchanged():
    face = np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)
    assert (network_input([face], 48)[0, ..., 0] == face).all()


def test_what_is_not_an_image_is_refused():
    with pytest.raises(ImageError, match="float64"):
        network_input([np.zeros((48, 48))], 48)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_one_image_instead_of_a_list_is_refused(channels):
    with pytest.raises(ImageError, match="put it in a list"):
        network_input(np.zeros((60, 60, channels), np.uint8), 48)


@pytest.mark.parametrize("values", [{"side": 0}, {"side": 9}, {"dx": 1.5}, {"dy": -2}])
def test_impossible_framings_are_refused(values):
    with pytest.raises(ValueError, match=str(next(iter(values.values())))):
        Framing(**values)
