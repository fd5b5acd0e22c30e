import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import emotion_model
from emotion_model import EMOTIONS, EmotionDetector
from emotion_model.__main__ import main
from emotion_model.faces.detection import FINDERS
from emotion_model.labels import LABELS
from emotion_model.network.config import BUNDLED_DIR, CONFIG_FILE
from emotion_model.network.cost import spent
from support import warm
from support.environment import of_users
from support.models import write_config
from support.paths import ROOT, media


def run(*arguments):
    return subprocess.run(
        [warm.python(), "-m", "emotion_model", *map(str, arguments)],
        cwd=ROOT,
        env=of_users(),
        capture_output=True,
        text=True,
    )


def test_image_prints_a_line_per_picture(photo, landscape, tmp_path):
    empty = tmp_path / "landscape.png"
    Image.fromarray(landscape).save(empty)
    done = run("image", photo, empty)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"{photo}: happy ") and lines[1] == f"{empty}: no face found"


def test_image_json_has_the_documented_fields(photo, capsys):
    assert main(["image", str(photo), "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert set(entry) == {"file", "width", "height", "detector", "turned", "faces"}
    assert (entry["file"], entry["width"], entry["height"]) == (str(photo), 512, 512)
    (face,) = entry["faces"]
    assert set(face) == {"box", "emotion", "confidence", "clear", "intensity", "valence", "arousal", "probabilities"}
    assert tuple(face["probabilities"]) == EMOTIONS
    assert sum(face["probabilities"].values()) == pytest.approx(1, abs=1e-3)


def test_save_writes_the_annotated_picture(photo, astronaut, tmp_path, capsys):
    out = tmp_path / "annotated.png"
    assert main(["image", str(photo), "--save", str(out)]) == 0
    drawn = np.asarray(Image.open(out))
    assert drawn.shape == astronaut.shape and np.abs(drawn.astype(int) - astronaut).max() > 100


def test_a_table_of_all_pictures_has_a_row_for_each_face(photo, crowd, landscape, tmp_path, capsys):
    for name, picture in (("crowd é.png", crowd), ("none.png", landscape)):
        Image.fromarray(picture).save(tmp_path / name)
    broken, out = tmp_path / os.fsdecode(b"caf\xe9.jpg"), tmp_path / "faces.csv"
    broken.write_text("no picture")
    asked = [str(photo), str(tmp_path / "crowd é.png"), str(broken), str(tmp_path / "none.png")]
    assert main(["image", *asked, "--csv", str(out)]) == 1
    with out.open(encoding="utf-8-sig", newline="") as text:
        rows = list(csv.DictReader(text))
    assert [row["photo"] for row in rows] == [asked[0], *[asked[1]] * 20, str(tmp_path / "caf\\xe9.jpg"), asked[3]]
    assert (rows[0]["face"], rows[0]["emotion"], rows[0]["note"]) == ("1", "happy", "")
    assert sum(float(rows[0][name]) for name in EMOTIONS) == pytest.approx(1, abs=1e-3)
    assert [row["face"] for row in rows[1:21]] == [str(number) for number in range(1, 21)]
    assert "not a picture" in rows[-2]["note"] and (rows[-1]["note"], rows[-1]["emotion"]) == ("no face found", "")


@pytest.mark.parametrize(
    ("out", "said"),
    [
        (".", "is a folder: give the table a name"),
        ("nowhere/faces.csv", "there is no folder"),
        ("photo.jpg", "is a source itself"),
        ("drawn.jpg", "two results cannot have one name"),
    ],
)
def test_where_no_table_can_go_is_told_before_any_work(photo, tmp_path, capsys, out, said):
    shutil.copy(photo, tmp_path / "photo.jpg")
    drawn = str(tmp_path / "drawn.jpg")
    assert main(["image", str(tmp_path / "photo.jpg"), "--save", drawn, "--csv", str(tmp_path / out)]) == 2
    printed = capsys.readouterr()
    assert said in printed.err and not printed.out
    assert (tmp_path / "photo.jpg").read_bytes() == photo.read_bytes()


def test_save_keeps_every_one_of_several_pictures_even_with_equal_names(photo, tmp_path, capsys):
    twin = tmp_path / photo.name
    twin.write_bytes(photo.read_bytes())
    assert main(["image", str(photo), str(twin), "--save", str(tmp_path / "out")]) == 0
    assert sorted(f.name for f in (tmp_path / "out").iterdir()) == ["photo_emotions.jpg", "photo_emotions_2.jpg"]


def test_names_that_only_some_disks_tell_apart_count_as_equal(photo, tmp_path, capsys):
    twin = tmp_path / photo.name.upper()
    twin.write_bytes(photo.read_bytes())
    assert main(["image", str(photo), str(twin), "--save", str(tmp_path / "out")]) == 0
    names = [file.name.lower() for file in (tmp_path / "out").iterdir()]
    assert sorted(names) == ["photo_emotions.jpg", "photo_emotions_2.jpg"]


def test_one_bad_picture_does_not_stop_the_others(photo, tmp_path, capsys):
    bad = tmp_path / "bad.jpg"
    bad.write_text("hello")
    assert main(["image", str(bad), str(photo), "--json"]) == 1
    printed = capsys.readouterr()
    assert len(json.loads(printed.out)) == 1
    assert f"{bad}: This is not a picture" in printed.err


class Interrupting(io.StringIO):
    """Has somebody press Ctrl-C when they read of an error."""

    def write(self, text):
        if "error" in text:
            signal.raise_signal(signal.SIGINT)
        return super().write(text)


def test_ctrl_c_keeps_what_was_read_until_then(photo, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Interrupting())
    assert main(["image", str(photo), str(tmp_path / "none.jpg"), str(photo), "--json"]) == 130
    assert [entry["file"] for entry in json.loads(capsys.readouterr().out)] == [str(photo)]
    assert "interrupted: 2 of 3 pictures were looked at" in sys.stderr.getvalue()


def test_ctrl_c_that_is_ignored_ends_nothing(photo, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Interrupting())
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as of what a script begins in the background
    try:
        assert main(["image", str(photo), str(tmp_path / "none.jpg"), str(photo), "--json"]) == 1
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(json.loads(capsys.readouterr().out)) == 2


def test_ctrl_c_while_the_model_loads_ends_it_without_a_word(photo, capsys, monkeypatch):
    monkeypatch.setattr(EmotionDetector, "load", lambda *_: signal.raise_signal(signal.SIGINT))
    assert main(["image", str(photo)]) == 130
    assert capsys.readouterr() == ("", "")


def test_what_another_command_reads_is_sent_there(photo, clip, tmp_path, capsys):
    assert main(["image", str(tmp_path), str(clip)]) == 2
    folder, film = capsys.readouterr().err.splitlines()
    assert f"such as {tmp_path}/*.jpg, or read the folder with `archive`" in folder
    assert "This is not a picture" in film and film.endswith("Clips are read with `video`.")
    assert main(["video", str(photo)]) == 2
    assert capsys.readouterr().err.endswith("Pictures are read with `image`.\n")


def test_only_bad_pictures_end_with_2(tmp_path, capsys):
    assert main(["image", str(tmp_path / "none.jpg")]) == 2
    assert "no such file" in capsys.readouterr().err
    for command in ("image", "video"):
        assert main([command, str(tmp_path / ("a" * 300))]) == 2, "longer than a file's name can be"
        assert "name too long" in capsys.readouterr().err


def test_a_glob_stands_for_what_fits_it(photo, clip, tmp_path, capsys):
    """As shells on Windows hand it over."""
    for name in ("b.jpg", "a.jpg", "[c].jpg"):
        (tmp_path / name).write_bytes(photo.read_bytes())
    assert main(["image", str(tmp_path / "?.jpg"), str(tmp_path / "[c].jpg"), "--save", str(tmp_path / "out")]) == 0
    told = [line.split(": ")[0] for line in capsys.readouterr().out.splitlines()]
    assert told == [str(tmp_path / name) for name in ("a.jpg", "b.jpg", "[c].jpg")]
    assert len(list((tmp_path / "out").iterdir())) == 3
    assert main(["image", str(tmp_path / "*.png")]) == 2
    assert capsys.readouterr().err == f"error: {tmp_path / '*.png'}: no such file.\n"
    (tmp_path / "a clip.mp4").write_bytes(clip.read_bytes())
    assert main(["video", str(tmp_path / "*.mp4"), "--fps", "1"]) == 0
    assert capsys.readouterr().out.startswith(f"{tmp_path / 'a clip.mp4'}: 1 person")


def test_an_unknown_format_to_save_in_is_named(photo, tmp_path, capsys):
    assert main(["image", str(photo), "--save", str(tmp_path / "out.xyz")]) == 2
    assert "out.xyz" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_picture_itself_is_never_overwritten(photo, tmp_path, capsys):
    own = tmp_path / "own.jpg"
    own.write_bytes(photo.read_bytes())
    assert main(["image", str(own), "--save", str(own)]) == 2
    assert "another name" in capsys.readouterr().err
    assert own.read_bytes() == photo.read_bytes()


def test_no_picture_that_is_still_to_be_read_is_overwritten(photo, tmp_path, capsys):
    first, second = tmp_path / "own.jpg", tmp_path / "own_emotions.jpg"
    for path in (first, second):
        path.write_bytes(photo.read_bytes())
    assert main(["image", str(first), str(second), "--save", str(tmp_path)]) == 2
    printed = capsys.readouterr()
    assert f"{second} is a source itself: save under another name, or in another folder" in printed.err
    assert not printed.out and second.read_bytes() == photo.read_bytes()


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("nowhere/out.png", "there is no folder"),
        ("out.psd", "use .png, .jpg or .webp"),
        ("photo.jpg/out", "no folder can be made there (Not a directory): save elsewhere"),
    ],
)
def test_where_nothing_can_be_saved_is_told_before_any_work(photo, tmp_path, capsys, out, said):
    (tmp_path / "photo.jpg").write_bytes(photo.read_bytes())
    assert main(["image", str(photo), "--save", str(tmp_path / out)]) == 2
    printed = capsys.readouterr()
    assert said in printed.err and f"{tmp_path / out}" in printed.err and not printed.out


def test_several_pictures_need_a_folder(photo, tmp_path, capsys):
    out = tmp_path / "out.png"
    assert main(["image", str(photo), str(photo), "--save", str(out)]) == 2
    assert "give a folder" in capsys.readouterr().err and not out.exists()


def test_a_picture_that_cannot_be_saved_is_told_of_all_the_same(tmp_path, capsys):
    wide = tmp_path / "wide.png"
    Image.new("RGB", (17_000, 40)).save(wide)
    out = tmp_path / "out.webp"  # which ends at 16,383 pixels
    assert main(["image", str(wide), "--json", "--save", str(out)]) == 1
    printed = capsys.readouterr()
    assert [entry["width"] for entry in json.loads(printed.out)] == [17_000]
    assert f"error: {out}: cannot be saved (" in printed.err and "16383" in printed.err
    assert not out.exists()


@pytest.mark.parametrize("order", ["paths first", "paths last", "one by one"])
def test_models_are_told_from_pictures(photo, tiny_model, capsys, order):
    model, path = str(tiny_model), str(photo)
    arguments = {
        "paths first": [path, "--model", model, model],
        "paths last": ["--model", model, path],
        "one by one": ["--model", model, "--model", model, path],
    }[order]
    assert main(["image", *arguments]) == 0
    assert capsys.readouterr().out.startswith(f"{photo}: ")


def test_what_is_no_option_is_refused(photo, capsys):
    for wrong in (["--sav", "x", "--modell", "y"], ["--json", "left.jpg"], ["--model", "a", "--wrong", "b"]):
        with pytest.raises(SystemExit) as end:
            main(["image", str(photo), *wrong])
        said = capsys.readouterr().err
        assert end.value.code == 2 and "unrecognized arguments" in said and "model image [-h]" in said


def test_a_picture_behind_the_models_is_said_to_be_taken_for_one(photo, tiny_model, capsys):
    assert main(["image", str(photo), "--model", str(tiny_model), str(photo)]) == 2
    assert f"Taken for models, as they stand behind --model: {photo}; put paths before it" in capsys.readouterr().err


def test_a_missing_model_ends_with_2(photo, tmp_path, capsys):
    assert main(["image", str(photo), "--model", str(tmp_path / "none.keras")]) == 2
    assert "no such model" in capsys.readouterr().err


def test_info_is_a_screen_for_people(capsys):
    assert main(["info"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 30 and max(map(len, lines)) <= 100
    assert "bundled" in lines[0] and any(all(emotion in line for emotion in EMOTIONS) for line in lines)
    config = json.loads((BUNDLED_DIR / CONFIG_FILE).read_text(encoding="utf-8"))
    scores, training = config["metrics"]["test"], config["training"]
    assert any(line.split() == ["accuracy", *line.split()[1:-1], f"{scores['accuracy']:.2%}"] for line in lines)
    took = spent(training)
    minutes = f"{took['minutes']:.0f} minutes in all ({took['gpu_minutes']:.0f} on a GPU)"
    epochs = f"{training['epochs']} epochs after {training['start']['epochs']}"
    assert any(line.startswith(f"Training   {epochs}, {minutes}, ") for line in lines), "as the card counts them"


@pytest.mark.parametrize("arguments", [["emotion_model", "info"], ["emotion_model.hub", "card"]])
def test_a_reader_who_has_enough_ends_it_without_a_word(arguments):
    command = [warm.python(), "-m", *arguments]
    with subprocess.Popen(command, cwd=ROOT, env=of_users(), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert b"roken" not in process.stderr.read() and process.wait() == 141


def test_a_table_is_written_though_nobody_reads_on_what_is_printed(photo, tmp_path, monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", buffering=1) as unread:  # the first line fails
        monkeypatch.setattr(sys, "stdout", unread)
        assert main(["image", str(photo), str(photo), "--csv", str(tmp_path / "faces.csv")]) == 141
    with (tmp_path / "faces.csv").open(encoding="utf-8-sig", newline="") as table:
        assert [row["photo"] for row in csv.DictReader(table)] == [str(photo)]


def test_what_is_closed_is_not_printed_to(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)  # as by `>&-`
    assert main(["info"]) == 0
    monkeypatch.undo()
    monkeypatch.setattr(sys, "stderr", None)
    assert main(["image", str(tmp_path / "none.jpg")]) == 2
    assert capsys.readouterr() == ("", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no disk here is always full")
def test_results_that_find_no_room_are_an_error(capsys, monkeypatch):
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert main(["info"]) == 2
    assert capsys.readouterr().err == "error: the results cannot be printed (No space left on device).\n"


def test_info_of_a_model_without_records_is_short(tiny_model, capsys):
    assert main(["info", "--model", str(tiny_model)]) == 0
    assert "accuracy" not in capsys.readouterr().out


def test_info_shows_what_is_on_record(tiny_model, tmp_path, capsys):
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    config = json.loads((folder / CONFIG_FILE).read_text())
    config["weights"] = {"parameters": 12345, "multiply_adds": None}
    config["training"] = {"config": {}, "epochs": 3, "minutes": None, "environment": None, "teacher": None}
    half = {"accuracy": None, "per_class": {"sad": {"f1": 0.25}, "happy": {}}, "confusion": None}
    config["metrics"] = {"validation": {"accuracy": 0.5, "per_class": None}, "test": half}
    write_config(folder, config)
    assert main(["info", "--model", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {"Size       12,345 parameters", "Training   3 epochs"} <= set(lines)
    measured = [line.split() for line in lines[lines.index("") + 2 : -2]]
    assert measured == [["accuracy", "50.00%"], ["F1", "of", "sad", "0.25"]]


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0 and capsys.readouterr().out == f"Emotion Lens {emotion_model.__version__}\n"


def test_info_as_json_is_everything_on_record(capsys):
    assert main(["info", "--json"]) == 0
    info = json.loads(capsys.readouterr().out)
    assert [label["name"] for label in info["labels"]] == list(EMOTIONS)
    assert info["source"] == "bundled" and info["detector"] in FINDERS
    assert info["preprocessing"]["image_size"] == 48
    assert main(["info", "--json", "--detector", "haar"]) == 0
    assert json.loads(capsys.readouterr().out)["detector"] == "haar"


def test_json_is_whole_wherever_it_is_printed(photo, tmp_path, monkeypatch):
    named = tmp_path / "Zoë 😀.jpg"
    named.write_bytes(photo.read_bytes())
    for arguments in (["info", "--json"], ["image", str(named), "--json"]):
        printed = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(printed, "ascii", write_through=True))
        assert main(arguments) == 0
        told = json.loads(printed.getvalue())
        if arguments[0] == "info":
            assert [label["emoji"] for label in told["labels"]] == [label.emoji for label in LABELS]
        else:
            assert told[0]["file"] == str(named)


def test_help_and_the_card_do_not_wait_for_keras():
    code = """if True:
        import sys
        from emotion_model.__main__ import main
        for arguments in (["--help"], ["hub", "--help"], ["hub", "push", "--help"], ["hub", "card"]):
            try:
                main(arguments)
            except SystemExit as end:
                assert end.code == 0
        assert not {"keras", "tensorflow", "torch"} & set(sys.modules)
    """
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "USER/NAME" in done.stdout


def test_real_group_photo(capsys):
    assert main(["image", str(media("group_seven_faces.jpg")), "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert len(entry["faces"]) == 7 or entry["detector"] == "haar"
