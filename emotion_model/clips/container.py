"""A video file as PyAV opens it: packets and frames, whatever is damaged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av

from emotion_model.clips.limits import MediaError

# Only demuxers of plain clips: a playlist, for one, could name files and addresses of this machine.
_DEMUXERS = (
    "aac,apng,asf,avi,dv,flac,flv,gif,h264,hevc,ivf,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpeg,mpegts,mxf,ogg,wav"
)
_NAMED = (
    ".mp4 .m4v .mov .qt .webm .mkv .avi .gif .mpg .mpeg .mpe .wmv .asf .flv .f4v .3gp .3g2 .ts .mts .m2ts .mxf .ogv "
    ".vob .dv .apng .h264 .264 .hevc .h265 .265 .ivf .mj2"
)
ENDINGS = frozenset(_NAMED.split())  # of files in a folder that are clips


def packets(container: Any, stream: Any) -> Iterator[av.Packet]:
    """Packets of the stream, the empty one that flushes the decoder last; a file that breaks off just ends.

    Raises:
        MediaError: the disk or the network that it lies on fails.
    """
    coming = container.demux(stream)
    while True:
        try:
            yield next(coming)
        except StopIteration:
            return
        except (av.FFmpegError, OSError) as error:
            if isinstance(error, OSError) and not isinstance(error, BlockingIOError):  # that one stands for damage
                said = f"The clip cannot be read to its end ({error.strerror}): copy it to another place and try again."
                raise MediaError("unreadable", said) from error
            yield _flush(stream)
            return


def decoded(packet: av.Packet) -> Sequence[Any]:
    """The frames that a packet gives; none if it is damaged, and the next ones are decoded all the same."""
    try:
        return packet.decode()
    except (av.FFmpegError, OSError, ValueError):
        return ()


def open_container(path: Path | None) -> Any:
    """A clip as PyAV gives it, opened for reading: only plain clips, only files of this machine."""
    options = {"format_whitelist": _DEMUXERS, "protocol_whitelist": "file"}
    return av.open(f"file:{path}", options=options, metadata_errors="replace")


def _flush(stream: Any) -> av.Packet:
    packet = av.Packet()
    packet.stream = stream
    return packet
