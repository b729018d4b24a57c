"""A network whose layers are pooled while it runs: batch in, rows out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from head2toe.backbones.running import run
from head2toe.errors import NotFiniteError
from head2toe.features.axes import Key
from head2toe.features.batch import is_out_of_memory
from head2toe.features.hooks import watch
from head2toe.features.narrowing import Part
from head2toe.features.outputs import first_tensor
from head2toe.features.plan import Plan
from head2toe.features.pooled_layer import PooledLayer, did_not_run, pooled_layers
from head2toe.features.reductions import Workspace

# Outputs are cast to float32 in pieces of this many numbers (4 MB): they stay in the processor's cache, where several
# poolings of the same piece cost little. Casting whole outputs costs ten times as much in page faults alone.
_PIECE = 1 << 20


class _Stop(BaseException):
    """Ends a forward pass when all that is needed has been seen; no `except Exception` on the way may swallow it."""


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
        self._layers = pooled_layers(plan, parts or {})
        self._buffer = torch.empty(0, plan.d)
        self._workspace = Workspace()
        self._squares = Workspace()
        self._rows = self._buffer
        self._waiting: set[Key] = set()

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
        PreprocessingError
            A layer's output is not as it was when layers were listed.
        """
        try:
            return self._rows_of(batch)
        except (RuntimeError, IndexError, ValueError) as error:  # PreprocessingError is a ValueError
            if len(batch) != 1 or not batch.is_floating_point() or _is_no_matter_of_shape(error):
                raise
        # `x.squeeze()` takes the axis of a single image away too.
        return self._rows_of(batch.repeat(2, *[1] * (batch.ndim - 1)))[:1]

    def _rows_of(self, batch: Tensor) -> Tensor:
        self._rows = self._room(len(batch), batch.device)
        self._waiting = set(self._layers)
        for layer in self._layers.values():
            layer.forget()
        try:
            with self.context(), watch(self.module, {key[:2] for key in self._layers}, self._see):
                run(self.module, batch)
        except _Stop:
            pass
        if self._waiting:
            raise did_not_run(self._layers, self._waiting)
        self._check_finite()
        return self._rows

    def _see(self, name: str, where: str, call: int, value: Any) -> None:
        key = (name, where, call)
        if key not in self._waiting:
            return
        layer = self._layers[key]
        tensor = layer.checked(key, first_tensor(value, len(self._rows)), len(self._rows))
        complete = layer.take(key, tensor.detach())  # of a forward that turns gradients on
        if complete is not None:
            self._pool(complete, layer)
        self._waiting.discard(key)
        if not self._waiting and self.stop_early:
            raise _Stop

    def _pool(self, tensor: Tensor, layer: PooledLayer) -> None:
        step = _step(tensor[0].numel()) if tensor.device.type == "cpu" else len(tensor)
        reduced = layer.reduced(self._squares)
        for start in range(0, len(tensor), step):
            piece = self._as_float32(tensor[start : start + step])
            rows = self._rows[start : start + step]
            for pooling, columns in layer.alone:
                rows[:, columns].copy_(pooling.apply(piece))
            reduced.add(piece)
        for pooling, columns in layer.statistics:
            self._rows[:, columns].copy_(pooling.finish(reduced))

    def _as_float32(self, piece: Tensor) -> Tensor:
        if piece.dtype == torch.float32 and piece.is_contiguous():
            return piece
        if piece.device.type != "cpu":
            return piece.float().contiguous()
        return self._workspace.like(piece).copy_(piece)

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
                    f"layer {block.layer!r} gave NaN or infinity ({block.operation}): leave it out with a pattern, or, "
                    "in another format, try dtype='float32'"
                )


def _is_no_matter_of_shape(error: Exception) -> bool:
    return isinstance(error, NotFiniteError) or (isinstance(error, RuntimeError) and is_out_of_memory(error))


def _step(size: int) -> int:
    """Images in a piece: a multiple of the threads, which then share the images among them, not the channels."""
    threads = torch.get_num_threads()
    return max(1, _PIECE // (size * threads)) * threads
