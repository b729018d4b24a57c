"""The two approximate inverses of the Newton system, against the system itself."""

import pytest
import torch

from head2toe.probes.group_lasso.preconditioner import Dense, Diagonal, worth_it


class System:
    """The Hessian of the squared loss and the penalty, at rows of random directions."""

    def __init__(self, n, k, c, common):
        generator = torch.Generator().manual_seed(n + k + c)
        normal = lambda *shape: torch.randn(*shape, dtype=torch.float64, generator=generator)  # noqa: E731
        self.X = normal(n, k) + common * normal(n, 1)
        self.curvature = torch.full((n,), 1 / n, dtype=torch.float64)
        W = normal(c, k)
        self.unit, self.across = W / W.norm(dim=0), 0.3 / W.norm(dim=0)
        self.k, self.c, self.active = k, c, torch.arange(k)

    def hessian(self):
        """(k c, k c), rows of W one after the other."""
        gram = self.X.T @ (self.curvature[:, None] * self.X)
        full = torch.kron(gram, torch.eye(self.c, dtype=torch.float64))
        for j in range(self.k):
            u = self.unit[:, j]
            block = slice(j * self.c, (j + 1) * self.c)
            full[block, block] += self.across[j] * (torch.eye(self.c, dtype=torch.float64) - torch.outer(u, u))
        return full

    def diagonal(self):
        return Diagonal(self.X, self.curvature, 0.0)

    def dense(self, kept=None):
        kept = self.active if kept is None else kept
        return Dense(self.X[:, kept], kept, self.curvature, self.unit[:, kept], self.across[kept], 0.0, self.diagonal())

    def matrix(self, preconditioner):
        apply = preconditioner.on(self.active, self.unit, self.across)
        columns = []
        for i in range(self.k * self.c):
            R = torch.zeros(self.k * self.c, dtype=torch.float64)
            R[i] = 1
            columns.append(apply(R.reshape(self.k, self.c).T.contiguous(), torch.zeros(self.c))[0].T.reshape(-1))
        return torch.stack(columns, dim=1)


def condition(preconditioner, system):
    values = torch.linalg.eigvals(system.matrix(preconditioner) @ system.hessian()).real
    return float(values.max() / values.min())


@pytest.mark.parametrize("kind", ["diagonal", "dense", "dense, later rows"])
def test_an_approximate_inverse_is_symmetric_and_positive(kind):
    system = System(40, 12, 3, common=2.0)
    made = {"diagonal": system.diagonal, "dense": system.dense}.get(kind, lambda: system.dense(torch.arange(3, 9)))
    matrix = system.matrix(made())
    assert torch.allclose(matrix, matrix.T, atol=1e-5 * float(matrix.abs().max()))
    assert float(torch.linalg.eigvalsh((matrix + matrix.T) / 2).min()) > 0


def test_the_diagonal_one_is_exact_for_a_single_row():
    system = System(40, 1, 4, common=0.0)
    assert torch.allclose(system.matrix(system.diagonal()) @ system.hessian(), torch.eye(4).double(), atol=1e-6)


def test_the_dense_one_is_better_where_columns_have_much_in_common():
    system = System(60, 15, 3, common=5.0)
    assert condition(system.dense(), system) < 0.2 * condition(system.diagonal(), system)


def test_the_dense_one_is_worth_it_only_after_many_steps_and_never_when_too_large():
    assert not worth_it(1, 1000, 900, 10)
    assert worth_it(200, 1000, 900, 10)
    assert not worth_it(10**9, 1000, 7000, 10)
