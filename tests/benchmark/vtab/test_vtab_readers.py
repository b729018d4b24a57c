"""Readers on small files in the original formats: which images, in which order, with which labels."""

from __future__ import annotations

import io
import pickle
import sys

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from benchmark.vtab.original_files import (
    pixels,
    smaller,
    write_clevr,
    write_dsprites,
    write_images,
    write_kitti,
    write_norb,
    write_tfrecords,
)
from head2toe.benchmark.vtab import arrays, dmlab, dsprites, photographs, retinopathy, scenes, smallnorb
from head2toe.benchmark.vtab.definitions import NORB_FILES
from head2toe.benchmark.vtab.order import tfds_order
from head2toe.errors import DataFormatError, MissingDependencyError


def names(images):
    return list(images.names)


def in_order(split, keys):
    return [str(keys[i]) for i in tfds_order(split, keys)]


def pixels_of(images, i):
    return np.asarray(images[i])


def test_dsprites_labels_and_pixels_come_in_the_order_of_vtab(tmp_path):
    factors = np.stack(
        [
            np.zeros(40, int),
            np.arange(40) % 3,
            np.arange(40) % 6,
            np.arange(40),
            np.arange(40) % 32,
            np.arange(40) % 32,
        ],
        1,
    )
    images = write_dsprites(tmp_path / "dsprites.npz", factors)
    ranges = ("train", 0, 20), ("train", 20, 30), ("train", 30, 40)
    order = tfds_order("train", range(40))
    drawn = dsprites.read_dsprites(tmp_path / "dsprites.npz", smaller("dsprites-orientation", *ranges))
    assert names(drawn.train) == [str(i) for i in order[:30]] and names(drawn.test) == [str(i) for i in order[30:]]
    assert drawn.test.labels == [str(int(i // 2.5)) for i in order[30:]]
    for place, i in enumerate(order[30:]):
        assert np.array_equal(pixels_of(drawn.test, place)[..., 0], images[i] * 255)
    location = dsprites.read_dsprites(tmp_path / "dsprites.npz", smaller("dsprites-location", *ranges))
    assert location.train.labels == [str(i % 32 // 2) for i in order[:30]]
    assert location.order == "the order of tensorflow_datasets"


def test_a_larger_dsprites_is_unpacked_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(dsprites, "_CHUNK", 7)
    factors = np.tile(np.arange(40)[:, None], 6)
    images = write_dsprites(tmp_path / "d.npz", factors)
    task = smaller("dsprites-orientation", ("train", 0, 4), ("train", 4, 8), ("train", 8, 40))
    drawn = dsprites.read_dsprites(tmp_path / "d.npz", task)
    for split in (drawn.train, drawn.test):
        for place, name in enumerate(split.names):
            assert np.array_equal(pixels_of(split, place)[..., 0], images[int(name)] * 255)


def test_smallnorb_is_read_from_its_own_matrices(tmp_path):
    info = {
        name: np.stack([np.zeros(6), i + np.arange(6) % 3, 2 * np.arange(6), np.zeros(6)], 1).astype(np.int32)
        for i, name in enumerate(("train", "test"))
    }
    views = {}
    for name, stem in NORB_FILES.items():
        views[name] = np.random.default_rng(len(name)).integers(0, 256, (6, 2, 12, 12), dtype=np.uint8)
        write_norb(tmp_path / f"{stem}-dat.mat", views[name])
        write_norb(tmp_path / f"{stem}-info.mat", info[name])
    ranges = ("train", 0, 6), ("test", 0, 2), ("test", 2, 6)
    order = {name: tfds_order(name, range(6)) for name in ("train", "test")}
    drawn = smallnorb.read_smallnorb(tmp_path, smaller("smallnorb-azimuth", *ranges))
    assert drawn.train.labels == [str(i) for i in [*order["train"], *order["test"][:2]]]  # azimuth of image i is 2 i
    assert np.array_equal(pixels_of(drawn.test, 0)[..., 0], views["test"][order["test"][2], 0])  # the first camera
    elevation = smallnorb.read_smallnorb(tmp_path, smaller("smallnorb-elevation", *ranges))
    assert elevation.test.labels == [str(1 + i % 3) for i in order["test"][2:]]


def test_a_packed_or_damaged_matrix_of_smallnorb_is_refused(tmp_path):
    (tmp_path / "packed.mat").write_bytes(b"\x1f\x8b\x08 and so on")
    with pytest.raises(DataFormatError, match="gunzip"):
        smallnorb.norb_matrix(tmp_path / "packed.mat")
    write_norb(tmp_path / "cut.mat", np.zeros((4, 2, 9, 9), np.uint8))
    (tmp_path / "cut.mat").write_bytes((tmp_path / "cut.mat").read_bytes()[:-5])
    with pytest.raises(DataFormatError, match="cut off"):
        smallnorb.norb_matrix(tmp_path / "cut.mat")
    (tmp_path / "matlab.mat").write_bytes(b"MATLAB 5.0 MAT-file, Platform: GLNXA64")
    with pytest.raises(DataFormatError, match="no matrix of smallNORB"):
        smallnorb.norb_matrix(tmp_path / "matlab.mat")


def test_clevr_counts_objects_and_measures_the_nearest(tmp_path):
    train = [[11.0] * (3 + i % 8) for i in range(10)]
    val = [[7.0, 9.2, 12.0], [8.2, 9.9, 12.0, 11.0], [10.5] * 10]
    write_clevr(tmp_path, "train", train)
    write_clevr(tmp_path, "val", val)
    ranges = ("train", 0, 6), ("train", 6, 10), ("validation", 0, 3)
    count = scenes.read_clevr(tmp_path, smaller("clevr-count", *ranges))
    keys = [f"CLEVR_train_{i:06d}.png" for i in range(10)]
    assert names(count.train) == in_order("train", keys)
    assert count.train.labels == [str(int(name[12:18]) % 8) for name in count.train.names]
    distance = scenes.read_clevr(tmp_path, smaller("clevr-distance", *ranges))
    expected = {"CLEVR_val_000000.png": "0", "CLEVR_val_000001.png": "1", "CLEVR_val_000002.png": "5"}
    assert dict(zip(distance.test.names, distance.test.labels, strict=True)) == expected
    assert names(distance.test) == in_order("validation", list(expected))
    with Image.open(tmp_path / "images" / "val" / distance.test.names[0]) as image:
        assert np.array_equal(pixels_of(distance.test, 0), np.asarray(image))


def test_clevr_scenes_of_another_form_are_refused(tmp_path):
    (tmp_path / "scenes").mkdir()
    (tmp_path / "scenes" / "CLEVR_train_scenes.json").write_text('{"questions": []}')
    with pytest.raises(DataFormatError, match="no list of CLEVR's scenes"):
        scenes.read_clevr(tmp_path, smaller("clevr-count", ("train", 0, 1), ("train", 1, 2), ("validation", 0, 1)))


def test_kitti_keeps_the_images_of_a_drive_together_and_labels_the_nearest_vehicle(tmp_path):
    drives = [f"2011_09_26_drive_{i % 20:04d}_sync" for i in range(60)]
    write_kitti(tmp_path, drives)
    splits = scenes.kitti_splits(tmp_path / "mapping")
    sides = [{drives[i] for i in numbers} for numbers in splits.values()]
    assert [len(side) for side in sides] == [16, 2, 2] and not sides[0] & sides[1] | sides[1] & sides[2] | sides[
        0
    ] & sides[2]
    state = np.random.get_state()
    np.random.seed(123)  # as tensorflow_datasets draws: the test's drives first, then those of validation
    test = np.random.choice(sorted(set(drives)), 2, replace=False)
    validation = np.random.choice(sorted(set(drives) - set(test)), 2, replace=False)
    np.random.set_state(state)
    assert sides[2] == set(test.tolist()) and sides[1] == set(validation.tolist())
    drawn = scenes.read_kitti(tmp_path, smaller("kitti", ("train", 0, 48), ("validation", 0, 6), ("test", 0, 6)))
    assert names(drawn.test) == in_order("test", [f"{i:06d}.png" for i in splits["test"]])
    assert drawn.train.labels == [str(int(name[:6]) % 4) for name in drawn.train.names]


def test_kitti_objects_are_read_without_the_regions_marked_dont_care(tmp_path):
    write_kitti(tmp_path, ["a", "b"])
    found = scenes.kitti_objects(tmp_path / "training" / "label_2" / "000001.txt")
    assert [(one.kind, one.z) for one in found] == [("Pedestrian", 0.5), ("Van", 10.5)]
    (tmp_path / "short.txt").write_text("Car 0.00 0 -1.57\n")
    with pytest.raises(DataFormatError, match="4 columns"):
        scenes.kitti_objects(tmp_path / "short.txt")


def test_an_incomplete_data_set_is_refused(tmp_path):
    write_kitti(tmp_path, ["a", "b", "c"])
    with pytest.raises(DataFormatError, match=r"1 images in train, VTAB's kitti has 6,347"):
        scenes.read_kitti(tmp_path, smaller("kitti", ("train", 0, 6347), ("validation", 0, 1), ("test", 0, 1)))


def test_cifar_binary_takes_the_fine_label(tmp_path):
    task = smaller("cifar100", ("train", 0, 5), ("train", 5, 8), ("test", 0, 4))
    images = pixels(12, 32)
    for name, part, start in (("train", images[:8], 0), ("test", images[8:], 8)):
        rows = [bytes([7, start + i]) + image.transpose(2, 0, 1).tobytes() for i, image in enumerate(part)]
        (tmp_path / f"{name}.bin").write_bytes(b"".join(rows))
    drawn = arrays.read_cifar_binary(tmp_path, task)
    order = tfds_order("test", range(4))
    assert drawn.test.labels == [str(8 + i) for i in order]
    assert np.array_equal(pixels_of(drawn.test, 1), images[8 + order[1]])
    (tmp_path / "test.bin").write_bytes(b"short")
    with pytest.raises(DataFormatError, match="no whole number"):
        arrays.read_cifar_binary(tmp_path, task)


def test_a_damaged_cifar_of_torchvision_is_refused_before_it_is_unpickled(tmp_path):
    (tmp_path / "cifar-100-python").mkdir()
    for name in ("train", "test", "meta"):
        (tmp_path / "cifar-100-python" / name).write_bytes(b"no pickle")
    with pytest.raises(DataFormatError, match="damaged or incomplete"):
        arrays.read_cifar(tmp_path, smaller("cifar100", ("train", 0, 1), ("train", 1, 2), ("test", 0, 1)))


def test_svhn_is_read_from_matlab_files_and_ten_is_zero(tmp_path):
    images = {"train": pixels(6, 32), "test": pixels(4, 32, seed=1)}
    for name, part in images.items():
        labels = np.arange(1, len(part) + 1)[:, None] + (10 - len(part))
        savemat(tmp_path / f"{name}_32x32.mat", {"X": np.moveaxis(part, 0, -1), "y": labels.astype(np.uint8)})
    drawn = arrays.read_svhn(tmp_path, smaller("svhn", ("train", 0, 4), ("train", 4, 6), ("test", 0, 4)))
    order = tfds_order("test", range(4))
    assert drawn.test.labels == [str((i + 7) % 10) for i in order]
    assert np.array_equal(pixels_of(drawn.test, 2), images["test"][order[2]])


@pytest.mark.parametrize(
    ("reader", "file", "message"),
    [
        (arrays.read_svhn, "train_32x32.mat", "cannot be read as a MATLAB file"),
        (photographs.read_flowers, "imagelabels.mat", "cannot be read as a MATLAB file"),
        (photographs.read_pets, "annotations/trainval.txt", "lines are name, class, species and breed"),
        (photographs.read_dtd, "labels/train1.txt", "cannot be read"),
        (retinopathy.read_retinopathy, "trainLabels.csv", "columns image, level and Usage"),
        (scenes.read_clevr, "scenes/CLEVR_train_scenes.json", "no list of CLEVR's scenes"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, reader, file, message):
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\xff" if "dtd" in reader.__name__ else b"a,b\n1,2\n")
    with pytest.raises(DataFormatError, match=message) as told:
        reader(tmp_path, smaller("dtd", ("train", 0, 1), ("validation", 0, 1), ("test", 0, 1)))
    assert str(tmp_path) in str(told.value) and "\n" not in str(told.value)


def test_patchcamelyon_is_read_from_hdf5(tmp_path):
    h5py = pytest.importorskip("h5py", reason="needs the extra vtab")
    for split, n in (("train", 6), ("valid", 4), ("test", 4)):
        with h5py.File(tmp_path / f"camelyonpatch_level_2_split_{split}_x.h5", "w") as file:
            file["x"] = pixels(n, 96, seed=n)
        with h5py.File(tmp_path / f"camelyonpatch_level_2_split_{split}_y.h5", "w") as file:
            file["y"] = (np.arange(n) % 2).astype(np.uint8).reshape(n, 1, 1, 1)
    drawn = arrays.read_camelyon(tmp_path, smaller("camelyon", ("train", 0, 6), ("validation", 0, 4), ("test", 0, 4)))
    assert names(drawn.train)[6:] == in_order("validation", [f"valid_{i}" for i in range(4)])
    assert drawn.test.labels == [str(int(name[5:]) % 2) for name in drawn.test.names]
    assert np.array_equal(pixels_of(drawn.test, 0), pixels(4, 96, seed=4)[int(drawn.test.names[0][5:])])


def test_without_h5py_the_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingDependencyError, match="pip install h5py"):
        arrays.read_camelyon(tmp_path, smaller("camelyon", ("train", 0, 1), ("validation", 0, 1), ("test", 0, 1)))


def test_dtd_takes_the_first_fold(tmp_path):
    lists = {
        "train1": ["banded/a.jpg", "dotted/b.jpg"],
        "val1": ["dotted/c.jpg"],
        "test1": ["banded/d.jpg", "dotted/e.jpg"],
    }
    (tmp_path / "labels").mkdir()
    for name, files in lists.items():
        (tmp_path / "labels" / f"{name}.txt").write_text("\n".join(files) + "\n")
        write_images(tmp_path / "images", files)
    drawn = photographs.read_dtd(tmp_path, smaller("dtd", ("train", 0, 2), ("validation", 0, 1), ("test", 0, 2)))
    assert names(drawn.train) == [*in_order("train", lists["train1"]), "dotted/c.jpg"]
    assert drawn.test.labels == [str(int("dotted" in name)) for name in drawn.test.names]
    assert pixels_of(drawn.test, 0).shape == (8, 8, 3)


def test_flowers_are_split_by_their_matlab_files(tmp_path):
    savemat(tmp_path / "imagelabels.mat", {"labels": np.array([[1, 2, 3, 1, 2, 3]], np.uint8)})
    savemat(tmp_path / "setid.mat", {"trnid": [[1, 5]], "valid": [[2]], "tstid": [[3, 4, 6]]})
    write_images(tmp_path / "jpg", [f"image_{i:05d}.jpg" for i in range(1, 7)])
    task = smaller("flowers102", ("train", 0, 2), ("validation", 0, 1), ("test", 0, 3))
    drawn = photographs.read_flowers(tmp_path, task)
    assert names(drawn.test) == in_order("test", ["image_00003.jpg", "image_00004.jpg", "image_00006.jpg"])
    assert drawn.test.labels == [str((int(name[6:11]) - 1) % 3) for name in drawn.test.names]


def test_pets_are_split_by_their_lists(tmp_path):
    (tmp_path / "annotations").mkdir()
    lists = {"trainval": ["Abyssinian_1 1 1 1", "beagle_2 5 2 4", "pug_3 26 2 19"], "test": ["pug_4 26 2 19"]}
    for name, rows in lists.items():
        (tmp_path / "annotations" / f"{name}.txt").write_text("\n".join(rows) + "\n")
    drawn = photographs.read_pets(tmp_path, smaller("pets", ("train", 0, 2), ("train", 2, 3), ("test", 0, 1)))
    assert names(drawn.train) == in_order("train", ["Abyssinian_1.jpg", "beagle_2.jpg", "pug_3.jpg"])
    labels = dict(zip(drawn.train.names, drawn.train.labels, strict=True))
    assert labels == {"Abyssinian_1.jpg": "0", "beagle_2.jpg": "4", "pug_3.jpg": "25"} and drawn.test.labels == ["25"]


def test_eurosat_and_resisc_are_a_folder_a_class(tmp_path):
    files = [f"{name}/{name}_{i}.jpg" for name in ("AnnualCrop", "SeaLake") for i in range(1, 6)]
    write_images(tmp_path, files)
    (tmp_path / ".ipynb_checkpoints").mkdir()  # is no class
    task = smaller("eurosat", ("train", 0, 6), ("train", 6, 8), ("train", 8, 10))
    drawn = photographs.read_class_folders(tmp_path, task)
    keys = [file.replace("/", "_") for file in files]
    assert [*drawn.train.names, *drawn.test.names] == in_order("train", keys)
    assert drawn.test.labels == [str(int(name.startswith("SeaLake"))) for name in drawn.test.names]
    assert drawn.test.images.identity(0).startswith(str(tmp_path))  # files stay files


def test_caltech_draws_30_images_of_each_class_and_says_so(tmp_path):
    files = [f"{name}/image_{i:04d}.jpg" for name in ("BACKGROUND_Google", "ant") for i in range(33)]
    write_images(tmp_path, files)
    task = smaller("caltech101", ("train", 0, 54), ("train", 54, 60), ("test", 0, 6))
    first, same, other = (photographs.read_caltech(tmp_path, task, seed) for seed in (0, 0, 1))
    assert sorted([*first.train.names, *first.test.names]) == sorted(files)
    assert first.train.labels.count("0") == first.train.labels.count("1") == 30
    assert names(first.test) == names(same.test) != names(other.test)
    assert "drawn with seed 0" in first.order


def test_sun_follows_the_lists_where_they_are_and_a_seed_where_not(tmp_path):
    classes = ["/a/abbey", "/b/bar/indoor"]
    files = [f"{name}/sun_{i}.jpg" for name in classes for i in range(6)]
    write_images(tmp_path, [file.lstrip("/") for file in files])
    (tmp_path / "ClassName.txt").write_text("\n".join(classes) + "\n")
    task = smaller("sun397", ("train", 0, 7), ("validation", 0, 2), ("test", 0, 3))
    drawn = photographs.read_sun(tmp_path, task, 5)
    assert sorted([*drawn.train.names, *drawn.test.names]) == sorted(files) and drawn.order == "divided with seed 5"
    for part, chosen in (("tr", files[:7]), ("va", files[7:9]), ("te", files[9:])):
        (tmp_path / f"sun397_tfds_{part}.txt").write_text("\n".join(chosen) + "\n")
    drawn = photographs.read_sun(tmp_path, task)
    assert names(drawn.test) == in_order("test", files[9:]) and drawn.test.labels == ["1"] * 3
    assert drawn.order == "the order of tensorflow_datasets"


def test_dmlab_is_read_from_tfrecords(tmp_path):
    shown = {}
    for split, n in (("train", 5), ("validation", 3), ("test", 3)):
        records = []
        for i, image in enumerate(pixels(n, 16, seed=n)):
            file = io.BytesIO()
            Image.fromarray(image).save(file, format="PNG")
            records.append({"filename": f"{split}_{i}.jpg".encode(), "image": file.getvalue(), "label": i})
            shown[f"{split}_{i}.jpg"] = image
        write_tfrecords(tmp_path / f"dmlab-{split}.tfrecord-00000-of-00002", records[:2])
        write_tfrecords(tmp_path / f"dmlab-{split}.tfrecord-00001-of-00002", records[2:])
    drawn = dmlab.read_dmlab(tmp_path, smaller("dmlab", ("train", 0, 5), ("validation", 0, 3), ("test", 0, 3)))
    assert names(drawn.test) == in_order("test", [f"test_{i}.jpg" for i in range(3)])
    assert drawn.test.labels == [name[5] for name in drawn.test.names]
    for i, name in enumerate(drawn.train.names):
        assert np.array_equal(pixels_of(drawn.train, i), shown[name])


def test_a_cut_off_tfrecord_is_refused(tmp_path):
    path = tmp_path / "dmlab-train.tfrecord"
    write_tfrecords(path, [{"filename": b"a", "image": b"x" * 300, "label": 1}])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataFormatError, match="cut off"):
        list(dmlab.records(path))


def test_retinopathy_is_split_by_kaggles_tables(tmp_path):
    (tmp_path / "trainLabels.csv").write_text("image,level\n10_left,0\n10_right,4\n")
    (tmp_path / "retinopathy_solution.csv").write_text(
        "image,level,Usage\n1_left,0,Private\n1_right,1,Public\n2_left,2,Private\n"
    )
    write_images(tmp_path / "test", ["1_left.jpeg", "1_right.jpeg", "2_left.jpeg"])
    task = smaller("retinopathy", ("train", 0, 2), ("validation", 0, 1), ("test", 0, 2))
    drawn = retinopathy.read_retinopathy(tmp_path, task)
    assert names(drawn.train) == [*in_order("train", ["10_left", "10_right"]), "1_right"]
    assert dict(zip(drawn.test.names, drawn.test.labels, strict=True)) == {"1_left": "0", "2_left": "2"}
    assert max(drawn.test[0].size) <= 540


def test_an_eye_becomes_a_disc_of_the_radius_on_grey():
    """A bright disc on black, 100 pixels of radius: 0.9 of 300 are kept, and a flat disc becomes flat grey."""
    y, x = np.ogrid[:260, :300]
    eye = np.where(((y - 130) ** 2 + (x - 150) ** 2 < 100**2)[..., None], 200, 0).astype(np.uint8).repeat(3, 2)
    prepared = np.asarray(retinopathy.prepare(Image.fromarray(eye)))
    assert prepared.shape == (540, 540, 3)
    assert (prepared[0, 0] == 128).all() and (prepared[-1, -1] == 128).all()  # outside the mask
    assert np.abs(prepared[270, 270].astype(int) - 128).max() <= 1  # the local average is taken away


def test_cifar_of_torchvision_gives_the_same_order(tmp_path, monkeypatch):
    from head2toe.backbones.torchvision_ops import declare_missing_operators

    declare_missing_operators()
    from torchvision.datasets import cifar

    monkeypatch.setattr(cifar, "check_integrity", lambda path, md5=None: True)  # small files have another MD5
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    images = pixels(12, 32)
    for name, part, start in (("train", images[:8], 0), ("test", images[8:], 8)):
        rows = part.transpose(0, 3, 1, 2).reshape(len(part), -1)
        stored = {"data": rows, "fine_labels": [start + i for i in range(len(part))], "coarse_labels": [0] * len(part)}
        (folder / name).write_bytes(pickle.dumps(stored))
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": [str(i) for i in range(100)]}))
    drawn = arrays.read_cifar(tmp_path, smaller("cifar100", ("train", 0, 5), ("train", 5, 8), ("test", 0, 4)))
    order = tfds_order("train", range(8))
    assert drawn.train.labels == [str(i) for i in order]
    assert np.array_equal(pixels_of(drawn.train, 3), images[order[3]])
