"""Reductions: what is left out for economy is made of the rest without loss, and what is made keeps no tensor alive."""

from __future__ import annotations

import pytest
import torch

from head2toe.features.reductions import Bins, Maxima, Means, MeanSquares, Reduced, Workspace, economical

MEAN_AND_BINS = Means(), Bins()


@pytest.mark.parametrize(
    ("height", "width", "made"),
    [
        (14, 7, 1),
        (3, 21, 1),
        (8, 7, 2),  # bins of 8 places overlap
        (7, 9, 2),
        (16, 16, 2),
    ],
)
def test_the_mean_is_that_of_all_places_however_it_is_made(height: int, width: int, made: int) -> None:
    tensor = torch.randn(2, height, width, 5, generator=torch.Generator().manual_seed(0))
    wanted = economical([*MEAN_AND_BINS, *MEAN_AND_BINS], (5, height, width))
    assert len(wanted) == made
    reduced = Reduced(wanted, Workspace())
    reduced.add(tensor)
    torch.testing.assert_close(reduced.mean(), tensor.mean((1, 2)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("side", [5, 14])
def test_pieces_are_the_batch_although_their_memory_is_used_again(side: int) -> None:
    """Networks work in place, and the next piece comes in the same memory."""
    whole = torch.randn(6, side, side, 4, generator=torch.Generator().manual_seed(0))
    reductions, workspace = (Means(), MeanSquares(), Maxima(), Bins()), Workspace()
    at_once, in_pieces, memory = (
        Reduced(reductions, workspace),
        Reduced(reductions, workspace),
        torch.empty_like(whole[:2]),
    )
    at_once.add(whole)
    for piece in whole.split(2):
        in_pieces.add(memory.copy_(piece))
    for reduction in reductions:
        torch.testing.assert_close(in_pieces[reduction], at_once[reduction])
