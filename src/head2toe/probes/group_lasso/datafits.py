"""Losses of a linear model, with what a primal-dual solver asks of them.

Predictions are kept with samples last, Z of shape (c, n): products of a tall matrix with a few columns run several
times faster that way round, and so do the sums over classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from numbers import Integral

import torch

from head2toe.errors import ParameterError

_NEWTON_STEPS = 30
_LEAST_DAMPING, _DAMPING_GROWTH = 1e-12, 8.0
_BALANCED = 1e-14  # how near to zero the columns of the dual point must sum
_ROUNDING = 1e-14  # of the loss: near its minimum it tells less than the slope does
_SATURATED = 20.0  # logits


def class_numbers(y: torch.Tensor, classes: int | None) -> tuple[torch.Tensor, int]:
    """Class numbers as int64 (n,), and how many classes there are; None: one more than the largest.

    Raises
    ------
    ParameterError
        Not one whole number a sample, from 0 to the number of classes.
    """
    numbers = y.long()
    if y.ndim != 1 or not bool((numbers == y).all()):
        raise ParameterError("y must have one whole number a sample, its class: see numpy.unique(return_inverse=True)")
    if classes is not None and not isinstance(classes, Integral):
        raise ParameterError(f"classes is {classes!r}: use a whole number, or None")
    count = int(numbers.max()) + 1 if classes is None else int(classes)
    if int(numbers.min()) < 0 or int(numbers.max()) >= count:
        raise ParameterError(f"y must have class numbers from 0 to {count - 1}, not {numbers.min()} to {numbers.max()}")
    return numbers, count


class Multinomial:
    """``F(Z) = sum_i p_i CE(z_i, y_i)``: softmax cross-entropy of logits Z (c, n) with sample shares p.

    Parameters
    ----------
    y : Tensor (n,) int64
        Class numbers 0..c-1.
    classes : int
    share : Tensor (n,) float64
        Non-negative, summing to one.
    dtype : torch.dtype
        Of the products; values and intercepts are always float64.
    """

    offset = 0.0  # what the intercept lacks

    def __init__(self, y: torch.Tensor, classes: int, share: torch.Tensor, dtype: torch.dtype) -> None:
        self.y, self.outputs, self.dtype = y, classes, dtype
        self.p64 = share.double()[None, :]
        self.p = self.p64.to(dtype)
        self.target = torch.nn.functional.one_hot(y, classes).T.to(dtype).contiguous()
        self.target64 = self.target.double()

    def value(self, Z: torch.Tensor) -> float:
        """F(Z)."""
        Z = Z.double()
        losses = torch.logsumexp(Z, dim=0) - Z.gather(0, self.y[None, :])[0]
        return float(self.p64[0] @ losses)

    def gradient(self, Z: torch.Tensor) -> tuple[torch.Tensor, MultinomialHessian]:
        """``dF/dZ`` (c, n), and the second derivatives there."""
        proba = torch.softmax(Z, dim=0)
        return self.p * (proba - self.target), MultinomialHessian(proba, self.p)

    def intercept(self, Z: torch.Tensor, start: torch.Tensor | None = None) -> torch.Tensor:
        """The minimiser b of ``F(Z + b)``, float64 (c,) with mean zero, by damped Newton steps.

        Where logits are large, softmaxes are saturated and the loss is nearly a polyhedron, on which Newton's method
        gets stuck. The minimiser at ten times the temperature, found the same way, then shows where to begin. With many
        classes and logits of a thousand it may still end a little above the least value.
        """
        Z = Z.double()
        prior = (self.p64 * self.target64).sum(dim=1)
        starts = [prior.log() - prior.log().mean(), *([] if start is None else [start.double()])]
        b, balanced = self._newton(Z, prior, min(starts, key=lambda one: self.value(Z + one[:, None])))
        if not balanced and float(Z.abs().amax()) > _SATURATED:
            b, _ = self._newton(Z, prior, 10 * self.intercept(Z / 10, b / 10))
        return b - b.mean()

    def _newton(self, Z: torch.Tensor, prior: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, bool]:
        """The minimiser of ``F(Z + b)`` as far as Newton's method gets from b, and whether it is one."""
        value = self.value(Z + b[:, None])
        for _ in range(_NEWTON_STEPS):
            proba = torch.softmax(Z + b[:, None], dim=0)
            weighted = self.p64 * proba
            slope = weighted.sum(dim=1) - prior
            if slope.abs().max() < _BALANCED:
                return b, True
            # The Hessian is singular along the vector of ones; adding 11'/c makes it regular and changes no step.
            curvature = torch.diag(weighted.sum(dim=1)) - weighted @ proba.T + 1 / self.outputs
            for step in _steps(curvature, slope):
                trial = self.value(Z + (b - step)[:, None])
                if trial <= value + _ROUNDING * abs(value):
                    b, value = b - step, trial
                    break
            else:
                break
        return b, False

    def dual(self, Z: torch.Tensor) -> MultinomialDual:
        """The dual point of logits Z."""
        return MultinomialDual(torch.softmax(Z.double(), dim=0), self.target64, self.p64)


def _steps(curvature: torch.Tensor, slope: torch.Tensor) -> Iterator[torch.Tensor]:
    """Newton's step for the curvature (c, c) and slope (c,), then shorter ones (Levenberg and Marquardt's).

    Where softmaxes are saturated there is hardly any curvature and Newton's step leads anywhere. None of a softmax is
    larger than 1/2 (Boehning 1992), so the last ones cannot fail to descend.
    """
    factor, failed = torch.linalg.cholesky_ex(curvature)
    step = torch.cholesky_solve(slope[:, None], factor)[:, 0]
    length = math.inf if int(failed) else float(step.norm())
    if math.isfinite(length):
        yield step
    damping = max(float(slope.norm()) / length, _LEAST_DAMPING) if 0 < length < math.inf else _LEAST_DAMPING
    while damping < 1:
        damping *= _DAMPING_GROWTH
        yield torch.linalg.solve(curvature + damping * torch.eye(len(slope)).to(curvature), slope)


class MultinomialHessian:
    """``F''(Z)`` where the probabilities are `proba` (c, n)."""

    def __init__(self, proba: torch.Tensor, p: torch.Tensor) -> None:
        self.proba, self.p = proba, p

    def product(self, D: torch.Tensor) -> torch.Tensor:
        """``F''(Z) D`` (c, n)."""
        Q = self.proba * D
        return self.p * Q.addcmul_(self.proba, Q.sum(dim=0, keepdim=True), value=-1)

    def curvature(self) -> torch.Tensor:
        """Mean nonzero eigenvalue of each row's Hessian, (n,)."""
        return self.p[0] * (1 - self.proba.square().sum(dim=0)) / max(1, len(self.proba) - 1)


class MultinomialDual:
    """``theta_i = p_i (pi_i - e_y)``; scaled by s it stays in the domain: ``(1 - s) e_y + s pi`` are probabilities."""

    def __init__(self, proba: torch.Tensor, target: torch.Tensor, p: torch.Tensor) -> None:
        self.proba, self.target, self.p = proba, target, p

    def point(self) -> torch.Tensor:
        """Theta, float64 (c, n)."""
        return self.p * (self.proba - self.target)

    def value(self, s: float) -> float:
        """``-F*(s theta)``: the weighted entropy of the scaled probabilities."""
        mixed = s * self.proba + (1 - s) * self.target
        return -float((self.p * torch.xlogy(mixed, mixed)).sum())


class Squared:
    """``F(Z) = 1/2 sum_i p_i ||z_i - y_i||^2``, so that equal shares give scikit-learn's ``1/(2n) ||Z - Y||_F^2``.

    Parameters
    ----------
    Y : Tensor (n, c) float
    share : Tensor (n,) float64
        Non-negative, summing to one.
    dtype : torch.dtype
    centred : bool
        Y less its mean is what is fitted: far from zero, rounding would drown what is to be explained. `offset` is
        what the intercept lacks then.
    """

    def __init__(self, Y: torch.Tensor, share: torch.Tensor, dtype: torch.dtype, *, centred: bool = False) -> None:
        Y = Y.double()
        self.offset = share.double() @ Y if centred else torch.zeros(Y.shape[1], dtype=torch.float64, device=Y.device)
        Y = Y - self.offset
        self.outputs, self.dtype = Y.shape[1], dtype
        self.p64 = share.double()[None, :]
        self.p = self.p64.to(dtype)
        self.target64 = Y.double().T.contiguous()
        self.target = self.target64.to(dtype)

    def value(self, Z: torch.Tensor) -> float:
        """F(Z)."""
        return float((self.p64 * (Z.double() - self.target64).square()).sum()) / 2

    def gradient(self, Z: torch.Tensor) -> tuple[torch.Tensor, SquaredHessian]:
        """``dF/dZ`` (c, n), and the second derivatives, which are the same everywhere."""
        return self.p * (Z - self.target), SquaredHessian(self.p)

    def intercept(self, Z: torch.Tensor, start: torch.Tensor | None = None) -> torch.Tensor:  # noqa: ARG002
        """The minimiser b of ``F(Z + b)``, float64 (c,), in closed form."""
        return (self.p64 * (self.target64 - Z.double())).sum(dim=1)

    def dual(self, Z: torch.Tensor) -> SquaredDual:
        """The dual point of predictions Z."""
        return SquaredDual(Z.double() - self.target64, self.target64, self.p64)


class SquaredHessian:
    """``F''``: the share of each row."""

    def __init__(self, p: torch.Tensor) -> None:
        self.p = p

    def product(self, D: torch.Tensor) -> torch.Tensor:
        """``F'' D`` (c, n)."""
        return self.p * D

    def curvature(self) -> torch.Tensor:
        """Every row's second derivative, (n,)."""
        return self.p[0]


class SquaredDual:
    """``theta_i = p_i (z_i - y_i)``."""

    def __init__(self, error: torch.Tensor, target: torch.Tensor, p: torch.Tensor) -> None:
        self.error, self.target, self.p = error, target, p

    def point(self) -> torch.Tensor:
        """Theta, float64 (c, n)."""
        return self.p * self.error

    def value(self, s: float) -> float:
        """``-F*(s theta) = -sum_i p_i (s^2 ||e_i||^2 / 2 + s <e_i, y_i>)``."""
        return -float((self.p * (s * s / 2 * self.error.square() + s * self.error * self.target)).sum())


Datafit = Multinomial | Squared
Hessian = MultinomialHessian | SquaredHessian
Dual = MultinomialDual | SquaredDual
