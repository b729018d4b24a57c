"""The standardised feature matrix, feature by feature: in a scratch file, in memory, or made on the fly."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np
import psutil
import torch

from head2toe.probes.kernels import widened
from head2toe.probes.memory import let_go_of
from head2toe.probes.scratch import Scratch, folder_of, scratch_file

STRIPS = 5
TILE_BYTES = 8 * 2**20
MAPPED_CHUNKS = 4  # read before their pages leave memory
MEASURED_BYTES = 4 * 2**20  # measured at a time: what a processor's cache holds
HELD_SHARE = 0.4  # of the free memory that the standardised copy may take
CONSTANT = 1e-6  # a spread below this share of the largest magnitude is rounding, not signal
SQUARED = 1e15  # float32 holds the squares of spreads from its inverse to this; others, and zero, take float64


class Standardised:
    """n rows of d features, every feature centred and divided by its spread over all n rows.

    Within a block of commensurable features (one layer, one pooling) the spread is damped,
    ``sqrt(variance + mean variance of the block)``: a feature that varies far less than its neighbours is not blown up
    to their size. Elsewhere it is the standard deviation. The scale uses no label and is the same in every fold;
    centring is repeated exactly inside each fold, on the fold's own images (`kernels.centre`). Constant features become
    zero.

    Features are read in tiles (k, n), feature by feature: selected features are then whole rows, fast to gather. The
    tiles come from one transposed copy: a scratch file, so that memory holds a tile at a time. Of a small array, or
    where the disk has no room, it is in memory; where neither has room, tiles are made of X itself in column chunks.

    Column ``d + j`` is the deviation of column j: ``|x - mean|``, centred as all are, and divided by the scale of
    column j. It is made as it is asked for.

    Parameters
    ----------
    X : array or memmap of shape (n, d), float32 or float64
    weight : array of shape (n,) or None
        Sample weights of the mean and the variance.
    blocks : sequence of (start, stop)
        The blocks of commensurable features.
    deviations : bool
        Whether the columns from d on will be asked for.

    Attributes
    ----------
    mean, scale : float32 arrays (d,), with deviations (2 d,)
        The scale of a constant feature is infinite.
    """

    def __init__(
        self,
        X: np.ndarray,
        weight: np.ndarray | None = None,
        blocks: Iterable[tuple[int, int]] = (),
        *,
        deviations: bool = False,
    ) -> None:
        self.X = X
        self.blocks = tuple(blocks)
        self.n, self.d = X.shape
        self.step = max(1, TILE_BYTES // (4 * self.n))
        share = np.full(self.n, 1 / self.n) if weight is None else np.asarray(weight, np.float64) / np.sum(weight)
        self.mean, self.scale = np.empty((1 + deviations) * self.d, np.float32), np.empty(self.d, np.float32)
        for columns, tile in self._chunks():
            for first, last in _spans(len(tile), max(1, MEASURED_BYTES // (4 * self.n))):
                self._measure(columns.start + first, tile[first:last], torch.from_numpy(share))
        self._rescale()
        self.scale = np.tile(self.scale, 1 + deviations)
        self._copy = self._copied()

    def _chunks(self) -> Iterator[tuple[slice, torch.Tensor]]:
        """Chunks of X: which columns, and these features as they are, float32 (k, n)."""
        for number, (start, stop) in enumerate(_spans(self.d, self.step), start=1):
            yield slice(start, stop), torch.from_numpy(np.array(self.X[:, start:stop].T, np.float32, order="C"))
            # The system maps what lies around a page too: the next chunk finds a part of it there.
            if number % MAPPED_CHUNKS == 0 or stop == self.d:
                let_go_of(self.X)

    def _measure(self, start: int, tile: torch.Tensor, share: torch.Tensor) -> None:
        """Mean and spread of the features (k, n) that start at a column."""
        mean, spread = _moments(tile, share.float())
        lost = ~((spread > 1 / SQUARED) & (spread < SQUARED))
        if bool(lost.any()):
            mean[lost], spread[lost] = _moments(tile[lost].double(), share)
        largest, own = tile.abs().amax(dim=1).double(), slice(start, start + len(tile))
        self.mean[own] = mean.numpy()
        self.scale[own] = torch.where(spread > CONSTANT * largest, spread, torch.inf).numpy()
        if len(self.mean) > self.d:
            self.mean[self.d :][own] = ((tile - mean.float()[:, None]).abs_() @ share.float()).numpy()

    def _rescale(self) -> None:
        """Make scales of the spreads: those of blocks are damped."""
        for start, stop in self.blocks:
            spread = self.scale[start:stop]
            variance = np.where(np.isfinite(spread), spread, 0).astype(np.float64) ** 2
            spread[:] = np.where(variance > 0, np.sqrt(variance + variance.mean()), np.inf)

    def _copied(self) -> Scratch | torch.Tensor | None:
        """All features standardised (d, n), where there is room for them."""
        on_disk = scratch_file(folder_of(self.X), self._tiles, self.d, self.n)
        if on_disk is not None:
            return on_disk
        if 4 * self.n * self.d > HELD_SHARE * psutil.virtual_memory().available:
            return None
        held = torch.from_numpy(np.empty((self.d, self.n), np.float32))  # numpy asks for large pages: faster to fill
        for columns, tile in self._chunks():
            held[columns] = self._standardise(tile, columns)
        return held

    def _tiles(self) -> Iterator[torch.Tensor]:
        """All features standardised, in order, float32 (k, n) each."""
        return (self._standardise(tile, columns) for columns, tile in self._chunks())

    def _standardise(self, tile: torch.Tensor, columns: slice | np.ndarray) -> torch.Tensor:
        """Features (k, n) of some columns, standardised in place."""
        tile -= torch.from_numpy(self.mean[columns])[:, None]
        tile /= torch.from_numpy(self.scale[columns])[:, None]
        return tile

    def tile(self, indices: np.ndarray, room: torch.Tensor | None = None) -> torch.Tensor:
        """Standardised features at ascending `indices`, float32 (K, n); not to be written to.

        Features that must be gathered are put into `room`, (K or more, n), where there is one: a new matrix for every
        tile would leave the heap in pieces.
        """
        plain = int(np.searchsorted(indices, self.d))
        if plain == len(indices):
            return self._plain_tile(indices, room)
        out = torch.empty(len(indices), self.n) if room is None else room[: len(indices)]
        if plain:
            out[:plain] = self._plain_tile(indices[:plain], out[:plain])
        of = indices[plain:] - self.d
        self._deviations(self._plain_tile(of, out[plain:]), of, out[plain:])
        return out

    def _plain_tile(self, indices: np.ndarray, room: torch.Tensor | None) -> torch.Tensor:
        """A tile of columns below d."""
        if self._copy is None:
            return self.transform(self.X, slice(None), indices)
        first, last = int(indices[0]), int(indices[-1]) + 1
        if last - first == len(indices):
            return self._copy[first:last]
        out = torch.empty(len(indices), self.n) if room is None else room[: len(indices)]
        for a, b in _close(indices, self.step):
            near = self._copy[indices[a] : indices[b - 1] + 1]
            torch.index_select(near, 0, torch.from_numpy(indices[a:b] - indices[a]), out=out[a:b])
        return out

    def _deviations(self, z: torch.Tensor, of: np.ndarray, out: torch.Tensor) -> None:
        """Of standardised features (K, n), which are the columns `of`; put into `out`, which may be the same."""
        usual = torch.from_numpy(self.mean[self.d :][of] / self.scale[of])
        torch.abs(z, out=out).sub_(usual[:, None])

    def transform(self, X: np.ndarray, rows: np.ndarray | slice, indices: np.ndarray) -> torch.Tensor:
        """Features of m rows of any X (., d) at ascending `indices`, by the scale of these rows: float32 (K, m)."""
        plain = int(np.searchsorted(indices, self.d))
        if plain < len(indices):
            of = indices[plain:] - self.d
            bent = self.transform(X, rows, of)
            self._deviations(bent, of, bent)
            return torch.cat([self.transform(X, rows, indices[:plain]), bent]) if plain else bent
        m = len(rows) if isinstance(rows, np.ndarray) else len(range(*rows.indices(len(X))))
        out = np.empty((len(indices), m), np.float32)
        for a, b in _close(indices, self.step):  # where rows are picked, all columns between are copied
            near = X[rows, indices[a] : indices[b - 1] + 1]
            out[a:b] = np.take(near, indices[a:b] - indices[a], axis=1).T
        return self._standardise(torch.from_numpy(out), indices)

    def gram(
        self,
        indices: np.ndarray,
        importance: np.ndarray | None = None,
        *,
        subset: np.ndarray | None = None,
    ) -> torch.Tensor:
        """``sum_j eta_j z_j z_j'`` over ascending `indices`.

        float32 (n, n), or (a, a) between the rows of a `subset` alone; eta (K,) is one where `importance` is None.
        """
        size = self.n if subset is None else len(subset)
        total, room = torch.zeros(size, size), self._room(indices)
        for start, stop in _spans(len(indices), self.step):
            z = self.tile(indices[start:stop], room)
            if importance is not None:
                root = torch.from_numpy(np.sqrt(importance[start:stop]).astype(np.float32))
                z = torch.mul(z, root[:, None], out=room[: len(z)])
            z = z if subset is None else z[:, torch.from_numpy(subset)]
            for a, b in _strips(size):
                total[a:b, a:].addmm_(z[:, a:b].T, z[:, a:])
        for a, b in _strips(size):
            total[b:, a:b] = total[a:b, b:].T
        return total

    def project(self, indices: np.ndarray, dual: torch.Tensor) -> torch.Tensor:
        """``Z' alpha`` at ascending `indices`: float32 (K, c) from dual coefficients (n, c)."""
        columns = dual.shape[1]
        dual = widened(dual.float()) if columns > 1 else dual.float()
        out, room = torch.empty(len(indices), dual.shape[1]), self._room(indices)
        for start, stop in _spans(len(indices), self.step):
            torch.mm(self.tile(indices[start:stop], room), dual, out=out[start:stop])
        return out[:, :columns]

    def _room(self, indices: np.ndarray) -> torch.Tensor:
        """For the largest tile of some features, (k, n)."""
        return torch.empty(min(self.step, len(indices)), self.n)


class Joined(Standardised):
    """Rows, and below them others by the same scale: what was measured of the first alone holds for all.

    Parameters
    ----------
    rows : Standardised (n, d)
    others : array or memmap of shape (., d)
        Read in tiles, never copied as a whole.
    chosen : int64 array (u,)
        Which of the others.

    Attributes
    ----------
    added : int64 array (u,)
        Their numbers among all: n, n + 1, ...
    """

    def __init__(self, rows: Standardised, others: np.ndarray, chosen: np.ndarray) -> None:
        self.rows, self.others, self.chosen = rows, others, chosen
        self.n, self.d = rows.n + len(chosen), rows.d
        self.step = max(1, TILE_BYTES // (4 * self.n))
        self.mean, self.scale = rows.mean, rows.scale
        self.added = np.arange(rows.n, self.n)

    def tile(self, indices: np.ndarray, room: torch.Tensor | None = None) -> torch.Tensor:
        """As of all rows: float32 (K, n + u)."""
        parts = [self.rows.tile(indices), self.rows.transform(self.others, self.chosen, indices)]
        return torch.cat(parts, dim=1, out=None if room is None else room[: len(indices)])


def _moments(tile: torch.Tensor, share: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation of features (k, n), computed in their dtype: float64 (k,)."""
    mean = tile @ share
    centred = tile - mean[:, None]
    step = centred @ share  # the mean of many rows is rounded: a constant column would seem to vary
    centred -= step[:, None]
    return mean.double() + step.double(), (centred.square() @ share).double().sqrt()


def _close(ascending: np.ndarray, width: int) -> Iterator[tuple[int, int]]:
    """Parts of ascending numbers that lie less than `width` apart: where each part starts and stops."""
    bounds = np.arange(ascending[0], ascending[-1] + width + 1, width)
    for start, stop in pairwise(np.searchsorted(ascending, bounds).tolist()):
        if start < stop:
            yield start, stop


def _spans(length: int, step: int) -> Iterator[tuple[int, int]]:
    for start in range(0, length, step):
        yield start, min(start + step, length)


def _strips(size: int) -> Iterator[tuple[int, int]]:
    """A few strips of rows: a symmetric product needs only what lies right of each strip's start."""
    return _spans(size, -(-size // STRIPS))
