"""Charts as inline SVG: no script, no font, no network; colours come from the page's style sheet."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from markupsafe import Markup, escape

WIDTH = 860


def accuracy_chart(results: Sequence[Mapping[str, Any]]) -> Markup:
    """Horizontal bars of accuracy, one a method, with a whisker of one standard error.

    Parameters
    ----------
    results : sequence of dict
        ``method``, ``accuracy`` in [0, 1], optional ``standard_error``.
    """
    left, right, row, top = 170, 90, 30, 8
    span = WIDTH - left - right
    bottom = top + row * len(results)
    parts = [_grid(left, span, top, bottom)]
    for number, result in enumerate(results):
        y, accuracy, error = top + row * number, float(result["accuracy"]), float(result.get("standard_error", 0))
        lead = " lead" if result.get("lead") else ""
        end = left + span * accuracy
        parts.append(
            f'<text class="label" x="{left - 10}" y="{y + 19}" text-anchor="end">{escape(result["method"])}</text>'
        )
        parts.append(
            f'<rect class="bar{lead}" x="{left}" y="{y + 6}" width="{span * accuracy:.1f}" height="18" rx="2"/>'
        )
        if error:
            low, high = left + span * max(accuracy - error, 0), left + span * min(accuracy + error, 1)
            parts.append(
                f'<path class="whisker" d="M{low:.1f} {y + 15}H{high:.1f}M{high:.1f} {y + 11}v8M{low:.1f} {y + 11}v8"/>'
            )
            end = high
        parts.append(f'<text class="value" x="{end + 8:.1f}" y="{y + 19}">{100 * accuracy:.1f} %</text>')
    text = "; ".join(f"{result['method']} {100 * float(result['accuracy']):.1f} %" for result in results)
    return _svg(bottom + 24, "Test accuracy", text, parts)


def _grid(left: float, span: float, top: float, bottom: float) -> str:
    lines = []
    for percent in (0, 25, 50, 75, 100):
        x = left + span * percent / 100
        lines.append(f'<path class="grid" d="M{x:.1f} {top}V{bottom}"/>')
        lines.append(f'<text class="tick" x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{percent}</text>')
    return "".join(lines)


def kept_chart(layers: Sequence[Mapping[str, Any]]) -> Markup:
    """Columns of kept features, one a layer in order of execution, in front of all its features.

    Parameters
    ----------
    layers : sequence of dict
        ``layer`` (name), ``kept`` and ``total`` (numbers of features).
    """
    left, top, height = 56, 10, 180
    span = WIDTH - left - 10
    step = span / max(len(layers), 1)
    tallest = max((layer["total"] for layer in layers), default=1) or 1
    bottom = top + height
    parts = [_counts(left, span, top, height, tallest)]
    for number, layer in enumerate(layers):
        name, kept, total = escape(layer["layer"]), layer["kept"], layer["total"]
        x, wide = left + step * number + step * 0.1, step * 0.8
        full, part = height * total / tallest, height * kept / tallest
        share = f"{100 * kept / total:.1f} %" if total else "none"
        parts.append(
            f"<g><title>{name}: {kept} of {total} features kept ({share})</title>"
            f'<rect class="all" x="{x:.1f}" y="{bottom - full:.1f}" width="{wide:.1f}" height="{full:.1f}"/>'
            f'<rect class="bar lead" x="{x:.1f}" y="{bottom - part:.1f}" width="{wide:.1f}" height="{part:.1f}"/></g>'
        )
    parts.append(_stages([str(layer["layer"]) for layer in layers], left, step, bottom))
    most = max(layers, key=lambda layer: layer["kept"], default=None)
    text = f"{len(layers)} layers, first to last." + (f" Most from {most['layer']}: {most['kept']}." if most else "")
    return _svg(bottom + 44, "Kept features of each layer", text, parts)


def _counts(left: float, span: float, top: float, height: float, tallest: int) -> str:
    lines = []
    for share in (0, 0.5, 1):
        y = top + height * (1 - share)
        lines.append(f'<path class="grid" d="M{left} {y:.1f}h{span:.1f}"/>')
        lines.append(
            f'<text class="tick" x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{round(tallest * share)}</text>'
        )
    return "".join(lines)


def _stages(names: Sequence[str], left: float, step: float, bottom: float) -> str:
    """Brackets below the columns: the stages of the network, told by the layers' names."""
    parts, start = [], 0
    for stage, members in groupby(names, key=_stage):
        count = len(list(members))
        x, wide = left + step * start, step * count
        parts.append(f'<path class="bracket" d="M{x + 1:.1f} {bottom + 6}v4h{wide - 2:.1f}v-4"/>')
        if wide > 6.5 * len(stage):
            middle = x + wide / 2
            parts.append(
                f'<text class="tick" x="{middle:.1f}" y="{bottom + 26}" text-anchor="middle">{escape(stage)}</text>'
            )
        start += count
    return "".join(parts)


def _stage(name: str) -> str:
    """The first part of a layer's name, and the number after it: ``blocks.3`` of ``blocks.3.1.act``."""
    parts = re.split("[:#]", name, maxsplit=1)[0].split(".")
    return ".".join(parts[:2]) if len(parts) > 1 and parts[1].isdigit() else parts[0]


def _svg(height: float, title: str, text: str, parts: Sequence[str]) -> Markup:
    label = f"{escape(title)}. {escape(text)}"
    head = f'<svg class="chart" viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{label}">'
    return Markup(head + "".join(parts) + "</svg>")  # noqa: S704  (every name in it is escaped above)
