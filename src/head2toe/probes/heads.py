"""The linear head that is kept: K columns of the feature matrix in, c logits out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from head2toe.probes.dual_solution import DualSolution
from head2toe.probes.kernels import uncentred
from head2toe.probes.rounding import (
    MANY_CLASSES,
    bytes_a_feature,
    compensated,
    levels,
    nearest,
    packed,
    packed_lines,
    unpacked,
)
from head2toe.probes.standardised import Standardised

FILE_BYTES = 1024  # what the file of a head says besides its features and intercept: less than this
LEAST_BYTES = 2**14  # nobody minds a head of this size, however small the network
PAGE = 2**16  # columns that the lower half of an index tells apart
_CHUNK = 1024  # rows that are in memory in float64


@dataclass(frozen=True)
class LinearHead:
    """``logits = ((x[indices] - mean) / scale) @ coef.T + intercept``.

    Attributes
    ----------
    indices : int64 Tensor (K,), ascending
        Columns of the full feature matrix.
    mean, scale : float32 Tensor (K,)
        Those that the features were standardised by; of a rounded head, zero and the unit of each feature.
    coef : float32 Tensor (c, K)
    intercept : float32 Tensor (c,)
    """

    indices: torch.Tensor
    mean: torch.Tensor
    scale: torch.Tensor
    coef: torch.Tensor
    intercept: torch.Tensor

    def logits(self, kept: torch.Tensor) -> torch.Tensor:
        """Logits (n, c) float32 of rows already restricted to `indices`, (n, K).

        They are summed in float64, some rows at a time: a rounded head has no means, and where features lie far from
        zero large numbers cancel.
        """
        coef = self.coef.T.double()
        parts = [((rows.double() - self.mean) / self.scale) @ coef for rows in kept.split(_CHUNK)]
        return (torch.cat(parts) + self.intercept).float()

    def rounded(self, rows: Standardised | None = None) -> LinearHead:
        """The head that is kept: small numbers that say nearly the same.

        The coefficients of a feature become whole numbers, 127 at most, or 3 where classes are many
        (`rounding.levels`), and its `scale` the unit that makes them so, in bfloat16's precision: some features speak a
        hundred times as loud as others. Means become zero. The intercept makes good both: at the mean of the features
        all logits stay what they are.

        A head that is small all the same (`LEAST_BYTES` in float32) stays as it is: of few features none makes good
        what another lost, and near classes would become one.

        Parameters
        ----------
        rows : Standardised, optional
            The rows that it was fitted on, in the units of this head. Where classes are many, later features then make
            good what the rounding of earlier ones did to the logits; steps of a 127th need no such care.
        """
        if self._is_small or self._is_rounded:
            return self
        most = levels(len(self.coef))
        if rows is None or len(self.coef) < MANY_CLASSES:
            unit, whole = nearest(self.coef, self.scale, most)
        else:
            unit, whole = compensated(self.coef, self.scale, most, rows, self.indices.numpy())
        shift = whole.double() @ (self.mean.double() / unit)
        return LinearHead(self.indices, torch.zeros_like(self.mean), unit, whole, (self.intercept - shift).float())

    def in_units(self, mean: torch.Tensor, scale: torch.Tensor) -> LinearHead:
        """The head that says the same of features (K,) centred and divided by these; one without a scale is silent."""
        coef = torch.where(scale.isfinite(), self.coef * (scale / self.scale), 0.0)
        shift = self.coef.double() @ ((mean.double() - self.mean) / self.scale)
        return LinearHead(self.indices, mean, scale, coef, (self.intercept + shift).float())

    def tensors(self) -> dict[str, torch.Tensor]:
        """What is stored.

        Of a rounded head: the lower halves of the K indices, in uint16, and how many have each upper half, in int32;
        the scale in bfloat16; K c coefficients of eight or three bits; and c float32 numbers. Others would lose by
        that, and small ones gain little: K int32 indices, and all else in float32.
        """
        if self._is_small or not self._is_rounded:
            parts = {"mean": self.mean, "scale": self.scale, "coef": self.coef, "intercept": self.intercept}
            return {"indices": self.indices.to(torch.int32), **parts}
        return {
            "indices": (self.indices % PAGE).to(torch.uint16),
            "pages": torch.bincount(self.indices // PAGE).to(torch.int32),
            "scale": self.scale.bfloat16(),
            "coef": packed(self.coef),
            "intercept": self.intercept,
        }

    @property
    def _is_small(self) -> bool:
        classes, count = self.coef.shape
        return 4 * (count * (3 + classes) + classes) + FILE_BYTES <= LEAST_BYTES

    @property
    def _is_rounded(self) -> bool:
        whole = torch.equal(self.coef, self.coef.round()) and bool((self.coef.abs() <= levels(len(self.coef))).all())
        return whole and not self.mean.any() and torch.equal(self.scale, self.scale.bfloat16().float())

    @staticmethod
    def checked(tensors: dict[str, torch.Tensor], classes: int, d: int) -> LinearHead:
        """The head of `tensors` from a file that may be damaged: of so many classes, on some of d columns.

        Raises
        ------
        ValueError
            It is not: the message begins with the name of the tensor.
        """
        _check_tensors(tensors, classes)
        head = LinearHead.of(tensors)
        indices = head.indices
        if len(indices) and (int(indices[0]) < 0 or int(indices[-1]) >= d or bool((indices.diff() <= 0).any())):
            raise ValueError(f"indices are not ascending columns below {d}")
        return head

    @staticmethod
    def of(tensors: dict[str, torch.Tensor]) -> LinearHead:
        """The head of `tensors`, the very same; those of earlier versions have a mean and a step for each feature."""
        indices, scale = tensors["indices"].to(torch.int64), tensors["scale"].float()
        if "pages" in tensors:
            indices = indices + PAGE * torch.repeat_interleave(tensors["pages"].to(torch.int64))
        mean = tensors["mean"].float() if "mean" in tensors else torch.zeros_like(scale)
        coef = unpacked(tensors["coef"], len(tensors["intercept"]))
        if "step" in tensors:
            coef = coef * tensors["step"].float()
        return LinearHead(indices, mean, scale, coef, tensors["intercept"])


def _check_tensors(tensors: dict[str, torch.Tensor], classes: int) -> None:
    """Refuse what `LinearHead.tensors` cannot have given."""
    for part in ("indices", "scale", "coef", "intercept", *(() if "pages" in tensors else ("mean",))):
        if part not in tensors:
            raise ValueError(f"{part} is missing")
    k, lines = len(tensors["indices"]), packed_lines(tensors["coef"], classes)
    shapes = {"mean": (k,), "scale": (k,), "coef": (lines, k), "step": (k,), "intercept": (classes,)}
    for part, value in tensors.items():
        if part in shapes and tuple(value.shape) != shapes[part]:
            raise ValueError(f"{part} has shape {tuple(value.shape)}, not {shapes[part]}")
    if "pages" in tensors and (int(tensors["pages"].sum()) != k or bool((tensors["pages"] < 0).any())):
        raise ValueError(f"pages do not tell where its {k} indices are")


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
    return max(1, for_features // (2 * 2 + bytes_a_feature(classes)))


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
    alpha = uncentred(solution.alpha, train, weight, rows.n) / unit
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
