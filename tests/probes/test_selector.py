"""Kernels of ranked features: the same sums however they are put together, of all rows in the bank or of some."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from head2toe.probes import LINEAR_VIEW, Block, Columns, gram_bank
from head2toe.probes.gram_bank import GramBank
from head2toe.probes.labels import Labels
from head2toe.probes.layer_weights import learn_layer_weights
from head2toe.probes.least_squares import indicators
from head2toe.probes.ranking import top
from head2toe.probes.selector import Selector
from head2toe.probes.standardised import Standardised

N, D, C = 60, 90, 3
FRACTIONS = 0.05, 0.2, 0.5
TRAIN = np.arange(0, N, 2)


@pytest.fixture(params=[N, 40, 20], ids=["all rows", "most rows", "few rows"])
def selector(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Selector:
    """Of three blocks, the second of which knows the classes; the view names them out of order."""
    monkeypatch.setattr(gram_bank, "MOST_ROWS", request.param)
    rng = np.random.default_rng(0)
    y = np.arange(N) % C
    X = rng.normal(size=(N, D)).astype(np.float32)
    X[:, 20:50] += np.eye(C)[y][:, np.arange(30) % C]
    blocks = Block("a", "mean", 0, 20), Block("b", "mean", 20, 50), Block("c", "mean", 50, D)
    columns = Columns(blocks, {"all": (2, 0, 1), LINEAR_VIEW: (2,)})
    rows = Standardised(X, None, columns.spans())
    numbers, one = torch.from_numpy(y), torch.ones(N, dtype=torch.float64)
    return Selector(rows, GramBank(rows, columns), Labels(numbers, indicators(numbers, C), one))


@pytest.mark.parametrize("way", ["equal", "learned"])
def test_gram_matrices_are_of_the_best_features_as_loud_as_they_were_ranked(selector: Selector, way: str) -> None:
    ranking = selector.rank("all", way, TRAIN)
    z = selector.rows.tile(np.arange(D)).double()
    loud = torch.ones(D).double() if ranking.importance is None else torch.from_numpy(ranking.importance)
    assert (way == "learned") == (float(loud.std()) > 0)
    found = dict(selector.grams("all", ranking, FRACTIONS)) | {1.0: selector.gram("all", ranking, 1.0)}
    for fraction, gram in found.items():  # after the last was made: none was changed since
        kept = top(ranking.scores, fraction)
        torch.testing.assert_close(gram.double(), (z[kept].T * loud[kept]) @ z[kept], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(selector.gram("all", ranking, fraction), gram, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("way", ["equal", "learned"])
def test_a_ranking_looks_at_training_rows_alone(selector: Selector, way: str) -> None:
    before = selector.rank("all", way, TRAIN).scores
    targets = selector.labels.targets
    targets[1::2] = targets[1::2].roll(1, dims=0)
    np.testing.assert_array_equal(selector.rank("all", way, TRAIN).scores, before)


def test_learned_scores_are_the_norms_of_the_coefficients(selector: Selector) -> None:
    """Of the posterior mean, ``eta_i z_i' alpha``; and the block that knows is the loudest."""
    ranking = selector.rank("all", "learned", TRAIN)
    assert ranking.importance is not None and (ranking.importance[20:50] == ranking.importance.max()).all()
    anchors = selector.bank.anchors
    places = np.flatnonzero(np.isin(anchors, TRAIN))
    known, rows = selector.labels, anchors[places]
    grams = selector.bank.grams_of_view("all")
    learned = learn_layer_weights(grams, places, known.targets[rows], known.weight[rows])
    coef = selector.rows.tile(np.arange(D))[:, anchors].double() @ learned.alpha
    np.testing.assert_allclose(ranking.scores, ranking.importance * coef.norm(dim=1).numpy(), rtol=1e-3, atol=1e-6)
