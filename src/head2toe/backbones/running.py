"""Running a network so that it stays what it was."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import MethodType
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

T = TypeVar("T")
# What networks say of a format or a layout that they do not take.
REFUSALS = (RuntimeError, TypeError, ValueError, AttributeError, AssertionError, IndexError)
# A lock for each network, made under the guard.
_GUARD = threading.Lock()
_LOCKS: WeakKeyDictionary[nn.Module, Any] = WeakKeyDictionary()


def run(module: nn.Module, batch: Tensor) -> Any:
    """Run the network without gradients (not in inference mode: what a network keeps must serve training later).

    It runs in eval mode and uncompiled, also where its owner has put it back into training mode or compiled it, or its
    `forward`, in place since it was loaded. What it writes to the buffers of its state dict, such as a count of its
    calls, is put back. One thread at a time.
    """
    with lock_of(module), _without_gradients(module), _in_eval_mode(module), _uncompiled(module), _restored(module):
        return module(batch)


def on_one_or_two(make: Callable[[int], T]) -> T:
    """What `make` makes of one image; of two, where the network takes none alone: its forward may squeeze, or norm."""
    try:
        return make(1)
    except REFUSALS:  # if it is for another reason, it comes again
        return make(2)


def runs(module: nn.Module, batch: Tensor) -> bool:
    """Whether the network takes a batch in its format and layout."""
    try:
        run(module, batch)
    except REFUSALS:  # if it is for another reason, it comes again
        return False
    return True


def _without_gradients(module: nn.Module) -> Any:
    """Inference mode only for a network that was made in it: its buffers cannot be written to outside."""
    made_in_it = any(held.is_inference() for held in (*module.parameters(), *module.buffers()))
    return torch.inference_mode() if made_in_it else torch.no_grad()


def lock_of(module: nn.Module) -> Any:
    """The lock that is held while a network runs here."""
    with _GUARD:
        return _LOCKS.setdefault(module, threading.RLock())


@contextmanager
def _in_eval_mode(module: nn.Module) -> Iterator[None]:
    training = [part for part in module.modules() if part.training]
    for part in training:
        part.training = False
    try:
        yield
    finally:
        for part in training:
            part.training = True


@contextmanager
def _uncompiled(module: nn.Module) -> Iterator[None]:
    compiled = [(part, part._compiled_call_impl) for part in module.modules() if part._compiled_call_impl is not None]  # noqa: SLF001
    for part, _ in compiled:
        part._compiled_call_impl = None  # noqa: SLF001 - hooks inside a compiled pass break it
    try:
        with _plain_forwards(module):
            yield
    finally:
        for part, call in compiled:
            part._compiled_call_impl = call  # noqa: SLF001


@contextmanager
def _plain_forwards(module: nn.Module) -> Iterator[None]:
    """A `forward` that `torch.compile` made knows no hook set since it was compiled: what it was made of runs."""
    found = [(part, plain) for part in module.modules() if (plain := _plain_forward(part)) is not None]
    before = [vars(part).get("forward") for part, _ in found]
    for part, plain in found:
        part.forward = plain
    try:
        yield
    finally:
        for (part, _), forward in zip(found, before, strict=True):
            if forward is None:  # its class has it
                del part.forward
            else:
                part.forward = forward


def _plain_forward(part: nn.Module) -> Any:
    """What a compiled forward was made of; its own method is bound anew, for a copy still has that of the original."""
    forward = part.forward
    plain = getattr(forward, "_torchdynamo_orig_callable", None)
    if plain is None or getattr(forward, "__wrapped__", plain) != plain:  # a decorator around it copied the mark
        return None
    if isinstance(plain, MethodType):
        return MethodType(plain.__func__, part) if type(plain.__self__) is type(part) else plain
    return plain if "forward" in vars(part) else MethodType(plain, part)


@contextmanager
def _restored(module: nn.Module) -> Iterator[None]:
    """Put back what is written to buffers of the state dict, or in their place.

    One that has grown is left: the network keeps what it has made for longer inputs, and knows how much.
    """
    held = [(part, name, buffer, write_count(buffer), buffer.clone()) for part, name, buffer in kept_buffers(module)]
    try:
        yield
    finally:
        for part, name, buffer, written, before in held:
            now = part._buffers.get(name)  # noqa: SLF001
            if now is None or now.shape != before.shape or now.dtype != before.dtype:
                continue
            if write_count(buffer) != written or _differs(buffer, before):
                buffer.copy_(before)
            part._buffers[name] = buffer  # noqa: SLF001


def _differs(buffer: Tensor, before: Tensor) -> bool:
    """Norms and fake quantisation write without being counted, and in inference mode nothing is counted."""
    if buffer.layout != torch.strided:
        return False
    if buffer.device.type != "cpu":  # to ask a GPU takes longer than to write
        return True
    if torch.equal(buffer, before):
        return False
    return not (buffer.is_floating_point() and torch.allclose(buffer, before, rtol=0, atol=0, equal_nan=True))


def kept_buffers(module: nn.Module) -> Iterator[tuple[nn.Module, str, Tensor]]:
    """The buffers of the state dict: the part that each belongs to, its name there, and itself."""
    for part in module.modules():
        for name, buffer in part._buffers.items():  # noqa: SLF001
            if buffer is not None and name not in part._non_persistent_buffers_set:  # noqa: SLF001
                yield part, name, buffer


def write_count(tensor: Tensor) -> int:
    """How often a tensor was written to."""
    return 0 if tensor.is_inference() else tensor._version  # noqa: SLF001
