"""An approximate inverse of the group lasso's Newton system."""

from __future__ import annotations

from collections.abc import Callable

import torch

_DENSE = 6000  # a larger active set gets a diagonal preconditioner
_JITTER = 1e-5  # of the mean diagonal: duplicated columns make the matrices singular

Apply = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


class Preconditioner:
    """The sum of two inverses, one across the rows' directions and one along them.

    The Hessian of ``level ||w||`` is nothing along u = w / ||w||, and ``level / ||w||``, a lot for a short row, across
    it. With G = X' diag(h) X, h the mean curvature of each sample, ``(G + diag(level / ||w||))^-1`` serves all outputs
    across u; along u the k x k matrix ``G * (U'U)`` of the lengths alone. Both are computed once, in float32, and
    serve later rounds as long as they do: of rows that left, the principal part of an inverse is again one of the
    same sign, and rows whose level / ||w|| has grown are scaled down.

    Parameters
    ----------
    X : Tensor (n, k)
        The active columns, centred where there is an intercept.
    active : Tensor (k,) int64
        Their places among the `size` columns of the working set.
    curvature : Tensor (n,)
    unit : Tensor (c, k)
    across : Tensor (k,)
        ``level / ||w||``.
    ridge : float
    size : int
    """

    def __init__(
        self,
        X: torch.Tensor,
        active: torch.Tensor,
        curvature: torch.Tensor,
        unit: torch.Tensor,
        across: torch.Tensor,
        ridge: float,
        size: int,
    ) -> None:
        self.tired = 0
        self.place = torch.full((size,), -1, device=X.device)
        self.place[active] = torch.arange(len(active), device=X.device)
        self.total = curvature.sum().clamp_min(1e-30)
        X, unit = X.float(), unit.float()
        # A common factor keeps float32 in range whatever the units of X.
        self.diagonal = (curvature.float() @ X.square()).clamp_min(1e-30)
        self.across, self.ridge = across.float(), ridge
        self.dense = len(active) <= _DENSE
        if not self.dense:
            return
        gram = X.T @ (curvature.float()[:, None] * X)
        jitter = _JITTER * self.diagonal.mean()
        along = gram * (unit.T @ unit)
        along.diagonal().add_(ridge + jitter)
        gram.diagonal().add_(self.across + ridge + jitter)
        self.inverse, self.inverse_along = _inverse(gram), _inverse(along)

    def on(self, active: torch.Tensor, unit: torch.Tensor, across: torch.Tensor) -> Apply:
        """The approximate inverse for the rows that are active now."""
        place = self.place[active]
        known = place >= 0
        plain = 1 / (across.float() + self.ridge + self.diagonal.mean())
        if not self.dense or not bool(known.any()):
            return lambda R, r: (R * plain.to(R), r / self.total)
        where, dtype = place[known], unit.dtype
        inverse, inverse_along = self.inverse, self.inverse_along
        if len(where) < len(inverse):
            inverse, inverse_along = inverse[where][:, where], inverse_along[where][:, where]
        base = self.diagonal[where] + self.ridge
        scale = ((base + self.across[where]) / (base + across[known].float())).clamp_max(1).sqrt()
        direction, everything = unit[:, known].float(), bool(known.all())

        def apply(R: torch.Tensor, r: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            part = R.float() if everything else R[:, known].float()
            out = ((part * scale) @ inverse) * scale
            out.addcmul_(direction, (inverse_along @ (part * direction).sum(dim=0))[None, :])
            if everything:
                return out.to(dtype), r / self.total
            full = R * plain.to(R)
            full[:, known] = out.to(dtype)
            return full, r / self.total

        return apply


def _inverse(matrix: torch.Tensor) -> torch.Tensor:
    factor, failed = torch.linalg.cholesky_ex(matrix)
    if int(failed):
        return torch.diag(1 / matrix.diagonal().clamp_min(1e-30))
    return torch.cholesky_inverse(factor)
