"""Give memory back to the system as soon as it is free."""

from __future__ import annotations

import ctypes
import platform

_MMAP_THRESHOLD = -3  # M_MMAP_THRESHOLD of malloc.h
_LARGE_BYTES = 4 * 2**20


def give_back_large_blocks() -> None:
    """Let every block above 4 MB go back to the system when it is freed.

    glibc raises its own threshold up to 32 MB with each such block that is freed: after the first
    long text the next ones lie in the heap between small blocks, and stay there when they are
    freed. Other systems are left as they are.
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, _LARGE_BYTES)


def give_back_free() -> None:
    """Let what is free in the heap go back to the system now, however small its pieces are.

    glibc keeps what lies below anything that is still in use. Other systems are left as they are.
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
