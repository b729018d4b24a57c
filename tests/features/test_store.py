"""The store and the cache: nothing is half-written, mixed up, computed twice or thrown away while in use."""

from __future__ import annotations

import copy
import dataclasses
import errno
import json
import logging
import os
import shutil

import numpy as np
import pytest
import torch
from torch import nn

from head2toe.backbones import load
from head2toe.backbones.torchvision_ops import declare_missing_operators
from head2toe.errors import (
    DiskFullError,
    ParameterError,
    StoreFormatError,
    StoreMismatchError,
    UnreadableImageError,
)
from head2toe.features import store as store_module
from head2toe.features.cache import Cache
from head2toe.features.extractor import extract
from head2toe.features.plan import Plan
from head2toe.features.taps import layers

declare_missing_operators()
from torchvision import transforms  # noqa: E402

QUIET = {"dtype": "float32", "batch_size": 4, "device": "cpu", "progress": False}


@pytest.fixture
def plan(small):
    return Plan.build(layers(small), [16, 64])


def test_rows_on_disk_are_the_rows_in_memory(small, pictures, plan, tmp_path):
    memory = extract(small, pictures(10, broken=[3]), plan, **QUIET)
    disk = extract(small, pictures(10, broken=[3]), plan, store=tmp_path / "rows", **QUIET)
    assert isinstance(disk.rows, np.memmap)
    np.testing.assert_array_equal(disk.rows, memory.rows)
    np.testing.assert_array_equal(disk.kept, memory.kept)
    assert disk.skipped == memory.skipped
    plain = np.load(tmp_path / "rows" / "rows.npy")
    assert plain.shape == (9, plan.d)
    assert plain.dtype == np.float32
    assert (tmp_path / "rows" / "rows.npy").stat().st_size == 128 + plan.bytes(9)


def test_the_same_request_is_a_hit_and_says_so(small, pictures, plan, tmp_path, caplog):
    first = extract(small, pictures(5), plan, store=tmp_path / "rows", **QUIET)
    images = pictures(5)
    with caplog.at_level(logging.INFO, "head2toe"):
        again = extract(small, images, plan, store=tmp_path / "rows", **QUIET)
    assert images.reads == 0
    assert (first.cached, again.cached) == (False, True)
    assert "cache hit" in caplog.text
    np.testing.assert_array_equal(first.rows, again.rows)


def test_an_interrupted_run_resumes(small, pictures, plan, tmp_path):
    whole = extract(small, pictures(23, broken=[1, 9]), plan, **QUIET)
    with pytest.raises(KeyboardInterrupt):
        extract(small, pictures(23, broken=[1, 9], stop_at=14), plan, store=tmp_path / "rows", **QUIET)
    progress = json.loads((tmp_path / "rows" / "progress.json").read_text())
    assert 4 <= progress["read"] <= 14
    images = pictures(23, broken=[1, 9])
    resumed = extract(small, images, plan, store=tmp_path / "rows", **QUIET)
    assert images.reads == 23 - progress["read"]
    np.testing.assert_allclose(resumed.rows, whole.rows, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(resumed.kept, whole.kept)
    assert resumed.skipped == whole.skipped


def test_a_resumed_run_keeps_its_dtype(small, pictures, plan, tmp_path, monkeypatch):
    auto = {**QUIET, "dtype": "auto"}
    monkeypatch.setattr("head2toe.features.dtype.faster_format", lambda backbone: ("bfloat16", "so it was"))
    with pytest.raises(KeyboardInterrupt):
        extract(small, pictures(9, stop_at=8), plan, store=tmp_path / "rows", **auto)
    monkeypatch.setattr("head2toe.features.dtype.faster_format", lambda backbone: ("float32", "the wind has turned"))
    assert extract(small, pictures(9), plan, store=tmp_path / "rows", **auto).dtype == "bfloat16"


def test_a_store_of_something_else_is_refused(small, pictures, plan, tmp_path):
    folder = tmp_path / "rows"
    extract(small, pictures(5), plan, store=folder, **QUIET)
    other_transform = dataclasses.replace(small, preprocessing=dataclasses.replace(small.preprocessing, mean=(0, 0, 0)))
    other_weights = dataclasses.replace(small, module=copy.deepcopy(small.module))
    other_weights.module.get_parameter("fc.bias").data += 1
    for backbone, images, asked, dtype, words in [
        (other_transform, pictures(5), plan, "float32", "different: the preprocessing"),
        (other_weights, pictures(5), plan, "float32", "different: the backbone's weights"),
        (small, pictures(6), plan, "float32", "different: the number of images, the images"),
        (small, pictures(5), Plan.build(layers(small), [16]), "float32", "target sizes"),
        (small, pictures(5), Plan.build(layers(small, "blocks.*"), [16, 64]), "float32", "the layers"),
        (small, pictures(5), plan, "bfloat16", "different: the dtype"),
    ]:
        with pytest.raises(StoreMismatchError, match=words):
            extract(backbone, images, asked, store=folder, **{**QUIET, "dtype": dtype})
    assert extract(small, pictures(5), plan, store=folder, **QUIET).cached


def test_a_folder_of_other_things_is_refused(small, pictures, plan, tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(StoreFormatError, match="no feature store"):
        extract(small, pictures(5), plan, store=tmp_path, **QUIET)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("name", ["manifest.json", "progress.json", "rows.npy"])
def test_damaged_files_are_named(small, pictures, plan, tmp_path, name):
    extract(small, pictures(5), plan, store=tmp_path / "rows", **QUIET)
    (tmp_path / "rows" / name).write_text("[1")
    with pytest.raises(StoreFormatError, match="rows"):
        extract(small, pictures(5), plan, store=tmp_path / "rows", **QUIET)


def test_too_little_disk_is_known_before_the_first_image(small, pictures, plan, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=plan.bytes(5) - 1))
    images = pictures(5)
    with pytest.raises(DiskFullError, match="GB free"):
        extract(small, images, plan, store=tmp_path / "rows", **QUIET)
    assert images.reads == 0
    assert not (tmp_path / "rows").exists()
    extract(small, pictures(4), plan, store=tmp_path / "rows", **QUIET)


def test_a_disk_that_fills_leaves_a_store_that_resumes(small, pictures, plan, tmp_path, monkeypatch):
    write = store_module._write_all
    calls = []

    def full(file, rows):
        calls.append(1)
        if len(calls) == 3:
            write(file, rows[:1])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(file, rows)

    monkeypatch.setattr(store_module, "_write_all", full)
    with pytest.raises(DiskFullError, match="after 8 of 14"):
        extract(small, pictures(14), plan, store=tmp_path / "rows", **QUIET)
    images = pictures(14)
    resumed = extract(small, images, plan, store=tmp_path / "rows", **QUIET)
    assert images.reads == 6
    np.testing.assert_allclose(resumed.rows, extract(small, pictures(14), plan, **QUIET).rows, rtol=1e-5, atol=1e-6)


def test_cache_hits_by_what_is_asked(small, pictures, plan, tmp_path):
    cache = Cache(tmp_path / "cache")
    assert cache.entries() == []
    assert not extract(small, pictures(5), plan, store=cache, **QUIET).cached
    assert extract(small, pictures(5), plan, store=cache, **QUIET).cached
    assert not extract(small, pictures(6), plan, store=cache, **QUIET).cached
    assert not extract(small, pictures(5), plan, store=cache, **{**QUIET, "dtype": "bfloat16"}).cached
    assert [entry.n for entry in cache.entries()] == [5, 6, 5]
    assert cache.bytes() >= plan.bytes(16)
    assert len(cache.clear()) == 3
    assert cache.entries() == []


def _stack(activation):
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), activation, nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(4 * 28 * 28, 5))


class Scaled(nn.Module):
    """Multiplies by what no state dict holds."""

    def __init__(self, factor):
        super().__init__()
        self.register_buffer("factor", torch.tensor(factor), persistent=False)

    def forward(self, x):
        return x * self.factor


@pytest.mark.parametrize(("one", "other"), [(nn.ReLU(), nn.GELU()), (Scaled(1.0), Scaled(3.0))])
def test_networks_that_differ_in_more_than_weights_share_no_rows(own, pictures, tmp_path, one, other):
    cache, rows = Cache(tmp_path / "cache"), []
    for activation in (one, other, one):
        backbone = own(_stack(activation))
        plan = Plan.build(layers(backbone), [16])
        found = extract(backbone, pictures(4), plan, store=cache, **QUIET)
        rows.append((found.cached, np.array(found.rows)))
    assert [cached for cached, _ in rows] == [False, False, True]
    assert not np.array_equal(rows[0][1], rows[1][1]) and np.array_equal(rows[0][1], rows[2][1])


def test_transforms_that_print_alike_share_no_rows(pictures, tmp_path):
    cache, found = Cache(tmp_path / "cache"), []
    for factor in (1, 3, 1):
        transform = transforms.Compose(
            [transforms.ToTensor(), transforms.Resize(32), transforms.Lambda(lambda x, factor=factor: x * factor)]
        )
        backbone = load(_stack(nn.ReLU()), preprocessing=transform)
        assert " at 0x" not in str(backbone.preprocessing.to_dict())
        plan = Plan.build(layers(backbone), [16])
        found.append(extract(backbone, pictures(4), plan, store=cache, **QUIET).cached)
    assert found == [False, False, True]


@pytest.mark.parametrize("left", [("rows.npy",), ("rows.npy", "progress.json"), ("progress.json.part",)])
def test_what_an_interruption_left_of_a_store_is_no_hindrance(small, pictures, plan, tmp_path, left):
    cache = Cache(tmp_path / "cache")
    folder = extract(small, pictures(5), plan, store=cache, **QUIET).folder
    assert folder is not None
    for name in ("rows.npy", "progress.json", "manifest.json"):
        (folder / name).unlink()
    for name in left:
        (folder / name).write_text("half")
    assert len(extract(small, pictures(5), plan, store=cache, **QUIET).rows) == 5
    (folder / "manifest.json").unlink()
    (cache.folder / "thesis").mkdir()
    assert cache.entries() == [] and cache.clear() == [] and not folder.exists()
    assert (cache.folder / "thesis").is_dir()  # not the cache's


def test_rows_of_the_users_own_are_no_store_and_stay(small, pictures, plan, tmp_path):
    (tmp_path / "rows.npy").write_text("mine")
    with pytest.raises(StoreFormatError, match="is no feature store"):
        extract(small, pictures(5), plan, store=tmp_path, **QUIET)
    assert (tmp_path / "rows.npy").read_text() == "mine"


def test_cache_drops_the_least_recently_used(small, pictures, plan, tmp_path):
    cache = Cache(tmp_path / "cache")
    for n in (3, 4):
        extract(small, pictures(n), plan, store=cache, **QUIET)
    old = {entry.n: entry.folder / "manifest.json" for entry in cache.entries()}
    os.utime(old[4], (1, 1))
    os.utime(old[3], (0, 0))
    extract(small, pictures(3), plan, store=cache, **QUIET)  # used again: now the younger one
    cache.limit = cache.entries()[-1].bytes + plan.bytes(5)
    extract(small, pictures(5), plan, store=cache, **QUIET)
    assert sorted(entry.n for entry in cache.entries()) == [3, 5]


def test_cache_keeps_what_is_in_use(small, pictures, plan, tmp_path):
    cache = Cache(tmp_path / "cache")
    extract(small, pictures(3), plan, store=cache, **QUIET)
    request = json.loads((cache.entries()[0].folder / "manifest.json").read_text())
    with cache.use(request, plan.bytes(3)):
        assert Cache(tmp_path / "cache").clear() == []
        Cache(tmp_path / "cache", limit=1)._make_room("another", 10)
        assert len(cache.entries()) == 1
    assert len(cache.clear()) == 1


@pytest.mark.parametrize("finished", [True, False])
def test_strict_is_strict_of_stored_rows_too(small, pictures, plan, tmp_path, finished):
    images = pictures(10, broken=[3])
    extract(small, images, plan, store=tmp_path / "rows", **QUIET)
    if not finished:
        progress = tmp_path / "rows" / "progress.json"
        progress.write_text(json.dumps({**json.loads(progress.read_text()), "complete": False}))
    with pytest.raises(UnreadableImageError):
        extract(small, images, plan, store=tmp_path / "rows", strict=True, **QUIET)


def test_stored_rows_hide_no_device_that_is_not_there(small, pictures, plan, tmp_path):
    extract(small, pictures(5), plan, store=tmp_path / "rows", **QUIET)
    with pytest.raises(ParameterError, match="toaster"):
        extract(small, pictures(5), plan, store=tmp_path / "rows", **{**QUIET, "device": "toaster"})


def test_stored_rows_hide_no_option_that_is_not_there(small, pictures, plan, tmp_path):
    extract(small, pictures(5), plan, store=tmp_path / "rows", **QUIET)
    with pytest.raises(TypeError, match="progres"):
        extract(small, pictures(5), plan, store=tmp_path / "rows", **QUIET, progres=False)


def test_a_damaged_store_of_the_cache_is_made_again_and_can_be_cleared(small, pictures, plan, tmp_path):
    cache = Cache(tmp_path)
    first = extract(small, pictures(5), plan, store=cache, **QUIET)
    (first.folder / "progress.json").write_text("")
    again = extract(small, pictures(5), plan, store=cache, **QUIET)
    assert not again.cached
    np.testing.assert_array_equal(again.rows, first.rows)
    (again.folder / "progress.json").write_text("")
    cache.clear()
    assert not again.folder.exists()


@pytest.mark.parametrize("damage", ["cut", "garbage", "unfinished", "progress"])
def test_damaged_rows_of_the_cache_are_made_again(small, pictures, plan, tmp_path, damage, caplog):
    cache = Cache(tmp_path)
    first = extract(small, pictures(5), plan, store=cache, **QUIET)
    expected, rows, progress = first.rows.copy(), first.folder / "rows.npy", first.folder / "progress.json"
    state = json.loads(progress.read_text())
    if damage == "garbage":
        rows.write_bytes(b"x" * rows.stat().st_size)
    elif damage == "progress":
        progress.write_text(json.dumps({**state, "read": "five"}))
    else:
        os.truncate(rows, rows.stat().st_size - 1)
        progress.write_text(json.dumps({**state, "complete": damage == "cut"}))
    again = extract(small, pictures(5), plan, store=cache, **QUIET)
    assert not again.cached
    assert "made again" in caplog.text
    np.testing.assert_array_equal(again.rows, expected)
    assert extract(small, pictures(5), plan, store=cache, **QUIET).cached


def test_a_folder_that_lacks_counted_rows_is_refused_not_filled_with_zeros(small, pictures, plan, tmp_path):
    extract(small, pictures(5), plan, store=tmp_path / "rows", **QUIET)
    rows, progress = tmp_path / "rows" / "rows.npy", tmp_path / "rows" / "progress.json"
    progress.write_text(json.dumps({**json.loads(progress.read_text()), "read": 4, "complete": False}))
    os.truncate(rows, rows.stat().st_size - 8 * plan.d)
    with pytest.raises(StoreFormatError, match="lacks rows"):
        extract(small, pictures(5), plan, store=tmp_path / "rows", **QUIET)


def test_two_processes_that_write_one_folder_are_told(small, pictures, plan, tmp_path):
    images = pictures(9)
    request = store_module.request_for(small, images, plan, "float32")
    first, second = (store_module.StoreWriter(tmp_path / "rows", request, 9, plan.d) for _ in range(2))
    rows = np.ones((4, plan.d), np.float32)
    first.append(rows, [])
    with pytest.raises(StoreMismatchError, match="another process"):
        second.append(2 * rows, [])
    first.append(rows[:1], [])
    assert (np.fromfile(tmp_path / "rows" / "rows.npy", np.float32, offset=128) == 1).all()


def test_an_error_of_the_disk_names_the_file(small, pictures, plan, tmp_path, monkeypatch):
    def too_large(*_):
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))

    monkeypatch.setattr(store_module, "_write_all", too_large)
    with pytest.raises(OSError, match=r"rows\.npy"):
        extract(small, pictures(3), plan, store=tmp_path / "rows", **QUIET)


def test_a_cache_is_kept_where_its_disk_has_no_room_either_way(small, pictures, plan, tmp_path, monkeypatch):
    cache = Cache(tmp_path / "cache")
    for n in (3, 4):
        extract(small, pictures(n), plan, store=cache, **QUIET)
        os.utime(cache.entries()[-1].folder / "manifest.json", (n, n))
    free = shutil.disk_usage(tmp_path)
    room = cache.bytes() + 100
    usage = lambda _: free._replace(free=room - cache.bytes())  # noqa: E731
    monkeypatch.setattr(shutil, "disk_usage", usage)
    assert extract(small, pictures(4), plan, store=cache, **QUIET).cached  # needs no more room
    assert len(cache.entries()) == 2
    with pytest.raises(DiskFullError, match="--no-cache"):
        extract(small, pictures(50), plan, store=cache, **QUIET)
    assert len(cache.entries()) == 2  # to forget them all would not do


def test_a_cache_forgets_as_much_as_its_disk_lacks(small, pictures, plan, tmp_path, monkeypatch):
    cache = Cache(tmp_path / "cache")
    for n in (3, 4):
        extract(small, pictures(n), plan, store=cache, **QUIET)
        os.utime(cache.entries()[-1].folder / "manifest.json", (n, n))
    free = shutil.disk_usage(tmp_path)
    room = cache.bytes() + 100
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free._replace(free=room - cache.bytes()))
    extract(small, pictures(2), plan, store=cache, **QUIET)
    assert sorted(entry.n for entry in cache.entries()) == [2, 4]
