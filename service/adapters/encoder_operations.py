"""Operations of a network and their arguments as JSON values, and back.

By name stand operations of PyTorch's `aten` that write to nothing, and a few of Python's on numbers; no other
can be called.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_ON_NUMBERS = ("getitem", "add", "sub", "mul", "floordiv", "truediv", "mod", "neg")
# What an argument can be beside numbers, texts, lists and results: how torch's module names it, by kind.
_NAMED = ("dtype", "layout", "memory_format")


@dataclass(frozen=True, slots=True)
class Result:
    """In arguments: what stands at that place, a tensor, the pictures or what an earlier step gave."""

    place: int


@dataclass(frozen=True, slots=True)
class Step:
    """An operation, its arguments and options, and the results that nothing looks at after it."""

    run: Callable[..., Any]
    arguments: list[Any]
    options: dict[str, Any]
    last_use_of: tuple[int, ...]


def steps_of(written: Sequence[Any], first: int, output: int) -> list[Step]:
    """The steps; their results stand from the place `first` on, and the one at `output` is what all is done for.

    Raises ValueError, TypeError or AttributeError for what `written` and `operation_name` did not write.
    """
    read = [(_operation(name), _read(arguments), _read(options)) for name, arguments, options in written]
    last: dict[int, int] = {}
    for number, (_, arguments, options) in enumerate(read):
        last.update(dict.fromkeys(_places([arguments, options]), number))
    gone: list[list[int]] = [[] for _ in read]
    for place, number in last.items():
        if place >= first - 1 and place != output:
            gone[number].append(place)
    return [Step(*one, tuple(places)) for one, places in zip(read, gone, strict=True)]


def writes(target: Any) -> bool:  # noqa: ANN401 -- anything
    """Whether it is an operation of PyTorch's own that writes to what it is given, or to a file."""
    return _is_aten(target) and (target._schema.is_mutable or target._schema.name == "aten::from_file")  # noqa: SLF001


def _is_aten(target: Any) -> bool:  # noqa: ANN401 -- anything
    import torch

    return isinstance(target, torch._ops.OpOverload) and target.namespace == "aten"  # noqa: SLF001 -- no other name


def operation_name(target: Any) -> str:  # noqa: ANN401 -- an operation of torch's, or a function of Python's
    """Its name. Raises ValueError for any other."""
    if _is_aten(target) and not writes(target):
        return str(target)
    name = getattr(target, "__name__", "")
    if name in _ON_NUMBERS and getattr(operator, name) is target:
        return f"python.{name}"
    raise ValueError(f"the network needs {target}, which is no operation of PyTorch's own")


def _operation(name: str) -> Callable[..., Any]:
    import torch

    space, packet, *overload = name.split(".")
    if space == "python" and packet in _ON_NUMBERS:
        function: Callable[..., Any] = getattr(operator, packet)
        return function
    found: Any = getattr(getattr(torch.ops.aten, packet), *overload) if space == "aten" else None
    if not _is_aten(found) or writes(found):
        raise TypeError(f"{name!r} is no operation of PyTorch's own that only computes")
    operation: Callable[..., Any] = found
    return operation


def written(value: Any, places: Mapping[Any, int]) -> Any:  # noqa: ANN401 -- arguments of any kind, as JSON values
    """Arguments as JSON values; results stand in `places`. Raises ValueError for what has no such form."""
    if isinstance(value, list | tuple):
        return [written(one, places) for one in value]
    if isinstance(value, dict):
        return {name: written(one, places) for name, one in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return _written_torch(value, places)


def _written_torch(value: Any, places: Mapping[Any, int]) -> dict[str, Any]:  # noqa: ANN401 -- something of torch's
    import torch

    if isinstance(value, torch.fx.Node):
        return {"result": places[value]}
    if isinstance(value, torch.device):
        return {"device": str(value)}
    for kind in _NAMED:
        if isinstance(value, getattr(torch, kind)):
            return {kind: str(value).removeprefix("torch.")}
    raise ValueError(f"an operation takes {value!r}, which cannot be written down")


def _read(value: Any) -> Any:  # noqa: ANN401 -- JSON values
    import torch

    if isinstance(value, list):
        return [_read(one) for one in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((kind, one),) = value.items()
        if kind == "result":
            return Result(int(one))
        if kind == "float":
            return float(one)
        if kind == "device" and isinstance(one, str):
            return torch.device(one)
        if kind in _NAMED and isinstance(one, str):
            return of_torch(kind, one)
    return {name: _read(one) for name, one in value.items()}


def of_torch(kind: str, name: str) -> Any:  # noqa: ANN401 -- a dtype, layout or memory format
    """What torch calls so. Raises TypeError or AttributeError where that is none."""
    import torch

    found = getattr(torch, name)
    if not isinstance(found, getattr(torch, kind)):
        raise TypeError(f"{name!r} is no {kind}")
    return found


def _places(value: Any) -> Iterable[int]:  # noqa: ANN401 -- arguments
    if isinstance(value, Result):
        yield value.place
    elif isinstance(value, list | dict):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _places(one)


def filled(value: Any, results: Sequence[Any]) -> Any:  # noqa: ANN401 -- arguments
    """Arguments with the results in their places."""
    if isinstance(value, Result):
        return results[value.place]
    if isinstance(value, list):
        return [filled(one, results) for one in value]
    if isinstance(value, dict):
        return {name: filled(one, results) for name, one in value.items()}
    return value
