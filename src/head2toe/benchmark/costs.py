"""What training costs: FLOPs counted and in closed form, bytes of saved files, the table against fine-tuning."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

aten = torch.ops.aten


@dataclass
class Spent:
    """FLOPs so far, a multiply-add as 2."""

    total: int = 0


class _Counter(TorchDispatchMode):
    """Counts with the formulas of `torch.utils.flop_counter`, and those of the decompositions that it lacks.

    `FlopCounterMode` itself takes about twenty times as long an operation, which would spoil the times measured beside.
    """

    def __init__(self, spent: Spent) -> None:
        super().__init__()
        self.spent = spent

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        count = _FORMULAS.get(func._overloadpacket)  # noqa: SLF001 - torch's own counter looks there too
        if count is not None:
            self.spent.total += int(count(*args, **(kwargs or {}), out_val=out))
        return out


@contextmanager
def counted() -> Iterator[Spent]:
    """Count the FLOPs of matrix products, convolutions, attention and decompositions inside the context."""
    spent = Spent()
    with _Counter(spent):
        yield spent


def _square(factor: float) -> Callable[..., int]:
    """``factor n^3`` for a (batch of) square matrices (..., n, n), the first argument."""

    def count(matrix: torch.Tensor, *_: Any, **__: Any) -> int:
        return int(factor * matrix.shape[-1] ** 3 * (matrix.numel() // max(1, matrix.shape[-1] ** 2)))

    return count


def _triangular(right: torch.Tensor, factor: torch.Tensor, *_: Any, **__: Any) -> int:
    """Two triangular solves, each n^2 / 2 multiply-adds a right-hand side."""
    return 2 * right.numel() * factor.shape[-1]


def _matrix_vector(matrix: torch.Tensor, *_: Any, **__: Any) -> int:
    return 2 * matrix.numel()


# Golub and Van Loan, Matrix Computations, 4th edition: Cholesky n^3 / 3 (4.2.5), eigenvectors of a symmetric matrix by
# tridiagonalisation 9 n^3 (8.3.5).
_FORMULAS: dict[Any, Callable[..., int]] = {
    **flop_registry,
    aten.addmm_: flop_registry[aten.addmm],
    aten.mv: _matrix_vector,
    aten.linalg_cholesky_ex: _square(1 / 3),
    aten.cholesky_solve: _triangular,
    aten._linalg_eigh: _square(9),  # noqa: SLF001 - the operator that linalg.eigh becomes
}


def linear_flops(n: int, forward: int, features: int, classes: int, batch: int, steps: int) -> int:
    """Of the paper's linear probe: ``n f + 6 * 2048 * C * B * T``, its penultimate layer being 2048 wide."""
    return n * forward + 6 * features * classes * batch * steps


def head2toe_flops(n: int, forward: int, d: int, kept: int, classes: int, batch: int, steps: int) -> int:
    """Of the paper's Head2Toe: ``n f + 6 D C B T + 6 K C B T``."""
    return n * forward + 6 * (d + kept) * classes * batch * steps


def finetuning_flops(forward: int, batch: int, steps: int) -> int:
    """Of fine-tuning: ``3 f B T``; backward costs twice the forward pass."""
    return 3 * forward * batch * steps


def stored_bytes(tensors: Mapping[str, torch.Tensor]) -> int:
    """Bytes of the safetensors file that holds these tensors; it is written, measured and deleted."""
    with tempfile.TemporaryDirectory(prefix="head2toe-") as folder:
        path = Path(folder) / "stored.safetensors"
        save_file({name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}, path)
        return path.stat().st_size
