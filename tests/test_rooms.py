"""The rooms of docs/architecture.md: what is imported at run time points one way, and no wall is broken through."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
PACKAGE = CHECKOUT / "src" / "head2toe"
TABLE = (CHECKOUT / "docs" / "architecture.md").read_text(encoding="utf-8")
ROOMS = re.findall(r"^\| `(\w+)/` \|", TABLE, flags=re.MULTILINE)
WALLS = {"probes": {"backbones", "data", "features"}}


def imported(file: Path) -> Iterator[str]:
    """The rooms, and the single files of the package, that a file imports, at its top or later."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module] if node.module != "head2toe" else [f"head2toe.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        yield from (name.split(".")[1] for name in names if name.startswith("head2toe."))


def test_the_table_names_every_room() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    assert folders == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_rooms_above_it(room: str) -> None:
    below = set(ROOMS[ROOMS.index(room) + 1 :]) | WALLS.get(room, set())
    for file in (PACKAGE / room).rglob("*.py"):
        broken = below & set(imported(file))
        assert not broken, f"{file.relative_to(PACKAGE)} imports {broken}"


@pytest.mark.parametrize(
    "file", ["errors.py", "checks.py", "paths.py", "json_text.py", "whole_files.py", "progress.py", "plain_torch.py"]
)
def test_what_all_rooms_may_import_imports_none(file: str) -> None:
    assert not set(imported(PACKAGE / file)) & set(ROOMS)


@pytest.mark.parametrize("file", sorted((PACKAGE / "cli").rglob("*.py")), ids=lambda file: file.stem)
def test_the_commands_import_public_names(file: Path) -> None:
    """Of `benchmark` its modules too: what is run there are modules, one a kind of run."""
    inner = {"cli", "benchmark"}
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("head2toe."):
            continue
        room = str(node.module).split(".")[1]
        if room in set(ROOMS) - inner:
            public = import_module(f"head2toe.{room}").__all__
            assert node.module == f"head2toe.{room}" and {alias.name for alias in node.names} <= set(public)
