"""A network whose layers are pooled while it runs: batch in, rows out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from head2toe.errors import NoLayerError, NotFiniteError, PreprocessingError
from head2toe.features.axes import Shape
from head2toe.features.hooks import first_tensor, run, watch
from head2toe.features.layer import Layer
from head2toe.features.narrowing import Part
from head2toe.features.plan import Plan
from head2toe.features.pooling import Operation, Statistic, operation
from head2toe.features.reductions import Reduced, Reduction, Scratch, economical

# Outputs are cast to float32 in pieces of this many numbers (4 MB): they stay in the processor's cache, where several
# poolings of the same piece cost little. Casting whole outputs costs ten times as much in page faults alone.
_PIECE = 1 << 20


class _Stop(BaseException):
    """Ends a forward pass when all that is needed has been seen; no `except Exception` on the way may swallow it."""


class _Work:
    """What is done with one layer's output: operations that stand alone, and statistics with their reductions.

    A layer put together from parts of others waits until all of them have been seen.
    """

    def __init__(self, layer: Layer, parts: Sequence[Part]) -> None:
        self.layer = layer
        self.sources = {part.layer.key: part.layer for part in parts} or {layer.key: layer}
        self.alone: list[tuple[Operation, slice]] = []
        self.statistics: list[tuple[Statistic, slice]] = []
        self.reductions: tuple[Reduction, ...] = ()
        self._channels = {part.layer.key: torch.from_numpy(part.channels) for part in parts}
        self._seen: dict[tuple[str, str, int], Tensor] = {}

    def add(self, pooling: Operation, columns: slice) -> None:
        """Put the result of an operation into some columns."""
        if not isinstance(pooling, Statistic):
            self.alone.append((pooling, columns))
            return
        self.statistics.append((pooling, columns))
        self.reductions = economical((*self.reductions, *pooling.reductions()), self.layer.shape)

    def forget(self) -> None:
        """Begin with another batch."""
        self._seen.clear()

    def checked(self, key: tuple[str, str, int], tensor: Tensor | None, count: int) -> Tensor:
        """The tensor; refuse what is not as it was when the layers were listed.

        Raises
        ------
        PreprocessingError
        """
        layer = self.sources[key]
        if tensor is None or not tensor.ndim or len(tensor) != count:
            raise PreprocessingError(
                f"layer {layer.name} gave no row for each of {count} images, though it did when layers were listed: "
                "leave it out with a layer pattern"
            )
        if layer.kind == "sequence":
            return tensor
        made, listed = Shape(layer.canonical(tensor).shape[1:]), layer.shape
        if layer.kind == "map":
            listed = (*listed[1:], listed[0])
        if made != listed:
            raise PreprocessingError(
                f"layer {layer.name} gave {' x '.join(map(str, made))} numbers for these images, and "
                f"{' x '.join(map(str, listed))} when layers were listed: let the preprocessing resize all to one size"
            )
        return tensor

    def take(self, key: tuple[str, str, int], tensor: Tensor) -> Tensor | None:
        """Return what is pooled, channels last, when the last part of it has come."""
        whole = self.sources[key].canonical(tensor)
        if not self._channels:
            return whole
        # Not `index_select`, which passes over the tensor once for every channel.
        self._seen[key] = whole.gather(-1, self._channels[key].to(whole.device).expand(*whole.shape[:-1], -1))
        if len(self._seen) < len(self.sources):
            return None
        pieces = [self._seen[key] for key in self.sources]
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=-1)


class PooledNetwork:
    """Pool every layer of a plan inside the forward pass.

    Parameters
    ----------
    module
        The network in the dtype, memory format and device it is to run in.
    plan
        What to pool. Its blocks become the columns of the rows.
    parts
        Layer of the plan -> the parts of other layers that it is put together from (see `narrowing`).
    context
        Makes what is entered around every forward pass, such as `torch.autocast`.
    stop_early
        End the forward pass after the last layer that the plan needs.
    """

    def __init__(
        self,
        module: nn.Module,
        plan: Plan,
        *,
        parts: Mapping[str, Sequence[Part]] | None = None,
        context: Callable[[], AbstractContextManager[Any]] = nullcontext,
        stop_early: bool = True,
    ) -> None:
        self.module = module
        self.plan = plan
        self.context = context
        self.stop_early = stop_early
        work = {layer.name: _Work(layer, (parts or {}).get(layer.name, ())) for layer in plan.layers}
        for block in plan.blocks:
            work[block.layer].add(operation(block.operation), slice(block.start, block.stop))
        needed = {block.layer for block in plan.blocks}
        self._work = {key: one for name, one in work.items() if name in needed for key in one.sources}
        self._buffer = torch.empty(0, plan.d)
        self._scratch = Scratch()
        self._squares = Scratch()
        self._rows = self._buffer
        self._waiting: set[tuple[str, str, int]] = set()

    def rows(self, batch: Tensor) -> Tensor:
        """Return the rows of a batch.

        Parameters
        ----------
        batch
            What the network takes: (B, 3, H, W) on its device, in its dtype.

        Returns
        -------
        float32 (B, d), on the device of the batch. The memory belongs to this object and is overwritten by the next
        call.

        Raises
        ------
        NotFiniteError
            A layer gave NaN or infinity.
        NoLayerError
            A layer did not run: the network takes other ways for other images.
        """
        try:
            return self._rows_of(batch)
        except (RuntimeError, IndexError, ValueError):
            if len(batch) != 1 or not batch.is_floating_point():
                raise
        # `x.squeeze()` takes the axis of a single image away too.
        return self._rows_of(batch.repeat(2, *[1] * (batch.ndim - 1)))[:1]

    def _rows_of(self, batch: Tensor) -> Tensor:
        self._rows = self._room(len(batch), batch.device)
        self._waiting = set(self._work)
        for work in self._work.values():
            work.forget()
        try:
            with self.context(), watch(self.module, {key[:2] for key in self._work}, self._see):
                run(self.module, batch)
        except _Stop:
            pass
        if self._waiting:
            names = sorted(self._work[key].sources[key].name for key in self._waiting)
            raise NoLayerError(
                f"layers {', '.join(names[:5])} did not run on these images, though they did when they were listed: "
                "the network's way depends on its input; leave them out with a layer pattern"
            )
        self._check_finite()
        return self._rows

    def _see(self, name: str, where: str, call: int, value: Any) -> None:
        key = (name, where, call)
        if key not in self._waiting:
            return
        work = self._work[key]
        tensor = work.checked(key, first_tensor(value, len(self._rows)), len(self._rows))
        complete = work.take(key, tensor)
        if complete is not None:
            self._pool(complete, work)
        self._waiting.discard(key)
        if not self._waiting and self.stop_early:
            raise _Stop

    def _pool(self, tensor: Tensor, work: _Work) -> None:
        step = _step(tensor[0].numel()) if tensor.device.type == "cpu" else len(tensor)
        reduced = Reduced(work.reductions, self._squares)
        for start in range(0, len(tensor), step):
            piece = self._as_float32(tensor[start : start + step])
            rows = self._rows[start : start + step]
            for pooling, columns in work.alone:
                rows[:, columns].copy_(pooling.apply(piece))
            reduced.add(piece)
        for pooling, columns in work.statistics:
            self._rows[:, columns].copy_(pooling.finish(reduced))

    def _as_float32(self, piece: Tensor) -> Tensor:
        if piece.dtype == torch.float32 and piece.is_contiguous():
            return piece
        if piece.device.type != "cpu":
            return piece.float().contiguous()
        return self._scratch.like(piece).copy_(piece)

    def _room(self, count: int, device: torch.device) -> Tensor:
        if len(self._buffer) < count or self._buffer.device != device:
            self._buffer = torch.empty(count, self.plan.d, device=device)
        return self._buffer[:count]

    def _check_finite(self) -> None:
        """Raise for NaN and infinity. One sum over everything is enough to know that there is none."""
        if torch.isfinite(self._rows.sum()):
            return
        for block in self.plan.blocks:
            if not torch.isfinite(self._rows[:, block.start : block.stop]).all():
                raise NotFiniteError(
                    f"Layer {block.layer!r} gave NaN or infinity ({block.operation}): leave it out with a pattern, or, "
                    "in another format, try dtype='float32'."
                )


def _step(size: int) -> int:
    """Images in a piece: a multiple of the threads, which then share the images among them, not the channels."""
    threads = torch.get_num_threads()
    return max(1, _PIECE // (size * threads)) * threads
