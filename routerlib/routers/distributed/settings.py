"""What is set in each worker of a training, those among them that are started later."""

from __future__ import annotations

import ctypes
import os
import sys

from distributed import Worker, WorkerPlugin

# What glibc's malloc comes to by itself: arrays up to 32 MiB are made where others were, and up to
# 64 MiB are kept for them. Dask has workers give back all but 64 KiB at once; then each array is
# made of fresh pages, 7,400 for a batch of prompts, and to read it takes a quarter longer.
_MMAP_THRESHOLD, _TRIM_THRESHOLD = (-3, 2**25), (-1, 2**26)


class KeepsMemory(WorkerPlugin):
    """Has a worker keep freed memory for the next array, as other processes do."""

    def setup(self, worker: Worker) -> None:
        """Set it in a worker that is there or that has just come."""
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
        if mallopt is not None:
            for setting in (_MMAP_THRESHOLD, _TRIM_THRESHOLD):
                mallopt(*setting)


class IsHushed(WorkerPlugin):
    """Keeps what LightGBM tells of its sockets, from its C code, off the terminal of all."""

    def setup(self, worker: Worker) -> None:
        """Set it in a worker that is there or that has just come."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
