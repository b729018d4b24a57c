"""The frozen network of an estimator, or several of them side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from head2toe import features
from head2toe.backbones import Backbone, parts_of
from head2toe.backbones.backbone import OWN_PREFIX
from head2toe.data import Images
from head2toe.errors import DataError, ParameterError, PreprocessingError, WeightsMismatchError
from head2toe.estimators.network_state import NetworkState
from head2toe.estimators.streaming import JointExtractor, Streaming
from head2toe.features.costs import Costs, costs, within
from head2toe.features.joint import join, part
from head2toe.features.temporary import temporary_rows


@dataclass(frozen=True)
class JointCosts:
    """What each network costs."""

    parts: tuple[Costs, ...]

    @property
    def total(self) -> int:
        """FLOPs of one image through all networks."""
        return sum(one.total for one in self.parts)

    def saved(self, names: Sequence[str]) -> int:
        """FLOPs saved by stopping each network after the last of these layers, or by not running it."""
        if len(self.parts) == 1:
            return self.parts[0].saved(names)
        own = ([n.removeprefix(f"{i}/") for n in names if n.startswith(f"{i}/")] for i in range(len(self.parts)))
        return sum(one.saved(kept) for one, kept in zip(self.parts, own, strict=True))


@dataclass(frozen=True)
class Networks:
    """One or several backbones that make one row.

    Of several, each keeps rows of its own in the cache, those that it would keep alone, and the rows stand side by
    side. Layer names get the prefix ``0/``, ``1/``, ...
    """

    parts: tuple[Backbone, ...]
    _state: NetworkState = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_state", NetworkState.of(self.parts))

    def current(self) -> Networks:
        """These networks; others, whose weights are hashed anew, where one was written to since."""
        unchanged = self._state.is_still(NetworkState.of(self.parts))
        return self if unchanged else Networks(tuple(replace(one) for one in self.parts))

    @property
    def single(self) -> Backbone | None:
        """The backbone, where there is one."""
        return self.parts[0] if len(self.parts) == 1 else None

    @property
    def body_bytes(self) -> int:
        """Bytes of the weights of all networks without their classifiers."""
        return sum(one.body_bytes for one in self.parts)

    def described(self) -> dict[str, Any]:
        """What identifies the rows: `Backbone.to_dict()`, or ``{"parts": [...]}`` of several.

        Of modules of the user's own also what they make of noise: `check` knows them by it.
        """
        parts = [_described(one) for one in self.parts]
        return parts[0] if self.single else {"parts": parts}

    def lay_out(
        self,
        pattern: Any,
        sizes: Sequence[int],
        cls_token: str = "with",
        statistics: Sequence[str] = (),
        budget: float | None = None,
    ) -> tuple[features.Plan, JointCosts]:
        """Columns of a row, and what the layers cost; a budget is a share of each network's FLOPs."""
        plans, spent = [], []
        for backbone in self.parts:
            found = features.layers(backbone, pattern)
            spent.append(costs(backbone, found))
            chosen = found if budget is None else within(found, spent[-1], budget)
            plans.append(features.Plan.build(chosen, sizes, cls_token, statistics))
        return (plans[0] if self.single else join(plans)), JointCosts(tuple(spent))

    def extract(self, images: Images, plan: features.Plan, store: Any, **options: Any) -> features.FeatureStore:
        """The rows of images; `store` as `features.extract` takes it, with a subfolder for each of several networks."""
        if self.single:
            return features.extract(self.single, images, plan, store=store, **options)
        found = []
        for i, backbone in enumerate(self.parts):
            place = store / str(i) if isinstance(store, Path) else store
            found.append(features.extract(backbone, images, part(plan, i)[0], store=place, **options))
        return _side_by_side(found, plan)

    def extractor(self, plan: features.Plan, columns: npt.NDArray[np.int64], dtype: str, **options: Any) -> Streaming:
        """The extractor of some columns; networks that make none of them do not run."""
        if self.single:
            return features.Extractor(self.single, plan, columns=columns, dtype=dtype, **options)
        dtypes = dtype.split(",") if "," in dtype else [dtype] * len(self.parts)
        made = []
        for i, backbone in enumerate(self.parts):
            own, start = part(plan, i)
            wanted = columns[(columns >= start) & (columns < start + own.d)] - start
            if len(wanted):
                made.append(features.Extractor(backbone, own, columns=wanted, dtype=dtypes[i], **options))
        return JointExtractor(made)

    def check(self, made_with: dict[str, Any]) -> None:
        """Refuse networks that are not those a probe was made with.

        Raises
        ------
        WeightsMismatchError
        """
        described = parts_of(made_with)
        refuse_another_number(len(described), len(self.parts))
        for backbone, written in zip(self.parts, described, strict=True):
            _check_same(backbone, written)


def _described(backbone: Backbone) -> dict[str, Any]:
    made = features.answers(backbone)
    return backbone.to_dict() if made is None else {**backbone.to_dict(), "answers": made}


def refuse_missing_modules(specs: Sequence[Any]) -> None:
    """Refuse what only names a module of the user's own.

    Raises
    ------
    ParameterError
    """
    for spec in specs:
        if isinstance(spec, str) and spec.startswith(OWN_PREFIX):
            raise ParameterError(
                f"the probe was made with your own module {spec.removeprefix(OWN_PREFIX)}: "
                "pass it to load(folder, backbone=, preprocessing=)"
            )


def refuse_missing_transforms(made_with: dict[str, Any], given: Sequence[Any]) -> None:
    """Refuse to turn images into numbers in the checkpoint's way where a transform of the user's own did it.

    Raises
    ------
    PreprocessingError
    """
    for written, transform in zip(parts_of(made_with), given, strict=True):
        if transform is None and "transform" in written["preprocessing"]:
            raise PreprocessingError(
                f"images passed your own transform for {written['spec']} at fit, and no file can hold it: pass it as "
                "preprocessing=, of a saved probe to load(folder, preprocessing=)"
            )


def refuse_another_number(wanted: int, given: int) -> None:
    """Refuse more or fewer networks than a probe was made with.

    Raises
    ------
    WeightsMismatchError
    """
    if wanted != given:
        plural = "backbone" if wanted == 1 else "backbones"
        raise WeightsMismatchError(f"the probe was made with {wanted} {plural}, not with {given}: name the same ones")


def _side_by_side(found: list[features.FeatureStore], plan: features.Plan) -> features.FeatureStore:
    """Rows of the same images as one array."""
    kept = found[0].kept
    if any(not np.array_equal(kept, one.kept) for one in found):
        raise DataError("an image could be read for one network and not for another: run again")
    rows, start = temporary_rows(len(kept), plan.d), 0
    for one in found:
        rows[:, start : start + one.plan.d] = one.rows
        start += one.plan.d
    return features.FeatureStore(
        rows,
        plan,
        kept,
        found[0].skipped,
        ",".join(one.dtype for one in found),
        "; ".join(one.reason for one in found),
        cached=all(one.cached for one in found),
    )


def _check_preprocessing(backbone: Backbone, written: dict[str, Any]) -> None:
    """Of texts and recordings: images may be given another transform on purpose, a tokenizer changes unseen."""
    found = backbone.preprocessing.to_dict()
    if backbone.preprocessing.takes != "images" and found != written:
        changed = sorted(name for name in found.keys() | written.keys() if found.get(name) != written.get(name))
        raise WeightsMismatchError(
            f"{backbone.spec} turns {backbone.preprocessing.takes} into numbers in another way than when the probe was "
            f"made ({', '.join(changed)} differ): use the same checkpoint, or fit again"
        )


def _check_answers(backbone: Backbone, written: dict[str, Any] | None) -> None:
    """Of modules and folders of the user's own: another activation, say, has the same weights."""
    changed = None if written is None else features.other_answer(backbone, written)
    if changed is not None:
        name = changed.partition(":")[0] or "the whole"
        raise WeightsMismatchError(
            f"{backbone.spec} computes something else than when the probe was made, though its weights are the same "
            f"(first seen at {name}): use the same code and configuration, or fit again"
        )


def _check_same(backbone: Backbone, written: dict[str, Any]) -> None:
    if backbone.weights_sha256 == written["weights_sha256"]:
        _check_preprocessing(backbone, written["preprocessing"])
        _check_answers(backbone, written.get("answers"))
        return
    revisions = ""
    if backbone.revision != written.get("revision"):
        revisions = f", revision {backbone.revision} instead of {written.get('revision')}"
    raise WeightsMismatchError(
        f"the weights of {backbone.spec} are not those the probe was made with "
        f"({backbone.weights_sha256[:12]} instead of {written['weights_sha256'][:12]}{revisions}): "
        "use the same checkpoint, or fit again"
    )
