"""Wanted outputs: those of the classifier too, and of pooling only what is a vector."""

from __future__ import annotations

from torch import nn

from head2toe.features.candidates import candidates


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(nn.Sequential(nn.Conv2d(3, 3, 3), nn.ReLU()) for _ in range(3)))
        self.pool, self.fc, self.calibrate = nn.AdaptiveAvgPool2d(1), nn.Linear(3, 5), nn.Softmax(1)

    def forward(self, x):
        return self.calibrate(self.fc(self.pool(self.blocks(x)).flatten(1)))


def test_logits_are_looked_at_before_what_is_made_of_them() -> None:
    wanted = candidates(Network(), "fc")
    assert wanted["fc", "input"] == wanted["fc", "output"] == wanted["", "output"] == "any"
    assert ("calibrate", "output") not in wanted
    assert wanted["pool", "output"] == "vector"
