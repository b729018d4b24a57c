"""Options of `compare` that a run of cells passes on, and those of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from benchmark.vtab.recorder import SETTINGS, Made, Recorder, a_task, run_with
from head2toe import backbones
from head2toe.benchmark.vtab import read_cells, run
from head2toe.errors import OutputExistsError, ParameterError

OPTIONS = {"augment": True, "target_sizes": np.array([64, 32])}


def once(out, seeds=0, **options):
    return run_with([a_task()], ["linear"], out, SETTINGS, seeds=seeds, compare=Recorder(), **options)


@pytest.mark.parametrize("name", OPTIONS)
def test_cells_of_other_options_are_not_taken_for_those_asked_for(tmp_path, name):
    once(tmp_path, augment=False, target_sizes=None, workers=2)
    assert once(tmp_path).kept == 1  # as if none had been given
    with pytest.raises(OutputExistsError, match="made with other settings"):
        once(tmp_path, **{name: OPTIONS[name]})


def test_options_that_change_a_method_are_told_in_its_cells(tmp_path):
    once(tmp_path, **OPTIONS)
    assert once(tmp_path, augment=True, target_sizes={32, 64}).kept == 1  # in whatever order, and collection
    with pytest.raises(OutputExistsError, match=r"augment True.* target_sizes \[32, 64\]"):
        once(tmp_path, seeds=1)


@pytest.mark.parametrize("seeds", [[], [-1], -1, None, 1.5, "3"])
def test_seeds_are_whole_numbers(tmp_path, seeds):
    with pytest.raises(ParameterError, match="seeds is "):
        once(tmp_path, seeds=seeds)


@dataclass
class InFormat(Made):
    dtype: str = "float32"


class Trial:
    """Stands for `compare`, whose trial finds one number format faster; writes down those asked for."""

    def __init__(self, faster):
        self.faster, self.asked = faster, []

    def __call__(self, task, backbone, methods, *, seed, dtype="auto", **options):
        self.asked.append(dtype)
        used = self.faster if dtype == "auto" else dtype
        return [InFormat(method, one, dtype=used) for one in seed for method in methods]


def in_format(out, trial, seeds, **options):
    run_with([a_task()], ["linear", "knn"], out, SETTINGS, seeds=seeds, compare=trial, **options)
    return {cell["dtype"] for cell in read_cells(out)}


def test_a_run_goes_on_in_the_number_format_that_it_began_in(tmp_path):
    assert in_format(tmp_path, Trial("bfloat16"), 0) == {"bfloat16"}
    assert in_format(tmp_path, Trial("float32"), 1) == {"bfloat16"}
    assert in_format(tmp_path, Trial("bfloat16"), 2, dtype="float32") == {"bfloat16", "float32"}  # as asked for


def test_a_number_format_that_this_machine_does_not_run_is_not_kept(tmp_path):
    in_format(tmp_path, Trial("float16"), 0)  # on a GPU
    again = Trial("float32")
    in_format(tmp_path, again, 1, device="cpu")
    assert again.asked == ["auto"]


def test_a_seed_is_one_run_and_several_are_as_many(tmp_path):
    assert once(tmp_path, seeds=[4, 0, 4]).made == 2
    assert sorted(cell["seed"] for cell in read_cells(tmp_path)) == [0, 4]
    assert (once(tmp_path, seeds=2).made, once(tmp_path, seeds=np.array([4])).kept) == (1, 1)
    assert run_with([a_task("dtd")], ["linear"], tmp_path, SETTINGS, compare=Recorder()).made == 3
    cells = [cell["seed"] for cell in read_cells(tmp_path) if cell["task"] == "dtd"]
    assert sorted(cells) == [0, 1, 2]


def test_test_images_are_limited_as_the_settings_say(tmp_path):
    limits = []

    def load(*, test_limit=None):
        limits.append(test_limit)
        return a_task()[1]()

    for limit in (None, 4):
        settings = replace(SETTINGS, test_limit=limit)
        run_with([("kitti", load)], ["linear"], tmp_path / str(limit), settings, seeds=0, compare=Recorder())
        (cell,) = read_cells(tmp_path / str(limit))
        assert cell["settings"]["test_limit"] == limit
    assert limits == [None, 4]


def test_methods_that_cannot_run_are_refused_before_any_data_are_read(tmp_path, monkeypatch):
    def unread(**_):
        pytest.fail("data were read")

    load = backbones.load
    monkeypatch.setattr(backbones, "load", lambda *a, **k: replace(load(*a, **k), classifier=None))
    with pytest.raises(ParameterError, match=r"^finetune: embedded has no classifier to replace"):
        run([("kitti", unread)], ["linear", "finetune"], tmp_path, SETTINGS)
    once(tmp_path, 0)
    assert run([("kitti", unread)], ["linear"], tmp_path, SETTINGS, seeds=0).kept == 1
