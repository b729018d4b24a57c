"""Coefficients as small whole numbers, of features that are each counted in a unit of their own."""

from __future__ import annotations

import numpy as np
import torch

from head2toe.probes.standardised import Standardised

MANY_CLASSES = 32  # from here on a coefficient takes three bits, else eight: they are nearly all that the head takes


def width(classes: int) -> int:
    """Bits of a coefficient."""
    return 3 if classes >= MANY_CLASSES else 8


def levels(classes: int) -> int:
    """The largest whole number that a coefficient may be, on either side of zero."""
    return 2 ** (width(classes) - 1) - 1


def bytes_a_feature(classes: int) -> int:
    """What the coefficients of one feature take when they are `packed`."""
    return -(-classes * width(classes) // 8)


def nearest(coef: torch.Tensor, scale: torch.Tensor, most: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A unit for each feature, and its coefficients as whole numbers: the largest is `most`.

    ``z * coef`` of a feature ``z = (x - mean) / scale`` is, but for a constant, nearly ``x / unit * whole``.

    Parameters
    ----------
    coef : float32 Tensor (c, K)
    scale : float32 Tensor (K,)
        What a feature was divided by.
    most : int

    Returns
    -------
    unit : float32 Tensor (K,)
        Of bfloat16's precision; infinite where a feature says nothing.
    whole : float32 Tensor (c, K)
    """
    unit = (scale * most / coef.abs().amax(dim=0)).bfloat16().float()
    unit = torch.where(unit >= torch.finfo(torch.float32).tiny, unit, torch.inf)
    whole = (coef * (unit / scale)).round().clamp(-most, most)
    return unit, torch.where(unit.isfinite(), whole, 0.0)


def compensated(
    coef: torch.Tensor, scale: torch.Tensor, most: int, rows: Standardised, indices: np.ndarray
) -> tuple[torch.Tensor, torch.Tensor]:
    """As `nearest`, but one feature after the other: each makes good on the rows what those before it moved.

    The loudest feature comes first. Features are much alike, so that a few levels do: `python -m benchmarks rounding`.
    This is the greedy rounding of optimal brain quantisation (Frantar et al. 2022) without its inverse Hessian:
    Gauss-Seidel steps need no K x K matrix. A step is damped by the mean energy of all features: one that is nearly
    silent in the training rows could pay a debt there by a huge coefficient alone, and new rows would not be.

    Parameters
    ----------
    coef : float32 Tensor (c, K)
        Of features in the units of `rows`.
    scale : float32 Tensor (K,)
        The scale of `rows`.
    most : int
        The largest whole number.
    rows : Standardised
    indices : int64 array (K,), ascending
    """
    units, whole = torch.empty_like(scale), torch.empty_like(coef)
    owed = torch.zeros(rows.n, len(coef))  # of the logits, (n, c)
    damping = _mean_energy(rows, indices)
    for part in torch.argsort(coef.abs().amax(dim=0), descending=True, stable=True).split(rows.step):
        ascending, order = part.sort()
        tile = rows.tile(indices[ascending.numpy()])
        energy = tile.square().sum(dim=1) + damping
        for feature, place in zip(part.tolist(), order.argsort().tolist(), strict=True):
            z, own = tile[place], scale[feature, None]
            wanted = coef[:, feature] + z @ owed / energy[place]
            unit, says = nearest(wanted[:, None], own, most)
            units[feature], whole[:, feature] = unit, says[:, 0]
            if bool(unit.isfinite()):
                owed.addr_(z, coef[:, feature] - says[:, 0] * (own / unit))
    return units, whole


def _mean_energy(rows: Standardised, indices: np.ndarray) -> float:
    """Mean over the features of the sum of their squares over the rows; never zero."""
    parts = [rows.tile(part).double().square().sum() for part in np.array_split(indices, -(-len(indices) // rows.step))]
    return max(float(sum(parts)) / len(indices), torch.finfo(torch.float32).tiny)


def packed(whole: torch.Tensor) -> torch.Tensor:
    """Whole numbers (c, K) as int8 (c, K), or where classes are many as bits in a row, uint8 (bytes a feature, K)."""
    small = whole.to(torch.int8)
    if len(whole) < MANY_CLASSES:
        return small
    places = torch.arange(width(len(whole)), dtype=torch.int8)[:, None]
    bits = (small[:, None] >> places) & 1  # two's complement, the lowest first
    return torch.from_numpy(np.packbits(bits.flatten(0, 1).numpy(), axis=0, bitorder="little"))


def unpacked(stored: torch.Tensor, classes: int) -> torch.Tensor:
    """The whole numbers of `packed`, float32 (c, K), in however many bits each."""
    if stored.dtype != torch.uint8:
        return stored.float()
    wide = 8 * len(stored) // classes
    bits = np.unpackbits(stored.numpy(), axis=0, count=wide * classes, bitorder="little")
    worth = np.array([2**place for place in range(wide - 1)] + [-(2 ** (wide - 1))], np.float32)
    return torch.from_numpy(np.einsum("cbk,b->ck", bits.reshape(classes, wide, -1), worth, dtype=np.float32))
