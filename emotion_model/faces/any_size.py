"""YuNet's file for pictures of any size: what runs in a browser takes the size that the file names, and no other.

The file is an ONNX `ModelProto` (https://onnx.ai/onnx/repo-docs/IR.html) in the wire format of Protocol Buffers. Two
changes of a few bytes each, none of which alters a length, spare everybody who serves the page the `onnx` package.
"""

from __future__ import annotations

from collections.abc import Iterator

# The first bytes of fields that have a length: the field's number times 8, plus 2.
_GRAPH = 7 << 3 | 2  # in ModelProto
_INPUT, _VALUE_INFO = 11 << 3 | 2, 13 << 3 | 2  # in GraphProto
_RESERVED = 7 << 3 | 2  # in GraphProto too: read by nobody
_FIXED = b"\x0a\x03\x08\x80\x05"  # a dimension with the value 640
_NAMED = b"\x0a\x03\x12\x01"  # a dimension with a name of one letter, which follows


def for_any_size(content: bytes) -> bytes:
    """YuNet's ONNX file (input 1x3x640x640), changed so that height and width are free.

    The sizes of what lies between the layers, which are hints only, no longer count.

    Raises:
        ValueError: it is no such file.
    """
    changed = bytearray(content)
    try:
        whole = range(len(content))
        graph = next(place for at, place in _fields(content, whole) if content[at] == _GRAPH)
        for at, place in _fields(content, graph):
            if content[at] == _VALUE_INFO:
                changed[at] = _RESERVED
            elif content[at] == _INPUT:
                entry = content[place.start : place.stop]
                if entry.count(_FIXED) != 2:
                    raise ValueError("the input has no two sides of 640 pixels")
                entry = entry.replace(_FIXED, _NAMED + b"h", 1).replace(_FIXED, _NAMED + b"w", 1)
                changed[place.start : place.stop] = entry
    except (IndexError, StopIteration) as error:
        raise ValueError("not an ONNX file") from error
    if changed == content:
        raise ValueError("the network has no input")
    return bytes(changed)


def _fields(content: bytes, message: range) -> Iterator[tuple[int, range]]:
    """Of each field with a length: where its number stands, and where its value."""
    at = message.start
    while at < message.stop:
        kind = content[at] & 7
        _, value = _varint(content, at)
        if kind == 2:
            length, value = _varint(content, value)
            yield at, range(value, value + length)
            at = value + length
        elif kind == 0:
            _, at = _varint(content, value)
        else:  # eight bytes, or four
            at = value + (8 if kind == 1 else 4)


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """A number, and the place behind it."""
    value = shift = 0
    while content[at] >= 128:
        value |= (content[at] & 127) << shift
        shift, at = shift + 7, at + 1
    return value | content[at] << shift, at + 1
