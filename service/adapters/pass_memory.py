"""The memory of forward passes stays with the process: glibc would give it back after each and fetch it anew.

A pass of 16 pictures takes and frees some hundred megabytes in blocks of several. Left to itself glibc returned them,
and the kernel cleared up to 180 000 pages again for the next pass: 0.1 to 0.3 s of processor time beside the 1.2 that
such a pass computes on two cores.
"""

from __future__ import annotations

import ctypes

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
TRIM_BYTES = 1 << 29
"""What may be free at the end of a heap before it is given back."""
HEAP_BYTES = 64 << 20
"""As large are the heaps of threads other than the first; an empty one is given back unless this is the padding."""
BLOCK_BYTES = 32 << 20
"""Larger blocks are the kernel's, as long as they are used; glibc itself would come to this after a few passes."""


def keep_pass_memory() -> bool:
    """Tell glibc, for all of this process; calling it again changes nothing. False where there is another library."""
    try:
        libc = ctypes.CDLL(None)
        if not hasattr(libc, "gnu_get_libc_version"):
            return False
        settings = {M_TRIM_THRESHOLD: TRIM_BYTES, M_TOP_PAD: HEAP_BYTES, M_MMAP_THRESHOLD: BLOCK_BYTES}
        return all(libc.mallopt(name, value) == 1 for name, value in settings.items())
    except (OSError, TypeError, AttributeError):  # no such library, or nothing to open (Windows)
        return False
