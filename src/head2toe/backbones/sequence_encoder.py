"""An encoder of sequences as a network that makes one vector a text or recording, which a linear probe reads."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

# What sentence-transformers calls its ways of pooling -> the vector (B, C) of states (B, T, C).
POOLINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda states: states.mean(1),
    "cls": lambda states: states[:, 0],
    "max": lambda states: states.amax(1),
    "lasttoken": lambda states: states[:, -1],
}


class SequenceEncoder(nn.Module):
    """A model of `transformers` whose output is one vector: its logits where it has a classifier, else pooled states.

    All sequences of a batch have one length, so there is no padding, and no mask.

    Parameters
    ----------
    model
        Takes token numbers (B, T) or samples (B, T), gives `logits` (B, c), `last_hidden_state` (B, T', C) or, without
        these, `pooler_output` (B, C).
    pooling
        One of `POOLINGS`.
    """

    def __init__(self, model: nn.Module, pooling: str = "mean") -> None:
        super().__init__()
        self.model = model
        self.pooling = pooling

    def forward(self, batch: Tensor) -> Tensor:
        output = self.model(**{self.model.main_input_name: batch})  # type: ignore[dict-item]
        if getattr(output, "logits", None) is not None:
            return output.logits
        states = getattr(output, "last_hidden_state", None)  # DPR gives its vector alone
        return output.pooler_output if states is None else POOLINGS[self.pooling](states)


def classifier_of(model: nn.Module) -> str | None:
    """Name, within a `SequenceEncoder`, of the last `Linear` of the model's classifier, None where it has none."""
    head = getattr(model, "classifier", None)
    if not isinstance(head, nn.Module):
        return None
    linear = [name for name, child in head.named_modules(prefix="classifier") if isinstance(child, nn.Linear)]
    return f"model.{linear[-1]}" if linear else None
