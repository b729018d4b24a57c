"""Options of `compare` that a run of cells passes on, and those of its own."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.vtab.test_vtab_running import SETTINGS, Recorder, a_task
from head2toe.benchmark.vtab import run
from head2toe.errors import OutputExistsError, ParameterError

OPTIONS = {"augment": True, "target_sizes": np.array([64, 32])}


def once(out, seeds=1, **options):
    return run([a_task()], ["linear"], out, SETTINGS, seeds=seeds, compare=Recorder(), **options)


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
        once(tmp_path, seeds=2)


@pytest.mark.parametrize("seeds", [0, 1.5, "3"])
def test_seeds_are_a_number_of_runs(tmp_path, seeds):
    with pytest.raises(ParameterError, match="nothing to run: at least one task and one seed"):
        once(tmp_path, seeds=seeds)
