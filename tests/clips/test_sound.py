"""The sound of a clip in its annotated copy, where it has to be encoded anew."""

from fractions import Fraction

import av
import numpy as np
import pytest

from emotion_model.clips.reading import VideoReader
from emotion_model.clips.writing import video_writer
from support import clips

RATE = 48_000
CHUNK = 1152  # samples in a frame of MPEG audio


def write(path, seconds, codec, layout, heard):
    """Grey pictures at 25 frames a second, and a tone at these times alone: in between the file has no sound at all."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg2video", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = container.add_stream(codec, rate=RATE)
        audio.layout = layout
        resampler = av.AudioResampler(format=audio.codec_context.format.name, layout=layout, rate=RATE)
        for _ in range(25 * seconds):
            grey = np.full((48, 64, 3), 120, np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        container.mux(video.encode(None))
        for start, end in heard:
            for chunk in range(int((end - start) * RATE) // CHUNK):
                tone = (8000 * np.sin(np.arange(CHUNK) * 0.06)).astype(np.int16)
                channels = 1 if layout == "mono" else 2
                frame = av.AudioFrame.from_ndarray(np.repeat(tone, channels)[None], format="s16", layout=layout)
                frame.rate, frame.pts, frame.time_base = RATE, int(start * RATE) + chunk * CHUNK, Fraction(1, RATE)
                for resampled in resampler.resample(frame):
                    container.mux(audio.encode(resampled))
        container.mux(audio.encode(None))


def copied(source, target):
    """When the sound of the copy begins and ends, each time that it is heard, in seconds."""
    with (
        VideoReader(source) as reader,
        video_writer(target, reader.width, reader.height, reader.rate, audio=reader) as writer,
    ):
        for frame in reader.frames():
            writer.write(frame.image, frame.time)
    heard: list[list[float]] = []
    with av.open(str(target)) as container:
        for frame in container.decode(audio=0):
            if np.abs(frame.to_ndarray()).max() < 0.05:
                continue
            begin, end = float(frame.time), float(frame.time) + frame.samples / frame.sample_rate
            if heard and begin - heard[-1][1] < 0.1:
                heard[-1][1] = end
            else:
                heard.append([begin, end])
    return heard


def test_a_silence_in_the_sound_stays_where_it_is(tmp_path):
    write(tmp_path / "gap.mkv", 4, "pcm_s16le", "mono", [(0, 1), (3, 4)])
    assert np.array(copied(tmp_path / "gap.mkv", tmp_path / "out.mp4")) == pytest.approx(
        np.array([(0, 1), (3, 4)]), abs=0.1
    )


def test_sound_goes_on_where_the_number_of_channels_changes(tmp_path):
    for name, layout in (("one", "mono"), ("two", "stereo")):
        write(tmp_path / f"{name}.ts", 2, "mp2", layout, [(0, 2)])
    both = tmp_path / "both.ts"
    both.write_bytes((tmp_path / "one.ts").read_bytes() + (tmp_path / "two.ts").read_bytes())
    ((begin, end),) = copied(both, tmp_path / "out.mp4")
    assert (begin, end) == pytest.approx((0, 4), abs=0.3)


def grey(_):
    return np.full((48, 64, 3), 120, np.uint8)


def test_one_damaged_header_in_the_sound_of_a_broadcast_is_passed_over(tmp_path):
    source = clips.write_clip(tmp_path / "aac.ts", grey, seconds=3, sound="aac")
    content = bytearray(source.read_bytes())
    middle = content.index(b"\xff\xf1", len(content) // 2)  # where a packet of the sound begins
    content[middle : middle + 2] = b"\0\0"
    source.write_bytes(content)
    ((begin, end),) = copied(source, tmp_path / "out.mp4")
    assert (begin, end) == pytest.approx((0, 3), abs=0.1)


def test_slow_mp3_which_mp4_does_not_take_becomes_aac(tmp_path):
    source = clips.write_clip(tmp_path / "slow.mkv", grey, sound="libmp3lame", sound_rate=8000)
    ((begin, end),) = copied(source, tmp_path / "out.mp4")
    assert (begin, end) == pytest.approx((0, 2), abs=0.2)
    assert clips.audio_seconds(tmp_path / "out.mp4")[0] == "aac"
