import csv
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from PIL import Image

from emotion_model import EMOTIONS
from support.paths import ROOT
from support.training import faces, names, write_parquet
from train.ablate import main
from train.config import PRESETS, settings, with_settings
from train.data.fer2013 import load_split
from train.experiments.measures import corrected_scores
from train.experiments.plans import PlanError, read_plan
from train.experiments.running import begin
from train.experiments.table import collect

PLAN = """
preset = "seed"
seeds = [0, 1]
[common]
filters = [4, 8]
kernel_sizes = [[3], [3]]
attention_blocks = []
dense_units = [8]
dense_dropout = [0.1]
epochs = 1
batch_size = 16
image_size = 16
[runs.reference]
[runs.skips]
skip_connections = true
"""

pytestmark = pytest.mark.usefixtures("warm_programs")


def write_data(folder):
    data = folder / "data"
    data.mkdir()
    for split, seed in (("train", 0), ("validation", 1), ("test", 2)):
        write_parquet(data, split, faces(28, seed), names(28))
    return data


def write_plan(tmp_path, text):
    path = tmp_path / "plan.toml"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory, warm_programs):
    """The data and the folder of the plan above, made; never changed."""
    folder = tmp_path_factory.mktemp("plan")
    data, out = write_data(folder), folder / "out"
    assert main([str(write_plan(folder, PLAN)), "--data", str(data), "--out", str(out)]) == 0
    return data, out


@pytest.fixture
def out(made, tmp_path):
    """A copy of that folder."""
    return shutil.copytree(made[1], tmp_path / "out")


def test_a_plan_gives_a_table_and_a_plot_and_goes_on_where_it_was(tmp_path, made, capsys):
    data, out = made
    with (out / "results.csv").open() as file:
        rows = {row["run"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["reference", "skips"]
    assert int(rows["skips"]["parameters"]) > int(rows["reference"]["parameters"])
    assert rows["reference"]["difference"] == "0.0" and rows["skips"]["changes"] == "skip_connections true"
    for row in rows.values():
        assert row["seeds"] == "2" and row["failed"] == "0" and row["accuracy_spread"] != ""
        assert 0 <= float(row["accuracy"]) <= 1 and float(row["ms_per_face"]) > 0 and int(row["train_faces"]) == 28
        assert 0 <= float(row["worst_f1"]) <= float(row["macro_f1"]) and row["worst_emotion"] in EMOTIONS
        assert row["damaged"] == "", "nobody asked"
    with Image.open(out / "results.png") as plot:
        assert plot.width > 600 and len(plot.convert("RGB").getcolors(1 << 20)) > 10
    again = [str(write_plan(tmp_path, PLAN)), "--data", str(data), "--out", str(out)]
    capsys.readouterr()
    assert main(again) == 0
    assert "[" not in capsys.readouterr().out.split("reference")[0], "runs were made anew"
    with pytest.raises(SystemExit):
        main([*again, "--limit", "0"])
    assert "--limit 0: use a number of at least 1" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*again, "--only", "skips", "--keep"])
    assert "leave out --only" in capsys.readouterr().err
    for text, more in ((PLAN, ["--limit", "20"]), (PLAN.replace("epochs = 1\n", "epochs = 2\n"), [])):
        command = [str(write_plan(tmp_path, text)), "--data", str(data), "--out", str(out), *more]
        assert main(command) == 2, "old figures under new settings"
        assert "reference-seed0 is a run with other settings" in capsys.readouterr().err


def test_runs_are_compared_by_the_seeds_that_both_have(out, tmp_path):
    plan = read_plan(write_plan(tmp_path, PLAN))
    for folder, value in {"reference-seed0": 0.4, "reference-seed1": 0.6, "skips-seed0": 0.45}.items():
        metrics = json.loads((out / folder / "metrics.json").read_text())
        metrics["validation"]["accuracy"] = value
        (out / folder / "metrics.json").write_text(json.dumps(metrics))
    (out / "skips-seed1" / "metrics.json").unlink()
    reference, skips = collect(plan, out)
    assert (reference["seeds"], skips["seeds"]) == (2, 1) and reference["difference"] == 0
    assert skips["difference"] == pytest.approx(0.05), "the mean over other seeds says -0.05"


@pytest.mark.parametrize(("device", "name"), [(None, r"\d+-cores?"), ("NVIDIA H200 (80GB)", "nvidia-h200-80gb")])
def test_results_are_kept_under_the_name_of_what_made_them(device, name, monkeypatch, tmp_path):
    monkeypatch.setattr("train.experiments.ablation.device_name", lambda: device)
    monkeypatch.setattr("train.ablate.RESULTS", tmp_path / "results")
    monkeypatch.setattr("train.ablate.ablate", lambda *_: [])
    (tmp_path / "results").mkdir()
    for suffix in ("csv", "png"):
        (tmp_path / f"results.{suffix}").write_text("made")
    assert main([str(write_plan(tmp_path, PLAN)), "--data", "data", "--out", str(tmp_path), "--keep"]) == 0
    kept = sorted(path.name for path in (tmp_path / "results").iterdir())
    backend = os.environ["KERAS_BACKEND"]
    assert all(re.fullmatch(rf"plan-{name}-{backend}\.(csv|png)", one) for one in kept) and len(kept) == 2


def test_complete_runs_that_learned_from_other_data_are_refused(tmp_path, made, out, capsys):
    corrected = shutil.copytree(made[0], tmp_path / "corrected")
    write_parquet(corrected, "train", faces(28, 0), names(28)[::-1])
    line = [str(write_plan(tmp_path, PLAN)), "--out", str(out), "--data"]
    assert main([*line, str(corrected)]) == 2
    assert "reference-seed0 is a run with other settings" in (said := capsys.readouterr().err)
    assert "(other faces, labels or votes than --data now has): remove it or choose" in said
    assert main([*line, str(made[0])]) == 0
    for path in out.glob("*-seed*/config.json"):
        config = json.loads(path.read_text())
        del config["data"]["sha256"]  # as of a run that began before this was recorded
        path.write_text(json.dumps(config))
    assert main([*line, str(corrected)]) == 0


def test_a_share_of_votes_that_a_complete_run_did_without_is_noticed(tmp_path, made, out, capsys):
    line = ["--data", str(made[0]), "--out", str(out), "--only", "reference"]
    plan = str(write_plan(tmp_path, PLAN.replace("epochs = 1\n", "epochs = 1\nferplus_weight = 0.3\n")))
    assert main([plan, *line]) == 2
    assert "(ferplus_weight 0.0, now 0.3): remove it or choose" in capsys.readouterr().err
    for said in ({"votes": False}, {}):  # none to learn from, or begun before that was recorded
        for path in out.glob("*-seed*/config.json"):
            config = json.loads(path.read_text())
            config["data"] = {name: value for name, value in config["data"].items() if name != "votes"} | said
            path.write_text(json.dumps(config))
        assert main([plan, *line]) == 0


def test_damaged_faces_are_measured_where_asked_and_once(tmp_path, made, out, capsys):
    command = [str(write_plan(tmp_path, PLAN)), "--data", str(made[0]), "--out", str(out), "--robustness"]
    assert main(command) == 0
    with (out / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert all(0 <= float(row["damaged"]) <= 1 and row["damaged_spread"] != "" for row in rows)
    kept = out / "skips-seed1" / "robustness.json"
    record = json.loads(kept.read_text())
    points = [point["accuracy"] for curve in record["curves"].values() for point in curve["points"][1:]]
    assert len(points) == 44 and record["faces"] == 28
    record["curves"] = {"noise": {"points": [{"accuracy": 0.0}, {"accuracy": 1.0}]}}
    kept.write_text(json.dumps(record))
    for name in ("reference-seed0", "skips-seed0"):
        (out / name / "model.keras").unlink()  # the records are enough
    assert main(command) == 0
    with (out / "results.csv").open() as file:
        again = list(csv.DictReader(file))
    assert again[0]["damaged"] == rows[0]["damaged"] and again[1]["damaged"] != rows[1]["damaged"]
    assert again[0]["ms_per_face"] == ""


def test_runs_are_measured_as_an_export_would_correct_them_where_asked(tmp_path, made, out):
    command = [str(write_plan(tmp_path, PLAN)), "--data", str(made[0]), "--out", str(out), "--corrected"]
    assert main(command) == 0
    with (out / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        folders = [out / f"{row['run']}-seed{seed}" for seed in (0, 1)]
        kept = [folder / "corrected.json" for folder in folders]
        scores = [json.loads(path.read_text()) for path in kept]
        kept[0].unlink()
        validation, train = (load_split(made[0], split) for split in ("validation", "train"))
        assert corrected_scores(folders[0], validation, train) == scores[0]
        for column in ("accuracy", "macro_f1"):
            mean = sum(score[column] for score in scores) / 2
            assert float(row[f"corrected_{column}"]) == pytest.approx(mean, abs=1e-4)
        assert row["corrected_worst_emotion"] in EMOTIONS and row["corrected_worst_f1_spread"] != ""


def test_every_run_of_a_plan_may_begin_with_the_weights_of_a_model(tmp_path, made, out):
    started = f'start = "{out.name}/reference-seed0"\nfrozen_blocks = 1\n' + PLAN.replace("[0, 1]", "[3]")
    plan = write_plan(tmp_path, started.partition("[runs.skips]")[0])
    command = ["--data", str(made[0]), "--out", str(tmp_path / "ends")]
    assert main([str(plan), *command]) == 0
    start = json.loads((tmp_path / "ends" / "reference-seed3" / "config.json").read_text())["start"]
    assert start["run"] == "reference-seed0" and start["frozen_blocks"] == 1
    assert main([str(plan), *command]) == 0, "nothing has changed"
    plan.write_text(plan.read_text().replace("frozen_blocks = 1", "frozen_blocks = 2"))
    assert main([str(plan), *command]) == 2, "more weights are kept now"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("start = 3", "start = 3: give `bundled`"),
        ('start = "nowhere"', "start = 'nowhere': .*nowhere is not there"),
        ("frozen_blocks = 1", "frozen_blocks = 1: give a whole number, and the start"),
        ('start = "bundled"\nfrozen_blocks = -1', "frozen_blocks = -1: give a whole number"),
        (
            'start = "bundled"\nfrozen_blocks = 3',
            r"\[runs.reference\]: frozen_blocks = 3: give a whole number from 0 to 2",
        ),
    ],
)
def test_what_a_plan_cannot_begin_with_is_refused(tmp_path, lines, said):
    with pytest.raises(PlanError, match=said):
        read_plan(write_plan(tmp_path, f"{lines}\n{PLAN}"))


def test_what_no_run_could_begin_with_is_told_once_before_any_begins(tmp_path, made, out, capsys):
    (out / "skips-seed0" / "metrics.json").unlink()  # as in a run that is not at its end
    for start, data, said in (
        ("bundled", made[0], "plan: [runs.reference]: start = 'bundled': that is another network"),
        (f"{out.name}/reference-seed0", made[0], "[runs.skips]: start = '"),
        (f"{out.name}/skips-seed0", made[0], "skips-seed0 holds no finished run"),
        ("bundled", tmp_path / "nowhere", "nowhere: no such folder"),
    ):
        plan = write_plan(tmp_path, f'start = "{start}"\n{PLAN}')
        assert main([str(plan), "--data", str(data), "--out", str(tmp_path / "ends")]) == 2
        assert said in capsys.readouterr().err
    assert not (tmp_path / "ends").exists()


def test_chosen_runs_of_a_plan_are_made_alone(tmp_path, made, out, capsys):
    text = PLAN.replace("seeds = [0, 1]", "seeds = [0]")
    plan = write_plan(tmp_path, f'{text}[runs.longer]\nloss = "cross_entropy"\nepochs = 12\n')
    assert read_plan(plan).runs["longer"]["epochs"] == 12, "a run's own setting goes before the common one"
    shutil.rmtree(out / "skips-seed0")
    command = [str(plan), "--data", str(made[0]), "--out", str(out), "--only"]
    assert main([*command, "skips"]) == 0
    with (out / "results.csv").open() as file:
        assert [row["run"] for row in csv.DictReader(file)] == ["reference", "skips"]
    assert main([*command, "hops"]) == 2
    assert "no run hops; it has reference, skips, longer" in capsys.readouterr().err


def test_a_failed_run_does_not_stop_the_rest(tmp_path, made, out, capsys):
    text = PLAN.replace("seeds = [0, 1]", "seeds = [0]").replace("[runs.skips]", "[runs.last]")
    text = text.replace("[runs.reference]", '[runs.reference]\n[runs.broken]\nloss = "cross_entropy"\nimage_size = 8')
    plan = write_plan(tmp_path, text)
    (out / "broken-seed0").mkdir()
    (out / "broken-seed0" / "config.json").write_text("{}")  # as if of another configuration
    assert main([str(plan), "--data", str(made[0]), "--out", str(out)]) == 1
    with (out / "results.csv").open() as file:
        rows = {row["run"]: row for row in csv.DictReader(file)}
    assert rows["broken"]["failed"] == "1" and rows["broken"]["accuracy"] == ""
    assert rows["last"]["failed"] == "0" and rows["last"]["accuracy"] != ""
    assert "another configuration" in capsys.readouterr().out


def test_the_time_left_is_that_of_the_runs_to_make_by_those_that_came_to_their_end(
    tmp_path, made, out, capsys, monkeypatch
):
    now = [0.0]

    def made_in_a_minute(command, folder):
        now[0] += 60
        if folder.name == "skips-seed0":
            return 1
        shutil.copytree(made[1] / folder.name, folder, dirs_exist_ok=True)
        return 0

    monkeypatch.setattr("train.experiments.ablation._run", made_in_a_minute)
    monkeypatch.setattr("train.experiments.ablation.time", SimpleNamespace(monotonic=lambda: now[0]))
    for name in ("reference-seed0", "skips-seed0", "reference-seed1"):
        (out / name / "metrics.json").unlink()
    assert main([str(write_plan(tmp_path, PLAN)), "--data", str(made[0]), "--out", str(out)]) == 1
    printed = capsys.readouterr().out
    assert re.findall(r"^\[.*", printed, re.MULTILINE) == [
        "[2/4] reference, seed 0", "[3/4] skips, seed 0, about 2:00 left", "[4/4] reference, seed 1, about 1:00 left"
    ]  # fmt: skip


def test_the_command_in_a_log_can_be_repeated(tmp_path):
    command = [sys.executable, "-c", "print('made')", str(tmp_path / "my faces")]
    begin(command, tmp_path / "run").wait()
    first, last = (tmp_path / "run" / "log.txt").read_text().splitlines()
    assert shlex.split(first) == ["$", *command] and last == "made"


def test_a_stopped_plan_stops_its_run_too(tmp_path):
    plan = write_plan(tmp_path, PLAN.replace("epochs = 1\n", "epochs = 5000\n"))
    command = [
        sys.executable,
        "-m",
        "train.ablate",
        str(plan),
        "--data",
        str(write_data(tmp_path)),
        "--out",
        str(tmp_path / "out"),
    ]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    history = tmp_path / "out" / "reference-seed0" / "history.json"
    for _ in range(900):
        if history.exists():
            break
        time.sleep(0.1)
    assert history.exists(), "the run did not begin"
    process.send_signal(signal.SIGTERM)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 130 and "goes on from here" in printed
    assert (tmp_path / "out" / "reference-seed0" / "checkpoint" / "state.json").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[runs", "cannot be read as TOML"),
        ("seeds = [0]", "holds no run"),
        ("presets = 'seed'\n[runs.a]", "unknown entry presets"),
        ("preset = 'huge'\n[runs.a]", "choose one of"),
        ("seeds = [1, 1]\n[runs.a]", "different whole numbers"),
        ("[runs.a]\nlearning_speed = 1", r"\[runs.a\]: unknown setting learning_speed"),
        ("[runs.a]\nrotation = 400", r"\[runs.a\]: rotation=400"),
        ("[common]\npooling = 'sum'\n[runs.a]", "pooling='sum'"),
        ("[common]\nseed = 5\n[runs.a]", "seed is no setting of a run"),
        ("[runs.a]\nepochs = 10.5", r"\[runs.a\]: argument --epochs: invalid int value"),
        ("[runs.a]\nrotation = true", "argument --rotation: expected one argument"),
        ("[runs.a]\nclasses = 8", "unrecognized arguments: --classes 8"),
        ("[common]\nweight_decay = 0.1\n[runs.a]", r"\[runs.a\]: weight_decay=0.1 does nothing with optimizer='adam'"),
        ("[runs.a]\ndistillation = 0.5", r"\[runs.a\]: distillation needs a teacher, which no run"),
        ("seeds = 3\n[runs.a]", "seeds = 3: give different whole numbers"),
        ("seeds = [1, -2]\n[runs.a]", "give different whole numbers from 0 to 4294967295"),
        ("seeds = [true]\n[runs.a]", "different whole numbers"),
        ("preset = ['seed']\n[runs.a]", "choose one of"),
        ("common = 3\n[runs.a]", "settings stand in tables"),
        ("[runs]\na = 3", "settings stand in tables"),
    ],
)
def test_a_plan_that_cannot_work_is_refused_before_anything_runs(tmp_path, text, message):
    with pytest.raises(PlanError, match=message):
        read_plan(write_plan(tmp_path, text))


def test_the_plans_that_come_along_are_valid():
    plans = sorted((ROOT / "train" / "plans").glob("*.toml"))
    assert plans
    for path in plans:
        plan = read_plan(path)
        assert not next(iter(plan.changes.values())), "the first run is the one to compare with"


def test_every_setting_can_be_changed_and_an_unknown_one_is_named():
    assert with_settings(PRESETS["seed"], {}) == PRESETS["seed"]
    changed = with_settings(PRESETS["seed"], {"pooling": "max", "learning_rate": 1e-3, "rotation": 45.0})
    assert changed.architecture.pooling == "max" and changed.training.learning_rate == 1e-3
    assert changed.training.augmentation.rotation == 45 and changed.training.augmentation.zoom == 0.2
    assert {"filters", "batch_size", "flip", "loss"} <= set(settings())
    with pytest.raises(ValueError, match="speed"):
        with_settings(PRESETS["seed"], {"speed": 1})
