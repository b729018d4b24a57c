"""What stands for `compare` where cells are run, and a task to run it on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import pytest

from benchmark.vtab.original_files import pixels
from head2toe import backbones
from head2toe.backbones import load
from head2toe.benchmark.tasks import Task
from head2toe.benchmark.vtab import LoadedTask, Settings, run, running
from head2toe.data import LabelledImages, as_images

SETTINGS = Settings("embedded", image_size=32)
FACTS = {"layout": "lists", "order": "as listed in the folder", "train": 8, "validation": 2, "test": 10, "test_of": 10}


@dataclass
class Made:
    """Stands for an outcome."""

    method: str
    seed: int
    accuracy: float = 0.5

    def to_dict(self):
        return {"task": "?", "group": "?", "backbone": "embedded", **vars(self)}


class Recorder:
    """Stands for `compare`: writes down its calls, and may be interrupted at one."""

    def __init__(self, stop_at=None):
        self.calls, self.stop_at = [], stop_at

    def __call__(self, task, backbone, methods, *, seed, image_size, progress, **options):
        if len(self.calls) == self.stop_at:
            raise KeyboardInterrupt
        self.calls.append((task.name, tuple(methods), tuple(seed)))
        progress(0, 1, "rows")
        assert (backbone, image_size) == ("embedded", 32)
        return [Made(method, one) for one in seed for method in methods]


def a_task(name="kitti", group="structured", labels=("0", "1") * 5):
    def loaded(*, test_limit=None):
        images = LabelledImages(as_images(pixels(10)), list(labels), [str(i) for i in range(10)])
        return LoadedTask(Task(name, group, images, images, 2), 2, FACTS)

    return name, loaded


@cache
def network():
    return load("embedded", image_size=32)


def run_with(*given, compare, **options):
    """`run`, with another `compare`; the network that it looks at is the embedded one, whatever its name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "compare", compare)
        patch.setattr(backbones, "load", lambda *_, **__: network())
        return run(*given, **options)
