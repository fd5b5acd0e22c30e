"""Every form in which the model is published gives the same probabilities; the card's examples run as they stand."""

import base64
import io
import json
import os
import re
import runpy
import subprocess
import tracemalloc
from importlib.util import find_spec

import numpy as np
import pytest
from PIL import ExifTags, Image

from emotion_model import EmotionClassifier
from emotion_model.faces.cropping import level, network_input
from emotion_model.faces.images import as_rgb, to_grey
from emotion_model.hub.conversion import CODE_DIR, IMAGE_CODE, TOLERANCE, keras_answers, sample_faces, torch_module
from emotion_model.hub.forms import prepare
from emotion_model.network.architecture import ArchitectureConfig
from emotion_model.network.backends import import_keras
from emotion_model.network.building import build_model
from emotion_model.network.calibration import scale_confidence
from emotion_model.network.config import BUNDLED_DIR
from emotion_model.network.engines import KerasEngine
from support import warm
from support.environment import of_users
from support.hub_server import Repo, running_hub
from support.models import TINY
from support.paths import ROOT

NAME = "maker/emotion-cnn"


@pytest.fixture(scope="module")
def prepared(small, converters, tmp_path_factory):
    """Two folders by the names in their cards: the bundled model, and one of other classes, size and temperature."""
    folders = {f"maker/{name}": tmp_path_factory.mktemp(name) for name in ("bundled", "small")}
    for (name, folder), model in zip(folders.items(), (BUNDLED_DIR, small), strict=True):
        prepare(model, folder, name)
    return folders


@pytest.fixture(scope="module", params=["bundled", "small"])
def published(request, prepared):
    return prepared[f"maker/{request.param}"]


@pytest.fixture(scope="module")
def pictures(astronaut):
    """Faces of many sizes, some of them dark or flat: uint8 RGB, and grey ones."""
    face = Image.fromarray(astronaut[60:200, 160:290])
    sizes = [(48, 48), (32, 32), (20, 31), (47, 60), (96, 96), (131, 140), (300, 211)]
    colour = [np.asarray(face.resize(size)) for size in sizes]
    noise = np.random.default_rng(3).integers(0, 256, (2, 48, 48), np.uint8)
    faint = [colour[4] // 8, colour[5] // 6 + 200]
    return [*colour, *faint, *noise, np.asarray(face.convert("L"))]


@pytest.fixture(scope="module")
def expected(published, pictures):
    return EmotionClassifier.load(published).predict(pictures)


@pytest.fixture(scope="module")
def modules(tmp_path_factory):
    """transformers copies the code of a model before it runs it: into a folder of the test."""
    import transformers.dynamic_module_utils

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transformers.dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path_factory.mktemp("modules")))
        yield


def inputs(published, pictures):
    size = json.loads((published / "config.json").read_text())["preprocessing"]["image_size"]
    batch = network_input(pictures, size)
    level(batch)
    return batch


def in_order(published, answers):
    emotions = EmotionClassifier.load(published).emotions
    return np.array([[{one["label"]: one["score"] for one in answer}[name] for name in emotions] for answer in answers])


def test_a_model_is_published_from_another_keras_backend_than_torch_too(small, converters):
    if not find_spec("jax"):
        pytest.skip("needs jax")
    command = [warm.python(), "-m", "emotion_model.hub", "push", NAME, "--model", str(small), "--dry-run"]
    environment = os.environ | {"KERAS_BACKEND": "jax"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "model.safetensors" in done.stdout and "emotion_cnn.onnx" in done.stdout


def reduced_precision():
    """Whether the backend that these tests run on lets a GPU round to TensorFloat-32."""
    backend = import_keras().backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.config.experimental.tensor_float_32_execution_enabled()
    if backend == "jax":
        import jax

        return jax.config.jax_default_matmul_precision != "float32"
    import torch

    return torch.backends.cudnn.allow_tf32 or torch.backends.cuda.matmul.allow_tf32


def test_forms_are_compared_with_what_keras_says_in_float32(small, monkeypatch):
    seen = []

    class Watched(KerasEngine):
        def probabilities(self, faces):
            seen.append(reduced_precision())
            return super().probabilities(faces)

    monkeypatch.setattr("emotion_model.hub.conversion.KerasEngine", Watched)
    before, classifier = reduced_precision(), EmotionClassifier.load(small)
    assert keras_answers(classifier, sample_faces(classifier.config.image_size)).shape == (5, 3)
    assert seen == [False] and reduced_precision() == before


FLOAT32_ON_OPENVINO = """
import sys
from emotion_model import EmotionClassifier
from emotion_model.hub.conversion import keras_answers, sample_faces
from emotion_model.network.backends import import_keras
from emotion_model.runtime import import_openvino
import_openvino().compile_model = lambda *_: sys.exit("Keras compiles it by itself, in bfloat16 where there is that")
classifier = EmotionClassifier.load(sys.argv[1])
print(keras_answers(classifier, sample_faces(classifier.config.image_size)).shape, import_keras().backend.backend())
"""


def test_so_they_are_where_keras_runs_on_openvino(small):
    command = [warm.python(), "-c", FLOAT32_ON_OPENVINO, str(small)]
    done = subprocess.run(command, cwd=ROOT, env=of_users(), capture_output=True, text=True, check=False)
    assert done.stdout == "(5, 3) openvino\n", done.stderr


def test_keras(published, pictures, expected):
    import keras

    model = keras.saving.load_model(published / "emotion_cnn.keras", compile=False)
    config = json.loads((published / "config.json").read_text())
    raw = model.predict(inputs(published, pictures), verbose=0)
    assert np.abs(scale_confidence(raw, config["temperature"]) - expected).max() < TOLERANCE


def test_onnx_with_any_number_of_faces(published, pictures, expected):
    import onnx
    import onnxruntime

    session = onnxruntime.InferenceSession(published / "emotion_cnn.onnx")
    batch = inputs(published, pictures)
    for count in (1, 2, len(batch)):
        probabilities = session.run(["probabilities"], {"grey_pixels": batch[:count]})[0]
        assert np.abs(probabilities - expected[:count]).max() < TOLERANCE
    labels = json.loads(session.get_modelmeta().custom_metadata_map["labels"])
    assert labels == list(EmotionClassifier.load(published).emotions)
    text = str(onnx.load(published / "emotion_cnn.onnx").graph.node)
    assert "/" not in text and ".py" not in text, "where it was made is nobody's business"


def test_transformers(published, pictures, expected, modules):
    from transformers import AutoImageProcessor, pipeline

    folder = str(published)
    processor = AutoImageProcessor.from_pretrained(folder, trust_remote_code=True)
    pixels = processor(images=pictures, return_tensors="np")["pixel_values"]
    np.testing.assert_allclose(pixels, inputs(published, pictures).transpose(0, 3, 1, 2), atol=1e-3)

    classify = pipeline("image-classification", model=folder, trust_remote_code=True)
    images = [Image.fromarray(picture) for picture in pictures]
    answers = classify(images, top_k=expected.shape[1])
    assert np.abs(in_order(published, answers) - expected).max() < TOLERANCE


def test_a_model_saved_again_by_transformers_is_the_same(published, pictures, expected, modules, tmp_path):
    import torch
    from transformers import AutoModelForImageClassification

    model = AutoModelForImageClassification.from_pretrained(str(published), trust_remote_code=True)
    model.save_pretrained(tmp_path)
    again = AutoModelForImageClassification.from_pretrained(tmp_path, trust_remote_code=True)
    pixels = torch.from_numpy(inputs(published, pictures).transpose(0, 3, 1, 2))
    with torch.no_grad():
        answer = again(pixels, labels=torch.zeros(len(pictures), dtype=torch.int64))
    assert np.abs(answer.logits.softmax(1).numpy() - expected).max() < TOLERANCE
    assert answer.loss.item() == pytest.approx(-np.log(expected[:, 0]).mean(), abs=1e-3)


def test_other_classes_than_the_networks_are_refused(published, modules):
    from transformers import AutoModelForImageClassification

    with pytest.raises(ValueError, match=r"num_labels=5: this network tells \d classes apart"):
        AutoModelForImageClassification.from_pretrained(
            str(published), num_labels=5, ignore_mismatched_sizes=True, trust_remote_code=True
        )


def test_an_inference_endpoint(published, pictures, expected, modules):
    handler = load_handler(published)
    images = [Image.fromarray(picture) for picture in pictures]
    file = as_png(pictures[0])
    text = base64.b64encode(file).decode()
    lines = base64.encodebytes(file).decode()
    for_addresses = base64.urlsafe_b64encode(file).decode().rstrip("=")
    same = [images[0], file, text, lines, for_addresses, f"data:image/png;base64,{text}"]
    assert np.abs(in_order(published, handler({"inputs": same})) - expected[0]).max() < TOLERANCE
    assert np.abs(in_order(published, handler({"inputs": images})) - expected).max() < TOLERANCE
    unusual = [transparent(pictures[-4]), deep(pictures[-1])]
    answers = in_order(published, handler({"inputs": [as_png(picture) for picture in unusual]}))
    own = EmotionClassifier.load(published).predict([as_rgb(picture) for picture in unusual])
    assert np.abs(answers - own).max() < TOLERANCE
    best = handler({"inputs": text, "parameters": {"top_k": 1}})
    assert len(best) == 1 and best[0]["score"] == pytest.approx(expected[0].max(), abs=1e-4)
    for bad in ([1], 2, {"top_k": "2"}, {"top_k": 0}, {"top_k": -1}, {"top_k": True}, {"top_k": 1.5}):
        with pytest.raises(ValueError, match="parameters:"):
            handler({"inputs": text, "parameters": bad})
    rare = b"P5 1 1 255 \0"
    for bad in ("https://example.com/face.jpg", "/etc/passwd", b"no picture", rare, "", [], 3, [images[0]] * 65):
        with pytest.raises(ValueError, match="inputs:"):
            handler({"inputs": bad})
    blank = np.zeros((7072, 7072), bool)
    for large in (as_png(blank), Image.fromarray(blank), as_png(blank[:1, :1].repeat(30_001, axis=1))):
        for given in (large, [images[0], large]):
            with pytest.raises(ValueError, match="inputs: a picture may have 50,000,000 pixels, and 30,000 a side"):
                handler({"inputs": given})


def see_through(picture, value):
    """With all pixels of a value transparent, as GIF and PNG files have it."""
    picture.info["transparency"] = value
    return picture


def kinds_of_pictures(grey):
    """One of each of Pillow's modes that files come in."""
    picture, values = Image.fromarray(grey), grey.astype(np.float32) / 255
    modes = [picture.convert(mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV")]
    modes.append(Image.merge("RGBA", [picture] * 4).convert("RGBa"))
    keyed = [
        see_through(picture.convert(mode), key) for mode, key in (("1", 0), ("L", 100), ("P", 3), ("RGB", (9,) * 3))
    ]
    unbounded = values.copy()
    unbounded[0, :3] = np.nan, np.inf, -np.inf
    deeper = [
        deep(grey),
        grey.astype(np.int32) * 300 - 500,
        values * 7 - 2,
        unbounded,
        np.full((5, 5), np.nan, np.float32),
    ]
    return [*modes, *keyed, *map(Image.fromarray, deeper)]


def image_code():
    """What the published code for pictures defines."""
    return runpy.run_path(str(CODE_DIR / f"{IMAGE_CODE}.py"))


def test_pictures_of_every_kind_are_made_grey_as_the_package_makes_them(converters):
    published = image_code()["to_grey"]
    for picture in kinds_of_pictures(np.random.default_rng(4).integers(0, 256, (300, 300), np.uint8)):
        assert np.array_equal(published(picture), to_grey(picture)), (picture.mode, picture.info)


def test_values_of_8_bits_in_an_array_of_16_are_refused_as_the_package_does(converters):
    published = image_code()["to_grey"]
    for picture in (np.full((48, 48), 255, np.uint16), np.full((48, 48, 3), 1, ">u2")):
        for read in (published, to_grey):
            with pytest.raises(ValueError, match=r"values of 0\.\.65,535 .*image\.astype\(np\.uint8\)"):
                read(picture)
    assert not published(np.zeros((48, 48), np.uint16)).any(), "black is black in both"


def test_a_picture_is_made_grey_and_small_in_little_memory(converters):
    published = image_code()
    blank = np.zeros((2000, 1000), np.uint8)
    for picture in (Image.fromarray(blank), Image.fromarray(blank.astype(np.float32)), np.dstack([blank] * 3)):
        tracemalloc.start()
        try:
            published["resize"](published["to_grey"](picture), (48, 48))
            assert tracemalloc.get_traced_memory()[1] < 10 * blank.size  # bytes; of the whole at once 28 and more
        finally:
            tracemalloc.stop()


def transparent(picture):
    """More so towards its head."""
    seen = np.repeat(np.linspace(0, 255, len(picture)).astype(np.uint8)[:, None], picture.shape[1], axis=1)
    return np.dstack([picture, seen])


def deep(grey):
    """In 16 bits."""
    return grey.astype(np.uint16) << 8


def as_png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def load_handler(folder):
    namespace = {}
    exec(compile((folder / "handler.py").read_text(), "handler.py", "exec"), namespace)  # noqa: S102
    return namespace["EndpointHandler"](str(folder))


VARIANTS = [
    {"skip_connections": True},
    {"skip_connections": True, "batch_norm": False, "attention_blocks": (1, 2)},
    {"batch_norm": False, "pooling": "max", "dense_units": (), "dense_dropout": ()},
    {"pooling": "avg", "kernel_sizes": ((5, 1), (7,)), "attention_blocks": (2,)},
    {"image_size": 37, "classes": 2, "filters": (3, 5, 7), "kernel_sizes": ((3,), (3, 3), (1,))},
]


@pytest.mark.parametrize("change", VARIANTS, ids=lambda change: "-".join(change))
def test_every_network_of_the_builder_converts(converters, tmp_path, change):
    import keras
    import torch

    from emotion_model import Label, ModelConfig

    shape = ArchitectureConfig(**(TINY.to_dict() | change))
    keras.utils.set_random_seed(4)
    model = build_model(shape)
    rng = np.random.default_rng(5)
    for variable in model.variables:  # as after training: nothing is 0 or 1
        if "seed" not in variable.path:
            variable.assign(rng.uniform(0.1, 0.9, variable.shape) / max(1, np.prod(variable.shape[:-1])) ** 0.5)
    model.save(tmp_path / "any.keras")
    labels = tuple(Label(f"class {n}") for n in range(shape.classes))
    per_class = tuple(np.linspace(0.4, 1.5, shape.classes).tolist())
    config = ModelConfig(
        labels=labels, image_size=shape.image_size, architecture=shape.to_dict(), temperature=per_class
    )
    (tmp_path / "config.json").write_text(config.to_json())
    classifier = EmotionClassifier.load(tmp_path)
    faces = rng.integers(0, 256, (3, shape.image_size, shape.image_size), np.uint8)
    with torch.no_grad():
        logits = torch_module(classifier)(torch.from_numpy(faces[:, None].astype(np.float32))).logits
    assert np.abs(logits.softmax(1).numpy() - classifier.predict(faces)).max() < TOLERANCE


DRIVER = """
import contextlib, io, json, sys
printed = []
for text in json.load(sys.stdin):
    with contextlib.redirect_stdout(io.StringIO()) as output:
        exec(compile(text, "snippet", "exec"), {"__name__": "__main__"})
    printed.append(output.getvalue())
print(json.dumps(printed))
"""


def test_the_examples_of_the_cards_run_as_they_stand(prepared, photo, pictures, tmp_path):
    """In processes that know of the loopback Hub by HF_ENDPOINT alone; what they fetch goes into their cache."""
    (tmp_path / "photo.jpg").write_bytes(photo.read_bytes())
    face = Image.fromarray(pictures[0]).convert("L")
    asked, printed = [], []
    with running_hub() as hub:
        for name, folder in prepared.items():
            size = EmotionClassifier.load(folder).config.image_size
            file = f"{size}.png"  # without loss, for the comparison; on its head, and each pixel nine times
            large = face.resize((size, size)).resize((3 * size, 3 * size), Image.Resampling.NEAREST)
            turned = Image.Exif()
            turned[ExifTags.Base.Orientation] = 3
            large.transpose(Image.Transpose.ROTATE_180).save(tmp_path / file, exif=turned)
            snippets = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
            assert len(snippets) == 4
            asked.append([text.replace("face.jpg", file) for text in snippets])
            repo = hub.repos[f"models/{name}"] = Repo()
            files = [path for path in folder.rglob("*") if path.is_file()]
            repo.commit({path.relative_to(folder).as_posix(): path.read_bytes() for path in files})
        environment = {name: value for name, value in of_users().items() if not name.startswith("HF_")}
        environment |= {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hub"), "PYTHONPATH": str(ROOT)}
        for texts, backend in zip(zip(*asked, strict=True), ("", "torch", "tensorflow", ""), strict=True):
            done = subprocess.run(
                [warm.python(), "-c", DRIVER],
                input=json.dumps(texts),
                cwd=tmp_path,
                env=environment | ({"KERAS_BACKEND": backend} if backend else {}),  # which is there already
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, done.stderr
            printed.append(json.loads(done.stdout.splitlines()[-1]))
    for folder, (own, torch, keras, onnx) in zip(prepared.values(), zip(*printed, strict=True), strict=True):
        classifier = EmotionClassifier.load(folder)
        assert own.split()[0] in classifier.emotions
        pixels = np.asarray(face.resize((classifier.config.image_size,) * 2))
        expected = dict(zip(classifier.emotions, classifier.predict([pixels])[0].tolist(), strict=True))
        answers = [
            {one["label"]: one["score"] for one in eval(torch)},  # noqa: S307
            {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in keras.splitlines()},
            eval(onnx),  # noqa: S307
        ]
        for answer in answers:
            assert set(answer) == set(expected)
            assert all(value == pytest.approx(expected[name], abs=2e-4) for name, value in answer.items())
