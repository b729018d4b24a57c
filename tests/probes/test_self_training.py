"""Rows without labels: they teach where they can, change nothing where they are not asked, and are judged honestly."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from head2toe.probes import LINEAR_VIEW, Block, Columns, SearchSettings, search
from head2toe.probes.labels import Labels
from head2toe.probes.least_squares import indicators
from head2toe.probes.self_training import MOST_UNLABELLED, Student, sample
from head2toe.probes.standardised import Joined, Standardised

D, C, FEW, MANY = 60, 3, 18, 300
SETTINGS = SearchSettings(fractions=(0.3, 1.0), strengths=(1e-1, 1e-3), folds=3, repeats=1)
COLUMNS = Columns((Block("a", "mean", 0, 40), Block("last", "identity", 40, D)), {"all": (0, 1), LINEAR_VIEW: (1,)})


def clusters(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Classes apart in ten of the last layer's columns, along a direction that few rows show badly."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % C
    X = rng.normal(size=(n, D))
    X[:, 40:50] += 1.6 * np.random.default_rng(5).normal(size=(C, 10))[y]
    return X.astype(np.float32), y


def accuracy(head, X: np.ndarray, y: np.ndarray) -> float:
    logits = head.logits(torch.from_numpy(X)[:, head.indices])
    return float((logits.argmax(1).numpy() == y).mean())


@pytest.fixture(scope="module")
def found():
    X, y = clusters(FEW, 0)
    others = clusters(MANY, 1)[0]
    return search(X, y, COLUMNS, settings=SETTINGS), search(X, y, COLUMNS, settings=SETTINGS, unlabelled=others)


def test_a_student_of_many_rows_predicts_better_than_its_teacher(found) -> None:
    alone, taught = found
    X, y = clusters(600, 2)
    assert taught.choice["unlabelled"] == MANY and alone.choice["unlabelled"] == 0
    assert accuracy(taught.head, X, y) > accuracy(alone.head, X, y)
    assert {row["unlabelled"] for row in taught.table} == {0, MANY}


def test_the_linear_probe_does_not_see_them(found) -> None:
    alone, taught = found
    for name in ("indices", "mean", "scale", "coef", "intercept"):
        assert torch.equal(getattr(alone.linear, name), getattr(taught.linear, name))
    assert alone.linear_cv_accuracy == taught.linear_cv_accuracy


def test_their_order_does_not_matter(found) -> None:
    X, y = clusters(FEW, 0)
    others = clusters(MANY, 1)[0]
    turned = search(X, y, COLUMNS, settings=SETTINGS, unlabelled=others[::-1].copy())
    assert (turned.choice["view"], turned.cv_accuracy) == (found[1].choice["view"], found[1].cv_accuracy)
    fresh = torch.from_numpy(clusters(600, 2)[0])
    mine, theirs = (one.head.logits(fresh[:, one.head.indices]).argmax(1) for one in (turned, found[1]))
    assert float((mine == theirs).double().mean()) > 0.99  # strengths that are as good may change places


def test_held_out_labels_teach_nothing() -> None:
    """Labels that mean nothing stay at chance: a teacher who had seen the held-out ones would hand them on."""
    rng = np.random.default_rng(3)
    X = rng.normal(size=(90, 400)).astype(np.float32)
    y = rng.permutation(np.arange(90) % C)
    # The held-out images themselves are among the unlabelled ones.
    noise = search(X, y, Columns.plain(400), settings=SETTINGS, unlabelled=X)
    students = [row["cv_accuracy"] for row in noise.table if row["unlabelled"]]
    assert students and max(students) < 1 / C + 3 * np.sqrt(2 / 9 / 90)


def test_a_student_of_a_teacher_who_is_always_right_is_the_discriminant_of_all_rows() -> None:
    X, y = clusters(60, 0)
    rows = Standardised(X)
    gram = rows.gram(np.arange(D))
    labels = Labels(torch.from_numpy(y), indicators(torch.from_numpy(y), C), torch.ones(60, dtype=torch.float64))
    first, last, none = np.arange(40), np.arange(40, 60), np.arange(0)
    student = Student(gram, first, none, last, labels, labels.targets[last])
    whole = Student(gram, np.arange(60), none, none, labels, labels.targets[:0])
    for mine, theirs in zip(vars(student.solve(0.1)).values(), vars(whole.solve(0.1)).values(), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_joined_rows_have_the_scale_of_the_first() -> None:
    X, _ = clusters(30, 0)
    others, _ = clusters(7, 1)
    rows = Standardised(X, None, [(0, 40)])
    chosen = np.array([0, 2, 6])
    joined = Joined(rows, 3 * others + 5, chosen)
    indices = np.array([0, 3, 39, 40, 59])
    expected = (np.vstack([X, 3 * others[chosen] + 5])[:, indices] - rows.mean[indices]) / rows.scale[indices]
    np.testing.assert_allclose(joined.tile(indices).numpy(), expected.T, rtol=1e-4, atol=1e-5)
    z = joined.tile(np.arange(D)).double()
    torch.testing.assert_close(joined.gram(np.arange(D)).double(), z.T @ z, rtol=1e-4, atol=1e-3)


def test_of_very_many_a_sample_in_order_is_used() -> None:
    kept = sample(MOST_UNLABELLED + 500, 0)
    assert len(kept) == MOST_UNLABELLED and (np.diff(kept) > 0).all() and kept[-1] < MOST_UNLABELLED + 500
    assert (kept != sample(MOST_UNLABELLED + 500, 1)).any()
    assert sample(5, 0).tolist() == [0, 1, 2, 3, 4]
