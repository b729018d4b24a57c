"""What the other methods of a step came to is kept where one of them fails; cells of other weights are not mixed in."""

from __future__ import annotations

import gc
import json
import weakref

import pytest

from benchmark.vtab.recorder import FACTS, SETTINGS, Made, a_task, run_with
from estimators.tiny import pictures, write_local_dir
from head2toe import backbones
from head2toe.benchmark.tasks import Task
from head2toe.benchmark.vtab import LoadedTask, Settings, read_cells, run
from head2toe.data import LabelledImages, as_images
from head2toe.errors import (
    ConstantFeaturesError,
    InterruptedComparisonError,
    OutputExistsError,
    UnfinishedComparisonError,
)


def failing(error):
    """Stands for `compare`, in which knn fails."""

    def compare(task, backbone, methods, *, seed, **options):
        done = [Made(method, one) for one in seed for method in methods if method != "knn"]
        failed = {("knn", one): error for one in seed if "knn" in methods}
        if not failed:
            return done
        raise UnfinishedComparisonError(str(error), done, failed) if done else error

    return compare


def test_a_method_that_cannot_learn_from_the_data_is_told_after_the_others(tmp_path):
    compare = failing(ConstantFeaturesError("knn: all features are the same"))
    ran = run_with([a_task(), a_task("dtd")], ["linear", "knn"], tmp_path, SETTINGS, seeds=(0, 1), compare=compare)
    assert ran.made == 4 and ran.failed == dict.fromkeys(("kitti", "dtd"), "knn: all features are the same")
    assert {(cell["task"], cell["method"]) for cell in read_cells(tmp_path)} == {("kitti", "linear"), ("dtd", "linear")}


def test_anything_else_ends_the_run_and_keeps_what_finished(tmp_path):
    with pytest.raises(RuntimeError, match="out of memory"):
        run_with(
            [a_task()],
            ["linear", "knn"],
            tmp_path,
            SETTINGS,
            seeds=(0, 1),
            compare=failing(RuntimeError("out of memory")),
        )
    assert [(cell["method"], cell["seed"]) for cell in read_cells(tmp_path)] == [("linear", 0), ("linear", 1)]


def test_ctrl_c_ends_the_run_and_keeps_what_was_judged_after_it(tmp_path):
    def compare(task, backbone, methods, *, seed, **options):
        raise InterruptedComparisonError("interrupted", [Made("linear", 0)])

    with pytest.raises(InterruptedComparisonError):
        run_with([a_task()], ["linear", "knn"], tmp_path, SETTINGS, seeds=(0, 1), compare=compare)
    assert [(cell["method"], cell["seed"]) for cell in read_cells(tmp_path)] == [("linear", 0)]


def squares(**_):
    parts = []
    for seed, n in enumerate((30, 12)):
        images, labels = pictures(n, seed)
        parts.append(LabelledImages(as_images(images), labels.tolist(), [str(i) for i in range(n)]))
    return LoadedTask(Task("squares", "structured", *parts), 2, FACTS)


@pytest.mark.parametrize("written", [{}, {"weights_sha256": None}])
def test_older_cells_do_not_tell_their_weights(tmp_path, written):
    options = {"dtype": "float32", "target_sizes": (16,)}
    run([("squares", squares)], ["linear"], tmp_path, SETTINGS, seeds=0, **options)
    place = tmp_path / "embedded" / "squares" / "linear-seed0.json"
    cell = json.loads(place.read_text())
    assert len(cell.pop("weights_sha256")) == 64
    place.write_text(json.dumps({**cell, **written}))
    assert run([("squares", squares)], ["linear", "knn"], tmp_path, SETTINGS, seeds=0, **options).made == 1


def test_a_run_keeps_no_network_of_its_own(tmp_path, monkeypatch):
    loaded, alive, load = [], [], backbones.load

    def watched(*given, **options):
        loaded.append(weakref.ref(found := load(*given, **options)))
        return found

    def look(*given, **options):
        gc.collect()
        alive.extend(one() for one in loaded)
        return []

    monkeypatch.setattr(backbones, "load", watched)
    monkeypatch.setattr("head2toe.benchmark.vtab.running.compare", look)
    run([("squares", squares)], ["linear"], tmp_path, SETTINGS, seeds=0)
    assert len(alive) == 1 and alive[0] is None


def test_cells_of_other_weights_are_not_mixed_in(tmp_path):
    spec, out = write_local_dir(tmp_path / "network", seed=0), tmp_path / "cells"
    settings, options = Settings(spec, image_size=32), {"dtype": "float32", "target_sizes": (16,)}
    assert run([("squares", squares)], ["linear"], out, settings, seeds=0, **options).made == 1
    write_local_dir(tmp_path / "network", seed=1)  # other weights under the same name
    assert run([("squares", squares)], ["linear"], out, settings, seeds=0, **options).kept == 1
    with pytest.raises(OutputExistsError, match=r"linear-seed0.json was made with other weights of .*: choose another"):
        run([("squares", squares)], ["linear", "knn"], out, settings, seeds=0, **options)
    write_local_dir(tmp_path / "network", seed=0)
    assert run([("squares", squares)], ["linear", "knn"], out, settings, seeds=0, **options).made == 1
