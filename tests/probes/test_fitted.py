"""What a search fits last: on all rows, the features and the head that it chose, and the same in either form."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from head2toe.probes import LINEAR_VIEW, Block, Columns, SearchSettings, search
from head2toe.probes.closed_forms import ClosedForms
from head2toe.probes.dual_solution import DualSolution
from head2toe.probes.gram_bank import GramBank
from head2toe.probes.heads import head_from_dual
from head2toe.probes.kernels import centre
from head2toe.probes.labels import Labels
from head2toe.probes.least_squares import indicators
from head2toe.probes.logistic import KernelLogistic
from head2toe.probes.ranking import top
from head2toe.probes.selector import Selector
from head2toe.probes.standardised import Standardised

N, D, C = 90, 120, 3
Y = np.arange(N) % C
COLUMNS = Columns((Block("a", "mean", 0, 100), Block("last", "identity", 100, D)), {"all": (0, 1), LINEAR_VIEW: (1,)})
LABELS = Labels(torch.from_numpy(Y), indicators(torch.from_numpy(Y), C), torch.ones(N, dtype=torch.float64))


def rows(seed: int = 0) -> np.ndarray:
    X = np.random.default_rng(seed).normal(size=(N, D))
    X[:, 10:40] += 0.8 * np.eye(C)[Y][:, np.arange(30) % C]
    return X.astype(np.float32)


@pytest.mark.parametrize("head", ["least squares", "discriminant", "distilled", "logistic"])
@pytest.mark.parametrize("loud", [False, True])
def test_primal_and_dual_heads_say_the_same_of_new_rows(head: str, loud: bool) -> None:
    """Whatever weights the rows had, and features that are heard as loud as they were in the kernel."""
    rng = np.random.default_rng(1)
    X, indices = rows(), np.sort(rng.permutation(D)[:50])
    weight = torch.from_numpy(rng.uniform(0.1, 4, 60))
    importance = rng.uniform(0.2, 5, 50) if loud else None
    train, new = np.arange(60), np.arange(60, N)
    standard = Standardised(X)
    kernel = centre(standard.gram(indices, importance), train, new, weight)
    known = Labels(LABELS.y[:60], LABELS.targets[:60], weight / weight.mean())
    if head == "logistic":
        solution: DualSolution = KernelLogistic(kernel.train, known.y, C, known.weight).solve(1e-2)
    else:
        heads = ClosedForms(kernel, known)
        solution = heads.solve(head, 0.1, heads.lesson())
    primal = head_from_dual(standard, indices, solution, train, weight, kernel.unit, importance)
    dual = kernel.held_out @ solution.alpha + solution.intercept
    torch.testing.assert_close(primal.logits(torch.from_numpy(X[60:, indices])), dual.float(), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("head", ["least squares", "discriminant", "distilled"])
@pytest.mark.parametrize("way", ["equal", "learned"])
def test_the_head_that_is_kept_is_fitted_on_all_rows(head: str, way: str) -> None:
    """With their weights, and ranked there too; a distilled one learns what a discriminant says that sees them all."""
    X, weight = rows(), np.random.default_rng(1).uniform(0.3, 3, N)
    known = Labels(LABELS.y, LABELS.targets, torch.from_numpy(weight / weight.mean()))
    settings = SearchSettings(
        fractions=(0.2,), layer_weights=(way,), heads=(head,), folds=3, repeats=1, strengths=(0.1,), most_heads=1
    )
    found = search(X, Y, COLUMNS, settings=settings, sample_weight=weight)
    assert (found.choice["view"], found.choice["head"]) == ("all", head)
    standard, everything = Standardised(X, weight, COLUMNS.spans()), np.arange(N)
    selector = Selector(standard, GramBank(standard, COLUMNS), known)
    ranking = selector.rank("all", way, everything)
    few, whole = (
        ClosedForms(centre(selector.gram("all", ranking, one), everything, everything, known.weight), known)
        for one in (0.2, 1.0)
    )
    solution = few.solve(head, found.choice["strength"], whole.lesson())
    assert found.head.indices.tolist() == top(ranking.scores, 0.2).tolist()
    expected = few.kernel.held_out @ solution.alpha + solution.intercept
    logits = found.head.logits(torch.from_numpy(X)[:, found.head.indices]).double()
    scale = float((logits * expected).sum() / expected.square().sum())  # it is calibrated
    torch.testing.assert_close(logits, scale * expected, rtol=1e-3, atol=1e-3 * float(logits.abs().max()))


@pytest.mark.parametrize("head", ["least squares", "discriminant"])
def test_a_head_alone_is_calibrated(head: str) -> None:
    """Outputs between 0 and 1 are no logits: on new rows the loss is that of cross-validation, and no factor helps."""
    settings = SearchSettings(fractions=(0.2,), heads=(head,), folds=3, repeats=1, strengths=(0.1,), most_heads=1)
    found = search(rows(), Y, COLUMNS, settings=settings)
    assert [row["head"] for row in found.choice["averaged"]] == [head]
    logits = found.head.logits(torch.from_numpy(rows(seed=1))[:, found.head.indices])
    quieter, loss, louder = (float(cross_entropy(factor * logits, LABELS.y)) for factor in (0.5, 1.0, 2.0))
    assert loss == pytest.approx(found.choice["cv_log_loss"], abs=0.15) and loss < min(quieter, louder)
