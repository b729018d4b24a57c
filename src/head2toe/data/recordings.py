"""Sequences of recordings: .wav files, read when they are indexed, and arrays of samples."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from head2toe.data.columns import as_array, items_of
from head2toe.data.decoding import is_tensor, values_of
from head2toe.data.digest import digest
from head2toe.data.images import file_identity
from head2toe.data.suffixes import WAV
from head2toe.errors import DataFormatError, UnreadableImageError, one_line
from head2toe.paths import bytes_of, is_passing

_TAKEN = (
    "a list of .wav files, of float arrays (samples,) at the network's sampling rate, or of pairs (array, rate in Hz); "
    "or an array (n, samples)"
)
_UNKNOWN_SIZE = 0x7FFF0000  # bytes of samples: so many stand in the header of a stream
_MOST_HERTZ = 1_000_000  # more is no sound, and to resample it would take all memory


@dataclass(frozen=True)
class Recording:
    """One channel of sound.

    Attributes
    ----------
    samples
        Float32 (T,), as a rule in [-1, 1].
    rate
        Samples a second; None: those that the network takes.
    name
        For messages.
    """

    samples: npt.NDArray[np.float32]
    rate: int | None = None
    name: str = "a recording"


class Recordings:
    """n recordings; a sequence like `Images`, whose items are of class `Recording`.

    Parameters
    ----------
    items
        n paths of .wav files, arrays, or pairs of an array and its sampling rate.
    names
        n readable names; by default the paths.

    Raises
    ------
    DataFormatError
        An item is something else.
    """

    takes: ClassVar[str] = "recordings"

    def __init__(self, items: Sequence[Any], names: list[str] | None = None) -> None:
        self._items = [_checked(item, i) for i, item in enumerate(items)]
        self.names = names or [
            f"recording {i}" if isinstance(item, Recording) else item for i, item in enumerate(self._items)
        ]

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, i: int) -> Recording:
        item = self._items[i]
        found = item if isinstance(item, Recording) else read_wav(item)
        if not len(found.samples) or not np.isfinite(found.samples).all():
            what = "NaN or infinity among its samples" if len(found.samples) else "no sample"
            raise UnreadableImageError(f"{self.names[i]}: {what}")
        return replace(found, name=self.names[i])

    def identity(self, i: int) -> str:
        """Of a file its path, size and times of change; of samples their hash."""
        item = self._items[i]
        if not isinstance(item, Recording):
            return file_identity(item)
        return f"{item.rate} {digest(item.samples.tobytes())}"


def as_recordings(obj: Any) -> Recordings:
    """Make recordings of whatever holds them.

    Parameters
    ----------
    obj
        A list of .wav files, of arrays or tensors (samples,), floats or whole numbers of at most 32 bits, of pairs
        (array, rate), or of dicts with `array` and `sampling_rate` (the audio column of Hugging Face's `datasets`); an
        array (n, samples).
        Samples without a rate are taken to have the network's.

    Raises
    ------
    DataFormatError
        Anything else.
    """
    if isinstance(obj, Recordings):
        return obj
    if isinstance(obj, str | os.PathLike):
        raise DataFormatError(f"{obj} is one path: pass {_TAKEN}")
    array = as_array(obj)
    if is_tensor(array) or isinstance(array, np.ndarray):
        if array.ndim not in (1, 2) or (array.ndim == 1 and getattr(array.dtype, "kind", "f") not in "OUT"):
            raise DataFormatError(f"recordings are an array of shape {tuple(array.shape)}: pass {_TAKEN}")
        array = list(array)
    items = items_of(array)
    if items is not None:
        return Recordings(items)
    raise DataFormatError(f"recordings are a {type(obj).__name__}: pass {_TAKEN}")


def read_wav(path: str | os.PathLike[str]) -> Recording:
    """Read a .wav file: the mean of its channels, whole numbers scaled to [-1, 1].

    Raises
    ------
    UnreadableImageError
        There is no such file, or it is damaged, of an impossible rate or no .wav file.
    """
    from scipy.io import wavfile

    try:
        data = bytes_of(path)
    except OSError as error:
        if is_passing(error):
            raise
        raise UnreadableImageError(f"{os.fspath(path)}: {(error.strerror or str(error)).lower()}") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", wavfile.WavFileWarning)  # of chunks with remarks and the like
            rate, samples = wavfile.read(io.BytesIO(data))
    except Exception as error:  # SciPy's reader raises nearly anything on a damaged file
        reason = one_line(error)
        raise UnreadableImageError(f"{os.fspath(path)}: no .wav file that can be read ({reason})") from error
    if _is_cut_off(data):
        raise UnreadableImageError(f"{os.fspath(path)}: damaged, the end of the recording is missing")
    if not 1 <= rate <= _MOST_HERTZ:
        raise UnreadableImageError(f"{os.fspath(path)}: a damaged header, with a rate of {rate} Hz")
    return Recording(_scaled(samples if samples.ndim == 1 else _scaled(samples).mean(axis=1)), int(rate))


def _is_cut_off(data: bytes) -> bool:
    """Whether the samples of a .wav file are fewer than its header says. SciPy reads what there is.

    Programs that write to a pipe know no size, and write zero or about the largest that there is.
    """
    order: Literal["big", "little"] = "big" if data[:4] == b"RIFX" else "little"
    at = 12
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], order)
        if data[at : at + 4] == b"data":
            return len(data) - at - 8 < size < _UNKNOWN_SIZE
        at += 8 + size + size % 2
    return False


def _checked(given: Any, i: int) -> Recording | str:
    if isinstance(given, str | os.PathLike):
        name = os.fspath(given)
        if not name.lower().endswith(WAV):
            raise DataFormatError(f"recording {i} is {name[:60]!r}: of files only .wav is read; decode others yourself")
        return name
    array, rate = _apart(given)
    samples = np.asarray(values_of(array, f"recording {i}") if is_tensor(array) else array)
    if samples.ndim != 1 or samples.dtype.kind not in "fiu":
        shape = f" of shape {samples.shape}" if samples.ndim else ""
        raise DataFormatError(f"recording {i} is a {type(array).__name__}{shape}: pass {_TAKEN}")
    if samples.dtype.kind in "iu" and samples.dtype.itemsize > 4:  # lists of whole numbers: the range is not known
        raise DataFormatError(
            f"recording {i} is of {samples.dtype}, which does not tell how loud it is: pass floats in [-1, 1], or int16"
        )
    if rate is not None and not _is_rate(rate):
        raise DataFormatError(f"recording {i} has a sampling rate of {rate!r}: use whole Hz, such as 16000")
    return Recording(_scaled(samples), None if rate is None else int(rate))


def _is_rate(rate: Any) -> bool:
    return isinstance(rate, int | float | np.number) and bool(1 <= rate <= _MOST_HERTZ and int(rate) == rate)


def _apart(given: Any) -> tuple[Any, Any]:
    """Array and rate; None where no rate is given."""
    if isinstance(given, Mapping) and {"array", "sampling_rate"} <= given.keys():
        return given["array"], given["sampling_rate"]
    if hasattr(given, "get_all_samples"):  # the decoder that newer versions of `datasets` put there
        return given["array"], given["sampling_rate"]
    if isinstance(given, tuple | list) and len(given) == 2 and (isinstance(given, tuple) or not np.isscalar(given[0])):
        return given[0], given[1]
    return given, None


def _scaled(samples: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Whole numbers to [-1, 1] by the range of their type (unsigned ones have their zero in the middle)."""
    if samples.dtype.kind == "f":
        return np.ascontiguousarray(samples, np.float32)
    half = 2.0 ** (8 * samples.dtype.itemsize - 1)
    shift = half if samples.dtype.kind == "u" else 0.0
    return ((samples.astype(np.float64) - shift) / half).astype(np.float32)
