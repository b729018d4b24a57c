"""Paths of ridge regressions on kernels that rounding has made indefinite."""

from __future__ import annotations

import torch

from head2toe.probes.least_squares import KernelRidge, ridge_path


def test_negative_eigenvalues_that_outweigh_the_strength_count_as_zero() -> None:
    generator = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(20, 20, generator=generator).double()).Q
    values = torch.linspace(-1e-4, 3, 20).double()
    kernel, weight = (basis * values) @ basis.T, torch.ones(20).double()
    targets = torch.randn(20, 3, generator=generator).double()
    whole = (basis * values.clamp_min(0)) @ basis.T
    for strengths in ((1e-5,), (1e-5, 0.1)):
        found = ridge_path(kernel, targets, weight, strengths)
        for strength, solution in zip(strengths, found, strict=True):
            torch.testing.assert_close(solution.alpha, KernelRidge(whole, targets, weight).solve(strength).alpha)
