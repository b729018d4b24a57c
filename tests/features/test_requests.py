"""Requests: all that rows are made from counts, nothing else, and each part of it alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from head2toe.errors import DiskFullError, StoreMismatchError
from head2toe.features import store as store_module
from head2toe.features import temporary
from head2toe.features.cache import Cache
from head2toe.features.plan import Plan
from head2toe.features.store import StoreWriter, request_for
from head2toe.features.taps import layers

D = 3


@pytest.fixture
def request_of_small(small, pictures) -> dict[str, Any]:
    made = request_for(small, pictures(5), Plan.build(layers(small), [16]), "float32")
    return {**made, "behaviour": "as it is"}


def leaves(data: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, value in data.items():
        yield from leaves(value, (*path, name)) if isinstance(value, dict) else [(*path, name)]


def test_a_folder_is_refused_whatever_part_of_the_request_differs(request_of_small, tmp_path) -> None:
    StoreWriter(tmp_path / "rows", request_of_small, 5, D)
    for path in leaves(request_of_small):
        other = json.loads(json.dumps(request_of_small))
        place = other
        for name in path[:-1]:
            place = place[name]
        place[path[-1]] = "something else"
        with pytest.raises(StoreMismatchError, match="different: "):
            StoreWriter(tmp_path / "rows", other, 5, D)
    for more in ({"padding": 1}, {"data": {**request_of_small["data"], "padding": 1}}):
        with pytest.raises(StoreMismatchError, match="another version"):
            StoreWriter(tmp_path / "rows", {**request_of_small, **more}, 5, D)
    StoreWriter(tmp_path / "rows", request_of_small, 5, D)


def test_images_are_told_apart_one_by_one(small, pictures) -> None:
    """The names of two images must not run together."""
    plan = Plan.build(layers(small), [16])

    class Named(pictures):
        def __init__(self, *names: str) -> None:
            super().__init__(len(names))
            self.names = names

        def identity(self, i: int) -> str:
            return self.names[i]

    made = [request_for(small, Named(*names), plan, "float32")["data"] for names in (("a", "bc"), ("ab", "c"))]
    assert made[0] != made[1]


def test_a_resumed_run_needs_room_for_what_is_still_to_come(request_of_small, tmp_path, monkeypatch) -> None:
    StoreWriter(tmp_path / "rows", request_of_small, 5, D).append(np.ones((3, D), np.float32), [])
    usage = store_module.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(store_module.shutil, "disk_usage", lambda _: usage._replace(free=2 * D * 4))
    assert StoreWriter(tmp_path / "rows", request_of_small, 5, D).read == 3
    monkeypatch.setattr(store_module.shutil, "disk_usage", lambda _: usage._replace(free=2 * D * 4 - 1))
    with pytest.raises(DiskFullError):
        StoreWriter(tmp_path / "rows", request_of_small, 5, D)


def test_rows_that_nobody_keeps_need_room_too(monkeypatch) -> None:
    usage = store_module.shutil.disk_usage(".")
    monkeypatch.setattr(temporary, "_IN_MEMORY", 0)
    monkeypatch.setattr(store_module.shutil, "disk_usage", lambda _: usage._replace(free=5 * D * 4))
    assert temporary.temporary_rows(5, D).shape == (5, D)
    with pytest.raises(DiskFullError):
        temporary.temporary_rows(6, D)


def test_rows_that_are_there_need_no_room_twice(request_of_small, tmp_path, caplog) -> None:
    """Two stores fill the cache: to use one again is no reason to drop the other, nor to speak of its limit."""
    cache, needed = Cache(tmp_path / "cache"), 0
    for n in (4, 5):
        asked = {**request_of_small, "data": {"n": n}}
        with cache.use(asked, 0) as folder:
            StoreWriter(folder, asked, n, D)
    cache.limit = cache.bytes()
    needed = cache.entries()[0].bytes
    with caplog.at_level("WARNING", "head2toe"), cache.use({**request_of_small, "data": {"n": 4}}, needed):
        pass
    assert len(cache.entries()) == 2 and not caplog.records
