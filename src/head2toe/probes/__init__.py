"""Rows -> scores -> kept features -> head. Torch and numpy only, and psutil to ask how much memory is free."""

from head2toe.probes.columns import DEVIATIONS, LINEAR_VIEW, Block, Columns, deviates, plain_view
from head2toe.probes.heads import LinearHead
from head2toe.probes.search import search
from head2toe.probes.settings import EQUAL, LEARNED, SearchResult, SearchSettings

__all__ = [
    "DEVIATIONS",
    "EQUAL",
    "LEARNED",
    "LINEAR_VIEW",
    "Block",
    "Columns",
    "LinearHead",
    "SearchResult",
    "SearchSettings",
    "deviates",
    "plain_view",
    "search",
]
