"""A kernel: one lowered program as native code, and how to call it.

The work that depends on shared inputs alone is done once per call, the rest for every row: the rows
of a tile together, one per lane.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tinygrad_edu.compiler import native, rows_ir
from tinygrad_edu.compiler.layout import CONST, LANE, SHARED, Layout, Request, lay_out
from tinygrad_edu.compiler.scalar_ir import Writer
from tinygrad_edu.compiler.straight import CHUNK, write_chunk

_ARGUMENTS = "ptr noalias %shared, ptr noalias %tile, i64 %count, ptr noalias %tables"
_MODULE = 6000  # operations per LLVM module: bounds the memory that LLVM takes


@dataclass
class Statistics:
    """What came out of compiling one program."""

    operations: int = 0
    terms: int = 0
    loops: int = 0
    straight: int = 0
    chunks: int = 0
    code_bytes: int = 0
    seconds: float = 0.0
    cached: int = 0
    modules: int = 0
    lanes: int = 1


class Kernel:
    """Native code for a ``Request``.

    Attributes:
        statistics: What came out of compiling.
    """

    def __init__(self, request: Request, lanes: int) -> None:
        import numpy

        started = time.perf_counter()
        native.llvm()
        self._numpy = numpy
        self._layout = layout = lay_out(request)
        self._rows = bool(request.widths)
        self.lanes = lanes if self._rows else 1
        self.statistics = Statistics(lanes=self.lanes)
        self._widths = list(request.widths)
        self._each, self._sums = len(layout.each), len(layout.sums)
        self._local = threading.local()
        library = native.Library(self._compile(layout, request))
        self._library = library
        self._shared_function = library.function("shared_part", 4)
        self._rows_function = library.function("rows", 8) if self._rows else None
        self._tables = numpy.zeros(1, numpy.int32)
        self.statistics.seconds = time.perf_counter() - started

    # --- compiling ---

    def _compile(self, layout: Layout, request: Request) -> list[bytes]:
        program = layout.program
        shared: list[int] = []
        lane: list[int] = []
        for node in range(len(program)):
            if program.op(node) is not None:
                (lane if layout.place[node] == LANE else shared).append(node)
        chunks = [*_chunks(program, shared), *_chunks(program, lane)]
        kinds = [layout.place[nodes[0]] for nodes in chunks]
        exported = _exported(layout, chunks)
        objects: list[bytes] = []
        text: list[str] = []
        helpers: dict[str, str] = {}
        size = 0
        names: dict[int, list[str]] = {SHARED: [], LANE: []}
        stats = self.statistics

        def flush() -> None:
            nonlocal text, helpers, size
            if text:
                code, hit = native.compile_object("\n".join([*helpers.values(), *text]), 1)
                objects.append(code)
                stats.cached += hit
            text, helpers, size = [], {}, 0

        for i, (kind, nodes) in enumerate(zip(kinds, chunks)):
            writer = Writer(request.strict, helpers)
            write_chunk(writer, layout, nodes, self.lanes if kind == LANE else 1, exported)
            name = f"segment{i}"
            names[kind].append(name)
            body = "\n".join(writer.lines)
            text.append(f"define void @{name}({_ARGUMENTS}) {{\n{body}\n  ret void\n}}")
            size += len(writer.lines)
            stats.chunks += 1
            stats.straight += len(nodes)
            if size > _MODULE:
                flush()
                
        outside = [n for n in (*names[SHARED], *names[LANE])] if objects else []
        here = {line.split("@")[1].split("(")[0] for line in text}
        text += [f"declare void @{n}(ptr, ptr, i64, ptr)" for n in outside if n not in here]
        calls = "".join(
            f"  call void @{n}(ptr %shared, ptr %tile, i64 %count, ptr %tables)\n"
            for n in names[SHARED]
        )
        text.append(f"define void @shared_part({_ARGUMENTS}) {{\n{calls}  ret void\n}}")
        if self._rows:
            text.append(rows_ir.frame(self.lanes, helpers))
            text.append(
                rows_ir.tile_loop(
                    self.lanes, self._widths, self._each, self._sums, layout.sum_base, names[LANE]
                )
            )
        flush()
        stats.code_bytes = sum(map(len, objects))
        stats.modules = len(objects)
        stats.operations = len(shared) + len(lane)
        return objects

    # --- calling ---

    def shared_array(self) -> Any:
        """Return a new array for the shared numbers; the shared inputs come first in it."""
        return self._numpy.zeros(max(self._layout.shared_size, 1))

    def run(self, shared: Any) -> Any:
        """Run without rows: return the view of ``shared`` that holds the outputs."""
        self._shared_function(shared.ctypes.data, 0, 0, self._tables.ctypes.data)
        first = self._layout.shared_inputs
        return shared[first : first + self._each]

    def run_rows(self, shared: Any, matrices: Sequence[Any], threads: int = 1) -> tuple[Any, Any]:
        """Run over the rows of C-contiguous float64 matrices.

        Returns:
            The outputs per row, as a matrix, and the sums over rows, as an array.
        """
        numpy = self._numpy
        rows = len(matrices[0])
        out = numpy.empty((rows, self._each))
        pointers = numpy.array([m.ctypes.data for m in matrices], dtype=numpy.uintp)
        tables = self._tables.ctypes.data
        self._shared_function(shared.ctypes.data, 0, 0, tables)
        assert self._rows_function is not None

        def part(begin: int, end: int) -> Any:
            totals = numpy.zeros(self._sums)
            if end > begin:
                self._rows_function(
                    shared.ctypes.data, pointers.ctypes.data, begin, end, out.ctypes.data,
                    totals.ctypes.data, self._tile().ctypes.data, tables,
                )  # fmt: skip
            return totals

        if threads <= 1 or rows <= self.lanes:
            return out, part(0, rows)
        tiles = -(-rows // self.lanes)
        bounds = [min(rows, self.lanes * (tiles * t // threads)) for t in range(threads + 1)]
        with ThreadPoolExecutor(threads) as pool:
            totals = list(pool.map(part, bounds[:-1], bounds[1:]))
        return out, numpy.sum(totals, axis=0)

    def _tile(self) -> Any:
        """Return this thread's own tile, with its first number on a cache line of its own."""
        tile = getattr(self._local, "tile", None)
        if tile is None:
            raw = self._numpy.zeros(self._layout.tile_size * self.lanes + 16)
            offset = -(raw.ctypes.data // 8) % 8
            tile = self._local.tile = raw[offset:]
        return tile


def _chunks(program: Any, nodes: list[int]) -> list[list[int]]:
    """Cut a list of nodes into chunks of bounded size."""
    chunks: list[list[int]] = []
    size = CHUNK
    starts = program.starts
    for node in nodes:
        if size >= CHUNK:
            chunks.append([])
            size = 0
        chunks[-1].append(node)
        size += max(1, (starts[node + 1] - starts[node]) // 2)
    return chunks


def _exported(layout: Layout, chunks: list[list[int]]) -> bytearray:
    """Mark the nodes that must be in memory: outputs, and what another segment reads."""
    program = layout.program
    exported = bytearray(len(program))
    for node in layout.each:
        exported[node] = 1
    home = [-1] * len(program)
    for i, nodes in enumerate(chunks):
        for node in nodes:
            home[node] = i
            for operand in program.operands_of(node):
                if home[operand] != i and layout.place[operand] != CONST:
                    exported[operand] = 1
    for node in range(len(program)):
        if exported[node] and program.op(node) is not None:
            layout.reserve(node)
    return exported
