"""Several plans side by side: one row holds what several networks see, each network's layers under a prefix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from head2toe.features.plan import LINEAR_VIEW, Block, Plan


def join(plans: Sequence[Plan]) -> Plan:
    """Put plans side by side; the layers and blocks of plan i get the prefix ``i/``.

    A view holds the blocks of that view in every plan: the view `linear` all penultimate features together. Every view
    but that one is there for each network alone too, under its prefix: a second network must earn its place.
    """
    layers, blocks, views = [], [], {}
    start = 0
    for i, plan in enumerate(plans):
        layers += [replace(layer, name=f"{i}/{layer.name}") for layer in plan.layers]
        for name, numbers in plan.views.items():
            own = tuple(len(blocks) + number for number in numbers)
            views[name] = views.get(name, ()) + own
            if len(plans) > 1 and name != LINEAR_VIEW:
                views[f"{i}/{name}"] = own
        blocks += [Block(f"{i}/{b.layer}", b.operation, start + b.start, start + b.stop) for b in plan.blocks]
        start += plan.d
    return Plan(tuple(layers), tuple(blocks), views)


def part(joined: Plan, i: int) -> tuple[Plan, int]:
    """Take the plan of network i out of joined ones, or out of what `Plan.restrict` left of them.

    Returns
    -------
    The plan, which equals the one that was joined, and the column of the joined plan at which it starts.
    """
    prefix = f"{i}/"
    layers = tuple(
        replace(layer, name=layer.name.removeprefix(prefix)) for layer in joined.layers if layer.name.startswith(prefix)
    )
    own = {number: block for number, block in enumerate(joined.blocks) if block.layer.startswith(prefix)}
    first, start = next(((number, block.start) for number, block in own.items()), (0, joined.d))
    blocks = (Block(b.layer.removeprefix(prefix), b.operation, b.start - start, b.stop - start) for b in own.values())
    views = {
        name: tuple(number - first for number in numbers if number in own)
        for name, numbers in joined.views.items()
        if "/" not in name  # the others are of one network alone
    }
    return Plan(layers, tuple(blocks), views), start


def networks_of(plan: Plan, view: str) -> frozenset[str]:
    """Which networks must run for a view: their prefixes; one without a name for a plan that was not joined."""
    layers = (plan.blocks[number].layer for number in plan.views[view])
    return frozenset(name.partition("/")[0] if "/" in name else "" for name in layers) or frozenset({""})
