"""Sparse matrices of derivatives: their entries, computed some columns or rows at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tinygrad_edu.compiler.trace.colouring import column_colours, star_colours, transposed
from tinygrad_edu.compiler.trace.gradient_program import gradients
from tinygrad_edu.compiler.trace.program import Program
from tinygrad_edu.compiler.trace.tangent_program import ForwardMode
from tinygrad_edu.engine import ops


@dataclass(frozen=True)
class Compressed:
    """Which entries of a sparse matrix were computed, row by row, and how.

    Attributes:
        shape: Rows and columns of the matrix.
        starts, columns: The entries as compressed sparse rows have them: row ``i`` has its entries
            in ``columns[starts[i]:starts[i + 1]]``.
        colours: How many derivatives along directions all entries come from.
        by: ``"columns"`` (forward mode) or ``"rows"`` (reverse mode).
    """

    shape: tuple[int, int]
    starts: Any
    columns: Any
    colours: int
    by: str

    def __str__(self) -> str:
        of = self.shape[1] if self.by == "columns" else self.shape[0]
        return f"{len(self.columns):,} entries from {self.colours:,} of {of:,} {self.by}"


def compressed_jacobian(
    program: Program, inputs: Sequence[int], outputs: Sequence[int]
) -> tuple[Compressed, list[int]]:
    """Append the entries that can differ from 0: by columns or by rows, whichever are fewer."""
    forward = ForwardMode(program, inputs, outputs)
    rows = forward.pattern()
    by_columns = column_colours(rows, len(inputs))
    by_rows = column_colours(transposed(rows, len(inputs)), len(outputs))
    if max(by_columns, default=-1) <= max(by_rows, default=-1):
        parts = _along(forward, by_columns)
        each = [parts[by_columns[j]][i] for i, row in enumerate(rows) for j in row]
        return _compressed(rows, len(inputs), len(parts), "columns"), each
    groups = []
    for members in _groups(by_rows):
        nodes = [outputs[i] for i in members]
        total = nodes[0] if len(nodes) == 1 else program.add(ops.sum_, nodes)
        groups.append(gradients(program, total, inputs))
    each = [groups[by_rows[i]][j] for i, row in enumerate(rows) for j in row]
    return _compressed(rows, len(inputs), len(groups), "rows"), each


def compressed_hessian(
    program: Program, inputs: Sequence[int], output: int
) -> tuple[Compressed, list[int]]:
    """Append the entries of the Hessian of ``output`` that can differ from 0."""
    forward = ForwardMode(program, inputs, gradients(program, output, inputs))
    pattern = forward.pattern()
    entries = [set(row) for row in pattern]
    for i, row in enumerate(pattern):  # both halves, where a rule shows only one
        for j in row:
            entries[j].add(i)
    rows = [sorted(row) for row in entries]
    colours = star_colours(rows)
    plain = column_colours(rows, len(inputs))
    if max(plain, default=-1) < max(colours, default=-1):
        colours = plain
    parts = _along(forward, colours)
    each = []
    for i, row in enumerate(rows):
        here = [colours[k] for k in row]
        for j in row:  # by symmetry, the entry is in one of two places unmixed with another
            alone = here.count(colours[j]) == 1
            each.append(parts[colours[j]][i] if alone else parts[colours[i]][j])
    return _compressed(rows, len(inputs), len(parts), "columns"), each


def _groups(colours: Sequence[int]) -> list[list[int]]:
    groups: list[list[int]] = [[] for _ in range(max(colours, default=-1) + 1)]
    for i, colour in enumerate(colours):
        groups[colour].append(i)
    return groups


def _along(forward: ForwardMode, colours: Sequence[int]) -> list[list[int]]:
    """For each colour, the tangents along all inputs of that colour at once."""
    return [
        forward.tangents({forward.inputs[j]: 1.0 for j in members}) for members in _groups(colours)
    ]


def _compressed(rows: Sequence[Sequence[int]], columns: int, colours: int, by: str) -> Compressed:
    import numpy

    starts = numpy.zeros(len(rows) + 1, numpy.int32)
    numpy.cumsum([len(row) for row in rows], out=starts[1:])
    flat = numpy.array([j for row in rows for j in row], numpy.int32)
    return Compressed((len(rows), columns), starts, flat, colours, by)
