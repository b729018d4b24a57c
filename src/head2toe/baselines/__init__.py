"""What a user would do instead of a probe."""

from head2toe.baselines.finetune import FineTuned
from head2toe.baselines.head_on_backbone import HeadOnBackbone
from head2toe.baselines.lasso import LassoResult, MultinomialLasso
from head2toe.baselines.low_rank import low_rank
from head2toe.baselines.ridge_logistic import RidgeLogistic, ridge_logistic
from head2toe.baselines.tuning import Pixels, Tuned, tune

__all__ = [
    "FineTuned",
    "HeadOnBackbone",
    "LassoResult",
    "MultinomialLasso",
    "Pixels",
    "RidgeLogistic",
    "Tuned",
    "low_rank",
    "ridge_logistic",
    "tune",
]
