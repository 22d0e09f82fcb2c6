"""What training in native code is made of: loss, penalty and update, traced and lowered.

All of it is the scalar code that ``EagerEngine`` runs on Values, run on symbols instead. Each part
is traced twice: code that does something else the second time (drops units at random, counts its
calls) would be frozen as it was the first time, so it is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tinygrad_edu.compiler.emit import machine_code as native
from tinygrad_edu.compiler.kernel import Kernel
from tinygrad_edu.compiler.loops.storage import Request
from tinygrad_edu.compiler.trace.gradient_program import gradients
from tinygrad_edu.compiler.trace.lowering import lower
from tinygrad_edu.compiler.trace.program import Program
from tinygrad_edu.compiler.trace.program_form import form_of_program
from tinygrad_edu.compiler.trace.scan_row import CannotScan
from tinygrad_edu.compiler.trace.scan_trace import recorder, symbols_for
from tinygrad_edu.compiler.trace.symbol import Symbol, node_in
from tinygrad_edu.engine.tracing import lifting
from tinygrad_edu.engine.value import Value
from tinygrad_edu.nn.loss import predictor
from tinygrad_edu.optim import Optimizer
from tinygrad_edu.training.problem import Problem


class Traced:
    """A program with parameters as its first inputs, and what else it takes and gives.

    Attributes:
        program: What was traced.
        inputs: The nodes of all inputs that are not captured.
        outputs: The nodes of what ``function`` returned.
        captured: Leaf Values from elsewhere that it uses; they are the last inputs.
    """

    program: Program
    inputs: list[int]
    outputs: list[int]

    def __init__(
        self,
        function: Callable[[list[Symbol]], Sequence[Any]],
        count: int,
        parameters: Sequence[Value] = (),
    ) -> None:
        scans = True
        try:
            self.program, self.inputs, self.outputs = _trace(function, count, parameters, scans)
        except CannotScan:  # something is asked of a loop that only its turns can tell
            scans = False
            self.program, self.inputs, self.outputs = _trace(function, count, parameters, scans)
        again = _trace(function, count, parameters, scans)
        if form_of_program(self.program, self.outputs) != form_of_program(again[0], again[2]):
            raise TypeError(
                "it does something else each time it is called, and compiled code would repeat "
                "what it did once"
            )
        known = set(parameters)
        self.captured: list[Value] = [
            value for value in self.program.captured if value not in known
        ]


def _trace(
    function: Callable[[list[Symbol]], Sequence[Any]],
    count: int,
    parameters: Sequence[Value],
    scans: bool,
) -> tuple[Program, list[int], list[int]]:
    program = Program()
    symbols = [Symbol(program, program.add_input()) for _ in range(count)]
    # A parameter that is met elsewhere, say in a penalty's closure, is the same parameter.
    program.captured.update((p, s.index) for p, s in zip(parameters, symbols))
    with lifting(symbols_for(program), recorder(program) if scans else None):
        found = function(symbols)
    outputs = [node_in(program, x, "result") for x in found]
    return program, [s.index for s in symbols], outputs


class Objective:
    """Loss and penalty of a problem, and the kernels made of them.

    Attributes:
        parameters, inputs, targets: How many numbers there are: parameters, and in each row.
        listed: Whether targets are lists of numbers.
    """

    def __init__(self, problem: Problem, exact: bool = False) -> None:
        self.problem = problem
        self.exact = exact  # see Program.exact
        lists = [len(t) for t in problem.targets if isinstance(t, (list, tuple))]
        self.listed: bool = bool(lists)
        self.parameters: int = len(problem.parameters)
        self.inputs: int = len(problem.rows[0])
        self.targets: int = lists[0] if lists else 1
        count = self.parameters + self.inputs + self.targets
        self.loss: Traced = Traced(self._example, count, problem.parameters)
        self.penalty: Traced | None = None
        if problem.penalty is not None:
            self.penalty = Traced(self._penalty, self.parameters, problem.parameters)
        self._penalty_kernel: Kernel | None = None

    def _example(self, symbols: list[Symbol]) -> Sequence[Any]:
        problem, p, n = self.problem, self.parameters, self.inputs
        target: Any = symbols[p + n :] if self.listed else symbols[p + n]
        model = problem.model.with_parameters(symbols[:p])
        prediction = predictor(model, problem.loss)(symbols[p : p + n])
        loss = problem.loss(prediction, target)
        if not problem.loss.classifies:
            return loss, 0.0
        return loss, problem.loss.correct(prediction, target)

    def _penalty(self, symbols: list[Symbol]) -> Sequence[Any]:
        assert self.problem.penalty is not None
        penalty = self.problem.penalty(symbols)
        return (-penalty if self.problem.loss.maximize else penalty,)

    def rows_kernel(self, gradient: bool = True) -> Kernel:
        """Return the kernel over rows; its sums are loss, correct predictions, gradient."""
        matrices = [(0, j) for j in range(self.inputs)] + [(1, j) for j in range(self.targets)]
        places = [*((-1, i) for i in range(self.parameters)), *matrices]
        places += [(-1, self.parameters + i) for i in range(len(self.loss.captured))]
        widths = [self.inputs, self.targets]
        return self._kernel(self.loss, gradient, places, widths)

    def single_kernel(self) -> Kernel:
        """Return the kernel for one row, given as shared inputs behind the parameters."""
        count = len(self.loss.inputs) + len(self.loss.captured)
        return self._kernel(self.loss, True, [(-1, i) for i in range(count)], [])

    def penalty_kernel(self) -> Kernel:
        """Return the kernel of the penalty and its gradient."""
        assert self.penalty is not None
        if self._penalty_kernel is None:
            count = len(self.penalty.inputs) + len(self.penalty.captured)
            places = [(-1, i) for i in range(count)]
            self._penalty_kernel = self._kernel(self.penalty, True, places, [])
        return self._penalty_kernel

    def _kernel(
        self, traced: Traced, gradient: bool, places: list[tuple[int, int]], widths: list[int]
    ) -> Kernel:
        wanted = list(traced.outputs)
        if gradient:
            parameters = traced.inputs[: self.parameters]
            traced.program.exact = self.exact
            wanted += gradients(traced.program, wanted[0], parameters)
        lowered, nodes = lower(traced.program, wanted, False)
        each, sums = ([], nodes) if widths else (nodes, [])
        return Kernel(Request(lowered, places, widths, each, sums, False), native.native_lanes())


def lowered_update(optimizer: Optimizer) -> tuple[Program, list[int]]:
    """Return an optimizer's update as a lowered program, and its outputs: parameter and state.

    Its inputs are parameter, gradient, state, learning rate, number of the step.

    Raises:
        TypeError: If the steps are not what ``update`` says, or it cannot be traced.
    """
    kind = type(optimizer)
    if kind.step is not Optimizer.step or kind.learning_rate is not Optimizer.learning_rate:
        raise TypeError(f"{kind.__name__} steps in a way of its own, not by update alone")
    depth = len(optimizer.initial)

    def step(symbols: list[Symbol]) -> Sequence[Any]:
        parameter, gradient, *state, rate, number = symbols
        upwards = -1.0 if optimizer.maximize else 1.0
        moved, after = optimizer.update(parameter, upwards * gradient, tuple(state), rate, number)
        if len(after) != depth:
            raise TypeError(
                f"{kind.__name__}.update: expected a state of {depth}, got {len(after)}"
            )
        return moved, *after

    traced = Traced(step, depth + 4)
    if traced.captured:
        raise TypeError(f"{kind.__name__}.update uses Values; expected numbers")
    return lower(traced.program, traced.outputs, False)
