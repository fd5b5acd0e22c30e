import errno
import hashlib
import inspect
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from emotion_model import EMOTIONS, LABELS, EmotionClassifier, EmotionEnsemble, Label
from emotion_model.faces.cropping import network_input
from emotion_model.faces.detection import FINDERS
from emotion_model.network.calibration import scale_confidence
from emotion_model.network.config import RUN_FILE
from support import warm
from support.models import TINY
from support.paths import ROOT
from support.training import (
    RECIPE,
    VOTES,
    Impatient,
    faces,
    names,
    nothing,
    preset,
    pupil,
    relabelled,
    same,
    separable,
    weights_of,
    write_parquet,
)
from train import __main__ as command
from train.blend import _table
from train.blend import main as blend_main
from train.config import PRESETS, TrainingConfig, meanings, settings
from train.data.fer2013 import DataError, FaceDataset, load_split
from train.evaluate import main as evaluate_main
from train.evaluation.figures import draw_curves
from train.evaluation.metrics import classification_metrics, clear_scores, expected_calibration_error, reliability
from train.evaluation.scores import evaluate, ferplus_majority, single_view_scores
from train.experiments.blending import Blend
from train.export import main as export_main
from train.exporting import model as export_module
from train.exporting.calibration import clear_limit, fit_temperature
from train.exporting.model import export
from train.fitting import environment, hardware
from train.fitting import run as run_module
from train.fitting.alone import alone_in
from train.fitting.fit import fit
from train.fitting.hardware import fastest_precision
from train.fitting.networks import Networks
from train.fitting.recipe import loss_of
from train.fitting.run import Run
from train.fitting.signals import StoppedError
from train.fitting.starts import Start
from train.fitting.teachers import Teacher
from train.fitting.tracker import tracker
from train.flags import flag
from train.framing import main as framing_main
from train.releasing.model import _soup
from train.report import main as report_main
from train.runs import load_model

pytestmark = pytest.mark.usefixtures("without_curves")


@pytest.fixture(scope="module")
def data():
    return separable(56, 0), separable(28, 1)


@pytest.fixture(scope="module")
def lessons():
    """Enough faces for `pupil` to learn from in a few epochs."""
    return separable(210, 0), separable(28, 1)


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """The folder of a finished run of one epoch; never changed."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    fit(preset(epochs=1), *data, folder, 0)
    return folder


@pytest.fixture
def finished(trained, tmp_path):
    """A copy of that folder."""
    return shutil.copytree(trained, tmp_path / "finished")


def test_a_run_leaves_its_records_and_a_model_without_optimizer_state(data, tmp_path, monkeypatch):
    monkeypatch.setattr(run_module, "draw_curves", draw_curves)
    metrics = fit(preset(), *data, tmp_path, 5)
    assert sorted(f.name for f in tmp_path.iterdir()) == [
        "config.json", "curves.png", "environment.json", "history.json", "metrics.json", "model.keras"
    ]  # fmt: skip
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    config = json.loads((tmp_path / "config.json").read_text())
    assert TrainingConfig(**config["training"]) == RECIPE and config["data"]["train_duplicates_dropped"] == 5
    history = json.loads((tmp_path / "history.json").read_text())
    assert [entry["epoch"] for entry in history] == [1, 2, 3]
    assert {"loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds"} <= set(history[0])
    assert [entry["ended"] for entry in history] == sorted(entry["ended"] for entry in history)
    environment = json.loads((tmp_path / "environment.json").read_text())
    assert environment["keras"] == keras.__version__ and environment["backend"] == keras.backend.backend()
    assert {entry["on_gpu"] for entry in history} == {environment["gpu"] is not None}
    model = keras.saving.load_model(tmp_path / "model.keras")
    assert getattr(model, "optimizer", None) is None
    probabilities = model.predict(network_input(data[1].images, 48), verbose=0)
    assert metrics["validation"]["accuracy"] == pytest.approx(
        (probabilities.argmax(1) == data[1].labels).mean(), abs=1e-4
    )
    assert metrics["validation"]["accuracy"] == pytest.approx(max(e["val_accuracy"] for e in history), abs=1e-4)


def test_an_epoch_takes_until_the_next_one_begins_with_all_that_is_written(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(run_module, "RECORD_SECONDS", 0)  # curves and a checkpoint after every epoch
    monkeypatch.setattr(run_module, "draw_curves", lambda history, path: time.sleep(0.5))
    fit(preset(epochs=2), *data, tmp_path, 0)
    first, second = json.loads((tmp_path / "history.json").read_text())
    assert second["seconds"] == pytest.approx(second["ended"] - first["ended"], abs=0.2)
    assert re.search(r"took \d+:\d\d, at most \d+:\d\d left$", capsys.readouterr().out, re.MULTILINE)


def test_a_network_learns_what_can_be_learned(lessons, tmp_path):
    metrics = fit(pupil(seed=1, epochs=4), *lessons, tmp_path, 0)
    assert metrics["validation"]["accuracy"] > 0.6, "chance is 1 in 7"


def test_the_same_seed_gives_the_same_network_and_another_seed_another(data, tmp_path, trained):
    for seed in (0, 1):
        fit(preset(epochs=1, seed=seed), *data, tmp_path / str(seed), 0)
    assert same(weights_of(tmp_path / "0"), weights_of(trained))
    assert not same(weights_of(tmp_path / "1"), weights_of(trained))


def test_no_random_number_that_orders_an_epoch_varies_its_faces_too(data, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(run_module, "augment", lambda images, config, rng: drawn.append(rng.random()) or images)

    def draw(rng):
        drawn.append(rng.random())
        return np.arange(56)

    fit(preset(epochs=2, seed=3), *data, tmp_path, 0, draw=draw)
    assert len(set(drawn)) == len(drawn) >= 2 * (1 + 7)


def test_a_network_learns_from_blended_faces_too(lessons, data, tmp_path, trained):
    metrics = fit(pupil(seed=1, mixup=0.2, class_weight_power=0.25), *lessons, tmp_path / "mixed", 0)
    assert metrics["validation"]["accuracy"] > 0.7
    fit(preset(epochs=1, mixup=0.2), *data, tmp_path / "short", 0)
    assert not same(weights_of(tmp_path / "short"), weights_of(trained)), "no face was blended"


ONE_CYCLE = {"schedule": "one_cycle", "optimizer": "adamw", "weight_decay": 0.5, "ema_momentum": 0.9, "mixup": 0.2}


@pytest.fixture(scope="module", params=[{}, ONE_CYCLE], ids=["plateau", "one_cycle"])
def unbroken(request, data, tmp_path_factory):
    """The changes to a recipe, and the folder of a run with them that was never stopped."""
    folder = tmp_path_factory.mktemp("unbroken")
    fit(preset(**request.param), *data, folder, 0)
    return request.param, folder


def test_a_run_stopped_at_and_within_epochs_ends_as_if_it_never_had(data, tmp_path, unbroken):
    changes, whole_dir = unbroken

    run = Run(preset(**changes), *data, tmp_path / "broken")
    initial = run.networks.model.get_weights()
    (tmp_path / "broken").mkdir()
    done = 0
    for stop_after in (3, 7, 9, 14):  # batches, of which an epoch has seven
        run.resume()
        with pytest.raises(StoppedError):
            run.train(Impatient(stop_after - done))
        state = json.loads((tmp_path / "broken" / "checkpoint" / "state.json").read_text())
        assert state["epoch"] * 7 + state["batch"] == stop_after
        run, done = Run(preset(**changes), *data, tmp_path / "broken"), stop_after
    fit(preset(**changes), *data, tmp_path / "broken", 0)
    assert same(weights_of(whole_dir), weights_of(tmp_path / "broken"))
    assert not same(weights_of(whole_dir), initial), "nothing was learned"
    whole, broken = (json.loads((of / "history.json").read_text()) for of in (whole_dir, tmp_path / "broken"))
    for name in ("val_accuracy", "accuracy", "loss"):
        assert [e[name] for e in whole] == pytest.approx([e[name] for e in broken], abs=1e-5)


class Interrupted:
    """Draws the faces of each epoch while somebody presses Ctrl-C so many times."""

    def __init__(self, times):
        self.times, self.begun = times, False

    def __call__(self, rng):
        for _ in range(self.times * self.begun):
            signal.raise_signal(signal.SIGINT)
        self.begun = True  # it is asked once before the training, for how many there are
        return rng.permutation(56)


def test_a_second_ctrl_c_does_not_keep_a_run_from_its_checkpoint(data, tmp_path):
    with pytest.raises(StoppedError, match="after batch 1"):
        fit(preset(epochs=1), *data, tmp_path, 0, draw=Interrupted(2))
    assert (tmp_path / "checkpoint" / "state.json").exists()


def test_ctrl_c_that_is_ignored_does_not_stop_a_run(data, tmp_path):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as of what a script begins in the background
    try:
        assert fit(preset(epochs=1), *data, tmp_path, 0, draw=Interrupted(1))["epochs"] == 1
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def stopped(data, tmp_path_factory):
    """The folder of a run that was stopped in its first epoch, never changed, and the inodes that are on the disk."""
    folder, synced, fsync = tmp_path_factory.mktemp("stopped"), set(), os.fsync
    with pytest.MonkeyPatch.context() as patch, pytest.raises(StoppedError):
        patch.setattr(os, "fsync", lambda file: synced.add(os.fstat(file).st_ino) or fsync(file))
        Run(preset(), *data, folder).train(Impatient(1))
    return folder, synced


def test_a_checkpoint_is_on_the_disk_before_it_has_its_name(stopped):
    folder, synced = stopped
    files = list((folder / "checkpoint").iterdir())
    assert {"model.npz", "optimizer.npz", "state.json"} <= {file.name for file in files}
    assert {file.stat().st_ino for file in files} <= synced


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("model.npz", lambda content: b""),
        ("optimizer.npz", lambda content: content[: len(content) // 2]),
        ("optimizer.npz", lambda content: bytes(len(content))),
        ("state.json", lambda content: bytes(len(content))),
        ("state.json", lambda content: b"{}"),
        ("model.npz", None),
    ],
)
def test_a_damaged_checkpoint_is_named_with_the_mend(data, stopped, tmp_path, name, damage):
    folder = shutil.copytree(stopped[0], tmp_path / "run")
    file = folder / "checkpoint" / name
    content = file.read_bytes()
    file.unlink()
    if damage:
        file.write_bytes(damage(content))
    with pytest.raises(
        ValueError, match=r"run/checkpoint is damaged \(.+\): remove it and run again, which begins anew"
    ):
        Run(preset(), *data, folder).resume()


def test_plateau_and_early_stopping_survive_a_restart(data, tmp_path, capsys):
    """What is learned is wrong for the validation faces, so that their loss grows soon."""
    data = data[0], replace(data[1], labels=(data[1].labels + 1) % 7)
    changes = {"plateau_patience": 1, "early_stopping_patience": 3, "epochs": 60}
    changes |= {"learning_rate": 0.1, "batch_size": 28}
    fit(preset(**changes), *data, tmp_path / "whole", 0)
    whole = json.loads((tmp_path / "whole" / "history.json").read_text())
    assert len(whole) < 60, "early stopping did not happen"
    assert capsys.readouterr().out.endswith("no better val_loss for 3 epochs: it ends here\n")
    first, *_, before, last = (entry["learning_rate"] for entry in whole)
    assert last < before < first, "the rate was not halved"

    run = Run(preset(**changes), *data, tmp_path / "broken")
    (tmp_path / "broken").mkdir()
    run.resume()
    done = len(whole) - 2  # epochs, of two batches: one more without progress has been counted, and the rate halved
    with pytest.raises(StoppedError):
        run.train(Impatient(2 * done + 1))
    state = json.loads((tmp_path / "broken" / "checkpoint" / "state.json").read_text())
    assert (state["epoch"], state["batch"]) == (done, 1)
    fit(preset(**changes), *data, tmp_path / "broken", 0)
    broken = json.loads((tmp_path / "broken" / "history.json").read_text())
    assert [e["learning_rate"] for e in broken] == [e["learning_rate"] for e in whole]


def test_live_curves_go_on_with_their_run_and_are_not_those_of_another(tmp_path, monkeypatch):
    import trackio as real

    begun = []

    def init(*project, **how):
        inspect.signature(real.init).bind(*project, **how)
        begun.append((how["name"], how["resume"]))

    trackio = SimpleNamespace(init=init)
    monkeypatch.setitem(sys.modules, "trackio", trackio)
    config = {"architecture": {}, "training": {"augmentation": {}}}
    for place in ("a", "b"):
        (tmp_path / place / "run").mkdir(parents=True)
    trackio.log, trackio.finish = (lambda *_, **__: None), (lambda: None)
    for place, goes_on in (("a", False), ("a", True), ("b", False), ("a", False)):
        with tracker(tmp_path / place / "run", config, goes_on) as track:
            track({"loss": 1.0}, 1)
    assert [resume for _, resume in begun] == ["never", "allow", "never", "never"]
    first, again, elsewhere, anew = (name for name, _ in begun)
    assert first == again and len({first, elsewhere, anew}) == 3 and first.startswith("run-")


def test_a_finished_run_is_not_trained_again(data, finished, capsys):
    first = json.loads((finished / "metrics.json").read_text())
    assert fit(preset(epochs=1), *data, finished, 0) == first
    assert "already complete" in capsys.readouterr().out


def test_a_low_learning_rate_is_recorded_as_it_was(data, tmp_path):
    fit(preset(epochs=1, learning_rate=1.2345678e-6), *data, tmp_path, 0)
    (entry,) = json.loads((tmp_path / "history.json").read_text())
    assert entry["learning_rate"] == 1.23457e-6


def test_the_accuracy_of_an_epoch_is_the_mean_over_its_faces(data, tmp_path, monkeypatch):
    """The network is frozen, so that its accuracy on the epoch's faces can be computed afterwards."""
    frozen = preset(epochs=1, batch_size=10, learning_rate=1e-7, augmentation=nothing())
    monkeypatch.setattr("train.fitting.networks.optimizer_of", lambda *_: keras.optimizers.SGD(0.0))
    recipe = replace(frozen, architecture=replace(TINY, batch_norm=False, spatial_dropout=0.0, dense_dropout=(0.0,)))
    fit(recipe, *data, tmp_path, 0)
    (entry,) = json.loads((tmp_path / "history.json").read_text())
    model = keras.saving.load_model(tmp_path / "model.keras")
    probabilities = model.predict(network_input(data[0].images, 48), verbose=0)
    assert entry["accuracy"] == pytest.approx((probabilities.argmax(1) == data[0].labels).mean(), abs=1e-4)


def test_another_configuration_in_the_same_folder_is_refused(data, finished):
    with pytest.raises(ValueError, match=r"another configuration \(training.epochs 1, now 2\)"):
        fit(preset(epochs=2), *data, finished, 0)


def test_corrected_labels_are_other_data_though_there_are_as_many(data, finished):
    corrected = replace(data[0], labels=data[0].labels[::-1].copy())
    with pytest.raises(ValueError, match=r"another configuration \(data.sha256"):
        fit(preset(epochs=1), corrected, data[1], finished, 0)


def test_two_programs_do_not_train_in_one_folder(data, tmp_path):
    with alone_in(tmp_path), pytest.raises(ValueError, match="is being trained by another program"):
        fit(preset(epochs=1), *data, tmp_path, 0)
    fit(preset(epochs=1), *data, tmp_path, 0)


def test_a_run_that_began_before_a_setting_existed_is_still_the_same(data, finished, capsys):
    config = json.loads((finished / "config.json").read_text())
    del config["data"]["sha256"], config["data"]["votes"]
    del config["training"]["gentle_epochs"], config["training"]["augmentation"]["degradation"]
    (finished / "config.json").write_text(json.dumps(config))
    fit(preset(epochs=1), *data, finished, 0)
    assert "already complete" in capsys.readouterr().out
    with pytest.raises(ValueError, match=r"another configuration \(training.gentle_epochs 0, now 1\)"):
        fit(preset(epochs=1, gentle_epochs=1), *data, finished, 0)


def shifted(dataset):
    """A teacher who is sure that every face shows the class after its label's."""
    return Teacher([{"source": "shifted", "sha256": "0"}], np.eye(7, dtype=np.float32)[(dataset.labels + 1) % 7])


def test_a_student_learns_what_its_teacher_says(lessons, tmp_path):
    train, validation = lessons
    agreeing = replace(validation, labels=(validation.labels + 1) % 7)
    metrics = fit(pupil(seed=1, epochs=4, distillation=1.0), train, agreeing, tmp_path, 0, teacher=shifted(train))
    assert metrics["validation"]["accuracy"] > 0.4, "it says what the labels say, or nothing"


def test_the_teachers_share_of_the_targets_is_the_distillation(data, tmp_path):
    run = Run(preset(distillation=0.25, label_smoothing=0.0), *data, tmp_path, teacher=shifted(data[0]))
    rows, labels = np.arange(len(data[0])), data[0].labels
    assert run.targets[rows, labels] == pytest.approx(0.75) and run.targets[rows, (labels + 1) % 7] == pytest.approx(
        0.25
    )
    np.testing.assert_allclose(run.targets.sum(axis=1), 1, rtol=1e-6)


def test_classes_are_adjusted_by_what_labels_and_votes_say_and_not_by_a_teacher(data, tmp_path):
    """A device asks the teacher about each varied face, so that it cannot know before how often each class is said."""
    always = Teacher([], np.eye(7, dtype=np.float32)[np.zeros(len(data[0]), int)])
    plain = Run(preset(logit_adjustment=1.0), *data, tmp_path)
    taught = Run(preset(logit_adjustment=1.0, distillation=0.5), *data, tmp_path, teacher=always)
    inputs = network_input(data[0].images, 48)
    losses = [run.networks.learner.evaluate(inputs, plain.targets, verbose=0)[0] for run in (plain, taught)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-6)


def test_a_teacher_is_the_mean_of_its_models_over_faces_as_they_are_and_mirrored(data, tiny_model, tmp_path):
    teacher = Teacher.of_models([tiny_model, relabelled(tiny_model, tmp_path / "turned", LABELS[::-1])], data[0])
    teacher = teacher.asked()
    one = EmotionClassifier.load(tiny_model)
    mean = (one.predict(data[0].images) + one.predict(data[0].images[:, :, ::-1])) / 2
    np.testing.assert_allclose(teacher.probabilities, (mean + mean[:, ::-1]) / 2, atol=1e-6)
    assert [entry["source"] for entry in teacher.record] == [tiny_model.name, "turned"]


def test_a_teacher_says_before_calibration_what_it_would_say_on_a_device(data, tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model, tmp_path / "calibrated")
    config = replace(EmotionClassifier.load(folder).config, temperature=0.5, architecture=TINY.to_dict())
    (folder / "config.json").write_text(config.to_json(), encoding="utf-8")
    images = np.random.default_rng(0).integers(0, 256, data[0].images.shape, np.uint8)  # whose levels are usual
    faces = replace(data[0], images=images)
    here, there = (Teacher.of_models([model], faces).asked().probabilities for model in (folder, tiny_model))
    np.testing.assert_allclose(here, there, atol=1e-6)
    networks = Networks(preset(device_augmentation=True), 1, None, Teacher.beside([folder], EMOTIONS), np.ones(7))
    [network] = networks.learner.teachers
    views = (network_input(images, 48) for images in (images, images[:, :, ::-1]))
    mean = sum(keras.ops.convert_to_numpy(network(view, training=False)) for view in views) / 2
    np.testing.assert_allclose(here, mean, atol=1e-5)


def test_a_teacher_of_other_classes_is_refused(data, tiny_model, tmp_path):
    strange = relabelled(tiny_model, tmp_path / "strange", (*LABELS[:6], Label("bored")))
    with pytest.raises(ValueError, match=r"the teacher has the classes .*bored, the data .*surprise"):
        Teacher.of_models([strange], data[0])


def test_teacher_and_share_belong_together(data, tmp_path):
    with pytest.raises(ValueError, match=r"distillation=0 and a teacher: give both"):
        fit(preset(), *data, tmp_path / "run", 0, teacher=shifted(data[0]))
    with pytest.raises(ValueError, match=r"distillation=0\.5 and no teacher: give both"):
        fit(preset(distillation=0.5), *data, tmp_path / "run", 0)
    assert not (tmp_path / "run").exists()


def test_a_start_from_a_run_begins_with_its_weights_and_says_so(data, finished, tmp_path):
    start = Start.of(finished, preset())
    assert same(Run(preset(), *data, tmp_path / "x", start).networks.model.get_weights(), weights_of(finished))
    fit(preset(epochs=1), *data, tmp_path / "second", 0, start=start)
    record = json.loads((tmp_path / "second" / "config.json").read_text())["start"]
    assert (record["run"], record["epochs"]) == ("finished", 1)
    assert record["sha256"] == hashlib.sha256((finished / "model.keras").read_bytes()).hexdigest()
    assert Start.of(tmp_path / "second", preset()).record["epochs"] == 2, "epochs add up over the runs"
    with pytest.raises(ValueError, match="another configuration"):
        fit(preset(epochs=1), *data, tmp_path / "second", 0)
    turned = [replace(faces, emotions=EMOTIONS[::-1]) for faces in data]
    with pytest.raises(
        ValueError, match=r"finished has the classes angry.*surprise, the data surprise.*angry: a start"
    ):
        fit(preset(epochs=1), *turned, tmp_path / "turned", 0, start=start)
    with pytest.raises(ValueError, match="finished is another network"):
        Start.of(finished, replace(preset(), architecture=replace(TINY, batch_norm=False)))


def test_a_start_says_which_minutes_were_on_a_gpu(data, finished, tmp_path):
    assert "gpu" not in Start.of(finished, preset()).record
    environment, history = (json.loads((finished / f"{name}.json").read_text()) for name in ("environment", "history"))
    (finished / "environment.json").write_text(json.dumps(environment | {"gpu": "Titan"}))
    took = {"seconds": 240 / len(history), "on_gpu": True}
    history = [entry | took | {"ended": 1000 * number} for number, entry in enumerate(history)]
    (finished / "history.json").write_text(json.dumps(history))
    start = Start.of(finished, preset())
    assert (start.record["gpu"], start.record["gpu_minutes"], start.record["minutes"]) == ("Titan", 4.0, 4.0)
    fit(preset(epochs=1), *data, tmp_path / "second", 0, start=start)
    record = Start.of(tmp_path / "second", preset()).record
    assert (record["gpu"], record["gpu_minutes"]) == ("Titan", 4.0) and record["minutes"] >= 4.0


def test_a_start_from_the_bundled_model(tmp_path, monkeypatch):
    model = EmotionClassifier()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bundled").mkdir()
    (tmp_path / "bundled" / RUN_FILE).write_text("{}")  # a run of that name, which is not meant
    start = Start.of("bundled", PRESETS["compact"])
    assert same(start.weights, model.model.get_weights())
    assert start.record["sha256"] == model.config.weights["sha256"]
    assert start.record["validation_accuracy"] == model.config.metrics["validation"]["accuracy"]
    assert start.record["epochs"] >= model.config.training["epochs"]
    with pytest.raises(ValueError, match="bundled is another network"):
        Start.of("bundled", PRESETS["seed"])


@pytest.fixture(scope="module")
def parquet(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parquet")
    train, validation, test = (faces(21, seed) for seed in range(3))
    train[:2] = test[:2]  # two images stand in two splits
    for split, images in (("train", train), ("validation", validation), ("test", test)):
        write_parquet(folder, split, images, names(21))
    return folder


@pytest.fixture(scope="module")
def commanded(parquet, tmp_path_factory):
    """The folder of a run of one epoch that the command trained; never changed."""
    folder = tmp_path_factory.mktemp("commanded") / "first"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_module, "draw_curves", lambda history, path: path.touch())
        patch.setitem(PRESETS, "compact", preset(epochs=1))
        assert command.main(["--data", str(parquet), "--out", str(folder)]) == 0
    return folder


def test_a_signal_ends_the_command_between_two_batches_and_the_same_command_goes_on(parquet, tmp_path):
    arguments = [warm.python(), "-u", "-m", "train", "--data", str(parquet), "--out", str(tmp_path / "run")]
    arguments += ["--preset", "compact", "--epochs", "400", "--seed", "3", "--filters", "4", "8"]
    arguments += ["--kernel-sizes", "3", "3", "--attention-blocks", "--dense-units", "8", "--dense-dropout", "0.1"]
    process = subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    printed = ""
    for line in process.stdout:
        printed += line
        if line.startswith("epoch 2/400:"):
            process.send_signal(signal.SIGTERM)
            break
    rest, _ = process.communicate(timeout=300)
    assert process.returncode == 130, printed + rest
    assert "2 dropped" in printed and "run again to go on" in rest
    process = subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for line in process.stdout:
        if line.startswith("going on with"):
            break
    else:
        pytest.fail("the run did not go on")
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=300)
    assert process.returncode == 130 and "run again to go on" in rest, rest


def test_the_command_tells_what_each_setting_means_and_what_the_reference_has(parquet, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")  # no word is broken at its hyphen
    with pytest.raises(SystemExit):
        command.main(["--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert set(meanings()) == set(settings()) - {"classes"}, "classes follow from the data"
    for name, meaning in meanings().items():
        assert f"{flag(name)} " in told.replace(",", " ") and meaning in told, name
    for default in ("(3,3 3,3 3,3 3,3)", "to either side (25.0)", "mirror every second face (on)", "(0.3 0.25)"):
        assert default in told
    with pytest.raises(SystemExit):
        command.main(["--kernel-sizes", "3 3"])
    assert "3 3: write a block's kernels with commas, such as 3,5" in capsys.readouterr().err
    arguments = ["--data", str(parquet), "--out", str(tmp_path / "run"), "--limit", "7", "--start", "nowhere"]
    assert command.main(arguments) == 2
    assert "7 of 19 training faces (2 dropped" in capsys.readouterr().out


def test_training_faces_that_all_stand_in_validation_are_refused(parquet, tmp_path, capsys):
    data = shutil.copytree(parquet, tmp_path / "data")
    shutil.copyfile(data / "train.parquet", data / "validation.parquet")
    assert command.main(["--data", str(data), "--out", str(tmp_path / "run")]) == 2
    assert "data: no training face is left, as all 21 also stand in validation or test" in capsys.readouterr().err


def test_the_command_trains_exports_and_evaluates(parquet, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(PRESETS, "compact", preset(epochs=1))
    run, model = tmp_path / "run", tmp_path / "model"
    assert command.main(["--data", str(parquet), "--out", str(run)]) == 0
    assert "19 training faces (2 dropped" in capsys.readouterr().out
    config = export(run, parquet, model)
    assert set(config.metrics) == {"validation", "test"} and set(config.framing) == set(FINDERS)
    classifier = EmotionClassifier.load(model)
    assert classifier.emotions == EMOTIONS and classifier.config == config
    assert evaluate_main(["--model", str(model), "--data", str(parquet), "--split", "test", "--json"]) == 0
    printed = capsys.readouterr()
    assert "test: mirrored views" in printed.err, "what is being measured is said, beside the answer"
    result = json.loads(printed.out)
    assert {"split", "images", "accuracy", "macro_f1", "per_class", "confusion", "ece", "flip", "deduplicated"} <= set(
        result
    )
    assert result["images"] == 21 and result["deduplicated"]["images"] == 19
    labels, probabilities = load_split(parquet, "test").labels, classifier.predict(load_split(parquet, "test").images)
    assert result["accuracy"] == pytest.approx((probabilities.argmax(1) == labels).mean(), abs=1e-4)
    assert result["ferplus_majority_images"] == 0 and result["ferplus_majority_label_agreement"] is None
    assert np.array(result["confusion"]).sum() == 21
    assert evaluate_main(["--model", str(model), "--data", str(parquet)]) == 0
    assert "confusion matrix" in capsys.readouterr().out
    # A run that was not exported is measured too, its confidence as it is.
    assert evaluate_main(["--model", str(run), "--data", str(parquet), "--split", "test", "--json"]) == 0
    unexported = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {name: unexported[name] for name in ("accuracy", "macro_f1", "confusion")} == {
        name: result[name] for name in ("accuracy", "macro_f1", "confusion")
    }
    assert evaluate_main(["--model", str(run), str(model), "--data", str(parquet)]) == 0
    capsys.readouterr()
    assert report_main(["--model", str(run)]) == 2
    assert f"this is a run; make a model of it with `python -m train.export --run {run}`" in capsys.readouterr().err
    (run / "metrics.json").unlink()  # as in a run that is not at its end
    assert evaluate_main(["--model", str(run), "--data", str(parquet)]) == 2
    assert "run holds no finished run: train it to its end first" in capsys.readouterr().err


@pytest.mark.usefixtures("without_onnx")
def test_the_command_starts_from_a_model_and_learns_from_teachers(
    parquet, commanded, tmp_path, capsys, monkeypatch, tiny_model
):
    monkeypatch.setitem(PRESETS, "compact", preset(epochs=1))
    command_line = ["--data", str(parquet), "--out"]
    config = export(commanded, parquet, tmp_path / "model", measure_test=False)
    teachers = ["--teacher", str(tmp_path / "model"), str(commanded), "--distillation", "0.5"]
    again = [*command_line, str(tmp_path / "b"), "--start", str(tmp_path / "model"), *teachers]
    assert command.main(again) == 0
    record = json.loads((tmp_path / "b" / "config.json").read_text())
    assert f"asking 2 teachers about {record['data']['train']} faces" in capsys.readouterr().out
    for more, status in (([], 0), (["--epochs", "2"], 2)):  # complete, and refused
        assert command.main([*again, *more]) == status
        assert "asking" not in capsys.readouterr().out
    assert record["training"]["distillation"] == 0.5
    assert record["start"]["sha256"] == record["teacher"][0]["sha256"] == config.weights["sha256"]
    assert record["start"]["run"] == record["teacher"][0]["source"] == "model", "not what every model's file is called"
    assert record["start"]["validation_accuracy"] == config.metrics["validation"]["accuracy"]
    assert len({one["sha256"] for one in record["teacher"]}) == 2, "the model's weights are the run's, corrected"
    assert command.main([*command_line, str(tmp_path / "c"), "--start", str(tmp_path / "b")]) == 0
    assert json.loads((tmp_path / "c" / "config.json").read_text())["start"]["epochs"] == 2
    capsys.readouterr()
    (tmp_path / "c" / "metrics.json").unlink()  # as in a run that is not at its end
    for more, said in (
        (["--teacher", str(tiny_model)], "distillation=0 and a teacher: give both"),
        (["--distillation", "0.5"], "distillation=0.5 and no teacher: give both"),
        (["--distillation", "2"], "distillation=2.0: use a value from 0 to 1"),
        (["--teacher", str(tmp_path / "none.keras"), "--distillation", "0.5"], "no such model"),
        (["--start", "bundled"], "bundled is another network: start from a model of the same architecture"),
        (["--start", str(tiny_model)], "is another network"),
        (["--start", str(tmp_path / "none.keras")], "no such model"),
        (["--start", str(tmp_path / "c")], "c holds no finished run: train it to its end first"),
        (["--start", str(commanded), "--no-batch-norm"], "first is another network"),
    ):
        assert command.main([*command_line, str(tmp_path / "d"), *more]) == 2
        assert said in capsys.readouterr().err
        assert not (tmp_path / "d").exists()


def test_an_interruption_while_teachers_are_asked_is_said(parquet, tmp_path, capsys, monkeypatch, tiny_model):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setitem(PRESETS, "compact", preset(epochs=1, distillation=0.5))
    monkeypatch.setattr(EmotionEnsemble, "predict", interrupted)
    assert command.main(["--data", str(parquet), "--out", str(tmp_path / "a"), "--teacher", str(tiny_model)]) == 130
    assert "nothing is lost" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()


def test_where_nothing_can_be_written_is_said_before_minutes_of_work(parquet, data, trained, tmp_path):
    taken = tmp_path / "taken"
    taken.write_text("a file")
    teacher = Teacher([], ask=lambda: pytest.fail("the teacher was asked"))
    for out in (taken, taken / "run", Path("/proc/run")):
        with pytest.raises(ValueError, match=f"{out} cannot be written .*: choose another --out"):
            export(trained, tmp_path / "no data", out)
        with pytest.raises(ValueError, match=f"{out} cannot be written .*: choose another --out"):
            fit(preset(distillation=0.5), *data, out, 0, teacher=teacher)
    assert taken.read_text() == "a file" and len(list(tmp_path.iterdir())) == 1


def test_frozen_blocks_keep_their_weights(parquet, commanded, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(PRESETS, "compact", preset(epochs=1))
    second = ["--data", str(parquet), "--out"]
    start = ["--start", str(commanded), "--frozen-blocks"]
    assert command.main([*second, str(tmp_path / "b"), *start, "1"]) == 0
    before, after = (keras.saving.load_model(run / "model.keras") for run in (commanded, tmp_path / "b"))
    kept = {
        layer.name.split("_")[0]: same(layer.get_weights(), after.get_layer(layer.name).get_weights())
        for layer in before.layers
        if layer.weights
    }
    assert kept.pop("block1") and not any(kept.values())
    assert json.loads((tmp_path / "b" / "config.json").read_text())["start"]["frozen_blocks"] == 1
    metrics = [json.loads((run / "metrics.json").read_text()) for run in (commanded, tmp_path / "b")]
    assert metrics[0]["parameters"] == metrics[1]["parameters"], "the size of the network, not of what learned"
    for more, said in (
        (["--frozen-blocks", "1"], "--frozen-blocks keeps the weights that --start brings: give --start too"),
        ([*start, "9"], f"--frozen-blocks 9: the network has {len(TINY.filters)} blocks"),
    ):
        assert command.main([*second, str(tmp_path / "c"), *more]) == 2
        assert said in capsys.readouterr().err


@pytest.mark.usefixtures("without_onnx")
def test_two_models_of_one_network_are_blended(parquet, commanded, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(PRESETS, "compact", preset(epochs=1))
    first, tuned, out = (tmp_path / name for name in ("first", "tuned", "blended"))
    shutil.copytree(commanded, first)
    data = ["--data", str(parquet)]
    record = json.loads((first / "config.json").read_text())
    del record["architecture"]["skip_connections"]  # as of a run that began before there were any
    (first / "config.json").write_text(json.dumps(record))
    other = ["--spatial-dropout", "0.3"]  # which has no weights
    assert command.main([*data, "--out", str(tuned), "--start", str(first), "--learning-rate", "0.03", *other]) == 0
    capsys.readouterr()
    blend = [*data, "--run", str(tuned), "--with", str(first)]
    assert blend_main(blend) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert [float(row[0]) for row in rows] == [round(0.1 * step, 1) for step in range(11)]
    for row, run in ((rows[0], first), (rows[-1], tuned)):
        assert float(row[1]) == json.loads((run / "metrics.json").read_text())["validation"]["accuracy"]

    assert blend_main([*blend, "--share", "0.25", "--logit-bias", "fear=0.5", "--out", str(out)]) == 0
    for a, b, mixed in zip(weights_of(first)[:-1], weights_of(tuned)[:-1], weights_of(out)[:-1], strict=True):
        assert np.allclose(mixed, 0.75 * a + 0.25 * b, atol=1e-6)
    mean = 0.75 * weights_of(first)[-1] + 0.25 * weights_of(tuned)[-1]
    assert np.allclose(weights_of(out)[-1] - mean, [0.5 * (name == "fear") for name in EMOTIONS], atol=1e-6)
    config = export(out, parquet, tmp_path / "model", measure_test=False)
    sha256 = hashlib.sha256((first / "model.keras").read_bytes()).hexdigest()
    assert config.training["blend"] == {"with": "first", "sha256": sha256, "share": 0.25, "logit_bias": {"fear": 0.5}}
    assert config.training["start"]["sha256"] == sha256
    measured = json.loads((out / "metrics.json").read_text())["validation"]
    assert config.metrics["validation"]["confusion"] == measured["confusion"]

    more = ["--start", str(first), "--learning-rate", "0.02", "--seed", "5"]
    assert command.main([*data, "--out", str(tmp_path / "second"), *more]) == 0
    soup = [*data, "--run", str(tuned), str(tmp_path / "second"), "--with", str(first)]
    assert blend_main([*soup, "--share", "0.5", "--out", str(tmp_path / "soup")]) == 0
    ends = (weights_of(run) for run in (first, tuned, tmp_path / "second", tmp_path / "soup"))
    for a, b, c, mixed in zip(*ends, strict=True):
        assert np.allclose(mixed, 0.5 * a + 0.25 * b + 0.25 * c, atol=1e-6)
    [averaged] = json.loads((tmp_path / "soup" / "config.json").read_text())["blend"]["averaged"]
    assert (averaged["run"], averaged["epochs"]) == ("second", 1) and averaged["minutes"] >= 0

    assert command.main([*data, "--out", str(tmp_path / "other"), "--no-batch-norm"]) == 0
    capsys.readouterr()
    for arguments, said in (
        ([*blend, "--out", str(tmp_path / "x")], "--out needs one --share"),
        ([*blend, "--share", "0.5", "--out", str(out)], "is there already: choose another --out"),
        ([*blend, "--share", "1.5"], "--share 1.5: use values from 0 to 1"),
        ([*blend, "--logit-bias", "joy=1"], "--logit-bias joy: choose among angry, disgust"),
        ([*data, "--run", str(tuned), "--with", str(tmp_path / "other")], "different networks"),
        ([*data, "--run", str(out), "--with", str(first)], "blended: that is a blend, whose record would be lost"),
        ([*data, "--run", str(tmp_path / "model"), "--with", str(first)], "is no run of `python -m train`"),
        ([*data, "--run", str(tuned), str(first), "--with", str(first)], "only runs that began with the same weights"),
    ):
        assert blend_main(arguments) == 2
        assert said in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_blends_and_soups_are_measured_on_faces_as_a_model_that_serves_is_given_them(data, trained):
    model, other = load_model(trained), load_model(trained)
    dark = replace(data[1], images=data[1].images // 4)
    served = single_view_scores(dark, model.predict(dark.images), model.emotions)
    for measured in (Blend(other, [other], {}).scores(1.0, dark), _soup([trained], dark)[1]):
        assert measured["ece"] == pytest.approx(served["ece"], abs=2e-4)


def test_the_lowest_f1_of_a_blend_is_not_that_of_a_class_without_faces():
    labels, probabilities = np.array([0, 0, 1]), np.eye(3)[[0, 0, 0]]
    scores = classification_metrics(labels, probabilities, ("calm", "bored", "contempt"))
    assert scores["per_class"]["bored"]["f1"] == scores["per_class"]["contempt"]["f1"] == 0
    for order in (scores["per_class"], dict(reversed(scores["per_class"].items()))):
        table = _table([(0.5, scores | {"per_class": order, "ferplus_majority_accuracy": None})])
        assert "0.0000 bored" in table and "contempt" not in table


def test_data_without_ferplus_votes_is_trained_without_them(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(PRESETS, "compact", preset(epochs=1, ferplus_weight=0.25))
    for split in ("train", "validation", "test"):
        write_parquet(tmp_path, split, faces(14, len(split)), names(14), drop=[f"votes_{name}" for name in VOTES])
    assert command.main(["--data", str(tmp_path), "--out", str(tmp_path / "run")]) == 0
    assert "no FER+ votes" in capsys.readouterr().out
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["training"]["ferplus_weight"] == 0 and config["data"]["votes"] is False


def test_a_failed_export_leaves_the_model_that_was_there(trained, parquet, tmp_path, tiny_model):
    there = shutil.copytree(tiny_model, tmp_path / "there")
    data = shutil.copytree(parquet, tmp_path / "data")
    (data / "test.parquet").unlink()
    before = {path.name: path.read_bytes() for path in there.iterdir()}
    with pytest.raises(DataError):
        export(trained, data, there)
    assert {path.name: path.read_bytes() for path in there.iterdir()} == before


def test_where_a_run_began_stays_on_record_when_it_goes_on_elsewhere(data, tmp_path, monkeypatch):
    path = tmp_path / "environment.json"
    environment.record_environment(path, "float32", goes_on=False)
    began = json.loads(path.read_text())
    environment.record_environment(path, "float32", goes_on=True)
    assert json.loads(path.read_text()) == began
    another = began | {"commit": "another"}
    monkeypatch.setattr(environment, "environment", lambda: another)
    environment.record_environment(path, "float32", goes_on=True)
    assert json.loads(path.read_text()) == began | {"resumed": [another]}
    fit(preset(epochs=1), *data, tmp_path, 0)
    assert json.loads(path.read_text()) == another, "it left no checkpoint, so the run begins here"


def test_automatic_precision_is_what_the_hardware_is_best_at(data, tmp_path, monkeypatch, capsys):
    cpuinfo, faster = tmp_path / "cpuinfo", hardware._bfloat16_is_faster()
    assert isinstance(faster, bool)
    monkeypatch.setattr(hardware, "_bfloat16_is_faster", lambda: True)
    for flags, expected in (
        ("flags\t\t: fpu avx2 fma avx512f avx512_bf16 vaes", "mixed_bfloat16"),
        ("flags\t\t: fpu avx2 fma amx_bf16", "mixed_bfloat16"),
        ("Features\t: fp asimd bf16", "mixed_bfloat16"),
        ("flags\t\t: fpu avx2 fma avx512f", "float32"),
        ("model name\t: with bf16 in its name\nflags\t\t: fpu", "float32"),
    ):
        cpuinfo.write_text(f"processor\t: 0\n{flags}\nbugs\t\t: none\n")
        assert fastest_precision(cpuinfo) == expected, flags
    assert fastest_precision(tmp_path / "missing") == "float32"
    cpuinfo.write_text("flags\t\t: fpu avx2 avx512_bf16")
    assert fastest_precision(cpuinfo) == "mixed_bfloat16"
    monkeypatch.setattr(hardware, "_bfloat16_is_faster", lambda: False)
    assert fastest_precision(cpuinfo) == "float32"
    fit(preset(epochs=1, precision="auto"), *data, tmp_path / "run", 0)
    said, used = (json.loads((tmp_path / "run" / f"{name}.json").read_text()) for name in ("config", "environment"))
    assert (said["training"]["precision"], used["precision"]) == ("auto", fastest_precision())
    device = used["gpu"] or f"{used['cpu_count']} CPU core"
    printed = capsys.readouterr().out
    assert re.search(rf"^on (PyTorch|TensorFlow), {device}s?, {used['precision']}$", printed, re.MULTILINE)


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        (SimpleNamespace(device_kind="GPU", compute_capability="7.5"), "float32"),
        (SimpleNamespace(device_kind="GPU", compute_capability="8.0"), "mixed_bfloat16"),
        (SimpleNamespace(device_kind="GPU", compute_capability="12.0"), "mixed_bfloat16"),
        (SimpleNamespace(device_kind="GPU", compute_capability=None), "mixed_bfloat16"),
        (SimpleNamespace(device_kind="GPU"), "mixed_bfloat16"),
    ],
)
def test_on_jax_an_older_gpu_is_spared_bfloat16(monkeypatch, device, expected):
    keras_on_jax = SimpleNamespace(backend=SimpleNamespace(backend=lambda: "jax"))
    monkeypatch.setattr(hardware, "import_keras", lambda _: keras_on_jax)
    monkeypatch.setitem(sys.modules, "jax", SimpleNamespace(default_backend=lambda: "gpu", devices=lambda: [device]))
    assert fastest_precision() == expected


@pytest.mark.parametrize(
    ("device", "name", "precision"),
    [("cpu", None, "float32"), ("cuda", "Titan", "mixed_bfloat16"), ("mps", "mps", "float32")],
)
def test_on_pytorch_the_device_is_the_one_that_keras_trains_on(monkeypatch, device, name, precision):
    tensor = SimpleNamespace(device=SimpleNamespace(type=device))
    ops = SimpleNamespace(zeros=lambda _: tensor)
    keras_on_torch = SimpleNamespace(backend=SimpleNamespace(backend=lambda: "torch"), ops=ops)
    monkeypatch.setattr(hardware, "import_keras", lambda _: keras_on_torch)
    monkeypatch.setattr(hardware, "_bfloat16_is_faster", lambda: False)
    cuda = SimpleNamespace(get_device_name=lambda _: "Titan", is_bf16_supported=lambda **_: True)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    assert (hardware.device_name(), fastest_precision()) == (name, precision)


@pytest.mark.usefixtures("without_onnx")
def test_an_unfinished_or_oversized_run_is_not_exported(finished, parquet, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="finished is the folder of a run, whose config would be lost"):
        export(finished, parquet, finished)
    with pytest.raises(ValueError, match="no finished run"):
        export(tmp_path, parquet, tmp_path / "model")
    monkeypatch.setattr(export_module, "MAX_BYTES", 1000)
    monkeypatch.setattr(export_module, "BUNDLED_DIR", tmp_path / "model")
    with pytest.raises(ValueError, match=r"may have 1,000: give it a folder of its own with --out"):
        export(finished, parquet, tmp_path / "model")
    monkeypatch.setattr(export_module, "BUNDLED_DIR", tmp_path / "bundled")
    assert export(finished, parquet, tmp_path / "model", measure_test=False).weights["bytes"] > 1000


@pytest.mark.usefixtures("without_onnx")
def test_beside_a_new_bundled_model_lies_no_record_of_the_one_before(commanded, parquet, tmp_path, monkeypatch):
    monkeypatch.setattr("train.export.BUNDLED_DIR", tmp_path / "model")
    monkeypatch.setattr("train.export.RESULTS", tmp_path)
    monkeypatch.setattr("train.export.make_report", lambda *_: None)  # which draws for seconds
    records = tmp_path / "bundled"
    records.mkdir()
    for name in ("validation", "scores"):
        (records / f"{name}.json").write_text("{}")
    assert export_main(["--run", str(commanded), "--data", str(parquet), "--no-test"]) == 0
    assert {path.stem for path in records.iterdir()} == {"config", "environment", "history", "metrics", "scores"}
    assert set(json.loads((records / "scores.json").read_text())) == {"validation"}


@pytest.mark.parametrize(
    ("main", "work", "arguments"),
    [
        (export_main, "train.export.export", ["--run", "run", "--data", "data"]),
        (evaluate_main, "train.evaluate.load_model", ["--data", "data"]),
        (report_main, "train.report.make_report", []),
        (blend_main, "train.blend._require_usable", ["--run", "run", "--with", "bundled", "--data", "data"]),
        (framing_main, "train.framing.load_split", ["--data", "data"]),
    ],
)
def test_ctrl_c_ends_what_has_no_checkpoints_with_a_word(main, work, arguments, monkeypatch, capsys):
    monkeypatch.setattr(work, lambda *_: signal.raise_signal(signal.SIGINT))
    assert main(arguments) == 130
    assert capsys.readouterr().err.startswith("stopped")


@pytest.mark.parametrize(
    ("main", "work", "arguments"),
    [
        (export_main, "train.export.export", ["--run", "run", "--data", "data"]),
        (report_main, "train.report.make_report", []),
        (framing_main, "train.framing.load_split", ["--data", "data"]),
    ],
)
def test_so_does_a_full_disk(main, work, arguments, monkeypatch, tmp_path, capsys):
    def write(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(work, write)
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == (
        f"error: {tmp_path / 'out'}: the disk is full; free some space and run the same line once more\n"
    )


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--data", "nowhere", "--out", "x"], 2, "nowhere: no such folder"),
        (["--preset", "compact", "--epochs", "0", "--summary"], 2, "epochs=0"),
        (["--preset", "seed", "--gentle-epochs", "20", "--summary"], 2, "set early_stopping_patience=0"),
    ],
)
def test_mistakes_on_the_command_line_end_with_a_sentence(arguments, status, said, capsys):
    assert command.main(arguments) == status
    assert said in capsys.readouterr().err


def test_summary_prints_the_size_of_the_reference_as_json(capsys):
    assert command.main(["--preset", "seed", "--summary"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["trainable_parameters"] == 5_347_784 and summary["multiply_adds"] == 469_161_728
    assert summary["architecture"]["filters"] == [64, 128, 256, 512] and summary["training"]["optimizer"] == "adam"


def test_the_seed_preset_is_the_reference_recipe():
    training = PRESETS["seed"].training
    assert (training.loss, training.optimizer, training.learning_rate, training.batch_size) == (
        "focal",
        "adam",
        3e-4,
        32,
    )
    assert (training.plateau_factor, training.plateau_patience, training.minimum_learning_rate) == (0.5, 6, 1e-6)
    assert (training.early_stopping_patience, training.epochs) == (20, 100)
    assert (training.augmentation.rotation, training.augmentation.zoom, training.augmentation.flip) == (25, 0.2, True)


def test_the_focal_loss_without_its_gamma_is_the_share_of_cross_entropy_that_its_help_tells():
    targets, answers = np.eye(7, dtype=np.float32), np.random.default_rng(0).dirichlet(np.ones(7), 7).astype(np.float32)
    whole = loss_of(TrainingConfig(loss="cross_entropy"))(targets, answers)
    assert float(loss_of(TrainingConfig(focal_gamma=0))(targets, answers)) == pytest.approx(float(whole) / 4, rel=1e-4)
    assert "0 makes it a quarter of cross-entropy" in meanings()["focal_gamma"]


def test_metrics_of_a_known_confusion():
    labels = np.array([0, 0, 0, 1, 1, 2])
    predicted = np.array([0, 0, 1, 1, 1, 0])
    scores = classification_metrics(labels, np.eye(3, dtype=np.float32)[predicted], ("a", "b", "c"))
    assert scores["confusion"] == [[2, 1, 0], [0, 2, 0], [1, 0, 0]]
    assert scores["accuracy"] == pytest.approx(4 / 6, abs=1e-4)
    assert scores["per_class"]["a"] == {"precision": 0.6667, "recall": 0.6667, "f1": 0.6667, "images": 3}
    assert scores["per_class"]["b"] == {"precision": 0.6667, "recall": 1.0, "f1": 0.8, "images": 2}
    assert scores["per_class"]["c"]["f1"] == 0
    assert scores["macro_f1"] == pytest.approx((2 / 3 + 0.8) / 3, abs=1e-4)


def test_calibration_error_is_the_gap_between_confidence_and_accuracy():
    sure = np.tile(np.array([0.9, 0.1], np.float32), (100, 1))
    assert expected_calibration_error(reliability(np.zeros(100, int), sure)) == pytest.approx(0.1, abs=1e-5)
    assert expected_calibration_error(reliability(np.array([0] * 90 + [1] * 10), sure)) == pytest.approx(0, abs=1e-5)


def test_the_fitted_temperatures_recover_a_known_overconfidence():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1.5, (20000, 7))
    true = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = np.array([rng.choice(7, p=p) for p in true])
    overconfident = np.exp(2 * logits) / np.exp(2 * logits).sum(1, keepdims=True)
    found = fit_temperature(labels, overconfident.astype(np.float32))
    assert np.mean(found) == pytest.approx(2, abs=0.05)
    assert found == pytest.approx([2] * 7, abs=0.25)  # 20,000 faces tell each to about 0.1


def test_a_class_that_is_too_sure_gets_a_temperature_of_its_own_but_not_one_that_is_rare():
    """Class 0 is believed twice too much, class 1 half too little; the last is 0.9 sure of 8 faces and always wrong."""
    rng = np.random.default_rng(1)
    logits = np.hstack([rng.normal(0, 2, (20000, 3)), np.full((20000, 1), -20.0)])
    said = (np.exp(logits) / np.exp(logits).sum(1, keepdims=True)).astype(np.float32)
    truth = (2.0, 0.7, 1.0, 1.0)
    labels = np.array([rng.choice(4, p=p / p.sum()) for p in scale_confidence(said, truth).astype(float)])
    said[:8], labels[:8] = (0.02, 0.03, 0.05, 0.9), 2
    found = fit_temperature(labels, said)
    assert found[:3] == pytest.approx(truth[:3], rel=0.1)
    assert 0.8 < found[3] < 1.8, "by itself it would be at the limit, 4"
    before, after = (-np.log(p[np.arange(20000), labels]).mean() for p in (said, scale_confidence(said, found)))
    assert after < before


def test_a_word_is_said_from_the_confidence_on_at_which_it_is_right_often_enough():
    rng = np.random.default_rng(2)
    sure = rng.uniform(0.2, 0.95, 20000)
    said = np.stack([sure, *[(1 - sure) / 6] * 6], axis=1).astype(np.float32)
    labels = np.where(rng.random(20000) < sure, 0, 1)  # as often right as it is sure
    limit = clear_limit(labels, said)
    assert limit == pytest.approx(0.4, abs=0.03)
    scores = clear_scores(labels, said, limit)
    assert scores["share"] == pytest.approx((limit - 0.2) / 0.75, abs=0.02)
    assert scores["accuracy_of_unclear"] < 0.4 < scores["accuracy"]
    assert clear_limit(np.zeros(20000, int), said) == 0, "always right"


def test_what_the_duplicates_are_found_with_is_missed_before_the_work_begins(tmp_path, tiny_model):
    write_parquet(tmp_path, "test", faces(7, 0), EMOTIONS)
    told = []
    with pytest.raises(DataError, match="train"):
        evaluate(EmotionClassifier.load(tiny_model), tmp_path, "test", progress=told.append)
    assert told == []


def test_agreement_with_the_ferplus_majority_is_measured_for_the_model_and_for_the_labels(tmp_path, tiny_model):
    # Four taggers to a face: the happy one is happy to all, the sad one neutral to three, the others are unclear.
    clear = {"happy": [0, 4] + [0] * 8, "sad": [3, 1] + [0] * 8}
    votes = [clear.get(name, [2, 2] + [0] * 8) for name in EMOTIONS]
    for split in ("train", "validation", "test"):
        write_parquet(tmp_path, split, faces(7, len(split)), EMOTIONS, votes=votes)
    model = EmotionClassifier.load(tiny_model)
    result = evaluate(model, tmp_path, "test")
    assert (result["ferplus_majority_images"], result["ferplus_majority_label_agreement"]) == (2, 0.5)
    best = model.predict(load_split(tmp_path, "test").images).argmax(axis=1)
    answers = {label: EMOTIONS[i] for label, i in zip(EMOTIONS, best, strict=True)}
    assert result["ferplus_majority_accuracy"] == ((answers["happy"] == "happy") + (answers["sad"] == "neutral")) / 2


def test_the_ferplus_majority_needs_over_half_of_all_taggers():
    votes = np.zeros((3, 7), np.float32)
    votes[0, 2], votes[1, 2], votes[2, 1] = 6, 5, 4
    others = np.array([[4, 0, 0], [5, 0, 0], [0, 1, 1]], np.float32)
    dataset = FaceDataset(faces(3, 0), np.zeros(3, int), votes, others)
    assert ferplus_majority(dataset).tolist() == [2, -1, 1]
    assert ferplus_majority(FaceDataset(faces(2, 0), np.zeros(2, int))).tolist() == [-1, -1]


def test_labels_are_matched_by_name_where_a_model_orders_them_otherwise(parquet, tmp_path, tiny_model):
    straight = EmotionClassifier.load(tiny_model)
    turned = EmotionClassifier.load(tiny_model)
    turned.config = replace(straight.config, labels=straight.config.labels[::-1])
    a, b = (evaluate(classifier, parquet, "test") for classifier in (straight, turned))
    # The outputs keep their places and get each other's names, and the true labels follow their names.
    assert b["confusion"] == a["confusion"][::-1]
