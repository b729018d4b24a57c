"""The methods by name."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from head2toe.baselines import low_rank
from head2toe.baselines.finetune import new_network
from head2toe.benchmark.method import Method
from head2toe.benchmark.methods import neighbours, networks, probe, ridge, sparse
from head2toe.benchmark.trial import FOLDS
from head2toe.errors import ParameterError
from head2toe.estimators.checks import unique_names

_SPLIT: dict[str, Any] = {"fewest_beside": 1}
_TRAINS: dict[str, Any] = {"trains_network": True, "fewest_beside": FOLDS}  # a search there comes before the training
_ALONE: dict[str, Any] = {"trains_network": True, "reads_rows": False, "fewest_beside": 1}
_WHOLE: dict[str, Any] = {"check": partial(new_network, c=2)}
_ALL = (
    Method("linear", ridge.linear),
    Method("knn", neighbours.knn),
    Method("last4", ridge.last4),
    Method("all-l2", ridge.all_l2),
    Method("all-l1", sparse.all_l1, **_SPLIT),
    Method("all-gl", sparse.all_gl, **_SPLIT),
    Method("head2toe-reference", probe.head2toe_reference, **_SPLIT),
    Method("head2toe-equal", probe.head2toe_equal),
    Method("head2toe", probe.head2toe),
    Method("head2toe-ft", networks.head2toe_ft, **_TRAINS),
    Method("head2toe-ft+", networks.head2toe_ft_plus, **_TRAINS),
    Method("lora", networks.lora, **_ALONE, check=partial(low_rank, classes=2)),
    Method("finetune", networks.finetune, **_ALONE, **_WHOLE),
    Method("finetune-official", networks.finetune_official, **_ALONE, **_WHOLE),
    Method("scratch", networks.scratch, **_ALONE, check=partial(new_network, c=2, pretrained=False)),
    Method("finetune-cost", networks.finetune_cost, reads_rows=False, **_WHOLE),
)
METHODS = {method.name: method for method in _ALL}
STARTS_FROM = {"head2toe-ft": ("head2toe",), "head2toe-ft+": ("head2toe", "head2toe-ft")}


def methods(names: str | Iterable[str]) -> list[Method]:
    """The methods with these names, or with this one, with those that they start from before them.

    Raises
    ------
    ParameterError
        An unknown name, or none.
    """
    wanted: list[str] = []
    for name in unique_names(names):
        if not isinstance(name, str) or name not in METHODS:
            raise ParameterError(f"unknown method {name!r}: use some of {', '.join(METHODS)}")
        wanted += [one for one in (*STARTS_FROM.get(name, ()), name) if one not in wanted]
    if not wanted:
        raise ParameterError(f"no method: name some of {', '.join(METHODS)}")
    return [method for name, method in METHODS.items() if name in wanted]
