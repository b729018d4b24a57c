"""Kernel ridge regression on class indicators, in closed form, with exact leave-one-out errors."""

from __future__ import annotations

import copy
from functools import cached_property

import numpy as np
import torch

from head2toe.probes.dual_solution import DualSolution
from head2toe.probes.kernels import spectrum


def indicators(y: torch.Tensor, classes: int) -> torch.Tensor:
    """One-hot rows, float64 (n, c)."""
    return torch.nn.functional.one_hot(y, classes).double()


def ridge_path(
    kernel: torch.Tensor, targets: torch.Tensor, weight: torch.Tensor, strengths: tuple[float, ...]
) -> list[DualSolution]:
    """The minimisers of `KernelRidge`, by one Cholesky factor a strength: cheaper where no leave-one-out is asked."""
    root = weight.sqrt()
    intercept = (weight / weight.sum()) @ targets
    residual = root[:, None] * (targets - intercept)
    weighted = root[:, None] * kernel * root
    solutions = []
    for strength in strengths:
        shifted = weighted.clone()
        shifted.diagonal().add_(strength)
        factor, failed = torch.linalg.cholesky_ex(shifted)
        if int(failed):  # rounding errors outweigh the strength: without the negative eigenvalues that they make
            ridge = KernelRidge(kernel, targets, weight)
            return [ridge.solve(one) for one in strengths]
        solved = torch.cholesky_solve(residual, factor)
        solutions.append(DualSolution(root[:, None] * solved, intercept))
    return solutions


class KernelRidge:
    """minimise ``sum_i v_i ||f(z_i) + b - y_i||^2 + strength ||f||^2`` for several strengths at once.

    One eigendecomposition of the weighted, centred kernel serves every strength (Saunders et al. 1998; the weighted
    intercept is the weighted mean because the kernel is centred with the same weights).

    Parameters
    ----------
    kernel : Tensor (m, m) float64, centred with `weight`, mean diagonal one
    targets : Tensor (m, c) float64
    weight : Tensor (m,) float64, mean one
    rank : int, optional
        That of the kernel, at most; then r eigenvectors stand for all (`kernels.spectrum`).
    groups : int64 array (m,), optional
        Rows of one number belong together: where one is left out, all of them are.
    """

    def __init__(
        self,
        kernel: torch.Tensor,
        targets: torch.Tensor,
        weight: torch.Tensor,
        rank: int | None = None,
        groups: np.ndarray | None = None,
    ) -> None:
        self.weight, self.root = weight, weight.sqrt()
        self.together = None if groups is None else _by_size(groups)
        self.values, self.vectors = spectrum(self.root[:, None] * kernel * self.root, rank)
        self.aim(targets)

    @cached_property
    def squared(self) -> torch.Tensor:
        """Squares of the eigenvectors' entries, (m, r)."""
        return self.vectors.square()

    @cached_property
    def beyond(self) -> torch.Tensor:
        """Of each row's unit vector the squared part outside the range of the eigenvectors, (m,)."""
        if len(self.values) == len(self.vectors):
            return torch.zeros(len(self.vectors), dtype=self.vectors.dtype)
        return (1 - self.squared.sum(dim=1)).clamp_min(0)

    def aim(self, targets: torch.Tensor) -> None:
        """Take other targets (m, c); the eigendecomposition stays."""
        self.targets = targets
        self.intercept = (self.weight / self.weight.sum()) @ targets
        self.residual = self.root[:, None] * (targets - self.intercept)
        self.rotated = self.vectors.T @ self.residual
        self.rest = None  # of the residual, where eigenvalues are zero
        if len(self.values) < len(self.vectors):
            self.rest = self.residual - self.vectors @ self.rotated
        self._paths: dict[tuple[float, ...], list[DualSolution]] = {}

    def taught(self, targets: torch.Tensor) -> KernelRidge:
        """The same rows with other targets (m, c); the eigendecomposition is shared."""
        other = copy.copy(self)
        other.aim(targets)
        return other

    def path(self, strengths: tuple[float, ...]) -> list[DualSolution]:
        """The minimisers, by one product with the eigenvectors for all strengths; kept for those that ask again."""
        if strengths not in self._paths:
            ridge = self.values[:, None] + torch.tensor(strengths, dtype=torch.float64)
            shrunk = self.rotated[:, None] / ridge[:, :, None]
            weighted = (self.vectors @ shrunk.flatten(1)).unflatten(1, shrunk.shape[1:])
            if self.rest is not None:
                weighted += self.rest[:, None] / torch.tensor(strengths, dtype=torch.float64)[:, None]
            alphas = (self.root[:, None, None] * weighted).unbind(1)
            self._paths[strengths] = [DualSolution(alpha, self.intercept) for alpha in alphas]
        return self._paths[strengths]

    def solve(self, strength: float) -> DualSolution:
        """The minimiser at one strength."""
        return self.path((strength,))[0]

    def leave_one_out(self, strength: float, solution: DualSolution | None = None) -> torch.Tensor:
        """Exact leave-one-out residuals ``y_i - f_{-i}(z_i)``, float64 (m, c), with the intercept refitted each time.

        The smoother of the weighted problem is ``H = K (K + s I)^-1 + r r' / r'r`` with r the square roots of the
        weights (K r = 0 since K is centred), and the leave-one-out residual of a linear smoother is
        ``residual_i / (1 - H_ii)`` (Allen's PRESS; Cawley and Talbot 2003). The residual itself is ``s alpha_i / v_i``.
        Of a group left out together they are ``(I - H_gg)^-1 residual_g``.

        Parameters
        ----------
        strength : float
            s.
        solution : DualSolution, optional
            The minimiser at this strength, where it is known.
        """
        alpha = (solution or self.solve(strength)).alpha
        if self.together is not None:
            return self._groups_left_out(strength, strength * alpha / self.root[:, None], self.together)
        free = self.squared @ (strength / (self.values + strength)) + self.beyond - self.weight / self.weight.sum()
        return strength * alpha / (self.weight * free.clamp_min(1e-12))[:, None]

    def _groups_left_out(self, strength: float, residual: torch.Tensor, together: list[torch.Tensor]) -> torch.Tensor:
        """The same for groups, from residuals (m, c) times the roots of the weights."""
        fitted, left_out = self.values / (self.values + strength), torch.empty_like(residual)
        for rows in together:
            vectors, root = self.vectors[rows], self.root[rows]
            smoother = (vectors * fitted) @ vectors.mT + root[:, :, None] * root[:, None, :] / self.weight.sum()
            free = (1 + 1e-12) * torch.eye(rows.shape[1], dtype=residual.dtype) - smoother
            left_out[rows] = torch.linalg.solve(free, residual[rows])
        return left_out / self.root[:, None]

    def left_out_outputs(self, strength: float, solution: DualSolution | None = None) -> torch.Tensor:
        """Leave-one-out outputs ``f_{-i}(z_i) + b``, float64 (m, c), but with the intercept of all rows.

        The intercept of the others, ``(sum_j v_j y_j - v_i y_i) / (sum_j v_j - v_i)``, is lower for the class of the
        row left out: a shift by the label alone, from which a rule fitted to these outputs would learn to tell classes
        that it cannot tell in new rows.
        """
        total, own = self.weight.sum(), self.weight[:, None]
        own, known = self._of_groups(own), self._of_groups(own * self.targets)
        others = (total * self.intercept - known) / (total - own).clamp_min(1e-12 * total)
        return self.targets - self.leave_one_out(strength, solution) - others + self.intercept

    def _of_groups(self, numbers: torch.Tensor) -> torch.Tensor:
        """Of numbers (m, k) the sums over each row's group, (m, k)."""
        if self.together is None:
            return numbers
        sums = torch.empty_like(numbers)
        for rows in self.together:
            sums[rows] = numbers[rows].sum(dim=1, keepdim=True)
        return sums

    def best_strength(self, strengths: tuple[float, ...]) -> float:
        """The strength with the smallest weighted leave-one-out squared error."""
        left_out = map(self.leave_one_out, strengths, self.path(strengths))
        errors = [float((self.root[:, None] * residual).square().sum()) for residual in left_out]
        return strengths[min(range(len(strengths)), key=errors.__getitem__)]


def _by_size(groups: np.ndarray) -> list[torch.Tensor]:
    """The rows of each group, int64 (g, k): one tensor for all groups of k rows."""
    order = np.argsort(groups, kind="stable")
    _, first, size = np.unique(groups[order], return_index=True, return_counts=True)
    return [torch.from_numpy(order[first[size == k][:, None] + np.arange(k)]) for k in np.unique(size)]
