"""Reading pictures: every common form in, uint8 RGB out, and a clear sentence for what cannot be read."""

from __future__ import annotations

import base64
import io
import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from emotion_model.errors import CodedError
from emotion_model.processes import Lock

STRIP = 2**16  # pixels that are converted at a time: a large picture at once takes several times its memory, and longer
STRIP_ROWS = 32  # at least
MAX_FILE_BYTES = 300 * 1024 * 1024  # a photo of the most pixels as PNG; a page sets closer limits
MAX_PIXELS = 200_000_000  # of the largest phones' photos
MAX_SIDE = 30_000  # pixels; OpenCV and JPEG end at 32,767 and 65,500
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF", "JPEG2000")
FORMAT_NAMES = "JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF, HEIC or JPEG 2000"
_NAMED = ".jpg .jpeg .jpe .jfif .png .webp .bmp .tif .tiff .avif .heic .heif .hif .jp2 .j2k"
ENDINGS = frozenset(_NAMED.split())  # of files in a folder that are pictures; a GIF counts as a clip, as it may move

Picture = np.ndarray | Image.Image | str | os.PathLike[str] | bytes  # what `as_rgb` takes

_TURNS = {  # what makes a picture of each EXIF orientation upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_opening = Lock()
_ADDRESS = re.compile(r"https?:/", re.IGNORECASE)  # a path has one slash in the place of several
_DATA_URL = re.compile(r"data:[\w.+/-]*(?:;[\w.+=-]+)*;base64,", re.IGNORECASE)


class ImageError(CodedError):
    """A picture cannot be used.

    Attributes:
        code: what is wrong, for programs: `empty`, `too_large`, `too_many_pixels`, `not_an_image`, `damaged`,
            `bad_base64`, `unreadable` or `bad_array`.

    The message is one sentence for the person who sent the picture.
    """


def read_image(
    source: str | os.PathLike[str] | bytes, max_pixels: int = MAX_PIXELS, max_bytes: int = MAX_FILE_BYTES
) -> np.ndarray:
    """Decode a picture file, or its bytes, to uint8 RGB `(height, width, 3)`, turned upright by its EXIF orientation.

    JPEG, PNG, WebP, GIF (first frame), BMP, TIFF, AVIF, HEIC/HEIF and JPEG 2000; colour, grey, palette, 8 or 16 bits.
    Transparent parts become white. The array is one's own, to draw on.

    A server that takes pictures from strangers sets closer limits: 200 megapixels take over a gigabyte while they are
    read, and fit into a file of some hundred kilobytes.

    Raises:
        ImageError: no such file, empty, over `max_bytes` or `max_pixels`, not a picture, or damaged.
    """
    if not isinstance(source, str | os.PathLike | bytes):
        raise ImageError("bad_array", f"Expected a path or a file's bytes, got {type(source).__name__}.")
    data = source if isinstance(source, bytes) else _read_file(Path(source), max_bytes)
    if not data:
        raise ImageError("empty", "The file is empty (0 bytes): choose another picture.")
    _check_size(len(data), max_bytes)
    register_heif()
    try:
        with _unguarded():
            opened = Image.open(io.BytesIO(data), formats=FORMATS)
        with opened as picture:
            # Checked on the header, before a small file can unfold into gigabytes.
            if picture.width * picture.height > max_pixels:
                megapixels = math.ceil(picture.width * picture.height / 1e5) / 10  # more than the limit in any case
                raise ImageError(
                    "too_many_pixels",
                    f"The picture has {megapixels:.1f} megapixels, and the limit is {max_pixels / 1e6:g}: "
                    "make it smaller and try again.",
                )
            if picture.format == "TIFF":
                with _unguarded():  # Pillow looks once more when it makes room for one of these
                    opened.load_prepare()
            return _loaded(picture)
    except UnidentifiedImageError as error:
        raise ImageError(
            "not_an_image",
            f"This is not a picture that can be read: use a {FORMAT_NAMES} file.",
        ) from error
    except ImageError:
        raise
    except Exception as error:  # decoders answer damage with many kinds
        raise _damaged() from error


@contextmanager
def _unguarded() -> Iterator[None]:
    """Without the limit that Pillow has for all of a program, 89 megapixels: `max_pixels` takes its place."""
    with _opening:
        guard, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = guard


def _damaged() -> ImageError:
    return ImageError("damaged", "The picture is damaged or cut off: save or send it once more.")


def read_base64_image(text: str, max_pixels: int = MAX_PIXELS, max_bytes: int = MAX_FILE_BYTES) -> np.ndarray:
    """Decode a picture given as base64 or as a data URL to uint8 RGB `(height, width, 3)`.

    Base64 in its form for URLs is taken too, and without its padding.

    Raises:
        ImageError: not base64, or the picture in it cannot be read.
    """
    if not isinstance(text, str) or not text.strip():
        raise ImageError("empty", "No picture was sent: give it as base64 text or as a data URL.")
    _check_size(len(text) * 7 // 10, max_bytes)  # roughly, before decoding: line breaks and the head do not count
    text = text.strip()
    match = _DATA_URL.match(text)
    text = "".join((text[match.end() :] if match else text).split())
    text = text.replace("-", "+").replace("_", "/")  # base64 for URLs has two characters of its own
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError as error:
        raise ImageError(
            "bad_base64", "The text is not valid base64: send base64 or a data:image/...;base64,... URL."
        ) from error
    return read_image(data, max_pixels, max_bytes)


@contextmanager
def told_of(number: int, picture: Picture) -> Iterator[None]:
    """An error with one of many pictures has a note that says which."""
    try:
        yield
    except ImageError as error:
        name = f": {os.fspath(picture)}" if isinstance(picture, str | os.PathLike) else ""
        error.add_note(f"That is number {number} of the pictures, counted from 0{name}")
        raise


def as_rgb(image: Picture) -> np.ndarray:
    """A picture as uint8 RGB `(height, width, 3)`.

    Files and `PIL.Image`s are turned upright by their EXIF orientation; an array is taken as it lies.

    Args:
        image: an array, grey, RGB (not OpenCV's BGR) or RGBA, uint8 or uint16 (0..65,535); a `PIL.Image`; or a file's
            path or bytes, as for `read_image`.

    Raises:
        ImageError: an array of another dtype, range or shape; no pixels, or a side of over 30,000; or a file that
            cannot be read.
    """
    if isinstance(image, str | os.PathLike | bytes):
        return read_image(image)
    if isinstance(image, Image.Image):
        return _loaded(image)
    if not isinstance(image, np.ndarray):
        raise ImageError(
            "bad_array",
            f"Expected an image array, a PIL.Image, a path or bytes, got {type(image).__name__}: convert it first.",
        )
    deep = image.dtype.newbyteorder("=") == np.uint16  # in either order of bytes, as files have them
    if image.dtype != np.uint8 and not deep:
        raise ImageError(
            "bad_array",
            f"Expected a uint8 or uint16 image, got {image.dtype}: scale pixel values to 0..255 and convert, for "
            "values of 0..1 with (255 * image).astype(np.uint8).",
        )
    channels = image.shape[2] if image.ndim == 3 else 1
    if image.ndim not in (2, 3) or channels not in (1, 3, 4):
        raise ImageError("bad_array", f"Expected an image of shape (height, width[, 1, 3 or 4]), got {image.shape}.")
    _check_sides(image.shape[1], image.shape[0])
    if deep:
        if 0 < image.max(initial=0) < 256:  # it would be black
            raise ImageError(
                "bad_array",
                f"Expected values of 0..65,535 in a uint16 image, got {image.max()} at most: convert values of 0..255 "
                "with image.astype(np.uint8).",
            )
        image = (image >> 8).astype(np.uint8)
    if channels == 1:
        return cv2.cvtColor(image.reshape(image.shape[:2]), cv2.COLOR_GRAY2RGB)
    if channels == 4:
        return _to_rgb(Image.fromarray(image))
    if image.strides[2] < 0:  # `bgr[..., ::-1]`: one quick copy now, where every step would make a slow one
        return cv2.cvtColor(image[..., ::-1], cv2.COLOR_BGR2RGB)
    return image


def to_grey(image: Picture) -> np.ndarray:
    """Grey version of a picture as `as_rgb` takes it: uint8 `(height, width)`.

    Raises:
        ImageError: not an image.
    """
    if isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 2 and image.size:
        return image
    return cv2.cvtColor(as_rgb(image), cv2.COLOR_RGB2GRAY)


def _read_file(path: Path, max_bytes: int) -> bytes:
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            # Devices and pipes say nothing of their size.
            data = b"" if size > max_bytes else file.read((size or max_bytes) + 1)
    except (OSError, ValueError) as error:
        raise ImageError("unreadable", why_unreadable(path, error)) from error
    _check_size(size, max_bytes)
    return data


def why_unreadable(path: Path, error: OSError | ValueError) -> str:
    """What is said of a file that could not be opened or read."""
    if isinstance(error, ValueError):  # before a file is looked for
        return f"{str(path)!r}: no file can have this name."
    if not isinstance(error, FileNotFoundError):
        return f"{path}: cannot be read ({error.strerror})."
    if _ADDRESS.match(str(path)):
        return f"{path}: addresses are not fetched: save the file first, and give its path."
    return f"{path}: no such file."


@lru_cache(maxsize=1)
def register_heif() -> None:
    """Teach Pillow the pictures of phones, to read and to write."""
    from pillow_heif import register_heif_opener

    register_heif_opener(thumbnails=False)


def _check_size(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise ImageError(
            "too_large",
            f"The picture is {size / 2**20:.1f} MB, and the limit is {max_bytes / 2**20:g} MB: "
            "make it smaller and try again.",
        )


def _check_sides(width: int, height: int) -> None:
    if not width or not height:
        raise ImageError("bad_array", f"Expected an image with pixels, got one of {width} x {height}.")
    if max(width, height) > MAX_SIDE:
        raise ImageError(
            "too_many_pixels",
            f"The picture is {width} x {height} pixels, and a side may have {MAX_SIDE:,}: "
            "make it smaller and try again.",
        )


def _upright(picture: Image.Image) -> Image.Image:
    """The picture as it was held; an EXIF block that makes no sense counts as none, as the pixels are sound."""
    try:
        turn = _TURNS.get(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # the parser answers damage with many kinds
        turn = None
    return picture if turn is None else picture.transpose(turn)


def _loaded(picture: Image.Image) -> np.ndarray:
    """Its pixels, uint8 RGB, upright; a file is only read now."""
    _check_sides(*picture.size)
    closed = getattr(picture, "fp", picture) is None  # or has been read already
    try:
        picture.load()
    except Exception as error:  # decoders answer damage with many kinds
        if closed or "closed" in str(error):
            raise ImageError("unreadable", "The picture is closed: give it while it is open, or a copy.") from error
        raise _damaged() from error
    return _to_rgb(_upright(picture))


def _to_rgb(picture: Image.Image) -> np.ndarray:
    if picture.mode.startswith("I;16"):
        return as_rgb((np.asarray(picture) >> 8).astype(np.uint8))
    if picture.mode in ("I", "F"):
        return as_rgb(_stretched(np.asarray(picture)))
    rgb = np.empty((picture.height, picture.width, 3), np.uint8)
    for rows in _strips(picture.width, picture.height):
        rgb[rows] = np.asarray(_opaque(picture.crop((0, rows.start, picture.width, rows.stop))))
    return rgb


def _strips(width: int, height: int) -> list[slice]:
    """The rows that are converted at a time: few, as the limit that Pillow has for all of a program holds for crops."""
    step = max(STRIP_ROWS, STRIP // width)
    return [slice(top, min(top + step, height)) for top in range(0, height, step)]


def _opaque(picture: Image.Image) -> Image.Image:
    """The picture in RGB, laid over white where it is transparent."""
    if picture.mode == "La":  # which Pillow makes nothing else of
        picture = picture.convert("LA")
    if picture.mode not in ("LA", "PA", "RGBA", "RGBa") and "transparency" not in picture.info:
        return picture if picture.mode == "RGB" else picture.convert("RGB")  # which would copy it
    rgba = picture.convert("RGBA")
    white = Image.new("RGB", rgba.size, "white")
    white.paste(rgba, mask=rgba)
    return white


def _stretched(values: np.ndarray) -> np.ndarray:
    """Grey of 32 bits, which has no fixed white, from its darkest to its brightest value: uint8, of the same shape.

    Values that are no numbers are black; infinite ones count as the darkest or the brightest.
    """
    grey = np.empty(values.shape, np.uint8)
    strips = _strips(values.shape[1], len(values))
    finite = (values[rows][np.isfinite(values[rows])] for rows in strips)
    bounds = [(float(known.min()), float(known.max())) for known in finite if known.size]
    low, high = min((low for low, _ in bounds), default=0.0), max((high for _, high in bounds), default=0.0)
    for rows in strips:
        shades = (values[rows].astype(np.float64) - low) * (255 / max(high - low, 1e-9))
        grey[rows] = np.nan_to_num(shades, nan=0, posinf=255, neginf=0)
    return grey
