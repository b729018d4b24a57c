"""What the group-lasso solver refuses, in words: numbers, shapes and parameters that have no solution."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_group_lasso_solver import problem

from head2toe.errors import DataFormatError, NotFiniteError, ParameterError
from head2toe.probes.group_lasso import group_lasso, group_lasso_path, lambda_max


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"strength": 0.0}, ParameterError, "strength"),
        ({"strength": float("nan")}, ParameterError, "strength"),
        ({"ridge": -1.0}, ParameterError, "ridge"),
        ({"loss": "hinge"}, ParameterError, "loss"),
        ({"group_weights": np.zeros(200)}, ParameterError, "group_weights"),
        ({"sample_weight": np.zeros(80)}, ParameterError, "sample_weight"),
        ({"sample_weight": np.ones(79)}, ParameterError, "sample_weight"),
        ({"classes": 4}, ParameterError, "class 3"),
        ({"sample_weight": np.r_[np.inf, np.ones(79)]}, ParameterError, "finite"),
        ({"y": np.zeros(3, int)}, DataFormatError, "80 rows"),
        ({"y": np.arange(80) % 2 + 0.7}, ParameterError, "one whole number a sample"),
        ({"y": np.zeros((80, 2), int)}, ParameterError, "one whole number a sample"),
        ({"y": np.arange(80) % 2 - 1}, ParameterError, "from 0 to 0, not -1 to 0"),
        ({"y": np.arange(80) % 3, "classes": 2}, ParameterError, "from 0 to 1, not 0 to 2"),
        ({"y": np.full(80, "a")}, DataFormatError, "y holds"),
        ({"y": np.arange(80) % 2, "classes": 2.5}, ParameterError, "whole number"),
        ({"y": np.arange(80) % 2, "classes": np.nan}, ParameterError, "whole number"),
        ({"X": np.zeros((0, 5)), "y": np.zeros(0, int)}, DataFormatError, "shape"),
        ({"ridge": np.inf}, ParameterError, "ridge"),
        ({"tolerance": np.nan}, ParameterError, "tolerance"),
        ({"max_iter": -1}, ParameterError, "max_iter"),
        ({"dtype": torch.float16}, ParameterError, "float32"),
        ({"dtype": "float32"}, ParameterError, "torch.float32"),
        ({"X": np.full((80, 200), "1")}, DataFormatError, "X holds"),
        ({"X": np.full((80, 200), 1e200) * np.eye(80, 200)}, NotFiniteError, "overflow"),
        ({"X": np.zeros(3)}, DataFormatError, "shape"),
        ({"X": np.full((80, 200), np.nan)}, NotFiniteError, "NaN or infinity"),
        ({"X": np.where(np.arange(200) == 9, np.inf, np.ones((80, 200)))}, NotFiniteError, "NaN or infinity"),
    ],
)
def test_what_cannot_be_solved_is_refused(options, error, message):
    X, y = problem()
    with pytest.raises(error, match=message):
        group_lasso(**{"X": X, "y": y, "strength": 0.1, **options})


@pytest.mark.parametrize("options", [{"count": -1}, {"count": 0}, {"eps": 0.0}, {"eps": 2.0}])
def test_a_path_of_nothing_is_refused(options):
    with pytest.raises(ParameterError, match="count"):
        group_lasso_path(*problem(), **options)


def test_a_path_needs_something_to_explain():
    with pytest.raises(ParameterError, match="no path: X is constant, or y is"):
        group_lasso_path(np.zeros((10, 3)), np.arange(10) % 2)
    with pytest.raises(DataFormatError, match=r"\(10, 0\)"):
        lambda_max(np.zeros((10, 0)), np.arange(10) % 2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("factor", [1e25, 1e-25])
def test_features_whose_squares_are_no_numbers_are_refused_in_words(dtype, factor):
    X, y = problem()
    with pytest.raises(NotFiniteError, match="rescale them"):
        group_lasso(factor * X, y, 0.1 * lambda_max(factor * X, y), dtype=dtype)
