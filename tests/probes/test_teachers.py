"""Teachers of unlabelled rows: never a student, of the last layer the linear probe, and of what a head may hold."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

from head2toe.probes import LINEAR_VIEW, Block, Columns, SearchResult, SearchSettings, search
from head2toe.probes.kernels import centre
from head2toe.probes.search import _Search

D, C = 40, 3
COLUMNS = Columns((Block("a", "mean", 0, 25), Block("last", "identity", 25, D)), {"all": (0, 1), LINEAR_VIEW: (1,)})
SETTINGS = SearchSettings(
    fractions=(0.3, 1.0), layer_weights=("equal",), strengths=(0.1,), folds=3, repeats=1, most_heads=1
)


def clusters(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = np.arange(n) % C
    X = rng.normal(size=(n, D))
    X[:, 20:35] += np.random.default_rng(5).normal(size=(C, 15))[y]
    return X.astype(np.float32), y


def searched(weight: np.ndarray | None = None, **options) -> SearchResult:
    X, y = clusters(24, 0)
    settings, unlabelled = replace(SETTINGS, **options), clusters(200, 1)[0]
    return search(X, y, COLUMNS, settings=settings, sample_weight=weight, unlabelled=unlabelled)


def test_the_last_fit_has_the_teachers_of_the_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, teacher = [], _Search._teacher

    def noted(self, features):
        found = teacher(self, features)
        asked.append((features, found))
        return found

    monkeypatch.setattr(_Search, "_teacher", noted)
    found = searched()
    assert found.choice["unlabelled"]
    last = asked[-1]
    assert last in asked[:-1] and not any(one.candidate.unlabelled for _, one in asked)


def test_students_of_the_last_layer_have_the_linear_probe_for_a_teacher() -> None:
    """Whatever other heads there are, and however good on that layer."""
    students = []
    for head in ("least squares", "discriminant"):
        table = searched(heads=(head, "logistic")).table
        last = {(row["head"], row["unlabelled"]): row for row in table if row["view"] == LINEAR_VIEW}
        assert last[head, 0]["cv_accuracy"] > last["logistic", 0]["cv_accuracy"]
        students.append(last["discriminant", 200])
    assert students[0] == students[1]


def test_no_student_has_more_features_than_a_head_may() -> None:
    found = searched(most_features=10)
    assert {row["unlabelled"] for row in found.table if row["features"] > 10} == {0}
    assert {row["unlabelled"] for row in found.table if row["features"] <= 10} == {0, 200}


def test_every_kernel_is_centred_by_the_weights_of_the_rows_that_it_learns_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The heads take that for granted: of labelled rows alone, and of those and unlabelled ones."""
    given, seen = np.random.default_rng(0).uniform(0.2, 3, 24), set()

    def checked(gram, train, held_out, weight, rank=None):
        labelled = train < 24
        p, q = weight.numpy()[labelled], given[train[labelled]]
        np.testing.assert_allclose(p / p.sum(), q / q.sum())
        seen.add((len(gram), bool(labelled.all())))
        return centre(gram, train, held_out, weight, rank)

    for module in ("fitting", "self_training", "scores"):
        monkeypatch.setattr(sys.modules[f"head2toe.probes.{module}"], "centre", checked)
    searched(given)
    assert seen == {(24, True), (224, True), (224, False)}
