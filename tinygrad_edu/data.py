"""Data as training takes them, checked before the first step.

Rows and targets may be lists, tuples, numpy arrays, or pandas frames and series (none of these is
imported here: they are recognised by their methods). What comes out are plain lists of
floats and of integer labels. Ragged rows, wrong widths, nothing at all, nan and infinity, texts and
unknown labels are errors that name the row and the column.

>>> as_rows([(1, 2), (3, 4)])
[[1.0, 2.0], [3.0, 4.0]]
>>> as_targets([1, -1, 1], "sign", 3)
[1, -1, 1]
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from tinygrad_edu.engine.operation import Node, to_float


def as_rows(X: Any, width: int | None = None, name: str = "X") -> list[list[float]]:
    """Return the examples as a list of rows of floats; a flat sequence is a single column.

    Args:
        X: n rows of numbers: nested sequences, a two-dimensional array, a data frame.
        width: How many numbers a row must have; by default as many as the first one.
        name: Starts the error messages.

    Raises:
        TypeError: If ``X`` is no sequence of rows, or holds something other than numbers.
        ValueError: If there are no rows, their widths differ or are wrong, or a number is nan or
            infinite.

    >>> as_rows([[1.0, 2.0], [3.0]])
    Traceback (most recent call last):
    ValueError: X: row 1: expected 2 numbers, got 1
    """
    columns = [str(column) for column in getattr(X, "columns", ())]
    rows = _plain(X, name)
    if not rows:
        raise ValueError(f"{name}: expected at least one row, got none")
    if not hasattr(rows[0], "__len__") or isinstance(rows[0], (str, bytes)):
        rows = [[number] for number in rows]
    checked = []
    for i, row in enumerate(rows):
        if hasattr(row, "tolist"):
            row = row.tolist()
        if not isinstance(row, Sequence) or isinstance(row, (str, bytes)):
            raise TypeError(
                f"{name}: row {i}: expected a list of numbers, got {type(row).__name__} {row!r:.60}"
            )
        if width is None:
            width = len(row)
        if len(row) != width or not row:
            raise ValueError(
                f"{name}: row {i}: expected {width or 'at least 1'} numbers, got {len(row)}"
            )
        checked.append(_numbers(row, i, columns, name))
    return checked


def as_targets(y: Any, kind: str, count: int, outputs: int = 1, name: str = "y") -> list[Any]:
    """Return the targets of ``count`` examples in the form that losses take.

    Args:
        y: One target for each example.
        kind: ``"number"``: a number, or a list of ``outputs`` numbers. ``"sign"``: two classes,
            1 and -1 or 1 and 0. ``"class"``: whole numbers from 0 to ``outputs - 1``, or rows of
            as many probabilities that add up to 1 (one-hot rows become whole numbers); with a
            single output two classes, as for ``"sign"``. ``"any"``: numbers, or lists of numbers.
        count: How many targets there must be.
        outputs: How many outputs the model has.
        name: Starts the error messages.

    Raises:
        TypeError: If a target is no number.
        ValueError: If there are not ``count`` of them, a label is unknown, or a number is nan.

    >>> as_targets([[0, 1], [1, 0]], "class", 2, outputs=2)
    [1, 0]
    >>> as_targets([0, 3], "class", 2, outputs=3)
    Traceback (most recent call last):
    ValueError: y: row 1: expected a class from 0 to 2, got 3.0
    """
    targets = _plain(y, name)
    if len(targets) != count:
        raise ValueError(f"{name}: expected {count} targets, one for each row, got {len(targets)}")
    if any(hasattr(t, "__len__") and not isinstance(t, (str, bytes)) for t in targets):
        rows = as_rows(targets, width=None if kind == "any" else outputs, name=name)
        if kind == "any":
            return rows
        if outputs > 1:
            return (
                [_class_of(row, i, name) for i, row in enumerate(rows)] if kind == "class" else rows
            )
        targets = [row[0] for row in rows]  # a column
    elif kind == "number" and outputs > 1:
        raise ValueError(f"{name}: expected {outputs} numbers for each row, one for each output")
    numbers = [_numbers([t], i, (), name)[0] for i, t in enumerate(targets)]
    if kind in ("number", "any"):
        return numbers
    if kind == "sign" or outputs == 1:
        return _signs(numbers, name)
    for i, number in enumerate(numbers):
        if not (number.is_integer() and 0 <= number < outputs):
            raise ValueError(
                f"{name}: row {i}: expected a class from 0 to {outputs - 1}, got {number!r}"
            )
    return [int(number) for number in numbers]


def _plain(data: Any, name: str) -> list[Any]:
    """Return a list of what ``data`` holds, whatever kind of container that is."""
    for method in ("to_numpy", "tolist"):  # pandas, then numpy and whatever else offers it
        if hasattr(data, method):
            data = getattr(data, method)()
    if isinstance(data, (str, bytes, dict, Node)) or not isinstance(data, Iterable):
        raise TypeError(
            f"{name}: expected a sequence of rows, got {type(data).__name__} {data!r:.60}"
        )
    return list(data)


def _numbers(row: Sequence[Any], i: int, columns: Sequence[str], name: str) -> list[float]:
    numbers = []
    for j, item in enumerate(row):
        where = f"{name}: row {i}, column {columns[j]!r}" if columns else f"{name}: row {i}"
        if not columns and len(row) > 1:
            where += f", column {j}"
        if type(item) is not float:
            if hasattr(item, "item") and not isinstance(item, Node):
                item = item.item()  # numpy and torch scalars
            item = to_float(int(item) if isinstance(item, bool) else item, where)
        if not math.isfinite(item):
            raise ValueError(f"{where}: expected a finite number, got {item}")
        numbers.append(item)
    return numbers


def _class_of(row: list[float], i: int, name: str) -> int | list[float]:
    if min(row) < 0.0 or abs(sum(row) - 1.0) > 1e-9:
        raise ValueError(
            f"{name}: row {i}: expected a one-hot row, or probabilities that add up to 1; got {row}"
        )
    return row.index(1.0) if row.count(0.0) == len(row) - 1 and 1.0 in row else row


def _signs(numbers: list[float], name: str) -> list[int]:
    known = {1.0}
    for i, number in enumerate(numbers):
        if len(known) == 1 and number in (0.0, -1.0):
            known.add(number)
        if number not in known:
            raise ValueError(
                f"{name}: row {i}: expected the labels 1 and -1, or 1 and 0; got {number!r}"
            )
    return [int(number) for number in numbers]
