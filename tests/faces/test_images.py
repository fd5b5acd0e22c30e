import base64
import contextlib
import io
import tracemalloc
from pathlib import PurePath

import cv2
import numpy as np
import pytest
from PIL import Image

from emotion_model import ImageError, read_base64_image, read_image
from emotion_model.faces.cropping import network_input
from emotion_model.faces.images import as_rgb, to_grey

KINDS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "HEIF", "JPEG2000")


def encoded(picture, kind="PNG", **options):
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture
def gradient():
    return np.tile(np.linspace(0, 255, 64, dtype=np.uint8), (48, 1))


@pytest.mark.parametrize("kind", KINDS)
def test_every_common_format_is_read(astronaut, kind):
    image = read_image(encoded(Image.fromarray(astronaut), kind))
    assert image.shape == astronaut.shape and image.dtype == np.uint8
    assert np.abs(image.astype(int) - astronaut).mean() < 20


def test_grey_becomes_three_equal_channels(gradient):
    image = read_image(encoded(Image.fromarray(gradient)))
    assert (image == gradient[..., None]).all()


def test_sixteen_bits_keep_their_brightness(gradient):
    deep = Image.fromarray(gradient.astype(np.uint16) * 257)
    assert np.abs(read_image(encoded(deep))[..., 0].astype(int) - gradient).max() <= 1


def test_transparent_parts_become_white():
    rgba = np.zeros((4, 4, 4), np.uint8)
    rgba[:2] = (10, 20, 30, 255)
    image = read_image(encoded(Image.fromarray(rgba)))
    assert (image[:2] == (10, 20, 30)).all() and (image[2:] == 255).all()


def test_a_half_transparent_picture_is_laid_over_white_in_every_form(astronaut):
    alpha = np.arange(512, dtype=np.uint8)[None].repeat(512, axis=0)
    rgba = np.dstack([astronaut, alpha])
    share = alpha[..., None] / 255
    expected = astronaut * share + 255 * (1 - share)
    for given in (rgba, rgba[::-1][::-1], Image.fromarray(rgba), encoded(Image.fromarray(rgba))):
        assert np.abs(as_rgb(given) - expected).max() <= 1
    grey = Image.fromarray(rgba).convert("LA")
    assert np.abs(as_rgb(grey.convert("La")).astype(int) - as_rgb(grey)).max() <= 2, "multiplied by its opacity"


def test_palette_pictures_are_read(astronaut):
    assert read_image(encoded(Image.fromarray(astronaut).quantize(64))).shape == astronaut.shape


def test_exif_orientation_turns_the_picture_upright(astronaut):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held turned by 90 degrees
    sideways = np.ascontiguousarray(np.rot90(astronaut[:400], 1))
    upright = read_image(encoded(Image.fromarray(sideways), "JPEG", exif=exif, quality=95))
    assert upright.shape == (400, 512, 3)
    assert np.abs(upright.astype(int) - astronaut[:400]).mean() < 10


def test_an_exif_block_that_makes_no_sense_counts_as_none(astronaut):
    with_garbage = encoded(Image.fromarray(astronaut), exif=b"Exif\0\0garbage")
    assert (read_image(with_garbage) == astronaut).all()
    assert (as_rgb(Image.open(io.BytesIO(with_garbage))) == astronaut).all()


def test_a_picture_of_one_pixel_is_read():
    assert read_image(encoded(Image.new("RGB", (1, 1), "red"))).tolist() == [[[255, 0, 0]]]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "I;16", "F"])
def test_what_was_read_may_be_drawn_on(mode):
    picture = Image.new(mode, (40, 30)) if mode in ("I;16", "F") else Image.new("RGB", (40, 30)).convert(mode)
    image = read_image(encoded(picture, "TIFF"))
    cv2.rectangle(image, (5, 5), (20, 20), (255, 0, 0))
    assert tuple(image[5, 10]) == (255, 0, 0)


def test_grey_of_32_bits_is_stretched_from_its_darkest_to_its_brightest_value(gradient):
    for values in (gradient.astype(np.int32) * 1000 - 70_000, gradient.astype(np.float32) / 255):
        assert np.abs(as_rgb(Image.fromarray(values))[..., 0].astype(int) - gradient).max() <= 1


def test_a_broken_pixel_does_not_darken_the_others(gradient):
    values = gradient.astype(np.float32)
    values[0, 30:33] = np.inf, -np.inf, np.nan
    image = as_rgb(Image.fromarray(values))[..., 0]
    assert image[0, 30:33].tolist() == [255, 0, 0]
    assert np.abs(image[1:].astype(int) - gradient[1:]).max() <= 1
    assert not as_rgb(Image.fromarray(np.full((4, 4), np.nan, np.float32))).any()


def test_a_large_grey_picture_is_stretched_in_little_memory():
    picture = Image.fromarray(np.linspace(0, 1, 4_000_000, dtype=np.float32).reshape(2000, 2000))
    tracemalloc.start()
    try:
        grey = as_rgb(picture)[..., 0]
        assert tracemalloc.get_traced_memory()[1] < 60_000_000  # one copy in float64 has 32
    finally:
        tracemalloc.stop()
    ramp = np.linspace(0, 255, 4_000_000).reshape(2000, 2000)
    assert np.abs(grey - ramp).max() <= 1, "all of it between the same darkest and brightest"


MEGABYTES_10 = 10 * 2**20


def bomb():
    return encoded(Image.new("1", (9000, 6000)))


@pytest.mark.parametrize(
    ("data", "code", "said"),
    [
        (b"", "empty", "0 bytes"),
        (b"just some text", "not_an_image", "not a picture"),
        (b"%PDF-1.7 ...", "not_an_image", "not a picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not_an_image", "not a picture"),
        (b"\x00" * (MEGABYTES_10 + 1), "too_large", "10.0 MB"),
        (bomb(), "too_many_pixels", "54.0 megapixels, and the limit is 50"),
        (encoded(Image.new("1", (40000, 10))), "too_many_pixels", "40000 x 10"),
    ],
    ids=["empty", "text", "pdf", "svg", "over 10 MB", "over 50 megapixels", "too long"],
)
def test_what_cannot_be_read_is_refused_in_one_sentence(data, code, said):
    with pytest.raises(ImageError, match=said) as refusal:
        read_image(data, 50_000_000, MEGABYTES_10)
    assert refusal.value.code == code
    assert str(refusal.value).endswith(".") and "\n" not in str(refusal.value)


@pytest.mark.parametrize("pillows", [100_000, 200_000])  # it refuses from twice as many on, and warns below
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("error")
def test_large_photos_are_read_whatever_limit_pillow_has_for_others(kind, pillows, monkeypatch, astronaut, tmp_path):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", pillows)
    photo = tmp_path / "large"
    photo.write_bytes(encoded(Image.fromarray(astronaut), kind) + bytes(MEGABYTES_10))
    assert read_image(photo).shape == as_rgb(photo).shape == astronaut.shape
    assert pillows == Image.MAX_IMAGE_PIXELS


def test_a_photo_of_more_pixels_than_our_own_limit_is_refused():
    with pytest.raises(ImageError, match=r"302\.5 megapixels, and the limit is 200"):
        read_image(encoded(Image.new("1", (27500, 11000))))


@pytest.mark.parametrize("kind", KINDS)
def test_a_truncated_picture_is_refused(astronaut, kind):
    data = encoded(Image.fromarray(astronaut), kind)
    data = data[: len(data) // 2]
    with pytest.raises(ImageError) as refusal:
        read_image(data)
    assert refusal.value.code in ("damaged", "not_an_image")
    try:
        opened = Image.open(io.BytesIO(data))
    except OSError:  # seen at once; most are when the pixels are wanted
        return
    with pytest.raises(ImageError):
        as_rgb(opened)


def test_random_damage_never_raises_anything_else(astronaut):
    rng = np.random.default_rng(0)
    small = Image.fromarray(astronaut).resize((64, 64))
    for kind in KINDS:
        whole = np.frombuffer(encoded(small, kind), np.uint8)
        for _ in range(60):
            broken = whole.copy()
            broken[rng.integers(0, len(broken), 8)] = rng.integers(0, 256, 8)
            with contextlib.suppress(ImageError):
                assert read_image(broken.tobytes()).dtype == np.uint8


def test_a_device_is_read_no_further_than_a_picture_may_be_large():
    with pytest.raises(ImageError, match="the limit is 10 MB"):
        read_image("/dev/zero", max_bytes=MEGABYTES_10)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ImageError, match=r"nowhere\.png: no such file"):
        read_image(tmp_path / "nowhere.png")
    with pytest.raises(ImageError, match="no file can have this name"):
        as_rgb("a\0b")


def test_addresses_are_said_not_to_be_fetched():
    with pytest.raises(ImageError, match=r"https:/example\.org/a\.jpg: addresses are not fetched: save the file first"):
        as_rgb("https://example.org/a.jpg")


@pytest.mark.parametrize("form", ["read and closed", "closed unread", "its file closed"])
def test_a_closed_picture_is_not_called_damaged(astronaut, form, tmp_path):
    Image.fromarray(astronaut).save(tmp_path / "a.png")
    with (tmp_path / "a.png").open("rb") as file:
        picture = Image.open(file)
        if form == "read and closed":
            picture.load()
        if form != "its file closed":
            picture.close()
    with pytest.raises(ImageError, match="The picture is closed: give it while it is open") as error:
        as_rgb(picture)
    assert error.value.code == "unreadable"


@pytest.mark.parametrize(
    "head", ["", "data:image/png;base64,", "data:image/png;charset=utf-8;base64,", "DATA:;base64,"]
)
def test_base64_is_read_with_and_without_the_head_of_a_data_url(gradient, head):
    text = base64.b64encode(encoded(Image.fromarray(gradient))).decode()
    assert read_base64_image(head + text[:60] + "\n" + text[60:]).shape == (48, 64, 3)


def test_base64_for_urls_is_read_and_without_its_padding(gradient):
    for more in range(3):
        data = encoded(Image.fromarray(gradient)) + b"\xfb\xff" * 3 + bytes(more)
        text = base64.urlsafe_b64encode(data).decode()
        assert {"-", "_"} <= set(text)
        for given in (text, text.rstrip("=")):
            assert np.array_equal(read_base64_image(given)[..., 0], gradient)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("not base64!", "bad_base64"),
        ("data:image/png;base64,%%%%", "bad_base64"),
        ("abcde", "bad_base64"),
        (base64.b64encode(b"hello").decode(), "not_an_image"),
        ("A" * (MEGABYTES_10 * 8 // 5), "too_large"),
    ],
)
def test_malformed_base64_is_refused(text, code):
    with pytest.raises(ImageError) as refusal:
        read_base64_image(text, max_bytes=MEGABYTES_10)
    assert refusal.value.code == code


def test_a_frame_of_opencv_seen_from_behind_is_rgb(astronaut):
    bgr = np.ascontiguousarray(astronaut[..., ::-1])
    rgb = as_rgb(bgr[..., ::-1])
    assert np.array_equal(rgb, astronaut) and rgb.flags.c_contiguous  # whatever reads it next is quick


@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 1), (5, 4, 3), (5, 4, 4)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_arrays_of_any_common_kind_become_rgb_and_grey(shape, dtype):
    image = np.full(shape, np.iinfo(dtype).max, dtype)
    assert as_rgb(image).shape == (5, 4, 3) and (as_rgb(image) == 255).all()
    assert to_grey(image).shape == (5, 4) and (to_grey(image) == 255).all()


@pytest.mark.parametrize("image", [np.zeros((4, 4)), np.zeros((0, 4, 3), np.uint8), np.zeros((4, 4, 2), np.uint8), 5])
def test_other_arrays_are_refused(image):
    with pytest.raises(ImageError, match="Expected"):
        as_rgb(image)


def test_values_of_eight_bits_in_sixteen_are_refused_as_they_would_be_black(astronaut):
    with pytest.raises(ImageError, match=r"0\.\.65,535 .* got 255 at most: .* image\.astype\(np\.uint8\)"):
        as_rgb(astronaut.astype(np.uint16))
    assert not as_rgb(np.zeros((4, 4), np.uint16)).any()
    assert not as_rgb(Image.fromarray(np.full((4, 4), 199, np.uint16))).any(), "a file says how deep it is"


@pytest.mark.parametrize(
    "image",
    [
        Image.new("RGB", (0, 5)),
        np.zeros((5, 0), np.uint8),
        np.zeros((2, 33_000, 3), np.uint8),
        np.zeros((33_000, 2), np.uint16),
        Image.new("L", (33_000, 2)),
    ],
    ids=["empty", "no columns", "wide", "high", "wide picture"],
)
def test_pictures_without_pixels_or_too_long_are_refused_whatever_they_are(image):
    with pytest.raises(ImageError, match=r"with pixels|a side may have 30,000"):
        as_rgb(image)


def test_the_order_of_a_files_bytes_does_not_matter(gradient):
    deep = gradient.astype(np.uint16) * 257
    assert (as_rgb(deep.astype(">u2")) == as_rgb(deep)).all()


def test_a_photo_of_a_phone_is_turned_as_it_was_held(astronaut, tmp_path):
    wide = Image.fromarray(astronaut[:256])
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    path = tmp_path / "phone.heic"
    wide.save(path, "HEIF", exif=exif.tobytes())
    image = read_image(path)
    assert image.shape == (512, 256, 3)
    assert np.abs(np.rot90(image).astype(int) - astronaut[:256]).mean() < 20


@pytest.mark.parametrize("form", ["path", "text", "name", "bytes", "pillow", "deep", "clear", "grey"])
def test_a_picture_is_taken_in_every_form_that_people_have(astronaut, tmp_path, form):
    path = tmp_path / "photo.png"
    picture = Image.fromarray(astronaut)
    picture.save(path)
    given = {
        "path": path,
        "text": str(path),
        "name": PurePath(path),
        "bytes": path.read_bytes(),
        "pillow": picture,
        "deep": astronaut.astype(np.uint16) * 257,
        "clear": np.dstack([astronaut, np.full(astronaut.shape[:2], 255, np.uint8)]),
        "grey": np.asarray(picture.convert("L")),
    }[form]
    found = as_rgb(given)
    assert found.shape == astronaut.shape and found.dtype == np.uint8
    if form != "grey":
        assert (found == astronaut).all()


@pytest.mark.parametrize("wrong", [None, np.zeros((4, 4, 3), np.uint8)], ids=["nothing", "array"])
def test_what_is_no_file_is_named(wrong):
    with pytest.raises(ImageError, match=f"Expected a path or a file's bytes, got {type(wrong).__name__}"):
        read_image(wrong)


def test_values_of_0_to_1_are_refused_with_the_mend(astronaut):
    with pytest.raises(ImageError, match=r"with \(255 \* image\)\.astype\(np\.uint8\)"):
        as_rgb(astronaut / 255)


def test_one_face_in_the_place_of_a_list_is_refused(astronaut):
    for one in ("photo.jpg", PurePath("photo.jpg"), b"photo", Image.fromarray(astronaut)):
        with pytest.raises(ImageError, match="put it in a list"):
            network_input(one, 48)
