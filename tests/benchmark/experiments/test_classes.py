"""Test labels that the training images do not have."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from head2toe.benchmark.experiments.running import run_experiment
from head2toe.errors import DataFormatError


def relabelled(task, labels):
    return replace(task, test=replace(task.test, labels=labels))


@pytest.fixture
def first(laboratory):
    return laboratory.tasks[0]


def test_labels_that_are_written_otherwise_are_refused_before_any_row(laboratory, first, tmp_path):
    strange = relabelled(first, [f"{label}.0" for label in first.test.labels])
    told = []
    other = replace(laboratory, tasks=[laboratory.tasks[1], strange], progress=told.append, memory={})
    with pytest.raises(DataFormatError, match=r"first: no test label is a training label: .* left\.0"):
        run_experiment("target-size", other, tmp_path)
    assert told == [] and list(tmp_path.iterdir()) == []
    with pytest.raises(DataFormatError, match="first: no test label"):
        other.rows(strange)


def test_a_class_that_training_lacks_is_told_once(laboratory, first, tmp_path, caplog):
    strange = relabelled(first, ["up", *first.test.labels[1:]])
    with caplog.at_level(logging.WARNING, "head2toe.benchmark"):
        run_experiment("target-size", replace(laboratory, tasks=[strange], memory={}), tmp_path)
    assert caplog.messages == ["first: no training image is of the class up: 1 of 24 test images count as errors"]
