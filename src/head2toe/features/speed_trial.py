"""A speed trial: bfloat16 against float32 on this CPU, in about a second."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from head2toe.backbones.running import REFUSALS, run
from head2toe.features.noise import noise_batch
from head2toe.features.prepared import Prepared, on_cpu, refusal

if TYPE_CHECKING:
    from head2toe.backbones import Backbone

# bfloat16 has to pay for its fewer digits.
_WORTH_IT = 1.1
_TRIAL_IMAGES = 8
_TRIAL_SECONDS = 1.0
# A CPU without bfloat16 may take minutes for so many: this many times as slow on few images, it is not tried further.
_HOPELESS = 3
_FEW_IMAGES = 2

# Verdicts of this process: the same network on the same device is tried once.
_verdicts: dict[tuple[str, str, int], tuple[str, str]] = {}


def faster_format(backbone: Backbone) -> tuple[str, str]:
    """What a network runs faster in on this CPU, "float32" or "bfloat16", and why; each is tried once a process."""
    key = (backbone.weights_sha256, str(backbone.preprocessing.to_dict()), torch.get_num_threads())
    if key not in _verdicts:
        _verdicts[key] = _race(backbone)
    return _verdicts[key]


def _race(backbone: Backbone) -> tuple[str, str]:
    """Run both formats in turn for about a second, compare the best times."""
    few = noise_batch(backbone, _FEW_IMAGES)
    runners = {"float32": on_cpu(backbone, "float32", "tried")}
    try:
        half = on_cpu(backbone, "bfloat16", "tried")
        run(half.module, half.batch(few))  # the first time is slower
    except REFUSALS as error:
        return "float32", refusal("bfloat16", error)
    runners["bfloat16"] = half
    speeds = _speeds(runners, few, 0.0)
    if _HOPELESS * speeds["bfloat16"] > speeds["float32"]:
        speeds = _speeds(runners, noise_batch(backbone, _TRIAL_IMAGES), _TRIAL_SECONDS)
    chosen = "bfloat16" if speeds["bfloat16"] > _WORTH_IT * speeds["float32"] else "float32"
    return chosen, "trial: " + ", ".join(f"{name} {speed:.0f} images/s" for name, speed in speeds.items())


def _speeds(runners: dict[str, Prepared], images: Tensor, seconds: float) -> dict[str, float]:
    """Images a second of each in its best turn; turns go on for so many seconds, and there is one at least."""
    best = dict.fromkeys(runners, float("inf"))
    start = time.perf_counter()
    while True:
        for name, runner in runners.items():
            batch = runner.batch(images)
            begin = time.perf_counter()
            run(runner.module, batch)
            best[name] = min(best[name], time.perf_counter() - begin)
        if time.perf_counter() - start >= seconds:
            return {name: len(images) / value for name, value in best.items()}
