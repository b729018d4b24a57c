"""Labels of torch's datasets, without decoding an image where that can be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from typing import Any, cast

from torch import Tensor
from torch.utils.data import Subset

from head2toe.errors import DataFormatError, UnreadableImageError


def labels_of_dataset(dataset: Any) -> list[Any]:
    """The labels of a dataset of (image, label) pairs; None for an item that is no pair.

    Raises
    ------
    DataFormatError
        It has no length.
    UnreadableImageError
        An item cannot be read, and its label is not known without.
    """
    if not hasattr(dataset, "__len__"):
        raise DataFormatError("a Dataset without a length cannot be used: pass one that can be indexed")
    known = _targets(dataset)
    if known is not None:
        return known
    pairs = [item if isinstance(item, tuple | list) and len(item) == 2 else (item, None) for item in _items(dataset)]
    return [_plain(label) for _, label in pairs]


def _targets(dataset: Any) -> list[Any] | None:
    """Labels that are known without decoding an image: torchvision's two ways, and parts of such datasets."""
    if isinstance(dataset, Subset):
        whole = _targets(dataset.dataset)
        return None if whole is None else [whole[i] for i in dataset.indices]
    if getattr(dataset, "target_transform", None) is not None:
        return None
    for labels in (getattr(dataset, name, None) for name in ("targets", "labels")):
        if isinstance(labels, Sized) and len(labels) == len(dataset):
            return [_plain(label) for label in cast("Iterable[Any]", labels)]
    return None


def _items(dataset: Any) -> Iterator[Any]:
    for i in range(len(dataset)):
        try:
            yield dataset[i]
        except (OSError, SyntaxError) as error:  # what Pillow raises inside most datasets
            raise UnreadableImageError(
                f"image {i} cannot be read, so its label is not known: pass labels beside the dataset ({error})"
            ) from error


def _plain(label: Any) -> Any:
    return label.item() if isinstance(label, Tensor) and label.numel() == 1 else label
