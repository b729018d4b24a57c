"""What training costs: FLOPs, counted while it runs, and bytes of saved files."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode

from head2toe.features.flops import FORMULAS

aten = torch.ops.aten


@dataclass
class Spent:
    """FLOPs so far, a multiply-add as 2."""

    total: int = 0


class _Counter(TorchDispatchMode):
    """Counts with the formulas of `torch.utils.flop_counter`, and those of the decompositions that it lacks.

    `FlopCounterMode` itself takes longer an operation, which would spoil the times measured beside. For
    the same reason it rests while an optimiser with a closure runs (L-BFGS, thousands of small operations): every
    evaluation of the closure counts as its first.
    """

    def __init__(self, spent: Spent) -> None:
        super().__init__()
        self.spent, self.counting = spent, False

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Nothing is compiled here; the wrapper that keeps the compiler away takes longer than a small operation."""
        return False

    def start(self) -> None:
        self.counting = True
        self.__enter__()

    def stop(self) -> None:
        if self.counting:
            self.counting = False
            self.__exit__(None, None, None)

    def before_step(self, _: Any, args: Any, kwargs: Any) -> Any:
        if len(args) < 2 or not callable(args[1]):
            return None
        self.stop()
        return (args[0], self._evaluations(args[1]), *args[2:]), kwargs

    def after_step(self, *_: Any) -> None:
        if not self.counting:
            self.start()

    def _evaluations(self, closure: Callable[[], Any]) -> Callable[[], Any]:
        each: list[int] = []

        def evaluate() -> Any:
            if each:
                loss = closure()
            else:
                first = Spent()
                with _Counter(first):
                    loss = closure()
                each.append(first.total)
            self.spent.total += each[0]
            return loss

        return evaluate

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
    counter = _Counter(spent)
    hooks = (
        register_optimizer_step_pre_hook(counter.before_step),
        register_optimizer_step_post_hook(counter.after_step),
    )
    counter.start()
    try:
        yield spent
    finally:
        counter.stop()
        for hook in hooks:
            hook.remove()


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


def _convolution_backward(grad: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, *rest: Any, **_: Any) -> int:
    """The forward pass's count for each gradient asked for, of the input and of the weight.

    torch's own formula takes grouped convolutions for dense ones, which makes depthwise networks look far too dear.
    """
    transposed, mask = rest[-4], rest[-1]
    places = x if transposed else grad
    return 2 * places.numel() * weight[0].numel() * (int(mask[0]) + int(mask[1]))


def _recurrent_backward(steps: torch.Tensor, *weights: Any, **_: Any) -> int:
    """Of an LSTM on a CPU: the forward pass's count for the gradient of what each matrix took, and for its own."""
    return 2 * FORMULAS[aten.mkldnn_rnn_layer](steps, *weights)


# Golub and Van Loan, Matrix Computations, 4th edition: Cholesky n^3 / 3 (4.2.5), eigenvectors of a symmetric matrix by
# tridiagonalisation 9 n^3 (8.3.5).
_FORMULAS: dict[Any, Callable[..., int]] = {
    **FORMULAS,
    aten.addmm_: FORMULAS[aten.addmm],
    aten.convolution_backward: _convolution_backward,
    aten.mkldnn_rnn_layer_backward: _recurrent_backward,
    aten.mv: _matrix_vector,
    aten.linalg_cholesky_ex: _square(1 / 3),
    aten.cholesky_solve: _triangular,
    aten._linalg_eigh: _square(9),  # noqa: SLF001 - the operator that linalg.eigh becomes
}


def stored_bytes(tensors: Mapping[str, torch.Tensor]) -> int:
    """Bytes of the safetensors file that holds these tensors; it is written, measured and deleted."""
    with tempfile.TemporaryDirectory(prefix="head2toe-") as folder:
        path = Path(folder) / "stored.safetensors"
        save_file({name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}, path)
        return path.stat().st_size
