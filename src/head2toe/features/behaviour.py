"""What tells a user's own network or transform from another one of the same name: what it makes of noise."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from head2toe.features.hooks import first_tensor, run
from head2toe.features.noise import noise_batch

if TYPE_CHECKING:
    from head2toe.backbones import Backbone

_IMAGES = 2


def behaviour(backbone: Backbone) -> str | None:
    """SHA-256 of the network's output on noise, through its preprocessing; None where the description says it all.

    Weights and printed forms do not show which activation a module uses, its plain attributes and buffers that are not
    saved, or what a lambda in a transform does.
    """
    described = "transform" not in backbone.preprocessing.to_dict()
    if described and not backbone.spec.startswith("module/"):
        return None
    output = first_tensor(run(backbone.module, noise_batch(backbone, _IMAGES)), _IMAGES)
    return None if output is None else hashlib.sha256(output.float().contiguous().numpy().tobytes()).hexdigest()
