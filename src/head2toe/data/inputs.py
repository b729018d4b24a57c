"""What a backbone takes: images, texts or recordings, made of whatever holds them."""

from __future__ import annotations

from typing import Any

from head2toe.data.images import Images, as_images, kind_of
from head2toe.data.recordings import as_recordings
from head2toe.data.texts import as_texts
from head2toe.errors import DataFormatError

_MAKERS = {"images": as_images, "texts": as_texts, "recordings": as_recordings}


def as_inputs(obj: Any, takes: str = "images") -> Any:
    """Make a sequence of what a backbone takes.

    Parameters
    ----------
    obj
        See `as_images`, `as_texts` and `as_recordings`; or what one of these, or `read_data`, returned.
    takes
        "images", "texts" or "recordings".

    Returns
    -------
    A sequence with `identity(i)`, whose items are pictures, strings or `Recording`s.

    Raises
    ------
    DataFormatError
        Something else, or of another kind.
    """
    if isinstance(obj, Images):
        return checked(obj, takes)
    return _MAKERS[takes](obj)


def checked(inputs: Any, takes: str) -> Any:
    """Return a sequence that is of the kind that a backbone takes.

    Raises
    ------
    DataFormatError
        It is of another kind.
    """
    held = kind_of(inputs)
    if held != takes:
        raise DataFormatError(f"the data are {held} and the backbone takes {takes}: choose another of either")
    return inputs
