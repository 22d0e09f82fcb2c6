"""Arguments and results of compiled functions: structures of numbers, flattened and built up again.

A structure is a number, or a list, tuple, dict, numpy array or module of such. Its *shape* is a
hashable description without the numbers; one shape is compiled once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple

from tinygrad_edu.compiler.trace.surroundings import form_of
from tinygrad_edu.engine.operation import Node, to_float
from tinygrad_edu.engine.value import Value


class Shape(NamedTuple):
    """The form of a structure.

    Attributes:
        kind: ``"number"``, ``"list"``, ``"tuple"``, ``"dict"``, ``"array"``, ``"module"`` or
            ``"fixed"`` (text and ``None``, which the function sees as they are).
        detail: Keys of a dict, shape of an array, form of a module, the fixed object.
        parts: The shapes inside; none for a list or tuple of nothing but numbers.
        size: How many numbers there are.
    """

    kind: str
    detail: Any
    parts: tuple[Shape, ...]
    size: int


NUMBER = Shape("number", None, (), 1)
_PLAIN = {float, int, Value}


@lru_cache(maxsize=1024)
def array_shape(shape: tuple[int, ...]) -> Shape:
    """Return the shape of an array; of a number, if there are no axes."""
    return Shape("array", shape, (), math.prod(shape)) if shape else NUMBER


def is_array(x: Any) -> bool:
    """Is ``x`` a numpy array?"""
    return hasattr(type(x), "__array_interface__")  # of the type: the object's own costs 1 us


def shape_of(x: Any, where: str) -> Shape:
    """Return the shape of an argument.

    Raises:
        TypeError: For something that is neither a number nor a structure of numbers.
    """
    kind = type(x)
    if kind in _PLAIN:
        return NUMBER
    if is_array(x) and x.ndim > 0:
        refuse_masked(x, where)
        if x.dtype.kind not in "fiu" and x.dtype != object:
            raise TypeError(f"{where}: expected an array of real numbers, got dtype {x.dtype}")
        return array_shape(x.shape)
    if kind is list or kind is tuple:
        if x and _PLAIN.issuperset(map(type, x)):
            return Shape(kind.__name__, None, (), len(x))
        parts = tuple([shape_of(y, where) for y in x])
        return Shape(kind.__name__, None, parts, _total(parts))
    if isinstance(x, dict):
        parts = tuple([shape_of(y, f"{where}[{key!r}]") for key, y in x.items()])
        return Shape("dict", tuple(x), parts, _total(parts))
    if hasattr(x, "with_parameters"):
        form = form_of(x)
        return Shape("module", form, (), form.size)
    if x is None or isinstance(x, str):
        return Shape("fixed", x, (), 0)
    if isinstance(x, tuple) and hasattr(kind, "_make"):  # a named tuple keeps its class
        parts = tuple([shape_of(y, where) for y in x])
        return Shape("named", kind, parts, _total(parts))
    if isinstance(x, (list, tuple)):  # subclasses of no known making are passed on as plain ones
        return shape_of(list(x) if isinstance(x, list) else tuple(x), where)
    if is_dataclass(x):
        names = _field_names(x, where)
        parts = tuple([shape_of(getattr(x, name), f"{where}.{name}") for name in names])
        return Shape("dataclass", kind, parts, _total(parts))
    if not isinstance(x, Node):
        _number(x, where)  # numpy scalars and fractions pass, anything else is an error
    return NUMBER


def is_dataclass(x: Any) -> bool:
    """Is ``x`` an instance of a dataclass (and no module)?"""
    return hasattr(type(x), "__dataclass_fields__")


def _field_names(x: Any, where: str) -> list[str]:
    fields = type(x).__dataclass_fields__.values()
    for field in fields:
        if not field.init:
            raise TypeError(
                f"{where}: the dataclass {type(x).__name__} computes its field {field.name!r}, so "
                "compiled code cannot make another; pass its numbers in a dict"
            )
    return [field.name for field in fields]


def refuse_masked(x: Any, where: str) -> None:
    """Raise ``ValueError`` for an array of which some numbers are masked: they would count."""
    mask = getattr(x, "mask", None)
    if mask is not None and getattr(mask, "any", bool)():
        raise ValueError(
            f"{where}: an array with masked numbers: fill them (x.filled(0.0)), or leave their "
            "rows away"
        )


def _total(parts: tuple[Shape, ...]) -> int:
    return sum([part.size for part in parts])


def _number(x: Any, where: str) -> float:
    if isinstance(x, Value):
        return x.data
    if is_array(x) and x.ndim == 0:
        x = x.item()  # an array without axes is the number that it holds
    return to_float(x, where)


def write_numbers(x: Any, shape: Shape, target: Any, start: int, where: str) -> int:
    """Write the numbers of a structure into an array from ``start`` on; return where they end."""
    kind, _, parts, size = shape
    end = start + size
    if kind == "array":
        if x.dtype == object:
            x = [_number(y, where) for y in x.ravel()]
        elif x.ndim > 1:
            x = x.ravel()
        target[start:end] = x
    elif kind == "number":
        target[start] = x if type(x) is float else _number(x, where)
    elif kind == "module":
        target[start:end] = [p.data for p in x.parameters()]
    elif kind == "dict":
        for y, part in zip(x.values(), parts):
            start = write_numbers(y, part, target, start, where)
    elif kind == "dataclass":
        for name, part in zip(_field_names(x, where), parts):
            start = write_numbers(getattr(x, name), part, target, start, where)
    elif parts:
        for y, part in zip(x, parts):
            start = write_numbers(y, part, target, start, where)
    elif size:
        target[start:end] = [y if type(y) is float else _number(y, where) for y in x]
    return end


def build(shape: Shape, nodes: Iterator[Any]) -> Any:
    """Build an argument from symbols: an array holds objects, a module is a copy with them."""
    kind, detail, parts, size = shape
    if kind == "number":
        return next(nodes)
    if kind == "array":
        import numpy

        flat = numpy.empty(size, object)
        flat[:] = list(islice(nodes, size))
        return flat.reshape(detail)
    if kind == "module":
        return detail.module.with_parameters(list(islice(nodes, size)))
    if kind == "fixed":
        return detail
    found = [build(part, nodes) for part in parts] if parts else list(islice(nodes, size))
    return _container(kind, detail, found)


def read_numbers(shape: Shape, numbers: Any, start: int = 0) -> Any:
    """Build a structure from an array of floats; a module becomes a dict by parameter name.

    Arrays in it are views of ``numbers``.
    """
    kind, detail, parts, size = shape
    if kind == "number":
        return float(numbers[start])
    part_numbers = numbers[start : start + size]
    if kind == "array":
        return part_numbers.reshape(detail)
    if kind == "module":
        return dict(zip(detail.names, part_numbers.tolist()))
    if kind == "fixed":
        return detail
    if parts:
        found = []
        for part in parts:
            found.append(read_numbers(part, numbers, start))
            start += part.size
    else:
        found = part_numbers.tolist()
    return _container(kind, detail, found)


def _container(kind: str, keys: Any, parts: list[Any]) -> Any:
    if kind == "dict":
        return dict(zip(keys, parts))
    if kind == "named":
        return keys._make(parts)
    if kind == "dataclass":
        return keys(**dict(zip(keys.__dataclass_fields__, parts)))
    return tuple(parts) if kind == "tuple" else parts


def elements(x: Any) -> list[Any]:
    """Flatten an argument: its numbers, as they are, in the order of ``write_numbers``."""
    if is_array(x) and x.ndim > 0:
        return list(x.ravel().tolist())
    if hasattr(x, "with_parameters"):
        return [p.data for p in x.parameters()]
    if isinstance(x, dict):
        x = list(x.values())
    if is_dataclass(x):
        x = [getattr(x, name) for name in _field_names(x, "argument")]
    if isinstance(x, (list, tuple)):
        return [y for part in x for y in elements(part)]
    if is_array(x):
        x = x.item()
    return [] if x is None or isinstance(x, str) else [x]


def outputs_of(result: Any, where: str) -> tuple[Shape, list[Any]]:
    """Flatten what a traced function returned: its shape and its nodes and numbers."""
    found: list[Any] = []

    def visit(x: Any) -> Shape:
        if isinstance(x, dict):
            parts = tuple([visit(y) for y in x.values()])
            return Shape("dict", tuple(x), parts, _total(parts))
        if isinstance(x, (list, tuple)):
            parts = tuple([visit(y) for y in x])
            if isinstance(x, tuple) and hasattr(type(x), "_make"):
                return Shape("named", type(x), parts, _total(parts))
            kind = "tuple" if isinstance(x, tuple) else "list"
            return Shape(kind, None, parts, _total(parts))
        if is_dataclass(x):
            parts = tuple([visit(getattr(x, name)) for name in _field_names(x, where)])
            return Shape("dataclass", type(x), parts, _total(parts))
        if is_array(x) and x.ndim > 0:
            found.extend(x.ravel().tolist())
            return Shape("array", x.shape, (), x.size)
        if not isinstance(x, Node):
            x = float(x) if isinstance(x, bool) else to_float(x, where)
        found.append(x)
        return NUMBER

    return visit(result), found


def read_rows(shape: Shape, matrix: Any, start: int = 0) -> Any:
    """Build a structure of arrays with one entry per row from the columns of ``matrix``."""
    kind, detail, parts, size = shape
    if kind == "number":
        return matrix[:, start].copy()
    if kind == "array":
        return matrix[:, start : start + size].reshape(len(matrix), *detail).copy()
    if kind == "fixed":
        return detail
    if not parts:
        found = [matrix[:, start + i].copy() for i in range(size)]
        if kind == "module":
            return dict(zip(detail.names, found))
        return _container(kind, detail, found)
    found = []
    for part in parts:
        found.append(read_rows(part, matrix, start))
        start += part.size
    return _container(kind, detail, found)
