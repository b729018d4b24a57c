"""Reading ahead: images are decoded in threads while the network runs, and come out in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from PIL import Image

from head2toe.data.images import Images, name_among
from head2toe.errors import UnreadableImageError

_MOST_WORKERS = 8


@dataclass(frozen=True)
class Skipped:
    """An image that could not be read: its position, its name and why."""

    index: int
    name: str
    reason: str


@dataclass(frozen=True)
class Picture:
    """One image as `Preprocessing.image` made it, or the reason why there is none."""

    index: int
    pixels: Any
    skipped: Skipped | None = None


def read(
    images: Images,
    prepare: Callable[[Image.Image], Any],
    *,
    start: int = 0,
    ahead: int = 64,
    workers: int | None = None,
    strict: bool = False,
) -> Generator[Picture]:
    """Yield the images in order, decoded by threads, at most `ahead` of them waiting.

    Parameters
    ----------
    images
        Anything that `as_images` returns.
    prepare
        From an RGB picture to what a batch is made of; runs in the threads.
    start
        The first image to read.
    ahead
        Bound on the pictures in memory.
    workers
        Threads; by default one a core, 8 at most.
    strict
        Raise for an unreadable image, which is otherwise reported in its `Picture`.

    Raises
    ------
    UnreadableImageError
        With `strict`, at the first image that cannot be decoded.
    """

    def load(index: int) -> Picture:
        try:
            return Picture(index, prepare(images[index]))
        except UnreadableImageError as error:
            if strict:
                raise
            name = name_among(getattr(images, "names", None), index)
            return Picture(index, None, Skipped(index, name, str(error)))

    waiting: deque[Future[Picture]] = deque()
    pool = ThreadPoolExecutor(workers or min(_MOST_WORKERS, os.cpu_count() or 1), thread_name_prefix="head2toe-reader")
    try:
        for index in range(start, len(images)):
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
            waiting.append(pool.submit(load, index))
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
