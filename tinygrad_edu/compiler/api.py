"""``compile``: scalar Python code at native speed.

>>> from tinygrad_edu import tanh
>>> from tinygrad_edu.compiler import compile
>>> fast = compile(lambda w, x: tanh(w[0] * x[0] + w[1] * x[1]))
>>> fast([1.0, 2.0], [0.5, -0.25])
0.0
>>> fast.value_and_grad([1.0, 2.0], [0.5, -0.25], wrt=0)
(0.0, [0.5, -0.25])

The function is run once on symbols (``symbol.py``) for each shape of its arguments; what it did is
differentiated with the table's rules (``gradient_program.py``), lowered (``lowering.py``) and turned
into machine code (``kernel.py``).
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tinygrad_edu.compiler import native
from tinygrad_edu.compiler.arguments import (
    NUMBER,
    Shape,
    build,
    build_rows,
    is_array,
    outputs_of,
    read_numbers,
    shape_of,
    write_numbers,
)
from tinygrad_edu.compiler.gradient_program import gradients
from tinygrad_edu.compiler.kernel import Kernel
from tinygrad_edu.compiler.layout import Request
from tinygrad_edu.compiler.lowering import lower
from tinygrad_edu.compiler.program import Program
from tinygrad_edu.compiler.symbol import Symbol
from tinygrad_edu.operation import to_float
from tinygrad_edu.value import Value

Wrt = Any  # None, a position, a captured Value, or a sequence of these


def compile(function: Callable[..., Any], *, strict: bool = False, check: bool = False) -> Compiled:
    """Compile a function over scalars to native code, at its first call for each argument shape.

    Args:
        function: Takes numbers, and lists, tuples, dicts, numpy arrays and modules of them; returns
            a number or a structure of them. It is run once on symbols, so its side effects happen
            once and an ``if`` on a traced number is an error.
        strict: Values equal the eager engine bit for bit: no contraction of ``a * b + c`` into one
            rounding, no reassociation, and the C library's exp, log, ... only.
        check: Raise ``FloatingPointError`` if a result is infinite or nan. Compiled code itself
            never raises: it goes on with inf and nan as IEEE 754 has them.

    Raises:
        ImportError: If numpy or llvmlite is missing (``pip install "tinygrad_edu[fast]"``).
        TypeError: If ``function`` cannot be called.
    """
    if not callable(function):
        raise TypeError(f"compile: expected a function, got {type(function).__name__}")
    native.llvm()
    return Compiled(function, strict, check)


@dataclass
class _Entry:
    """One compiled variant: for one shape of arguments and one question about them."""

    kernel: Kernel
    shape: Shape
    outputs: Shape
    captured: list[Value]
    wanted: list[Any] = field(default_factory=list)
    title: str = ""
    traced: int = 0
    lowered: int = 0
    trace_seconds: float = 0.0


class Compiled:
    """A compiled function; made by ``compile``. It may be called from several threads at once.

    Values (leaves) that the function uses from its surroundings are inputs, too: their data are
    read at each call. Arguments that are Values count as the numbers they hold.
    """

    def __init__(self, function: Callable[..., Any], strict: bool, check: bool) -> None:
        self.function = function
        self.strict = strict
        self.check = check
        self.__name__ = getattr(function, "__name__", "function")
        self.__doc__ = function.__doc__
        self._entries: dict[Any, _Entry] = {}
        self._lock = threading.RLock()
        self._local = threading.local()

    # --- what users call ---

    def __call__(self, *args: Any) -> Any:
        """Return what the function returns, with floats for numbers.

        Called on symbols, that is, inside another function being compiled, it is inlined.
        """
        if any(type(x) is Symbol or _holds_symbols(x) for x in args):
            return self.function(*args)
        entry = self._entry("value", args)
        return read_numbers(entry.outputs, self._run(entry, args))

    def value_and_grad(self, *args: Any, wrt: Wrt = None) -> tuple[float, Any]:
        """Return the value and its gradients, in the structure of the arguments.

        Args:
            args: The arguments of the function, which must return one number.
            wrt: The position of an argument, or a captured Value, or a sequence of these; all
                arguments if ``None``. For one position (or a single argument) the gradient comes as
                it is, otherwise as a tuple.

        >>> from tinygrad_edu.compiler import compile
        >>> compile(lambda x, y: x * y).value_and_grad(3.0, 4.0)
        (12.0, (4.0, 3.0))
        """
        entry = self._entry("value_and_grad", args, wrt)
        numbers = self._run(entry, args)
        return float(numbers[0]), _gradients(entry, args, numbers, 1, wrt)

    def jacobian(self, *args: Any, wrt: Wrt = None) -> Any:
        """Return the matrix of derivatives: a row per number returned, a column per number of wrt.

        >>> from tinygrad_edu.compiler import compile
        >>> compile(lambda x: [x[0] * x[1], x[0] + x[1]]).jacobian([2.0, 3.0]).tolist()
        [[3.0, 2.0], [1.0, 1.0]]
        """
        entry = self._entry("jacobian", args, wrt)
        return self._run(entry, args).reshape(entry.outputs.size, -1).copy()

    def hessian(self, *args: Any, wrt: Wrt = None) -> Any:
        """Return the matrix of second derivatives by the numbers of ``wrt``, in their order.

        >>> from tinygrad_edu.compiler import compile
        >>> compile(lambda x: x[0] ** 2 * x[1]).hessian([2.0, 3.0]).tolist()
        [[6.0, 4.0], [4.0, 0.0]]
        """
        entry = self._entry("hessian", args, wrt)
        side = sum(part.size for part in _wanted_shapes(entry, entry.shape.parts))
        return self._run(entry, args).reshape(side, side).copy()

    def hvp(self, *args: Any, vector: Any, wrt: Wrt = None) -> Any:
        """Return the Hessian times ``vector``, both in the structure of the gradient.

        >>> from tinygrad_edu.compiler import compile
        >>> compile(lambda x: x[0] ** 2 * x[1]).hvp([2.0, 3.0], vector=[1.0, 0.0])
        [6.0, 4.0]
        """
        entry = self._entry("hvp", (*args, vector), wrt)
        numbers = self._run(entry, (*args, vector))
        return _gradients(entry, args, numbers, 0, wrt)

    def map(self, *args: Any, shared: Sequence[int] = (), threads: int = 1) -> Any:
        """Evaluate the function for every row: like ``[f(*row) for row in zip(*args)]``.

        Args:
            args: Arrays (or nested lists) whose first axis counts the rows.
            shared: Positions of arguments that are the same for all rows, passed as they are.
            threads: How many threads share the rows.

        Returns:
            What the function returns, with an array over the rows in place of each number.

        >>> from tinygrad_edu.compiler import compile
        >>> compile(lambda x, y: x * y).map([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]).tolist()
        [4.0, 10.0, 18.0]
        """
        entry, rows = self._row_entry("map", args, shared, None)
        out, _ = self._run_rows(entry, rows, threads)
        return build_rows(entry.outputs, out)

    def map_value_and_grad(
        self, *args: Any, wrt: Wrt = None, shared: Sequence[int] = (), threads: int = 1
    ) -> tuple[Any, Any]:
        """Return value and gradients for every row, the gradients of shared arguments included."""
        entry, rows = self._row_entry("map_value_and_grad", args, shared, wrt)
        out, _ = self._run_rows(entry, rows, threads)
        parts, start = [], 1
        for shape in _wanted_shapes(entry, rows.shapes):
            parts.append(build_rows(shape, out, start))
            start += shape.size
        return out[:, 0].copy(), parts[0] if _single(wrt, args) else tuple(parts)

    def batch_value_and_grad(
        self,
        *args: Any,
        wrt: Wrt = 0,
        shared: Sequence[int] = (0,),
        reduce: str = "mean",
        threads: int = 1,
    ) -> tuple[Any, Any, Any]:
        """Return the mean (or sum) of a loss over rows and its gradients: a training step.

        Args:
            args: As for ``map``; by default the first argument is shared (the parameters).
            wrt: Which arguments to differentiate by; shared ones only.
            shared: Positions of shared arguments.
            reduce: ``"mean"`` or ``"sum"``.
            threads: How many threads share the rows.

        Returns:
            ``(value, gradients, outputs)``. The function returns the loss of a row, or a pair of
            it and further outputs; ``outputs`` has those for every row (the losses if none).
        """
        if reduce not in ("mean", "sum"):
            raise ValueError(f'reduce: expected "mean" or "sum", got {reduce!r}')
        entry, rows = self._row_entry("batch", args, shared, wrt)
        out, sums = self._run_rows(entry, rows, threads)
        scale = 1.0 / len(out) if reduce == "mean" else 1.0
        total = float(out[:, 0].sum()) * scale
        sums *= scale
        self._finite(sums)
        gradient = _gradients(entry, args, sums, 0, wrt)
        outputs = build_rows(entry.outputs, out)
        return total, gradient, outputs if entry.outputs.kind == "number" else outputs[1]

    def report(self) -> str:
        """Say in plain words what was compiled and what came out."""
        if not self._entries:
            return f"{self.__name__}: nothing compiled yet"
        return "\n".join(_describe(self.__name__, e) for e in list(self._entries.values()))

    # --- compiling one variant ---

    def _entry(self, question: str, args: tuple[Any, ...], wrt: Wrt = None) -> _Entry:
        shape = shape_of(args, f"{self.__name__}: argument")
        count = len(args) - (question == "hvp")
        wanted = _wanted(wrt, count) if question != "value" else ()
        key = (question, shape, wanted)
        entry = self._entries.get(key)
        if entry is None:
            with self._lock:
                entry = self._entries.get(key)
                if entry is None:
                    entry = self._build(question, shape, wanted, ())
                    self._entries[key] = entry
        return entry

    def _row_entry(
        self, question: str, args: tuple[Any, ...], shared: Sequence[int], wrt: Wrt
    ) -> tuple[_Entry, _Rows]:
        rows = _Rows(args, _positions(shared, len(args), "shared"), self.__name__)
        wanted = _wanted(wrt, len(args)) if question != "map" else ()
        if question == "batch":
            for w in wanted:
                if isinstance(w, int) and w not in rows.shared:
                    raise ValueError(
                        f"batch_value_and_grad: argument {w} has a value per row, so it has no "
                        "gradient summed over rows; use map_value_and_grad, or list it in shared"
                    )
        lanes = rows.lanes()
        key = (question, rows.shapes, rows.shared, wanted, lanes)
        entry = self._entries.get(key)
        if entry is None:
            with self._lock:
                entry = self._entries.get(key)
                if entry is None:
                    whole = Shape("tuple", None, rows.shapes, sum(s.size for s in rows.shapes))
                    entry = self._build(question, whole, wanted, rows.row_positions, lanes)
                    self._entries[key] = entry
        return entry, rows

    def _build(
        self,
        question: str,
        shape: Shape,
        wanted: tuple[Any, ...],
        row_positions: tuple[int, ...],
        lanes: int = 1,
    ) -> _Entry:
        started = time.perf_counter()
        program = Program()
        symbols = [Symbol(program, program.add_input()) for _ in range(shape.size)]
        stream = iter(symbols)
        arguments = [build(part, stream) for part in shape.parts]
        leaves: list[list[Symbol]] = []
        position = 0
        for part in shape.parts:
            leaves.append(symbols[position : position + part.size])
            position += part.size
        vector: list[Symbol] = []
        if question == "hvp":
            vector = leaves.pop()
            arguments.pop()
        result = self.function(*arguments)
        outputs, found = outputs_of(result, f"{self.__name__}: result")
        nodes = [x.index if type(x) is Symbol else program.node_of(x, "result") for x in found]
        if question in ("value_and_grad", "map_value_and_grad", "hessian", "hvp") and (
            outputs.kind != "number"
        ):
            raise TypeError(
                f"{question}: {self.__name__} must return one number to be differentiated, it "
                f"returned a {outputs.kind} of {outputs.size}; use jacobian for several"
            )
        inputs: list[int] = []
        for w in wanted:
            part_nodes = [s.index for s in leaves[w]] if isinstance(w, int) else []
            inputs += part_nodes if isinstance(w, int) else [program.node_of(w, "wrt")]
        each, sums = list(nodes), []
        if question in ("value_and_grad", "map_value_and_grad"):
            each += gradients(program, nodes[0], inputs)
        elif question == "batch":
            if not (
                outputs.kind == "number"
                or (
                    outputs.kind in ("tuple", "list")
                    and len(outputs.parts) == 2
                    and outputs.parts[0].kind == "number"
                )
            ):
                raise TypeError(
                    f"batch_value_and_grad: {self.__name__} must return the loss of a row, or a "
                    f"pair (loss, outputs); it returned a {outputs.kind} of {outputs.size}"
                )
            sums = gradients(program, nodes[0], inputs)
        elif question == "jacobian":
            each = [g for node in nodes for g in gradients(program, node, inputs)]
        elif question == "hessian":
            first = gradients(program, nodes[0], inputs)
            each = [g for node in first for g in gradients(program, node, inputs)]
        elif question == "hvp":
            if len(vector) != len(inputs):
                raise ValueError(
                    f"hvp: expected a vector of {len(inputs)} numbers, got {len(vector)}"
                )
            slopes = gradients(program, nodes[0], inputs)
            along: Any = sum((Symbol(program, g) * v for g, v in zip(slopes, vector)), 0.0)
            each = along.gradient([Symbol(program, x) for x in inputs])
            each = [g.index for g in each]
        places = _places(shape, row_positions, len(program.inputs))
        traced = time.perf_counter() - started
        lowered, results = lower(program, [*each, *sums], self.strict)
        widths = [shape.parts[i].size for i in row_positions]
        request = Request(
            lowered, places, widths, results[: len(each)], results[len(each) :], self.strict
        )
        size = len(lowered)
        kernel = Kernel(request, lanes)
        return _Entry(
            kernel, shape, outputs, list(program.captured), list(wanted), question, len(program),
            size, traced,
        )  # fmt: skip

    # --- running one ---

    def _run(self, entry: _Entry, args: tuple[Any, ...]) -> Any:
        """Run a single evaluation; the result is a view that the next call overwrites."""
        arrays = self._local.__dict__.setdefault("arrays", {})
        shared = arrays.get(id(entry))
        if shared is None:
            shared = arrays[id(entry)] = entry.kernel.shared_array()
        end = write_numbers(args, entry.shape, shared, 0, f"{self.__name__}: argument")
        for i, value in enumerate(entry.captured):
            shared[end + i] = value.data
        numbers = entry.kernel.run(shared)
        self._finite(numbers)
        return numbers

    def _run_rows(self, entry: _Entry, rows: _Rows, threads: int) -> tuple[Any, Any]:
        shared = entry.kernel.shared_array()
        end = 0
        for i in sorted(rows.shared):
            end = write_numbers(rows.args[i], rows.shapes[i], shared, end, self.__name__)
        for i, value in enumerate(entry.captured):
            shared[end + i] = value.data
        out, sums = entry.kernel.run_rows(shared, rows.matrices, threads)
        self._finite(out)
        return out, sums

    def _finite(self, numbers: Any) -> None:
        if self.check:
            import numpy

            finite = numpy.isfinite(numbers)
            if not finite.all():
                first = tuple(int(i) for i in numpy.argwhere(~finite)[0])
                raise FloatingPointError(
                    f"{self.__name__}: result number {first} is {numpy.asarray(numbers)[first]}; "
                    "the eager function says which operation it comes from"
                )


class _Rows:
    """The arguments of a call over rows, checked and brought into matrices."""

    def __init__(self, args: tuple[Any, ...], shared: tuple[int, ...], name: str) -> None:
        self.args = args
        self.shared = frozenset(shared)
        self.row_positions = tuple(i for i in range(len(args)) if i not in self.shared)
        if not self.row_positions:
            raise ValueError(f"{name}: every argument is shared, so there are no rows; call it")
        shapes: list[Shape] = []
        self.matrices: list[Any] = []
        count = None
        for i, x in enumerate(args):
            if i in self.shared:
                shapes.append(shape_of(x, f"{name}: argument {i}"))
                continue
            array = _as_rows(x, f"{name}: argument {i}")
            if count is not None and len(array) != count:
                raise ValueError(
                    f"{name}: argument {i}: expected {count} rows as before, got {len(array)}"
                )
            count = len(array)
            inner = array.shape[1:]
            shapes.append(Shape("array", inner, (), math.prod(inner)) if inner else NUMBER)
            self.matrices.append(array)
        self.shapes = tuple(shapes)

    def lanes(self) -> int:
        """Choose the number of lanes: one vector register's."""
        return native.native_lanes()


def _as_rows(x: Any, where: str) -> Any:
    """Return an argument with one entry per row as a C-contiguous array of floats."""
    import numpy

    array = x if is_array(x) else numpy.array(x, dtype=object)
    if array.ndim == 0:
        raise TypeError(f"{where}: expected rows, got one number; list it in shared")
    if array.dtype.kind not in "fiu":
        flat = [y.data if isinstance(y, Value) else to_float(y, where) for y in array.ravel()]
        array = numpy.array(flat, dtype=float).reshape(array.shape)
    return numpy.ascontiguousarray(array, dtype=numpy.float64)


def _places(shape: Shape, row_positions: tuple[int, ...], inputs: int) -> list[tuple[int, int]]:
    places: list[tuple[int, int]] = []
    shared = 0
    matrices = {position: m for m, position in enumerate(row_positions)}
    for i, part in enumerate(shape.parts):
        if i in matrices:
            places += [(matrices[i], j) for j in range(part.size)]
        else:
            places += [(-1, shared + j) for j in range(part.size)]
            shared += part.size
    return places + [(-1, shared + j) for j in range(inputs - len(places))]  # captured Values


def _holds_symbols(x: Any) -> bool:
    if isinstance(x, (list, tuple)):
        return any(type(y) is Symbol or _holds_symbols(y) for y in x)
    if isinstance(x, dict):
        return any(type(y) is Symbol or _holds_symbols(y) for y in x.values())
    if is_array(x):
        return x.dtype == object and any(type(y) is Symbol for y in x.ravel())
    return hasattr(x, "with_parameters") and any(type(p) is Symbol for p in x.parameters())


def _positions(positions: Sequence[int], count: int, what: str) -> tuple[int, ...]:
    for p in positions:
        if not isinstance(p, int) or not -count <= p < count:
            raise ValueError(f"{what}: expected positions from 0 to {count - 1}, got {p!r}")
    return tuple(p % count for p in positions)


def _wanted(wrt: Wrt, count: int) -> tuple[Any, ...]:
    if wrt is None:
        return tuple(range(count))
    several = wrt if isinstance(wrt, (list, tuple)) else (wrt,)
    return tuple(w if isinstance(w, Value) else _positions((w,), count, "wrt")[0] for w in several)


def _single(wrt: Wrt, args: tuple[Any, ...]) -> bool:
    return len(args) == 1 if wrt is None else not isinstance(wrt, (list, tuple))


def _wanted_shapes(entry: _Entry, shapes: tuple[Shape, ...]) -> list[Shape]:
    return [shapes[w] if isinstance(w, int) else NUMBER for w in entry.wanted]


def _gradients(entry: _Entry, args: tuple[Any, ...], numbers: Any, start: int, wrt: Wrt) -> Any:
    """Build the gradients from an array, in the structure of what they are taken by."""
    found = []
    for part in _wanted_shapes(entry, entry.shape.parts):
        found.append(read_numbers(part, numbers, start))
        start += part.size
    return found[0] if _single(wrt, args) else tuple(found)


def _describe(name: str, entry: _Entry) -> str:
    s = entry.kernel.statistics
    where = "from the cache on disk" if s.cached == s.modules else "compiled"
    return (
        f"{name}, {entry.title}: {entry.traced:,} scalar operations traced in "
        f"{entry.trace_seconds:.2f} s, {s.operations:,} after lowering; {s.loops} loops and "
        f"{s.straight:,} straight-line operations in {s.chunks} pieces, {s.lanes} lanes; "
        f"{s.code_bytes:,} bytes of code, {where} in {s.seconds:.2f} s"
    )
