"""Sequences, whose length differs from text to text: equal parts of any length, and which operations they get."""

from __future__ import annotations

import pytest
import torch
from tapped import tapped

from head2toe.features.layer import Layer
from head2toe.features.narrowing import narrow
from head2toe.features.plan import Plan
from head2toe.features.pooling import operation
from head2toe.features.pooling_rules import operations


def test_parts_stand_one_after_the_other_channels_last() -> None:
    tokens = torch.tensor([[[0.0, 10], [2, 30], [4, 50], [6, 70]]])
    assert operation("parts:2").apply(tokens).tolist() == [[1, 20, 5, 60]]
    assert operation("parts:2").apply(tokens[:, :3]).tolist() == [[1, 20, 3, 40]]  # the middle one belongs to both
    assert operation("parts:2").apply(tokens[:, :1]).tolist() == [[0, 10, 0, 10]]


@pytest.mark.parametrize(
    ("target", "prefix", "cls_token", "expected"),
    [
        (7, 0, "with", ("mean",)),
        (15, 1, "with", ("mean",)),  # one part is all
        (16, 1, "with", ("parts:2",)),
        (47, 0, "beside", ("parts:5",)),  # no class token to keep
        (47, 0, "alone", ("parts:5",)),
        (47, 1, "alone", ("cls",)),
        (47, 1, "beside", ("cls", "rest-mean:1")),
    ],
)
def test_operations_of_sequences(target: int, prefix: int, cls_token: str, expected: tuple[str, ...]) -> None:
    assert operations(tapped("sequence", (20, 8), prefix=prefix), target, cls_token) == expected


def test_sequences_are_never_put_side_by_side() -> None:
    """Two may have the same length for one text and not for another."""
    names = "a", "b"
    network = [Layer(name, name, "output", 0, "sequence", (20, 64), channels_last=True) for name in names]
    plan = Plan.build(network, [64])
    few = narrow(plan, [block.start + 3 for block in plan.blocks])
    assert {name: [part.layer.name for part in parts] for name, parts in few.parts.items()} == {"a": ["a"], "b": ["b"]}
