"""What stands behind the buttons, called without a page."""

import asyncio
import base64
import csv
import json
import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pytest
from gradio.data_classes import FileData, ListFiles
from gradio.state_holder import SessionState
from PIL import Image

from emotion_model import LABELS, EmotionClassifier, EmotionDetector, Face, MediaError, VideoConfig, VideoReader
from emotion_model.album import album_note
from emotion_model.clips.outputs import VideoOutputs
from emotion_model.clips.run import VideoRun
from emotion_model.faces.detection import FINDERS
from emotion_model.labels import UNCLEAR
from emotion_model.timelines.summary import ClipSummary
from support import clips
from support.disk import files_up_to
from ui import album, examples, inputs, portraits
from ui.agents import Tools
from ui.album import Photo, read_album
from ui.api import Api
from ui.cards import DETECTOR_NAMES
from ui.inputs import READING, files_input
from ui.live.sessions import Live
from ui.live.tab import Handlers
from ui.model import attention, look, model_page
from ui.page import build_page
from ui.photo import read_photo
from ui.pictures import data_url
from ui.turns import Turns
from ui.video import handlers, runs
from ui.video.figure import timeline_figure
from ui.video.people import summary_html
from ui.video.runs import FILES, Analysis, VideoLimits


@pytest.fixture(autouse=True)
def files(monkeypatch, tmp_path) -> Path:
    """Where visitors' files lie."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "files"))
    return tmp_path / "files"


@pytest.fixture
def broken(tmp_path) -> str:
    path = tmp_path / "broken.jpg"
    path.write_bytes(b"\xff\xd8 nothing")
    return str(path)


@pytest.fixture
def analysis(detector) -> Iterator[Analysis]:
    analysis = Analysis(detector, VideoLimits(seconds=60, pictures=2))
    yield analysis
    analysis.leave("me")


def test_a_photo_gives_its_copy_cards_and_numbers(detector, photo):
    _, annotated, status, cards, numbers, _ = list(read_photo(detector, str(photo)))[-1]
    assert annotated.shape == (512, 512, 3)
    assert "1 face" in status.lower()
    assert "Happy" in cards
    assert [face["emotion"] for face in numbers] == ["happy"]


def test_of_a_large_photo_it_is_said_at_once_that_it_is_looked_at(detector, photo, astronaut, tmp_path):
    Image.fromarray(np.tile(astronaut, (5, 5, 1))).save(tmp_path / "large.jpg")
    first, last = read_photo(detector, str(tmp_path / "large.jpg"))
    assert "2560 × 2560" in first[2]
    assert "25 faces" in last[2]
    assert len(list(read_photo(detector, str(photo)))) == 1


@pytest.mark.parametrize("door", ["photo", "model", "album", "sequence"])
def test_the_page_takes_smaller_pictures_than_python_at_every_door(detector, analysis, photo, tmp_path, door):
    bomb = str(tmp_path / "bomb.png")
    Image.new("1", (9000, 6000)).save(bomb)
    answers = {
        "photo": lambda: read_photo(detector, bomb),
        "model": lambda: [look(detector, bomb)],
        "album": lambda: read_album(detector, [Photo(bomb, "bomb.png")]),
        "sequence": lambda: handlers.show(analysis, None, [str(photo), bomb], "every frame", 0, 0, False, "me", 1),
    }
    assert "54.0 megapixels, and the limit is 50" in str(list(answers[door]())[-1])


def test_a_photo_that_cannot_be_read_is_named_to_the_page_and_it_is_said_why(detector, broken):
    unread, annotated, status, cards, numbers, _ = list(read_photo(detector, broken))[-1]
    assert (unread, annotated, cards, numbers) == (broken, None, "", None)
    assert "problem" in status
    assert broken not in status


def test_the_time_that_a_photo_took_does_not_count_the_wait_for_others(detector, photo, monkeypatch):
    waited = 0.0
    monkeypatch.setattr("ui.photo.time", SimpleNamespace(perf_counter=lambda: time.perf_counter() + waited))

    def free() -> None:
        nonlocal waited
        waited = 1000.0
        READING.release(2)

    for _ in range(2):
        READING.acquire()
    threading.Timer(0.2, free).start()
    status = list(read_photo(detector, str(photo)))[-1][2]
    assert int(re.search(r"(\d+) ms", status)[1]) < 1_000_000


def test_of_programs_so_many_pictures_wait_and_the_next_is_refused(detector, photo, monkeypatch):
    monkeypatch.setattr(inputs, "WAITING", threading.BoundedSemaphore(1))
    api, tools = Api(detector), Tools(detector, None)
    with ThreadPoolExecutor(2) as pool:
        for _ in range(2):
            READING.acquire()
        waits = pool.submit(api.detect_image, str(photo))
        while inputs.WAITING._value:  # until it waits
            time.sleep(0.01)
        encoded = base64.b64encode(photo.read_bytes()).decode()
        for ask, given in ((api.detect_image, str(photo)), (api.predict, encoded), (tools.detect_image, str(photo))):
            with pytest.raises(gr.Error, match="try again in a minute") as refusal:
                ask(given)
            assert refusal.value.title == "busy"
        page = pool.submit(lambda: list(read_photo(detector, str(photo)))[-1][2])
        READING.release(2)
        assert waits.result(60)["faces"] and "1 face" in page.result(60)
    assert tools.detect_image(str(photo))


def test_no_photo_is_an_invitation(detector):
    assert "Add a photo" in list(read_photo(detector, None))[-1][2]
    assert "Add a photo" in look(detector, None)[1]


def test_the_model_shows_where_it_looks_or_says_why_not(detector, photo, broken, landscape, tmp_path):
    Image.fromarray(landscape).save(tmp_path / "landscape.png")
    assert "happy" in look(detector, str(photo))[1].lower()
    assert "No face" in look(detector, str(tmp_path / "landscape.png"))[1]
    unread, drawing = look(detector, broken)
    assert unread == broken and "problem" in drawing


def test_to_show_where_the_model_looks_a_photo_is_searched_for_faces_once(detector, photo, monkeypatch):
    searched: list[Any] = []
    search = detector.faces.detect
    monkeypatch.setattr(detector.faces, "detect", lambda image: searched.append(image) or search(image))
    assert "happy" in look(detector, str(photo))[1]
    assert len(searched) == 1


def test_the_model_names_no_emotion_where_its_answer_is_unclear(detector, astronaut):
    (face,) = detector.detect(astronaut)
    assert "Its answer: happy, " in attention(astronaut[:48, :48, 0], None, face)
    for row, column, place in ((0, 0, "upper left"), (4, 4, "middle"), (8, 4, "lower middle"), (4, 8, "right")):
        heat = np.zeros((9, 9))
        heat[row, column] = 1
        assert f"brightest in the {place} of the picture" in attention(astronaut[:48, :48, 0], heat, face)
    unclear = attention(astronaut[:48, :48, 0], None, replace(face, clear_from=1.1))
    assert "Its answer: unclear, happy " in unclear and " or " in unclear


def test_of_a_model_in_a_folder_no_path_is_told_and_only_the_scores_that_it_has(small):
    classifier = EmotionClassifier.load(small)
    assert Api(EmotionDetector(classifier)).model_info()["source"] == small.name
    config = classifier.config
    assert "Macro-F1" in model_page(config, "own", "yunet") and "Bad at" in model_page(config, "own", "yunet")
    scores = config.metrics["test"]
    partly = scores | {"per_class": {"calm": scores["per_class"]["calm"]}}
    assert "Bad at" not in model_page(replace(config, metrics={"test": partly}), "own", "yunet")
    fewest = model_page(replace(config, metrics={"test": {"accuracy": 0.7}}), "own", "yunet")
    assert "70.00%" in fewest and "Macro-F1" not in fewest
    unmeasured = {"images": None, "accuracy": 0.7, "per_class": {name: {"recall": None} for name in config.emotions}}
    unmeasured |= {"confusion": scores["confusion"], "flip": None, "ten_crop": {}}
    shown = replace(config, metrics={"test": unmeasured})
    assert model_page(shown, "own", "yunet") == fewest


@pytest.mark.parametrize("name", FINDERS)
def test_every_detector_has_a_name_for_people(detector, name):
    assert f">{DETECTOR_NAMES[name]}<" in model_page(detector.classifier.config, "own", name)


def test_of_a_fine_tuned_model_the_scores_of_the_pictures_held_out_of_it_are_told(small):
    classifier = EmotionClassifier.load(small)
    report = {"held_out": {"before": {"accuracy": 0.5}, "after": {"accuracy": 0.75}}}
    classifier.config = replace(classifier.config, metrics={}, training={"report": report})
    assert Api(EmotionDetector(classifier)).model_info()["metrics"] == {"held-out": {"accuracy": 0.75}}
    page = model_page(classifier.config, "own", "yunet")
    assert "Accuracy on pictures of its own" in page and "50.0% → 75.0%" in page and "Macro-F1" not in page
    for fewer in ({"notes": []}, {"held_out": None}, {"held_out": {"before": {"accuracy": 0.5}}}):
        classifier.config = replace(classifier.config, training={"report": fewer})
        assert Api(EmotionDetector(classifier)).model_info()["metrics"] == {}
        assert "How good it is" not in model_page(classifier.config, "own", "yunet")


def test_an_album_tells_its_progress_and_ends_with_a_table_and_a_file(detector, photo, broken):
    steps = read_album(detector, [Photo(str(photo), "Größe?.jpg"), Photo(broken, "broken.jpg")])
    status, faces, table, file = next(steps)
    assert "0 of 2 photos" in status and not faces  # those of other photos
    assert not table["visible"] and not file["visible"]
    assert "1 of 2 photos" in next(steps)[0]
    status, faces, table, file = next(steps)
    assert "Größe?.jpg" in faces and "broken.jpg" not in faces
    assert "1 face." in status
    assert "1 of them not readable" in status
    text = Path(file["value"]).read_text(encoding="utf-8")
    assert text.startswith("\ufeff"), "by which Excel knows what it is"
    head, *rows = csv.reader(text[1:].splitlines())
    assert head == table["value"]["headers"]
    assert [row[:3] for row in rows] == [["Größe?.jpg", "1", "happy"], ["broken.jpg", "", ""]]
    assert rows[1][-1]  # says why
    assert list(steps) == []


def test_photos_are_judged_by_what_they_hold_whatever_they_are_called(detector, photo, tmp_path):
    odd = [tmp_path / name for name in ("IMG_2034", "a.JPG.1", "notes.txt")]
    for path in odd[:2]:
        path.write_bytes(photo.read_bytes())
    odd[2].write_text("no picture")
    uploaded = ListFiles(root=[FileData(path=str(path), orig_name=f"{path.name}?") for path in odd])
    assert files_input().preprocess(uploaded) == [str(path) for path in odd]
    assert files_input().preprocess(None) is album.given(None) is None
    *_, table, _ = list(read_album(detector, album.given(uploaded)))[-1]
    rows = table["value"]["data"]
    assert [row[2] is None for row in rows] == [False, False, True] and rows[2][-1]
    assert [row[0] for row in rows] == ["IMG_2034?", "a.JPG.1?", "notes.txt?"], "as the visitor calls them"


def test_an_album_shows_its_faces_whose_pictures_go_with_their_photo(detector, photo, crowd, files, tmp_path):
    Image.fromarray(crowd).save(tmp_path / "crowd.png")
    known, one = {}, Photo(str(photo), "one & only.jpg")
    *_, (_, faces, table, _) = read_album(detector, [one, Photo(str(tmp_path / "crowd.png"), "crowd.png")], known)
    rows = table["value"]["data"]
    assert len(rows) > portraits.OF_A_PHOTO and f'number">{len(rows)} faces<' in faces
    assert faces.count("data:image/jpeg") == 1 + portraits.OF_A_PHOTO, "of a photo with many the largest have one"
    assert "Happy 9" in faces and faces.count('title="one &amp; only.jpg, face 1"') == 1
    assert ">one &amp; only.jpg<" in faces and ">Face 9, crowd.png<" in faces, "its number where a photo has several"
    assert len(list(files.glob("faces-*.json"))) == 2
    *_, (_, faces, _, _) = read_album(detector, [one], known)
    assert faces.count("data:image/jpeg") == 1 and "<h2>Happy</h2>" in faces and "crowd.png" not in faces
    (kept,) = files.glob("faces-*.json")
    kept.unlink()  # as when its time is over
    *_, (_, faces, _, _) = read_album(detector, [one], known)
    assert "data:image/jpeg" not in faces and "Happy 9" in faces


def test_what_an_album_shows_counts_unclear_faces_as_such_and_ends_somewhere(monkeypatch):
    monkeypatch.setattr(portraits, "SHOWN", 3)
    happy, unclear = (album_note("a.jpg", note) for note in ("", UNCLEAR.name))
    for row, emotion in ((happy, "happy"), (unclear, "sad")):
        row[1:4] = 1, emotion, 0.75
    faces = portraits.faces_html([portraits.Read([happy] * 3), portraits.Read([unclear])], LABELS)
    assert "<h2>Mostly happy</h2>" in faces and faces.count("Happy 75%") == 3
    assert re.search(r"Happy</span>.*?75%.*?Unclear</span>.*?25%", faces) and "1 more stands in the table." in faces
    assert portraits.faces_html([portraits.Read([album_note("none.jpg", "no face found")])], LABELS) == ""


def test_an_album_over_the_limit_says_what_was_left_out(detector, photo, monkeypatch):
    monkeypatch.setattr(album, "MAX_PHOTOS", 1)
    [(status, _, table, _)] = read_album(detector, [Photo(str(photo), photo.name)] * 3)
    assert "In 1 photo; 2 over the limit of 1 were left out." in status
    assert len(table["value"]["data"]) == 1


@pytest.fixture
def no_room(monkeypatch, tmp_path) -> None:
    """Temporary files can be made no more."""
    (tmp_path / "full").write_bytes(b"")  # no folder: nothing can be made in it
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "full"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "full"))


@pytest.mark.usefixtures("no_room")
def test_where_the_server_has_no_room_an_album_is_a_table_without_a_file(detector, photo):
    [(status, faces, table, file)] = read_album(detector, [Photo(str(photo), photo.name)])
    assert "Happy" in faces and "data:image/jpeg" not in faces, "where no picture can be kept its emoji stands"
    assert "problem" in status and "no room" in status
    assert len(table["value"]["data"]) == 1 and not file["visible"]


@pytest.mark.usefixtures("no_room")
def test_where_the_server_has_no_room_a_clip_gets_a_sentence(analysis, clip):
    last = list(handlers.show(analysis, str(clip), None, "every frame", 0, 0, False, "me", 1))[-1]
    assert "problem" in last["status"] and "no room" in last["status"]
    assert last["stop"]["interactive"] is False


@pytest.mark.parametrize("example", [examples.clip_path, lambda: examples.photo_paths()[-1]], ids=["clip", "photos"])
def test_an_example_that_had_no_room_is_made_anew_for_the_next_visitor(example, monkeypatch, tmp_path):
    for name, value in (("SECONDS", 1), ("_made", []), ("_photos", [])):
        monkeypatch.setattr(examples, name, value)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with files_up_to(10_000), pytest.raises(OSError, match="File too large"):
        example()
    assert list(tmp_path.iterdir()) == []
    assert example().stat().st_size > 10_000


def test_a_clip_is_shown_step_by_step_and_at_last_with_all_its_files(analysis, clip):
    steps = handlers.show(analysis, str(clip), None, "5 per second", 0, 0, False, "me", 1)
    assert "stop" not in next(steps)  # off and on in one breath, it may stay off in the page
    assert next(steps)["stop"]["interactive"] is True
    last = next(step for step in steps if "annotated" in step)
    assert last["stop"]["interactive"] is False
    assert Path(last["annotated"]).exists()
    assert len(last["files"]["value"]) == len(FILES)
    assert {*FILES, "annotated"} == {one.name for one in fields(VideoOutputs)}, "all that can become of a clip"
    assert last["timeline"]["visible"]
    assert "valence" in handlers.choose(1, last["state"]).plot
    words = json.loads(last["timeline"]["value"].plot)["layout"]["meta"]
    assert re.match(r"Timeline of 1 person from 0:00 to 0:02\. Person 1: happy \d+%.*; valence \+0\.\d+\. ", words)
    assert "image/jpeg" in last["summary"], "moments as pictures, which nobody keeps"
    assert re.search(r'data-time="\d\.\d{6}"', last["summary"]), "of a frame that does not begin at a millisecond"
    assert [peak.thumbnail for one in last["state"].people for peak in one.moments] == [None]
    assert list(steps) == []


def test_of_many_people_the_cards_and_bands_are_those_of_the_ones_seen_longest():
    summary = ClipSummary(0.0)
    for time_ in range(20):  # number 0 is never seen, 1 for a second, 2 for two
        faces = [Face((1, 1, 9, 9), np.eye(7, dtype=np.float32)[3], track_id=number) for number in range(time_ + 1, 20)]
        summary.add(float(time_), faces[::-1])
    summary.finish(20.0)
    longest, chosen = list(range(8, 20)), summary.people[0]
    numbers = [int(number) for number in re.findall(r"Person (\d+),", summary_html(summary))]
    assert numbers == longest and "7 more were seen for a shorter time." in summary_html(summary)
    assert len(re.findall("Person", summary_html(summary, brief=True))) == 4

    crowded = json.loads(timeline_figure(summary, chosen).plot)
    bands = {name for trace in crowded["data"] if trace["type"] == "bar" for name in trace["y"]}
    assert bands == {f"Person {number}" for number in [1, *longest]}, "and whoever is chosen"
    assert all(trace["text"] == trace["name"] for trace in crowded["data"] if trace["type"] == "bar"), (
        "not colour alone"
    )
    assert crowded["layout"]["annotations"][0]["text"].startswith("6 more")


def test_of_a_clip_that_breaks_off_page_and_programs_are_told(analysis, film, tmp_path):
    path = clips.write_clip(tmp_path / "clip.mp4", film, seconds=4, options={"movflags": "+faststart"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    last = list(handlers.show(analysis, str(path), None, "1 per second", 0, 0, False, "me", 1))[-1]
    assert "1 person." in last["status"] and "The clip breaks off at 0:0" in last["status"]
    answer, _, _ = list(handlers.answers(analysis, str(path), 1, 0, 0, False, "a program"))[-1]
    assert answer["notice"].startswith("The clip breaks off at 0:0") and answer["notice"] in last["status"]


def test_a_clip_can_be_stopped_by_whatever_step_the_page_sees(analysis, clip, monkeypatch):
    monkeypatch.setattr(runs, "REPORT_SECONDS", 0)
    steps = list(handlers.show(analysis, str(clip), None, "5 per second", 0, 0, False, "me", 1))
    on_the_way = [step for step in steps if "<progress" in step.get("status", "") and "value=" in step["status"]]
    assert len(on_the_way) > 3
    assert all(step["stop"]["interactive"] is True for step in on_the_way)


@pytest.mark.parametrize(("seconds", "all_have_them"), [(0, True), (1000, False)])
def test_of_a_clip_that_is_read_the_cards_travel_more_seldom_than_the_progress(
    analysis, clip, monkeypatch, seconds, all_have_them
):
    monkeypatch.setattr(runs, "REPORT_SECONDS", 0)
    monkeypatch.setattr(handlers, "CARDS_SECONDS", seconds)
    steps = list(handlers.show(analysis, str(clip), None, "5 per second", 0, 0, False, "me", 1))
    carded = ["summary" in step for step in steps if "value=" in step.get("status", "")]
    assert carded == [True, *[all_have_them] * (len(carded) - 1)] and len(carded) > 3


def test_a_person_chosen_after_the_server_has_forgotten_the_clip_gets_a_sentence(detector):
    page = build_page(detector)
    chosen = next(event for event in page.fns.values() if event.fn is handlers.choose)
    with pytest.warns(UserWarning, match="no longer on the server: press Analyse"):
        answer = asyncio.run(page.process_api(chosen, [2, None], SessionState(page)))
    assert "value" not in answer["data"][0]


def test_a_clip_that_cannot_be_read_says_so_where_the_results_would_be(analysis, broken):
    last = list(handlers.show(analysis, broken, None, "every frame", 0, 0, False, "me", 1))[-1]
    assert "problem" in last["status"]
    assert last["stop"]["interactive"] is False


def test_a_clip_that_was_replaced_or_taken_away_while_it_waited_is_not_read(analysis, clip, broken):
    analysis.want("me", str(clip), 1)
    analysis.want("me", broken, 1)
    assert list(handlers.show(analysis, str(clip), None, "every frame", 0, 0, False, "me", 1)) == [handlers.UNCHANGED]
    assert "problem" in list(handlers.show(analysis, broken, None, "every frame", 0, 0, False, "me", 1))[-1]["status"]
    analysis.want("me", None, 1)
    assert list(handlers.show(analysis, broken, None, "every frame", 0, 0, False, "me", 1)) == [handlers.UNCHANGED]


def test_of_two_clips_in_one_breath_the_later_one_is_read_whichever_is_noted_first(analysis, clip, broken):
    assert analysis.want("me", str(clip), 2)
    for older in (broken, None):
        assert not analysis.want("me", older, 1)
    assert list(handlers.show(analysis, broken, None, "every frame", 0, 0, False, "me", 1)) == [handlers.UNCHANGED]
    assert (
        "1 person" in list(handlers.show(analysis, str(clip), None, "5 per second", 0, 0, False, "me", 1))[-1]["status"]
    )


@pytest.fixture
def opening(monkeypatch) -> Callable[[Callable[[], None]], None]:
    """Has something done while the next clip is being opened."""

    def during(action: Callable[[], None]) -> None:
        def opened(*given: Any) -> VideoReader:
            action()
            return VideoReader(*given)

        monkeypatch.setattr("ui.video.runs.VideoReader", opened)

    return during


def test_a_clip_can_be_stopped_or_taken_out_while_it_is_being_opened(analysis, clip, broken, opening):
    opening(lambda: analysis.stop("me"))
    last = list(handlers.show(analysis, str(clip), None, "every frame", 0, 0, False, "me", 1))[-1]
    assert "Stopped." in last["status"] and Path(last["files"]["value"][0]).suffix == ".csv"
    opening(lambda: analysis.want("me", None, 1))
    for gone in (str(clip), broken):
        analysis.want("me", gone, 1)
        _, begun, last = handlers.show(analysis, gone, None, "every frame", 0, 0, False, "me", 1)
        assert "Opening" in begun["status"] and last == handlers.UNCHANGED


def test_stop_ends_the_run_there_is_and_after_its_last_frame_the_files_are_said_to_be_written(analysis, clip):
    analysis.stop("me")  # there is nothing to stop
    steps = handlers.show(analysis, str(clip), None, "every frame", 0, 0, False, "me", 1)
    assert [next(steps), next(steps)][1]["stop"]["interactive"] is True
    analysis.stop("me")
    writing, last = steps
    assert "files are being written" in writing["status"] and writing["stop"]["interactive"] is False
    assert "Stopped." in last["status"]


def test_whoever_cancels_does_not_wait_until_the_run_has_ended(analysis, clip, monkeypatch, tmp_path):
    def slowly(run: VideoRun, error: BaseException | None) -> None:
        ended.wait(10)
        leave(run, error)

    ended, leave = threading.Event(), VideoRun._leave
    monkeypatch.setattr(VideoRun, "_leave", slowly)
    monkeypatch.setattr(runs, "REPORT_SECONDS", 0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    steps = analysis.steps(str(clip), VideoConfig(), FILES, "me")
    assert [next(steps), next(steps)][1].progress
    steps.close()
    assert list(tmp_path.rglob("clip-*"))
    ended.set()
    for thread in threading.enumerate():
        if thread.name == "close-clip":
            thread.join(60)
    assert not list(tmp_path.rglob("clip-*"))


@pytest.mark.parametrize("wrong", ["much", "0", "-1", "inf", "nan"])
def test_a_limit_that_is_none_is_named(wrong, monkeypatch):
    monkeypatch.setenv("EMOTION_VIDEO_MB", wrong)
    with pytest.raises(ValueError, match=f"EMOTION_VIDEO_MB={wrong}: give a number above 0, or nothing for 200"):
        VideoLimits()


def test_how_long_a_clip_may_be_is_told_in_minutes_or_seconds():
    told = [VideoLimits(seconds=seconds).length for seconds in (600, 3600, 90, 60, 2.5)]
    assert told == ["10 minutes", "60 minutes", "90 seconds", "60 seconds", "2.5 seconds"]


def test_where_all_places_are_taken_a_clip_waits_and_may_be_taken_out(detector, clip):
    analysis = Analysis(detector, VideoLimits(at_once=1))
    taken = analysis.steps(str(clip), VideoConfig(), FILES, "somebody else")
    next(taken)
    with ThreadPoolExecutor(2) as pool:
        for session in ("me", "gone"):
            assert analysis.want(session, str(clip), 1)
        mine, gone = (
            handlers.show(analysis, str(clip), None, "5 per second", 0, 0, False, session, 1)
            for session in ("me", "gone")
        )
        assert "status" not in next(mine) and "status" not in next(gone)
        waiting = pool.submit(next, mine)
        given_up = pool.submit(list, gone)
        analysis.want("gone", None, 1)
        assert given_up.result(60) == [handlers.UNCHANGED] and not waiting.done()
        taken.close()
        assert "Opening" in waiting.result(60)["status"]
    assert "1 person" in list(mine)[-1]["status"]


def test_so_many_wait_for_a_place_and_who_comes_then_is_told(detector, clip, monkeypatch):
    monkeypatch.setattr(runs, "WAITING", 1)
    analysis = Analysis(detector, VideoLimits(at_once=1))
    taken, waits, too_late = (analysis.steps(str(clip), VideoConfig(), FILES, name) for name in "abc")
    next(taken)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(next, waits)
        while analysis._waiting._value:  # until it waits
            time.sleep(0.01)
        with pytest.raises(MediaError, match="try again") as refusal:
            next(too_late)
        assert refusal.value.code == "busy" and not waiting.done()
        taken.close()
        assert waiting.result(60).progress is None
    waits.close()
    assert next(analysis.steps(str(clip), VideoConfig(), FILES, "d")).progress is None


def test_what_is_being_read_is_not_read_again_for_an_answer_that_was_late(analysis, clip):
    asked = (analysis, str(clip), None, "5 per second", 0, 0, False, "me", 1)
    analysis.want("me", str(clip), 1)
    first = handlers.show(*asked)
    next(first)
    assert list(handlers.show(*asked)) == [handlers.UNCHANGED]
    assert "1 person" in list(first)[-1]["status"]
    analysis.want("me", str(clip), 1)  # Analyse was pressed
    assert "1 person" in list(handlers.show(*asked))[-1]["status"]


def test_where_analyse_is_pressed_with_other_settings_while_a_clip_waits_they_hold(analysis, clip):
    def reading(rate: str, number: int) -> Iterator[handlers.Updates]:
        return handlers.show(analysis, str(clip), None, rate, 0, 0, False, "me", number)

    analysis.want("me", str(clip), 1)
    before = reading("every frame", 2)
    analysis.want("me", str(clip), 3)
    next(before)
    assert list(reading("1 per second", 4))[-1]["state"].frames == 2
    assert list(before) == [handlers.UNCHANGED]
    assert list(reading("every frame", 2)) == [handlers.UNCHANGED], "it came to its turn too late"


def test_nor_does_one_show_anything_that_was_taken_out_while_its_files_were_finished(analysis, clip, monkeypatch):
    def finish(run: VideoRun) -> None:
        finished(run)
        analysis.want("me", None, 1)

    finished = VideoRun._finish
    monkeypatch.setattr(VideoRun, "_finish", finish)
    steps = list(handlers.show(analysis, str(clip), None, "5 per second", 0, 0, False, "me", 1))
    assert not any(step.get("annotated") for step in steps)


def test_pictures_that_are_no_longer_on_the_server_are_said_to_be_and_no_path_is_named(analysis, photo, tmp_path):
    gone = [str(photo), str(tmp_path / "swept.jpg")]
    for pictures in (gone, [str(tmp_path / "a.jpg"), gone[1]]):
        analysis.want("me", pictures, 1)
        last = list(handlers.show(analysis, None, pictures, "every frame", 0, 0, False, "me", 1))[-1]
        assert "no longer on the server" in last["status"]
        assert str(tmp_path) not in last["status"]


def test_visitors_are_told_of_a_part_that_cannot_be_by_the_names_of_its_fields(analysis, clip):
    for start, end, said in ((5, 3, "“To second” 3: must lie behind the start"), (-1, 0, "“From second” -1: use 0")):
        analysis.want("me", str(clip), 1)
        status = list(handlers.show(analysis, str(clip), None, "1 per second", start, end, False, "me", 1))[-1][
            "status"
        ]
        assert said in status and "=" not in status.split("<span>")[1]
        with pytest.raises(gr.Error, match=r"^(start|end)="):  # programs know these names
            list(handlers.answers(analysis, str(clip), 1, start, end, False, "caller"))


@pytest.mark.parametrize("odd", [{"rate": "five"}, {"start": [1]}, {"start": -5}, {"end": 10**400}])
def test_programs_that_send_no_numbers_are_told(analysis, clip, odd):
    values = {"rate": 1, "start": 0, "end": 0} | odd
    with pytest.raises(gr.Error) as refused:
        list(handlers.answers(analysis, str(clip), **values, annotated=False, caller="me"))
    assert refused.value.title == "bad_value"
    assert next(iter(odd)) in refused.value.message


def test_numbers_as_text_will_do(analysis, clip):
    assert next(handlers.answers(analysis, str(clip), "1", "0", "", False, "me"))


def test_the_newest_question_of_a_visitor_is_answered_and_the_ones_before_end():
    turns = Turns()
    first, other = turns.newest("me", 1, iter("abc")), turns.newest("somebody else", 2, iter("ab"))
    assert [next(first), next(other)] == ["a", "a"]
    second = turns.newest("me", 3, iter("xy"))
    assert next(second) == "x"
    assert list(first) == [gr.skip()]
    assert [*second, *other] == ["y", "b"]
    assert list(turns.newest("me", 4, iter("z"))) == ["z"]


def test_a_question_that_comes_to_its_turn_after_a_newer_one_changes_nothing():
    turns = Turns()
    newer, older = turns.newest("me", 2, iter("xy")), turns.newest("me", 1, iter("ab"))
    assert next(newer) == "x"
    assert list(older) == [gr.skip()]
    assert list(newer) == ["y"]
    assert list(turns.newest("me", 1, iter("ab"))) == [gr.skip()]


def test_a_question_that_waits_for_its_turn_ends_those_before():
    turns = Turns()
    turns.note("me", 1)
    turns.note("me", 3)
    assert list(turns.newest("me", 2, iter("ab"))) == [gr.skip()]
    assert list(turns.newest("me", 4, iter("xy"))) == ["x", "y"]


def test_questions_are_remembered_of_so_many_visitors():
    turns = Turns()
    for visitor in range(3000):
        assert list(turns.newest(str(visitor), visitor + 1, iter("a"))) == ["a"]
    assert len(turns._newest) == 1000


def test_what_so_many_visitors_want_of_clips_is_remembered(analysis, clip):
    for visitor in range(3000):
        assert analysis.want(str(visitor), str(clip), visitor + 1)
    assert len(analysis._wanted) == 1000
    assert analysis.begin("2999", str(clip), "as it is", 4000) and not analysis.begin("2999", "another", "", 5000)


def test_without_a_clip_the_tab_is_emptied(analysis):
    [shown] = handlers.show(analysis, None, None, "every frame", 0, 0, False, "me", 1)
    assert shown["annotated"] is None and shown["state"] is None
    assert "Add a clip" in shown["status"]


def test_pictures_are_a_sequence_in_the_order_of_their_names_but_one_alone_is_a_clip(tmp_path):
    limits = VideoLimits(pictures=2)
    assert handlers.sequence([], limits) is None
    assert handlers.sequence(["x/b.png"], limits) == "x/b.png"
    assert handlers.sequence(["x/b.png", "y/a.png"], limits) == ["y/a.png", "x/b.png"]
    assert handlers.sequence(["x/frame10.png", "x/frame9.png"], limits) == ["x/frame9.png", "x/frame10.png"]
    with pytest.raises(MediaError, match="Those are 3 pictures, and the limit is 2: choose fewer"):
        handlers.sequence(["a.png", "b.png", "c.png"], limits)


def test_a_live_frame_is_answered_and_a_bad_one_refused_with_a_code(detector: EmotionDetector, astronaut):
    live = Handlers(Live(detector))
    frame = {
        "image": data_url(".jpg", astronaut[..., ::-1]),
        "session": "the-first",
        "time": 0.5,
        "smoothing": 0.0,
    }
    reply = live.detect(frame)
    assert len(reply.get("rows", ())) == 1, reply
    assert live.leave("the-first")
    assert live.detect(frame | {"image": "nonsense", "session": "the-other"})["error"]
    unfolding = data_url(".png", np.zeros((2001, 2000), np.uint8))
    assert live.detect(frame | {"image": unfolding, "session": "the-other"})["error"] == "too_many_pixels"


def test_where_no_file_is_wanted_no_picture_of_a_face_is_kept(analysis, clip, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for wanted in (("summary",), ()):
        *_, last = analysis.steps(str(clip), VideoConfig(), wanted, "me")
        pictures = [moment.thumbnail for one in last.summary.people for moment in one.moments]
        assert [picture is not None for picture in pictures] == [bool(wanted)] * len(pictures) and pictures
        assert len(list(tmp_path.rglob("clip-*/*"))) == 1, "that of the first alone"
