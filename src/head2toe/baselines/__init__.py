"""What a user would do instead of a probe."""

from head2toe.baselines.finetune import FineTuned

__all__ = ["FineTuned"]
