"""A loop as one operation of a program: the row that ``scan`` is recorded as.

A ``Scan`` is a node with many operands: the first state, the entries of all turns, and what the
step takes from its surroundings. Its results are the nodes right behind it, all of the operation
``PART``: the last state, then the outputs of each turn, then the state at the beginning of each
turn (the trail), which derivatives need. What is done in a turn is a program of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Protocol

from tinygrad_edu.engine.operation import Op

if TYPE_CHECKING:
    from tinygrad_edu.compiler.trace.program import Program


class CannotScan(Exception):
    """Something is asked of a loop that is known for its single turns only: write them out."""


def _no_rule(*_operands: Any) -> NoReturn:
    raise CannotScan("a loop has no rule that is local to it")


PART = Op("part", "", 1, _no_rule, _no_rule, "one of the results of a loop")


@dataclass
class Step:
    """What is done in one turn.

    Attributes:
        program: The operations; its inputs are state, xs and captured, in this order.
        state, xs, captured: Its input nodes: the state, the entry of the turn, and what is the same
            in all turns.
        new_state, ys: Its output nodes.
        made: Whatever is derived from a step, and kept with it.
    """

    program: Program
    state: list[int]
    xs: list[int]
    captured: list[int]
    new_state: list[int]
    ys: list[int]
    made: dict[Any, Any] = field(default_factory=dict)

    def keeping(self, ys: Sequence[int]) -> Step:
        """Return this step with some of its outputs."""
        if len(ys) == len(self.ys):
            return self
        key = ("keeping", *ys)
        if key not in self.made:
            self.made[key] = replace(self, ys=[self.ys[k] for k in ys], made={})
        found: Step = self.made[key]
        return found


class PullBack(Protocol):
    """Appends the gradient of a loop to ``program``: adds to the ``shares`` of its operands.

    ``found`` has what is handed back to its parts, by their number.
    """

    def __call__(
        self,
        program: Program,
        head: int,
        found: dict[int, float | int],
        shares: dict[int, list[float | int]],
        between: Sequence[int],
    ) -> None: ...


class Scan(Op):
    """The row of a loop.

    Args:
        step: What is done in a turn.
        turns: How many there are.
        trail: Which numbers of the state are results for each turn, too.
    """

    # reverse mode over a loop, which makes another loop: ``scan_gradient`` fills this
    pull_back: ClassVar[PullBack | None] = None

    def __init__(self, step: Step, turns: int, trail: Sequence[int]) -> None:
        super().__init__("scan", "", None, _no_rule, _no_rule, "a loop")
        self.loop = step
        self.turns = turns
        self.trail = tuple(trail)

    @property
    def results(self) -> int:
        """How many parts it has."""
        step = self.loop
        return len(step.state) + self.turns * (len(step.ys) + len(self.trail))

    def split(self, operands: Sequence[int]) -> tuple[Any, Any, Any]:
        """Return the operands that are the first state, the entries, and the captured ones."""
        n, m = len(self.loop.state), self.turns * len(self.loop.xs)
        return operands[:n], operands[n : n + m], operands[n + m :]
