"""Damaged or odd data in the original formats are told in one line, so that the other tasks still run."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest

from benchmark.vtab.original_files import (
    kitti_line,
    pixels,
    smaller,
    write_clevr,
    write_dsprites,
    write_images,
    write_kitti,
    write_norb,
)
from head2toe.benchmark.vtab import arrays, dsprites, load_task, retinopathy, scenes
from head2toe.benchmark.vtab.definitions import NORB_FILES
from head2toe.benchmark.vtab.labels import clevr_distance, kitti_distance
from head2toe.errors import DataFormatError

SPRITES = smaller("dsprites-orientation", ("train", 0, 20), ("train", 20, 30), ("train", 30, 40))
SCENES = ("train", 0, 2), ("train", 2, 3), ("validation", 0, 1)


def refused(path):
    with pytest.raises(DataFormatError) as caught:
        dsprites.read_dsprites(path, SPRITES)
    message = str(caught.value)
    assert path.name in message and "\n" not in message
    return message


def changed(path, **arrays_of):
    """The npz of 40 images with some of its arrays replaced."""
    factors = np.tile(np.arange(40)[:, None], 6)
    whole = {"imgs": np.zeros((40, 64, 64), np.uint8), "latents_classes": factors}
    np.savez_compressed(path, **{**whole, **arrays_of})
    return path


def spoil(path, member, at, what=b"\xff" * 40):
    """Write over a member's packed bytes."""
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(member)
    data = bytearray(path.read_bytes())
    begin = info.header_offset + 30 + len(info.filename) + 20 + at  # numpy's members have 20 bytes of extra field
    assert begin + len(what) < info.header_offset + info.compress_size
    data[begin : begin + len(what)] = what
    path.write_bytes(data)


@pytest.mark.parametrize("at", [0, 1000])
def test_dsprites_with_damaged_images_are_refused(tmp_path, at):
    write_dsprites(tmp_path / "d.npz", np.tile(np.arange(40)[:, None], 6))
    spoil(tmp_path / "d.npz", "imgs.npy", at)
    assert "damaged" in refused(tmp_path / "d.npz")


def test_dsprites_whose_checksum_is_wrong_are_refused(tmp_path):
    np.savez(tmp_path / "d.npz", imgs=np.zeros((40, 64, 64), np.uint8), latents_classes=np.ones((40, 6), int))
    spoil(tmp_path / "d.npz", "imgs.npy", 500, b"\x01")
    assert "damaged" in refused(tmp_path / "d.npz")


def test_dsprites_with_damaged_factors_are_refused(tmp_path):
    factors = np.random.default_rng(0).integers(0, 40, (40, 6))
    changed(tmp_path / "d.npz", latents_classes=factors)
    spoil(tmp_path / "d.npz", "latents_classes.npy", 60)
    assert "damaged" in refused(tmp_path / "d.npz")


@pytest.mark.parametrize("content", [b"", b"no zip at all", b"PK\x03\x04"])
def test_other_files_are_not_dsprites(tmp_path, content):
    (tmp_path / "d.npz").write_bytes(content)
    assert "is not dSprites' npz" in refused(tmp_path / "d.npz")


def test_one_array_is_not_dsprites(tmp_path):
    with (tmp_path / "d.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    assert "is not dSprites' npz" in refused(tmp_path / "d.npz")


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((39, 64, 64), np.uint8),
        np.zeros((40, 32, 32), np.uint8),
        np.zeros((40, 64), np.uint8),
        np.zeros((40, 64, 64), np.float32),
        np.zeros((40, 64, 64), np.uint8, order="F"),
    ],
)
def test_dsprites_with_images_of_another_form_are_refused(tmp_path, images):
    assert "not uint8 (40, 64, 64)" in refused(changed(tmp_path / "d.npz", imgs=images))


@pytest.mark.parametrize("factors", [np.zeros(40, int), np.zeros((40, 4), int), np.zeros((40, 6)), np.array("x")])
def test_dsprites_with_factors_of_another_form_are_refused(tmp_path, factors):
    assert "not integers (n, 6)" in refused(changed(tmp_path / "d.npz", latents_classes=factors))


def test_dsprites_with_fewer_pixels_than_they_say_are_refused(tmp_path):
    changed(tmp_path / "whole.npz")
    with zipfile.ZipFile(tmp_path / "whole.npz") as whole, zipfile.ZipFile(tmp_path / "d.npz", "w") as short:
        for name in whole.namelist():
            data = whole.read(name)
            short.writestr(name, data[: -64 * 64] if name == "imgs.npy" else data)
    assert "damaged" in refused(tmp_path / "d.npz")


# --- KITTI: the reference has no class at or below -100, nor for NaN


@pytest.mark.parametrize("z", [-1000.0, -100.0, float("nan"), float("-inf")])
@pytest.mark.parametrize("beside", [(), (5.0,)])
def test_a_vehicle_in_no_class_is_told_with_its_file(tmp_path, z, beside):
    write_kitti(tmp_path, ["a", "b", "c"])
    path = tmp_path / "training" / "label_2" / "000001.txt"
    path.write_text("\n".join(kitti_line("Car", one) for one in (*beside, z)) + "\n")
    task = smaller("kitti", ("train", 0, 1), ("validation", 0, 1), ("test", 0, 1))
    with pytest.raises(DataFormatError, match=r"000001\.txt: a distance of \S+ is in no class"):
        scenes.read_kitti(tmp_path, task)


@pytest.mark.parametrize(
    ("kinds", "depths", "expected"),
    [
        (["Car"], [-99.5], 0),
        (["Car"], [float("inf")], 3),
        (["Pedestrian", "Car"], [-1000.0, 30.0], 2),
        (["Cyclist"], [float("nan")], 3),
    ],
)
def test_kitti_keeps_the_labels_that_the_reference_has(kinds, depths, expected):
    assert kitti_distance(kinds, depths) == expected


# --- CLEVR


def test_nearest_depths_in_no_class_are_refused_wherever_they_stand():
    for depths in ([float("nan"), 9.0], [9.0, float("nan")], [9.0, 0.0], [-1.0]):
        with pytest.raises(DataFormatError, match="is in no class"):
            clevr_distance(depths)


@pytest.mark.parametrize(
    ("name", "scene"),
    [
        ("clevr-distance", {"objects": [{"pixel_coords": [1, 2]}]}),
        ("clevr-distance", {"objects": [{"pixel_coords": [1, 2, -3]}]}),
        ("clevr-distance", {"objects": [{"pixel_coords": [1, 2, 10**400]}]}),
        ("clevr-distance", {"objects": [[1, 2, 3]]}),
        ("clevr-distance", {"objects": []}),
        ("clevr-count", {"objects": 3}),
        ("clevr-count", {"image_filename": 7}),
    ],
)
def test_a_scene_of_another_form_is_told_with_its_file(tmp_path, name, scene):
    write_clevr(tmp_path, "train", [[9.0] * 3] * 3)
    write_clevr(tmp_path, "val", [[9.0] * 3])
    path = tmp_path / "scenes" / "CLEVR_train_scenes.json"
    found = json.loads(path.read_text())
    found["scenes"][1] |= scene
    path.write_text(json.dumps(found))
    with pytest.raises(DataFormatError, match=r"CLEVR_train_scenes\.json is no list of CLEVR's scenes: ") as caught:
        scenes.read_clevr(tmp_path, smaller(name, *SCENES))
    assert "\n" not in str(caught.value)


# --- files in the place of others, or cut off


def test_files_in_the_place_of_others_are_told_in_one_line(tmp_path):
    for stem in NORB_FILES.values():  # smallNORB's categories under the name of its factors
        write_norb(tmp_path / "smallnorb" / f"{stem}-dat.mat", np.zeros((2, 2, 8, 8), np.uint8))
        write_norb(tmp_path / "smallnorb" / f"{stem}-info.mat", np.zeros(2, np.int32))
    with pytest.raises(DataFormatError, match=r"smallnorb is not smallnorb-azimuth as it is handed out \(IndexError: "):
        load_task("smallnorb-azimuth", tmp_path)


def test_a_table_of_kaggle_that_is_cut_off_is_told(tmp_path):
    (tmp_path / "trainLabels.csv").write_text("image,level\n1_left,0\n1_ri")
    (tmp_path / "retinopathy_solution.csv").write_text("image,level,Usage\n")
    with pytest.raises(DataFormatError, match="Kaggle's tables have columns image, level and Usage"):
        retinopathy.read_retinopathy(tmp_path, smaller("retinopathy", *SCENES))


def test_a_mark_before_the_first_line_is_no_part_of_it(tmp_path):
    write_images(tmp_path / "train", ["1_left.jpeg", "1_right.jpeg", "2_left.jpeg"])
    write_images(tmp_path / "test", ["3_left.jpeg", "4_left.jpeg"])
    tables = {
        "trainLabels.csv": "image,level\n1_left,0\n1_right,4\n2_left,1\n",
        "retinopathy_solution.csv": "image,level,Usage\n3_left,2,Public\n4_left,3,Private\n",
    }
    for name, text in tables.items():
        (tmp_path / name).write_text(text, encoding="utf-8-sig")
    task = smaller("retinopathy", ("train", 0, 3), ("validation", 0, 1), ("test", 0, 1))
    drawn = retinopathy.read_retinopathy(tmp_path, task)
    assert sorted(drawn.train.labels) == ["0", "1", "2", "4"] and drawn.test.labels == ["3"]


@pytest.mark.parametrize("images", [1, 3])
def test_patchcamelyons_images_and_labels_are_as_many(tmp_path, images):
    h5py = pytest.importorskip("h5py")
    for split in ("train", "valid", "test"):
        for axis, values in (("x", pixels(images)), ("y", np.zeros((2, 1, 1, 1)))):
            with h5py.File(tmp_path / f"camelyonpatch_level_2_split_{split}_{axis}.h5", "w") as file:
                file[axis] = values
    with pytest.raises(DataFormatError, match=f"have {images} images but 2 labels"):
        arrays.read_camelyon(tmp_path, smaller("camelyon", ("train", 0, 2), ("validation", 0, 2), ("test", 0, 2)))
