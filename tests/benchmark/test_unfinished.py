"""A method that fails costs the others nothing."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest

from cli.conftest import write_folder
from estimators.tiny import pictures, write_local_dir
from head2toe import features
from head2toe.benchmark import Task, compare
from head2toe.benchmark.methods import METHODS
from head2toe.cli import main
from head2toe.data import LabelledImages, as_images
from head2toe.errors import (
    ConstantFeaturesError,
    DataError,
    InterruptedComparisonError,
    ParameterError,
    UnfinishedComparisonError,
)

OPTIONS = {"target_sizes": (16,), "dtype": "float32", "image_size": 32}


def labelled(n, seed):
    images, labels = pictures(n, seed)
    return LabelledImages(as_images(images), [str(label) for label in labels], [str(i) for i in range(n)])


@pytest.fixture(scope="module")
def task():
    return Task("squares", "structured", labelled(45, 0), labelled(24, 1))


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return write_local_dir(tmp_path_factory.mktemp("hub") / "tiny", seed=0)


def failing(monkeypatch, name, error, seed=None):
    """The method fails of the error, with the seed or with all."""
    fit = METHODS[name].fit

    def fails(cell):
        if seed in (None, cell.seed):
            raise error
        return fit(cell)

    monkeypatch.setitem(METHODS, name, replace(METHODS[name], fit=fails))


def second_pass_raises(monkeypatch, error):
    """The pass over the test images fails of the error; that over the training images came before it."""
    stream, passes = features.Extractor.stream, []

    def watched(extractor, images):
        passes.append(images)
        if len(passes) == 2:
            raise error
        return stream(extractor, images)

    monkeypatch.setattr(features.Extractor, "stream", watched)


def test_the_others_finish_and_come_with_the_error(task, network, monkeypatch):
    failing(monkeypatch, "linear", RuntimeError("out of\nmemory"))
    with pytest.raises(UnfinishedComparisonError, match=r"^linear: RuntimeError: out of memory$") as caught:
        compare(task, network, ["linear", "knn"], **OPTIONS)
    monkeypatch.undo()
    (alone,) = compare(task, network, "knn", **OPTIONS)
    assert [(one.method, one.accuracy) for one in caught.value.outcomes] == [("knn", alone.accuracy)]
    assert list(caught.value.failed) == [("linear", 0)]


def test_a_method_may_fail_with_one_seed_alone(task, network, monkeypatch):
    failing(monkeypatch, "linear", DataError("these folds are none"), seed=1)
    with pytest.raises(UnfinishedComparisonError, match=r"^linear: these folds are none$") as caught:
        compare(task, network, ["linear", "knn"], seed=(0, 1), **OPTIONS)
    assert [(one.method, one.seed) for one in caught.value.outcomes] == [("linear", 0), ("knn", 0), ("knn", 1)]
    assert list(caught.value.failed) == [("linear", 1)]


def test_where_nothing_finished_the_error_is_the_method_s_own(task, network, monkeypatch):
    failing(monkeypatch, "linear", DataError("no good"))
    failing(monkeypatch, "knn", RuntimeError("neither"))
    with pytest.raises(DataError, match="linear: no good"):
        compare(task, network, ["linear", "knn"], **OPTIONS)
    with pytest.raises(RuntimeError, match="neither"):
        compare(task, network, "knn", **OPTIONS)


def test_what_starts_from_a_method_that_failed_says_so(task, network, monkeypatch):
    failing(monkeypatch, "head2toe", ParameterError("not today"))
    with pytest.raises(UnfinishedComparisonError) as caught:
        compare(task, network, ["linear", "head2toe-ft"], **OPTIONS)
    assert [one.method for one in caught.value.outcomes] == ["linear"]
    assert str(caught.value) == "head2toe: not today; head2toe-ft: this method starts from head2toe, which failed"
    kinds = [type(error) for error in caught.value.failed.values()]
    assert kinds == [ParameterError, ParameterError]


def test_what_starts_from_a_method_that_cannot_learn_from_the_data_fails_of_that(task, network, monkeypatch):
    failing(monkeypatch, "head2toe", ConstantFeaturesError("all the same"))
    with pytest.raises(UnfinishedComparisonError) as caught:
        compare(task, network, ["linear", "head2toe-ft"], **OPTIONS)
    assert all(type(error) is ConstantFeaturesError for error in caught.value.failed.values())


@pytest.mark.parametrize(("error", "told"), [(MemoryError(), "MemoryError"), (DataError("too dark"), "too dark")])
@pytest.mark.parametrize("reads", ["of_rows", "of_images"])
def test_predictions_may_fail_too(task, network, monkeypatch, reads, error, told):
    fit = METHODS["knn"].fit

    def blind(cell):
        def fails(_):
            raise error

        return replace(fit(cell), **{"of_rows": None, "of_images": None, reads: fails})

    monkeypatch.setitem(METHODS, "knn", replace(METHODS["knn"], fit=blind))
    with pytest.raises(UnfinishedComparisonError, match=rf"^knn: {told}$") as caught:
        compare(task, network, ["linear", "knn"], **OPTIONS)
    assert [one.method for one in caught.value.outcomes] == ["linear"]
    assert caught.value.outcomes[0].accuracy is not None


def test_rows_of_test_images_that_fail_cost_those_nothing_that_read_images(task, network, monkeypatch):
    class Broken(features.Extractor):
        def stream(self, images):
            yield next(super().stream(images))
            raise DataError("the disk is gone")

    monkeypatch.setattr(features, "Extractor", Broken, raising=False)
    with pytest.raises(UnfinishedComparisonError) as caught:
        compare(task, network, ["linear", "knn", "finetune"], steps=1, **{**OPTIONS, "batch_size": 8})
    assert str(caught.value) == "linear: the disk is gone; knn: the disk is gone"
    assert [one.method for one in caught.value.outcomes] == ["finetune"]
    assert caught.value.outcomes[0].accuracy is not None
    with pytest.raises(DataError, match=r"^linear: the disk is gone$"):
        compare(task, network, "linear", **{**OPTIONS, "batch_size": 8})


@pytest.mark.parametrize("kind", [RuntimeError, DataError])
@pytest.mark.parametrize("wrapped", [False, True])
def test_what_a_failed_method_had_in_memory_is_free_for_the_next(task, network, monkeypatch, kind, wrapped):
    held, seen, fit = [], [], METHODS["knn"].fit

    def fills():
        large = np.ones(1000)
        held.append(weakref.ref(large))
        raise kind("full")

    def fails(cell):
        if not wrapped:
            fills()
        try:
            fills()
        except kind as error:
            raise kind("fuller") from error

    def looks(cell):
        gc.collect()
        seen.extend(one() for one in held)
        return fit(cell)

    monkeypatch.setitem(METHODS, "linear", replace(METHODS["linear"], fit=fails))
    monkeypatch.setitem(METHODS, "knn", replace(METHODS["knn"], fit=looks))
    with pytest.raises(UnfinishedComparisonError):
        compare(task, network, ["linear", "knn"], **OPTIONS)
    assert len(seen) == 1 and seen[0] is None


def test_ctrl_c_before_any_method_has_finished_stops_the_comparison(task, network, monkeypatch):
    failing(monkeypatch, "linear", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt) as caught:
        compare(task, network, ["linear", "knn"], **OPTIONS)
    assert caught.type is KeyboardInterrupt


def test_after_ctrl_c_what_had_finished_is_judged(task, network, monkeypatch, caplog):
    failing(monkeypatch, "knn", KeyboardInterrupt(), seed=1)
    with pytest.raises(InterruptedComparisonError) as caught:
        compare(task, network, ["linear", "knn", "last4"], seed=(0, 1), **OPTIONS)
    assert isinstance(caught.value, KeyboardInterrupt)  # `except Exception` of a script does not swallow Ctrl-C
    assert [record.message.split(":")[1].split("and")[0].strip() for record in caplog.records] == ["4 of 6 methods"]
    monkeypatch.undo()
    wanted = compare(task, network, ["linear", "knn", "last4"], seed=(0, 1), **OPTIONS)
    figures = [(one.method, one.seed, one.accuracy) for one in caught.value.outcomes]
    assert figures == [(one.method, one.seed, one.accuracy) for one in wanted][:4]


def test_a_second_ctrl_c_gives_up(task, network, monkeypatch):
    failing(monkeypatch, "knn", KeyboardInterrupt())
    second_pass_raises(monkeypatch, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt) as caught:
        compare(task, network, ["linear", "knn"], **OPTIONS)
    assert caught.type is KeyboardInterrupt


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [(DataError("no neighbour"), 2, "error: knn: no neighbour"), (KeyboardInterrupt(), 130, "error: interrupted")],
)
def test_the_command_prints_what_finished(network, tmp_path, monkeypatch, capsys, error, code, told):
    write_folder(tmp_path / "data" / "train", n=45, seed=0)
    write_folder(tmp_path / "data" / "test", n=24, seed=1)
    failing(monkeypatch, "knn", error)
    out = tmp_path / "figures.json"
    given = ["compare", str(tmp_path / "data"), "--split", "train", "--test-split", "test", "--backbone", network]
    assert main([*given, "--methods", "linear,knn", "--image-size", "32", "--out", str(out)]) == code
    shown = capsys.readouterr()
    assert [line.split()[0] for line in shown.out.splitlines()] == ["method", "linear"]
    assert shown.err.splitlines()[-1] == told
    assert '"linear"' in out.read_text() and '"knn"' not in out.read_text()


def test_after_ctrl_c_it_is_told_what_had_failed_before(task, network, monkeypatch, caplog):
    failing(monkeypatch, "knn", DataError("no neighbour"))
    failing(monkeypatch, "last4", KeyboardInterrupt())
    with pytest.raises(InterruptedComparisonError) as caught:
        compare(task, network, ["linear", "knn", "last4"], **OPTIONS)
    assert [one.method for one in caught.value.outcomes] == ["linear"]
    assert list(caught.value.failed) == [("knn", 0)] and "knn: no neighbour" in caplog.text


def test_after_ctrl_c_outcomes_of_nothing_are_none(task, network, monkeypatch):
    """What was there in place of them, such as a file, stays."""
    failing(monkeypatch, "last4", KeyboardInterrupt())
    second_pass_raises(monkeypatch, DataError("the disk is gone"))
    with pytest.raises(KeyboardInterrupt) as caught:
        compare(task, network, ["linear", "last4"], **OPTIONS)
    assert caught.type is KeyboardInterrupt
