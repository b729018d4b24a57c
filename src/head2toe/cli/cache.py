"""`head2toe cache`: the features that are kept for another run."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from head2toe.cli.options import OutputOptions, output_options
from head2toe.cli.output import emit, table


@click.command()
@click.option("--clear", is_flag=True, help="Delete all that is not in use.")
@output_options
def cache(clear: bool, output: OutputOptions) -> None:
    """List the cached features, or delete them.

    `fit` and `experiment` keep the rows of their images, so that another run on them need not run the network (fit
    --no-cache keeps none; `compare`, `vtab` and `demo` never do). The folder is the one of this system for caches, and
    the rows that were not used for longest go when there are more than 10 GB, or the disk is full.
    """
    from head2toe.features import Cache

    kept = Cache()
    deleted = kept.clear() if clear else []
    stores = [
        {
            "key": entry.key,
            "backbone": entry.backbone,
            "n": entry.n,
            "bytes": entry.bytes,
            "complete": entry.complete,
            "used": datetime.fromtimestamp(entry.used, UTC).isoformat(timespec="seconds"),
        }
        for entry in kept.entries()
    ]
    used = sum(store["bytes"] for store in stores)
    result = {
        "folder": str(kept.folder),
        "limit": kept.limit,
        "bytes": used,
        "stores": stores,
        "deleted": [entry.key for entry in deleted],
    }
    lines = [f"{kept.folder}: {len(stores)} stores, {used / 1e9:.2f} of {kept.limit / 1e9:.0f} GB"]
    if clear:
        freed = sum(entry.bytes for entry in deleted)
        kept_back = f"; left, in use or not yours to delete: {len(stores)}" if stores else ""
        lines.append(f"deleted {len(deleted)} stores, {freed / 1e9:.2f} GB{kept_back}")
    if stores:
        lines.append(_table(stores))
    emit(result, "\n".join(lines), as_json=output.as_json)


def _table(stores: list[dict[str, Any]]) -> str:
    rows = [("last used", "images", "MB", "backbone", "")]
    for store in stores:
        state = "" if store["complete"] else "interrupted"
        rows.append((store["used"], store["n"], f"{store['bytes'] / 1e6:,.1f}", store["backbone"], state))
    return table(rows, right=(1, 2))
