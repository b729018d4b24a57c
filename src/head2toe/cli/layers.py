"""`head2toe layers`: what is tapped in a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from head2toe.cli.options import LayerOptions, OutputOptions, layer_options, one_backbone_option, output_options
from head2toe.cli.output import emit, table

if TYPE_CHECKING:
    from head2toe.features import Layer, Plan


@click.command()
@click.argument("spec", metavar="[BACKBONE]", required=False)
@one_backbone_option
@layer_options
@output_options
def layers(
    spec: str | None,
    backbone: str,
    wanted: LayerOptions,
    output: OutputOptions,
) -> None:
    """List the layers of a network with their shapes, and how many numbers are pooled from each.

    BACKBONE may stand alone or after --backbone.
    """
    from head2toe.features import LINEAR_VIEW

    context = click.get_current_context()
    if spec is not None and context.get_parameter_source("backbone") is not ParameterSource.DEFAULT:
        raise click.UsageError(f"two backbones, {spec} and {backbone}: name one.", context)
    network = wanted.load(backbone if spec is None else spec)
    plan = wanted.plan(network)
    views = [view for view in plan.views if view != LINEAR_VIEW]
    found = [_described(layer, plan, views) for layer in plan.layers]
    totals = {view: len(plan.columns(view)) for view in views}
    result = {"backbone": network.to_dict(), "layers": found, "features": totals}
    emit(result, _text(found, totals), as_json=output.as_json)


def _described(layer: Layer, plan: Plan, views: list[str]) -> dict[str, Any]:
    blocks = {view: [plan.blocks[i] for i in plan.views[view]] for view in views}
    pooled = {view: sum(b.stop - b.start for b in blocks[view] if b.layer == layer.name) for view in views}
    return {
        "name": layer.name,
        "kind": layer.kind,
        "shape": list(layer.shape),
        "penultimate": layer.penultimate,
        "pooled": pooled,
    }


def _text(found: list[dict[str, Any]], totals: dict[str, int]) -> str:
    rows = [("layer", "kind", "shape", *(f"N = {view}" if view.isdigit() else view for view in totals))]
    for layer in found:
        name = layer["name"] + (" (linear probe)" if layer["penultimate"] else "")
        shape = " x ".join(map(str, layer["shape"]))
        rows.append((name, layer["kind"], shape, *(f"{count:,}" for count in layer["pooled"].values())))
    rows.append((f"{len(found)} layers", "", "", *(f"{count:,}" for count in totals.values())))
    return table(rows, right=range(3, 3 + len(totals)))
