"""One self-contained HTML file: it needs no network and no script."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from head2toe.report.charts import accuracy_chart, kept_chart
from head2toe.whole_files import write_text

TEMPLATE = "report.html.jinja"
# A search's table has a row for each of these, whatever its strength.
_KIND = "view", "layer_weights", "fraction", "head", "unlabelled"


def write_report(
    path: str | os.PathLike[str],
    *,
    title: str,
    lead: str,
    tasks: Sequence[Mapping[str, Any]],
    facts: Mapping[str, Mapping[str, Any]],
) -> Path:
    """Write a report, whole or not at all; an older one at `path` is replaced.

    Parameters
    ----------
    path : path
        Of the HTML file; its folder is made if it is not there.
    title, lead : str
        Headline and opening sentences.
    tasks : sequence of dict
        ``title``; optional ``source``, ``splits`` (dict of text), ``samples`` (uint8 arrays), ``results`` (list of
        dict with ``method``, ``accuracy``, ``standard_error``, ``seconds``, ``stored_bytes``, ``flops``; ``lead`` marks
        the one to look at), ``search`` (dict with ``cv_accuracy``, ``linear_cv_accuracy``, ``choice`` and ``table``, a
        list of dict) and ``kept`` (list of dict with ``layer``, ``kept``, ``total``).
    facts : dict of dict
        Sections of names and values at the end: the backbone, its preprocessing, the versions.
    """
    target, text = Path(path), render(title=title, lead=lead, tasks=tasks, facts=facts)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_text(target, text)
    return target


def render(*, title: str, lead: str, tasks: Sequence[Mapping[str, Any]], facts: Mapping[str, Mapping[str, Any]]) -> str:
    """The report's HTML; see `write_report`."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("head2toe.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=percent, kilobytes=kilobytes, seconds=seconds, value=value, flops=flops)
    environment.tests["averaged_in"] = averaged_in
    environment.globals.update(accuracy_chart=accuracy_chart, kept_chart=kept_chart, picture=picture)
    return environment.get_template(TEMPLATE).render(title=title, lead=lead, tasks=tasks, facts=facts)


def percent(share: float) -> str:
    """A share in [0, 1] in per cent."""
    return f"{100 * share:.1f}"


def kilobytes(number: float) -> str:
    """Bytes in kilobytes (1000 bytes)."""
    return f"{number / 1000:,.0f}" if number >= 10_000 else f"{number / 1000:.1f}"


def seconds(number: float) -> str:
    """Seconds with the digits that matter."""
    return f"{number:.0f}" if number >= 10 else f"{number:.1f}"


def flops(number: float) -> str:
    """Floating-point operations in units of 10^9."""
    return f"{number / 1e9:,.0f}" if number >= 10e9 else f"{number / 1e9:.1f}"


def value(thing: Any) -> str:
    """A cell of a table: short numbers, lists without brackets."""
    if isinstance(thing, bool) or thing is None:
        return {True: "yes", False: "no", None: "none"}[thing]
    if isinstance(thing, float | np.floating):
        return f"{thing:.4g}"
    if isinstance(thing, list | tuple):
        return ", ".join(value(part) for part in thing)
    return str(thing)


def averaged_in(row: Mapping[str, Any], choice: Mapping[str, Any]) -> bool:
    """Whether a row of a search's table tells of a head that is averaged in what was chosen."""
    return any(all(row[name] == one[name] for name in _KIND) for one in choice["averaged"])


def picture(pixels: np.ndarray) -> str:
    """An image as a data URI.

    Parameters
    ----------
    pixels : uint8 array (h, w) or (h, w, 3)
    """
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
