import errno
import functools
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from emotion_model import EMOTIONS, EmotionClassifier
from emotion_model.network.building import build_model
from emotion_model.network.cost import origin, spent
from support.training import faces, names, write_parquet
from train.experiments.blending import greedy_soup
from train.experiments.plans import PlanError
from train.exporting.correction import choose_correction
from train.release import main
from train.releasing.model import _average, _record
from train.releasing.plan import PLANS, read_plan
from train.releasing.stages import Stages
from train.runs import load_model

PLAN = """
together = 2
[common]
filters = [64, 128]
kernel_sizes = [[3], [3]]
attention_blocks = [2]
image_size = 16
dense_units = [8]
dense_dropout = [0.1]
epochs = 30
[stages.wide]
skip_connections = true
[stages.student]
teachers = ["wide"]
distillation = 0.5
[stages.final]
start = "student"
frozen_blocks = 1
seeds = [1, 2]
"""

pytestmark = pytest.mark.usefixtures("warm_programs")


@pytest.fixture(scope="module")
def released(tmp_path_factory, warm_programs):
    """Data, plan and folder of a release, made in small; never changed."""
    folder = tmp_path_factory.mktemp("release")
    data, plan = folder / "data", folder / "plan.toml"
    data.mkdir()
    for split, seed in (("train", 0), ("validation", 1), ("test", 2)):
        write_parquet(data, split, faces(28, seed), names(28))
    plan.write_text(PLAN)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("train.releasing.stages.LOOK_SECONDS", 0.05)
        assert main(["--data", str(data), "--out", str(folder / "out"), "--plan", str(plan), "--smoke"]) == 0
    return data, plan, folder / "out"


def test_one_command_goes_from_faces_to_a_model_with_figures_card_and_record(released):
    _, _, out = released
    record = json.loads((out / "release.json").read_text())
    assert [run["run"] for run in record["runs"]] == ["wide-seed0", "student-seed0", "final-seed1", "final-seed2"]
    assert [(run["start"], run["teachers"]) for run in record["runs"]][1:3] == [(None, ["wide"]), ("student", [])]
    assert all(run["epochs"] == 1 and run["minutes"] >= 0 and run["hardware"] for run in record["runs"])
    assert record["spent"]["cores"] >= 1 and 0 <= record["spent"]["minutes"] <= sum(
        run["minutes"] + 0.1 for run in record["runs"]
    )
    scores = [run["macro_f1"] for run in record["runs"][2:]]
    assert record["last_stage"]["macro_f1_mean"] == pytest.approx(np.mean(scores), abs=1e-4)
    assert record["ensemble"]["members"] == 2 and 0 <= record["ensemble"]["validation"]["accuracy"] <= 1
    assert set(record["scores"]) == {"validation"}, "a try in small does not look at test"
    model = EmotionClassifier.load(out / "model")
    assert set(record["correction"]["shift"]) == set(model.emotions)
    assert (out / "model" / "figures" / "curves.png").exists()
    card = " ".join((out / "model" / "README.md").read_text().split())
    assert "The plan `plan`: wide-seed0 (1 epochs), student-seed0 (1 epochs, taught by wide)," in card
    assert "final-seed1 (1 epochs from student, the first block unchanged)" in card


def test_what_a_released_model_took_counts_once_where_it_meets_one_of_its_runs(released, tmp_path):
    data, plan, made = released
    out = shutil.copytree(made, tmp_path / "out")
    for minute, history in enumerate(sorted(out.glob("*-seed*/history.json"))):
        history.write_text(json.dumps([{"seconds": 60.0, "ended": 60.0 * minute, "on_gpu": False}]))
    release = {"environment": {}, "release": _record(Stages(read_plan(plan).smoke(), data, out))}
    teacher = load_model(out / "wide-seed0").config
    learned = {"minutes": 5.0, "environment": {}, "start": origin("released", release)}
    taught = learned | {"teacher": [origin(teacher.weights["sha256"], teacher.training)]}
    assert spent(release)["minutes"] == 4.0 and spent(taught)["minutes"] == spent(learned)["minutes"] == 9.0


def test_where_a_run_went_on_is_told_in_order_and_no_place_twice(released, tmp_path):
    data, plan, made = released
    out = shutil.copytree(made, tmp_path / "out")
    path = out / "wide-seed0" / "environment.json"
    began = json.loads(path.read_text()) | {"gpu": None, "cpu_count": 1, "backend": "torch", "precision": "float32"}
    chip = began | {"gpu": "Titan", "backend": "jax", "precision": "mixed_bfloat16"}
    path.write_text(json.dumps(began | {"resumed": [began | {"commit": "another"}, chip, began]}))
    told = _record(Stages(read_plan(plan).smoke(), data, out))["runs"][0]
    assert told["hardware"] == "1 CPU core, then Titan" and told["backend"] == "torch, then jax"
    assert told["precision"] == "float32, then mixed_bfloat16"


def test_the_model_is_the_mean_of_the_runs_taken_with_its_logits_corrected(released):
    _, _, out = released
    record = json.loads((out / "release.json").read_text())
    shift, soup = record["correction"]["shift"], record["soup"]
    assert {one["run"] for one in soup} == {"final-seed1", "final-seed2", "student-seed0"}
    mean = json.loads((out / "mean" / "metrics.json").read_text())["validation"]
    last = [one for one in soup if one["taken"]][-1]
    assert (mean["accuracy"], mean["macro_f1"]) == (last["mean_accuracy"], last["mean_macro_f1"])
    worth = mean["accuracy"] + mean["macro_f1"]
    assert worth >= max(one["accuracy"] + one["macro_f1"] for one in soup) - 1e-9
    taken = [_weights(out / one["run"]) for one in soup if one["taken"]]
    means = [np.mean(arrays, axis=0) for arrays in zip(*taken, strict=True)]
    means[-1] = means[-1] + np.float32([shift[emotion] for emotion in EMOTIONS])
    for mine, expected in zip(EmotionClassifier.load(out / "model").model.get_weights(), means, strict=True):
        np.testing.assert_allclose(mine, expected, atol=1e-4)


def test_the_best_epoch_of_a_mean_is_one_whose_weights_are_part_of_it(released, tmp_path):
    data, plan, made = released
    out = shutil.copytree(made, tmp_path / "out")
    for run in ("student-seed0", "final-seed1", "final-seed2"):
        history = json.loads((out / run / "history.json").read_text()) * 3
        metrics = json.loads((out / run / "metrics.json").read_text()) | {"epochs": 3, "best_epoch": 2}
        (out / run / "history.json").write_text(json.dumps(history))
        (out / run / "metrics.json").write_text(json.dumps(metrics))
    mean = _average(Stages(read_plan(plan).smoke(), data, out))
    metrics = json.loads((mean / "metrics.json").read_text())
    assert (metrics["epochs"], metrics["best_epoch"]) in ((6, 5), (3, 2)), "the second of a last run, or of the start"
    runs = json.loads((mean / "config.json").read_text())["release"]["runs"]
    assert [run["best_epoch"] for run in runs] == [1, 2, 2, 2]


def test_how_far_the_last_runs_lie_apart_is_told_of_two_or_more(released, tmp_path):
    data, plan, made = released
    out, both = shutil.copytree(made, tmp_path / "out"), read_plan(plan).smoke()
    for seed, accuracy in ((1, 0.5), (2, 0.7)):
        path = out / f"final-seed{seed}" / "metrics.json"
        metrics = json.loads(path.read_text())
        metrics["validation"]["accuracy"] = accuracy
        path.write_text(json.dumps(metrics))
    spread = _record(Stages(both, data, out))["last_stage"]
    assert (spread["accuracy_mean"], spread["accuracy_deviation"]) == (0.6, 0.1414)
    alone = replace(both, stages=(*both.stages[:-1], replace(both.stages[-1], seeds=(1,))))
    assert _record(Stages(alone, data, out))["last_stage"]["accuracy_deviation"] is None


@pytest.mark.usefixtures("without_onnx")
def test_a_release_ends_without_its_teachers_weights_which_may_be_too_large_to_bring_along(released, tmp_path, capsys):
    data, plan, made = released
    out = shutil.copytree(made, tmp_path / "out")
    for file in ("release.json", "wide-seed0/model.keras"):
        (out / file).unlink()
    assert main(["--data", str(data), "--out", str(out), "--plan", str(plan), "--smoke"]) == 0
    assert "left out what model and teachers answer together: no weights of wide-seed0" in capsys.readouterr().out
    record, before = (json.loads((folder / "release.json").read_text()) for folder in (out, made))
    assert record["runs"] == before["runs"] and "ensemble" not in record and EmotionClassifier.load(out / "model")


@pytest.mark.parametrize(
    ("macro_f1", "mean", "taken"),
    [
        (lambda x: 1 - abs(x - 2) / 10, 2.0, {"left": True, "right": True, "far": False}),
        (lambda x: {1: 0.5, 3: 0.8, 10: 0.7}.get(x, 0.4), 3.0, {"right": True, "far": False, "left": False}),
        (lambda x: 0.5, 14 / 3, {"left": True, "right": True, "far": True}),
    ],
)
def test_a_greedy_soup_is_no_worse_than_its_best_member(macro_f1, mean, taken):
    candidates = {"left": [np.float64([1])], "right": [np.float64([3])], "far": [np.float64([10])]}

    def scores(weights):
        return {"accuracy": 0.5, "macro_f1": macro_f1(float(weights[0][0]))}

    [[weight]], tried = greedy_soup(candidates, scores)
    assert weight == pytest.approx(mean)
    assert [(one["run"], one["taken"]) for one in tried] == list(taken.items()), "the best first"
    assert macro_f1(weight) >= max(one["macro_f1"] for one in tried)


def test_a_soup_weighs_accuracy_and_macro_f1_alike():
    known = {1.0: (0.70, 0.60), 3.0: (0.60, 0.65), 2.0: (0.68, 0.63)}  # the mean: less accurate, and worth more
    candidates = {"accurate": [np.float64([1])], "fair": [np.float64([3])]}
    [[weight]], tried = greedy_soup(
        candidates, lambda weights: dict(zip(("accuracy", "macro_f1"), known[float(weights[0][0])], strict=True))
    )
    assert weight == 2 and [(one["run"], one["taken"]) for one in tried] == [("accurate", True), ("fair", True)]


def _weights(folder):
    return load_model(folder).model.get_weights()


def test_a_release_goes_on_where_it_was_and_refuses_a_plan_that_has_changed(released, tmp_path, capsys):
    data, plan, out = released
    begun = {path: path.stat().st_mtime_ns for path in out.glob("*-seed*/log.txt")}
    line = ["--data", str(data), "--out", str(out), "--smoke", "--train-only"]
    assert main([*line, "--plan", str(plan)]) == 0
    assert {path: path.stat().st_mtime_ns for path in begun} == begun, "nothing was trained anew"
    changed = tmp_path / "plan.toml"
    changed.write_text(PLAN.replace("dense_units = [8]", "dense_units = [12]"))
    assert main([*line, "--plan", str(changed)]) == 2
    assert "wide-seed0 is a run with other settings than the plan now has (dense_units" in capsys.readouterr().err


def test_a_complete_run_is_refused_where_those_that_it_came_from_are_others_now(released, tmp_path, capsys):
    data, plan, made = released
    out = shutil.copytree(made, tmp_path / "out")
    line = ["--data", str(data), "--out", str(out), "--smoke", "--train-only", "--plan"]
    changed = tmp_path / "plan.toml"
    changed.write_text(PLAN.partition("[stages.wide]")[0] + "[stages.final]\nseeds = [1]")
    assert main([*line, str(changed)]) == 2
    assert "(start student-seed0, now none; frozen_blocks 1, now 0): remove it or" in capsys.readouterr().err
    changed.write_text(PLAN.replace("stages.student", "stages.pupil").replace('"student"', '"pupil"'))
    assert main([*line, str(changed)]) == 2
    assert "(start student-seed0, now pupil-seed0): remove it or choose" in capsys.readouterr().err
    changed.write_text(PLAN.replace("frozen_blocks = 1", "frozen_blocks = 2"))
    assert main([*line, str(changed)]) == 2
    assert "(frozen_blocks 1, now 2): remove it or choose" in capsys.readouterr().err
    corrected = shutil.copytree(data, tmp_path / "corrected")
    write_parquet(corrected, "train", faces(28, 0), names(28)[::-1])
    assert main(["--data", str(corrected), *line[2:], str(plan)]) == 2
    assert "(other faces, labels or votes than --data now has): remove it or choose" in capsys.readouterr().err
    weights = out / "student-seed0" / "model.keras"
    weights.write_bytes(weights.read_bytes() + b"trained anew")
    assert main([*line, str(plan)]) == 2
    assert "(start student-seed0, which has other weights now): remove it" in capsys.readouterr().err
    weights.unlink()
    assert main([*line, str(plan)]) == 0, "runs may be brought along without their weights"
    (out / "wide-seed0" / "metrics.json").unlink()
    assert main([*line, str(plan)]) == 2
    assert "(teachers wide-seed0, which would be trained anew): remove it or choose" in capsys.readouterr().err


def test_what_was_begun_on_other_hardware_is_ended_by_the_same_line(released, tmp_path, monkeypatch, capsys):
    data, _, _ = released
    monkeypatch.setattr("train.release.device_name", lambda: "a chip")
    seen = []
    monkeypatch.setattr(Stages, "train", lambda stages: seen.append(stages.plan.name))
    line = ["--data", str(data), "--out", str(tmp_path / "out"), "--smoke", "--train-only"]
    assert main(line) == 0
    monkeypatch.setattr("train.release.device_name", lambda: None)
    assert main(line) == 0
    assert seen == ["gpu", "gpu"] and "plan: gpu, as begun" in capsys.readouterr().out


def test_a_plan_that_cannot_be_laid_down_whole_leaves_the_one_that_was_begun(released, tmp_path, monkeypatch, capsys):
    (tmp_path / "cpu.toml").write_text("begun")

    def full(source, target):
        target.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    assert main(["--data", str(released[0]), "--out", str(tmp_path), "--plan", "cpu", "--smoke"]) == 2
    assert "the disk is full" in capsys.readouterr().err
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"cpu.toml": "begun"}


def test_another_plan_than_the_one_begun_is_refused_and_takes_no_place(released, tmp_path, monkeypatch, capsys):
    data, _, made = released
    monkeypatch.setattr(Stages, "train", lambda _: None)
    line = ["--data", str(data), "--out", str(tmp_path / "out"), "--smoke", "--train-only", "--plan"]
    assert main([*line, "cpu"]) == 0
    for other in ("gpu", str(tmp_path / "plan.toml")):
        assert main([*line, other]) == 2
        assert f"holds the plan cpu, begun there: choose another --out for --plan {other}" in capsys.readouterr().err
    for same in ("cpu", "auto", str(tmp_path / "out" / "cpu.toml")):
        assert main([*line, same]) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"cpu.toml"}

    out = shutil.copytree(made, tmp_path / "made")
    (out / "wide-seed0").rename(out / "base-seed0")  # a run of that name in the plan for a processor
    assert main(["--data", str(data), "--out", str(out), "--smoke", "--train-only", "--plan", "cpu"]) == 2
    assert "base-seed0 is a run with other settings" in capsys.readouterr().err and not (out / "cpu.toml").exists()


def test_a_run_that_fails_is_told_with_its_last_words(released, tmp_path, capsys):
    _, plan, _ = released
    assert main(["--data", str(tmp_path), "--out", str(tmp_path / "out"), "--plan", str(plan), "--smoke"]) == 2
    assert "wide-seed0 failed: error: " in capsys.readouterr().err


@functools.cache
def parameters(architecture):
    return build_model(architecture).count_params()


@pytest.mark.parametrize("name", ["cpu", "gpu"])
def test_the_plans_that_are_brought_along_can_be_built(name):
    plan = read_plan(PLANS / f"{name}.toml")
    for stage in plan.stages:
        short = next(one for one in plan.smoke().stages if one.name == stage.name)
        assert parameters(short.recipe(0).architecture) < parameters(stage.recipe(0).architecture) / 10


def test_several_runs_of_a_stage_may_teach(tmp_path):
    path = tmp_path / "plan.toml"
    path.write_text("[stages.a]\nseeds = [0, 1]\n[stages.b]\nteachers = ['a']\ndistillation = 0.5")
    assert read_plan(path).of("a").seeds == (0, 1)


def test_a_stage_may_begin_with_weights_that_were_learned_with_another_dropout(tmp_path):
    path = tmp_path / "plan.toml"
    path.write_text("[stages.a]\nattention_blocks = [1, 2]\n[stages.b]\nstart = 'a'\nattention_blocks = [2, 1]\n")
    with path.open("a") as file:
        file.write("spatial_dropout = 0.3\ndense_dropout = [0.0]")
    assert read_plan(path).of("b").start == "a"


def test_all_epochs_of_a_stage_may_be_gentle(tmp_path):
    path = tmp_path / "plan.toml"
    path.write_text("[stages.a]\nepochs = 3\ngentle_epochs = 3")
    [stage] = read_plan(path).stages
    assert stage.recipe(0).training.gentle_epochs == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[stages.a]\nstart = 'b'\n[stages.b]", r"\[stages.a\]: b is no stage before it; those are none"),
        ("[stages.a]\n[stages.b]\nteachers = ['a']", r"\[stages.b\]: give both teachers and a distillation above 0"),
        ("[stages.a]\nepochs = 0", r"\[stages.a\]: epochs=0: use a value from 1"),
        ("[stages.a]\nepochs = 6.0", r"\[stages.a\]: argument --epochs: invalid int value: '6.0'"),
        ("[stages.a]\n[stages.b]\nstart = 'a'\nskip_connections = true", r"start = 'a': that is another network"),
        ("[stages.a]\nlayers = 3", r"\[stages.a\]: unknown setting layers"),
        ("[stages.a]\nseeds = [1, 1]", r"seeds = \[1, 1\]: give different whole numbers"),
        ("[stages.a]\nseeds = [0, -2]", r"seeds = \[0, -2\]: give different whole numbers from 0 to 4294967295"),
        ("[stages.a]\nseeds = [20260101120000]", "give different whole numbers from 0 to 4294967295"),
        ("[stages.a]\n[stages.b]\nstart = ['a']", r"start = \['a'\]: give the name of one stage"),
        ("[stages.a]\n[stages.b]\nteachers = 'a'", r"teachers = 'a': give a list of stages' names"),
        ("[stages.a]\n[stages.b]\nteachers = [['a']]", r"teachers = \[\['a'\]\]: give a list of stages' names"),
        (
            "common = {device_augmentation = true}\n[stages.a]\nimage_size = 32\n"
            "[stages.b]\nteachers = ['a']\ndistillation = 0.5",
            r"\[stages.b\]: its teacher a looks at faces of 32 pixels, it itself at 48: with device_augmentation give",
        ),
        ("[stages.a]\nfrozen_blocks = 2", r"\[stages.a\]: frozen_blocks = 2: they keep the weights of a start"),
        (
            "[stages.a]\n[stages.b]\nstart = 'a'\nfrozen_blocks = 5",
            "frozen_blocks = 5: give a whole number from 0 to 4",
        ),
        ("[stages.a]\n[stages.b]\nstart = 'a'\nfrozen_blocks = true", "frozen_blocks = True: give a whole number"),
        (
            "[stages.a]\nseeds = [0, 1]",
            r"\[stages.a\]: seeds = \[0, 1\] without a start: .*; give it a start, or one seed",
        ),
        (
            "[stages.a]\n[stages.b]",
            r"\[stages.a\]: no later stage uses it: name a there as start or teacher, or remove",
        ),
        (
            "[stages.a]\nseeds = [0, 1]\n[stages.b]\nstart = 'a'",
            r"\[stages.a\]: seeds = \[0, 1\]: b begins with the first alone; give one seed",
        ),
        ("[stages.a]\nseed = 1", "seed is no setting of a stage"),
        ("[stages.a]\npreset = 'huge'", "preset = 'huge': choose one of"),
        ("together = 0\n[stages.a]", "together = 0: give a whole number of at least 1"),
        ("[runs.a]", "unknown entry runs"),
        ("", "stages stand in tables"),
        ("[stages.a", "cannot be read as TOML"),
    ],
)
def test_a_plan_that_cannot_be_run_is_refused_before_it_begins(tmp_path, text, message):
    path = tmp_path / "plan.toml"
    path.write_text(text)
    with pytest.raises(PlanError, match=message):
        read_plan(path)


def test_a_plan_is_spelled_as_commands_that_anybody_can_repeat(released):
    data, plan, out = released
    stages = Stages(read_plan(plan), data, out)
    command = stages.command(stages.plan.of("final"), 2)
    assert command[1:3] == ["-m", "train"] and command[command.index("--start") + 1].endswith("student-seed0")
    assert command[command.index("--seed") + 1] == "2" and "--epochs" in command
    assert command[command.index("--frozen-blocks") + 1] == "1"
    teacher = stages.command(stages.plan.of("student"), 0)
    assert teacher[teacher.index("--teacher") + 1].endswith("wide-seed0")


def leaning(faces, bias, seed=0):
    """Labels, and a classifier's probabilities that lean by `bias`, float32 `(faces, 3)`."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (faces, 3))
    true = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = np.array([rng.choice(3, p=row) for row in true])
    leaned = np.exp(logits + bias)
    return labels, np.float32(leaned / leaned.sum(1, keepdims=True))


def test_a_leaning_is_found_on_validation_and_taken_back():
    labels, probabilities = leaning(6000, np.array([1.5, 0, 0]))
    correction = choose_correction(labels, probabilities, np.full(3, 1 / 3))
    assert correction.strength >= 0.5 and correction.shift[0] < correction.shift[1:].min() - 0.5
    named = (np.log(probabilities) + correction.shift).argmax(1)
    assert (named == labels).mean() > (probabilities.argmax(1) == labels).mean() + 0.02


def test_a_network_without_a_leaning_keeps_its_answers():
    labels, probabilities = leaning(6000, np.zeros(3))
    correction = choose_correction(labels, probabilities, np.full(3, 1 / 3))
    assert np.abs(correction.shift).max() < 0.1


def test_of_equally_good_corrections_the_most_even_handed_is_taken():
    labels, probabilities = leaning(200, np.zeros(3))
    correction = choose_correction(labels, probabilities, np.array([0.2, 0.3, 0.5]))
    assert correction.adjustment > 0
    assert correction.shift[0] > correction.shift[1] > correction.shift[2]
    assert replace(correction, strength=0.0, adjustment=0.0).shift.tolist() == [0, 0, 0]


def test_the_bias_of_answers_that_are_no_better_than_chance_stays_small():
    labels, probabilities = leaning(200, np.zeros(3))
    for others in (labels[::-1], probabilities.argmin(axis=1)):
        correction = choose_correction(others, probabilities, np.full(3, 1 / 3))
        assert np.abs(correction.bias).max() < 2


def test_of_an_emotion_that_no_training_face_shows_nothing_is_corrected():
    labels, probabilities = leaning(200, np.zeros(3))
    correction = choose_correction(labels, probabilities, np.array([0.5, 0.5, 0.0]))
    assert np.isfinite(correction.shift).all()
    assert replace(correction, strength=0.0, adjustment=1.0).shift.tolist() == [0, 0, 0]
