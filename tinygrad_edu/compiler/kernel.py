"""A kernel: one lowered program as native code, and how to call it.

The work that depends on shared inputs alone is done once per call, the rest for every row: the rows
of a tile together, one per lane.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

from tinygrad_edu.compiler.code import Counts, Loop, Machine, write_segments
from tinygrad_edu.compiler.emit import machine_code as native
from tinygrad_edu.compiler.emit import rows_ir, turns_ir
from tinygrad_edu.compiler.emit.scalar_ir import Writer
from tinygrad_edu.compiler.loops.separate import separate
from tinygrad_edu.compiler.loops.storage import LANE, SHARED, Layout, Request, lay_out

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
    table_entries: int = 0
    scans: int = 0
    rolled: int = 0  # loops over time that were found again


class Addresses(NamedTuple):
    """What other native code needs to call a kernel: functions and arrays, by their addresses."""

    shared_part: int
    rows: int  # 0 if there are no rows
    tables: int
    tile: int
    sums: int
    scratch: int
    outputs: int  # where in ``shared`` the outputs are, if there are no rows, counted in doubles


class Kernel:
    """Native code for a ``Request``.

    Attributes:
        statistics: What came out of compiling.
    """

    def __init__(self, request: Request, lanes: int, loops: bool = True) -> None:
        import numpy

        started = time.perf_counter()
        native.llvm()
        self._numpy = numpy
        request = separate(request)
        self._layout = layout = lay_out(request)
        self._rows = bool(request.widths)
        self.lanes: int = lanes if self._rows else 1
        self.statistics: Statistics = Statistics(lanes=self.lanes)
        self._widths = list(request.widths)
        self._pointers = ctypes.c_size_t * len(self._widths)
        self._each, self._sums = len(layout.each), layout.sums
        self._local = threading.local()
        self._tables: Any = numpy.zeros(1, numpy.int32)
        self._shared_part = False
        self._sizes = (0, 0, 0)
        modules = self._compile(layout, request, loops)
        self._constants = list(layout.constants)
        self._load(modules)
        self.statistics.seconds = time.perf_counter() - started

    def _new_modules(self, widths: list[int]) -> Modules:
        return Modules(self.lanes, widths)

    def _load(self, modules: Modules) -> None:
        library = native.Library(modules.objects)
        self._library = library
        self._shared_function = library.function("shared_part", 7)
        self._rows_function = library.function("rows", 10) if self._rows else None
        self._table_address = self._tables.ctypes.data

    # --- compiling ---

    def _compile(self, layout: Layout, request: Request, loops: bool) -> Modules:
        numpy = self._numpy
        modules = self._new_modules([*self._widths, self._each] if self._rows else [])
        machine = Machine(self.lanes, self.vector_lanes(), request.strict)
        stats, counts = self.statistics, Counts()
        written = write_segments(modules, layout, machine, loops, counts)
        finder, names, scratch = written.finder, written.names, written.scratch
        stats.loops, stats.straight, stats.chunks = counts.loops, counts.straight, counts.chunks
        stats.scans, stats.rolled = counts.scans, counts.rolled
        calls = [f"  call void @{n}({rows_ir.PASSED})" for n in names[SHARED]]
        self._shared_part = bool(calls)
        modules.finish(calls, names)
        sums = layout.sum_targets
        if self._rows:
            modules.text.append(
                rows_ir.tile_loop(
                    self.lanes,
                    self._widths,
                    self._each,
                    len(sums),
                    finder.table_size,
                    names[LANE],
                    (self._sums, layout.shared_sums),
                    modules.helpers,
                )
            )
        modules.flush()
        tables = [*finder.tables, numpy.array(sums, numpy.int32)]
        self._tables = numpy.concatenate([self._tables[:0], *tables, self._tables])
        self._sizes = (layout.tile_size * self.lanes, len(sums) * self.lanes, scratch * self.lanes)
        stats.code_bytes = sum(map(len, modules.objects))
        stats.modules, stats.cached = len(modules.objects), modules.cached
        stats.operations = counts.operations + sum(op > 1 for op in layout.program.codes)
        stats.table_entries = len(self._tables)
        return modules

    def vector_lanes(self) -> int:
        """Return how many doubles a vector register of the machine that runs the code holds."""
        return native.native_lanes()

    # --- calling ---

    def shared_array(self) -> Any:
        """Return a new array for the shared numbers; the shared inputs come first in it."""
        shared = self._numpy.zeros(max(self._layout.shared_size, 1))
        for address, number in self._constants:
            shared[address] = number
        return shared

    def own_shared_array(self) -> Any:
        """Return this thread's array for the shared numbers, kept from call to call."""
        shared = getattr(self._local, "shared", None)
        if shared is None:
            shared = self._local.shared = self.shared_array()
            self._local.shared_address = _address(shared)
        return shared

    def run(self, shared: Any) -> Any:
        """Run without rows: return the view of ``shared`` that holds the outputs."""
        self._shared_function(_address(shared), 0, 0, self._table_address, 0, 0, 0)
        first = self._layout.shared_inputs
        return shared[first : first + self._each]

    def run_rows(self, shared: Any, matrices: Sequence[Any], threads: int = 1) -> tuple[Any, Any]:
        """Run over the rows of C-contiguous float64 matrices.

        Returns:
            The outputs per row, as a matrix, and the sums over rows, as an array; both new.
        """
        numpy, tables = self._numpy, self._table_address
        rows = len(matrices[0])
        out = numpy.empty((rows, self._each))
        pointers = self._pointers(*map(_address, matrices))
        own = shared is getattr(self._local, "shared", None)
        where = self._local.shared_address if own else _address(shared)
        addresses = where, _address(out), ctypes.addressof(pointers)
        if self._shared_part:
            self._shared_function(addresses[0], 0, 0, tables, 0, 0, 0)
        if threads <= 1 or rows <= self.lanes:
            return out, self._part(addresses, 0, rows)
        tiles = -(-rows // self.lanes)
        bounds = [min(rows, self.lanes * (tiles * t // threads)) for t in range(threads + 1)]
        # the jobs keep the arrays: after Ctrl-C here, threads still write to them for a while
        arrays = (out, pointers, matrices)
        others = [
            _workers(threads, os.getpid()).submit(self._part, addresses, begin, end, arrays)
            for begin, end in pairwise(bounds[1:])
        ]
        totals = self._part(addresses, 0, bounds[1])
        for other in others:
            totals += other.result()
        return out, totals

    def _part(
        self, addresses: tuple[int, int, int], begin: int, end: int, _arrays: tuple[Any, ...] = ()
    ) -> Any:
        """Run over some of the rows; return their sums. The ``_arrays`` just stay alive."""
        shared, out, matrices = addresses
        totals = self._numpy.zeros(self._sums)
        if end > begin:
            tile, sums, scratch = self._workspace()
            assert self._rows_function is not None
            self._rows_function(
                shared, tile, self._table_address, sums, _address(totals), scratch, matrices,
                begin, end, out,
            )  # fmt: skip
        return totals

    def addresses(self) -> Addresses:
        """Return where the code is, for calls from other native code on this thread."""
        functions = (self._shared_function, self._rows_function)
        shared_part, rows = (ctypes.cast(f, ctypes.c_void_p).value if f else 0 for f in functions)
        return Addresses(
            shared_part or 0, rows or 0, self._table_address, *self._workspace(),
            self._layout.shared_inputs,
        )  # fmt: skip

    def _workspace(self) -> tuple[int, int, int]:
        """Return the addresses of this thread's own tile, sums and scratch arrays."""
        arrays = getattr(self._local, "arrays", None)
        if arrays is None:
            arrays = self._local.arrays = [self._numpy.zeros(size + 8) for size in self._sizes]
            starts = [a.ctypes.data for a in arrays]
            self._local.starts = tuple(start + -start % 64 for start in starts)  # cache lines
        return self._local.starts  # type: ignore[no-any-return]


def _address(array: Any) -> int:
    """Return where an array's numbers are; four times as fast as ``array.ctypes.data``."""
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(array))
    except (TypeError, ValueError):  # read-only, or empty
        return array.ctypes.data  # type: ignore[no-any-return]


@lru_cache(maxsize=4)
def _workers(threads: int, _process: int) -> ThreadPoolExecutor:
    """Return threads that wait for work; the calling thread does its share itself.

    They belong to one process: a forked child has none of its parent's threads, and would wait for
    them for ever.
    """
    return ThreadPoolExecutor(threads - 1, thread_name_prefix="tinygrad_edu")


class Modules:
    """LLVM modules of bounded size, filled one after the other."""

    lanes: int
    widths: list[int]
    cached: int

    def __init__(self, lanes: int, widths: list[int]) -> None:
        self.lanes, self.widths = lanes, widths
        self.objects: list[bytes] = []
        self.cached = 0
        self.text: list[str] = []
        self.helpers: dict[str, str] = {}
        self.size: int = 0
        self.here: set[str] = set()
        self._loops: set[str] = set()

    def add_loop(self, loop: Loop) -> None:
        """Add the code of a loop over time, unless it is there already."""
        self.helpers[f"@{loop.name}"] = f"declare void @{loop.name}({turns_ir.TYPES})"
        waiting = [loop]
        while waiting:
            loop = waiting.pop()
            if loop.name in self._loops:
                continue
            self._loops.add(loop.name)
            waiting += loop.inner
            self._add_modules(loop)

    def _add_modules(self, loop: Loop) -> None:
        for helpers, text in loop.modules:
            code, hit = native.compile_again("\n".join([*helpers.values(), text]), 1)
            self.objects.append(code)
            self.cached += hit

    def add(self, name: str, writer: Writer) -> str:
        """Add a function."""
        body = "\n".join(writer.lines)
        self.text.append(f"define void @{name}({rows_ir.RECEIVED}) {{\n{body}\n}}")
        self.here.add(name)
        self.size += len(writer.lines)
        if self.size > _MODULE:
            self.flush()
        return name

    def finish(self, calls: list[str], names: dict[int, list[str]]) -> None:
        """Add the function that runs the shared segments, and the declarations it needs."""
        for name in (*names[SHARED], *names[LANE]):
            if name not in self.here:
                self.helpers[f"@{name}"] = f"declare void @{name}({rows_ir.TYPES})"
        if self.widths:
            self.helpers["@rows_in"] = self.helpers["@rows_out"] = ""
        body = "\n".join([*calls, "  ret void"])
        self.text.append(f"define void @shared_part({rows_ir.RECEIVED}) {{\n{body}\n}}")

    def flush(self) -> None:
        """Compile what has come together."""
        if not self.text:
            return
        if "@rows_out" in self.helpers:
            self.text.append(rows_ir.frame(self.lanes, self.widths, self.helpers))
        ir = "\n".join([*self.helpers.values(), *self.text])
        code, hit = native.compile_object(ir, 1)
        self.objects.append(code)
        self.cached += hit
        self.text.clear()
        self.helpers.clear()
        self.here.clear()
        self.size = 0
