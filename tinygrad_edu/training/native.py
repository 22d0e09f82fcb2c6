"""Training in native code: the engine behind ``fit(..., compiled=True)``.

An epoch (rows of each batch, forward pass, loss, gradients, accuracy, penalty, clipping, the
optimizer's update) is one call of native code (``steps_ir.py``) on contiguous arrays of doubles.
The parameters' Values and the optimizer are brought up to date at the end of each epoch. (The
notes, sections 'Optimization' and 'The Backpropagation Algorithm'.)

What cannot be compiled is trained by the eager engine, after a warning that says why. So that
nothing is silently wrong, both engines take one step on the first example before training starts
and must agree; and a step whose numbers are not finite is taken back and given to the eager engine,
whose errors name the operation.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from itertools import chain
from time import perf_counter
from typing import Any

from tinygrad_edu.compiler.emit import machine_code as native
from tinygrad_edu.compiler.emit.steps_ir import PLAN, Step, steps_ir
from tinygrad_edu.compiler.trace.surroundings import Survey
from tinygrad_edu.engine.gradient import grad
from tinygrad_edu.engine.number import as_float
from tinygrad_edu.engine.value import Value
from tinygrad_edu.nn.loss import predictor
from tinygrad_edu.optim import Constant
from tinygrad_edu.training.eager import EagerEngine, Measured
from tinygrad_edu.training.objective import Objective, lowered_update
from tinygrad_edu.training.problem import Problem

_CALL_SECONDS = 0.05  # how long native code may run before Python looks for a Ctrl-C


class CompiledEngine:
    """Trains in native code; see ``StepEngine``.

    Results equal the eager engine's up to rounding: sums are formed in another order. Where eager
    code raises within a step (``exp`` of 1000), native code goes on with ``inf`` as IEEE 754 has
    it; if the step comes out finite all the same, it is taken.

    Raises:
        ImportError: If numpy or llvmlite is missing.

    >>> from tinygrad_edu.nn import LinearRegression, squared_error
    >>> from tinygrad_edu.training import fit
    >>> line = LinearRegression(1, seed=0)
    >>> history = fit(line, [[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0], loss=squared_error.mean(),
    ...               learning_rate=0.3, epochs=500, compiled=True)
    >>> [round(p.data, 6) for p in line.parameters()]
    [2.0, 1.0]
    """

    def __init__(self, problem: Problem) -> None:
        native.llvm()
        self.problem = problem
        self._eager = EagerEngine(problem)
        self._refused = False
        self._objective: Objective | None = None
        self._trainers: dict[bool, _Trainer] = {}
        self._evaluator: _Evaluator | None = None
        self._exact = False  # whether code leaves out what was not chosen even where it is nan
        self._trained = self._compared = 0.0  # seconds of training, and of looking it over
        self._own: frozenset[Any] = frozenset()  # what the functions themselves change
        self._seen: list[Survey] = []  # what has been traced, and what it uses

    def _follow(self) -> None:
        """Let all be traced again where what it uses has changed: a rate, a flag, a weight."""
        if self._refused or (self._seen and all(survey.unchanged() for survey in self._seen)):
            return
        self._look_around()
        self._objective, self._evaluator = None, None
        self._trainers.clear()

    def _look_around(self) -> None:
        p = self.problem
        parts = (p.model, p.loss, p.penalty, p.optimizer)
        self._seen = [Survey(x, ignored=self._own) for x in parts]

    def epoch(self, batches: Sequence[Sequence[int]], number: int) -> Measured:
        """Take one step for each batch; see ``StepEngine``."""
        self._follow()
        trainer = self._trainer(max(map(len, batches)) == 1)
        if trainer is None:
            return self._eager.epoch(batches, number)
        p = self.problem
        started = perf_counter()
        trainer.read()
        rates = trainer.plan(batches)
        done, again = 0, False
        sums = [0.0] * 4  # of losses, penalties, gradient norms, correct predictions
        try:
            while done < len(batches):
                taken, found = trainer.run(done)
                if taken == 0:  # not finite; the eager engine says why, or knows better
                    trainer.write()
                    again = again or not self._exact
                    found = self._eager.step(batches[done], number, done + 1)
                    trainer.read()
                    trainer.plan(batches, done + 1)
                    taken = 1
                done += taken
                sums = [a + b for a, b in zip(sums, found)]
        finally:
            trainer.write()
        if again:  # it was finite after all: compile code that tells so
            self._exact, self._objective, self._evaluator = True, None, None
            self._trainers.clear()
        elif not self._refused:
            self._look_over(trainer, number, started)
        loss, penalty, norm, correct = sums
        if p.loss.reduction == "mean":
            loss /= sum(map(len, batches))
        return Measured(
            loss + penalty / len(batches),
            round(correct) if p.loss.classifies else None,
            norm / len(batches),
            rates[-1],
        )

    def _look_over(self, trainer: _Trainer, number: int, started: float) -> None:
        """Compare one row with eager code, another one each epoch, in 2 % of the time at most."""
        begun = perf_counter()
        self._trained += begun - started
        if self._compared > 0.02 * self._trained or self._objective is None:
            return
        rows = self.problem.rows
        try:
            _compare(self._objective, trainer, [number * 7919 % len(rows)])
        except TypeError as error:
            self._refused = True
            warnings.warn(
                f"fit(compiled=True) trains eagerly from epoch {number + 1} on: {error}",
                RuntimeWarning,
                stacklevel=5,
            )
        self._compared += perf_counter() - begun

    def evaluate(self, rows: Sequence[Sequence[float]], targets: Sequence[Any]) -> Measured:
        """Return loss and correct predictions with present parameters."""
        objective = self._objective
        if objective is None or self._refused:
            return self._eager.evaluate(rows, targets)
        if self._evaluator is None:
            self._evaluator = _Evaluator(objective)
        if objective.listed or not any(isinstance(t, (list, tuple)) for t in targets):
            measured = self._evaluator.run(rows, targets)
            if math.isfinite(measured.loss):
                return measured
        return self._eager.evaluate(rows, targets)  # names the operation that has no finite value

    def _trainer(self, single: bool) -> _Trainer | None:
        """Return what trains in batches of one row, or of any; ``None``: nothing can."""
        if self._refused:
            return None
        trainer = self._trainers.get(single)
        if trainer is None:
            try:
                if self._objective is None:
                    self._objective = Objective(self.problem, self._exact)
                trainer = _Trainer(self._objective, single)
                _rehearse(trainer, self._eager)
                rows = _one_of_each(self.problem.targets)
                if not _compare(self._objective, trainer, rows) and not self._exact:
                    self._exact = True
                    self._objective = Objective(self.problem, True)
                    trainer = _Trainer(self._objective, single)
                    _rehearse(trainer, self._eager)
                    _compare(self._objective, trainer, rows)
            except Exception as error:  # user code runs here: whatever it raises, eager code works
                self._refused = True
                kind = "" if type(error) is TypeError else f"{type(error).__name__}: "
                warnings.warn(
                    f"fit(compiled=True) trains eagerly, this cannot be compiled: {kind}{error}",
                    RuntimeWarning,
                    stacklevel=5,
                )
                return None
            self._trainers[single] = trainer
            own = {change for survey in self._seen for change in survey.changes()}
            if own:  # a counter of calls, say, of which nothing that was traced depends
                self._own |= own
                self._look_around()
        return trainer


class _Trainer:
    """The arrays of a training, and the native code that takes steps on them."""

    def __init__(self, objective: Objective, single: bool) -> None:
        import numpy

        self._numpy = numpy
        self._objective, self.problem = objective, objective.problem
        problem = self.problem
        self.single = single
        optimizer = problem.optimizer
        update, updated = lowered_update(optimizer)
        self._step = step = Step(
            parameters=objective.parameters,
            inputs=objective.inputs,
            targets=objective.targets,
            single=single,
            mean=problem.loss.reduction == "mean",
            penalty=objective.penalty is not None,
            clip_norm=problem.clip_norm,
            clip_value=problem.clip_value,
            update=update,
            updated=updated,
        )
        self._loss = objective.single_kernel() if single else objective.rows_kernel()
        self._penalty = objective.penalty_kernel() if objective.penalty else None
        code, _ = native.compile_object(steps_ir(step), 2)
        self._library = native.Library([code])
        self._steps = self._library.function("steps", 3)
        # The arrays; parameters and state have twins, see steps_ir.
        zeros = numpy.zeros
        self._shared = [self._loss.shared_array() for _ in range(2)]
        self._state = [zeros((step.parts, step.part)) for _ in range(2)]
        self._penalty_shared = self._penalty.shared_array() if self._penalty else zeros(1)
        self._inputs, self._targets = _matrices(objective, problem.rows, problem.targets)
        self._report = zeros(5)
        self._kept = [zeros(step.parameters + 2), zeros(2, numpy.uint64)]  # results, matrices
        self._tables: list[Any] = []  # which rows each step takes, and the rates
        self._rates: Any = None
        self._batches: list[Sequence[int]] = []  # whose tables these are
        self._plan = zeros(len(PLAN), numpy.int64)
        self._plan_fixed()
        self._known: list[float] = []  # what the Values held when last seen
        self._known_state: Any = None
        self._taken = 0  # steps that the Values do not know of
        self._at_once = 16  # steps in one call

    # --- Values to arrays and back ---

    def read(self) -> None:
        """Take over the parameters, the optimizer's state, and captured Values."""
        problem, count = self.problem, self._step.parameters
        numbers = [p._data for p in problem.parameters]  # the property takes four times as long
        if numbers != self._known:
            self._shared[0][:count] = numbers
            self._known = numbers
        optimizer = problem.optimizer
        if optimizer._state is not self._known_state:
            before = self._numpy.array(optimizer._state or [optimizer.initial] * count, float)
            self._state[0][1:, :count] = before.reshape(count, self._step.parts - 1).T
            self._known_state = optimizer._state
        end = len(self._objective.loss.inputs) if self.single else count
        for i, value in enumerate(self._objective.loss.captured, start=end):
            for shared in self._shared:
                shared[i] = value.data
        if self._objective.penalty:
            for i, value in enumerate(self._objective.penalty.captured, start=count):
                self._penalty_shared[i] = value.data
        self._taken = 0

    def write(self) -> None:
        """Bring the Values and the optimizer up to date with the steps taken."""
        if not self._taken:
            return
        problem, count = self.problem, self._step.parameters
        self._known = self._shared[0][:count].tolist()
        gradient, *state = self._state[0][:, :count].tolist()
        for p, number, slope in zip(problem.parameters, self._known, gradient):
            p._data, p.grad = number, slope  # leaves, and finite: nothing left to check
        optimizer = problem.optimizer
        optimizer._state = list(zip(*state)) if state else [()] * count
        optimizer.steps += self._taken
        self._known_state = optimizer._state
        self._taken = 0

    def look(self) -> tuple[list[float], list[list[float]]]:
        """Return the parameters, and their gradient and state, as the arrays have them."""
        count = self._step.parameters
        return self._shared[0][:count].tolist(), self._state[0][:, :count].tolist()

    def forget(self) -> None:
        """Drop the steps that the Values do not know of."""
        self._known, self._known_state, self._taken = [], None, 0

    # --- steps ---

    def plan(self, batches: Sequence[Sequence[int]], begin: int = 0) -> list[float]:
        """Prepare the steps of an epoch from number ``begin`` on; return all learning rates."""
        optimizer = self.problem.optimizer
        if batches != self._batches:
            self._plan_rows(batches)
            self._batches = list(batches)
        if type(optimizer.schedule) is Constant:
            rates = [optimizer.learning_rate] * len(batches)
        else:
            rates = [optimizer.learning_rate_after(i - begin) for i in range(len(batches))]
        self._rates[:] = rates
        self._put(steps_before=optimizer.steps - begin)
        return rates

    def run(self, begin: int) -> tuple[int, Sequence[float]]:
        """Take steps from number ``begin`` of the epoch on, as many as fit in a short time.

        Returns:
            How many were taken, and over these the sums of the losses, of the penalties, of the
            gradients' lengths and of the correct predictions. 0: the next step is not finite.
        """
        end = min(begin + self._at_once, len(self._batches))
        started = perf_counter()
        self._report[:] = 0.0
        try:
            self._steps(self._plan_address, begin, end)
        finally:  # a Ctrl-C during the call is raised after it: its steps count
            taken = int(self._report[:1].view(self._plan.dtype)[0])
            if taken % 2:
                self._swap()
            self._taken += taken
        elapsed = perf_counter() - started
        if elapsed > 2.0 * _CALL_SECONDS:
            self._at_once = max(1, self._at_once // 2)
        elif elapsed < _CALL_SECONDS and end - begin == self._at_once:
            self._at_once *= 2
        return taken, self._report[1:].tolist()

    def row(self, i: int) -> tuple[float, list[float]]:
        """Return loss and gradient of one row with the Values' numbers, apart from all steps."""
        count, kernel = self._step.parameters, self._loss
        shared = kernel.shared_array()
        shared[:count] = [p._data for p in self.problem.parameters]
        inputs, targets = self._inputs[i : i + 1], self._targets[i : i + 1]
        end = count
        if self.single:
            end = len(self._objective.loss.inputs)
            shared[count : count + inputs.size] = inputs[0]
            shared[count + inputs.size : end] = targets[0]
        for k, value in enumerate(self._objective.loss.captured, start=end):
            shared[k] = value.data
        numbers = (
            kernel.run(shared) if self.single else kernel.run_rows(shared, [inputs, targets])[1]
        )
        loss, _, *gradient = numbers.tolist()
        return loss, gradient

    def _swap(self) -> None:
        """Let the twins change places."""
        self._shared.reverse()
        self._state.reverse()
        plan, (shared, other, now, following) = self._plan, self._twins
        plan[shared], plan[other] = plan[other], plan[shared]
        plan[now], plan[following] = plan[following], plan[now]

    # --- the plan: addresses for native code ---

    def _put(self, **words: int) -> None:
        for name, word in words.items():
            self._plan[PLAN.index(name)] = word

    def _plan_fixed(self) -> None:
        loss = self._loss.addresses()
        results, matrices = self._kept
        self._put(
            loss_part=loss.shared_part, loss_rows=loss.rows, loss_tables=loss.tables,
            tile=loss.tile, sums=loss.sums, scratch=loss.scratch, loss_outputs=loss.outputs,
            results=results.ctypes.data, matrices=matrices.ctypes.data,
            inputs=self._inputs.ctypes.data, targets=self._targets.ctypes.data,
            report=self._report.ctypes.data,
            shared=self._shared[0].ctypes.data, other=self._shared[1].ctypes.data,
            now=self._state[0].ctypes.data, next=self._state[1].ctypes.data,
        )  # fmt: skip
        if self._penalty:
            penalty, shared = self._penalty.addresses(), self._penalty_shared.ctypes.data
            self._put(
                penalty_part=penalty.shared_part, penalty_tables=penalty.tables,
                penalty_shared=shared, penalty_results=shared + 8 * penalty.outputs,
            )  # fmt: skip
        self._plan_address = self._plan.ctypes.data
        self._twins = [PLAN.index(name) for name in ("shared", "other", "now", "next")]

    def _plan_rows(self, batches: Sequence[Sequence[int]]) -> None:
        """Write down which rows each step takes: neighbours by the first, others one by one."""
        numpy, step, count = self._numpy, self._step, len(batches)
        if self.single:
            sources = [batch[0] for batch in batches]
        else:
            sources = [b.start if type(b) is range and b.step == 1 else -1 for b in batches]
        sizes = [len(batch) for batch in batches]
        starts = numpy.zeros(count + 1, numpy.int64)
        numpy.cumsum(sizes, out=starts[1:])
        order, room = numpy.zeros(0, numpy.int64), 0
        if min(sources) < 0:
            order = numpy.fromiter(chain.from_iterable(batches), numpy.int64, int(starts[-1]))
            room = max(sizes)
        gathered = [numpy.empty((room, width)) for width in (step.inputs, step.targets)]
        self._rates = numpy.zeros(count)
        self._tables = [order, starts, numpy.array(sources, numpy.int64), *gathered, self._rates]
        names = ("order", "starts", "sources", "batch_inputs", "batch_targets", "rates")
        self._put(**{name: table.ctypes.data for name, table in zip(names, self._tables)})


class _Evaluator:
    """Loss and correct predictions over many rows, without gradients."""

    def __init__(self, objective: Objective) -> None:
        self._objective = objective
        self._kernel = objective.rows_kernel(gradient=False)
        self._shared = self._kernel.shared_array()
        self._penalty = objective.penalty_kernel() if objective.penalty else None
        self._data: tuple[Any, Any, list[Any]] = (None, None, [])

    def run(self, rows: Sequence[Any], targets: Sequence[Any]) -> Measured:
        """Return what ``StepEngine.evaluate`` does."""
        objective = self._objective
        problem, count = objective.problem, objective.parameters
        if rows is not self._data[0] or targets is not self._data[1]:  # the same ones every epoch
            self._data = (rows, targets, _matrices(objective, rows, targets))
        numbers = [p.data for p in problem.parameters]
        shared = self._shared
        shared[:count] = numbers
        for i, value in enumerate(objective.loss.captured, start=count):
            shared[i] = value.data
        _, (loss, correct) = self._kernel.run_rows(shared, self._data[2])
        total = float(loss)
        if problem.loss.reduction == "mean":
            total /= len(rows)
        if self._penalty and objective.penalty:
            shared = self._penalty.shared_array()
            shared[:count] = numbers
            for i, value in enumerate(objective.penalty.captured, start=count):
                shared[i] = value.data
            total += float(self._penalty.run(shared)[0])
        return Measured(total, round(float(correct)) if problem.loss.classifies else None)


def _matrices(objective: Objective, rows: Sequence[Any], targets: Sequence[Any]) -> list[Any]:
    """Return rows and targets as matrices; where some targets are lists, classes become one-hot."""
    import numpy

    width = objective.targets
    if objective.listed:
        targets = [
            t if isinstance(t, (list, tuple)) else [float(k == t) for k in range(width)]
            for t in targets
        ]
    return [numpy.array(x, numpy.float64).reshape(len(rows), -1) for x in (rows, targets)]


def _rehearse(trainer: _Trainer, eager: EagerEngine) -> None:
    """Take one step on the first example with both engines, compare, and undo it.

    Tracing sees one way through the code. Code that takes another way for numbers than for symbols
    (it may ask for types) would train something else.

    Raises:
        TypeError: If they do not agree.
    """
    problem = eager.problem
    parameters, optimizer = problem.parameters, problem.optimizer
    trainer.read()
    rate = trainer.plan([[0]])[0]
    start, (_, *before) = trainer.look()
    taken, found = trainer.run(0)
    moved, (gradient, *after) = trainer.look()
    trainer.forget()
    held = [(p.data, p.grad) for p in parameters]
    steps, state = optimizer.steps, optimizer._state
    try:
        expected = eager.step([0], 1, 1)
        slopes = [p.grad for p in parameters]
    except ArithmeticError:
        return  # not finite: no such step is ever taken by compiled code alone
    finally:
        for p, (number, slope) in zip(parameters, held):
            p.data, p.grad = number, slope
        optimizer.steps, optimizer._state = steps, state
    if not taken:
        return
    _agree("the loss", found, expected)
    _agree("the gradient", gradient, slopes)
    sign = -1.0 if optimizer.maximize else 1.0
    for i in range(0, len(start), 1 + len(start) // 50):
        number, numbers = optimizer.update(
            start[i], sign * gradient[i], tuple(x[i] for x in before), rate, steps + 1
        )
        _agree("the update", [moved[i], *(x[i] for x in after)], [number, *numbers])


def _one_of_each(targets: Sequence[Any]) -> list[int]:
    """Return a row for each distinct target: where they are classes, all ways through the loss."""
    first: dict[str, int] = {}
    for i, target in enumerate(targets):
        first.setdefault(repr(target), i)
        if len(first) >= 10:
            break
    return list(first.values())


def _compare(objective: Objective, trainer: _Trainer, chosen: Sequence[int]) -> bool:
    """Compare loss and gradient of some rows with those of eager code.

    Returns:
        Whether compiled code was finite wherever eager code was.

    Raises:
        TypeError: If they differ by more than rounding.
    """
    problem, count = objective.problem, objective.parameters
    predict = predictor(problem.model, problem.loss)
    finite = True
    for i in chosen:
        try:
            lost = problem.loss(predict(problem.rows[i]), problem.targets[i])
            slopes = grad(lost, problem.parameters) if isinstance(lost, Value) else [0.0] * count
        except (ArithmeticError, ValueError):
            continue  # such a step is never taken by compiled code alone
        loss, gradient = trainer.row(i)
        if not all(map(math.isfinite, (loss, *gradient))):
            finite = False  # nor is such a step
            continue
        _agree("the loss", [loss], [as_float(lost)], f"example {i}")
        _agree("the gradient", gradient, slopes, f"example {i}")
    return finite


def _agree(
    what: str, found: Sequence[float], expected: Sequence[float], where: str = "the first example"
) -> None:
    allowed = 1e-6 * max(map(abs, expected)) + 1e-9
    for a, b in zip(found, expected):
        if not abs(a - b) <= allowed:
            raise TypeError(
                f"on {where} {what} is {b:.9g} in eager code and {a:.9g} in compiled "
                "code; does it look at the types of its arguments?"
            )
