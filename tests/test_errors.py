"""Every mistake has its class, every class has its use, and all are caught alike."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from head2toe import errors

SOURCE = Path(errors.__file__).parent
CLASSES = [value for value in vars(errors).values() if inspect.isclass(value)]
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


@pytest.mark.parametrize("kind", LEAVES)
def test_each_is_raised_somewhere(kind: type[errors.Head2ToeError]) -> None:
    used = re.compile(rf"\b{kind.__name__}\(")
    assert any(used.search(path.read_text()) for path in SOURCE.rglob("*.py") if path.name != "errors.py")


def test_one_line_has_neither_colours_nor_breaks() -> None:
    assert errors.one_line(ValueError("\x1b[1mdo\x1b[0m not\n\t\x1b[38;5;9mrun\x1b[K it")) == "do not run it"
    assert errors.one_line(ValueError("\x1b[0m")) == "ValueError"


def test_importing_the_errors_is_cheap() -> None:
    """The command line catches them before anything heavy is imported."""
    lines = Path(errors.__file__).read_text().splitlines()
    assert [line for line in lines if re.match(r"(from|import) ", line)] == ["from __future__ import annotations"]
