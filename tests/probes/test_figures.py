"""Figures of held-out rows: weighted, and of images, however often and by however few folds each was judged."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from head2toe.probes.evidence import Evidence, weights_of_several

LOGITS = torch.randn(60, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
Y = (LOGITS + torch.randn(60, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)).argmax(dim=1)
ONES = torch.ones(60, dtype=torch.float64)


def evidence(repeats: int = 1) -> Evidence:
    found = Evidence()
    for rows in np.array_split(np.arange(60), 5) * repeats:
        found.add(rows, LOGITS[torch.from_numpy(rows)])
    return found


def test_accuracy_is_weighted() -> None:
    weight = torch.rand(60, generator=torch.Generator().manual_seed(2), dtype=torch.float64) + 0.1
    hits = (LOGITS.argmax(dim=1) == Y).double()
    assert evidence().accuracy(Y, weight) == pytest.approx(float((hits @ weight) / weight.sum()))


def test_repeats_of_cross_validation_are_no_new_images() -> None:
    """That all of few images are right proves no more when each was judged thrice."""
    y = torch.arange(8) % 2
    once, thrice = Evidence(), Evidence()
    for found, repeats in ((once, 1), (thrice, 3)):
        for _ in range(repeats):
            found.add(np.arange(8), torch.nn.functional.one_hot(y, 2))
    assert thrice.calibration(y, ONES[:8]) == once.calibration(y, ONES[:8])
    assert evidence(3).log_loss(Y, ONES) == pytest.approx(evidence().log_loss(Y, ONES))


def test_a_fold_whose_rows_do_not_count_has_a_loss_all_the_same() -> None:
    """What was given up after one fold has a row in the table too."""
    found = Evidence()
    found.add(np.arange(10), LOGITS[:10])
    weight = ONES.clone()
    weight[:10] = 0
    assert found.log_loss(Y, weight) == pytest.approx(found.log_loss(Y, ONES))


def test_classes_of_one_image_count_where_there_are_no_others() -> None:
    weight = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    assert weights_of_several(torch.tensor([0, 1, 1]), weight).tolist() == [0, 2, 3]
    assert weights_of_several(torch.tensor([0, 1, 2]), weight).tolist() == [1, 2, 3]


def test_a_class_of_one_group_counts_no_more_than_one_of_one_image() -> None:
    """No fold both learns and holds it out."""
    y, weight, groups = torch.tensor([0, 0, 1, 1, 1]), ONES[:5], np.array([7, 7, 2, 2, 3])
    assert weights_of_several(y, weight).tolist() == [1, 1, 1, 1, 1]
    assert weights_of_several(y, weight, groups).tolist() == [0, 0, 1, 1, 1]
