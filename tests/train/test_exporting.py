"""How the files of a new model take the place of those before."""

from train.exporting.files import move_in


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
