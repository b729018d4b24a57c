"""Tasks, protocol, costs, tables and figures."""

from head2toe.benchmark.embedded_tasks import TASKS, EmbeddedTask, embedded_task

__all__ = ["TASKS", "EmbeddedTask", "embedded_task"]
