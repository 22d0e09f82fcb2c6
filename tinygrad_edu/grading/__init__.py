"""A kit for teachers: grade a student's ``Value`` class, and say what is wrong with it.

>>> from tinygrad_edu import Value
>>> from tinygrad_edu.grading import grade
>>> report = grade(Value, examples=20)
>>> report.passed, report.score
(True, 1.0)

The class has to have the interface of micrograd: ``Value(data)`` with ``.data``, ``.grad``,
``.backward()`` and the operators; ``relu``, ``tanh``, ``exp``, ``log`` and ``sigmoid`` are graded
if it has them. The same from a terminal, and from pytest with one test per check::

    python -m tinygrad_edu.grading student.py
    pytest -p tinygrad_edu.grading.pytest_plugin --student-value student.py:Value

What the checks ask is what the notes say in 'The Chain Rule' and 'The Backpropagation Algorithm'.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad_edu.grading.checks import run_checks
from tinygrad_edu.grading.loading import load_class
from tinygrad_edu.grading.report import Report, Result

__all__ = ["Report", "Result", "grade", "load_class"]


def grade(
    student: type[Any],
    *,
    against: str = "tinygrad_edu",
    seed: int = 0,
    examples: int = 200,
    skip: Sequence[str] = (),
    strict: bool = False,
) -> Report:
    """Grade a class with the interface of ``Value``.

    The student's code runs in this process: every call is stopped after three million steps of
    Python, what it prints is dropped, and its exceptions become messages. (An endless loop inside C
    code is not stopped; the command line has a time limit for that.)

    Args:
        student: The class.
        against: Where the right answers come from: ``"tinygrad_edu"``, or ``"torch"``.
        seed: Seed of the random graphs; the same seed gives the same report.
        examples: Number of random graphs.
        skip: Names of checks to leave out, as a report shows them: ``("separate graphs",)``.
        strict: Count advice (recursion limit, a second ``backward()``, ReLU at 0) as failures.

    Returns:
        A ``Report``; ``print(report)`` says what is wrong, ``report.score`` is between 0 and 1.

    Raises:
        TypeError: If ``student`` is not a class.
        ValueError: If ``skip`` or ``against`` names something unknown, or ``examples`` is negative.
        ImportError: If torch is asked for and missing.

    >>> class Bare:
    ...     def __init__(self, data):
    ...         self.data, self.grad = data, 0.0
    >>> print(grade(Bare).failures[0].message)
    A Value has no `backward`; it needs .data, .grad and .backward().
    """
    if not isinstance(student, type):
        raise TypeError(f"student: expected a class, got {type(student).__name__} {student!r:.60}")
    if not isinstance(examples, int) or examples < 0:
        raise ValueError(f"examples: expected a whole number from 0, got {examples!r}")
    return run_checks(student, against, seed, examples, skip, strict)
