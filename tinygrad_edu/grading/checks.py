"""The checks, from the simplest to random graphs, and how the cause of a failure is found.

A message names a cause only where an experiment shows it: the class lacks the method, the numbers
are exactly those that the mistake leads to and that no other mistake here leads to, the fault goes
away when the one thing is set right from outside. Otherwise the message says what was expected and
what came, with the smallest expression that shows it, and leaves the cause open.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tinygrad_edu.grading import graphs, habits, operations
from tinygrad_edu.grading.operations import method_of
from tinygrad_edu.grading.programs import FORMS, Program
from tinygrad_edu.grading.report import Report, Result, Status
from tinygrad_edu.grading.running import Runner, local_bench
from tinygrad_edu.grading.session import OPERATIONS, Fault, NotYet, Session


@dataclass(frozen=True)
class Check:
    """A check: what it runs, and the checks that must pass before it means anything."""

    name: str
    run: Callable[[Session], None]
    needs: tuple[str, ...] = ()
    any_of: tuple[str, ...] = ()  # one of these must pass
    advice: bool = False
    early: bool = False  # asked ahead of its turn: if it fails, everything that follows waits


def checks_for(kind: Any) -> list[Check]:
    """The checks that a class is to pass."""
    return checks_with(lambda name: callable(getattr(kind, name, None)))


def checks_with(has: Callable[[str], bool], required: frozenset[str] | None = None) -> list[Check]:
    """The checks that a class with these methods is to pass."""

    def asked(code: Program) -> bool:
        form = code.steps[0].form
        if required is not None and form in required:
            return True
        if FORMS[form].needs:
            return has(FORMS[form].needs)
        return required is None or has(method_of(code))

    names = [name for name, codes in OPERATIONS.items() if asked(codes[0])]
    forwards = tuple(f"forward of {name}" for name in names)
    plus_times = ("gradient of a + b", "gradient of a * b")
    graph = (*plus_times, "chain rule", "gradients add up")
    done = ("order of the backward pass",)
    pow_minus = ("gradient of a ** 2", "gradient of a ** 3", "gradient of a - b")
    in_place = [
        Check("in-place operators", habits.in_place, plus_times)
        for _ in range(any(has(f"__i{name}__") for name in ("add", "sub", "mul", "truediv")))
    ]

    def bind(function: Callable[[Session, str], None], name: str) -> Callable[[Session], None]:
        return lambda session: function(session, name)

    checks = [
        Check("interface", operations.interface),
        Check("precision", habits.precision, ("interface",)),
    ]
    checks += [Check(f"forward of {n}", bind(operations.forward, n), ("interface",)) for n in names]
    checks += [Check("gradient of the result", operations.seeding, ("interface",), any_of=forwards)]
    checks += [
        Check("order of the backward pass", graphs.reach, ("gradient of the result",), early=True),
        Check("equal data", graphs.mixed_up, ("gradient of the result",), early=True),
    ]
    checks += [
        Check(
            f"gradient of {n}",
            bind(operations.gradient, n),
            (f"forward of {n}", "gradient of the result"),
        )
        for n in names
    ]
    checks += [
        Check("chain rule", graphs.chain, any_of=("gradient of a * b", "gradient of a / b")),
        Check(
            "gradients add up", graphs.junctions, any_of=("gradient of a * b", "gradient of a / b")
        ),
        Check("order of the backward pass", graphs.order, graph),
        Check("interior nodes", graphs.interior, done),
        Check("equal data", graphs.equal_data, done),
        Check("data unchanged", graphs.unchanged, plus_times),
        Check("separate graphs", graphs.separate_graphs, (*graph, "data unchanged")),
        Check("powers at the edge", habits.powers_at_the_edge, pow_minus),
        Check("whole numbers", habits.whole_numbers, ("interface", "gradient of the result")),
        *in_place,
        Check("a node in two graphs", habits.second_graph, done),
        Check("sum", graphs.summing, ("gradient of a + b",)),
        Check("many paths", graphs.many_paths, done),
        Check("random graphs", graphs.random_graphs, ("order of the backward pass", "equal data")),
        Check("backward twice", graphs.twice, (*done, "data unchanged"), advice=True),
        Check("large arguments", habits.large_arguments, ("interface",), advice=True),
        Check("repr", habits.shown, ("interface",), advice=True),
        Check("backward of a leaf", graphs.leaf, ("gradient of a * b",), advice=True),
        Check(
            "long chain",
            graphs.long_chain,
            ("order of the backward pass", "many paths"),
            advice=True,
        ),
    ]
    if "a.relu()" in names:
        checks.append(Check("ReLU at 0", operations.kink, ("gradient of a.relu()",), advice=True))
    return checks


def run_checks(
    kind: Any, against: str, seed: int, examples: int, skip: Sequence[str], strict: bool
) -> Report:
    """Run the checks in order; see ``tinygrad_edu.grading.grade``."""
    session = Session(Runner.of(local_bench(kind)), against, seed, examples)
    results = judge(session, skip, strict)
    return Report(getattr(kind, "__qualname__", str(kind)), results)


def judge(session: Session, skip: Sequence[str] = (), strict: bool = False) -> tuple[Result, ...]:
    """Run the checks in order on the class of a session, wherever it lives."""
    checks = checks_with(session.runner.has, session.required)
    if session.timed:
        checks.append(Check("work of the backward pass", habits.work, ("many paths",), advice=True))
    unknown = set(skip) - {check.name for check in checks}
    if unknown:
        raise ValueError(
            f"skip: no check named {', '.join(sorted(map(repr, unknown)))}; "
            f"there are {', '.join(check.name for check in checks)}"
        )
    skipped = set(skip)
    results: dict[str, Result] = {}
    blocked = False
    for check in checks:
        if check.name in skipped or check.name in results:
            continue
        passed = session.good | skipped
        if session.runner.seeded:  # set by hand, so that the other checks can go on
            passed.add("gradient of the result")
        ready = passed.issuperset(check.needs) and (
            not check.any_of or not passed.isdisjoint(check.any_of)
        )
        if blocked or not ready:
            if not check.advice and not check.early:
                results[check.name] = Result(check.name, "waiting")
            continue
        try:
            session.runner.bench.ask({"do": "fresh"})
            check.run(session)
        except Fault as fault:
            status: Status = "advice" if check.advice and not strict else "failed"
            results[check.name] = Result(
                check.name, status, fault.message, fault.example, fault.line, fault.cause
            )
            blocked = blocked or check.early
        except NotYet:
            results[check.name] = Result(check.name, "waiting")
        else:
            if not check.early:
                session.good.add(check.name)
                results[check.name] = Result(check.name, "passed")
    return tuple(results.values())
