"""The one loop: reader -> backbone -> rows. Fitting, predicting, resumed and in-memory runs all go through it."""

from __future__ import annotations

import itertools
import logging
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from tqdm import tqdm

from head2toe.data.images import name_among
from head2toe.data.inputs import checked
from head2toe.errors import Head2ToeError, PreprocessingError, StoreFormatError, UnreadableImageError, one_line
from head2toe.features.batch import choose_batch_size, is_out_of_memory
from head2toe.features.cache import Cache
from head2toe.features.dtype import check, prepare
from head2toe.features.narrowing import Part, narrow
from head2toe.features.network import PooledNetwork
from head2toe.features.noise import noise_batch, takes_sequences
from head2toe.features.plan import Plan
from head2toe.features.prepared import Precision
from head2toe.features.reader import Picture, Skipped, read
from head2toe.features.store import FeatureStore, Rows, StoreWriter, request_for
from head2toe.plain_torch import plain_torch

if TYPE_CHECKING:
    from head2toe.backbones import Backbone
    from head2toe.data.images import Images

log = logging.getLogger(__name__)

# Batches of sequences that are read before they are run: the more, the more of one length there are.
_STRETCH = 8
_NAMED = 60  # characters of a text that tell which it is


@dataclass(frozen=True)
class Batch:
    """What one turn of the loop gives.

    Attributes
    ----------
    indices
        int64 (b,): positions of the images.
    rows
        float32 (b, d) or (b, len(columns)); overwritten in the next turn, so use or copy it now.
    skipped
        Images met in this turn that could not be read.
    """

    indices: npt.NDArray[np.int64]
    rows: Rows
    skipped: list[Skipped] = field(default_factory=list)


class Extractor:
    """A backbone, made ready to give rows.

    Parameters
    ----------
    backbone
        The frozen network.
    plan
        What a row holds.
    columns
        Column numbers of the plan, in any order: rows then hold these alone, only the layers that make them are pooled,
        and the network stops after the last of them.
    dtype, device
        See `dtype.prepare`.
    batch_size
        A number or "auto".
    workers
        Threads that decode images; by default one a core.
    strict
        Raise for unreadable images instead of skipping them.
    progress
        Show a progress bar on standard error.

    Attributes
    ----------
    precision
        The dtype chosen, and why.
    batch_size
        The number chosen.
    width
        Numbers of a row.
    """

    @plain_torch()
    def __init__(
        self,
        backbone: Backbone,
        plan: Plan,
        *,
        columns: npt.ArrayLike | None = None,
        dtype: str = "auto",
        batch_size: int | str = "auto",
        device: str = "auto",
        workers: int | None = None,
        strict: bool = False,
        progress: bool = True,
    ) -> None:
        self._preprocessing = backbone.preprocessing
        self._stretch = _STRETCH if takes_sequences(backbone) else 1
        self._workers, self._strict, self._show = workers, strict, progress
        self._alone = threading.Lock()
        self._columns: torch.Tensor | None = None
        parts: dict[str, tuple[Part, ...]] = {}
        if columns is not None:
            few = narrow(plan, columns)
            plan, parts, self._columns = few.plan, few.parts, torch.from_numpy(few.places)
        self.width = plan.d if self._columns is None else len(self._columns)
        self._prepared = prepare(backbone, device, dtype)
        self._network = PooledNetwork(self._prepared.module, plan, parts=parts, context=self._prepared.context)
        self.batch_size = choose_batch_size(
            batch_size, self._prepared, self._prepared.batch(noise_batch(backbone, 1, "longest")), plan.d
        )
        log.info("%s, %s; batches of %d", self.precision.dtype, self.precision.reason, self.batch_size)

    @property
    def precision(self) -> Precision:
        """The dtype chosen, and why."""
        return self._prepared.precision

    def stream(self, images: Images, start: int = 0) -> Iterator[Batch]:
        """Yield the rows of the images from `start` on, batch by batch, in order.

        Memory does not grow with the number of images.

        Raises
        ------
        UnreadableImageError
            With `strict`, at the first image that cannot be decoded.
        NotFiniteError
            A layer gave NaN or infinity.
        PreprocessingError
            The network does not take a text or recording of that length.
        DataFormatError
            Texts for a backbone of images, and the like.
        """
        pictures = read(
            checked(images, self._preprocessing.takes),
            self._preprocessing.image,
            start=start,
            ahead=2 * self.batch_size * self._stretch,
            workers=self._workers,
            strict=self._strict,
        )
        bar = tqdm(total=len(images), initial=start, unit=" images", disable=not self._show, desc="features")
        try:
            with bar:
                names = getattr(images, "names", None)
                for group, skipped in _in_batches(pictures, lambda: self.batch_size * self._stretch):
                    yield self._batch(group, skipped, names)
                    bar.update(len(group) + len(skipped))
        finally:
            pictures.close()

    @plain_torch()
    def _batch(self, group: list[Picture], skipped: list[Skipped], names: Sequence[Any] | None) -> Batch:
        indices = np.array([picture.index for picture in group], np.int64)
        inputs = [picture.pixels for picture in group]
        if self._stretch == 1:
            return Batch(indices, self._rows(inputs), skipped)
        called = [name_among(names, picture.index) for picture in group]
        return Batch(indices, self._rows_of_sequences(inputs, called), skipped)

    def _rows_of_sequences(self, inputs: list[Any], names: list[str]) -> Rows:
        """Run sequences together that have one length: no row depends on padding, for there is none."""
        rows = np.empty((len(inputs), self.width), np.float32)
        order = sorted(range(len(inputs)), key=lambda i: len(inputs[i]))
        for _, alike in itertools.groupby(order, key=lambda i: len(inputs[i])):
            places = list(alike)
            while places:
                now, places = places[: self.batch_size], places[self.batch_size :]
                rows[now] = self._rows_alike([inputs[i] for i in now], names[now[0]])
        return rows

    def _rows_alike(self, inputs: list[Any], first: str) -> Rows:
        """Run sequences of one length, which may be too short or too long for the network; `first` is called so."""
        try:
            return self._rows(inputs)
        except Exception as error:  # whatever a network says of such a length
            full = isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and is_out_of_memory(error))
            if full or isinstance(error, Head2ToeError):
                raise
            unit = "tokens" if self._preprocessing.takes == "texts" else "samples"
            raise PreprocessingError(
                f"the network does not run on {self._preprocessing.takes} of {len(inputs[0])} {unit}, "
                f"such as {first[:_NAMED]!r} ({type(error).__name__}: {one_line(error)}): "
                "leave those of that length out"
            ) from error

    def _rows(self, pixels: list[Any]) -> Rows:
        """Run a batch; one that does not fit into memory is halved, and so are those after it."""
        if not pixels:
            return np.empty((0, self.width), np.float32)
        try:
            batch = self._prepared.batch(self._preprocessing.batch(pixels))
            # Threads may share an extractor of some columns, which are copied; without columns the rows are the buffer.
            with self._alone:
                rows = self._network.rows(batch)
                rows = rows if self._columns is None else rows[:, self._columns.to(rows.device)]
        except RuntimeError as error:
            if not is_out_of_memory(error) or len(pixels) == 1:
                raise
        else:
            return rows.cpu().numpy()
        # Outside the handler: the error holds on to the failed pass's memory.
        half = len(pixels) // 2
        self.batch_size = max(1, min(self.batch_size, half))
        log.warning("out of memory: batches of %d from here on", self.batch_size)
        first = self._rows(pixels[:half]).copy()
        return np.concatenate([first, self._rows(pixels[half:])])


@plain_torch()
def extract(
    backbone: Backbone,
    images: Images,
    plan: Plan,
    *,
    store: str | Path | Cache | None = None,
    columns: npt.ArrayLike | None = None,
    dtype: str = "auto",
    batch_size: int | str = "auto",
    device: str = "auto",
    workers: int | None = None,
    strict: bool = False,
    progress: bool = True,
) -> FeatureStore:
    """Give every image its row.

    Parameters
    ----------
    backbone
        The frozen network.
    images
        n images, from `as_images` or `read_data`.
    plan
        What a row holds: d columns.
    store
        None for rows in memory; a folder, new or begun by the same request; or a `Cache`, which names the folder.
    columns
        Rows of these columns alone (in memory only).
    dtype
        "auto", "float32", "bfloat16" or "float16". A resumed run keeps the dtype it began with.
    batch_size, device, workers, strict, progress
        See `Extractor`.

    Returns
    -------
    FeatureStore
        `.rows` float32 (m, d) for the m readable images, `.kept` their positions, `.skipped` the others.

    Raises
    ------
    StoreMismatchError, StoreFormatError, DiskFullError
        See `StoreWriter`.
    UnreadableImageError, NotFiniteError, ParameterError
        See `Extractor`.
    """
    options = {
        "batch_size": batch_size,
        "device": device,
        "workers": workers,
        "strict": strict,
        "progress": progress,
    }
    if store is None:
        return _in_memory(Extractor(backbone, plan, columns=columns, dtype=dtype, **options), images, plan)
    if columns is not None:
        raise TypeError("columns are for rows in memory: pass store=None")
    check(device, dtype)  # rows that are stored already would hide a mistake
    request = request_for(backbone, images, plan, dtype)
    fill = partial(_in_store, request, backbone, images, plan, dtype, options)
    if not isinstance(store, Cache):
        return fill(Path(store))
    with store.use(request, plan.bytes(len(images))) as folder:
        try:
            return fill(folder)
        except StoreFormatError:
            log.warning("the rows that the cache has in %s are damaged: they are made again", folder)
            shutil.rmtree(folder)
            return fill(folder)


def _in_memory(extractor: Extractor, images: Images, plan: Plan) -> FeatureStore:
    rows = np.empty((len(images), extractor.width), np.float32)
    kept: list[npt.NDArray[np.int64]] = [np.empty(0, np.int64)]
    skipped: list[Skipped] = []
    done = 0
    for batch in extractor.stream(images):
        rows[done : done + len(batch.rows)] = batch.rows
        done += len(batch.rows)
        kept.append(batch.indices)
        skipped += batch.skipped
    precision = extractor.precision
    return FeatureStore(rows[:done], plan, np.concatenate(kept), tuple(skipped), precision.dtype, precision.reason)


def _in_store(
    request: dict[str, Any],
    backbone: Backbone,
    images: Images,
    plan: Plan,
    dtype: str,
    options: dict[str, Any],
    folder: Path,
) -> FeatureStore:
    store = StoreWriter(folder, request, len(images), plan.d)
    if options["strict"] and store.skipped:
        raise UnreadableImageError(store.skipped[0].reason)  # by a run that was not strict
    if store.complete:
        log.info("cache hit: %s has these rows already", folder)
        return store.features(plan, cached=True)
    if store.read:
        log.info("resuming %s after %d of %d images", folder, store.read, len(images))
    extractor = Extractor(backbone, plan, dtype=store.dtype or dtype, **options)
    store.describe_run(extractor.precision.dtype, extractor.precision.reason)
    for batch in extractor.stream(images, store.read):
        store.append(batch.rows, batch.skipped)
    store.finish()
    return store.features(plan, cached=False)


def _in_batches(pictures: Iterator[Picture], size: Callable[[], int]) -> Iterator[tuple[list[Picture], list[Skipped]]]:
    """Group pictures; the unreadable ones go with the batch during which they were met."""
    group: list[Picture] = []
    skipped: list[Skipped] = []
    for picture in pictures:
        if picture.skipped is not None:
            skipped.append(picture.skipped)
        else:
            group.append(picture)
        if len(group) + len(skipped) >= size():
            yield group, skipped
            group, skipped = [], []
    if group or skipped:
        yield group, skipped
