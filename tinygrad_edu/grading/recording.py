"""From the results of the checks to what is written down: concepts, operations, one cause once."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from tinygrad_edu.grading.checks import judge
from tinygrad_edu.grading.operations import method_of
from tinygrad_edu.grading.programs import ALIASES
from tinygrad_edu.grading.record import CheckRecord, Shown
from tinygrad_edu.grading.report import Result
from tinygrad_edu.grading.rubric import OPERATORS, Rubric
from tinygrad_edu.grading.running import Broken
from tinygrad_edu.grading.session import OPERATIONS, Session
from tinygrad_edu.grading.source import Source

CONCEPT_OF = {
    "interface": "operators",
    "gradient of the result": "chain rule",
    "chain rule": "chain rule",
    "gradients add up": "accumulation",
    "order of the backward pass": "order",
    "interior nodes": "order",
    "equal data": "order",
    "data unchanged": "style of use",
    "separate graphs": "accumulation",
    "sum": "reversed operators",
    "many paths": "order",
    "random graphs": "order",
    "powers at the edge": "local derivatives",
    "whole numbers": "operators",
    "in-place operators": "style of use",
    "a node in two graphs": "order",
    "repr": "style of use",
    "precision": "style of use",
    "large arguments": "numerics",
    "work of the backward pass": "style of use",
}


def record_checks(
    session: Session, rubric: Rubric, file: Path
) -> tuple[tuple[CheckRecord, ...], tuple[CheckRecord, ...]]:
    """Judge, and return the checks that count and the advice."""
    session = replace(session, required=frozenset(rubric.required))
    source = Source.read(file, session.runner.about["name"])
    results = list(judge(session))
    results = _one_cause_once(session, results)
    checks: list[CheckRecord] = []
    advice: list[CheckRecord] = []
    for result in results:
        if result.status == "waiting":
            continue
        check = _record(source, result)
        (advice if result.status == "advice" else checks).append(check)
    return tuple(checks), tuple(advice)


def _form(name: str) -> str:
    """The code of the operation that a check is about: ``a * b``; empty if it is about none."""
    for start in ("forward of ", "gradient of "):
        code = name.removeprefix(start)
        if code != name and code in OPERATIONS:
            return code
    return ""


def _concept(name: str) -> tuple[str, str]:
    """The concept of a check, and its operation as a rubric names it."""
    code = _form(name)
    if not code:
        function = re.fullmatch(r"\w+ of a\.(\w+)\(\)|ReLU at 0", name)
        return CONCEPT_OF.get(name, "functions" if function else "style of use"), ""
    step = OPERATIONS[code][0].steps[0]
    if step.form not in OPERATORS:
        return "functions", ALIASES.get(step.form, step.form.strip("_"))
    if isinstance(step.operands[0], float):
        return "reversed operators", step.form
    return ("operators" if name.startswith("forward") else "local derivatives"), step.form


def _record(source: Source, result: Result) -> CheckRecord:
    concept, operation = _concept(result.name)
    passed = result.status == "passed"
    expected, got = _numbers(result.example)
    line = None
    if not passed:
        code = _form(result.name)
        line = result.line or source.blame(
            result.name, method_of(OPERATIONS[code][0]) if code else "", result.message
        )
    return CheckRecord(
        result.name,
        concept,
        passed,
        result.message,
        "\n".join(result.example),
        expected,
        got,
        line,
        operation,
        result.cause,
    )


def _numbers(example: tuple[str, ...]) -> tuple[Shown, Shown]:
    """``# a.grad: expected 4, got 2`` as data."""
    expected: dict[str, float | str] = {}
    got: dict[str, float | str] = {}
    for text in example:
        found = re.fullmatch(r"# ([\w.]+): expected ([-+.\w]+), got ([-+.\w]+)", text)
        if found:
            for table, number in ((expected, found[2]), (got, found[3])):
                table[found[1]] = float(number)
    return (expected or None), (got or None)


def _one_cause_once(session: Session, results: list[Result]) -> list[Result]:
    """Of failures that one cause explains, keep the first; the others wait for it."""
    failed = {r.name: r for r in results if r.status == "failed"}
    broken_methods = {method_of(OPERATIONS[_form(name)][0]): name for name in failed if _form(name)}
    seen: dict[str, str] = {}
    count: dict[str, int] = {}
    kept: list[Result] = []
    for result in results:
        if result.status != "failed":
            kept.append(result)
            continue
        root = _root(session, result, broken_methods)
        key = _exception(result.message)
        if root is None and key:
            root = seen.setdefault(key, result.name)
        if root is None or root == result.name:
            kept.append(result)
        else:
            count[root] = count.get(root, 0) + 1
            kept.append(replace(result, status="waiting"))
    return [
        replace(r, message=f"{r.message} (The same shows in {_more(count[r.name])}.)")
        if r.name in count
        else r
        for r in kept
    ]


def _more(count: int) -> str:
    return "one more check" if count == 1 else f"{count} more checks"


def _exception(message: str) -> str:
    """What a raised exception says and where, without the program that led there."""
    found = re.search(r"raised (\w+: .*? \([^()]*, line \d+)", message)
    return found[1] if found else ""


def _root(session: Session, result: Result, broken: dict[str, str]) -> str | None:
    """The failed check of another method that this one is seen to call."""
    code = _form(result.name)
    if result.name == "sum":
        return broken.get("__radd__", broken.get("__add__"))
    if not code:
        return None
    program = OPERATIONS[code][0]
    own = method_of(program)
    try:
        called = session.runner.called(program)
    except Broken:
        return None
    for method, name in broken.items():
        if method in called and method != own and own not in _calls(session, name):
            return name
    form = program.steps[0].form
    for name in broken.values():  # the same method with a plain number
        other = OPERATIONS[_form(name)][0]
        if method_of(other) == own and other.steps[0].form == form and name != result.name:
            return (
                name if list(OPERATIONS).index(_form(name)) < list(OPERATIONS).index(code) else None
            )
    return None


def _calls(session: Session, name: str) -> set[str]:
    try:
        return session.runner.called(OPERATIONS[_form(name)][0])
    except Broken:
        return set()
