"""Predictions of a fitted probe for images: the frozen network run as far as the heads need it, and their logits."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from head2toe import features
from head2toe.estimators.feature_probe import FeatureProbe
from head2toe.estimators.frozen import FrozenNetworkEstimator, columns_of
from head2toe.estimators.labels import accuracy, labels_of
from head2toe.estimators.outputs import Outputs
from head2toe.estimators.streaming import Streaming, columns_read, stream_logits
from head2toe.features.device import find_device
from head2toe.plain_torch import plain_torch
from head2toe.probes import Columns, SearchResult


class ImagePredictions(ClassifierMixin, FrozenNetworkEstimator):
    """A fitted classifier of images; a subclass has the parameters, and `fit`."""

    fractions: Any
    strengths: Any
    layer_weights: Any
    search_seconds: Any
    cv: Any
    class_weight: Any
    random_state: Any
    skipped_: tuple[features.Skipped, ...]
    skipped_unlabelled_: tuple[features.Skipped, ...]
    cached_: bool
    flops_: int | None  # None of a probe that an older version wrote
    flops_saved_: int | None

    def assume(
        self, found: SearchResult, classes: np.ndarray, plan: features.Plan, backbone: dict[str, Any], dtype: str
    ) -> Self:
        """Become the fitted classifier over the columns of a plan; `fit` ends here, and so does loading."""
        self.classes_ = classes
        self.plan_ = plan
        self.backbone_ = backbone
        self.dtype_ = dtype
        self.probe_ = self._feature_probe(None).assume(found, classes, columns_of(plan), plan.d)
        self.choice_, self.search_table_ = found.choice, found.table
        self.cv_accuracy_, self.linear_cv_accuracy_ = found.cv_accuracy, found.linear_cv_accuracy
        self.estimated_accuracy_ = self.probe_.estimated_accuracy_
        self._extractor = None
        return self

    def decision_function(self, images: Any) -> np.ndarray:
        """Logits, float64 (n, c); of two their difference (n,), above 0 for `classes_[1]`. Raises as `predict`."""
        return self.outputs(images).decision

    def predict_proba(self, images: Any) -> np.ndarray:
        """Probabilities, float64 (n, c), in the order of `classes_`. Raises as `predict`."""
        return self.outputs(images).probabilities

    def predict(self, images: Any) -> np.ndarray:
        """The most probable class of each image, (n,).

        Only the layers that kept a feature are pooled, and the network stops after the last of them.

        Raises
        ------
        UnreadableImageError
            An image cannot be decoded.
        WeightsMismatchError
            The backbone's weights are not those that the probe was made with.
        """
        return self.outputs(images).labels

    def score(  # pyright: ignore[reportIncompatibleMethodOverride] - images are no X, and may bring their labels
        self, images: Any, labels: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> float:
        """Accuracy in [0, 1]. Raises as `predict`, and `MissingLabelError` where there are no labels."""
        return accuracy(labels_of(images, labels), self.predict(images), sample_weight)

    def linear_predict(self, images: Any) -> np.ndarray:
        """The classes that the linear probe on the penultimate features predicts, (n,). Raises as `predict`."""
        (logits,), _, _ = self._run(images, ("linear_head_",), strict=True)
        return self.classes_[logits.argmax(axis=1)]

    def linear_score(
        self, images: Any, labels: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> float:
        """Accuracy of the linear probe in [0, 1]. Raises as `score`."""
        return accuracy(labels_of(images, labels), self.linear_predict(images), sample_weight)

    def outputs(self, images: Any, *, linear: bool = False, strict: bool = True) -> Outputs:
        """Logits, with the images that could not be read. Raises as `predict`.

        Parameters
        ----------
        images
            As for `fit`.
        linear : bool
            Also those of the linear probe, from the same pass.
        strict : bool
            Raise for an image that cannot be read, instead of leaving it out.
        """
        heads = ("head_", "linear_head_") if linear else ("head_",)
        logits, kept, skipped = self._run(images, heads, strict=strict)
        return Outputs(self.classes_, logits[0], logits[1] if linear else None, kept, skipped)

    @plain_torch()
    def _run(
        self, images: Any, heads: tuple[str, ...], *, strict: bool
    ) -> tuple[list[np.ndarray], np.ndarray, tuple[features.Skipped, ...]]:
        check_is_fitted(self)
        pictures = self._inputs(images)
        chosen = [getattr(self.probe_, name) for name in heads]
        return stream_logits(self._ready(columns_read(chosen), heads, strict), pictures, chosen)

    def _ready(self, columns: np.ndarray, heads: tuple[str, ...], strict: bool) -> Streaming:
        """The network made ready for these heads; kept for the next call."""
        networks, dtype = self._verified_networks(), self._dtype()
        key = (heads, strict, dtype, self.device, self.batch_size, self.verbose)
        ready = getattr(self, "_extractor", None)
        if ready is None or ready[0] != key:
            extractor = networks.extractor(self.plan_, columns, dtype, strict=strict, **self._options())
            self._extractor = ready = (key, extractor)
        return ready[1]

    def _feature_probe(self, columns: Columns | None, most: int | None = None) -> FeatureProbe:
        return FeatureProbe(
            columns,
            fractions=self.fractions,
            most_features=most,
            strengths=self.strengths,
            layer_weights=self.layer_weights,
            search_seconds=self.search_seconds,
            cv=self.cv,
            class_weight=self.class_weight,
            random_state=self.random_state,
            verbose=self.verbose,
        )

    def _dtype(self) -> str:
        """The number format of the training rows, unless the caller or the device wants another."""
        if self.dtype != "auto":
            return self.dtype
        on_cpu = find_device(self.device).type == "cpu"
        return "auto" if "float16" in self.dtype_.split(",") and on_cpu else self.dtype_
