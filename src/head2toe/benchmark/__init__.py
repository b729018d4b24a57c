"""Tasks, protocol, costs, tables and figures."""

from head2toe.benchmark.embedded_tasks import TASKS, EmbeddedTask, embedded_task
from head2toe.benchmark.tasks import Task

__all__ = ["TASKS", "EmbeddedTask", "Task", "embedded_task"]
