"""Work on frames in threads, with the results in order."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from core.data.frames import Frame

T = TypeVar("T")
MAX_THREADS = 16


def map_frames(function: Callable[[Frame], T], frames: Sequence[Frame], max_threads: int = MAX_THREADS) -> Iterator[T]:
    """Yield the results in order.

    Few frames are under way at a time: a caller who stops waits for those alone, and holds no more.

    Args:
        function: called with a frame, in a thread.
        frames: each is passed once.
        max_threads: threads at most; there are no more than the machine has processors.
    """
    threads = min(max_threads, os.cpu_count() or 1)
    waiting: deque[Future[T]] = deque()
    pool = ThreadPoolExecutor(threads)
    try:
        for frame in frames:
            waiting.append(pool.submit(function, frame))
            # A few more than there are threads: none idles.
            if len(waiting) == 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
