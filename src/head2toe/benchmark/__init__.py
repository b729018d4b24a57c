"""Tasks, protocol, costs, experiments and their figures, VTAB-1k."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from head2toe.benchmark.comparison import compare
    from head2toe.benchmark.embedded_tasks import TASKS, EmbeddedTask, embedded_task
    from head2toe.benchmark.tasks import Task

# Name -> module; loaded on first use: they bring in PyTorch, and `vtab list` needs none.
_HOMES = {
    "EmbeddedTask": "embedded_tasks",
    "TASKS": "embedded_tasks",
    "Task": "tasks",
    "compare": "comparison",
    "embedded_task": "embedded_tasks",
}

__all__ = ["TASKS", "EmbeddedTask", "Task", "compare", "embedded_task"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
