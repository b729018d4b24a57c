"""VTAB's tasks, read from data sets of Hugging Face."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from head2toe.benchmark.vtab.definitions import definition
from head2toe.benchmark.vtab.loading import LoadedTask, load_task
from head2toe.errors import ParameterError


@dataclass(frozen=True)
class HubTask:
    """Which of VTAB's tasks is in a repository, or a folder, of Hugging Face's, and under which label column."""

    name: str
    repository: str
    label: str | None = None

    @classmethod
    def parse(cls, text: str) -> HubTask:
        """Read ``TASK=REPO[:LABEL]``; a colon that belongs to a path that is there is no mark of a label.

        Raises
        ------
        ParameterError
            It has another form, or no name of VTAB's.
        """
        name, equals, place = text.partition("=")
        if not equals or not name or not place:
            raise ParameterError(f"--hub {text}: write TASK=REPO[:LABEL]")
        repository, label = place, ""
        if not Path(place).exists():
            repository, _, label = place.partition(":")
        return cls(definition(name).name, repository, label or None)

    def load(self, *, test_limit: int | None = None) -> LoadedTask:
        """Read it; raises as `load_task`."""
        return load_task(self.name, hub=self.repository, label=self.label, test_limit=test_limit)
