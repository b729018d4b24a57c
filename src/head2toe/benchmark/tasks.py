"""A task: labelled images to learn from, and labelled images to be judged on."""

from __future__ import annotations

from dataclasses import dataclass

from head2toe.features import LabelledImages


@dataclass(frozen=True)
class Task:
    """What methods are compared on.

    Attributes
    ----------
    name : str
    group : str
        Tasks of one group are averaged before the mean over groups: "natural", "specialized" or "structured" on VTAB.
    train, test : LabelledImages
        With labels.
    validation : int
        The last so many training images are held out where a choice is made by one split (VTAB's val200); where there
        are not twice as many training images, a fifth of them.
    """

    name: str
    group: str
    train: LabelledImages
    test: LabelledImages
    validation: int = 200

    @property
    def held_out(self) -> int:
        """How many of the last training images that split holds out."""
        n = len(self.train)
        return self.validation if 0 < 2 * self.validation <= n else max(1, n // 5)
