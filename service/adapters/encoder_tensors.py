"""Tensors of a network by their names in the folder it was loaded from, where they are called otherwise.

`transformers` renames what it loads; which tensor became which is found by content.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.adapters.weights_hash import weight_files

if TYPE_CHECKING:
    import torch

MOST_VALUES = 4096
"""Of a tensor that no folder holds, such as a table of positions 0, 1, 2 ...: it is written out."""


def named_in_folder(folder: Path, tensors: Sequence[torch.Tensor], dtype: torch.dtype) -> list[Any]:
    """For each tensor its name in the folder, or, of a small one that is not there, its values; JSON values.

    `dtype` is the network's. Raises ValueError for a large tensor that the folder does not hold.
    """
    names: dict[Any, str] = {}
    for name, tensor in _tensors(folder, dtype):
        names.setdefault(_content(tensor), name)
    found: list[Any] = []
    for tensor in tensors:
        there = names.get(_content(tensor))
        if there is None and tensor.numel() > MOST_VALUES:
            raise ValueError(f"the network holds a tensor of {tuple(tensor.shape)} that is not in {folder}")
        found.append(there or {"values": tensor.tolist(), "dtype": str(tensor.dtype).removeprefix("torch.")})
    return found


def in_folder(folder: Path, named: Sequence[Any], dtype: torch.dtype) -> list[torch.Tensor]:
    """Those tensors again. Raises KeyError where the folder lacks one."""
    import torch

    wanted = {one for one in named if isinstance(one, str)}
    held = dict(_tensors(folder, dtype, wanted))
    return [
        held[one] if isinstance(one, str) else torch.tensor(one["values"], dtype=getattr(torch, one["dtype"]))
        for one in named
    ]


def _tensors(folder: Path, dtype: torch.dtype, wanted: set[str] | None = None) -> Iterator[tuple[str, torch.Tensor]]:
    """The folder's tensors, floating-point ones in `dtype`; those wanted, or all."""
    from safetensors import safe_open

    for path in weight_files(folder):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 -- no mapping
                if wanted is None or name in wanted:
                    tensor = file.get_tensor(name)
                    kind = dtype if tensor.is_floating_point() else tensor.dtype
                    yield name, tensor.to(kind, copy=True)  # what the file maps changes with it


def _content(tensor: torch.Tensor) -> tuple[tuple[int, ...], str, str]:
    import torch

    data = tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy()
    return tuple(tensor.shape), str(tensor.dtype), hashlib.sha256(data.tobytes()).hexdigest()
