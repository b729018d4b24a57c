"""A fitted head on the layers it reads, as one network that can be trained as a whole (Head2Toe-FT)."""

from __future__ import annotations

import copy
import math
from typing import Any, Self

import torch
from torch import Tensor, nn

from head2toe.baselines.training import keep_statistics
from head2toe.features import Plan
from head2toe.features.hooks import watch
from head2toe.features.narrowing import narrow
from head2toe.features.outputs import first_tensor
from head2toe.features.pooled_layer import did_not_run, pooled_layers
from head2toe.probes import LinearHead
from head2toe.probes.heads import deviating


class HeadOnBackbone(nn.Module):
    """Backbone, pooling of the kept features and linear head; everything but normalisation statistics is trained.

    Before training it says what the head says of the frozen backbone's rows. Normalisation layers keep the statistics
    that the head was fitted with. The head's weights are trained as ``sqrt(K) coef`` on features divided by sqrt(K), so
    that one learning rate serves heads of any size.

    Parameters
    ----------
    module : Module
        The backbone's; a copy is trained.
    plan : Plan
        What the columns are that the head's `indices` count.
    head : LinearHead
    """

    mean: Tensor
    scale: Tensor
    centre: Tensor
    places: Tensor

    def __init__(self, module: nn.Module, plan: Plan, head: LinearHead) -> None:
        super().__init__()
        self.backbone = copy.deepcopy(module).requires_grad_(True)
        part: Any
        for part in self.backbone.modules():
            if getattr(part, "inplace", False):
                part.inplace = False  # an output that is pooled must live until the backward pass
        few = narrow(plan, head.indices.numpy())
        self._layers = pooled_layers(few.plan, few.parts)
        self.size = math.sqrt(len(few.places))
        self.register_buffer("places", torch.from_numpy(few.places))
        self.register_buffer("centre", head.centre.clone())
        self.register_buffer("mean", head.mean.clone())
        self.register_buffer("scale", head.scale.clone())
        self.coef = nn.Parameter(head.coef * self.size)
        self.intercept = nn.Parameter(head.intercept.clone())

    def train(self, mode: bool = True) -> Self:
        """As every module's, but normalisation layers stay in eval mode."""
        super().train(mode)
        keep_statistics(self.backbone)
        return self

    def forward(self, batch: Tensor) -> Tensor:
        """Logits (B, c) of a batch (B, channels, H, W).

        Raises
        ------
        NoLayerError
            A layer that the head reads did not run.
        """
        pooled: dict[int, Tensor] = {}  # by the first of their columns
        waiting = set(self._layers)

        def see(name: str, where: str, call: int, value: Any) -> None:
            key = (name, where, call)
            layer = self._layers.get(key)
            if layer is None:
                return
            tensor = layer.checked(key, first_tensor(value, len(batch)), len(batch))
            # Of a copy: a later in-place operation may overwrite the tensor.
            complete = layer.take(key, tensor.clone())
            waiting.discard(key)
            if complete is not None:
                pooled.update((columns.start, part) for columns, part in layer.pool(_exact(complete)))

        for layer in self._layers.values():
            layer.forget()
        with watch(self.backbone, {key[:2] for key in self._layers}, see):
            self.backbone(batch)
        if waiting:
            raise did_not_run(self._layers, waiting)
        rows = torch.cat([pooled[start] for start in sorted(pooled)], dim=1)[:, self.places]
        z = (deviating(rows, self.centre) - self.mean) / self.scale
        with torch.autocast(z.device.type, enabled=False):  # a steep head's logits do not bear bfloat16
            return (z / self.size) @ self.coef.T + self.intercept


def _exact(tensor: Tensor) -> Tensor:
    """A variance is the difference of two means: in half precision nothing would be left of it."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()
