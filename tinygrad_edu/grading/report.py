"""The report on a student's class: what passed, what did not, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Status = Literal["passed", "failed", "advice", "waiting"]
MARKS: dict[Status, str] = {"passed": "ok", "failed": "FAILED", "advice": "advice", "waiting": "-"}


@dataclass(frozen=True)
class Result:
    """The result of one check.

    Attributes:
        name: The check's name, which ``skip`` takes.
        status: ``"passed"``, ``"failed"``, ``"advice"`` (works, and could be better), or
            ``"waiting"`` for a check that makes no sense before others pass.
        message: What is wrong and what to do about it, in sentences; empty if the check passed.
        example: Lines of Python that show the fault, to paste and try; may be empty.
        line: The line of the student's file that is to blame, where one is known.
        cause: The misconception, where an experiment proves it, in a few words.

    >>> Result("sums", "failed", "a + b has the wrong data.").status
    'failed'
    """

    name: str
    status: Status
    message: str = ""
    example: tuple[str, ...] = field(default=())
    line: int | None = None
    cause: str = ""


@dataclass(frozen=True)
class Report:
    """All results, in the order in which they are best read: the first failure first.

    ``str(report)`` is text for a terminal; ``report.markdown()`` is for a page, and is what a
    notebook shows.

    Attributes:
        student: The name of the class.
        results: One ``Result`` per check.

    >>> Report("Value", (Result("sums", "passed"), Result("products", "failed", "..."))).passed
    False
    """

    student: str
    results: tuple[Result, ...]

    @property
    def passed(self) -> bool:
        """Did every check pass? Advice does not count against a class."""
        return all(r.status in ("passed", "advice") for r in self.results)

    @property
    def score(self) -> float:
        """The share of checks passed, from 0 to 1; advice counts neither way."""
        counted = [r for r in self.results if r.status != "advice"]
        return sum(r.status == "passed" for r in counted) / len(counted) if counted else 0.0

    @property
    def failures(self) -> list[Result]:
        """The results of the checks that failed."""
        return [r for r in self.results if r.status == "failed"]

    @property
    def advice(self) -> list[Result]:
        """The results of the checks that passed with advice."""
        return [r for r in self.results if r.status == "advice"]

    def __getitem__(self, name: str) -> Result:
        for result in self.results:
            if result.name == name:
                return result
        raise KeyError(f"no check {name!r}; there are {', '.join(r.name for r in self.results)}")

    def summary(self) -> str:
        """One line: how many checks passed."""
        counted = [r for r in self.results if r.status != "advice"]
        good = sum(r.status == "passed" for r in counted)
        return f"{self.student}: {good} of {len(counted)} checks passed ({self.score:.0%})"

    def __str__(self) -> str:
        lines = [self.summary()]
        for result in (*self.failures, *self.advice):
            lines += ["", f"{MARKS[result.status]}: {result.name}", *_wrapped(result.message, 2)]
            if result.example:
                lines += ["", *(f"    {line}" for line in result.example)]
        waiting = [r.name for r in self.results if r.status == "waiting"]
        if len(waiting) > 8:
            waiting = [*waiting[:6], f"and {len(waiting) - 6} more"]
        if waiting:
            lines += [
                "",
                *_wrapped(f"Not run before the above is mended: {', '.join(waiting)}.", 0),
            ]
        return "\n".join(lines)

    def markdown(self) -> str:
        """The report in Markdown."""
        lines = [f"**{self.summary()}**"]
        for result in (*self.failures, *self.advice):
            title = "Failed" if result.status == "failed" else "Advice"
            lines += ["", f"### {title}: {result.name}", "", result.message]
            if result.example:
                lines += ["", "```python", *result.example, "```"]
        lines += ["", "| check | result |", "|---|---|"]
        lines += [f"| {r.name.replace('|', '&#124;')} | {MARKS[r.status]} |" for r in self.results]
        return "\n".join(lines) + "\n"

    def _repr_markdown_(self) -> str:
        return self.markdown()


def _wrapped(text: str, indent: int, width: int = 96) -> list[str]:
    import textwrap

    pad = " " * indent
    return textwrap.wrap(
        text, width, initial_indent=pad, subsequent_indent=pad, break_on_hyphens=False
    )
