"""Memory of a process that computes on the CPU"""

import ctypes
import platform
from functools import cache

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of glibc's mallopt


@cache
def keep_freed_memory() -> bool:
    """Let the C library keep what is freed for what comes next, instead of giving it back to the system. False where it is not glibc.

    Every token makes new key-value caches of megabytes and frees the old ones; to have their pages zeroed and mapped anew each time took
    more than an eighth of the processor's time (docs/hardware.md).
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(TRIM_THRESHOLD, -1)) and bool(mallopt(MMAP_THRESHOLD, 1 << 30))
