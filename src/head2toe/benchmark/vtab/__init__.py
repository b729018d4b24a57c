"""VTAB-1k: its 19 tasks with their own splits and labels, run and put into the paper's table."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from head2toe.benchmark.vtab.cells import read_cells
    from head2toe.benchmark.vtab.chosen import tasks_of
    from head2toe.benchmark.vtab.definitions import DEFINITIONS, GROUPS, NAMES, TaskDefinition, definition
    from head2toe.benchmark.vtab.hub_task import HubTask
    from head2toe.benchmark.vtab.layouts import Layout, Presence, presence
    from head2toe.benchmark.vtab.loading import LoadedTask, load_task
    from head2toe.benchmark.vtab.local import LocalTask
    from head2toe.benchmark.vtab.published import PUBLISHED, PublishedRow
    from head2toe.benchmark.vtab.running import Ran, Settings, run
    from head2toe.benchmark.vtab.sources import Access, access
    from head2toe.benchmark.vtab.table import Table, vtab_table

# Name -> module; loaded on first use, because most of them bring in PyTorch.
_HOMES = {
    "Access": "sources",
    "DEFINITIONS": "definitions",
    "GROUPS": "definitions",
    "HubTask": "hub_task",
    "Layout": "layouts",
    "LoadedTask": "loading",
    "LocalTask": "local",
    "NAMES": "definitions",
    "PUBLISHED": "published",
    "Presence": "layouts",
    "PublishedRow": "published",
    "Ran": "running",
    "Settings": "running",
    "Table": "table",
    "TaskDefinition": "definitions",
    "access": "sources",
    "definition": "definitions",
    "load_task": "loading",
    "presence": "layouts",
    "read_cells": "cells",
    "run": "running",
    "tasks_of": "chosen",
    "vtab_table": "table",
}

__all__ = [
    "DEFINITIONS",
    "GROUPS",
    "NAMES",
    "PUBLISHED",
    "Access",
    "HubTask",
    "Layout",
    "LoadedTask",
    "LocalTask",
    "Presence",
    "PublishedRow",
    "Ran",
    "Settings",
    "Table",
    "TaskDefinition",
    "access",
    "definition",
    "load_task",
    "presence",
    "read_cells",
    "run",
    "tasks_of",
    "vtab_table",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
