"""Watching a network run: forward hooks that see every call of a module and change nothing."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import nn

See = Callable[[str, str, int, Any], None]


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
