"""What a program has set in PyTorch around a call, kept away from what is computed here."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

_CASTING = ("cpu", "cuda", "mps")
_LOCK = threading.Lock()
_before: list[torch.dtype] = []  # of everyone inside; the default dtype is that of all threads


@contextmanager
def plain_torch() -> Iterator[None]:
    """Inside, tensors are made in float32 on the CPU, none is cast unasked, and gradients can be had.

    Outside there may be another default dtype or device, `torch.autocast`, `torch.no_grad` or `torch.inference_mode`;
    all are as they were in the end.
    """
    with ExitStack() as stack:
        stack.enter_context(_float32())
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        for kind in _CASTING:
            if _casts(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        if not torch.is_grad_enabled():  # in inference mode too
            stack.enter_context(torch.inference_mode(mode=False))
        yield


@contextmanager
def _float32() -> Iterator[None]:
    """The last of several threads that leaves puts the default dtype back. Where it is float32 nothing is touched."""
    with _LOCK:
        found = torch.get_default_dtype()
        _before.append(_before[0] if _before else found)
        if found != torch.float32:
            torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        with _LOCK:
            before = _before.pop()
            if not _before and before != torch.float32:
                torch.set_default_dtype(before)


def _casts(kind: str) -> bool:
    try:
        return torch.is_autocast_enabled(kind)
    except RuntimeError:  # PyTorch 2.4 knows none on "mps"
        return False
