"""Files with something wrong in them: small pictures and clips of every form that is read, and ways to damage them."""

from __future__ import annotations

import io
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pillow_heif import register_heif_opener

from emotion_model import ImageError, MediaError, VideoReader, read_image
from support.clips import write_clip

SIZE = (40, 30)  # pixels; of the pictures
FRAMES = (64, 48)  # pixels; of the clips
CLIPS = {  # name -> codec and pixel format
    "h264.mp4": ("libx264", "yuv420p"),
    "h264.mov": ("libx264", "yuv420p"),
    "vp9.webm": ("libvpx-vp9", "yuv420p"),
    "vp8.mkv": ("libvpx", "yuv420p"),
    "mpeg4.avi": ("mpeg4", "yuv420p"),
    "plain.gif": ("gif", "rgb8"),
    "h264.ts": ("libx264", "yuv420p"),
}
# What headers are made of: nothing, the most, the sign, sizes over the limits.
_ODD_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def pictures() -> dict[str, bytes]:
    """A small file of each form of picture and of each kind of pixels that it can hold, by name."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
    smooth = np.stack([x * 6, y * 8, (x + y) * 3], axis=-1) % 256
    colour = Image.fromarray((smooth * 0.8 + rng.integers(0, 50, smooth.shape)).astype(np.uint8))
    clear = colour.copy()
    clear.putalpha(Image.fromarray((x * 6).astype(np.uint8)))
    deep = Image.fromarray((x * 1600).astype(np.uint16))
    turned = Image.Exif()
    turned[0x0112] = 6
    register_heif_opener()
    return {
        "colour.jpg": _saved(colour, "JPEG", exif=turned),
        "progressive.jpg": _saved(colour, "JPEG", progressive=True),
        "cmyk.jpg": _saved(colour.convert("CMYK"), "JPEG"),
        "colour.png": _saved(colour, "PNG"),
        "clear.png": _saved(clear, "PNG"),
        "deep.png": _saved(deep, "PNG"),
        "palette.png": _saved(colour.quantize(16), "PNG", transparency=0),
        "colour.webp": _saved(colour, "WEBP"),
        "lossless.webp": _saved(clear, "WEBP", lossless=True),
        "moving.gif": _saved(colour, "GIF", save_all=True, append_images=[colour.rotate(90)]),
        "colour.bmp": _saved(colour, "BMP"),
        "palette.bmp": _saved(colour.quantize(16), "BMP"),
        "colour.tiff": _saved(colour, "TIFF"),
        "packed.tiff": _saved(clear, "TIFF", compression="tiff_lzw"),
        "float.tiff": _saved(colour.convert("F"), "TIFF", compression="tiff_adobe_deflate"),
        "colour.avif": _saved(colour, "AVIF"),
        "clear.avif": _saved(clear, "AVIF"),
        "colour.heic": _saved(colour, "HEIF", exif=turned),
        "colour.jp2": _saved(colour, "JPEG2000"),
    }


def _saved(picture: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


def clips(folder: Path) -> dict[str, bytes]:
    """A small file of each form of clip, by name; `folder` serves to write them."""
    y, x = np.mgrid[0 : FRAMES[1], 0 : FRAMES[0]]

    def frame(moment: float) -> np.ndarray:
        return np.stack([x * 4, y * 5, x + y + int(moment * 60)], axis=-1).astype(np.uint8)

    made = {}
    for name, (codec, pix_fmt) in CLIPS.items():
        sound = "aac" if name.endswith((".mp4", ".ts")) else None
        made[name] = write_clip(folder / name, frame, seconds=0.8, codec=codec, pix_fmt=pix_fmt, sound=sound)
    return {name: path.read_bytes() for name, path in made.items()}


# Damage


def _flip(data: bytearray, rng: random.Random, _: bytes) -> None:
    for _bit in range(rng.choice((1, 2, 8, 32))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _end(data: bytearray, rng: random.Random, _: bytes) -> None:
    del data[rng.randrange(len(data)) :]


def _cut(data: bytearray, rng: random.Random, _: bytes) -> None:
    del data[_stretch(data, rng)]


def _zero(data: bytearray, rng: random.Random, _: bytes) -> None:
    where = _stretch(data, rng)
    data[where] = bytes(where.stop - where.start)


def _repeat(data: bytearray, rng: random.Random, _: bytes) -> None:
    where = _stretch(data, rng)
    data[where] = data[where] * rng.choice((2, 3, 20))


def _scramble(data: bytearray, rng: random.Random, _: bytes) -> None:
    where = _stretch(data, rng)
    data[where] = rng.randbytes(where.stop - where.start)


def _splice(data: bytearray, rng: random.Random, other: bytes) -> None:
    data[rng.randrange(len(data)) :] = other[rng.randrange(len(other)) :]


def _insert(data: bytearray, rng: random.Random, other: bytes) -> None:
    where = rng.randrange(len(data))
    data[where:where] = other[_stretch(other, rng)]


def _header(data: bytearray, rng: random.Random, _: bytes) -> None:
    where, size = rng.randrange(min(len(data), rng.choice((32, 128, 1024)))), rng.choice((1, 2, 4))
    value = rng.choice(_ODD_NUMBERS) & (1 << 8 * size) - 1
    data[where : where + size] = value.to_bytes(size, rng.choice(("big", "little")))


def _stretch(data: bytes | bytearray, rng: random.Random) -> slice:
    start = rng.randrange(len(data))
    return slice(start, min(start + rng.choice((1, 4, 16, 64, 512)), len(data)))


_WAYS: tuple[Callable[[bytearray, random.Random, bytes], None], ...] = (
    _flip, _end, _cut, _zero, _repeat, _scramble, _splice, _insert, _header, _header,
)  # fmt: skip


def damaged(files: dict[str, bytes], seed: int, number: int) -> tuple[str, bytes]:
    """The damaged file with this number, always the same for a seed: its name before, and what is left of it."""
    rng = random.Random(f"{seed} {number}")  # noqa: S311
    name = sorted(files)[number % len(files)]  # every form comes equally often
    data = bytearray(files[name])
    for _ in range(rng.choice((1, 1, 2, 4))):
        if data:
            rng.choice(_WAYS)(data, rng, files[rng.choice(sorted(files))])
    return name, bytes(data)


# What readers make of it


@dataclass(frozen=True)
class Outcome:
    """What came of a file: `read`, or the code of the error that refused it; the seconds it took."""

    code: str
    seconds: float


def try_picture(data: bytes) -> Outcome:
    """Read a picture file; any error but a well-formed `ImageError` is raised."""
    began = time.perf_counter()
    try:
        pixels = read_image(data, 50_000_000)
        assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.size
        code = "read"
    except ImageError as error:
        code = _sentence(error)
    return Outcome(code, time.perf_counter() - began)


def try_clip(path: Path) -> Outcome:
    """Read every frame of a clip file; any error but a well-formed `MediaError` is raised."""
    began, last = time.perf_counter(), 0.0
    try:
        with VideoReader(path) as reader:
            for frame in reader.frames():
                assert frame.time >= last
                last = frame.time
                image = frame.image
                assert image.shape == (reader.height, reader.width, 3) and image.dtype == np.uint8
        code = "read"
    except MediaError as error:
        code = _sentence(error)
    return Outcome(code, time.perf_counter() - began)


def _sentence(error: ImageError | MediaError) -> str:
    """The error's code; its message must be a sentence for people."""
    message = str(error)
    assert re.fullmatch(r"[A-Z][^\n]{10,300}\.", message), message
    assert error.code and f"`{error.code}`" in (type(error).__doc__ or ""), error.code
    return error.code


def require_outcomes(
    files: dict[str, bytes], seed: int, numbers: range, attempt: Callable[[str, bytes], Outcome]
) -> None:
    """Fail unless each of these damaged files is read or refused with a sentence, in time and without much memory."""
    resource = pytest.importorskip("resource", reason="nobody tells here how much memory a process takes")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    codes = set()
    for number in numbers:
        name, data = damaged(files, seed, number)
        try:
            outcome = attempt(name, data)
        except Exception as error:
            raise AssertionError(f"seed {seed}, number {number}, {name}: {error!r}") from error
        assert outcome.seconds < 20, (seed, number, name)
        codes.add(outcome.code)
    assert {"read", "damaged"} <= codes
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2_000_000  # KB
