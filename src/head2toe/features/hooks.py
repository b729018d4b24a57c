"""Watching a network run: forward hooks that see every call of a module and change nothing."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from functools import partial
from itertools import pairwise
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

See = Callable[[str, str, int, Any], None]

# What networks say of a format or a layout that they do not take.
REFUSALS = (RuntimeError, TypeError, ValueError, AttributeError, AssertionError, IndexError)
# What a dict-like output (Hugging Face's ModelOutput) is asked for, in this order.
_OUTPUT_KEYS = ("logits", "pooler_output", "image_embeds", "text_embeds", "last_hidden_state")
# A lock for each network, made under the guard; one is shared by those that cannot be a key.
_GUARD, _SHARED = threading.Lock(), threading.RLock()
_LOCKS: WeakKeyDictionary[nn.Module, Any] = WeakKeyDictionary()


def first_tensor(value: Any, count: int | None = None) -> Tensor | None:
    """Return the tensor a module's output stands for.

    A tensor is itself; a tuple or list its first that stands for one, of maps from fine to coarse its last; a dict-like
    output or a dataclass its logits, pooler output, embeddings, last hidden state or first tensor. Anything else is
    None.

    Parameters
    ----------
    value
        The output.
    count
        Number of images: among several tensors, one with a row an image goes before one without.
    """
    if isinstance(value, Tensor):
        return value
    if is_dataclass(value) and not isinstance(value, Mapping | type):
        value = {part.name: getattr(value, part.name) for part in fields(value)}
    if isinstance(value, tuple | list) and _are_stages(value, count):
        return value[-1]
    if isinstance(value, Mapping):
        named = [value[key] for key in _OUTPUT_KEYS if isinstance(value.get(key), Tensor)]
        value = [*named, *value.values()]
    if not isinstance(value, tuple | list):
        return None
    rows = (item for item in value if isinstance(item, Tensor) and item.ndim and len(item) == count)
    others = (tensor for item in value if (tensor := first_tensor(item, count)) is not None)
    return next(rows, next(others, None))


def _are_stages(value: Sequence[Any], count: int | None) -> bool:
    """Whether all that is given are maps of one network, from fine to coarse: what it makes last stands for it."""
    if len(value) < 2 or not all(isinstance(item, Tensor) and item.ndim == 4 for item in value):
        return False
    rows = len(value[0]) if count is None else count
    if not all(len(item) == rows and item.is_floating_point() and item.numel() for item in value):
        return False
    shapes = [tuple(item.shape[1:]) for item in value]
    sizes = [shape[1:] for shape in shapes]
    if len(set(sizes)) == 1:  # stages of a plain transformer are alike; a mask beside a map has other channels
        return len(set(shapes)) == 1
    places = [shape[:2] for shape in shapes]  # of (B, H, W, C)
    return _shrink(sizes) or (len(set(places)) > 1 and _shrink(places))


def _shrink(sizes: Sequence[tuple[int, ...]]) -> bool:
    return all(_shrinks(size, following) for size, following in pairwise(sizes))


def _shrinks(size: tuple[int, ...], following: tuple[int, ...]) -> bool:
    """Whether a map may have been made of one of another size: no axis longer, and the proportions kept to a place."""
    (rows, columns), (fewer_rows, fewer_columns) = size, following
    if fewer_rows > rows or fewer_columns > columns:
        return False
    distortion = abs(math.log((rows / fewer_rows) / (columns / fewer_columns)))
    return distortion <= 1 / fewer_rows + 1 / fewer_columns


@contextmanager
def watch(module: nn.Module, taps: Iterable[tuple[str, str]], see: See) -> Iterator[None]:
    """Call `see(name, where, call, value)` whenever a tapped module runs, while the context is open.

    Parameters
    ----------
    module
        The network; the name of the network itself is the empty string.
    taps
        Pairs (module name, "output" or "input"). The value of an input is the first positional argument.
    see
        Called inside the forward pass, in order of execution. `call` counts the runs of that module within one
        forward pass from 0. It must use the value at once: a later in-place operation may overwrite it.

    Notes
    -----
    The hooks return None, so the network's output is bit-identical with and without them. What another thread runs is
    not seen: it may be in the same network at the same time.
    """
    calls: Counter[tuple[str, str]] = Counter()
    watcher = threading.get_ident()

    def tell(name: str, where: str, value: Any) -> None:
        if threading.get_ident() == watcher:
            call = calls[name, where]
            calls[name, where] += 1
            see(name, where, call, value)

    def on_output(name: str, _module: nn.Module, _args: Any, output: Any) -> None:
        tell(name, "output", output)

    def on_input(name: str, _module: nn.Module, args: Any, kwargs: Any) -> None:
        tell(name, "input", args[0] if args else next(iter(kwargs.values()), None))

    def on_start(_module: nn.Module, _args: Any) -> None:
        if threading.get_ident() == watcher:
            calls.clear()

    modules = dict(module.named_modules())
    handles = [module.register_forward_pre_hook(on_start)]
    try:
        for name, where in taps:
            if where == "input":
                handles.append(modules[name].register_forward_pre_hook(partial(on_input, name), with_kwargs=True))
            else:
                handles.append(modules[name].register_forward_hook(partial(on_output, name)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def runs(module: nn.Module, batch: Tensor) -> bool:
    """Whether the network takes a batch in its format and layout."""
    try:
        run(module, batch)
    except REFUSALS:  # if it is for another reason, it comes again
        return False
    return True


def run(module: nn.Module, batch: Tensor) -> Any:
    """Run the network without gradients (not in inference mode: what a network keeps must serve training later).

    It runs in eval mode and uncompiled, also where its owner has put it back into training mode or compiled it in
    place since it was loaded. What it writes to the buffers of its state dict, such as a count of its calls, is put
    back. One thread at a time.
    """
    with alone(module), _without_gradients(module), _set_up(module), _held_buffers(module):
        return module(batch)


def _without_gradients(module: nn.Module) -> Any:
    """Inference mode only for a network that was made in it: its buffers cannot be written to outside."""
    made_in_it = any(held.is_inference() for held in (*module.parameters(), *module.buffers()))
    return torch.inference_mode() if made_in_it else torch.no_grad()


def alone(module: nn.Module) -> Any:
    """The lock that is held while a network runs here."""
    with _GUARD:
        try:
            return _LOCKS.setdefault(module, threading.RLock())
        except TypeError:  # a module with an equality of its own cannot be a key
            return _SHARED


@contextmanager
def _set_up(module: nn.Module) -> Iterator[None]:
    training = [part for part in module.modules() if part.training]
    compiled = [(part, part._compiled_call_impl) for part in module.modules() if part._compiled_call_impl is not None]  # noqa: SLF001
    for part in training:
        part.training = False
    for part, _ in compiled:
        part._compiled_call_impl = None  # noqa: SLF001 - hooks inside a compiled pass break it
    try:
        yield
    finally:
        for part in training:
            part.training = True
        for part, call in compiled:
            part._compiled_call_impl = call  # noqa: SLF001


@contextmanager
def _held_buffers(module: nn.Module) -> Iterator[None]:
    """Put back what is written to buffers of the state dict, or in their place.

    One that has grown is left: the network keeps what it has made for longer inputs, and knows how much.
    """
    held = [(part, name, buffer, version(buffer), buffer.clone()) for part, name, buffer in kept_buffers(module)]
    try:
        yield
    finally:
        for part, name, buffer, written, before in held:
            now = part._buffers.get(name)  # noqa: SLF001
            if now is None or now.shape != before.shape or now.dtype != before.dtype:
                continue
            if buffer.is_inference() or version(buffer) != written:  # those of inference mode count no writes
                buffer.copy_(before)
            part._buffers[name] = buffer  # noqa: SLF001


def kept_buffers(module: nn.Module) -> Iterator[tuple[nn.Module, str, Tensor]]:
    """The buffers of the state dict: the part that each belongs to, its name there, and itself."""
    for part in module.modules():
        for name, buffer in part._buffers.items():  # noqa: SLF001
            if buffer is not None and name not in part._non_persistent_buffers_set:  # noqa: SLF001
                yield part, name, buffer


def version(tensor: Tensor) -> int:
    """How often a tensor was written to."""
    return 0 if tensor.is_inference() else tensor._version  # noqa: SLF001
