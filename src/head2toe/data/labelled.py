"""Images, texts or recordings with their labels."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from head2toe.data.images import Images, kind_of
from head2toe.errors import MissingLabelError


@dataclass(frozen=True)
class LabelledImages:
    """n images (texts, recordings), which may have labels; itself a sequence of them.

    Attributes
    ----------
    images : Images
        Read when they are indexed.
    labels : list of str, or None
        n labels. None too where only some are there, or where there are several for each image and none was chosen.
    names : list of str
        A readable name an image: its path, or its place in the array.
    source : str
        Where they come from, for messages.
    lacking : str
        What is wrong with the labels that there are, where `labels` is None in spite of them.
    groups : list of str, or None
        Which of n groups each image belongs to, where the data say it.
    """

    images: Images
    labels: list[str] | None
    names: list[str]
    source: str = "data"
    lacking: str = ""
    groups: list[str] | None = None

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> Any:
        return self.images[i]

    @property
    def takes(self) -> str:
        """What kind of backbone these are for: "images", "texts" or "recordings"."""
        return kind_of(self.images)

    def identity(self, i: int) -> str:
        """See `Images`."""
        return self.images.identity(i)

    def known_labels(self) -> list[str]:
        """The labels.

        Raises
        ------
        MissingLabelError
        """
        if self.labels is None:
            none = f"{self.source} has no labels: give each class a folder of its own, or write a CSV with path,label"
            raise MissingLabelError(self.lacking or none)
        return self.labels

    def with_labels(self) -> LabelledImages:
        """The same, of which it is certain that they have labels.

        Raises
        ------
        MissingLabelError
        """
        self.known_labels()
        return self


def nfc(labels: Iterable[str]) -> list[str]:
    """Labels, or groups, in Unicode's composed form (NFC): macOS writes "ü" as "u" and its dots, another name."""
    return [unicodedata.normalize("NFC", label) for label in labels]
