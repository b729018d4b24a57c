"""A progress bar for the search, on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def search_bar(*, shown: bool) -> Iterator[Callable[[int, int, str], None] | None]:
    """A callable(done, total, text) that moves a bar, or None where nothing is to be shown."""
    if not shown:
        yield None
        return
    from tqdm.auto import tqdm

    with tqdm(desc="search", unit="step", leave=False) as bar:

        def report(done: int, total: int, text: str) -> None:
            bar.total = total
            bar.set_postfix_str(text, refresh=False)
            bar.n = done
            bar.refresh()

        yield report
