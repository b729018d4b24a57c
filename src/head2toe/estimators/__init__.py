"""The scikit-learn face: images or rows in, classes out."""

from head2toe.estimators.all_layer_features import AllLayerFeatures
from head2toe.estimators.classifier import Head2ToeClassifier
from head2toe.estimators.evaluation import Evaluation, evaluate
from head2toe.estimators.feature_probe import FeatureProbe
from head2toe.estimators.group_lasso import MultinomialGroupLasso
from head2toe.estimators.group_lasso_cv import MultinomialGroupLassoCV
from head2toe.estimators.outputs import Outputs

__all__ = [
    "AllLayerFeatures",
    "Evaluation",
    "FeatureProbe",
    "Head2ToeClassifier",
    "MultinomialGroupLasso",
    "MultinomialGroupLassoCV",
    "Outputs",
    "evaluate",
]
