"""Head2Toe: a better linear probe from all layers of a frozen network.

The public names load on first use, so that ``import head2toe`` and ``head2toe --help`` do not wait for torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from head2toe.estimators import (
        AllLayerFeatures,
        FeatureProbe,
        Head2ToeClassifier,
        MultinomialGroupLasso,
        MultinomialGroupLassoCV,
    )

    __version__: str

__all__ = [
    "AllLayerFeatures",
    "FeatureProbe",
    "Head2ToeClassifier",
    "MultinomialGroupLasso",
    "MultinomialGroupLassoCV",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("head2toe")
        except PackageNotFoundError:  # run from a source tree
            return "0+unknown"
    if name in __all__:
        from head2toe import estimators

        return getattr(estimators, name)
    raise AttributeError(f"module 'head2toe' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
