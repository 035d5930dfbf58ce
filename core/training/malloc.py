"""Memory that a network's process frees stays its own, instead of going back to the system with every step or
picture.
"""

import ctypes
import sys
from contextlib import suppress

MMAP_MAX, TRIM_THRESHOLD = -4, -1
"""glibc's numbers of these settings, from malloc.h."""


def keep_freed_memory() -> None:
    """For a process that trains, or looks at one picture after the other; does nothing where the C library isn't glibc.

    By default every large tensor gets fresh pages, which the system must clear first, and gives them back: which took 4
    to 20 % of a step on a CPU (four networks, one thread, by hand). The price is that the process never shrinks, unless
    it calls `return_freed_memory`.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            library = ctypes.CDLL(None)
            library.mallopt(MMAP_MAX, 0)
            library.mallopt(TRIM_THRESHOLD, 2**31 - 1)


def return_freed_memory() -> None:
    """Give back what `keep_freed_memory` kept; the next large tensor gets fresh pages again."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
