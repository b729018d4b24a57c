"""The linear head that is kept: K columns of the feature matrix in, c logits out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

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
_SILENT = 1e-6  # of the loudest coefficient: a feature that says less may be lost
_CHUNK = 1024  # rows that are in memory in float64


@dataclass(frozen=True)
class LinearHead:
    """``logits = ((x[indices] - mean) / scale) @ coef.T + intercept``; the last B of the K are deviations.

    Of these ``|x[indices] - centre|`` takes the place of ``x[indices]``: how far a feature lies from its own mean.

    Attributes
    ----------
    indices : int64 Tensor (K,)
        Columns of the full feature matrix, ascending; then those of deviations, ascending too.
    mean, scale : float32 Tensor (K,)
        Those that the features were standardised by; of a rounded head, zero and the unit of each feature.
    coef : float32 Tensor (c, K)
    intercept : float32 Tensor (c,)
    centre : float32 Tensor (B,)
    """

    indices: torch.Tensor
    mean: torch.Tensor
    scale: torch.Tensor
    coef: torch.Tensor
    intercept: torch.Tensor
    centre: torch.Tensor = field(default_factory=lambda: torch.empty(0))

    @property
    def plain_count(self) -> int:
        """How many of the K are columns as they are."""
        return len(self.indices) - len(self.centre)

    def numbers(self, d: int) -> torch.Tensor:
        """The K as columns of `standardised.Standardised`, where deviations follow d columns: int64 (K,), ascending."""
        deviation = torch.arange(len(self.indices)) >= self.plain_count
        return self.indices + d * deviation

    def logits(self, kept: torch.Tensor) -> torch.Tensor:
        """Logits (n, c) float32 of rows already restricted to `indices`, (n, K).

        They are summed in float64, some rows at a time: a rounded head has no means, and where features lie far from
        zero large numbers cancel.
        """
        coef, parts = self.coef.T.double(), kept.split(_CHUNK)
        values = (deviating(rows.double(), self.centre) for rows in parts)
        return (torch.cat([((x - self.mean) / self.scale) @ coef for x in values]) + self.intercept).float()

    def rounded(self, rows: Standardised | None = None) -> LinearHead:
        """The head that is kept: small numbers that say nearly the same.

        The coefficients of a feature become whole numbers, 127 at most, or 3 where classes are many
        (`rounding.levels`), and its `scale` the unit that makes them so, in bfloat16's precision: some features speak a
        hundred times as loud as others. Means become zero. The intercept makes good both: at the mean of the features
        all logits stay what they are.

        A head that is small all the same (`LEAST_BYTES` in float32) stays as it is: of few features none makes good
        what another lost, and near classes would become one. So does one of features whose unit no float32 holds.

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
            unit, whole = compensated(self.coef, self.scale, most, rows, self.numbers(rows.d).numpy())
        peak = self.coef.abs().amax(dim=0)
        if bool((self.scale.isfinite() & ~unit.isfinite() & (peak > _SILENT * peak.max())).any()):
            return self
        shift = whole.double() @ (self.mean.double() / unit)
        intercept = (self.intercept - shift).float()
        return replace(self, mean=torch.zeros_like(self.mean), scale=unit, coef=whole, intercept=intercept)

    def in_units(self, mean: torch.Tensor, scale: torch.Tensor) -> LinearHead:
        """The head that says the same of features (K,) centred and divided by these; one without a scale is silent."""
        coef = torch.where(scale.isfinite(), self.coef * (scale / self.scale), 0.0)
        shift = self.coef.double() @ ((mean.double() - self.mean) / self.scale)
        return replace(self, mean=mean, scale=scale, coef=coef, intercept=(self.intercept + shift).float())

    def tensors(self) -> dict[str, torch.Tensor]:
        """What is stored.

        Of a rounded head: the lower halves of the K indices, in uint16, and how many have each upper half, in int32,
        those of deviations in a second line; the scale in bfloat16; K c coefficients of eight or three bits; c float32
        numbers, and B where there are deviations. Others would lose by that, and small ones gain little: K int32
        indices, and all else in float32.
        """
        if self._is_small or not self._is_rounded:
            parts = {"mean": self.mean, "scale": self.scale, "coef": self.coef, "intercept": self.intercept}
            found = {"indices": self.indices.to(torch.int32), **parts}
            return {**found, "centre": self.centre} if len(self.centre) else found
        found = {
            "indices": (self.indices % PAGE).to(torch.uint16),
            "pages": self._pages().to(torch.int32),
            "scale": self.scale.bfloat16(),
            "coef": packed(self.coef),
            "intercept": self.intercept,
        }
        return {**found, "centre": self.centre} if len(self.centre) else found

    def _pages(self) -> torch.Tensor:
        """How many indices have each upper half, (pages,), with deviations (2, pages)."""
        upper = self.indices // PAGE
        if not len(self.centre):
            return torch.bincount(upper)
        parts = upper[: self.plain_count], upper[self.plain_count :]
        return torch.stack([torch.bincount(part, minlength=int(upper.max()) + 1) for part in parts])

    @property
    def _is_small(self) -> bool:
        classes, count = self.coef.shape
        return 4 * (count * (3 + classes) + classes + len(self.centre)) + FILE_BYTES <= LEAST_BYTES

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
        for indices in head.indices.split([head.plain_count, len(head.centre)]):
            if len(indices) and (int(indices[0]) < 0 or int(indices[-1]) >= d or bool((indices.diff() <= 0).any())):
                raise ValueError(f"indices are not ascending columns below {d}")
        return head

    @staticmethod
    def of(tensors: dict[str, torch.Tensor]) -> LinearHead:
        """The head of `tensors`, the very same; those of earlier versions have a mean and a step for each feature."""
        indices, scale = tensors["indices"].to(torch.int64), tensors["scale"].float()
        if "pages" in tensors:
            pages = torch.atleast_2d(tensors["pages"].to(torch.int64))
            indices = indices + PAGE * torch.cat([torch.repeat_interleave(line) for line in pages])
        mean = tensors["mean"].float() if "mean" in tensors else torch.zeros_like(scale)
        coef = unpacked(tensors["coef"], len(tensors["intercept"]))
        if "step" in tensors:
            coef = coef * tensors["step"].float()
        centre = tensors["centre"].float() if "centre" in tensors else torch.empty(0)
        return LinearHead(indices, mean, scale, coef, tensors["intercept"], centre)


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
    centre = tensors.get("centre", torch.empty(0))
    if centre.ndim != 1 or len(centre) > k:
        raise ValueError(f"centre has shape {tuple(centre.shape)}, for {k} indices")
    if "pages" in tensors:
        pages = torch.atleast_2d(tensors["pages"])
        lines = [k - len(centre), len(centre)] if "centre" in tensors else [k]
        if pages.ndim != 2 or pages.sum(dim=1).tolist() != lines or bool((pages < 0).any()):
            raise ValueError(f"pages do not tell where its {k} indices are")


def deviating(kept: torch.Tensor, centre: torch.Tensor) -> torch.Tensor:
    """Rows (n, K) of what a head reads, whose last B columns become deviations from a centre (B,)."""
    if not len(centre):
        return kept
    plain, last = kept.split([kept.shape[1] - len(centre), len(centre)], dim=1)
    return torch.cat([plain, (last - centre).abs()], dim=1)


def weighted_sum(heads: Sequence[tuple[LinearHead, float]]) -> LinearHead:
    """The head whose logits are the weighted sum of those of others, on the features of all.

    Parameters
    ----------
    heads : sequence of (LinearHead, float)
        Fitted on the same rows, and not yet rounded: a feature has the same mean and scale in all.
    """
    d = 1 + max(int(head.indices.max()) for head, _ in heads)
    numbers = torch.cat([head.numbers(d) for head, _ in heads]).unique()
    first = heads[0][0]
    mean, scale, centre = (torch.empty(len(numbers)) for _ in range(3))
    coef, intercept = torch.zeros(len(first.coef), len(numbers)), torch.zeros_like(first.intercept)
    for head, weight in heads:
        places = torch.searchsorted(numbers, head.numbers(d))
        mean[places], scale[places] = head.mean, head.scale
        centre[places[head.plain_count :]] = head.centre
        coef[:, places] += weight * head.coef
        intercept += weight * head.intercept
    return LinearHead(numbers % d, mean, scale, coef, intercept, centre[numbers >= d])


def features_within(size: float, classes: int) -> int:
    """How many features a c-class head of `size` bytes keeps, file and all (`LinearHead.tensors`)."""
    for_features = int(max(size, LEAST_BYTES)) - 4 * classes - FILE_BYTES
    return max(1, for_features // _bytes_of_one(classes))


def deviations_within(features: int, classes: int) -> int:
    """How many deviations take no more bytes than so many features: each has a centre besides."""
    return max(1, features * _bytes_of_one(classes) // (_bytes_of_one(classes) + 4))


def as_features(deviations: int, classes: int) -> int:
    """How many features take as many bytes as so many deviations."""
    return -(-deviations * (_bytes_of_one(classes) + 4) // _bytes_of_one(classes))


def _bytes_of_one(classes: int) -> int:
    return 2 * 2 + bytes_a_feature(classes)


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
    usual = rows.project(indices, p)[:, 0]
    return LinearHead(
        indices=torch.from_numpy(indices % rows.d),
        mean=torch.from_numpy(rows.mean[indices].copy()),
        scale=torch.from_numpy(rows.scale[indices].copy()),
        coef=coef,
        intercept=(solution.intercept - (coef.double() @ usual.double())).float(),
        centre=torch.from_numpy(rows.mean[indices[indices >= rows.d] - rows.d]),
    )
