"""How the files of a new model take the place of those before."""

from emotion_model import EmotionClassifier
from train.exporting.files import move_in, with_onnx


def folder_of(path, **files):
    path.mkdir()
    for name, content in files.items():
        (path / name.replace("__", ".")).write_text(content)
    return path


def contents(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_model_that_has_no_onnx_form_leaves_none_of_the_model_before(tmp_path):
    used = folder_of(tmp_path / "used", config__json="old", emotion_cnn__keras="old", emotion_cnn__onnx="old")
    move_in(folder_of(tmp_path / "made", config__json="new", emotion_cnn__keras="new"), used)
    assert contents(used) == {"config.json": "new", "emotion_cnn.keras": "new"}
    move_in(folder_of(tmp_path / "again", emotion_cnn__keras="newer", emotion_cnn__onnx="newer"), used)
    assert contents(used) == {"config.json": "new", "emotion_cnn.keras": "newer", "emotion_cnn.onnx": "newer"}


def test_a_model_whose_onnx_form_cannot_be_run_is_made_without_it(small, converters, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("emotion_model.hub.conversion.save_onnx", lambda *given: given[-1].write_bytes(b"no network"))
    classifier = EmotionClassifier.load(small)
    assert with_onnx(classifier, tmp_path) == classifier.config
    told = capsys.readouterr().err
    assert "note: without its ONNX form this model starts slower and no browser has it: OpenVINO cannot run" in told
