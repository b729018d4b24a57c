"""The linear head that is kept: K columns of the feature matrix in, c logits out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from head2toe.probes.least_squares import DualSolution
from head2toe.probes.ranking import spread
from head2toe.probes.rounding import (
    MANY_CLASSES,
    bytes_a_feature,
    compensated,
    levels,
    nearest,
    packed,
    step_of,
    unpacked,
)
from head2toe.probes.standardised import Standardised

FILE_BYTES = 1024  # what the file of a head says besides its tensors: less than this
LEAST_BYTES = 2**14  # nobody minds a head of this size, however small the network


@dataclass(frozen=True)
class LinearHead:
    """``logits = ((x[indices] - mean) / scale) @ coef.T + intercept``.

    Attributes
    ----------
    indices : int64 Tensor (K,), ascending
        Columns of the full feature matrix.
    mean, scale : float32 Tensor (K,)
    coef : float32 Tensor (c, K)
    intercept : float32 Tensor (c,)
    """

    indices: torch.Tensor
    mean: torch.Tensor
    scale: torch.Tensor
    coef: torch.Tensor
    intercept: torch.Tensor

    def logits(self, kept: torch.Tensor) -> torch.Tensor:
        """Logits (n, c) float32 of rows already restricted to `indices`, (n, K)."""
        z = (kept.to(self.mean.dtype) - self.mean) / self.scale
        return z @ self.coef.T + self.intercept

    def rounded(self, rows: Standardised | None = None) -> LinearHead:
        """The head that is kept: small numbers that say nearly the same.

        `mean` and `scale` take bfloat16's precision, which coefficients and intercept make good; the coefficients of a
        feature become whole multiples of a step of its own, 127 at most, or 7 where classes are many
        (`rounding.levels`): some features speak a hundred times as loud as others. At the mean of the features all
        logits stay what they are.

        A head that is small all the same (`LEAST_BYTES` in float32) stays as it is: of few features none makes good
        what another lost, and near classes would become one.

        Parameters
        ----------
        rows : Standardised, optional
            The rows that it was fitted on, in the units of this head. Where classes are many, later features then make
            good what the rounding of earlier ones did to the logits; steps of a 127th need no such care.
        """
        if self._is_small:
            return self
        mean, scale = _short(self.mean), _short(self.scale)
        varies = scale.isfinite()
        coef = torch.where(varies, self.coef * (scale / self.scale), 0.0)
        most = levels(len(coef))
        if rows is None or len(coef) < MANY_CLASSES:
            coef = nearest(coef, most)
        else:
            coef = compensated(coef, most, rows, self.indices.numpy())
        shift = torch.where(varies, (self.mean.double() - mean) / scale, 0.0)
        return LinearHead(self.indices, mean, scale, coef, (self.intercept - coef.double() @ shift).float())

    def tensors(self) -> dict[str, torch.Tensor]:
        """What is stored: K int32 indices, 3 K bfloat16 numbers, K c of eight or four bits, and c float32 ones.

        A head that is not `rounded` would lose by that, and a small one gain little: they are stored in float32.
        """
        indices = self.indices.to(torch.int32)
        mine, short = _parts(self), _parts(self.rounded())
        if self._is_small or not all(torch.equal(mine[name], short[name]) for name in mine):
            return {"indices": indices, **mine}
        return {
            "indices": indices,
            "mean": self.mean.bfloat16(),
            "scale": self.scale.bfloat16(),
            "coef": packed(self.coef),
            "step": step_of(self.coef, levels(len(self.coef))).bfloat16(),
            "intercept": self.intercept,
        }

    @property
    def _is_small(self) -> bool:
        classes, count = self.coef.shape
        return 4 * (count * (3 + classes) + classes) + FILE_BYTES <= LEAST_BYTES

    @staticmethod
    def of(tensors: dict[str, torch.Tensor]) -> LinearHead:
        """The head of `tensors`, the very same."""
        coef = unpacked(tensors["coef"], len(tensors["intercept"]))
        if "step" in tensors:
            coef = coef * tensors["step"].float()
        mean, scale = tensors["mean"].float(), tensors["scale"].float()
        return LinearHead(tensors["indices"].to(torch.int64), mean, scale, coef, tensors["intercept"])


def weighted_sum(heads: Sequence[tuple[LinearHead, float]]) -> LinearHead:
    """The head whose logits are the weighted sum of those of others, on the features of all.

    Parameters
    ----------
    heads : sequence of (LinearHead, float)
        Fitted on the same rows, and not yet rounded: a feature has the same mean and scale in all.
    """
    indices = torch.cat([head.indices for head, _ in heads]).unique()
    first = heads[0][0]
    mean, scale = (torch.empty(len(indices)) for _ in range(2))
    coef, intercept = torch.zeros(len(first.coef), len(indices)), torch.zeros_like(first.intercept)
    for head, weight in heads:
        places = torch.searchsorted(indices, head.indices)
        mean[places], scale[places] = head.mean, head.scale
        coef[:, places] += weight * head.coef
        intercept += weight * head.intercept
    return LinearHead(indices, mean, scale, coef, intercept)


def features_within(size: float, classes: int) -> int:
    """How many features a c-class head of `size` bytes keeps, file and all (`LinearHead.tensors`)."""
    for_features = int(max(size, LEAST_BYTES)) - 4 * classes - FILE_BYTES
    return max(1, for_features // (4 + 3 * 2 + bytes_a_feature(classes)))


def _parts(head: LinearHead) -> dict[str, torch.Tensor]:
    return {"mean": head.mean, "scale": head.scale, "coef": head.coef, "intercept": head.intercept}


def _short(values: torch.Tensor) -> torch.Tensor:
    return values.bfloat16().float()


def head_from_dual(
    rows: Standardised,
    indices: np.ndarray,
    solution: DualSolution,
    train: np.ndarray,
    weight: torch.Tensor,
    unit: float,
    importance: np.ndarray | None = None,
) -> LinearHead:
    """The primal head of a dual solution whose kernel was ``gram(indices, importance) / unit``, centred on `train`."""
    alpha = spread(solution, train, weight, rows.n) / unit
    coef = rows.project(indices, alpha).T.contiguous()
    if importance is not None:
        coef = coef * torch.from_numpy(importance.astype(np.float32))
    p = torch.zeros(rows.n, 1, dtype=torch.float64)
    p[torch.from_numpy(train), 0] = weight / weight.sum()
    centre = rows.project(indices, p)[:, 0]
    return LinearHead(
        indices=torch.from_numpy(indices.copy()),
        mean=torch.from_numpy(rows.mean[indices].copy()),
        scale=torch.from_numpy(rows.scale[indices].copy()),
        coef=coef,
        intercept=(solution.intercept - (coef.double() @ centre.double())).float(),
    )
