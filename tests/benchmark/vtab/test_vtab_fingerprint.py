"""What tells a task's data from others: labels and images, wherever they lie."""

from __future__ import annotations

import shutil
import zipfile

import numpy as np
import pytest

from benchmark.vtab.original_files import pixels, write_images
from head2toe.benchmark.vtab import LocalTask
from head2toe.benchmark.vtab.fingerprint import fingerprint

FILES = [f"{split}/{name}/{i}.png" for split in ("train", "test") for name in "ab" for i in range(3)]


def write_npz(path, *, seed=0):
    """Twelve images a split with two sets of labels: by halves, and in turn."""
    arrays = {f"{split}_images": pixels(12, seed=seed) for split in ("train", "test")}
    sides = {"a": np.arange(12) // 6, "b": np.arange(12) % 2}
    labels = {f"{split}_label_{name}": side for split in ("train", "test") for name, side in sides.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays, **labels)
    return path


def of(text, **options):
    return fingerprint(LocalTask.parse(f"t={text}").load(**options).task)


def test_other_labels_of_the_same_images_are_told(tmp_path):
    path = write_npz(tmp_path / "two.npz")
    by_halves, in_turn = of(f"{path}:a"), of(f"{path}:b")
    assert by_halves["labels"] != in_turn["labels"] and by_halves["images"] == in_turn["images"]


def test_other_pixels_under_the_same_labels_are_told(tmp_path):
    first, second = (write_npz(tmp_path / str(seed) / "two.npz", seed=seed) for seed in (0, 1))
    assert of(f"{first}:a")["labels"] == of(f"{second}:a")["labels"]
    assert of(f"{first}:a")["images"] != of(f"{second}:a")["images"]


@pytest.mark.parametrize("kind", ["folder", "zip", "npz"])
def test_data_that_moved_are_the_same(tmp_path, kind):
    write_images(tmp_path / "here" / "folder", FILES)
    write_npz(tmp_path / "here" / "npz" / "two.npz")
    (tmp_path / "here" / "zip").mkdir()
    with zipfile.ZipFile(tmp_path / "here" / "zip" / "two.zip", "w") as archive:
        for file in FILES:
            archive.write(tmp_path / "here" / "folder" / file, file)
    place = {"folder": "folder", "zip": "zip/two.zip", "npz": "npz/two.npz:a"}[kind]
    before = of(f"{tmp_path}/here/{place}")
    shutil.copytree(tmp_path / "here", tmp_path / "elsewhere" / "deep", copy_function=shutil.copyfile)  # new times
    assert of(f"{tmp_path}/elsewhere/deep/{place}") == before


def test_another_file_among_those_of_a_folder_is_told(tmp_path):
    write_images(tmp_path / "first", FILES)
    write_images(tmp_path / "second", [*FILES[:-1], "test/b/other.png"])
    first, second = of(tmp_path / "first"), of(tmp_path / "second")
    assert first["labels"] == second["labels"] and first["images"] != second["images"]


def test_the_test_images_count_too(tmp_path):
    path = write_npz(tmp_path / "two.npz")
    assert of(f"{path}:a", test_limit=4)["labels"] != of(f"{path}:a")["labels"]
