from __future__ import annotations

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from head2toe.baselines.ridge_logistic import ridge_logistic
from head2toe.probes.folds import stratified_folds
from head2toe.probes.standardised import Standardised


def test_the_head_is_scikit_learns_at_the_strength_chosen():
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    X = rng.normal(size=(60, 100)).astype(np.float32)
    X[np.arange(60), y] += 1
    found = ridge_logistic(Standardised(X), np.arange(100), y, stratified_folds(y, 4))
    assert found.choice["cv_accuracy"] == max(row["cv_accuracy"] for row in found.table)
    Z = (X - X.mean(0)) / X.std(0)
    # A kernel of mean diagonal one: the 100 standardised columns are divided by 10, which makes coefficients larger.
    C = 1 / (found.choice["strength"] * 100 * 60)
    theirs = LogisticRegression(C=C, max_iter=5000, tol=1e-8).fit(Z, y)
    ours = found.head.logits(torch.from_numpy(X)).softmax(1).numpy()
    np.testing.assert_allclose(ours, theirs.predict_proba(Z), atol=5e-3)


def test_only_the_columns_named_are_read():
    rng = np.random.default_rng(1)
    y = np.arange(40) % 2
    X = rng.normal(size=(40, 30)).astype(np.float32)
    X[:, 7] += 3 * y
    head = ridge_logistic(Standardised(X), np.array([2, 7, 9]), y, stratified_folds(y, 4)).head
    assert head.indices.tolist() == [2, 7, 9]
    assert head.coef.shape == (2, 3)
