"""Names of tasks, from where their data lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from head2toe.benchmark.tasks import names_of
from head2toe.errors import ParameterError


@pytest.fixture
def root(tmp_path, monkeypatch):
    for folder in ("ds/data-v1.0", "ds/data-v1.5", "a/photos", "b/photos", "x/a/photos", "mine.d"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["ds/data-v1.0", "ds/data-v1.5"], ["data-v1.0", "data-v1.5"]),
        (["a/photos", "b/photos"], ["a/photos", "b/photos"]),
        (["a/photos", "x/a/photos", "ds/data-v1.0"], [None, "x/a/photos", "data-v1.0"]),
        (["ds/cars.v2.csv", "ds/birds.npz"], ["cars.v2", "birds"]),
        (["ds/cars.csv", "ds/cars.npz"], ["cars.csv", "cars.npz"]),
        (["a/photos.csv", "a/photos"], ["photos.csv", "photos"]),
        (["a/photos.csv", "b/photos"], ["a/photos", "b/photos"]),
        (["a/photos/", "mine.d/../ds/data-v1.0"], ["photos", "data-v1.0"]),
    ],
)
def test_a_name_is_as_long_as_tells_it_from_the_others(root, paths, expected):
    found = names_of([Path(path) for path in paths])
    assert len(set(found)) == len(found)
    wanted = [f"{root.name}/a/photos" if one is None else one for one in expected]
    assert found == wanted


def test_the_folder_that_one_is_in_has_a_name(root, monkeypatch):
    monkeypatch.chdir(root / "ds" / "data-v1.0")
    assert names_of([Path()]) == ["data-v1.0"]
    assert names_of([Path("..")]) == ["ds"]
    assert names_of([Path("/")]) == ["/"]


def test_a_link_keeps_its_own_name(root):
    (root / "linked").symlink_to(root / "a" / "photos")
    assert names_of([Path("linked")]) == ["linked"]


def test_the_same_path_twice_is_no_two_tasks(root):
    with pytest.raises(ParameterError, match="photos is there twice"):
        names_of([Path("a/photos"), Path("b"), Path("b/../a/photos/")])
