"""Pieces of pages in Markdown."""

from __future__ import annotations

from collections.abc import Sequence


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as a table; all but the first column to the right."""
    lines = [header, ["---", *("---:" for _ in header[1:])], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def put_between(marks: tuple[str, str], text: str, page: str) -> str:
    """The page with another text between two marks."""
    first, last = marks
    before, rest = page.split(first)
    return f"{before}{first}\n{text}{last}{rest.split(last)[1]}"
