"""One compiled variant of a function: for one shape of arguments and one question about them.

The question is what is wanted: the value, the value and the gradient, a Hessian, and so on. Here a
function is traced, differentiated, lowered and handed to a kernel; what the public methods do with
the kernel is in ``api.py``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from tinygrad_edu.compiler.kernel import Kernel
from tinygrad_edu.compiler.loops.storage import Request
from tinygrad_edu.compiler.trace.arguments import NUMBER, Shape, build, outputs_of
from tinygrad_edu.compiler.trace.compressed import (
    Compressed,
    compressed_hessian,
    compressed_jacobian,
)
from tinygrad_edu.compiler.trace.gradient_program import gradients
from tinygrad_edu.compiler.trace.lowering import lower
from tinygrad_edu.compiler.trace.program import Program, outside
from tinygrad_edu.compiler.trace.program_form import form_of_program
from tinygrad_edu.compiler.trace.scan_row import CannotScan
from tinygrad_edu.compiler.trace.scan_trace import recorder, symbols_for
from tinygrad_edu.compiler.trace.symbol import Symbol, node_in
from tinygrad_edu.compiler.trace.tangent_program import ForwardMode
from tinygrad_edu.engine.tracing import lifting
from tinygrad_edu.engine.value import Value

ONE_NUMBER = ("value_and_grad", "map_value_and_grad", "hessian", "sparse_hessian", "hvp")
ALONG = ("hvp", "jvp", "vjp")  # questions about a direction, which is the last argument


class Variant:
    """A traced and compiled function.

    Args:
        function: What to trace.
        question: The name of the public method that asks.
        shapes: The shape of each argument; of one row, where an argument has rows.
        wanted: What to differentiate by: positions of arguments, and captured Values.
        row_positions: Which arguments have a value per row.
        lanes: How many rows are computed together.
        strict: See ``compile``.
        make_kernel: What becomes of the lowered program; export makes files instead of a kernel.
        exact: Whether derivatives of what was not chosen are left out even where they are infinite
            or nan. It costs selections, so it is asked for where a result came out as nan.

    Attributes:
        inexact: Whether such derivatives can make a nan of a result.
        kernel: The native code.
        shapes, row_positions: As given.
        wanted: As given.
        outputs: The shape of what the function returns.
        slopes: The shapes of what is differentiated by.
        captured: Values of the surroundings whose data are inputs.
        compressed: For sparse derivatives, which entries the numbers are.

    Raises:
        TypeError: If the function cannot be traced, or returns what the question does not allow.
    """

    outputs: Shape

    def __init__(
        self,
        function: Callable[..., Any],
        question: str,
        shapes: tuple[Shape, ...],
        wanted: tuple[Any, ...],
        row_positions: tuple[int, ...],
        lanes: int,
        strict: bool,
        make_kernel: Callable[[Request, int], Kernel] = Kernel,
        exact: bool = False,
    ) -> None:
        started = time.perf_counter()
        self.question = question
        self.shapes = shapes
        self.row_positions = row_positions
        self.wanted = wanted
        self.name: Any | str = getattr(function, "__name__", "function")
        try:
            program, each, sums = self._trace(function, True, exact)
        except CannotScan:  # it is asked about a loop what only its turns can tell
            program, each, sums = self._trace(function, False, exact)
        self.inexact: bool = program.masked and not exact
        # 3. Lower it and compile it.
        self.captured: list[Value] = list(program.captured)
        places = _places(shapes, row_positions, len(program.inputs))
        self.traced: int = len(program)
        lowered, results = lower(program, [*each, *sums], strict)
        del program
        self.trace_seconds: float = time.perf_counter() - started
        widths = [shapes[i].size for i in row_positions]
        count = len(each)
        request = Request(lowered, places, widths, results[:count], results[count:], strict)
        self.kernel: Kernel = make_kernel(request, lanes)

    def _trace(
        self, function: Callable[..., Any], scans: bool, exact: bool
    ) -> tuple[Program, list[int], list[int]]:
        """Return the program, the nodes wanted for every row, and those wanted summed over rows.

        Args:
            function: What to trace.
            scans: Whether a ``scan`` stays a loop.
            exact: See the class.
        """
        shapes, question = self.shapes, self.question
        # 1. Run the function on symbols.
        program, leaves, result = _run_on_symbols(function, shapes, question, scans)
        program.exact, program.hasty = exact, not exact
        self.outputs, found = outputs_of(result, f"{self.name}: result")
        nodes = [node_in(program, x, "result") for x in found]
        if program.interior:
            _check_inside(program.interior, function, shapes, question, scans)
        program.interior = None
        vector = leaves.pop() if question in ALONG else []
        self._check_outputs()
        # 2. Append what is asked for.
        inputs: list[int] = []
        self.slopes: list[Shape] = []
        for w in self.wanted:
            captured = isinstance(w, Value)
            self.slopes.append(NUMBER if captured else shapes[w])
            inputs += [program.node_of(w, "wrt")] if captured else [s.index for s in leaves[w]]
        self.compressed: Compressed | None = None
        each, sums = self._derivatives(program, nodes, inputs, vector)
        return program, each, sums

    def _check_outputs(self) -> None:
        outputs, what = self.outputs, f"a {self.outputs.kind} of {self.outputs.size}"
        if self.question in ONE_NUMBER and outputs.kind != "number":
            raise TypeError(
                f"{self.question}: {self.name} must return one number to be differentiated, it "
                f"returned {what}; use jacobian for several"
            )
        pair = outputs.kind in ("tuple", "list") and (
            outputs.size == 2 if not outputs.parts
            else len(outputs.parts) == 2 and outputs.parts[0].kind == "number"
        )  # fmt: skip
        if self.question == "batch" and not pair and outputs.kind != "number":
            raise TypeError(
                f"batch_value_and_grad: {self.name} must return the loss of a row, or a pair "
                f"(loss, outputs); it returned {what}"
            )

    def _derivatives(
        self, program: Program, nodes: list[int], inputs: list[int], vector: list[Symbol]
    ) -> tuple[list[int], list[int]]:
        """Return the nodes wanted for every row, and those wanted summed over the rows."""
        question = self.question
        if question in ("value_and_grad", "map_value_and_grad"):
            return [*nodes, *gradients(program, nodes[0], inputs)], []
        if question == "batch":
            return nodes, [*gradients(program, nodes[0], inputs), nodes[0]]
        if question == "jacobian":
            return [g for node in nodes for g in gradients(program, node, inputs)], []
        if question == "hessian":
            slopes = gradients(program, nodes[0], inputs)
            return [g for node in slopes for g in gradients(program, node, inputs)], []
        if question in ("sparse_jacobian", "sparse_hessian"):
            if question == "sparse_jacobian":
                self.compressed, each = compressed_jacobian(program, inputs, nodes)
            else:
                self.compressed, each = compressed_hessian(program, inputs, nodes[0])
            return each, []
        if question == "jvp":
            self._check_direction("tangent", len(vector), len(inputs))
            direction = {node: v.index for node, v in zip(inputs, vector)}
            return [*nodes, *ForwardMode(program, inputs, nodes).tangents(direction)], []
        if question == "vjp":
            self._check_direction("cotangent", len(vector), len(nodes))
            weighed: Any = sum((Symbol(program, y) * v for y, v in zip(nodes, vector)), 0.0)
            if type(weighed) is not Symbol:  # the function returns no numbers
                return [*nodes, *[program.constant(0.0) for _ in inputs]], []
            return [*nodes, *gradients(program, weighed.index, inputs)], []
        if question == "hvp":
            self._check_direction("vector", len(vector), len(inputs))
            slopes = gradients(program, nodes[0], inputs)
            along: Any = sum((Symbol(program, g) * v for g, v in zip(slopes, vector)), 0.0)
            if type(along) is not Symbol:
                return [], []
            return gradients(program, along.index, inputs), []
        return nodes, []

    def _check_direction(self, what: str, got: int, wanted: int) -> None:
        if got != wanted:
            raise ValueError(f"{self.question}: expected a {what} of {wanted} numbers, got {got}")

    def report(self) -> str:
        """Say in plain words what was traced and what came out."""
        s = self.kernel.statistics
        where = "from the cache on disk" if s.cached == s.modules else "compiled"
        sparse = f", {self.compressed}" if self.compressed is not None else ""
        scans = f"{s.scans} scan{'s' * (s.scans > 1)}, " if s.scans else ""
        return (
            f"{self.name}, {self.question}{sparse}: {self.traced:,} scalar operations traced in "
            f"{self.trace_seconds:.2f} s, {s.operations:,} after lowering; {scans}{s.loops} loops "
            f"and {s.straight:,} straight-line operations in {s.chunks} pieces, {s.lanes} lanes; "
            f"{s.code_bytes:,} bytes of code, {where} in {s.seconds:.2f} s"
        )


def _run_on_symbols(
    function: Callable[..., Any], shapes: Sequence[Shape], question: str, scans: bool
) -> tuple[Program, list[list[Symbol]], Any]:
    """Return the program of a run, the symbols of each argument, and the function's result."""
    program = Program()
    program.interior = {}
    leaves = [[Symbol(program, program.add_input()) for _ in range(x.size)] for x in shapes]
    arguments = [build(shape, iter(nodes)) for shape, nodes in zip(shapes, leaves)]
    if question in ALONG:
        arguments.pop()  # the direction
    with lifting(symbols_for(program), recorder(program) if scans else None):
        result = function(*arguments)
    return program, leaves, result


def check_repeats(function: Callable[..., Any], shapes: Sequence[Shape], question: str) -> None:
    """Check that a function which changes what it uses does the same again all the same.

    Raises:
        TypeError: If it does not: compiled code would repeat what it did the first time.
    """
    forms = []
    for _ in range(2):
        program, _, result = _run_on_symbols(function, shapes, question, True)
        nodes = [node_in(program, x, "result") for x in outputs_of(result, "result")[1]]
        forms.append(form_of_program(program, nodes))
    if forms[0] != forms[1]:
        raise TypeError(
            "compile: the function does something else each time it is called (it draws "
            "random numbers, or changes what it uses), and compiled code would repeat what it did "
            "once; pass what changes as an argument"
        )


def _check_inside(
    interior: dict[Value, int],
    function: Callable[..., Any],
    shapes: Sequence[Shape],
    question: str,
    scans: bool,
) -> None:
    """Check that Values with a history were computed inside the function.

    Then a second run makes new ones; one that turns up again comes from outside. The engine goes on
    with the number it has, whatever becomes of the Values it was computed from, which compiled code
    cannot do: that stays an error.
    """
    program, _, result = _run_on_symbols(function, shapes, question, scans)
    for x in outputs_of(result, "result")[1]:
        if type(x) is not Symbol:
            program.node_of(x, "result")
    for value in program.interior or ():
        if value in interior:
            raise outside(value)


def _places(
    shapes: Sequence[Shape], row_positions: tuple[int, ...], inputs: int
) -> list[tuple[int, int]]:
    """Say for each input of the program where it is; see ``Request.places``."""
    places: list[tuple[int, int]] = []
    shared = 0
    matrices = {position: m for m, position in enumerate(row_positions)}
    for i, shape in enumerate(shapes):
        if i in matrices:
            places += [(matrices[i], j) for j in range(shape.size)]
        else:
            places += [(-1, shared + j) for j in range(shape.size)]
            shared += shape.size
    return places + [(-1, shared + j) for j in range(inputs - len(places))]  # captured Values
