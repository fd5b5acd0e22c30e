import csv
import hashlib
import io
import json
import shutil
import signal
import subprocess
from contextlib import redirect_stdout
from dataclasses import replace
from urllib.parse import quote

import cv2
import keras
import numpy as np
import pytest
from gradio_client import Client, handle_file
from PIL import Image

from emotion_model import (
    EMOTIONS,
    LABELS,
    EmotionClassifier,
    EmotionDetector,
    Face,
    Label,
    ModelConfig,
    ModelError,
    read_image,
)
from emotion_model import __main__ as package_command
from emotion_model.faces.cropping import crop_face
from emotion_model.labels import CONTEMPT
from emotion_model.network.building import build_model
from emotion_model.network.config import CONFIG_FILE, WEIGHTS_FILE
from support import warm
from support.disk import files_up_to
from support.models import TINY
from support.paths import ROOT, fer2013
from support.training import faces, names, separable, write_parquet
from train.data.fer2013 import FaceDataset, load_split
from train.data.pictures import class_folders, dataset, read_pictures
from train.exporting.calibration import clear_limit, fit_temperature
from train.finetune import main
from train.finetuning.calibration import fitted_limit, fitted_temperature, kept_temperature
from train.finetuning.classes import choose_labels, start_weights
from train.finetuning.rehearsal import balanced_draw, load_fer2013, rehearsal_of
from train.finetuning.report import SPLITS
from train.report import main as draw
from train.runs import labels_of_run
from ui.browser.networks import Networks
from ui.cards import face_cards
from ui.drawings import drawings
from ui.live.markup import page_html
from ui.model import model_page
from ui.page import build_page

QUICK = ["--learning-rate", "0.03", "--epochs-frozen", "8", "--epochs", "2"]


@pytest.fixture(autouse=True)
def the_same_detector(detector, monkeypatch):
    """Every command uses the detector that this machine has, without asking the Hub for a better one again."""
    monkeypatch.setenv("EMOTION_DETECTOR", detector.faces.name)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """Folder of a real model with random weights, as an export leaves it."""
    folder = tmp_path_factory.mktemp("base")
    keras.utils.set_random_seed(1)
    build_model(TINY).save(folder / WEIGHTS_FILE)
    digest = hashlib.sha256((folder / WEIGHTS_FILE).read_bytes()).hexdigest()
    weights = {"file": WEIGHTS_FILE, "sha256": digest}
    config = ModelConfig(architecture=TINY.to_dict(), weights=weights, clear_from=0.35)
    (folder / CONFIG_FILE).write_text(config.to_json(), encoding="utf-8")
    return folder


def write_faces(folder, count, kind):
    """Small pictures, each kind with a pattern of its own: what a network can learn in seconds."""
    y, x = np.mgrid[0:48, 0:48] // 4 % 2
    pattern = (y, x, x ^ y, x | y)[kind] * 120
    folder.mkdir(parents=True, exist_ok=True)
    for i, face in enumerate(faces(count, kind)):
        cv2.imwrite(str(folder / f"{i:02}.png"), face // 4 + pattern)


@pytest.fixture(scope="module")
def album(tmp_path_factory, astronaut, crowd, landscape):
    """Folders per emotion with pictures of many sizes, some of them unusable."""
    folder = tmp_path_factory.mktemp("album")
    for kind, name in enumerate(("happy", "Sad", "contempt", "fear")):
        write_faces(folder / name, 15, kind)
    portrait = Image.fromarray(astronaut)
    (folder / "happy" / "holiday").mkdir()
    portrait.resize((1500, 1500)).save(folder / "happy" / "holiday" / "large.jpg", quality=95)
    portrait.crop((150, 40, 310, 240)).save(folder / "happy" / "close.webp")
    portrait.convert("L").save(folder / "happy" / "grey.png")
    portrait.save(folder / "happy" / "twin.png")
    portrait.save(folder / "happy" / "twin_again.bmp")
    Image.fromarray(crowd).save(folder / "happy" / "crowd.png")
    portrait.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / "Sad" / "mirrored.png")
    portrait.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / "contempt" / "mirrored.png")
    Image.fromarray(landscape).save(folder / "contempt" / "landscape.png")
    (folder / "contempt" / "broken.jpg").write_text("this is no picture")
    (folder / "contempt" / "empty.png").write_bytes(b"")
    (folder / "contempt" / ".hidden").write_text("left by a file manager")
    (folder / "_originals").mkdir()
    portrait.save(folder / "loose.png")
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory, album):
    """FER2013 in small; some of its faces stand in the album too."""
    folder = tmp_path_factory.mktemp("fer2013")
    for seed, split in enumerate(("train", "validation", "test")):
        write_parquet(folder, split, separable(70, seed + 10).images, names(70))
    return folder


def arguments(album, base, out, *more):
    return ["--data", str(album), "--model", str(base), "--out", str(out), *QUICK, *more]


@pytest.fixture(scope="module")
def tuned(album, base, data, detector, tmp_path_factory):
    """Folder of a model with `contempt` added and `fear` dropped, and what the command printed."""
    out = tmp_path_factory.mktemp("tuned") / "new" / "model"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMOTION_DETECTOR", detector.faces.name)
        command = arguments(album, base, out, "--fer2013", str(data), "--drop", "fear")
        with redirect_stdout(io.StringIO()) as printed:
            assert main(command) == 0
    return out, printed.getvalue()


def report_of(out):
    return json.loads((out / "report.json").read_text())


def rows_of(out):
    with (out / "pictures.csv").open(newline="", encoding="utf-8") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


def test_every_picture_is_listed_with_what_became_of_it(album, tuned):
    out, printed = tuned
    rows = rows_of(out)
    kept = [f for f in album.rglob("*") if f.is_file() and f.name != ".hidden" and f.parent.name != "fear"]
    assert set(rows) == {f.relative_to(album).as_posix() for f in kept} | {"_originals/"}
    beside = {name: row["note"] for name, row in rows.items() if not row["class"]}
    assert beside == {
        "loose.png": "lies in no class's folder", "_originals/": "folders that begin with _ are left out"
    }  # fmt: skip
    assert "left out beside the folders of the classes: _originals/, loose.png" in printed
    assert {rows.pop(name)["status"] for name in beside} == {"unusable"}
    unusable = {name: row["note"] for name, row in rows.items() if row["status"] == "unusable"}
    assert set(unusable) == {
        "happy/twin_again.bmp", "Sad/mirrored.png", "contempt/mirrored.png", "contempt/landscape.png",
        "contempt/broken.jpg", "contempt/empty.png",
    }  # fmt: skip
    assert unusable["happy/twin_again.bmp"] == "the same face as happy/twin.png"
    assert unusable["Sad/mirrored.png"] == "the same face stands in another class: contempt/mirrored.png"
    assert unusable["contempt/landscape.png"] == "no face found"
    assert "not a picture" in unusable["contempt/broken.jpg"] and "empty" in unusable["contempt/empty.png"]
    assert "several faces" in rows["happy/crowd.png"]["note"]
    for name in unusable:
        assert f"not used: {name}: " in printed
    assert "56 pictures, 50 usable" in printed.replace(str(len(rows)), "56") and "fear: dropped" in printed


def test_every_class_has_pictures_in_every_split_and_no_picture_in_two(tuned):
    rows = rows_of(tuned[0]).values()
    for emotion in ("happy", "sad", "contempt"):
        counts = {s: sum(r["status"] == s for r in rows if r["class"] == emotion) for s in ("validation", "held_out")}
        assert counts["validation"] == counts["held_out"] >= 3
    report = report_of(tuned[0])["pictures"]
    for split in ("train", "validation", "held_out"):
        assert sum(report[split].values()) == sum(row["status"] == split for row in rows)


def test_faces_are_cropped_as_the_detector_crops_them(album, base, detector):
    model = EmotionClassifier.load(base)
    pictures = read_pictures(album, {"happy": [album / "happy"]}, detector.faces, model.config)
    for name in ("happy/holiday/large.jpg", "happy/close.webp", "happy/grey.png", "happy/crowd.png"):
        (picture,) = (one for one in pictures if one.file == name)
        assert picture.crop.shape == (48, 48) and picture.crop.dtype == np.uint8
        served = (
            EmotionDetector(model, detector.faces, mirrored=False).detect(read_image(album / name))[0].probabilities
        )
        np.testing.assert_allclose(model.predict([picture.crop])[0], served, atol=1e-6)


@pytest.fixture(scope="module")
def own_faces(album, tuned, detector):
    """The album's faces of a split, as the tuned model was given them."""
    new, rows = EmotionClassifier.load(tuned[0]), rows_of(tuned[0])
    pictures = read_pictures(album, class_folders(album, EMOTIONS), detector.faces, new.config)
    pictures = [replace(p, split=rows.get(p.file, {"status": ""})["status"]) for p in pictures]
    return {split: dataset(pictures, split, new.emotions) for split in SPLITS}


def test_the_report_says_what_both_models_score_on_the_held_out_pictures(base, tuned, own_faces):
    report, new, old = report_of(tuned[0]), EmotionClassifier.load(tuned[0]), EmotionClassifier.load(base)
    held_out = own_faces["held_out"]
    true = np.array(new.emotions)[held_out.labels]
    for when, model in (("before", old), ("after", new)):
        named = np.array(model.emotions)[model.predict(held_out.images).argmax(1)]
        assert report["held_out"][when]["accuracy"] == pytest.approx((named == true).mean(), abs=1e-4)
        assert report["held_out"][when]["images"] == len(true)
    assert report["held_out"]["before"]["per_class"]["contempt"]["recall"] == 0
    assert report["held_out"]["after"]["accuracy"] > max(0.6, report["held_out"]["before"]["accuracy"])
    assert "F1 of contempt" in tuned[1] and "before   after" in tuned[1]


def test_what_is_forgotten_of_fer2013_is_measured_on_its_validation_split(base, data, tuned):
    report, new, old = report_of(tuned[0]), EmotionClassifier.load(tuned[0]), EmotionClassifier.load(base)
    validation = load_split(data, "validation")
    kept = validation[validation.labels != EMOTIONS.index("fear")]
    true = np.array(EMOTIONS)[kept.labels]
    for when, model in (("before", old), ("after", new)):
        named = np.array(model.emotions)[model.predict(kept.images).argmax(1)]
        assert report["fer2013_validation"][when]["accuracy"] == pytest.approx((named == true).mean(), abs=1e-4)
    assert report["fer2013_validation"]["after"]["images"] == 60 and "FER2013 validation, 60" in tuned[1]


def test_the_new_model_has_its_classes_everywhere(album, tuned, detector, capsys):
    model = EmotionClassifier.load(tuned[0])
    assert model.emotions == ("angry", "disgust", "happy", "neutral", "sad", "surprise", "contempt")
    assert model.config.labels[-1] == CONTEMPT and model.config.labels[0] == LABELS[0]
    assert report_of(tuned[0])["classes"] == {
        "added": ["contempt"], "dropped": ["fear"], "without_pictures": ["angry", "disgust", "neutral", "surprise"]
    }  # fmt: skip
    assert model.config.training["report"] == report_of(tuned[0])
    assert report_of(tuned[0])["temperature_fitted"] == (model.config.temperature != 1.0)
    assert package_command.main(["image", str(album / "happy" / "grey.png"), "--model", str(tuned[0]), "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert tuple(entry["faces"][0]["probabilities"]) == model.emotions
    (face,) = EmotionDetector(model, detector.faces).detect(read_image(album / "happy" / "grey.png"))
    assert -1 <= face.valence <= 1 and 0 <= face.intensity <= 1


def test_page_and_api_show_the_classes_of_the_new_model(album, tuned, detector):
    labels = [replace(label, emoji="🥱") if label.name == "sad" else label for label in (*LABELS, Label("bored"))]
    faces = [Face((0, 0, 90, 90), np.eye(8, dtype=np.float32)[i], emotions=(*EMOTIONS, "bored")) for i in (7, 5, 3)]
    bored, sad, happy = face_cards(np.zeros((99, 99, 3), np.uint8), faces, labels).split("</li></ul></li>")[:3]
    assert "<h2>Bored</h2>" in bored and bored.count('class="track"') == 8 and f"--tone:{Label.colour}" in bored
    yawn = quote("🥱")
    assert (
        yawn in sad
        and yawn not in happy
        and yawn not in bored
        and yawn in page_html(tuple(labels), Networks(), None, "tuned")
    )

    classifier = EmotionClassifier.load(tuned[0])
    tab = model_page(classifier.config, classifier.source, "yunet")
    assert "<dt>Model</dt><dd>model</dd>" in tab, "its folder's name: every model's file is called alike"
    after = report_of(tuned[0])["held_out"]["after"]
    assert f"Accuracy on {after['images']} pictures of its own" in tab and f"→ {after['accuracy']:.1%}" in tab
    assert "Macro-F1 on 60 FER2013 pictures" in tab

    page = build_page(EmotionDetector(EmotionClassifier.load(tuned[0]), detector.faces))
    _, url, _ = page.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
    try:
        client = Client(url, verbose=False)
        info = client.predict(api_name="/model_info")
        assert info["labels"][-1] == {"name": "contempt", "emoji": "😏", "colour": CONTEMPT.colour}
        (face,) = client.predict(handle_file(album / "happy" / "grey.png"), api_name="/detect_image")["faces"]
        assert list(face["probabilities"]) == [label["name"] for label in info["labels"]]
    finally:
        page.close()


def test_the_new_models_scores_are_drawn_beside_it_for_page_and_card(tuned, data, capsys):
    figures = tuned[0] / "figures"
    assert {path.stem for path in figures.glob("*.png")} == {"confusion", "per_class", "reliability", "curves"}
    with Image.open(figures / "confusion.png") as picture:
        said = picture.info["Description"]
    after = report_of(tuned[0])["held_out"]["after"]
    assert f"Confusion matrix on held-out, {after['images']} faces" in said and "contempt" in said
    assert "Which emotion is taken for which?" in drawings(figures, EmotionClassifier.load(tuned[0]).config)

    before = (figures / "confusion.png").read_bytes()
    (figures / "confusion.png").unlink()
    assert draw(["--model", str(tuned[0]), "--data", str(data)]) == 0
    assert (figures / "confusion.png").read_bytes() == before
    left_out = capsys.readouterr().err
    assert "mistakes.png left out: they are counted on FER2013" in left_out and "train.export" not in left_out
    assert draw(["--model", str(tuned[0]), "--split", "test"]) == 2
    assert "has no scores of test (it has held-out)" in capsys.readouterr().err


def layers_of(path):
    return {layer.name: layer.get_weights() for layer in keras.saving.load_model(path, compile=False).layers}


def test_frozen_layers_stay_and_learn_when_they_are_unfrozen_but_for_the_batch_norm(base, tuned):
    def changed(before, after):
        pairs = {name: zip(values, after[name], strict=True) for name, values in before.items()}
        return {name for name, both in pairs.items() if any((a != b).any() for a, b in both)}

    first = layers_of(tuned[0] / "training" / "1-classifier" / "model.keras")
    second = layers_of(tuned[0] / "training" / "2-all" / "model.keras")
    before = layers_of(base / WEIGHTS_FILE)
    del before["logits"]  # another number of outputs
    assert changed(before, first) == {"dense1"}
    assert changed(first, second) == {"block1_conv1", "block2_conv1", "dense1", "logits"}
    chosen = report_of(tuned[0])["chosen"]
    assert (tuned[0] / "training" / chosen / "model.keras").read_bytes() == (tuned[0] / WEIGHTS_FILE).read_bytes()


def test_before_training_kept_classes_stand_to_each_other_as_in_the_base_model(base):
    model = EmotionClassifier.load(base)
    labels = choose_labels(model.config.labels, ["contempt", "happy"], ["fear"])
    architecture, weights = start_weights(model, labels)
    network = build_model(architecture)
    network.set_weights(weights)
    inputs = faces(6, 5)[..., None].astype(np.float32)
    old, new = model.model.predict(inputs, verbose=0), network.predict(inputs, verbose=0)
    kept = [EMOTIONS.index(label.name) for label in labels[:-1]]
    np.testing.assert_allclose(
        new[:, :-1] / new[:, :-1].sum(1, keepdims=True), old[:, kept] / old[:, kept].sum(1, keepdims=True), rtol=1e-4
    )
    assert (new[:, -1] > new[:, :-1].min(1)).all() and (new[:, -1] < new[:, :-1].max(1)).all()


def test_new_classes_get_colours_of_their_own_and_known_ones_their_usual_look():
    labels = choose_labels(LABELS, ["contempt", "bored", "calm", "tired"])
    assert labels[:7] == LABELS and [one.name for one in labels[7:]] == ["bored", "calm", "contempt", "tired"]
    assert len({one.colour for one in labels[:10]}) == 10
    assert choose_labels(LABELS[1:], ["angry"])[-1] == LABELS[0]


def test_a_run_has_its_classes_back_as_it_was_given_them(tmp_path):
    labels = choose_labels(LABELS[:2], ["contempt"])
    (tmp_path / "config.json").write_text(json.dumps({"emotions": [one.name for one in labels]}))
    assert labels_of_run(tmp_path) == (*LABELS[:2], CONTEMPT)


def test_an_epoch_sees_every_class_equally_often_and_half_of_it_is_rehearsal():
    labels, others = np.array([0] * 40 + [1] * 10 + [4] * 7), np.array([0] * 900 + [2] * 3600 + [5] * 100)
    for rehearsed, share in ((others[:0], 0), (others, 0.5)):
        drawn = balanced_draw(labels, rehearsed)(np.random.default_rng(0))
        own, other = drawn[drawn < len(labels)], drawn[drawn >= len(labels)] - len(labels)
        assert np.ptp(np.bincount(labels[own])[[0, 1, 4]]) == 0 and set(own) == set(range(len(labels)))
        assert len(own) >= 256 and len(other) / len(drawn) == share and len(set(other)) == len(other)
    counts = np.bincount(others[other])[[0, 2, 5]]
    assert counts / counts.sum() == pytest.approx([0.3, 0.6, 0.1], abs=0.05), "as the square roots of their numbers"


def test_rehearsal_leaves_out_what_is_measured_on_and_the_dropped_classes(album, base, data, detector):
    model = EmotionClassifier.load(base)
    emotions = ("surprise", "happy", "contempt", "sad")
    own = {split: replace(separable(70, 10)[np.arange(i, 70, 3)], emotions=emotions) for i, split in
           enumerate(("train", "validation", "held_out"))}  # fmt: skip
    rehearsal = rehearsal_of(load_fer2013(data, 48), model, emotions, own)
    measured = {face.tobytes() for split in ("validation", "held_out") for face in own[split].images}
    assert rehearsal.dropped == len(measured)
    assert not measured & {face.tobytes() for face in rehearsal.train.images}
    train = load_split(data, "train")
    named = {face.tobytes(): EMOTIONS[label] for face, label in zip(train.images, train.labels, strict=True)}
    assert {emotions[label] for label in rehearsal.train.labels} == {"surprise", "happy", "sad"}
    for face, label in zip(rehearsal.train.images, rehearsal.train.labels, strict=True):
        assert named[face.tobytes()] == emotions[label]


def test_the_temperature_is_fitted_on_every_set_alike_but_not_on_one_with_few_mistakes(base):
    model = EmotionClassifier.load(base)
    few, many = separable(14, 0), separable(140, 1)
    right = replace(many, labels=model.predict(many.images).argmax(1))
    assert fitted_temperature(model, [right]) is None
    alone = fitted_temperature(model, [many])
    assert alone == fit_temperature(many.labels, model.predict(many.images))
    assert fitted_temperature(model, [right, many]) == alone
    both = [np.concatenate([a, b]) for a, b in ((few.labels, many.labels), (few.images, many.images))]
    effective = 2 / (1 / 14 + 1 / 140)
    weights = np.repeat([effective / 14, effective / 140], [14, 140])
    assert fitted_temperature(model, [few, many]) == fit_temperature(both[0], model.predict(both[1]), weights)


def test_what_is_clear_is_clear_on_each_set_that_the_temperature_was_fitted_on_however_large_another_one_is():
    rng = np.random.default_rng(0)
    sure = rng.uniform(0.2, 0.95, 6000)
    said = np.stack([sure, *[(1 - sure) / 6] * 6], axis=1).astype(np.float32)
    harder = np.where(np.arange(6000) < 1000, 0.15, 0)
    faces = FaceDataset(np.arange(6000)[:, None, None], np.where(rng.random(6000) < sure - harder, 0, 1))
    own, others, right = (faces[part] for part in (slice(0, 1000), slice(1000, 6000), faces.labels == 0))
    limits = [clear_limit(part.labels, Known(said).predict(part.images)) for part in (own, others)]
    assert limits[0] > limits[1] > 0.35
    for sets in ([own, others, right], [others, own]):
        assert fitted_limit(Known(said), sets) == limits[0]
    assert fitted_limit(Known(said), [others, own[:40]]) == limits[1], "too few to tell"
    assert fitted_limit(Known(said), [own[:40]]) == 0


def test_the_new_model_has_a_limit_of_its_own_where_its_temperature_was_fitted(data, base, tuned, own_faces):
    model, report = EmotionClassifier.load(tuned[0]), report_of(tuned[0])
    assert report["temperature_fitted"] and report["clear_from_fitted"], "60 faces that a small network mistakes"
    faces = load_fer2013(data, 48)
    others = rehearsal_of(faces, EmotionClassifier.load(base), model.emotions, own_faces).validation
    assert model.config.clear_from == fitted_limit(model, [own_faces["validation"], others])


class Known:
    """A model that answers a picture, whose first pixel is its number, with probabilities made beforehand."""

    def __init__(self, probabilities):
        self.probabilities = probabilities

    def predict(self, images):
        return self.probabilities[images[:, 0, 0].astype(int)]


def test_the_chances_of_a_few_own_faces_are_not_taken_for_knowledge():
    """20 of them beside 3,000 others, and the model is exactly as sure as right on both."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1.5, (3020, 7))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    faces = FaceDataset(np.arange(3020)[:, None, None], np.array([rng.choice(7, p=row) for row in p]))
    own, others = (
        replace(faces, images=faces.images[part], labels=faces.labels[part]) for part in (slice(0, 20), slice(20, None))
    )
    found = fitted_temperature(Known(p.astype(np.float32)), [own, others])
    assert min(found) > 0.6 and max(found) < 1.6, found


def test_a_temperature_that_cannot_be_fitted_is_the_base_models_class_by_class():
    labels = tuple(Label(name) for name in ("calm", "bored", "amused"))
    assert kept_temperature(ModelConfig(labels=labels, temperature=1.5), ("calm", "new")) == 1.5
    base = ModelConfig(labels=labels, temperature=(0.5, 1.0, 2.0))
    assert kept_temperature(base, ("amused", "new", "calm")) == (2.0, 1.0, 0.5)


@pytest.mark.usefixtures("without_onnx", "without_figures", "without_curves")
def test_an_interrupted_run_goes_on_and_ends_as_an_unbroken_one(
    album, base, data, tuned, tmp_path, capsys, monkeypatch
):
    out, base = tmp_path / "model", shutil.copytree(base, tmp_path / "base")
    command = arguments(album, base, out, "--fer2013", str(data), "--drop", "fear")
    process = subprocess.Popen(
        [warm.python(), "-u", "-m", "train.finetune", *command],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    printed = ""
    for line in process.stdout:
        printed += line
        if line.startswith("epoch 2/8:"):
            process.send_signal(signal.SIGTERM)
            break
    printed += process.communicate(timeout=120)[0]
    assert process.returncode == 130 and "run again to go on" in printed, printed
    with pytest.raises(ModelError, match=r"expected one \.keras file, found 0"):
        EmotionClassifier.load(out)
    (out / "partial").mkdir()  # as a kill while the model is put together would leave it
    (out / "partial" / WEIGHTS_FILE).write_bytes(b"half")
    monkeypatch.setattr("train.data.pictures.crop_face", lambda *how: crop_face(*how) ^ 1)  # as on other hardware
    config = json.loads((base / CONFIG_FILE).read_text(encoding="utf-8"))
    config["labels"][0]["emoji"] = "👿"
    (base / CONFIG_FILE).write_text(json.dumps(config), encoding="utf-8")
    assert main(command) == 0
    assert "going on with" in capsys.readouterr().out
    whole, broken = (EmotionClassifier.load(folder) for folder in (tuned[0], out))
    for a, b in zip(whole.model.get_weights(), broken.model.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    assert not (out / "partial").exists()


@pytest.mark.usefixtures("without_onnx", "without_figures", "without_curves")
def test_a_full_disk_is_named_and_with_room_the_same_line_goes_on(base, tmp_path, capsys):
    for kind, name in enumerate(("happy", "sad", "contempt")):
        write_faces(tmp_path / "album" / name, 6, kind)
    command = arguments(tmp_path / "album", base, tmp_path / "model", "--epochs", "0", "--epochs-frozen", "1")
    with files_up_to(20_000):
        status = main(command)
    assert status == 2
    assert "model: the disk is full; free some space and run the same line" in capsys.readouterr().err
    with pytest.raises(ModelError):
        EmotionClassifier.load(tmp_path / "model")
    assert main(command) == 0
    assert EmotionClassifier.load(tmp_path / "model").emotions == (*EMOTIONS, "contempt")
    printed = capsys.readouterr().out
    assert "what was forgotten was not measured" in printed and "held-out pictures: one more or less" in printed
    listed = (tmp_path / "model" / "pictures.csv").read_text()
    assert main([*command, "--seed", "5"]) == 2
    assert "a run with other pictures or settings (seed 0, now 5): choose another --out" in capsys.readouterr().err
    kept = tmp_path / "model" / "finetune.json"
    kept.write_text(json.dumps(json.loads(kept.read_text()) | {"detector": "another"}))
    assert main(command) == 2
    assert "a run whose faces another found, and now" in (said := capsys.readouterr().err)
    assert "set EMOTION_DETECTOR=another and" in said
    assert (tmp_path / "model" / "pictures.csv").read_text() == listed


@pytest.mark.usefixtures("without_onnx", "without_figures")
def test_edited_emoji_and_colours_outlive_a_repeated_line(album, base, data, tuned, tmp_path, capsys):
    out = shutil.copytree(tuned[0], tmp_path / "model")
    command = arguments(album, base, out, "--drop", "fear", "--fer2013", str(data))
    other = shutil.copytree(data, tmp_path / "other")
    write_parquet(other, "validation", separable(70, 13).images, names(70))
    assert main([*command[:-1], str(other)]) == 2
    assert "(other faces in --fer2013): choose another --out or remove it" in capsys.readouterr().err
    config = json.loads((out / CONFIG_FILE).read_text(encoding="utf-8"))
    config["labels"][0] |= {"emoji": "👿", "colour": "#112233"}
    (out / CONFIG_FILE).write_text(json.dumps(config), encoding="utf-8")
    assert main(command) == 0
    labels = EmotionClassifier.load(out).config.labels
    assert labels[0] == Label("angry", "👿", "#112233") and labels[-1] == CONTEMPT
    config["weights"]["sha256"] = "0" * 64  # that of another model
    (out / CONFIG_FILE).write_text(json.dumps(config), encoding="utf-8")
    assert main(command) == 0
    assert EmotionClassifier.load(out).config.labels[0] == LABELS[0]


def bad_album(make):
    """Two good classes and what `make` adds."""

    def build(folder):
        for kind, name in enumerate(("happy", "sad")):
            write_faces(folder / name, 6, kind)
        make(folder)

    return build


@pytest.mark.parametrize(
    ("make", "more", "said"),
    [
        (lambda folder: folder.rmdir(), [], "no such folder; give one that holds a folder of pictures per emotion"),
        (lambda folder: None, [], "holds no folder; put the pictures into one per emotion"),
        (lambda folder: write_faces(folder / "happy", 6, 0), [], "pictures of happy only: give at least two"),
        (bad_album(lambda f: write_faces(f / "fear", 4, 3)), [], "too few usable pictures: fear 4; each class"),
        (bad_album(lambda f: (f / "contempt").mkdir()), [], "contempt 0"),
        (bad_album(lambda f: write_faces(f / "anger", 6, 3)), [], "no class anger, but angry: rename the folder"),
        (bad_album(lambda f: write_faces(f / "happiness", 6, 3)), [], "no class happiness, but happy"),
        (bad_album(lambda f: write_faces(f / "train" / "fear", 6, 3)), [], "train are no emotions"),
        (bad_album(lambda f: None), ["--drop", "joy"], "--drop joy: the model has no such class; it has angry"),
        (bad_album(lambda f: None), ["--drop", *EMOTIONS[1:]], "at least two classes, so drop fewer"),
        (bad_album(lambda f: None), ["--drop", "SAD"], "pictures of happy only"),
        (bad_album(lambda f: None), ["--epochs", "0", "--epochs-frozen", "0"], "give at least one epoch"),
        (bad_album(lambda f: None), ["--learning-rate", "3"], "learning_rate=3.0: use a value from 1e-06 to 0.1"),
        (bad_album(lambda f: None), ["--held-out", "0.9"], "held_out=0.9: use a share from 0.1 to 0.4"),
        (bad_album(lambda f: None), ["--seed", "-1"], "seed=-1: use a value from 0 to 4294967295"),
        (bad_album(lambda f: None), ["--epochs", "20000"], "epochs=20000: use a value from 1 to 10000"),
        (bad_album(lambda f: None), ["--model", "nowhere"], "nowhere: no such model"),
        (bad_album(lambda f: None), ["--fer2013", "docs"], "docs: found no FER2013 here"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_named_with_the_mend(base, tmp_path, capsys, make, more, said):
    folder, out = tmp_path / "album", tmp_path / "out"
    folder.mkdir()
    make(folder)
    assert main(arguments(folder, base, out, *more)) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert " usable: " not in printed.out, "faces were looked for before"
    assert not any((out / name).exists() for name in (CONFIG_FILE, "finetune.json", "training"))


def test_only_unusable_pictures_are_still_listed(base, tmp_path, capsys):
    for name in ("happy", "sad"):
        (tmp_path / "album" / name).mkdir(parents=True)
        for i in range(12):
            (tmp_path / "album" / name / f"{i}.jpg").write_text("no picture")
    assert main(arguments(tmp_path / "album", base, tmp_path / "out")) == 2
    printed = capsys.readouterr()
    assert "too few usable pictures: happy 0, sad 0" in printed.err
    assert f"and 14 more: see {tmp_path / 'out' / 'pictures.csv'}" in printed.out
    assert {row["status"] for row in rows_of(tmp_path / "out").values()} == {"unusable"}


@pytest.fixture
def terminated():
    """Has this program terminated, as a cluster or a system that shuts down does; pytest itself lives on."""
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    yield lambda: signal.raise_signal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, before)


def test_faces_that_were_found_are_kept_however_the_reading_ends(base, tmp_path, capsys, monkeypatch, terminated):
    read, limit = [], 4

    def reading(file):
        if len(read) == limit:
            terminated()
        read.append(file.name)
        return read_image(file)

    album, out, base = tmp_path / "album", tmp_path / "out", shutil.copytree(base, tmp_path / "base")
    for kind, name in enumerate(("happy", "sad")):
        write_faces(album / name, 5, kind)
    (album / "sad" / "04.png").write_text("no picture")
    monkeypatch.setattr("train.data.pictures.read_image", reading)
    assert main(arguments(album, base, out)) == 130
    assert read == ["00.png", "01.png", "02.png", "03.png"]
    limit = None
    for again in (["04.png", "00.png", "01.png", "02.png", "03.png", "04.png"], []):
        read.clear()
        assert main(arguments(album, base, out)) == 2
        assert "too few usable pictures: sad 4" in capsys.readouterr().err
        assert read == again

    config = json.loads((base / CONFIG_FILE).read_text(encoding="utf-8"))
    config["preprocessing"]["framing"] = {name: {"side": 1.1, "dx": 0.0, "dy": 0.0} for name in ("haar", "yunet")}
    (base / CONFIG_FILE).write_text(json.dumps(config), encoding="utf-8")
    assert main(arguments(album, base, out)) == 2
    assert len(read) == 10, "with another framing they are others"
    (out / "training" / "1-classifier").mkdir()
    assert main(arguments(album, base, out)) == 2
    assert "holds other files (pictures.csv, training): choose a new" in capsys.readouterr().err


def test_places_where_the_model_cannot_go_are_refused_before_any_work(album, base, photo, tmp_path, capsys):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "letter.txt").write_text("dear")
    for out, said in (
        (album / "model", "lies in the folder of the pictures"),
        (album, "lies in the folder of the pictures"),
        (photo, "cannot be written (File exists): choose another --out"),
        (photo / "model", "cannot be written (Not a directory): choose another --out"),
        ("/proc/model", "cannot be written"),
        (tmp_path / "letters", "holds other files (letter.txt): choose a new or an empty --out"),
    ):
        assert main(arguments(album, base, out)) == 2
        assert said in capsys.readouterr().err
    assert not (album / "model").exists() and (tmp_path / "letters" / "letter.txt").read_text() == "dear"


def test_a_model_that_does_not_say_which_network_it_is_cannot_be_tuned(album, tiny_model, tmp_path, capsys):
    assert main(arguments(album, tiny_model, tmp_path / "out")) == 2
    assert "does not say which network it is; export it anew" in capsys.readouterr().err


def test_a_tuned_model_is_tuned_again(base, tuned, data):
    model = EmotionClassifier.load(tuned[0])
    labels = choose_labels(model.config.labels, ["fear"], ["contempt"])
    assert sorted(label.name for label in labels) == list(EMOTIONS)
    architecture, _ = start_weights(model, labels)
    assert replace(architecture, classes=7) == TINY


@pytest.mark.usefixtures("without_onnx", "without_figures")
def test_the_bundled_model_learns_from_real_faces(tmp_path, capsys, detector):
    """FER2013's faces, enlarged, half of them under a class of one's own."""
    faces = load_split(fer2013(), "validation")
    for emotion, name in (("happy", "happy"), ("surprise", "astonished")):
        (tmp_path / "album" / name).mkdir(parents=True)
        for i in np.flatnonzero(faces.labels == EMOTIONS.index(emotion))[-20:]:
            face = cv2.resize(faces.images[i], (160, 160), interpolation=cv2.INTER_CUBIC)
            cv2.imwrite(str(tmp_path / "album" / name / f"{i}.jpg"), face)
    command = ["--data", str(tmp_path / "album"), "--out", str(tmp_path / "out"), "--epochs-frozen", "3"]
    assert main([*command, "--epochs", "0", "--drop", "surprise", "--learning-rate", "5e-3"]) == 0
    model = EmotionClassifier.load(tmp_path / "out")
    assert model.emotions == (*EMOTIONS[:-1], "astonished")
    assert model.config.framing == detector.classifier.config.framing
    report = report_of(tmp_path / "out")["held_out"]
    assert report["after"]["accuracy"] > report["before"]["accuracy"]
    # Frozen layers and a classifier that was only extended: what it knew is still there.
    happy = faces.images[faces.labels == EMOTIONS.index("happy")][:64]
    assert (model.predict(happy).argmax(1) == EMOTIONS.index("happy")).mean() > 0.5
