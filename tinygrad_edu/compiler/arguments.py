"""Arguments and results of compiled functions: structures of numbers, flattened and built up again.

A structure is a number, or a list, tuple, dict, numpy array or module of such. Its *shape* is a
hashable description without the numbers; one shape is compiled once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from tinygrad_edu.operation import Node, to_float
from tinygrad_edu.value import Value


class Shape(NamedTuple):
    """The form of a structure.

    Attributes:
        kind: ``"number"``, ``"list"``, ``"tuple"``, ``"dict"``, ``"array"``, ``"module"`` or
            ``"fixed"`` (text and ``None``, which the function sees as they are).
        detail: Keys of a dict, shape of an array, the module, the fixed object.
        parts: The shapes inside.
        size: How many numbers there are.
    """

    kind: str
    detail: Any
    parts: tuple[Shape, ...]
    size: int


NUMBER = Shape("number", None, (), 1)


def is_array(x: Any) -> bool:
    """Is ``x`` a numpy array?"""
    return hasattr(x, "__array_interface__") and hasattr(x, "reshape")


def shape_of(x: Any, where: str) -> Shape:
    """Return the shape of an argument.

    Raises:
        TypeError: For something that is neither a number nor a structure of numbers.
    """
    kind = type(x)
    if kind is float or kind is int or isinstance(x, Node):
        return NUMBER
    if kind is list or kind is tuple:
        parts = tuple([NUMBER if type(y) is float else shape_of(y, where) for y in x])
        return Shape(kind.__name__, None, parts, sum([p.size for p in parts]))
    if isinstance(x, dict):
        parts = tuple([shape_of(y, f"{where}[{key!r}]") for key, y in x.items()])
        return Shape("dict", tuple(x), parts, sum([p.size for p in parts]))
    if is_array(x) and x.ndim > 0:
        if x.dtype.kind not in "fiu" and not (x.dtype == object):
            raise TypeError(f"{where}: expected an array of real numbers, got dtype {x.dtype}")
        return Shape("array", x.shape, (), x.size)
    if hasattr(x, "with_parameters"):
        return Shape("module", x, (), len(x.parameters()))
    if x is None or isinstance(x, str):
        return Shape("fixed", x, (), 0)
    if isinstance(x, (list, tuple)):  # named tuples and their kin: passed on as plain ones
        return shape_of(list(x) if isinstance(x, list) else tuple(x), where)
    to_float(x, where)  # numpy scalars and fractions pass, anything else is an error
    return NUMBER


def write_numbers(x: Any, shape: Shape, target: Any, start: int, where: str) -> int:
    """Write the numbers of a structure into an array from ``start`` on; return where they end."""
    if shape.kind == "number":
        target[start] = x.data if isinstance(x, Value) else to_float(x, where)
        return start + 1
    if shape.kind == "array":
        if x.dtype == object:
            x = [to_float(getattr(y, "data", y), where) for y in x.ravel()]
        else:
            x = x.ravel()
        target[start : start + shape.size] = x
        return start + shape.size
    if shape.kind == "module":
        target[start : start + shape.size] = [p.data for p in x.parameters()]
        return start + shape.size
    if shape.kind == "fixed":
        return start
    values = list(x.values()) if shape.kind == "dict" else x
    if all([p is NUMBER for p in shape.parts]):
        target[start : start + shape.size] = [
            y if type(y) is float else y.data if isinstance(y, Value) else to_float(y, where)
            for y in values
        ]
        return start + shape.size
    for y, part in zip(values, shape.parts):
        start = write_numbers(y, part, target, start, where)
    return start


def build(shape: Shape, nodes: Iterator[Any]) -> Any:
    """Build an argument from symbols: an array holds objects, a module is a copy with them."""
    if shape.kind == "number":
        return next(nodes)
    if shape.kind == "array":
        import numpy

        flat = numpy.empty(shape.size, object)
        flat[:] = [next(nodes) for _ in range(shape.size)]
        return flat.reshape(shape.detail)
    if shape.kind == "module":
        return shape.detail.with_parameters([next(nodes) for _ in range(shape.size)])
    if shape.kind == "fixed":
        return shape.detail
    parts = [build(part, nodes) for part in shape.parts]
    if shape.kind == "dict":
        return dict(zip(shape.detail, parts))
    return tuple(parts) if shape.kind == "tuple" else parts


def read_numbers(shape: Shape, numbers: Any, start: int = 0) -> Any:
    """Build a structure from an array of floats; a module becomes a dict by parameter name."""
    end = start + shape.size
    if shape.kind == "number":
        return float(numbers[start])
    if shape.kind == "array":
        return numbers[start:end].reshape(shape.detail).copy()
    if shape.kind == "module":
        names = [name for name, _ in shape.detail.named_parameters()]
        return dict(zip(names, numbers[start:end].tolist()))
    if shape.kind == "fixed":
        return shape.detail
    if all([part is NUMBER for part in shape.parts]):
        parts = numbers[start:end].tolist()
    else:
        parts = []
        for part in shape.parts:
            parts.append(read_numbers(part, numbers, start))
            start += part.size
    if shape.kind == "dict":
        return dict(zip(shape.detail, parts))
    return tuple(parts) if shape.kind == "tuple" else parts


def outputs_of(result: Any, where: str) -> tuple[Shape, list[Any]]:
    """Flatten what a traced function returned: its shape and its nodes and numbers."""
    found: list[Any] = []

    def visit(x: Any) -> Shape:
        if isinstance(x, dict):
            parts = tuple([visit(y) for y in x.values()])
            return Shape("dict", tuple(x), parts, sum([p.size for p in parts]))
        if isinstance(x, (list, tuple)):
            parts = tuple([visit(y) for y in x])
            kind = "tuple" if isinstance(x, tuple) else "list"
            return Shape(kind, None, parts, sum([p.size for p in parts]))
        if is_array(x) and x.ndim > 0:
            found.extend(x.ravel().tolist())
            return Shape("array", x.shape, (), x.size)
        if not isinstance(x, Node):
            x = float(x) if isinstance(x, bool) else to_float(x, where)
        found.append(x)
        return NUMBER

    return visit(result), found


def build_rows(shape: Shape, matrix: Any, start: int = 0) -> Any:
    """Build a structure of arrays with one entry per row from the columns of ``matrix``."""
    if shape.kind == "number":
        return matrix[:, start].copy()
    if shape.kind == "array":
        block = matrix[:, start : start + shape.size]
        return block.reshape(len(matrix), *shape.detail).copy()
    if shape.kind == "module":
        names = [name for name, _ in shape.detail.named_parameters()]
        return {name: matrix[:, start + i].copy() for i, name in enumerate(names)}
    if shape.kind == "fixed":
        return shape.detail
    parts = []
    for part in shape.parts:
        parts.append(build_rows(part, matrix, start))
        start += part.size
    if shape.kind == "dict":
        return dict(zip(shape.detail, parts))
    return tuple(parts) if shape.kind == "tuple" else parts
