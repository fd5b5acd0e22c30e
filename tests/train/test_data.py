import csv
import hashlib
import os
import unicodedata
from dataclasses import replace

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emotion_model import EMOTIONS
from emotion_model.faces.cropping import network_input
from emotion_model.faces.detection import FINDERS, FaceDetector
from support.paths import fer2013
from support.training import faces, names, nothing, write_parquet
from train.config import AugmentationConfig, TrainingConfig
from train.data.fer2013 import (
    DataError,
    FaceDataset,
    class_weights,
    load_split,
    resized,
    soft_targets,
    without_images_of,
)
from train.data.framing import BORDER, measure
from train.data.pictures import (
    Picture,
    class_folders,
    class_named,
    digest,
    read_pictures,
    with_splits,
    write_list,
)
from train.data.variations import augment, cut_and_mixed, mixed, mixup_partners

CSV_ORDER = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


def write_csv(folder, rows, header=("emotion", "pixels", "Usage"), name="fer2013.csv", encoding="utf-8"):
    with (folder / name).open("w", newline="", encoding=encoding) as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def write_folders(folder, split, images, emotions):
    for i, (image, emotion) in enumerate(zip(images, emotions, strict=True)):
        (folder / split / emotion).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / split / emotion / f"{i:03}.png"), image)


def test_parquet(tmp_path):
    images = faces(14, 0)
    write_parquet(tmp_path, "train", images, names(14))
    dataset = load_split(tmp_path, "train")
    assert (dataset.images == images).all()
    assert [EMOTIONS[label] for label in dataset.labels] == names(14)
    assert dataset.votes.shape == (14, 7) and dataset.other_votes.shape == (14, 3)


def test_ferplus_votes_are_put_in_label_order(tmp_path):
    votes = [[9, 1, 0, 0, 0, 0, 0, 0, 0, 0], [0, 0, 2, 3, 4, 5, 6, 0, 0, 0]] + [[0] * 10] * 5
    write_parquet(tmp_path, "test", faces(7, 0), names(7), votes=votes)
    dataset = load_split(tmp_path, "test")
    assert dict(zip(EMOTIONS, dataset.votes[0], strict=True))["neutral"] == 9
    assert dict(zip(EMOTIONS, dataset.votes[1], strict=True)) == {
        "angry": 4, "disgust": 5, "fear": 6, "happy": 0, "neutral": 0, "sad": 3, "surprise": 2
    }  # fmt: skip


@pytest.mark.parametrize(
    ("header", "encoding"),
    [
        (("emotion", "pixels", "Usage"), "utf-8"),
        (("emotion", " pixels", " Usage"), "utf-8"),
        (("emotion", "pixels", "Usage"), "utf-8-sig"),  # as spreadsheets save it
    ],
)
def test_the_original_csv(tmp_path, header, encoding):
    images = faces(21, 1)
    usages = ["Training"] * 7 + ["PublicTest"] * 7 + ["PrivateTest"] * 7
    pairs = zip(images, usages, strict=True)
    rows = [(i % 7, " ".join(map(str, image.ravel())), usage) for i, (image, usage) in enumerate(pairs)]
    write_csv(tmp_path, rows, header, "icml_face_data.csv" if header[1][0] == " " else "fer2013.csv", encoding)
    for split, part in (("train", slice(0, 7)), ("validation", slice(7, 14)), ("test", slice(14, 21))):
        dataset = load_split(tmp_path, split)
        assert (dataset.images == images[part]).all()
        assert [EMOTIONS[label] for label in dataset.labels] == list(CSV_ORDER)
        assert dataset.votes is None


VOTED = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF")


def write_csv_with_votes(folder, usages=("Training",) * 7 + ("PublicTest",) * 7 + ("PrivateTest",) * 7, vote=str):
    """FER2013's CSV and FER+'s beside it: the votes for the eighth class of face i are i, for the others 0 and 1."""
    published = ["Training"] * 7 + ["PublicTest"] * 7 + ["PrivateTest"] * 7
    write_csv(folder, [(i % 7, " ".join(["7"] * 2304), usage) for i, usage in enumerate(published)])
    votes = [(usage, f"fer{i:07}.png", *map(vote, (0, 1, 0, 0, 1, 0, 0, i, 0, 0))) for i, usage in enumerate(usages)]
    write_csv(folder, votes, ("Usage", "Image name", *VOTED), "fer2013new.csv")


def test_the_original_csv_with_the_votes_of_ferplus_beside_it(tmp_path):
    write_csv_with_votes(tmp_path)
    for split, first in (("train", 0), ("validation", 7), ("test", 14)):
        dataset = load_split(tmp_path, split)
        assert dataset.votes.dtype == np.float32 and dataset.votes.shape == (7, 7)
        assert dict(zip(EMOTIONS, dataset.votes[0], strict=True)) == {
            "angry": 1, "disgust": 0, "fear": 0, "happy": 1, "neutral": 0, "sad": 0, "surprise": 0
        }  # fmt: skip
        assert dataset.other_votes.tolist() == [[i, 0, 0] for i in range(first, first + 7)]
    assert soft_targets(dataset, 1.0, 0.0)[0, EMOTIONS.index("happy")] == 0.5


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"usages": ("Training",) * 20}, r"20 rows are not those of the 21 faces"),
        ({"usages": ("PublicTest",) * 7 + ("Training",) * 7 + ("PrivateTest",) * 7}, "remove this one"),
        ({"vote": lambda votes: "many"}, "line 2: votes have to be numbers"),
    ],
)
def test_votes_of_other_faces_are_refused(tmp_path, changed, words):
    write_csv_with_votes(tmp_path, **changed)
    with pytest.raises(DataError, match=words):
        load_split(tmp_path, "train")


@pytest.mark.parametrize("named", [False, True])
def test_folders_without_validation_take_it_from_test_and_never_from_train(tmp_path, named, capsys):
    write_folders(tmp_path, "train", faces(140, 2), names(140))
    write_folders(tmp_path, "test", faces(28, 3), names(28))
    if named:  # one of four is public
        for emotion in (tmp_path / "test").iterdir():
            for i, file in enumerate(sorted(emotion.iterdir())):
                file.rename(file.with_name(f"{'PrivateTest' if i else 'PublicTest'}_{file.name}"))
    train, validation, test = (load_split(tmp_path, split) for split in ("train", "validation", "test"))
    assert (len(train), len(validation), len(test)) == (140, 7, 21) if named else (140, 14, 14)
    assert np.bincount(validation.labels).tolist() == [1 if named else 2] * 7
    assert without_images_of(train, [validation, test])[1] == without_images_of(test, [validation])[1] == 0
    assert capsys.readouterr().err.count("part of test/ is validation, the rest test") == 1


@pytest.mark.parametrize("name", ["validation", "val", "valid"])
def test_folders_with_validation_use_it_and_resize(tmp_path, name, capsys):
    for split in ("train", "test"):
        write_folders(tmp_path, split, faces(70, 2), names(70))
    write_folders(tmp_path, name, [np.full((96, 60), 5, np.uint8)] * 7, names(7))
    assert len(load_split(tmp_path, "train")) == len(load_split(tmp_path, "test")) == 70
    assert (load_split(tmp_path, "validation").images == 5).all() and not capsys.readouterr().err


def test_of_two_validation_folders_none_is_chosen(tmp_path):
    for split in ("train", "val", "validation"):
        write_folders(tmp_path, split, faces(7, 2), names(7))
    with pytest.raises(DataError, match="validation and val are both validation: remove one"):
        load_split(tmp_path, "validation")


def test_a_sample_is_spread_over_classes_that_stand_one_after_another():
    whole = FaceDataset(faces(70, 0), np.repeat(np.arange(7), 10))
    few = whole.sample(14)
    assert len(few) == 14 and set(few.labels.tolist()) == set(range(7))
    assert len(whole.sample(1000)) == 70
    for count in (0, -3):
        with pytest.raises(ValueError, match=f"limit={count}: use a number of at least 1"):
            whole.sample(count)


def test_the_framing_of_every_detector_is_measured():
    assert set(BORDER) == set(FINDERS)


def test_a_detector_that_finds_nothing_has_no_framing():
    nothing_there = FaceDataset(np.full((3, 48, 48), 128, np.uint8), np.arange(3))
    with pytest.raises(DataError, match="haar found no face in 3 pictures"):
        measure(nothing_there, FaceDetector("haar"))


def test_training_faces_of_other_splits_are_dropped_and_counted():
    images = faces(10, 4)
    train = FaceDataset(images, np.arange(10) % 7)
    kept, dropped = without_images_of(train, [train[[2, 5]], train[[5]]])
    assert dropped == 2 and len(kept) == 8
    assert (kept.images == images[[0, 1, 3, 4, 6, 7, 8, 9]]).all()


def broken_csv(folder):
    good = " ".join(["7"] * 2304)
    rows = [(i, good, "Training") for i in range(7)]
    rows += [(0, "1 2 3", "Training"), (1, good.replace("7", "999", 1), "Training")]
    write_csv(folder, rows)


def stray_quote(folder):
    write_csv(folder, [(0, " ".join(["7"] * 2304), "Training")] * 40)
    path = folder / "fer2013.csv"
    lines = path.read_text().splitlines()
    lines[2] = lines[2].replace(",", ',"', 1)
    path.write_text("\n".join(lines))


def unknown_class_folder(folder):
    write_folders(folder, "train", faces(80, 0), [*names(70), *["joy"] * 10])


def broken_folder(folder):
    for split in ("train", "validation"):
        write_folders(folder, split, faces(70, 0), names(70))
    (folder / "train" / "sad" / "zz.jpg").write_bytes(b"\xff\xd8\xff broken")
    (folder / "train" / "fear" / "zz.png").write_bytes(b"")


def broken_parquet(folder):
    write_parquet(folder, "train", faces(7, 0), names(7))
    table = pq.read_table(folder / "train.parquet").to_pydict()
    table["image"][3] = {"bytes": b"no picture", "path": None}
    table["image"][5] = None
    pq.write_table(pa.table(table), folder / "train.parquet")


def no_folder_for_a_class(folder):
    write_folders(folder, "train", faces(60, 0), [EMOTIONS[i % 6] for i in range(60)])


def cut_parquet(folder):
    write_parquet(folder, "train", faces(7, 0), names(7))
    path = folder / "train.parquet"
    path.write_bytes(path.read_bytes()[:500])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: None, "found no FER2013"),
        (lambda folder: write_parquet(folder, "test", faces(7, 0), names(7)), r"train\.parquet: missing"),
        (
            lambda folder: write_parquet(folder, "train", faces(7, 0), names(7), drop=["emotion"]),
            "column emotion missing",
        ),
        (lambda folder: write_parquet(folder, "train", faces(6, 0), names(6)), "no image of class surprise"),
        (lambda folder: write_parquet(folder, "train", faces(7, 0), ["joy", *names(6)]), "unknown emotion joy"),
        (broken_parquet, r"2 broken images: train\.parquet row 3, train\.parquet row 5"),
        (cut_parquet, "not a readable Parquet"),
        (lambda folder: write_csv(folder, [], ("emotion", "pixels")), "column Usage missing"),
        (lambda folder: write_csv(folder, []), "no row with Usage='Training'"),
        (broken_csv, "2 broken images: line 9, line 10"),
        (
            lambda folder: write_csv(folder, [(9, "1 2", "Training")]),
            r"fer2013\.csv: line 2: unknown emotion '9'; expected 0, 1, 2, 3, 4, 5, 6",
        ),
        (
            lambda folder: write_csv(folder, [(1, "1 2", "Trainning")]),
            r"line 2: unknown Usage 'Trainning'; expected Training, PublicTest, PrivateTest",
        ),
        (
            lambda folder: write_csv(folder, [(0, "Training")], ("emotion", "Usage", "pixels")),
            "1 broken image: line 2;",
        ),
        (stray_quote, r"fer2013\.csv: line 3 cannot be read \(field larger"),
        (unknown_class_folder, "unknown class joy"),
        (broken_folder, r"2 broken images: train/fear/zz\.png, train/sad/zz\.jpg"),
        (no_folder_for_a_class, "surprise: missing"),
    ],
)
def test_what_is_wrong_with_a_data_set_is_named(tmp_path, make, said):
    make(tmp_path)
    with pytest.raises(DataError, match=said):
        load_split(tmp_path, "train")


def test_a_missing_folder_and_an_unknown_split_are_named(tmp_path):
    with pytest.raises(DataError, match="nowhere"):
        load_split(tmp_path / "nowhere", "train")
    with pytest.raises(ValueError, match="training"):
        load_split(tmp_path, "training")


def test_the_official_splits_have_their_official_sizes():
    folder = fer2013()
    splits = {split: load_split(folder, split) for split in ("train", "validation", "test")}
    assert {split: len(dataset) for split, dataset in splits.items()} == {
        "train": 28709,
        "validation": 3589,
        "test": 3589,
    }
    assert np.bincount(splits["test"].labels).tolist() == [491, 55, 528, 879, 626, 594, 416]
    kept, dropped = without_images_of(splits["train"], [splits["validation"], splits["test"]])
    assert len(kept) + dropped == 28709 and dropped > 500


def voted():
    votes = np.zeros((2, 7), np.float32)
    votes[0, 3], votes[0, 4] = 6, 2
    return FaceDataset(faces(2, 0), np.array([3, 0]), votes, np.zeros((2, 3), np.float32))


def test_targets_mix_label_votes_and_smoothing():
    targets = soft_targets(voted(), 0.5, 0.0)
    assert targets[0, 3] == pytest.approx(0.5 + 0.5 * 0.75) and targets[0, 4] == pytest.approx(0.125)
    assert targets[1, 0] == 1, "a face without votes keeps its label"
    smooth = soft_targets(voted(), 0.0, 0.7)
    assert smooth[0, 3] == pytest.approx(0.3 + 0.1) and smooth[0, 0] == pytest.approx(0.1)
    np.testing.assert_allclose(smooth.sum(axis=1), 1, rtol=1e-6)


def test_asking_for_votes_that_are_not_there_is_an_error():
    with pytest.raises(DataError, match=r"ferplus_weight=0\.3"):
        soft_targets(FaceDataset(faces(1, 0), np.array([0])), 0.3, 0)


def test_class_weights_lift_the_rare_and_keep_the_mean_face_at_one():
    labels = np.array([0] * 90 + [1] * 10)
    assert class_weights(labels, 2, 0).tolist() == [1, 1]
    balanced = class_weights(labels, 2, 1)
    assert balanced[1] / balanced[0] == pytest.approx(9) and balanced[labels].mean() == pytest.approx(1)


def test_augmentation_switched_off_changes_nothing():
    images = faces(5, 0)
    assert (augment(images, nothing(), np.random.default_rng(0)) == images).all()


def test_grey_levels_are_rounded_rather_than_cut():
    images = faces(8, 0)
    assert (augment(images, nothing(contrast=1e-6), np.random.default_rng(0)) == images).all()


def test_flip_mirrors_about_half_of_the_faces():
    images = faces(400, 0)
    varied = augment(images, nothing(flip=True), np.random.default_rng(0))
    mirrored = np.array([(a == b[:, ::-1]).all() for a, b in zip(varied, images, strict=True)])
    kept = np.array([(a == b).all() for a, b in zip(varied, images, strict=True)])
    assert (mirrored ^ kept).all() and 0.4 < mirrored.mean() < 0.6


@pytest.mark.parametrize(
    "changes",
    [{"rotation": 25}, {"shift": 0.2}, {"zoom": 0.2}, {"brightness": 0.3}, {"contrast": 0.3}, {"erasing": 1.0}],
)
def test_each_kind_of_augmentation_varies_faces_and_repeats_with_its_seed(changes):
    images = np.tile(np.linspace(40, 200, 48, dtype=np.uint8), (20, 48, 1))
    first = augment(images, nothing(**changes), np.random.default_rng(7))
    assert first.dtype == np.uint8 and first.shape == images.shape
    assert sum((a != b).any() for a, b in zip(first, images, strict=True)) >= 18
    assert (first == augment(images, nothing(**changes), np.random.default_rng(7))).all()
    assert (first != augment(images, nothing(**changes), np.random.default_rng(8))).any()


def test_mixup_blends_each_face_and_its_target_with_the_same_partner():
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (500, 4, 4, 1)).astype(np.float32)
    targets = np.eye(7, dtype=np.float32)[rng.integers(0, 7, 500)]
    shares, partners = mixup_partners(500, 0.4, np.random.default_rng(1))
    assert shares.min() >= 0.5 and 0.95 < shares.max() <= 1 and sorted(partners) == list(range(500))
    images_mixed, targets_mixed = mixed(images, shares, partners), mixed(targets, shares, partners)
    assert images_mixed.dtype == targets_mixed.dtype == np.float32
    np.testing.assert_allclose(targets_mixed.sum(axis=1), 1, rtol=1e-6)
    for i in (0, 7, 499):
        blend = shares[i] * images[i] + (1 - shares[i]) * images[partners[i]]
        np.testing.assert_allclose(images_mixed[i], blend, rtol=1e-6)
        assert targets_mixed[i, targets[i].argmax()] >= shares[i] - 1e-6


def test_cutmix_puts_a_rectangle_of_the_partner_into_each_face_and_tells_what_is_left_of_it():
    faces = np.arange(300, dtype=np.float32)[:, None, None, None] * np.ones((1, 48, 40, 1), np.float32)
    wanted, partners = mixup_partners(300, 1.0, np.random.default_rng(1))
    cut, shares = cut_and_mixed(faces, wanted, partners, np.random.default_rng(2))
    assert cut.dtype == shares.dtype == np.float32 and (faces[7] == 7).all(), "the faces themselves were changed"
    np.testing.assert_allclose(shares, wanted, atol=0.03)
    for i in np.flatnonzero(partners != np.arange(300)):
        foreign = cut[i, ..., 0] == partners[i]
        assert (foreign | (cut[i, ..., 0] == i)).all() and foreign.mean() == pytest.approx(1 - shares[i], abs=1e-6)
        rows, columns = foreign.any(axis=1).sum(), foreign.any(axis=0).sum()
        assert foreign.sum() == rows * columns, "no rectangle"
    assert len({int(np.argmax(cut[i, ..., 0].ravel() != i)) for i in range(300)}) > 100, "all in one place"


def test_shift_moves_by_up_to_its_share():
    image = np.zeros((1, 48, 48), np.uint8)
    image[0, 24, 24] = 255
    for seed in range(20):
        moved = augment(image, nothing(shift=0.2), np.random.default_rng(seed))[0]
        y, x = np.argwhere(moved == moved.max())[0]
        assert abs(x - 24) <= 10 and abs(y - 24) <= 10


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: TrainingConfig(epochs=0), "epochs=0"),
        (lambda: TrainingConfig(batch_size=0), "batch_size=0"),
        (lambda: TrainingConfig(learning_rate=0), "learning_rate=0"),
        (lambda: TrainingConfig(loss="hinge"), "focal, cross_entropy"),
        (lambda: TrainingConfig(optimizer="sgd"), "adam, adamw"),
        (lambda: TrainingConfig(schedule="step"), "plateau, one_cycle"),
        (lambda: TrainingConfig(label_smoothing=1.0), r"label_smoothing=1\.0"),
        (lambda: TrainingConfig(mixup=-0.2), r"mixup=-0\.2"),
        (lambda: TrainingConfig(ema_momentum=1.0), r"ema_momentum=1\.0"),
        (lambda: AugmentationConfig(rotation=-1), "rotation=-1"),
        (lambda: AugmentationConfig(erasing=2), "erasing=2"),
    ],
)
def test_invalid_training_values_are_quoted(make, said):
    with pytest.raises(ValueError, match=said):
        make()


def test_a_picture_whose_name_is_no_utf_8_is_listed_too(tmp_path, astronaut, detector):
    (tmp_path / "happy").mkdir()
    odd = os.fsdecode(b"fr\xf6hlich.png")
    (tmp_path / "happy" / odd).write_bytes(cv2.imencode(".png", astronaut[..., ::-1])[1].tobytes())
    pictures = read_pictures(tmp_path, class_folders(tmp_path, EMOTIONS), detector.faces, detector.classifier.config)
    write_list(tmp_path / "list.csv", pictures)
    assert "happy/fr\\xf6hlich.png,happy,usable," in (tmp_path / "list.csv").read_text(encoding="utf-8")
    assert len(digest(pictures)) == 64


def test_a_class_is_known_by_its_name_in_any_case_and_unicode_form(tmp_path):
    decomposed = unicodedata.normalize("NFD", "überrascht")
    for name in (decomposed, "HAPPY", "sad ", "Neuf"):
        (tmp_path / name).mkdir()
    assert list(class_folders(tmp_path, ("Happy", "überrascht", "Sad"))) == ["Happy", "neuf", "Sad", "überrascht"]
    assert class_named("ÜBERRASCHT", (decomposed,)) == decomposed
    (tmp_path / os.fsdecode(b"fr\xf6hlich")).mkdir()
    with pytest.raises(DataError, match=r"fr\\xf6hlich: the name of this folder is no UTF-8: rename it"):
        class_folders(tmp_path, EMOTIONS)


def test_pictures_in_hidden_folders_are_left_out_at_any_depth(tmp_path, astronaut, detector):
    album = tmp_path / ".mine"  # what the folders themselves lie in may be hidden
    for place in ("happy/holiday", "happy/.thumbnails", "happy/holiday/.trash/old", ".happy"):
        (album / place).mkdir(parents=True)
        cv2.imwrite(str(album / place / "face.png"), astronaut[..., ::-1])
    pictures = read_pictures(album, class_folders(album, EMOTIONS), detector.faces, detector.classifier.config)
    assert [picture.file for picture in pictures] == ["happy/holiday/face.png"]


def test_faces_of_another_size_are_rounded_and_those_of_the_same_size_are_no_copy():
    images = faces(5, 0)
    assert resized(images, 48) is images
    exact = network_input(images, 32)[..., 0]
    assert np.abs(resized(images, 32) - exact).max() <= 0.5
    assert np.array_equal(resized(list(images), 48), images)


def test_pictures_keep_their_sides_when_others_are_added():
    classes = [name for name in ("happy", "sad") for _ in range(100)]
    every = [
        Picture(f"{name}/{i % 100}.png", name, crop, sha256=hashlib.sha256(crop).hexdigest())
        for i, (name, crop) in enumerate(zip(classes, faces(200, 5), strict=True))
    ]

    def splits(count, seed=0, grey=0):
        some = [replace(one, crop=one.crop ^ grey) for one in every if int(one.file.split("/")[1][:-4]) < count]
        return {one.file: one.split for one in with_splits(some, ("happy", "sad"), 0.2, seed)}

    before = splits(50)
    for count in (51, 55, 60, 100):
        held_out = [file for file, split in splits(count).items() if split == "held_out"]
        assert len(held_out) == 2 * round(0.2 * count)
        assert sum(before.get(file) == "train" for file in held_out) <= 2, "learned from before"
    assert splits(50) == before != splits(50, seed=1)
    assert splits(50, grey=1) == before, "another detector's crops, or the same one's on other hardware"
