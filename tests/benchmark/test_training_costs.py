from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from head2toe.benchmark.costs import (
    Spent,
    counted,
    stored_bytes,
)
from head2toe.probes.logistic import KernelLogistic

N, D, C, B, T = 40, 30, 4, 8, 5


# The closed formulas of the paper.
def linear_flops(n: int, forward: int, features: int, classes: int, batch: int, steps: int) -> int:
    """Of the paper's linear probe: ``n f + 6 * 2048 * C * B * T``, its penultimate layer being 2048 wide."""
    return n * forward + 6 * features * classes * batch * steps


def head2toe_flops(n: int, forward: int, d: int, kept: int, classes: int, batch: int, steps: int) -> int:
    """Of the paper's Head2Toe: ``n f + 6 D C B T + 6 K C B T``."""
    return n * forward + 6 * (d + kept) * classes * batch * steps


def finetuning_flops(forward: int, batch: int, steps: int) -> int:
    """Of fine-tuning: ``3 f B T``; backward costs twice the forward pass."""
    return 3 * forward * batch * steps


def network(groups=1):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, groups=groups),
        nn.ConvTranspose2d(8, 8, 2),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(32, C),
    )


def step(module, optimiser, x):
    loss = cross_entropy(module(x), torch.zeros(len(x), dtype=torch.int64))
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


def test_a_training_step_counts_as_torchs_own_counter_counts_it():
    module, x = network(), torch.randn(B, 3, 10, 10)
    optimiser = torch.optim.SGD(module.parameters(), lr=0.1)
    with FlopCounterMode(display=False) as theirs:
        step(module, optimiser, x)
    with counted() as ours:
        step(module, optimiser, x)
    assert ours.total == theirs.get_total_flops() > 0


@pytest.mark.parametrize("groups", [1, 8])
def test_fine_tuning_is_three_forward_passes(groups):
    # The images' gradient is asked for as well, and so it is three times exactly.
    module, x = network(groups), torch.randn(B, 3, 10, 10, requires_grad=True)
    with counted() as forward, torch.no_grad():
        module(x[:1])
    optimiser = torch.optim.SGD(module.parameters(), lr=0.1)
    with counted() as spent:
        for _ in range(T):
            step(module, optimiser, x)
    assert spent.total == finetuning_flops(forward.total, B, T)


def test_linear_and_head2toe_heads_by_gradient_steps_follow_the_papers_formulas():
    # The paper counts the gradient for the head's input as well: 6 D C B T.
    def train(width):
        head = nn.Linear(width, C)
        optimiser = torch.optim.Adam(head.parameters())
        for _ in range(T):
            step(head, optimiser, torch.randn(B, width, requires_grad=True))

    with counted() as spent:
        train(D)
    assert spent.total == linear_flops(N, 0, D, C, B, T)
    with counted() as spent:
        train(D)
        train(10)
    assert spent.total == head2toe_flops(N, 0, D, 10, C, B, T)
    assert head2toe_flops(N, 1000, D, 10, C, B, T) - spent.total == 1000 * N


def test_products_in_place_and_decompositions_count():
    A = torch.randn(6, 6, dtype=torch.float64)
    A = A @ A.T + torch.eye(6)
    with counted() as spent:
        torch.zeros(6, 6, dtype=torch.float64).addmm_(A, A)
    assert spent.total == 2 * 6**3
    with counted() as spent:
        factor = torch.linalg.cholesky(A)
    assert spent.total == 6**3 // 3
    with counted() as spent:
        torch.cholesky_solve(torch.ones(6, 2, dtype=torch.float64), factor)
    assert spent.total == 2 * 6 * 6 * 2
    with counted() as spent:
        torch.linalg.eigh(A)
    assert spent.total == 9 * 6**3
    with counted() as spent:
        A @ torch.ones(6, dtype=torch.float64)
    assert spent.total == 2 * 36


def test_evaluations_inside_lbfgs_are_counted_one_by_one():
    torch.manual_seed(0)
    X, y = torch.randn(20, 12, dtype=torch.float64), torch.arange(20) % 3
    K = X @ X.T / 12
    path = KernelLogistic(K, y, 3, torch.ones(20, dtype=torch.float64))
    calls = []
    softmax = torch.Tensor.log_softmax

    def noted(self, **options):
        calls.append(1)
        return softmax(self, **options)

    with pytest.MonkeyPatch.context() as patch, counted() as spent:
        patch.setattr(torch.Tensor, "log_softmax", noted)
        path.solve(1e-3)
    rank = len(path.values)
    products = 2 * 2 * 20 * rank * 16  # logits, and the gradient; three classes padded to sixteen columns
    assert len(calls) > 3
    start, end = products // 2, 2 * 20 * rank * 3  # logits, for the curvature there, and the dual coefficients
    assert spent.total == start + len(calls) * products + end
    with counted() as after:
        X @ X.T  # counting goes on after an optimiser has run
    assert after.total == 2 * 20 * 12 * 20


def test_counting_ends_with_its_context_even_after_an_error():
    A = torch.ones(3, 3)
    spent = Spent()

    def fails():
        nonlocal spent
        with counted() as spent:
            A @ A
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    A @ A
    assert spent.total == 2 * 27


def test_stored_bytes_are_those_of_the_file(tmp_path):
    tensors = {"coef": torch.randn(3, 5), "indices": torch.arange(5)}
    save_file(tensors, tmp_path / "head.safetensors")
    assert stored_bytes(tensors) == (tmp_path / "head.safetensors").stat().st_size > 4 * 15 + 8 * 5
