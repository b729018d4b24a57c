"""Sequences of images, decoded when they are indexed, whatever they come from."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from PIL import Image

from head2toe.data.columns import as_array, flat, items_of
from head2toe.data.dataset_table import advice
from head2toe.data.decoding import decode, is_tensor, load, picture, values_of
from head2toe.data.digest import digest
from head2toe.data.lock import Lock
from head2toe.data.suffixes import SOUNDS
from head2toe.errors import DataFormatError, UnreadableImageError, one_line
from head2toe.paths import bytes_of, is_passing

_TAKEN = (
    "a list of paths, PIL images or uint8 arrays; a uint8 array (n, h, w[, 3]); "
    "a tensor (n, 3, h, w), uint8 or float in [0, 1]; a torch Dataset; or what read_data returns"
)


@runtime_checkable
class Images(Protocol):
    """n images. All methods may be called from several threads at once.

    A class may also have `names`, a list of n readable names for messages, and `takes`, its kind: see `kind_of`.
    """

    def __len__(self) -> int:
        """The number of images n."""
        ...

    def __getitem__(self, i: int, /) -> Any:
        """Image i in RGB (text i, `Recording` i); raises UnreadableImageError where it cannot be decoded."""
        ...

    def identity(self, i: int, /) -> str:
        """A short string that changes when image i does; it tells whether stored rows still hold."""
        ...


def kind_of(inputs: Any) -> str:
    """What a sequence holds: "images", "texts" or "recordings"."""
    return getattr(inputs, "takes", "images")


def name_among(names: Sequence[Any] | None, i: int) -> str:
    """The readable name of image i: of the `names` that `Images` may have, or its number."""
    return f"image {i}" if names is None else str(names[i])


def as_images(obj: Any) -> Images:
    """Make images of whatever holds them.

    Parameters
    ----------
    obj
        A list of paths, PIL images or uint8 arrays (h, w[, 3]); a uint8 array (n, h, w) or (n, h, w, 3); a tensor
        (n, 3, h, w), uint8 or float in [0, 1]; a torch Dataset whose items are an image or (image, label); or `Images`.

    Returns
    -------
    Images
        Paths are read when they are indexed, and neither arrays nor files are copied.

    Raises
    ------
    DataFormatError
        Anything else.
    """
    if isinstance(obj, Images):
        return obj
    if isinstance(obj, str | os.PathLike):
        raise DataFormatError(f"{obj} is one path: pass a list of image files, or head2toe.data.read_data(path)")
    if _is_dataset(obj):
        return DatasetImages(obj)
    if is_tensor(obj) or (isinstance(obj, np.ndarray) and obj.dtype.kind not in "OUST"):
        return ArrayImages(obj)
    array = as_array(obj)
    items = items_of(flat(array) if isinstance(array, np.ndarray) else array)
    if items is not None:
        return ItemImages(items)
    if hasattr(obj, "columns"):
        raise DataFormatError(
            'images are a table of several columns: pass the one with the files, such as table["path"]'
        )
    raise DataFormatError(f"images are {advice(obj) or f'a {type(obj).__name__}: pass {_TAKEN}'}")


class ItemImages:
    """A list whose items are paths, PIL images, uint8 arrays or tensors.

    Parameters
    ----------
    items
        n items.
    names
        n readable names; by default the paths.

    Raises
    ------
    DataFormatError
        An item is something else.
    """

    def __init__(self, items: Sequence[Any], names: list[str] | None = None) -> None:
        for i, item in enumerate(items):
            if not (isinstance(item, str | os.PathLike | Image.Image | np.ndarray) or is_tensor(item)):
                raise DataFormatError(f"image {i} is a {type(item).__name__}: pass {_TAKEN}")
            if isinstance(item, str | os.PathLike) and os.fspath(item).lower().endswith(tuple(SOUNDS)):
                raise DataFormatError(f"image {i} is {item}, a recording: those go with a backbone of hf-audio/")
        self._items = items
        self.names = names or [_name(item, i) for i, item in enumerate(items)]

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, i: int) -> Image.Image:
        item = self._items[i]
        return _read(item) if isinstance(item, str | os.PathLike) else picture(item, self.names[i])

    def identity(self, i: int) -> str:
        """Of a file its path, size and times of change; of pixels their hash."""
        item = self._items[i]
        return file_identity(item) if isinstance(item, str | os.PathLike) else _pixel_identity(item)


class ArrayImages:
    """A uint8 array (n, h, w[, 3]), or a tensor (n, 3, h, w), uint8 or float in [0, 1].

    Raises
    ------
    DataFormatError
        Another shape, dtype or range.
    """

    def __init__(self, array: Any) -> None:
        self._array = array
        shape, dtype = tuple(array.shape), str(array.dtype).removeprefix("torch.")
        if is_tensor(array):
            fits = array.ndim == 4 and shape[1] in (1, 3) and (dtype == "uint8" or array.is_floating_point())
        else:
            fits = dtype == "uint8" and (array.ndim == 3 or (array.ndim == 4 and shape[3] in (1, 3, 4)))
            if fits and array.ndim == 3 and shape[2] in (3, 4):
                raise DataFormatError(f"images are an array of shape {shape}, which is one image: pass image[None]")
        if not fits or 0 in shape[1:]:
            kind = "a tensor" if is_tensor(array) else "an array"
            raise DataFormatError(f"images are {kind} of shape {shape} and dtype {dtype}: pass {_TAKEN}")
        if is_tensor(array) and array.is_floating_point() and len(array) and not _in_unit_range(array):
            raise DataFormatError("float tensors must lie in [0, 1]: pass pixels before any normalisation")

    def __len__(self) -> int:
        return len(self._array)

    def __getitem__(self, i: int) -> Image.Image:
        return picture(self._array[i], f"image {i}")

    def identity(self, i: int) -> str:
        """A hash of the pixels."""
        return _pixel_identity(self._array[i])


class DatasetImages:
    """The images of a torch Dataset, whose items are an image or (image, label).

    Its transforms must be the same each time: an image that changes at every look is another image. One thread at a
    time asks it for an item, as torch does within a process: it may hold an open file.
    """

    def __init__(self, dataset: Any) -> None:
        if not hasattr(dataset, "__len__"):
            raise DataFormatError("a Dataset without a length cannot be used: pass one that can be indexed")
        self._dataset, self._lock = dataset, Lock()

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, i: int) -> Image.Image:
        with self._lock:
            item = self._item(i)
        return _read(item) if isinstance(item, str | os.PathLike) else picture(item, f"image {i}")

    def identity(self, i: int) -> str:
        """A hash of the pixels, which costs a look at the item."""
        try:
            return _pixel_identity(self[i])
        except UnreadableImageError as error:
            return f"unreadable {error}"

    def _item(self, i: int) -> Any:
        try:
            item = self._dataset[i]
            item = item[0] if isinstance(item, tuple | list) else item
            if isinstance(item, Image.Image):
                load(item)  # Pillow reads the file only now, which the dataset's other items may share
        except (OSError, SyntaxError) as error:  # what Pillow raises inside most datasets
            if isinstance(error, OSError) and is_passing(error):
                raise
            raise UnreadableImageError(f"image {i}: {one_line(error)}") from error
        return item


def _read(path: str | os.PathLike[str]) -> Image.Image:
    try:
        data = bytes_of(path)
    except OSError as error:
        if is_passing(error):
            raise
        reason = (error.strerror or str(error)).lower()
        raise UnreadableImageError(f"{os.fspath(path)[:200]}: {reason}{_hint(os.fspath(path))}") from error
    return decode(data, os.fspath(path))


def _hint(name: str) -> str:
    """For sentences given as images, the likely mistake."""
    words = len(name.split()) > 1 and not Path(name).suffix
    return " (a backbone of images takes paths, not text)" if words else ""


def _name(item: Any, i: int) -> str:
    return os.fspath(item) if isinstance(item, str | os.PathLike) else f"image {i}"


def file_identity(path: str | os.PathLike[str]) -> str:
    """Path, size and times of change.

    A file put in place of another may bring its time along (unpacked, copied, renamed), and be as large; the time that
    the system itself keeps is another one all the same.
    """
    place = os.path.abspath(path)  # noqa: PTH100 - a CSV may name files by way of ".."
    try:
        found = Path(path).stat()
    except OSError:
        return f"{place} missing"
    return f"{place} {found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}"


def _pixel_identity(item: Any) -> str:
    if isinstance(item, Image.Image):
        try:
            load(item)
        except Exception as error:  # noqa: BLE001 - see `decode`; reading it again tells the user
            return f"unreadable {error}"
        if item.palette is not None or item.info.get("transparency") is not None:
            item = picture(item, "image")  # the numbers of a palette say nothing
        description, data = f"{item.mode} {item.size} {item.getexif().get(0x0112)}", item.tobytes()
    else:
        array: npt.NDArray[Any] = np.ascontiguousarray(values_of(item, "an image") if is_tensor(item) else item)
        order = "CHW" if is_tensor(item) else "HWC"
        description, data = f"{order} {array.shape} {array.dtype}", array.tobytes()
    return f"{description} {digest(data)}"


def _is_dataset(obj: Any) -> bool:
    data = sys.modules.get("torch.utils.data")
    return data is not None and isinstance(obj, data.Dataset)


def _in_unit_range(tensor: Any) -> bool:
    """False for NaN too."""
    values = values_of(tensor, "images")
    return bool(values.min() >= 0) and bool(values.max() <= 1)
