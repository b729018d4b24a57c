"""Tables of Hugging Face's datasets, given where one of their columns is wanted."""

from __future__ import annotations

from typing import Any


def advice(obj: Any) -> str | None:
    """What such a table, or a dict of them, is and what to pass, by the names of its own columns; None of all else.

    Those that stream have no column to pass.
    """
    kind = type(obj)
    if kind.__module__.partition(".")[0] != "datasets" or kind.__name__ not in ("Dataset", "DatasetDict"):
        return None
    split = f'["{next(iter(obj))}"]' if isinstance(obj, dict) and obj else ""
    columns = getattr(next(iter(obj.values())) if split else obj, "features", None) or {}
    kinds = {type(feature).__name__: column for column, feature in reversed(columns.items())}
    image, label = kinds.get("Image", "image"), kinds.get("ClassLabel", "label")
    if columns and not {image, label} <= columns.keys():
        return f"a datasets.{kind.__name__} ds with the columns {', '.join(columns)}: pass two of them, ds{split}[NAME]"
    return (
        f"a datasets.{kind.__name__}, a table ds of several columns: "
        f'pass the one of images, ds{split}["{image}"], and the labels as ds{split}["{label}"]'
    )
