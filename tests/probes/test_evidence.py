"""Held-out evidence: what calibration makes of it."""

import numpy as np
import pytest
import torch

from head2toe.probes.evidence import Evidence


def evidence(logits):
    found = Evidence()
    for rows in np.array_split(np.arange(len(logits)), 5):
        found.add(rows, logits[torch.from_numpy(rows)])
    return found


def test_calibration_finds_the_factor_the_labels_were_drawn_with():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4000, 3, generator=generator, dtype=torch.float64)
    y = torch.multinomial(torch.softmax(4 * logits, dim=1), 1, generator=generator).flatten()
    scale = evidence(logits).calibration(y, torch.ones(len(y), dtype=torch.float64))
    assert scale == pytest.approx(4, rel=0.2)


def test_calibration_cures_logits_that_are_far_too_sure():
    rng = np.random.default_rng(0)
    logits = torch.from_numpy(rng.normal(size=(4000, 3)))
    y = torch.distributions.Categorical(logits=logits, validate_args=False).sample()
    evidence, ones = Evidence(), torch.ones(4000, dtype=torch.float64)
    evidence.add(np.arange(4000), 50 * logits)
    assert evidence.calibration(y, ones) == pytest.approx(1 / 50, rel=0.25)


@pytest.mark.parametrize("images", [8, 98])
def test_images_that_are_all_right_do_not_make_it_infinitely_sure(images):
    """With two classes the probability of what n images of n say is (n + 1) / (n + 2), as Platt's targets have it."""
    y = torch.arange(images) % 2
    logits = torch.nn.functional.one_hot(y, 2).double()
    scale = evidence(logits).calibration(y, torch.ones(images, dtype=torch.float64))
    assert scale == pytest.approx(np.log(images + 1), rel=0.17)  # the grid's step


def test_logits_that_are_sure_by_millions_of_nats_are_brought_back():
    y = torch.arange(12) % 2
    logits = 1e6 * torch.nn.functional.one_hot(y, 2).double()
    found = evidence(logits)
    ones = torch.ones(12, dtype=torch.float64)
    assert found.log_loss(y, ones, found.calibration(y, ones)) == pytest.approx(np.log(14 / 13), rel=0.2)


def test_a_row_of_weight_two_counts_as_two_rows():
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(60, 3, generator=generator, dtype=torch.float64)
    y = (logits + torch.randn(60, 3, generator=generator, dtype=torch.float64)).argmax(dim=1)
    twice = torch.ones(60, dtype=torch.float64)
    twice[:20] = 2
    rows = torch.cat([torch.arange(60), torch.arange(20)])
    ones = torch.ones(80, dtype=torch.float64)
    assert evidence(logits).log_loss(y, twice) == pytest.approx(evidence(logits[rows]).log_loss(y[rows], ones))


def test_one_row_that_is_off_by_thousands_changes_no_calibration():
    rng = np.random.default_rng(0)
    logits = torch.from_numpy(rng.normal(size=(400, 3)))
    y = torch.distributions.Categorical(logits=logits, validate_args=False).sample()
    ones, off = torch.ones(400, dtype=torch.float64), logits.clone()
    off[7] = -1e4 * torch.nn.functional.one_hot(y[7], 3)
    assert evidence(off).calibration(y, ones) == pytest.approx(evidence(logits).calibration(y, ones), rel=0.2)
    assert evidence(off).log_loss(y, ones) == pytest.approx(evidence(logits).log_loss(y, ones), abs=16 / 400)
