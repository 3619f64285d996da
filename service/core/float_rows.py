"""Rows of float32 as the bytes of a `.npy` file, and back from bytes that nobody vouches for.

There is one header for one shape, and only that one is read: nothing of it is parsed, and nothing is allocated before
the bytes are known to be as many as the shape needs. `numpy.load` reads these files too.
"""

from __future__ import annotations

import numpy as np

from service.core.model import Float32Array
from service.errors import InvalidInput

_MAGIC = b"\x93NUMPY\x01\x00"
_ALIGNMENT = 64
_FLOAT_BYTES = 4


def npy_header(rows: int, width: int) -> bytes:
    """The header of format 1.0 for a C-ordered little-endian float32 array of this shape."""
    described = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {width}), }}".encode()
    padding = -(len(_MAGIC) + 2 + len(described) + 1) % _ALIGNMENT
    described += b" " * padding + b"\n"
    return _MAGIC + len(described).to_bytes(2, "little") + described


def npy_bytes(values: Float32Array) -> bytes:
    """An array (n, d) as the bytes of a `.npy` file."""
    rows, width = values.shape
    return npy_header(rows, width) + np.ascontiguousarray(values, dtype="<f4").tobytes()


def npy_size(rows: int, width: int) -> int:
    """How many bytes `npy_bytes` gives for this shape."""
    return len(npy_header(rows, width)) + rows * width * _FLOAT_BYTES


def rows_of_npy(data: bytes, rows: int, width: int) -> Float32Array:
    """The array of exactly this shape, read-only. Raises InvalidInput for any other bytes, and values not finite."""
    header = npy_header(rows, width)
    if len(data) != npy_size(rows, width) or not data.startswith(header):
        raise InvalidInput(
            f"these {len(data)} bytes are not {rows} x {width} float32 numbers in a .npy file; those are "
            f"{npy_size(rows, width)} bytes"
        )
    values = np.frombuffer(data, dtype="<f4", offset=len(header)).reshape(rows, width)
    if not np.isfinite(values).all():
        raise InvalidInput(f"{int((~np.isfinite(values)).sum())} of {values.size} numbers are not finite")
    return np.asarray(values, dtype=np.float32)
