"""What the group lasso solves: a matrix, a loss and the weights of its groups, checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch

from head2toe.errors import DataFormatError, NotFiniteError, ParameterError
from head2toe.probes.group_lasso.datafits import Datafit, Multinomial, Squared, class_numbers
from head2toe.probes.group_lasso.design import Design
from head2toe.probes.group_lasso.working_set import WorkingSet

Loss = Literal["multinomial", "squared"]


@dataclass
class Problem:
    """One problem at any strength.

    Attributes
    ----------
    group_weights : Tensor (d,) float64, on the CPU
    null : float
        The loss of the intercept alone.
    null_correlations : Tensor (d,) float64
        ``||X_j' theta_0||_2``, theta_0 its gradient.
    """

    design: Design
    datafit: Datafit
    group_weights: torch.Tensor
    ridge: float
    fit_intercept: bool
    null: float = field(init=False)
    null_correlations: torch.Tensor = field(init=False)

    def __post_init__(self) -> None:
        empty = WorkingSet(self.datafit, self.fit_intercept, self.design.n, self.design.device)
        Z = empty.predictions()
        self.null = self.datafit.value(Z)
        self.null_correlations = self.design.correlations(self.datafit.dual(Z).point())

    @property
    def largest(self) -> float:
        """The smallest strength that selects nothing."""
        return float((self.null_correlations / self.group_weights).max())


def problem_of(
    X: np.ndarray | torch.Tensor,
    y: np.ndarray | torch.Tensor,
    loss: Loss,
    classes: int | None,
    fit_intercept: bool,
    sample_weight: np.ndarray | torch.Tensor | None,
    group_weights: np.ndarray | torch.Tensor | None,
    ridge: float,
    dtype: torch.dtype | None,
) -> Problem:
    """Check the arguments of `group_lasso`, which says what they are and what is raised."""
    X, y = _numbers("X", X), _numbers("y", y)
    if X.ndim != 2 or not all(X.shape):
        raise DataFormatError(f"X has shape {tuple(X.shape)}: the group lasso needs a matrix (n, d), n and d not zero")
    if dtype not in (None, torch.float32, torch.float64):
        raise ParameterError(f"dtype is {dtype!r}: use torch.float32, torch.float64 or None")
    n, d = X.shape
    dtype = dtype or (torch.float64 if str(X.dtype).endswith("float64") else torch.float32)
    design = Design(X, dtype)
    weight = torch.as_tensor(np.ones(n) if sample_weight is None else _numbers("sample_weight", sample_weight))
    weight = weight.cpu().double()
    if weight.shape != (n,) or not bool((weight >= 0).all()) or not 0 < float(weight.sum()) < np.inf:
        raise ParameterError(f"sample_weight must be {n} finite numbers, none negative, not all zero")
    groups = torch.ones(d) if group_weights is None else torch.as_tensor(_numbers("group_weights", group_weights)).cpu()
    groups = groups.double()
    if groups.shape != (d,) or not bool((groups > 0).all()):
        raise ParameterError(f"group_weights must be {d} positive numbers")
    if not 0 <= ridge < np.inf:
        raise ParameterError(f"ridge is {ridge}: use a finite number that is not negative")
    share = (weight / weight.sum()).to(design.device)
    target = torch.as_tensor(y).to(design.device)
    if len(target) != n:
        raise DataFormatError(f"X has {n} rows, but y has {len(target)}")
    datafit = _datafit(loss, target, classes, share, dtype, fit_intercept)
    problem = Problem(design, datafit, groups, float(ridge), fit_intercept)
    if not (np.isfinite(problem.null) and bool(torch.isfinite(problem.null_correlations).all())):
        raise NotFiniteError("NaN or infinity (inf) in X or y, or numbers so large that their products overflow")
    return problem


def _numbers(name: str, given: np.ndarray | torch.Tensor) -> np.ndarray | torch.Tensor:
    """Tensors and arrays as they are, all else as an array; numbers in this machine's order of bytes."""
    if isinstance(given, torch.Tensor):
        return given
    array = given if isinstance(given, np.ndarray) else np.asarray(given)
    if array.dtype.kind not in "fiub":
        raise DataFormatError(f"{name} holds {array.dtype}: the group lasso needs numbers")
    array = array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
    # torch knows neither negative strides nor large unsigned numbers.
    array = array.copy() if any(stride < 0 for stride in array.strides) else array
    return array.astype(np.int64) if array.dtype.kind == "u" and array.itemsize > 1 else array


def _datafit(
    loss: Loss, target: torch.Tensor, classes: int | None, share: torch.Tensor, dtype: torch.dtype, fit_intercept: bool
) -> Datafit:
    if loss == "squared":
        return Squared(target.reshape(len(target), -1), share, dtype, centred=fit_intercept)
    if loss != "multinomial":
        raise ParameterError(f"loss is {loss!r}: use 'multinomial' or 'squared'")
    target, classes = class_numbers(target, classes)
    totals = torch.bincount(target, weights=share, minlength=classes)
    if fit_intercept and not bool((totals > 0).all()):
        empty = int(torch.nonzero(totals == 0)[0, 0])
        raise ParameterError(f"class {empty} has no sample of positive weight: its intercept would be minus infinity")
    return Multinomial(target, classes, share, dtype)
