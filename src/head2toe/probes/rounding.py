"""Coefficients as small whole numbers: multiples of a step that each feature has of its own."""

from __future__ import annotations

import numpy as np
import torch

from head2toe.probes.standardised import Standardised

MANY_CLASSES = 32  # from here on a coefficient takes four bits, else eight: they are nearly all that the head takes


def levels(classes: int) -> int:
    """Steps that the largest coefficient of a feature has, on either side of zero."""
    return 7 if classes >= MANY_CLASSES else 127


def bytes_a_feature(classes: int) -> int:
    """What the coefficients of one feature take when they are `packed`."""
    return -(-classes // 2) if classes >= MANY_CLASSES else classes


def step_of(coef: torch.Tensor, most: int) -> torch.Tensor:
    """What the coefficients of each feature are to be multiples of, (c, K) -> (K,): in bfloat16, never rounded up.

    The largest coefficient is then `most` steps, exactly, so that the steps of a rounded head are found again.
    """
    step = coef.abs().amax(dim=0) / most
    cut = (step.view(torch.int32) & -(2**16)).view(torch.float32)
    return torch.where(cut > 0, cut, 1.0)


def nearest(coef: torch.Tensor, most: int) -> torch.Tensor:
    """Each coefficient (c, K) at the nearest multiple of the step of its feature."""
    step = step_of(coef, most)
    return (coef / step).round().clamp(-most, most) * step


def compensated(coef: torch.Tensor, most: int, rows: Standardised, indices: np.ndarray) -> torch.Tensor:
    """Features rounded one after the other, each making good on the training rows what those before it moved.

    The loudest feature comes first. Features are much alike, so that a few levels do: `python -m benchmarks rounding`.
    This is the greedy rounding of optimal brain quantisation (Frantar et al. 2022) without its inverse Hessian:
    Gauss-Seidel steps need no K x K matrix. A step is damped by the mean energy of all features: one that is nearly
    silent in the training rows could pay a debt there by a huge coefficient alone, and new rows would not be.

    Parameters
    ----------
    coef : float32 Tensor (c, K)
        Of features in the units of `rows`, give or take bfloat16's precision.
    most : int
        Steps that the largest coefficient of a feature has.
    rows : Standardised
    indices : int64 array (K,), ascending
    """
    out = coef.clone()
    owed = torch.zeros(rows.n, len(coef))  # of the logits, (n, c)
    damping = _mean_energy(rows, indices)
    for part in torch.argsort(coef.abs().amax(dim=0), descending=True, stable=True).split(rows.step):
        ascending, order = part.sort()
        tile = rows.tile(indices[ascending.numpy()])
        energy = tile.square().sum(dim=1) + damping
        for feature, place in zip(part.tolist(), order.argsort().tolist(), strict=True):
            z = tile[place]
            wanted = coef[:, feature] + z @ owed / energy[place]
            out[:, feature] = nearest(wanted[:, None], most)[:, 0]
            owed.addr_(z, coef[:, feature] - out[:, feature])
    return out


def _mean_energy(rows: Standardised, indices: np.ndarray) -> float:
    """Mean over the features of the sum of their squares over the rows; never zero."""
    parts = [rows.tile(part).double().square().sum() for part in np.array_split(indices, -(-len(indices) // rows.step))]
    return max(float(sum(parts)) / len(indices), torch.finfo(torch.float32).tiny)


def packed(coef: torch.Tensor) -> torch.Tensor:
    """Rounded coefficients (c, K) as whole numbers: int8 (c, K), or two classes to a uint8 (ceil(c / 2), K)."""
    whole = (coef / step_of(coef, levels(len(coef)))).round().to(torch.int8)
    if len(coef) < MANY_CLASSES:
        return whole
    even = torch.nn.functional.pad(whole, (0, 0, 0, len(whole) % 2))
    low, high = (even[half::2].to(torch.int16) & 15 for half in (0, 1))
    return (low | high << 4).to(torch.uint8)


def unpacked(whole: torch.Tensor, classes: int) -> torch.Tensor:
    """The whole numbers of `packed`, float32 (c, K)."""
    if whole.dtype != torch.uint8:
        return whole.float()
    halves = torch.stack([whole & 15, whole >> 4], dim=1).flatten(0, 1)[:classes].float()
    return torch.where(halves > 7, halves - 16, halves)
