"""A channel that is the same at every place has no deviation, in whatever batch; a faint one keeps its own."""

from __future__ import annotations

import pytest
import torch

from head2toe.features.pooling import operation


@pytest.mark.parametrize("shape", [(8, 40, 768), (4, 197, 192), (2, 56, 56, 64)])
def test_a_constant_channel_has_no_deviation(shape: tuple[int, ...]) -> None:
    values = 10 * torch.rand(shape[-1], generator=torch.Generator().manual_seed(0)) - 5
    assert operation("std").apply(values.expand(shape).contiguous()).max() < 1e-15


def test_a_faint_channel_keeps_its_deviation() -> None:
    noise = torch.randn(2, 2000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    tokens = (5 + 0.02 * noise).float()
    torch.testing.assert_close(
        operation("std").apply(tokens), tokens.double().std(1, correction=0).float(), rtol=0.05, atol=0
    )
