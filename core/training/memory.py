"""Memory that a training frees stays its own, instead of going back to the system with every step."""

import ctypes
import sys
from contextlib import suppress

MMAP_MAX, TRIM_THRESHOLD = -4, -1
"""glibc's numbers of these settings, from malloc.h."""


def keep_freed_memory() -> None:
    """For a process that trains and then ends; does nothing where the C library isn't glibc.

    By default every large tensor gets fresh pages, which the system must clear first, and gives them back: which took 4 to 20 %
    of a step on a CPU (four networks, one thread, by hand). The price is that the process never shrinks.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            library = ctypes.CDLL(None)
            library.mallopt(MMAP_MAX, 0)
            library.mallopt(TRIM_THRESHOLD, 2**31 - 1)
