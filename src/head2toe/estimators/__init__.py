"""The scikit-learn face: images or rows in, classes out."""

from head2toe.estimators.feature_probe import FeatureProbe

__all__ = ["FeatureProbe"]
