"""Approximate inverses of the group lasso's Newton system: one that costs nothing, one for stiff problems."""

from __future__ import annotations

from collections.abc import Callable

import torch

_DENSE = 6000  # a larger active set keeps the diagonal preconditioner
_JITTER = 1e-5  # of the mean diagonal: duplicated columns make the matrices singular
_PRICE = 4  # a product with a few columns runs at about this share of the speed of one with many

Apply = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


class Diagonal:
    """Every row on its own: one number across the row's direction and one along it.

    The Hessian of ``level ||w||`` is nothing along u = w / ||w||, and ``level / ||w||``, a lot for a short row, across
    it. With g = X_j' diag(h) X_j, h the mean curvature of each sample, the inverse of a row's own block is about
    ``(I - uu') / (g + level / ||w||) + uu' / g``. That the two differ matters more than what the rows share.

    Parameters
    ----------
    X : Tensor (n, k)
        The columns of the working set, centred where there is an intercept.
    curvature : Tensor (n,)
    ridge : float
    """

    def __init__(self, X: torch.Tensor, curvature: torch.Tensor, ridge: float) -> None:
        self.total = curvature.sum().clamp_min(1e-30)
        self.diagonal = (curvature @ X.square()).float().clamp_min(1e-30) + ridge

    def on(self, active: torch.Tensor, unit: torch.Tensor, across: torch.Tensor) -> Apply:
        """The approximate inverse for the rows `active` (k,) with directions `unit` (c, k) and level / ||w|| (k,)."""
        own = self.diagonal[active]
        everywhere = (1 / (own + across.float())).to(unit)
        along = unit * (1 / own.to(unit) - everywhere)

        def apply(R: torch.Tensor, r: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return (R * everywhere).addcmul_(along, (R * unit).sum(dim=0)), r / self.total

        return apply


class Dense:
    """The sum of two inverses, one across the rows' directions and one along them.

    With G = X' diag(h) X, ``(G + diag(level / ||w||))^-1`` serves all outputs across u; along u the k x k matrix
    ``G * (U'U)`` of the lengths alone. Both are computed once, in float32, and serve later rounds as long as they do:
    of rows that left, the principal part of an inverse is again one of the same sign, and rows whose level / ||w|| has
    grown are scaled down. Rows that came later are served by the diagonal.

    Parameters
    ----------
    X : Tensor (n, k)
        The active columns, centred where there is an intercept.
    active : Tensor (k,) int64
        Their places in the working set.
    curvature : Tensor (n,)
    unit : Tensor (c, k)
    across : Tensor (k,)
        ``level / ||w||``.
    ridge : float
    diagonal : Diagonal
    """

    def __init__(
        self,
        X: torch.Tensor,
        active: torch.Tensor,
        curvature: torch.Tensor,
        unit: torch.Tensor,
        across: torch.Tensor,
        ridge: float,
        diagonal: Diagonal,
    ) -> None:
        self.plain, self.own, self.total = diagonal, diagonal.diagonal[active], diagonal.total
        self.place = torch.full((len(diagonal.diagonal),), -1, device=X.device)
        self.place[active] = torch.arange(len(active), device=X.device)
        X, unit = X.float(), unit.float()
        # The diagonal's floor keeps float32 in range, unless the squares of X leave it.
        self.across = across.float()
        gram = X.T @ (curvature.float()[:, None] * X)
        jitter = _JITTER * self.own.mean()
        along = gram * (unit.T @ unit)
        along.diagonal().add_(ridge + jitter)
        gram.diagonal().add_(self.across + ridge + jitter)
        self.inverse, self.inverse_along = _inverse(gram), _inverse(along)

    def on(self, active: torch.Tensor, unit: torch.Tensor, across: torch.Tensor) -> Apply:
        """The approximate inverse for the rows that are active now."""
        place = self.place[active]
        known = place >= 0
        if not bool(known.any()):
            return self.plain.on(active, unit, across)
        where, dtype = place[known], unit.dtype
        inverse, inverse_along = self.inverse, self.inverse_along
        if len(where) < len(inverse):
            inverse, inverse_along = inverse[where][:, where], inverse_along[where][:, where]
        base = self.own[where]
        scale = ((base + self.across[where]) / (base + across[known].float())).clamp_max(1).sqrt()
        direction, everything = unit[:, known].float(), bool(known.all())
        plain = self.plain.on(active, unit, across)

        def apply(R: torch.Tensor, r: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            part = R.float() if everything else R[:, known].float()
            out = ((part * scale) @ inverse) * scale
            out.addcmul_(direction, (inverse_along @ (part * direction).sum(dim=0))[None, :])
            if everything:
                return out.to(dtype), r / self.total
            full, shift = plain(R, r)
            full[:, known] = out.to(dtype)
            return full, shift

        return apply


def worth_it(steps: int, n: int, k: int, c: int) -> bool:
    """Whether `steps` conjugate-gradient steps cost more than a `Dense` of k rows would have.

    A step is two products of n k c multiply-adds, a `Dense` n k^2 and about 2 k^3.
    """
    return k <= _DENSE and steps * 2 * n * c * _PRICE > k * (n + 2 * k)


def _inverse(matrix: torch.Tensor) -> torch.Tensor:
    factor, failed = torch.linalg.cholesky_ex(matrix)
    if int(failed):
        return torch.diag(1 / matrix.diagonal().clamp_min(1e-30))
    return torch.cholesky_inverse(factor)
