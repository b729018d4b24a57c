"""Every mistake has its class, every class has its use, and all are caught alike."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from head2toe import errors

SOURCE, TESTS = Path(errors.__file__).parent, Path(__file__).parent
CLASSES = [
    value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, Exception)
]  # Ctrl-C is no mistake: as a KeyboardInterrupt it is caught by those alone who ask for it
BASES = {base for value in CLASSES for base in value.__bases__}
LEAVES = [value for value in CLASSES if value not in BASES]


@pytest.mark.parametrize("kind", CLASSES)
def test_one_except_clause_catches_them_all(kind: type[errors.Head2ToeError]) -> None:
    error = kind("no images in photos/: put some there")
    assert isinstance(error, errors.Head2ToeError)
    assert str(error) == "no images in photos/: put some there"
    assert error.exit_code == 2


@pytest.mark.parametrize("kind", [value for value in CLASSES if value.__bases__[0] is errors.DataError])
def test_bad_data_are_value_errors_as_in_scikit_learn(kind: type[errors.DataError]) -> None:
    with pytest.raises(ValueError, match="why"):
        raise kind("why")


def calls(folder: Path) -> Iterator[ast.Call]:
    for path in folder.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        yield from (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def names_in(*nodes: ast.AST) -> set[str]:
    return {part.id for node in nodes for part in ast.walk(node) if isinstance(part, ast.Name)}


def test_each_is_made_somewhere_and_a_test_sees_it_raised() -> None:
    leaves = {kind.__name__ for kind in LEAVES}
    made = set().union(*(names_in(call.func) for call in calls(SOURCE)))
    seen = set().union(*(names_in(*call.args) for call in calls(TESTS) if ast.unparse(call.func) == "pytest.raises"))
    assert leaves - made == set()
    assert leaves - seen == set()


def test_one_line_has_neither_colours_nor_breaks() -> None:
    assert errors.one_line(ValueError("\x1b[1mdo\x1b[0m not\n\t\x1b[38;5;9mrun\x1b[K it")) == "do not run it"
    assert errors.one_line(ValueError("\x1b[0m")) == "ValueError"


def test_importing_the_errors_is_cheap() -> None:
    """The command line catches them before anything heavy is imported."""
    lines = Path(errors.__file__).read_text().splitlines()
    assert [line for line in lines if re.match(r"(from|import) ", line)] == ["from __future__ import annotations"]
