"""Labels that a dataset brings: those of its pairs, which its list of targets may not be."""

from __future__ import annotations

import pytest
from torch.utils.data import Dataset, Subset

from head2toe.estimators.labels import labels_of


class Pairs(Dataset):
    """Six pairs, and a list of targets that says more or other than they do."""

    def __init__(self, targets: list, transform=None, name: str = "targets") -> None:
        setattr(self, name, targets)
        self.read = 0
        if transform is not None:
            self.target_transform = transform

    def __len__(self) -> int:
        return 6

    def __getitem__(self, i: int) -> tuple[str, int]:
        self.read += 1
        return "picture", 10 * i


@pytest.mark.parametrize(
    ("targets", "transform", "expected", "read"),
    [
        ([5, 4, 3, 2, 1, 0], None, [5, 4, 3, 2, 1, 0], 0),
        ([5, 4, 3, 2, 1, 0], str, [0, 10, 20, 30, 40, 50], 6),  # items are what was transformed
        ([5, 4, 3, 2, 1, 0, 9], None, [0, 10, 20, 30, 40, 50], 6),  # of the file, not of this part
        (["cat", "dog"], None, [0, 10, 20, 30, 40, 50], 6),  # names of the classes
    ],
)
@pytest.mark.parametrize("name", ["targets", "labels"])
def test_targets_are_labels_where_they_can_be(targets, transform, expected, read, name) -> None:
    dataset = Pairs(targets, transform, name)
    assert labels_of(dataset) == expected and dataset.read == read
    part = Subset(dataset, [4, 1])
    assert labels_of(part) == [expected[4], expected[1]]
