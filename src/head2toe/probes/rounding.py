"""Coefficients as small whole numbers, of features that are each counted in a unit of their own."""

from __future__ import annotations

import math

import numpy as np
import torch

from head2toe.probes.standardised import Standardised

_CHUNK = 64  # features between two looks at the rows
_TINY, _HUGE = float(torch.finfo(torch.float32).tiny), float(torch.finfo(torch.bfloat16).max)
MANY_CLASSES = 32  # from here on a coefficient takes three bits, else eight: they are nearly all that the head takes


def coefficient_bits(classes: int) -> int:
    """Bits of a coefficient."""
    return 3 if classes >= MANY_CLASSES else 8


def levels(classes: int) -> int:
    """The largest whole number that a coefficient may be, on either side of zero."""
    return 2 ** (coefficient_bits(classes) - 1) - 1


def bytes_a_feature(classes: int) -> int:
    """What the coefficients of one feature take when they are `packed`."""
    return -(-classes * coefficient_bits(classes) // 8)


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
        for some, places in zip(part.split(_CHUNK), order.argsort().split(_CHUNK), strict=True):
            z = tile[places]
            units[some], whole[:, some], change = _in_turn(coef[:, some], scale[some], most, z @ z.T, z @ owed, damping)
            owed += z.T @ change
    return units, whole


def _in_turn(
    coef: torch.Tensor, scale: torch.Tensor, most: int, gram: torch.Tensor, debts: torch.Tensor, damping: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Round k features one after the other, without their n rows.

    Parameters
    ----------
    coef, scale : float32 Tensors (c, k), (k,)
    gram : float32 Tensor (k, k)
        Their inner products over the rows.
    debts : float32 Tensor (k, c)
        Their inner products with what the logits are owed; brought up to date in place.

    Returns
    -------
    unit (k,), whole (c, k), and by how much each coefficient was made smaller (k, c).
    """
    wanted, products, owed = coef.T.numpy(), gram.numpy(), debts.numpy()
    units, whole, change = np.full(len(scale), np.inf, np.float32), np.zeros_like(wanted), np.zeros_like(wanted)
    for k, own in enumerate(scale.tolist()):
        says = wanted[k] + owed[k] / (products[k, k] + damping)
        largest = float(np.abs(says).max())
        unit = _shortened(own * most / largest) if largest > 0 else np.inf
        if not _TINY <= unit < np.inf:
            continue
        units[k], whole[k] = unit, np.rint(says * np.float32(unit / own)).clip(-most, most)
        change[k] = wanted[k] - whole[k] * np.float32(own / unit)
        owed += products[k][:, None] * change[k]
    return torch.from_numpy(units), torch.from_numpy(whole.T), torch.from_numpy(change)


def _shortened(number: float) -> float:
    """To bfloat16's eight bits; larger than any float32 is infinite."""
    if not number < _HUGE:
        return np.inf
    fraction, power = math.frexp(number)
    return math.ldexp(round(fraction * 256) / 256, power)


def _mean_energy(rows: Standardised, indices: np.ndarray) -> float:
    """Mean over the features of the sum of their squares over the rows; never zero."""
    parts = np.array_split(indices, -(-len(indices) // rows.step))
    energies = [rows.tile(part).double().square().sum() for part in parts]
    return max(float(sum(energies)) / len(indices), torch.finfo(torch.float32).tiny)


def packed(whole: torch.Tensor) -> torch.Tensor:
    """Whole numbers (c, K) as int8 (c, K), or where classes are many as bits in a row, uint8 (bytes a feature, K)."""
    small = whole.to(torch.int8)
    if len(whole) < MANY_CLASSES:
        return small
    places = torch.arange(coefficient_bits(len(whole)), dtype=torch.int8)[:, None]
    bits = (small[:, None] >> places) & 1  # two's complement, the lowest first
    return torch.from_numpy(np.packbits(bits.flatten(0, 1).numpy(), axis=0, bitorder="little"))


def packed_lines(stored: torch.Tensor, classes: int) -> int:
    """How many lines `packed` coefficients of so many classes have: bytes a feature, at the bits there is room for."""
    if stored.dtype != torch.uint8:
        return classes
    return -(-classes * max(1, 8 * len(stored) // classes) // 8)


def unpacked(stored: torch.Tensor, classes: int) -> torch.Tensor:
    """The whole numbers of `packed`, float32 (c, K), in however many bits each."""
    if stored.dtype != torch.uint8:
        return stored.float()
    wide = 8 * len(stored) // classes
    bits = np.unpackbits(stored.numpy(), axis=0, count=wide * classes, bitorder="little")
    worth = np.array([2**place for place in range(wide - 1)] + [-(2 ** (wide - 1))], np.float32)
    return torch.from_numpy(np.einsum("cbk,b->ck", bits.reshape(classes, wide, -1), worth, dtype=np.float32))
