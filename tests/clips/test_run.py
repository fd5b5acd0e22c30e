import csv
import json
import re
import signal
import subprocess
import time
import zipfile
from contextlib import contextmanager
from dataclasses import fields, replace

import numpy as np
import pytest
from PIL import Image

from emotion_model import EMOTIONS, EmotionDetector, Face, read_image
from emotion_model.__main__ import main
from emotion_model.clips.analysis import AnalyzedFrame, VideoConfig, analyze, video_detector
from emotion_model.clips.annotating import faces_between
from emotion_model.clips.frame import VideoFrame
from emotion_model.clips.limits import MediaError
from emotion_model.clips.outputs import VideoOutputs
from emotion_model.clips.reading import VideoReader
from emotion_model.clips.run import VideoRun
from emotion_model.clips.searching import Search
from emotion_model.commands.video import VIDEO_FILES
from emotion_model.faces.detection import FaceDetector
from emotion_model.faces.turning import FRAMES, TURNS
from emotion_model.labels import label_of
from emotion_model.timelines.subtitles import subtitles
from emotion_model.timelines.summary import PICTURED, ClipSummary
from support import clips, warm
from support.paths import ROOT, media
from support.pictures import scene_of


@pytest.fixture(scope="module")
def quick(detector):
    return video_detector(detector)


def everything(folder):
    kinds = {name: ending.rpartition(".")[2] for name, (ending, _) in VIDEO_FILES.items()}
    return VideoOutputs(**{name: folder / f"{name}.{kind}" for name, kind in kinds.items()})


def run(source, detector, outputs=None, stop_after=None, leave_after=None, **config):
    with VideoReader(source) as reader, VideoRun(reader, detector, outputs, VideoConfig(**config)) as one:
        for count, _ in enumerate(one, start=1):
            if count == stop_after:
                one.stop()
            if count == leave_after:
                break
    return one


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def face(box=(10, 10, 50, 50), track_id=1, emotion="happy"):
    probabilities = np.full(7, 0.05, np.float32)
    probabilities[EMOTIONS.index(emotion)] = 0.7
    return Face(box, probabilities, track_id=track_id, steady_emotion=emotion)


# The stream


def test_clips_are_searched_with_the_threshold_of_the_detector(detector):
    sure = FaceDetector(detector.faces.name, score_threshold=0.95)
    assert video_detector(EmotionDetector(detector.classifier, sure)).faces.score_threshold == 0.95


def test_a_detector_for_clips_is_of_the_very_kind_of_the_given_one(detector):
    class Faces(FaceDetector):
        pass

    class Detector(EmotionDetector):
        pass

    faces = Faces(detector.faces.name)
    faces.notice = "The cascade looks for faces."
    given = Detector(detector.classifier, faces)
    quick = video_detector(given)
    assert (type(quick), type(quick.faces), quick.faces.notice) == (Detector, Faces, faces.notice)
    assert (quick.mirrored, quick.faces.fine) == (False, False) and (given.mirrored, faces.fine) == (True, True)


def test_several_pictures_share_a_forward_pass_and_get_what_they_get_alone(detector, film, landscape):
    pictures = [film(0), landscape, film(2), film(3)]
    together = detector.detect_many(iter(pictures))
    alone = [detector.detect(picture) for picture in pictures]
    assert [len(faces) for faces in together] == [len(faces) for faces in alone] == [1, 0, 1, 1]
    for ours, theirs in zip(together, alone, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            assert a.box == b.box
            assert a.probabilities == pytest.approx(b.probabilities, abs=1e-4)
    assert detector.detect_many([]) == []


def test_small_faces_are_found_in_clips_as_in_photos(quick, detector, tmp_path):
    group = scene_of(read_image(media("group_seven_faces.jpg")), 1280, 720, 320)
    assert len(quick.faces.detect(group)) < len(detector.faces.detect(group)) == 7
    with VideoReader(clips.write_clip(tmp_path / "group.mp4", lambda time: group, seconds=1)) as reader:
        frames = list(analyze(reader, quick))
    assert [len(frame.faces) for frame in frames] == [7] * 10
    assert {face.track_id for frame in frames for face in frame.faces} == set(range(1, 8))


def test_frames_are_looked_at_closely_by_the_clock_of_the_clip_and_while_that_shows_more(quick):
    photo = read_image(media("group_seven_faces.jpg"))
    near, far = (scene_of(photo, 960, 540, width) for width in (640, 230))
    scenes = [far, far, far, near, far, far, far]

    def found(start):
        search = Search(quick.faces.detect, quick.faces.look_closer)
        frames = [VideoFrame(i, float(i), 0.0, i + 1.0, scenes[i], (960, 540)) for i in range(start, len(scenes))]
        return [len(faces) for frame in frames for faces in search.faces([(frame, frame.image, None)])]

    few = len(quick.faces.detect(far))
    assert few < 7 and found(0) == [7, 7, 7, 7, few, few, 7]
    assert found(2) == found(0)[2:], "a part has the rows of the uncut clip"


def test_a_face_is_followed_through_a_clip_with_its_times(clip, quick):
    with VideoReader(clip) as reader:
        frames = list(analyze(reader, quick))
    assert [frame.index for frame in frames] == list(range(20))
    assert [frame.time for frame in frames] == pytest.approx([i / 10 for i in range(20)])
    assert {face.track_id for frame in frames for face in frame.faces} == {1}
    left = [frame.faces[0].box[0] for frame in frames]
    assert left[-1] - left[0] == pytest.approx(38, abs=8)  # 20 pixels per second


def test_a_person_stays_one_over_a_frame_that_is_shown_for_long(film, quick, tmp_path):
    pictures = [Image.fromarray(film(i / 10)) for i in range(4)]
    path = tmp_path / "still.gif"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=[100, 8000, 100, 100])
    with VideoReader(path) as reader:
        frames = list(analyze(reader, quick))
    assert [round(frame.time, 1) for frame in frames] == [0.0, 0.1, 8.1, 8.2]
    assert [{face.track_id for face in frame.faces} for frame in frames] == [{1}] * 4


def test_strangers_before_and_after_a_cut_are_two_people(astronaut, quick, tmp_path):
    head = astronaut[20:260, 110:350]
    scenes = [np.full((240, 320, 3), tone, np.uint8) for tone in ((30, 30, 90), (230, 220, 150))]
    for scene, picture in zip(scenes, (head, head[:, ::-1]), strict=True):
        scene[:, 40:280] = picture
        scene[:, 40:280] = np.clip(scene[:, 40:280].astype(int) + (60 if scene is scenes[1] else -30), 0, 255)
    path = clips.write_clip(tmp_path / "cut.mp4", lambda t: scenes[int(t >= 1)])
    with VideoReader(path) as reader:
        frames = list(analyze(reader, quick, VideoConfig(rate=5)))
    ids = [{face.track_id for face in frame.faces} for frame in frames]
    assert ids[:5] == [{1}] * 5 and ids[5:] == [{2}] * 5
    assert [frame.cut for frame in frames if frame.cut] == pytest.approx([1.0])


def test_flicker_and_motion_are_no_cut(film, quick, tmp_path):
    def flickering(time):
        return np.clip(film(time).astype(int) + (25 if int(time * 10) % 4 == 0 else 0), 0, 255).astype(np.uint8)

    with VideoReader(clips.write_clip(tmp_path / "flicker.mp4", flickering)) as reader:
        assert {face.track_id for frame in analyze(reader, quick) for face in frame.faces} == {1}


@pytest.mark.parametrize("light", [255, 128, 0])
def test_flashes_end_no_scene_wherever_the_part_ends(film, quick, light, tmp_path):
    times = [i / 20 for i in range(40)]
    bright = {0.6, 0.65, 0.95, 1.3, 1.35, 1.4, 1.95}  # the last one to the clip's end: no scene comes back behind it
    path = clips.write_clip(
        tmp_path / "flash.mp4", lambda t: np.full_like(film(t), light) if round(t, 2) in bright else film(t), times
    )
    with VideoReader(path) as reader:
        for end in (0.65, 0.7, 0.99, 1.5):
            frames = list(analyze(reader, quick, VideoConfig(end=end)))
            assert [frame.time for frame in frames] == pytest.approx([time for time in times if time < end])
            assert {face.track_id for frame in frames for face in frame.faces} == {1}
            assert not any(frame.cut for frame in frames)


@pytest.mark.parametrize(("rate", "flash"), [(5, 0.2), (120, 0.15)])
def test_a_flash_is_one_at_any_frame_rate(film, quick, rate, flash, tmp_path):
    times = [i / rate for i in range(round(1.5 * rate))]
    path = clips.write_clip(
        tmp_path / "flash.mp4",
        lambda t: np.full_like(film(t), 255) if 0.6 <= t < 0.6 + flash - 1e-3 else film(t),
        times,
    )
    with VideoReader(path) as reader:
        assert not any(frame.cut for frame in analyze(reader, quick, VideoConfig(rate=5)))


def test_a_scene_that_is_back_after_a_while_had_been_left(film, quick, tmp_path):
    def interrupted(time):
        return np.full_like(film(time), 255) if 0.6 <= time < 1.1 else film(time)

    path = clips.write_clip(tmp_path / "interrupted.mp4", interrupted, [i / 20 for i in range(40)])
    with VideoReader(path) as reader:
        assert [frame.cut for frame in analyze(reader, quick) if frame.cut] == pytest.approx([0.6, 1.1])


@pytest.fixture
def looks(quick, monkeypatch):
    """The pictures that the face detector was given, as it goes."""
    seen, detect = [], quick.faces.detect
    monkeypatch.setattr(quick.faces, "detect", lambda *asked: seen.append(asked) or detect(*asked))
    return seen


def test_between_two_looks_faces_glide_and_are_read_in_every_frame(film, quick, looks, tmp_path):
    times = [i / 30 for i in range(30)]
    with VideoReader(clips.write_clip(tmp_path / "fluent.mp4", film, times)) as reader:
        frames = list(analyze(reader, quick))
    assert len(frames) == 30 and len(looks) <= 14 + FRAMES * len(TURNS)  # at first it is asked which way is up
    for frame in frames[:16]:
        (alone,), (here,) = quick.detect(frame.image), frame.faces
        assert np.abs(np.subtract(alone.box, here.box)).max() <= 8
        assert here.raw_probabilities == pytest.approx(alone.probabilities, abs=0.15)


def test_a_fast_face_that_goes_straight_on_is_looked_for_seldom(astronaut, quick, looks, tmp_path):
    head = np.asarray(Image.fromarray(astronaut[20:260, 110:350]).resize((120, 120)))

    def passing(time):
        picture = np.full((120, 480, 3), 90, np.uint8)
        x = round(time * 110)  # more than twice its own width in a second
        picture[:, x : x + 120] = head
        return picture

    path = clips.write_clip(tmp_path / "fast.mp4", passing, [i / 30 for i in range(90)])
    with VideoReader(path) as reader:
        frames = list(analyze(reader, quick))
    assert len(frames) == 90 and len(looks) <= 20 + FRAMES * len(TURNS)
    assert {face.track_id for frame in frames for face in frame.faces} == {1}
    for frame in frames[20::7]:
        (alone,), (here,) = quick.detect(frame.image), frame.faces
        assert np.abs(np.subtract(alone.box, here.box)).max() <= 6


def test_a_face_that_comes_or_goes_between_two_looks_is_seen_at_once(film, quick, tmp_path):
    def visiting(time):
        picture = film(0).copy()
        if not 0.13 < time < 0.36:  # frames 4 to 10 of 30 a second
            picture[:] = 90
        return picture

    path = clips.write_clip(tmp_path / "visit.mp4", visiting, [i / 30 for i in range(16)])
    with VideoReader(path) as reader:
        seen = [len(frame.faces) for frame in analyze(reader, quick)]
    assert seen == [0] * 4 + [1] * 7 + [0] * 5


def test_leaving_the_stream_early_ends_its_thread(clip, quick):
    import threading

    before = set(threading.enumerate())
    with VideoReader(clip) as reader:
        frames = analyze(reader, quick)
        next(frames)
        frames.close()
    assert set(threading.enumerate()) <= before


# The files


@pytest.fixture(scope="module")
def results(clip, quick, tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    one = run(clip, quick, everything(folder), strip=True)
    return folder, one


def test_the_command_has_an_option_for_every_file_that_becomes_of_a_clip():
    assert list(VIDEO_FILES) == [one.name for one in fields(VideoOutputs)]


def test_all_files_are_there_and_nothing_else(results):
    folder, _ = results
    names = {path.name for path in folder.iterdir()}
    assert names == {path.name for path in everything(folder).written()}
    with zipfile.ZipFile(folder / "zip.zip") as archive:
        assert set(archive.namelist()) == names - {"zip.zip"} and archive.testzip() is None


def test_the_page_sums_up_the_clip_and_needs_nothing_else(clip, results):
    folder, one = results
    page = (folder / "page.html").read_text(encoding="utf-8")
    assert f"<h1>{clip.stem}</h1>" in page and "1 person in" in page and "model: bundled." in page
    assert "Person 1" in page and all(peak.emotion in page for peak in one.summary.people[0].moments)
    assert re.findall(r'(?:src|href)="(?!data:)', page) == []  # nothing is fetched
    assert 'src="data:image/png' in page and 'src="data:image/jpeg' in page


def test_the_page_is_there_without_the_picture_and_without_people(quick, tmp_path):
    nobody = clips.write_clip(tmp_path / "a < b.mp4", lambda _: np.full((120, 160, 3), 90, np.uint8), [0, 0.1, 0.2])
    run(nobody, quick, VideoOutputs(page=tmp_path / "page.html"))
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Nobody was seen" in page and "a &lt; b" in page and "data:image/png" in page


def test_the_rows_match_an_independent_decode(clip, results):
    folder, _ = results
    times, _ = clips.decode(clip)
    table = rows(folder / "csv.csv")
    assert [float(row["time"]) for row in table] == pytest.approx(times, abs=1e-3)
    assert [int(row["frame"]) for row in table] == list(range(len(times)))
    assert json.loads((folder / "json.json").read_text())[3]["face_id"] == int(table[3]["face_id"]) == 1


def test_the_annotated_clip_has_every_frame_the_sound_and_drawings(clip, results, film):
    folder, _ = results
    times, pictures = clips.decode(folder / "annotated.mp4")
    assert times == pytest.approx(clips.decode(clip)[0], abs=1e-3)
    codec, seconds = clips.audio_seconds(folder / "annotated.mp4")
    assert codec == "aac" and seconds == pytest.approx(2, abs=0.1)
    change = np.abs(pictures[10].astype(int) - film(1.0)).max(axis=2)
    assert (change > 60).sum() > 500  # box, label and strip
    assert change[-15:].mean() > 20  # the strip


def test_subtitles_follow_the_emotions(results):
    folder, one = results
    vtt = (folder / "vtt.vtt").read_text()
    assert vtt.startswith("WEBVTT\n\n00:00:00.000 --> 00:00:0") and "Person 1: happy 😄" in vtt
    srt = (folder / "srt.srt").read_text()
    assert srt.startswith("1\n00:00:00,000 --> 00:00:0") and srt.count("-->") == vtt.count("-->")
    with pytest.raises(ValueError, match="sub"):
        subtitles(one.summary.people, form="sub")


def test_the_plot_is_a_picture(results):
    folder, _ = results
    with Image.open(folder / "plot.png") as picture:
        assert picture.width > 800 and len(picture.convert("RGB").resize((60, 20)).getcolors(60 * 20)) > 20


def test_frames_without_a_face_have_a_row_that_says_so(landscape, quick, tmp_path):
    path = clips.write_clip(tmp_path / "empty.mp4", lambda t: landscape, seconds=1)
    (tmp_path / "out").mkdir()
    one = run(path, quick, everything(tmp_path / "out"))
    table = rows(tmp_path / "out" / "csv.csv")
    assert len(table) == 10 and all(row["face_id"] == row["emotion"] == "" and row["time"] for row in table)
    assert one.summary.people == [] and one.summary.empty_frames == 10
    assert len(clips.decode(tmp_path / "out" / "annotated.mp4")[0]) == 10
    assert (tmp_path / "out" / "vtt.vtt").read_text() == "WEBVTT\n\n"


def test_twenty_people_are_twenty_lines(crowd, quick, tmp_path):
    path = clips.write_clip(tmp_path / "crowd.mp4", lambda t: crowd, seconds=0.5)
    one = run(path, quick, everything(tmp_path))
    people = one.summary.people
    assert len(people) == 20 or quick.faces.name == "haar"
    table = rows(tmp_path / "csv.csv")
    for time_ in {row["time"] for row in table}:
        ids = [row["face_id"] for row in table if row["time"] == time_]
        assert len(ids) == len(set(ids))


def test_a_part_at_few_frames_per_second(clip, quick, tmp_path):
    run(clip, quick, everything(tmp_path), rate=5, start=0.5, end=1.5)
    assert [float(row["time"]) for row in rows(tmp_path / "csv.csv")] == pytest.approx([0.5, 0.7, 0.9, 1.1, 1.3])
    times, _ = clips.decode(tmp_path / "annotated.mp4")
    assert times == pytest.approx([i / 10 for i in range(10)], abs=1e-3)  # every frame, from 0
    assert clips.audio_seconds(tmp_path / "annotated.mp4")[1] == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("way", ["stop_after", "leave_after"])
def test_a_stopped_run_keeps_what_was_done(clip, quick, tmp_path, way):
    one = run(clip, quick, everything(tmp_path), **{way: 6})
    assert one.stopped and {path.name for path in tmp_path.iterdir()} == {
        p.name for p in everything(tmp_path).written()
    }
    table = rows(tmp_path / "csv.csv")
    assert len(table) == len(json.loads((tmp_path / "json.json").read_text())) == 6
    times, _ = clips.decode(tmp_path / "annotated.mp4")
    assert times[-1] == pytest.approx(float(table[-1]["time"]), abs=0.11)
    assert clips.audio_seconds(tmp_path / "annotated.mp4")[1] == pytest.approx(0.6, abs=0.15)
    assert one.summary.end == pytest.approx(0.6, abs=0.01) and one.summary.people[0].seconds <= 0.61


def test_a_run_at_few_frames_per_second_is_stopped_without_reading_on_to_the_end_of_a_batch(film, quick, tmp_path):
    read: list[int] = []

    class Reader(VideoReader):
        def frames(self, *part):
            for frame in super().frames(*part):
                read.append(frame.index)
                if len(read) == 25:
                    one.stop()
                yield frame

    path = clips.write_clip(tmp_path / "clip.mp4", film, seconds=20)
    with Reader(path) as reader, VideoRun(reader, quick, VideoOutputs(), VideoConfig(rate=1)) as one:
        assert [progress.frame.index for progress in one] == [0]
    assert one.stopped and len(read) < 30 < 20 * reader.rate


def test_recordings_put_one_behind_the_other_are_one_clip_with_all_of_its_sound(film, quick, tmp_path):
    one = clips.write_clip(tmp_path / "one.ts", film, seconds=2, sound="aac").read_bytes()
    (tmp_path / "both.ts").write_bytes(one + one)
    (tmp_path / "out").mkdir()
    run(tmp_path / "both.ts", quick, everything(tmp_path / "out"))
    assert float(rows(tmp_path / "out" / "csv.csv")[-1]["time"]) == pytest.approx(3.9, abs=0.15)
    assert clips.audio_seconds(tmp_path / "out" / "annotated.mp4") == ("aac", pytest.approx(4, abs=0.2))


def test_frames_of_the_same_time_are_no_fault(film, quick):
    frames = [(VideoFrame(i, 1.0, 0.0, 1.0, film(0), (320, 240)), film(0), None) for i in range(5)]
    assert [len(faces) for faces in Search(quick.faces.detect, quick.faces.look_closer).faces(frames)] == [1] * 5


def test_of_a_clip_that_breaks_off_nobody_is_counted_beyond_the_last_frame_and_it_is_said(
    film, quick, tmp_path, capsys
):
    path = clips.write_clip(tmp_path / "clip.mp4", film, seconds=4, options={"movflags": "+faststart"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    one = run(path, quick)
    assert one.summary.people[0].seconds == pytest.approx(one.summary.frames / 10, abs=0.11)
    assert main(["video", str(path), "--fps", "1"]) == 0
    told = capsys.readouterr()
    assert "1 person in" in told.out and f"{path}: The clip breaks off at 0:02 of 0:04: it is cut off" in told.err


def test_an_error_of_whoever_uses_a_run_stays_what_it_is(clip, quick, tmp_path):
    with (
        VideoReader(clip) as reader,
        pytest.raises(ConnectionResetError, match="my own"),
        VideoRun(reader, quick, everything(tmp_path)),
    ):
        raise ConnectionResetError(104, "my own upload failed")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_run_leaves_no_file(clip, quick, tmp_path):
    with (
        VideoReader(clip) as reader,
        pytest.raises(ZeroDivisionError),
        VideoRun(reader, quick, everything(tmp_path)) as one,
    ):
        for count, _ in enumerate(one):
            1 / (3 - count)
    assert list(tmp_path.iterdir()) == []


class Tired(EmotionDetector):
    """Fails at its second batch."""

    looks = 0

    def detect_many(self, images, known=None):
        self.looks += 1
        if self.looks == 2:
            raise ZeroDivisionError
        return super().detect_many(images, known)


def test_a_run_whose_iterator_is_still_held_holds_what_was_done(clip, quick, tmp_path):
    with VideoReader(clip) as reader, VideoRun(reader, quick, everything(tmp_path)) as one:
        frames = iter(one)
        for _ in range(6):
            next(frames)
    assert one.stopped and one.summary.end == pytest.approx(0.6, abs=0.01)
    assert clips.decode(tmp_path / "annotated.mp4")[0][-1] == pytest.approx(0.5, abs=0.11)
    assert list(frames) == [] and len(rows(tmp_path / "csv.csv")) == 6


def test_a_run_that_failed_leaves_no_file_though_its_caller_goes_on(clip, quick, tmp_path):
    tired = Tired(quick.classifier, quick.faces, mirrored=False)
    with (
        VideoReader(clip) as reader,
        VideoRun(reader, tired, everything(tmp_path)) as one,
        pytest.raises(ZeroDivisionError),
    ):
        list(one)
    assert list(tmp_path.iterdir()) == []


def test_a_clip_is_gone_through_once(clip, quick):
    with VideoReader(clip) as reader, VideoRun(reader, quick, config=VideoConfig(rate=1)) as one:
        assert len(list(one)) == 2
        with pytest.raises(RuntimeError, match="make another one"):
            list(one)
        with pytest.raises(RuntimeError, match="make another one"), one:
            pytest.fail("it began")
    assert one.summary.frames == 2
    assert len(repr(one.summary.people)) < 2000, "what a notebook shows"


def test_files_are_written_in_a_block_alone(clip, quick, tmp_path):
    with VideoReader(clip) as reader:
        with pytest.raises(RuntimeError, match="in a block"):
            list(VideoRun(reader, quick, VideoOutputs(csv=tmp_path / "out.csv")))
        assert len(list(VideoRun(reader, quick, config=VideoConfig(rate=1)))) == 2


def test_a_run_never_writes_over_what_it_reads(clip, film, quick, tmp_path):
    recording, link = tmp_path / "clip.mp4", tmp_path / "link.mp4"
    recording.write_bytes(clip.read_bytes())
    link.symlink_to(recording)
    picture = tmp_path / "frames" / "1.png"
    picture.parent.mkdir()
    Image.fromarray(film(0)).save(picture)
    before = picture.read_bytes()
    for source, outputs in (
        (recording, VideoOutputs(annotated=recording)),
        (recording, VideoOutputs(annotated=link)),
        (picture.parent, VideoOutputs(plot=picture)),
    ):
        with pytest.raises(MediaError, match="is read itself: save under another name"):
            run(source, quick, outputs)
    assert recording.read_bytes() == clip.read_bytes() and picture.read_bytes() == before


def test_no_two_results_are_one_file(tmp_path):
    for other in ("out.json", f"../{tmp_path.name}/out.json", "OUT.json"):
        with pytest.raises(ValueError, match="two results cannot have one name"):
            VideoOutputs(json=tmp_path / "out.json", summary=tmp_path / other)


def test_a_target_that_cannot_be_written_is_one_sentence(clip, quick, tmp_path):
    with pytest.raises(MediaError, match="cannot be written"):
        run(clip, quick, VideoOutputs(csv=tmp_path / "none" / "out.csv"))
    with pytest.raises(MediaError, match="cannot be written"):
        run(clip, quick, VideoOutputs(annotated=tmp_path / "none" / "out.mp4"))


def test_a_gif_and_a_folder_of_pictures_go_all_the_way(film, quick, tmp_path):
    pictures = [Image.fromarray(film(i / 5)) for i in range(5)]
    pictures[0].save(tmp_path / "moving.gif", save_all=True, append_images=pictures[1:], duration=200)
    (tmp_path / "frames").mkdir()
    for i, picture in enumerate(pictures):
        picture.save(tmp_path / "frames" / f"{i}.png")
    for source in (tmp_path / "moving.gif", tmp_path / "frames"):
        one = run(source, quick, VideoOutputs(annotated=tmp_path / "out.mp4"))
        assert one.summary.frames == 5 and [person.number for person in one.summary.people] == [1]
        assert len(clips.decode(tmp_path / "out.mp4")[0]) == 5


@pytest.mark.parametrize(
    ("values", "message"), [({"rate": 0}, "rate=0"), ({"start": -1}, "start=-1"), ({"start": 2, "end": 1}, "end=1")]
)
def test_absurd_settings_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        VideoConfig(**values)


@pytest.mark.parametrize("values", [{"rate": "5"}, {"start": None}, {"end": "1"}], ids=str)
def test_settings_that_are_no_numbers_are_refused_by_name(values):
    ((name, value),) = values.items()
    with pytest.raises(TypeError, match=f"{name}={value!r}: give a number"):
        VideoConfig(**values)


# Between the frames


def test_boxes_glide_between_analysed_frames():
    before = AnalyzedFrame(0, 0.0, [face((0, 0, 50, 50))], None)
    after = AnalyzedFrame(5, 1.0, [face((40, 20, 60, 50)), face((200, 0, 50, 50), 2)], None)
    (one,) = faces_between(before, after, 0.25)
    assert one.box == (10, 5, 52, 50)
    assert [f.track_id for f in faces_between(before, after, 0.75)] == [1, 2]
    assert faces_between(before, None, 2.0) == before.faces and faces_between(None, None, 0) == []


def test_the_word_between_analysed_frames_is_that_of_its_bars():
    told = np.full(7, 0.025, np.float32)
    told[EMOTIONS.index("surprise")] = 0.85
    happy = replace(face(emotion="happy"), clear_from=0.5, steady_clear=True)
    surprised = replace(happy, probabilities=told, steady_emotion="surprise")
    ends = AnalyzedFrame(0, 0.0, [happy], None), AnalyzedFrame(5, 1.0, [surprised], None)
    shown = [faces_between(*ends, time)[0] for time in (0.1, 0.45, 0.9)]
    assert [one.word for one in shown] == ["happy", "unclear", "surprise"]
    assert all(one.emotion == one.likeliest[0][0] for one in shown)
    calm = replace(happy, clear_from=0.75)  # the tracker holds it to be clear all the same
    (held,) = faces_between(AnalyzedFrame(0, 0.0, [calm], None), AnalyzedFrame(5, 1.0, [calm], None), 0.5)
    assert held.word == "happy"


def test_nobody_glides_over_a_cut():
    before = AnalyzedFrame(0, 0.0, [face(track_id=1)], None)
    after = AnalyzedFrame(5, 1.0, [face(track_id=2)], None, cut=0.8)
    assert [f.track_id for f in faces_between(before, after, 0.7)] == [1]
    assert [f.track_id for f in faces_between(before, after, 0.9)] == [2]


# The summary


def test_the_summary_counts_time_not_frames():
    summary = ClipSummary(0.0)
    for time_, emotion in ((0, "happy"), (0.1, "happy"), (0.2, "sad"), (1.2, "happy")):
        summary.add(time_, [face(emotion=emotion)])
    summary.finish(2.0)
    (person,) = summary.people
    assert person.shares == pytest.approx({"happy": 1.0, "sad": 1.0})
    assert (person.seconds, person.changes) == (pytest.approx(2.0), 2)
    assert [(s.start, s.end, s.emotion) for s in person.segments] == [
        (0, 0.2, "happy"),
        (0.2, 1.2, "sad"),
        (1.2, 2, "happy"),
    ]
    values = summary.to_dict()["people"][0]
    assert values["shares"]["sad"] == 0.5 and -1 < values["valence"] < 1
    assert {peak["emotion"] for peak in values["peaks"]} == {"happy", "sad"}


def test_a_gap_stays_a_gap():
    summary = ClipSummary(0.0)
    for i in range(30):
        summary.add(i / 10, [] if 10 <= i < 20 else [face()])
    summary.finish(3.0)
    (person,) = summary.people
    assert [(s.start, s.end) for s in person.segments] == [(0, 1.0), (2.0, 3.0)] and person.changes == 0
    times = [row["time"] for row in summary.timeline(person)]
    assert not [time_ for time_ in times if 1.05 < time_ < 1.95]
    assert subtitles([person]).count("-->") == 2


@pytest.mark.parametrize(("rate", "duration", "counted"), [(None, 0.04, 5.2), (0.1, 0.04, 10), (None, 3600, 3600)])
def test_nobody_is_seen_in_hours_without_a_frame_unless_one_is_shown_so_long(rate, duration, counted):
    summary = ClipSummary(0.0, rate=rate)
    summary.add(0.0, [face()], duration=duration)
    summary.add(3600.0, [face()], duration=0.04)
    summary.finish(3600.04)
    (person,) = summary.people
    assert person.seconds == pytest.approx(counted + 0.04)
    assert [(s.start, s.end) for s in person.segments][-1][1] == summary.end == 3600.04
    assert person.segments[0].end == counted or duration == 3600


def test_the_timeline_of_a_long_clip_stays_small_and_right():
    summary = ClipSummary(0.0)
    for second in range(7200):
        summary.add(float(second), [face(emotion="happy" if second < 3600 else "sad")])
    summary.finish(7200.0)
    timeline = summary.timeline(summary.people[0])
    assert len(timeline) <= 1200
    assert timeline[10]["happy"] == pytest.approx(0.7, abs=0.01) and timeline[-10]["sad"] == pytest.approx(
        0.7, abs=0.01
    )
    assert timeline[-1]["time"] == pytest.approx(7200, abs=10)


def test_of_all_who_pass_by_those_seen_longest_keep_their_pictures():
    summary, picture = ClipSummary(0.0), np.zeros((100, 100, 3), np.uint8)
    for i in range(1000):
        often = [face(track_id=1)] if i % 3 else []
        summary.add(i / 10, [*often, face(track_id=10 + i // 5)], picture)
    summary.finish(100.0)
    pictured = [one.number for one in summary.people if one.peaks["happy"].thumbnail is not None]
    assert pictured[0] == 1 and PICTURED <= len(pictured) <= 2 * PICTURED
    summary.forget_pictures()
    assert len(summary.people) == 201 and not any(one.peaks["happy"].thumbnail for one in summary.people)


def test_a_run_without_thumbnails_has_the_same_moments(clip, quick):
    found = []
    for thumbnails in (True, False):
        with VideoReader(clip) as reader, VideoRun(reader, quick, thumbnails=thumbnails) as one:
            for _ in one:
                pass
        found.append(one.summary)
    assert found[0].to_dict() == found[1].to_dict()
    assert [[peak.thumbnail is None for peak in one.people[0].moments] for one in found] == [[False], [True]]


def test_a_blink_of_a_face_is_no_person_unless_there_is_nobody_else():
    summary = ClipSummary(0.0)
    summary.add(0, [face(track_id=1), face(track_id=2)])
    summary.add(0.1, [face(track_id=1)])
    summary.finish(2)
    assert [person.number for person in summary.people] == [1]


# The command line


def test_the_command_line_writes_what_is_asked_for(clip, tmp_path, capsys):
    out = {name: tmp_path / f"o{ending}" for name, ending in (("annotated", ".mp4"), ("csv", ".csv"), ("plot", ".png"))}
    flags = [item for name, path in out.items() for item in (f"--{name}", str(path))]
    assert main(["video", str(clip), "--fps", "5", *flags]) == 0
    printed = capsys.readouterr().out
    assert f"{clip}: 1 person in 10 frames" in printed and "person 1, 0:00 to 0:02: happy" in printed
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in out.values()}


def test_several_clips_go_into_a_folder_and_a_bad_one_does_not_stop_the_others(clip, tmp_path, capsys):
    bad = tmp_path / "bad.mp4"
    bad.write_text("hello")
    twin = tmp_path / clip.name
    twin.write_bytes(clip.read_bytes())
    assert main(["video", str(bad), str(clip), str(twin), "--fps", "2", "--csv", str(tmp_path / "out")]) == 1
    assert f"{bad}: This is not a video" in capsys.readouterr().err
    assert sorted(f.name for f in (tmp_path / "out").iterdir()) == ["my clip_emotions.csv", "my clip_emotions_2.csv"]


def test_two_results_of_a_clip_never_have_one_name(clip, tmp_path, capsys):
    out = tmp_path / "o.json"
    assert main(["video", str(clip), "--json", str(out), "--summary", f"{tmp_path}/../{tmp_path.name}/o.json"]) == 2
    assert "two results cannot have one name: give each its own" in capsys.readouterr().err
    assert not out.exists()


def test_no_clip_that_is_still_to_be_read_is_overwritten(clip, tmp_path, capsys):
    later = tmp_path / f"{clip.stem}_emotions.mp4"
    later.write_bytes(clip.read_bytes())
    assert main(["video", str(clip), str(later), "--annotated", str(tmp_path)]) == 2
    assert f"{later} is a source itself" in capsys.readouterr().err
    assert later.read_bytes() == clip.read_bytes()


def test_no_result_becomes_a_picture_of_the_sequence(film, tmp_path, capsys):
    Image.fromarray(film(0)).save(tmp_path / "frame1.png")
    assert main(["video", str(tmp_path), "--plot", str(tmp_path / "plot.png")]) == 2
    assert "plot.png would become one of the pictures that are read: save in another" in capsys.readouterr().err
    assert main(["video", str(tmp_path), "--csv", str(tmp_path / "faces.csv")]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"frame1.png", "faces.csv"}


def test_each_option_of_the_command_does_what_it_says(film, tmp_path):
    pictures, table, copy = tmp_path / "pictures", tmp_path / "faces.csv", tmp_path / "copy.mp4"
    pictures.mkdir()
    for number in range(8):
        Image.fromarray(film(number / 5)).save(pictures / f"{number}.png")
    options = ["--sequence-fps", "5", "--start", "0.2", "--end", "0.9", "--smoothing", "0", "--strip"]
    assert main(["video", str(pictures), *options, "--csv", str(table), "--annotated", str(copy)]) == 0
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["time"]) for row in rows] == [0.2, 0.4, 0.6, 0.8]
    assert all(row["happy"] == row["raw_happy"] for row in rows) and len({row["happy"] for row in rows}) > 1
    with VideoReader(copy) as reader:
        *_, last = reader.frames()
    assert np.abs(last.image[-5, 20].astype(int) - label_of("happy").rgb).max() < 40, "the strip"


def test_only_bad_clips_or_settings_end_with_2(clip, tmp_path, capsys):
    assert main(["video", str(tmp_path / "none.mp4")]) == 2
    assert main(["video", str(clip), "--fps", "0"]) == 2
    assert main(["video", str(clip), "--annotated", str(tmp_path / "out.avi")]) == 2
    assert main(["video", str(clip), "--plot", str(tmp_path / "out.svg")]) == 2
    assert main(["video", str(clip), "--csv", str(clip)]) == 2
    assert main(["video", str(clip), "--zip", str(tmp_path / "out.zip")]) == 2
    errors = capsys.readouterr().err
    assert "out.zip: a zip packs the other files: ask for at least one of them too." in errors
    assert "out.svg: the timeline is a PNG picture; use a name ending in .png." in errors
    assert "no such file" in errors and "rate=0" in errors and ".mp4" in errors and "source itself" in errors
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def long(film, tmp_path_factory):
    """A clip that is not read to its end before somebody interrupts."""
    return clips.write_long_clip(tmp_path_factory.mktemp("long") / "long.mp4", film, seconds=100)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.programs
def test_an_interrupted_run_keeps_whole_files_and_says_so(long, tmp_path, number):
    out = tmp_path / "out"
    out.mkdir()
    arguments = ["video", str(long), "--csv", str(out / "o.csv"), "--annotated", str(out / "o.mp4")]
    process = subprocess.Popen(
        [warm.python(), "-m", "emotion_model", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    partial = out / ".partial-o.csv"
    while time.monotonic() < deadline and not (partial.exists() and partial.stat().st_size > 3000):
        time.sleep(0.05)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and "interrupted at" in errors
    assert sorted(f.name for f in out.iterdir()) == ["o.csv", "o.mp4"]
    assert 0 < len(rows(out / "o.csv")) < 1000
    assert 0 < len(clips.decode(out / "o.mp4")[0]) < 1000


def test_a_run_that_is_interrupted_before_its_first_frame_ends_the_command(clip, tmp_path, monkeypatch, capsys):
    @contextmanager
    def at_once(run):
        run.stop()
        yield

    monkeypatch.setattr("emotion_model.commands.video.interruptible", at_once)
    assert main(["video", str(clip), str(clip), "--csv", str(tmp_path / "out")]) == 130
    assert capsys.readouterr().err.count("interrupted before its first frame") == 1


# Real clips


@pytest.mark.parametrize(
    ("name", "frames", "people"),
    [
        ("one_face_neutral_to_smile.mp4", 72, 1),
        ("no_face_header_says_98_decodes_95.mp4", 95, 0),
        ("face_then_no_face.mov", 169, 1),
    ],
)
def test_real_clips(quick, tmp_path, name, frames, people):
    path = media(name)
    one = run(path, quick, everything(tmp_path))
    assert one.summary.frames == frames and len(one.summary.people) == people
    times, _ = clips.decode(path)
    table = rows(tmp_path / "csv.csv")
    assert [float(row["time"]) for row in table] == pytest.approx(times, abs=1e-3)
    assert len(clips.decode(tmp_path / "annotated.mp4")[0]) == frames


def test_a_smile_is_seen_when_it_comes(quick):
    one = run(media("one_face_neutral_to_smile.mp4"), quick)
    segments = one.summary.people[0].segments
    assert segments[0].emotion == "neutral" and segments[-1].emotion == "happy"


def test_scenes_that_follow_each_other_slowly_are_cut_though_the_first_is_back(film, quick, tmp_path):
    path = clips.write_clip(tmp_path / "slides.mp4", lambda t: film(t) // (6 if 2 <= t < 4 else 1), [0, 2, 4])
    with VideoReader(path) as reader:
        assert [frame.cut for frame in analyze(reader, quick)] == pytest.approx([None, 2, 4])


def test_subtitles_beside_an_annotated_part_begin_with_it(clip, quick, tmp_path):
    begins = []
    for annotated in (None, tmp_path / "part.mp4"):
        outputs = VideoOutputs(annotated=annotated, vtt=tmp_path / "part.vtt")
        with VideoReader(clip) as reader, VideoRun(reader, quick, outputs, VideoConfig(start=1.0)) as run:
            list(run)
        begins.append(outputs.vtt.read_text().split("\n")[2].split(" --> ")[0])
    assert begins == ["00:00:01.000", "00:00:00.000"]


def test_a_folder_that_is_not_there_is_told_before_anything_is_done(clip, quick, tmp_path):
    outputs = VideoOutputs(csv=tmp_path / "out.csv", plot=tmp_path / "none" / "out.png")
    with VideoReader(clip) as reader, pytest.raises(MediaError, match="no folder"), VideoRun(reader, quick, outputs):
        pytest.fail("it began")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_written_in_the_end_takes_no_table_with_it(clip, quick, tmp_path):
    (tmp_path / "out.png").mkdir()
    outputs = VideoOutputs(csv=tmp_path / "out.csv", plot=tmp_path / "out.png")
    config = VideoConfig(rate=2)
    with (
        VideoReader(clip) as reader,
        pytest.raises(MediaError, match=r"out\.png"),
        VideoRun(reader, quick, outputs, config) as run,
    ):
        list(run)
    assert len(outputs.csv.read_text().splitlines()) == 5


def test_a_zip_packs_files_of_any_names_and_folders_under_names_of_their_own(landscape, quick, tmp_path):
    path = clips.write_clip(tmp_path / "clip.mp4", lambda _: landscape[:240, :320], seconds=0.3)
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    names = {"annotated": "clip.m4v", "csv": "sc\udce9ne.csv", "json": "a/out.json", "summary": "b/Out.json"}
    names["zip"] = "all.zip"
    run(path, quick, VideoOutputs(**{name: f"{tmp_path}/{file}" for name, file in names.items()}))
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        assert archive.namelist() == ["clip.m4v", r"sc\xe9ne.csv", "out.json", "Out_2.json"]
        ways = [one.compress_type for one in archive.infolist()]
        assert ways == [zipfile.ZIP_STORED] + [zipfile.ZIP_DEFLATED] * 3, "a clip is compressed as it is"
        assert archive.read("Out_2.json") == (tmp_path / "b" / "Out.json").read_bytes()


def test_a_part_in_which_no_picture_begins_is_no_damaged_clip(quick, tmp_path):
    black = np.zeros((48, 64, 3), np.uint8)
    path = clips.write_clip(tmp_path / "late.mkv", lambda _: black, [2, 2.1], sound="aac")  # which begins at once
    for part in ({"end": 1.0}, {"start": 2.15}):
        with pytest.raises(MediaError, match="No picture begins from") as error:
            run(path, quick, **part)
        assert error.value.code == "bad_range"


def test_a_frame_that_is_still_shown_at_the_start_counts_from_there(film, quick, tmp_path):
    path = clips.write_clip(tmp_path / "slides.mp4", film, [0, 2, 4, 4.1, 4.2, 4.3, 4.4])
    with VideoReader(path) as reader:
        assert [(frame.time, frame.duration) for frame in reader.frames(0.5, 1.5)] == [(0.5, 1.0)]
        assert [frame.time for frame in reader.frames(2.5)] == pytest.approx([2.5, 4, 4.1, 4.2, 4.3, 4.4])
        assert [frame.time for frame in reader.frames(4.15)] == pytest.approx([4.2, 4.3, 4.4])
        with VideoRun(reader, quick, config=VideoConfig(start=0.5, end=4.05)) as run:
            list(run)
    assert sum(one.seconds for one in run.summary.people) == pytest.approx(3.5, abs=0.06)


def test_the_last_frame_is_shown_to_the_end_of_the_part_alone(film, tmp_path):
    frames = [Image.fromarray(film(t)) for t in (0, 2)]
    frames[0].save(tmp_path / "slow.gif", save_all=True, append_images=frames[1:], duration=[2000, 10_000])
    with VideoReader(tmp_path / "slow.gif") as reader:
        assert [(f.time, f.duration) for f in reader.frames(6, 8)] == [(6, 2)]
    for i, frame in enumerate(frames):
        frame.save(tmp_path / f"slide{i}.png")
    with VideoReader([tmp_path / f"slide{i}.png" for i in (0, 1)], sequence_rate=0.5) as reader:
        assert [(f.time, f.duration) for f in reader.frames(3)] == [(3, 1)]
        assert [(f.time, f.duration) for f in reader.frames(1)] == [(1, 1), (2, 2)]


def test_pictures_are_read_in_the_order_of_their_numbers(tmp_path):
    for number in range(1, 13):
        Image.new("RGB", (64, 48), (number * 20,) * 3).save(tmp_path / f"frame{number}.png")
    (tmp_path / "._frame1.png").write_bytes(b"what macOS leaves")
    with VideoReader(tmp_path) as reader:
        assert [round(frame.image.mean() / 20) for frame in reader.frames()] == list(range(1, 13))


def test_of_too_many_people_plot_and_page_show_those_seen_longest_as_they_came_and_say_so(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    from emotion_model.drawing import page, plot

    said, seen = [], []
    monkeypatch.setattr(plot, "MAX_PEOPLE", 2)
    monkeypatch.setattr(page, "LISTED", 2)
    monkeypatch.setattr(Figure, "supxlabel", lambda _, text, **__: said.append(text))
    monkeypatch.setattr(plot, "_draw_areas", lambda _, __, person: seen.append(person.number))
    summary = ClipSummary(0.0)
    for second in range(20):
        number = 1 if second < 3 else 2 if second < 10 else 3
        summary.add(second, [face(track_id=number)])
    summary.finish(20.0)
    plot.save_timeline(summary, tmp_path / "plot.png")
    assert seen == [2, 3] and said == ["1 more was seen for a shorter time."]
    page.save_page(summary, b"", "clip", "bundled", tmp_path / "page.html")
    written = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert re.findall(r"Person (\d+)", written) == ["2", "3"] and f"<p>{said[0]}</p>" in written


def test_a_timeline_has_words_where_there_is_room_for_who_cannot_tell_the_colours(monkeypatch, tmp_path):
    from matplotlib.axes import Axes

    from emotion_model.drawing.plot import save_timeline

    words, write = [], Axes.text
    monkeypatch.setattr(Axes, "text", lambda *given, **how: words.append(given[3]) or write(*given, **how))
    summary = ClipSummary(0.0)
    for tenth in range(300):
        emotion = "happy" if tenth < 200 else "fear" if tenth < 205 else "neutral"
        summary.add(tenth / 10, [face(emotion=emotion)])
    summary.finish(30.0)
    save_timeline(summary, tmp_path / "plot.png")
    assert [one.emotion for one in summary.people[0].segments] == ["happy", "fear", "neutral"]
    assert words == ["happy", "neutral"]


def test_stopped_while_the_drawing_catches_up_everything_is_kept(clip, quick, tmp_path):
    outputs = VideoOutputs(annotated=tmp_path / "out.mp4", csv=tmp_path / "out.csv")
    with VideoReader(clip) as reader, VideoRun(reader, quick, outputs) as run:
        list(run)
        run.stop()
    with VideoReader(outputs.annotated) as reader:
        assert len(list(reader.frames())) == 20
    assert len(outputs.csv.read_text().splitlines()) == 21
