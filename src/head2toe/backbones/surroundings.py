"""What a program has set in PyTorch around a call, kept away from what is computed here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

_CASTING = ("cpu", "cuda", "mps")


@contextmanager
def plain_torch() -> Iterator[None]:
    """Inside, tensors are made in float32 on the CPU, none is cast unasked, and gradients can be had.

    Outside there may be another default dtype or device, `torch.autocast`, `torch.no_grad` or `torch.inference_mode`;
    all are as they were in the end. Where nothing was set nothing is touched, for default dtypes are those of all
    threads.
    """
    dtype = torch.get_default_dtype()
    with ExitStack() as stack:
        if dtype != torch.float32:
            torch.set_default_dtype(torch.float32)
            stack.callback(torch.set_default_dtype, dtype)
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        for kind in _CASTING:
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        if not torch.is_grad_enabled():  # in inference mode too
            stack.enter_context(torch.inference_mode(mode=False))
        yield
