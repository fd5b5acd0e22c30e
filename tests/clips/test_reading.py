import errno
import io
import math
import os
import struct
import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from emotion_model.clips.container import packets
from emotion_model.clips.limits import MediaError, MediaLimits
from emotion_model.clips.reading import VideoReader
from emotion_model.clips.sampling import sampled
from emotion_model.clips.times import Clock
from emotion_model.clips.writing import video_writer
from emotion_model.faces.images import register_heif
from emotion_model.timelines.clock import clock
from support import clips
from support.paths import ROOT, media


def times(source, **options):
    with VideoReader(source) as reader:
        return [frame.time for frame in reader.frames(**options)]


def test_a_clip_gives_its_frames_with_numbers_and_times(clip):
    with VideoReader(clip) as reader:
        assert (reader.width, reader.height, reader.rate, reader.has_audio) == (320, 240, 10, True)
        assert reader.duration == pytest.approx(2.0, abs=0.1)
        frames = list(reader.frames())
    assert [frame.index for frame in frames] == list(range(20))
    assert [frame.time for frame in frames] == pytest.approx([i / 10 for i in range(20)])
    assert frames[0].image.shape == (240, 320, 3) and frames[0].image.dtype == np.uint8


def test_pixels_are_those_of_an_independent_decode(clip):
    _, expected = clips.decode(clip)
    with VideoReader(clip) as reader:
        for frame, picture in zip(reader.frames(), expected, strict=True):
            assert np.abs(frame.image.astype(int) - picture).mean() < 1.5


@pytest.mark.parametrize(("start", "end"), [(0.0, 0.5), (0.55, 1.2), (0.8, 0.9), (1.3, None), (1.95, None)])
def test_a_part_of_a_clip_keeps_its_numbers_and_times(clip, start, end):
    with VideoReader(clip) as reader:
        everything = [(f.index, f.time, f.image.mean()) for f in reader.frames()]
        part = [(f.index, f.time, f.image.mean()) for f in reader.frames(start, end)]
    assert part == [one for one in everything if start <= one[1] < (9 if end is None else end)]


def test_irregular_frame_rates_keep_their_times(film, tmp_path):
    irregular = [0, 0.1, 0.15, 0.5, 1.2, 1.21]
    path = clips.write_clip(tmp_path / "vfr.mp4", film, times=irregular)
    assert times(path) == pytest.approx(irregular, abs=1e-3)


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_rotated_clips_stand_upright(film, tmp_path, rotation):
    upright = film(0)
    path = clips.write_clip(tmp_path / "r.mp4", lambda t: np.rot90(film(0), -rotation // 90).copy(), rotation=rotation)
    with VideoReader(path) as reader:
        image = next(iter(reader.frames())).image
        assert (reader.height, reader.width) == image.shape[:2] == upright.shape[:2]
        assert next(iter(reader.frames())).at_size(64, 48).shape == (48, 64, 3)
    assert np.abs(image.astype(int) - upright).mean() < 8


@pytest.mark.parametrize(
    "matrix",
    [
        (1, 0, 0, 1),
        (-1, 0, 0, 1),
        (-1, 0, 0, -1),
        (1, 0, 0, -1),
        (0, 1, 1, 0),
        (0, 1, -1, 0),
        (0, -1, -1, 0),
        (0, -1, 1, 0),
    ],
)
def test_clips_are_shown_as_their_matrix_says_turned_and_mirrored(tmp_path, matrix):
    colours = {(-1, -1): (200, 30, 30), (1, -1): (30, 200, 30), (-1, 1): (30, 30, 200), (1, 1): (200, 200, 200)}
    picture = np.zeros((48, 64, 3), np.uint8)
    for (x, y), colour in colours.items():
        picture[24 * (y > 0) :, 32 * (x > 0) :][:24, :32] = colour
    path = clips.write_clip(tmp_path / "m.mp4", lambda _: picture, seconds=0.2)
    a, b, c, d = matrix
    content = path.read_bytes()
    plain = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    at = content.index(plain, content.index(b"tkhd"))
    told = struct.pack(">9i", *(value << 16 for value in (a, b, 0, c, d, 0, 0, 0)), 1 << 30)
    path.write_bytes(content[:at] + told + content[at + len(told) :])
    with VideoReader(path) as reader:
        frame = next(iter(reader.frames()))
        assert (reader.width, reader.height) == ((64, 48) if a else (48, 64))
        for image in (frame.image, frame.at_size(reader.width // 2, reader.height // 2)):
            height, width = image.shape[:2]
            for (x, y), colour in colours.items():
                to_x, to_y = a * x + c * y, b * x + d * y  # as the format defines it, from the middle
                shown = image[height // 2 + to_y * height // 4, width // 2 + to_x * width // 4]
                assert np.abs(shown.astype(int) - colour).max() < 20


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("clip.webm", "libvpx", {}),
        ("clip.mkv", "libx264", {}),
        ("clip.avi", "mpeg4", {}),
        ("clip.ts", "libx264", {}),
        ("clip.mov", "libx264", {"movflags": "frag_keyframe+empty_moov"}),
    ],
)
def test_common_containers_are_read(film, tmp_path, name, codec, options):
    path = clips.write_clip(tmp_path / name, film, codec=codec, options=options, seconds=1)
    with VideoReader(path) as reader:
        assert reader.duration == pytest.approx(1, abs=0.11)
    assert times(path) == pytest.approx([i / 10 for i in range(10)], abs=2e-3)


@pytest.mark.parametrize(("name", "codec"), [("bare.h264", "libx264"), ("clip.mxf", "mpeg2video")])
def test_bare_streams_and_what_cameras_write_are_read(tmp_path, name, codec):
    path = brightening(tmp_path / name, 50, rate=25, codec=codec)
    with VideoReader(path) as reader:
        assert reader.duration == pytest.approx(2, abs=0.05) and reader.span() == (0, reader.duration)
    assert times(path) == pytest.approx([i / 25 for i in range(50)], abs=1e-3)


def test_a_clip_without_a_duration_in_its_header_is_measured(film, tmp_path):
    path = tmp_path / "recorded.webm"
    with path.open("wb") as file:
        pipe = type(
            "Pipe", (), {"write": lambda self, data: file.write(data)}
        )()  # cannot seek, as a browser's recorder
        with av.open(pipe, "w", format="webm") as container:
            video = container.add_stream("libvpx", rate=10)
            video.width, video.height, video.pix_fmt = 320, 240, "yuv420p"
            for i in range(15):
                frame = av.VideoFrame.from_ndarray(film(i / 10), format="rgb24")
                container.mux(video.encode(frame))
            container.mux(video.encode(None))
    with VideoReader(path) as reader:
        assert reader.duration == pytest.approx(1.5, abs=0.11) and reader.rate == pytest.approx(10, abs=1)
    assert len(times(path)) == 15


def test_an_animated_gif_is_a_clip(film, tmp_path):
    path = tmp_path / "moving.gif"
    pictures = [Image.fromarray(film(i / 2)) for i in range(5)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=[100, 300, 100, 100, 200], loop=0)
    assert times(path) == pytest.approx([0, 0.1, 0.4, 0.5, 0.6], abs=0.011)


def test_a_folder_and_a_list_of_pictures_are_clips(film, tmp_path):
    for i in range(4):
        Image.fromarray(film(i)).save(tmp_path / f"frame{i}.png")
    Image.fromarray(film(0)[:200]).save(tmp_path / "frame4.png")  # another shape: fitted into the first one's
    with VideoReader(tmp_path, sequence_rate=5) as reader:
        frames = list(reader.frames())
        assert [frame.time for frame in frames] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])
        assert all(frame.image.shape == (240, 320, 3) for frame in frames)
        assert reader.duration == 1
    with VideoReader([tmp_path / "frame3.png", tmp_path / "frame0.png"]) as reader:
        first, second = (frame.image for frame in reader.frames())
        assert (first == film(3)).all() and (second == film(0)).all()


def test_pictures_of_a_folder_may_have_any_form_that_is_read(film, tmp_path):
    register_heif()
    for name, form in (("1.heic", "HEIF"), ("2.jp2", "JPEG2000"), ("3.jfif", "JPEG")):
        Image.fromarray(film(0)).save(tmp_path / name, format=form)
    (tmp_path / "4.txt").touch()
    assert len(times(tmp_path)) == 3


def test_a_clip_of_a_colour_matrix_that_is_not_known_is_read(film, tmp_path):
    usual = clips.write_clip(tmp_path / "usual.mp4", film)
    with av.open(str(usual)) as source, av.open(str(tmp_path / "clip.mp4"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        named = av.BitStreamFilterContext("h264_metadata=matrix_coefficients=8", source.streams.video[0], stream)
        for packet in source.demux(video=0):
            for one in named.filter(packet if packet.dts is not None else None):
                one.stream = stream
                target.mux(one)
    with VideoReader(usual) as reader, VideoReader(tmp_path / "clip.mp4") as other:
        for one, frame in zip(reader.frames(), other.frames(), strict=True):
            assert (frame.at_size(64, 36) == one.at_size(64, 36)).all() and (frame.image == one.image).all()


def test_damaged_frames_are_left_out_and_the_rest_keeps_its_times(film, tmp_path):
    path = clips.write_clip(tmp_path / "clip.mkv", film, seconds=3)
    data = bytearray(path.read_bytes())
    third = len(data) // 3
    data[third : third + 900] = bytes(900)
    path.write_bytes(data)
    found = times(path)
    assert 5 < len(found) < 31 and found == sorted(found)
    assert max(found) > 2  # it goes on behind the damage


def test_a_transport_stream_that_breaks_off_gives_what_is_there(film, tmp_path):
    path = clips.write_clip(tmp_path / "clip.ts", film, seconds=3)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert 3 < len(times(path)) < 30


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv"])
def test_a_clip_that_breaks_off_ends_with_its_last_frame_whatever_its_header_says_and_tells(film, tmp_path, name):
    path = clips.write_clip(tmp_path / name, film, seconds=4, options={"movflags": "+faststart"}, sound="aac")
    with VideoReader(path) as reader:
        assert len(list(reader.frames())) == 40 and not reader.notice
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with VideoReader(path) as reader:
        assert reader.duration == pytest.approx(4, abs=0.11) and reader.ended is None
        last = [frame.time for frame in reader.frames()][-1]
        assert last < 3 and reader.ended == pytest.approx(last + 0.1, abs=1e-3)
        assert f"breaks off at {clock(last + 0.1)} of 0:04" in reader.notice


def test_a_segment_whose_clock_goes_on_from_others_is_as_long_as_its_pictures(film, tmp_path):
    path = clips.write_clip(tmp_path / "second.mkv", film, [8 + i / 10 for i in range(40)])
    with VideoReader(path) as reader:
        assert reader.duration == pytest.approx(4, abs=1e-3)
        shown = [frame.time for frame in reader.frames()]
        assert (shown[0], shown[-1]) == pytest.approx((0, 3.9), abs=1e-3) and not reader.notice


def test_a_part_before_the_place_where_a_clip_breaks_off_is_whole(film, tmp_path):
    path = clips.write_clip(tmp_path / "clip.mp4", film, seconds=4, options={"movflags": "+faststart"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with VideoReader(path) as reader:
        assert len(list(reader.frames(0.2, 0.8))) == 6 and not reader.notice


def test_a_clip_whose_disk_fails_is_not_taken_for_one_that_ends_there(film, tmp_path):
    content = clips.write_clip(tmp_path / "clip.mkv", film, seconds=3).read_bytes()

    class Failing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > len(content) // 2:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return super().read(min(size or -1, 1000))

    with (
        av.open(Failing(content)) as container,
        pytest.raises(MediaError, match=r"cannot be read to its end \(Input/output error\)") as refusal,
    ):
        list(packets(container, container.streams.video[0]))
    assert refusal.value.code == "unreadable"


def test_recordings_put_one_behind_the_other_follow_each_other(film, tmp_path):
    one = clips.write_clip(tmp_path / "one.ts", film, seconds=2).read_bytes()
    (tmp_path / "both.ts").write_bytes(one + one)
    assert times(tmp_path / "both.ts") == pytest.approx([i / 10 for i in range(40)], abs=0.11)


@pytest.mark.parametrize(("wrong", "right"), [(3600, 30.0), (2, 30.0), (36, 36.0)])
def test_a_frame_that_strays_is_put_back_and_a_gap_stays_one(wrong, right):
    frames = []
    for second in (*range(10, 30), wrong, *range(31 if wrong != 36 else 37, 50)):
        frame = av.VideoFrame(16, 16)
        frame.pts, frame.time_base = second, Fraction(1)
        frames.append(frame)
    found = [time for _, time, _ in Clock(1, 0, None).timed(iter(frames))]
    assert found == [*range(10, 30), right, *range(int(right) + 1, 50)]


def test_one_frame_with_a_wrong_time_moves_no_other(film, tmp_path):
    sound = clips.write_clip(tmp_path / "clip.mp4", film, seconds=4)
    with av.open(str(sound)) as source, av.open(str(tmp_path / "clip.ts"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                if packet.pts == 3 * packet.time_base.denominator:
                    packet.pts += 3600 * packet.time_base.denominator
                packet.stream = stream
                target.mux(packet)
    with VideoReader(tmp_path / "clip.ts") as reader:
        found = [(frame.index, frame.time) for frame in reader.frames()]
        assert [time for _, time in found] == pytest.approx([i / 10 for i in range(40)], abs=2e-3)
        assert reader.ended == pytest.approx(4, abs=0.01)
        for start in (2.0, 3.5):
            assert [(frame.index, frame.time) for frame in reader.frames(start)] == found[round(start * 10) :]


@pytest.mark.parametrize("start", [0.5, 1.7, 1.99, 2.3, 3.9, 4.7])
def test_a_part_of_recordings_put_one_behind_the_other_is_that_of_the_whole(film, tmp_path, start):
    pieces = [
        clips.write_clip(tmp_path / f"{i}.ts", film, seconds=length).read_bytes() for i, length in enumerate((2, 3))
    ]
    (tmp_path / "both.ts").write_bytes(b"".join(pieces))
    with VideoReader(tmp_path / "both.ts") as reader:
        whole = [(frame.index, frame.time) for frame in reader.frames() if frame.time >= start - 1e-6]
    with VideoReader(tmp_path / "both.ts") as reader:
        part = [(frame.index, frame.time) for frame in reader.frames(start)]
    assert len(whole) > 1 and [index for index, _ in part] == [index for index, _ in whole]
    assert [time for _, time in part] == pytest.approx([time for _, time in whole], abs=1e-6)


def test_no_frame_is_shown_after_a_later_one_wherever_a_part_begins(film, tmp_path):
    path = clips.write_clip(tmp_path / "slow.mkv", film, times=[1.4 + i / 5 for i in range(15)])
    for tenth in range(0, 30):
        with VideoReader(path) as reader:
            shown = [(frame.time, frame.index) for frame in reader.frames(tenth / 10)]
        assert shown == sorted(shown) and len({index for _, index in shown}) == len(shown), tenth


def brightening(path, count, rate=10, codec="libx264", **options):
    """A clip whose frames are ever brighter grey, coded as the options say."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options={"bf": "3"} | options)
        stream.width = stream.height = 64
        for i in range(count):
            picture = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 10 * i % 250, np.uint8), format="rgb24")
            picture.pts = i
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("name", "coding"),
    [
        (
            "slow.mp4",
            {"rate": 1, "g": "12", "b_strategy": "0"},
        ),  # frames come seconds behind those they are shown before
        ("slow.mkv", {"rate": 1, "g": "12", "b_strategy": "0"}),
        (
            "open.mp4",
            {"g": "12", "x264-params": "open-gop=1"},
        ),  # the first frames behind a key frame need those before it
        ("open.ts", {"codec": "mpeg2video", "g": "12", "bf": "2", "rate": 25}),
    ],
)
def test_a_part_is_that_of_the_whole_however_frames_were_coded(tmp_path, name, coding):
    path = brightening(tmp_path / name, 40, **coding)
    with VideoReader(path) as reader:
        whole = [(frame.index, frame.time, frame.image.mean()) for frame in reader.frames()]
        assert [index for index, _, _ in whole] == list(range(40))
        for start in range(1, 40, 3):
            begin = whole[start][1]
            assert [(one.index, one.time, one.image.mean()) for one in reader.frames(begin)] == whole[start:], start


@pytest.mark.parametrize("coding", [{"codec": "mpeg2video", "bf": "2"}, {"x264-params": "open-gop=1"}])
def test_so_it_is_where_a_recording_begins_between_two_key_frames(tmp_path, coding):
    whole = brightening(tmp_path / "whole.ts", 60, rate=25, g="12", **coding)
    path = tmp_path / "part.ts"
    with av.open(str(whole)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if number >= 5 and packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    with VideoReader(path) as reader:
        shown = [(frame.index, frame.time) for frame in reader.frames()]
        for start in range(1, len(shown), 5):
            assert [(one.index, one.time) for one in reader.frames(shown[start][1])] == shown[start:], start


def test_frames_that_were_coded_out_of_order_have_their_times_in_avi_too(tmp_path):
    path = brightening(tmp_path / "clip.avi", 25, b_strategy="0", qp="4")
    with VideoReader(path) as reader:
        found = list(reader.frames())
        assert [frame.time for frame in found] == pytest.approx([i / 10 for i in range(25)], abs=1e-3)
        assert [frame.image.mean() for frame in found] == pytest.approx([10 * i for i in range(25)], abs=4)
        part = [(frame.index, frame.time) for frame in reader.frames(1.0, 1.5)]
        assert part == [(frame.index, frame.time) for frame in found[10:15]]


def test_sampling_takes_n_frames_per_second(clip):
    with VideoReader(clip) as reader:
        chosen = [frame.index for frame, taken in sampled(reader.frames(), 5) if taken]
        assert chosen == list(range(0, 20, 2))
        assert all(taken for _, taken in sampled(reader.frames(), None))
        assert sum(taken for _, taken in sampled(reader.frames(), 100)) == 20
        part = [round(f.time, 3) for f, taken in sampled(reader.frames(0.3), 2.5, 0.3) if taken]
        assert part == [0.3, 0.7, 1.1, 1.5, 1.9]


def test_sampling_takes_what_stands_on_the_screen_where_no_frames_follow(film, tmp_path):
    path = clips.write_clip(tmp_path / "screen.mkv", film, [0, 0.1, 0.2, 4.2, 4.3, 4.4, 4.5, 4.6])
    with VideoReader(path) as reader:
        shown = list(sampled(reader.frames(), 2))
        until = [round(frame.time, 2) for frame, taken in sampled(reader.frames(end=4), 2) if taken]
    assert [frame.index for frame, _ in shown] == list(range(8))
    assert [round(frame.time, 2) for frame, taken in shown if taken] == [0, 0.2, 4.2, 4.5]
    assert until == [0, 0.2], "what stands to the end of a part counts too"


def test_so_it_does_where_the_clip_ends_with_what_stands_on_the_screen(film, tmp_path):
    first, *others = [Image.fromarray(film(time)) for time in (0, 1, 2)]
    first.save(tmp_path / "a.gif", save_all=True, append_images=others, duration=[100, 100, 3000])
    with VideoReader(tmp_path / "a.gif") as reader:
        assert [frame.index for frame, taken in sampled(reader.frames(), 2) if taken] == [0, 2]


@pytest.mark.parametrize("rate", [3, 7, 10, 25])
def test_sampling_of_a_steady_clip_takes_the_first_frame_from_each_time_on(film, tmp_path, rate):
    path = clips.write_clip(tmp_path / "steady.mp4", film, [i / rate for i in range(30)])
    with VideoReader(path) as reader:
        for asked in (1, 2, 2.9):
            taken = [frame.index for frame, one in sampled(reader.frames(), asked) if one]
            due = [math.ceil(rate * i / asked - 1e-3) for i in range(30)]
            assert taken == [index for index in due if index < 30]


# Bad input


def encrypted(path, film):
    options = {
        "encryption_scheme": "cenc-aes-ctr",
        "encryption_key": "76a6c65c5ea762046bd749a2e632ccbb",
        "encryption_kid": "a7e61c373e219033c21091fa607bf3b8",
    }
    return clips.write_clip(path, film, options=options)


def unknown_codec(path, film):
    clips.write_clip(path, film)
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzz9"))
    return path


def cut_off(path, film):
    clips.write_clip(path, film)
    path.write_bytes(path.read_bytes()[:-900])
    return path


def no_size(path, _):
    path.write_bytes(b"GIF89a" + bytes(7) + b";")
    return path


@pytest.mark.parametrize("times", [[0.0], [0.0, 0.001]])
def test_a_recording_of_too_few_frames_to_tell_a_rate_is_read(tmp_path, film, times):
    path = clips.write_clip(tmp_path / "clip.webm", film, times=times, codec="libvpx", options={"live": "1"})
    # A browser's recorder writes no duration, neither of the whole nor of a frame; a muxer would, of the latter.
    content = path.read_bytes()
    duration = content.index(bytes.fromhex("23E38384"))
    path.write_bytes(content[:duration] + bytes.fromhex("EC86") + bytes(6) + content[duration + 8 :])
    with VideoReader(path) as reader:
        assert reader.rate == 25 and [frame.time for frame in reader.frames()] == times


def too_fast(path, film):
    return clips.write_clip(path, film, times=[i / 5000 for i in range(40)])


def text(path, _):
    path.write_text("this is a text\n" * 99)
    return path


def empty(path, _):
    path.write_bytes(b"")
    return path


def noise(path, _):
    path.write_bytes(bytes(range(256)) * 50)
    return path


def playlist(path, _):
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n/etc/passwd\n#EXT-X-ENDLIST\n")
    return path


def picture(path, film):
    Image.fromarray(film(0)).save(path, format=path.stem)
    return path


@pytest.mark.parametrize(
    ("name", "make", "code"),
    [
        ("empty.mp4", empty, "empty"),
        ("none.mp4", lambda path, _: path, "unreadable"),
        ("text.mp4", text, "not_a_video"),
        ("playlist.mp4", playlist, "not_a_video"),
        ("noise.mp4", noise, "not_a_video"),
        ("nosize.gif", no_size, "not_a_video"),
        ("png.mp4", picture, "a_picture"),
        ("webp.mp4", picture, "a_picture"),
        ("sound.mp4", lambda path, _: clips.write_tone(path), "no_video"),
        ("cut.mp4", cut_off, "damaged"),
        ("secret.mp4", encrypted, "encrypted"),
        ("odd.mp4", unknown_codec, "unsupported_codec"),
        ("fast.mp4", too_fast, "too_fast"),
    ],
)
def test_a_bad_clip_gets_a_code_and_one_sentence(film, tmp_path, name, make, code):
    with pytest.raises(MediaError) as refusal:
        VideoReader(make(tmp_path / name, film))
    assert refusal.value.code == code
    assert str(refusal.value).endswith(".") and "\n" not in str(refusal.value)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
def test_a_clip_that_cannot_be_wound_back_is_to_be_saved_first(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(MediaError, match="cannot be wound back: save the clip to a file first") as error:
        VideoReader(tmp_path / "pipe")
    assert error.value.code == "unreadable"


def test_a_name_that_no_file_can_have_is_said_to_be_none():
    with pytest.raises(MediaError, match="no file can have this name"):
        VideoReader("a\0b")


def test_a_name_longer_than_the_disk_takes_is_said_to_be_unreadable(tmp_path):
    with pytest.raises(MediaError, match="name too long") as error:
        VideoReader(tmp_path / ("a" * 300))
    assert error.value.code == "unreadable"


def test_a_clip_at_an_address_is_said_not_to_be_fetched():
    with pytest.raises(MediaError, match="addresses are not fetched: save the file first"):
        VideoReader("https://example.org/a.mp4")


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        (MediaLimits(megabytes=0.001), "too_large"),
        (MediaLimits(pixels=1000), "too_many_pixels"),
        (MediaLimits(rate=5), "too_fast"),
        (MediaLimits(seconds=1), "too_long"),
    ],
)
def test_limits_are_kept(clip, limits, code):
    with pytest.raises(MediaError) as refusal, VideoReader(clip, limits) as reader:
        reader.span()
    assert refusal.value.code == code


def test_a_part_within_the_limit_of_a_long_clip_is_read(clip):
    with VideoReader(clip, MediaLimits(seconds=1)) as reader:
        assert reader.span(0.5, 1.2) == (0.5, 1.2)
        with pytest.raises(MediaError, match="nothing from 7 s"):
            reader.span(7)


@pytest.mark.parametrize("source", [None, 5, [None]])
def test_a_source_of_another_kind_is_named(source):
    with pytest.raises(TypeError, match="source: give a path or a list of paths"):
        VideoReader(source)


def test_absurd_limits_are_refused():
    with pytest.raises(ValueError, match="seconds=-1"):
        MediaLimits(seconds=-1)


def test_a_folder_without_pictures_is_named(tmp_path):
    with pytest.raises(MediaError, match="no pictures"):
        VideoReader(tmp_path)


# Writing


def copy(source, target, **options):
    with (
        VideoReader(source) as reader,
        video_writer(target, reader.width, reader.height, reader.rate, reader, **options) as writer,
    ):
        for frame in reader.frames(options.get("start", 0)):
            writer.write(frame.image, frame.time - options.get("start", 0), frame.duration)


def test_written_clips_have_the_format_that_browsers_play(clip, tmp_path):
    copy(clip, tmp_path / "out.mp4")
    data = (tmp_path / "out.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")  # the index in front: playing begins at once
    with av.open(str(tmp_path / "out.mp4")) as container:
        video = container.streams.video[0]
        assert (video.codec.name, video.pix_fmt) == ("h264", "yuv420p")
        assert container.duration / 1e6 == pytest.approx(2, abs=0.06)
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


def test_times_and_colours_survive_writing(film, tmp_path):
    irregular = [0, 0.1, 0.15, 0.5, 1.2, 1.21]
    source = clips.write_clip(tmp_path / "vfr.mp4", film, times=irregular)
    copy(source, tmp_path / "out.mp4")
    found, pictures = clips.decode(tmp_path / "out.mp4")
    assert found == pytest.approx(irregular, abs=1e-3)
    assert np.abs(pictures[0].astype(int) - film(0)).mean(axis=(0, 1)).max() < 6


@pytest.mark.parametrize(
    ("name", "video", "sound", "written"),
    [
        ("a.mp4", "libx264", "aac", "aac"),
        ("a.mp4", "libx264", "libmp3lame", "mp3"),
        ("a.ts", "libx264", "aac", "aac"),
        ("a.webm", "libvpx", "libopus", "aac"),
        ("a.mkv", "libx264", "pcm_s16le", "aac"),
        ("a.mkv", "libx264", "flac", "aac"),
    ],
)
def test_the_sound_is_taken_over(film, tmp_path, name, video, sound, written):
    source = clips.write_clip(tmp_path / name, film, codec=video, sound=sound)
    copy(source, tmp_path / "out.mp4")
    codec, seconds = clips.audio_seconds(tmp_path / "out.mp4")
    assert codec == written and seconds == pytest.approx(2, abs=0.1)


def test_the_sound_of_a_part_begins_with_the_part(clip, tmp_path):
    copy(clip, tmp_path / "out.mp4", start=1.2)
    assert clips.audio_seconds(tmp_path / "out.mp4")[1] == pytest.approx(0.8, abs=0.1)
    assert clips.decode(tmp_path / "out.mp4")[0] == pytest.approx([i / 10 for i in range(8)], abs=1e-3)


def test_odd_sizes_are_made_even(tmp_path):
    with video_writer(tmp_path / "odd.mp4", 31, 17) as writer:
        writer.write(np.full((17, 31, 3), 200, np.uint8), 0)
    assert clips.decode(tmp_path / "odd.mp4")[1][0].shape == (18, 32, 3)


def test_a_failed_run_leaves_neither_a_broken_file_nor_a_lost_one(clip, tmp_path):
    target = tmp_path / "out.mp4"
    target.write_text("older")
    with pytest.raises(KeyboardInterrupt), video_writer(target, 320, 240) as writer:
        writer.write(np.zeros((240, 320, 3), np.uint8), 0)
        raise KeyboardInterrupt
    assert target.read_text() == "older" and list(tmp_path.iterdir()) == [target]


def test_a_name_that_is_not_mp4_is_refused(tmp_path):
    with pytest.raises(MediaError, match=r"ending in \.mp4"), video_writer(tmp_path / "out.avi", 320, 240):
        pass


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path):
    """A limit on the size of files stands for a full disk: both fail in the middle of a write."""
    code = f"""
import resource, signal, sys
import numpy as np
from emotion_model.clips.reading import MediaError
from emotion_model.clips.writing import video_writer
from emotion_model.faces.images import register_heif
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
noise = np.random.default_rng(0)
try:
    with video_writer({str(tmp_path / "out.mp4")!r}, 320, 240) as writer:
        for i in range(60):
            writer.write(noise.integers(0, 256, (240, 320, 3), np.uint8), i / 25)
except MediaError as error:
    print(error.code, error)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.startswith("disk_full ") and "no room left" in done.stdout, done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("seconds", "text"), [(7, "0:07"), (750, "12:30"), (3723.4, "1:02:03")])
def test_times_for_people(seconds, text):
    assert clock(seconds) == text


@pytest.mark.parametrize(
    ("name", "count", "size"),
    [
        ("one_face_neutral_to_smile.mp4", 72, (640, 360)),
        ("no_face_header_says_98_decodes_95.mp4", 95, (960, 540)),
        ("face_then_no_face.mov", 169, (960, 540)),
    ],
)
def test_real_clips_against_an_independent_decode(name, count, size):
    path = media(name)
    expected, _ = clips.decode(path)
    with VideoReader(path) as reader:
        assert (reader.width, reader.height) == size
    assert times(path) == pytest.approx(expected) and len(expected) == count
