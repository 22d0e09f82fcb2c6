"""What is written down about one submission: a ``Record``, with one ``CheckRecord`` per check.

It is what the command's ``--json`` holds; the reports, the pytest plugin and the formats of other
graders are made from it alone. The score in it is by a ``Rubric``, in the room beside this one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

Verdict = Literal["passed", "failed", "not loaded", "timed out", "out of memory", "crashed"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)

# concept -> its weight where no rubric says otherwise; numerics are advice, and cost nothing
CONCEPTS: dict[str, float] = {
    "operators": 15.0,
    "reversed operators": 10.0,
    "local derivatives": 15.0,
    "chain rule": 10.0,
    "accumulation": 20.0,
    "order": 20.0,
    "functions": 5.0,
    "numerics": 0.0,
    "style of use": 5.0,
}

# a number, a text ("nan", "a tuple"), or several by what they are: {"a.grad": 12.0}
Shown = float | str | dict[str, float | str] | None


@dataclass(frozen=True)
class CheckRecord:
    """The result of one check.

    Attributes:
        name: The check's name, the same in every report: ``"gradient of a * b"``.
        concept: What it belongs to, one of ``CONCEPTS``.
        passed: Whether it passed.
        message: What is wrong and what to do about it, in sentences; empty if it passed.
        program: The smallest program that shows it, lines of Python; may be empty.
        expected: What that program should give: a number, a text, or several by what they are,
            such as ``{"a.grad": 12.0, "b.grad": 4.0}``.
        got: What it gave, in the same form.
        line: The line of the student's file that is to blame, where one is known.
        operation: The operation that it is about, as a rubric names it (``"**"``, ``"tanh"``).
        cause: The misconception where an experiment proves it, in a few words that are the same for
            everybody who has it: ``"overwrite in pow"``. Empty where the cause is open.
    """

    name: str
    concept: str
    passed: bool
    message: str = ""
    program: str = ""
    expected: Shown = None
    got: Shown = None
    line: int | None = None
    operation: str = ""
    cause: str = ""

    def __post_init__(self) -> None:
        if self.concept not in CONCEPTS:
            raise ValueError(
                f"concept: expected one of {', '.join(CONCEPTS)}; got {self.concept!r}"
            )

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON; an infinity or a nan is a text."""
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self)}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> CheckRecord:
        """The inverse of ``to_dict``; raises ``ValueError`` for anything else."""
        made: CheckRecord = _made(cls, found, {})
        return made


@dataclass(frozen=True)
class LoadedAs:
    """How a submission was read.

    Attributes:
        class_name: The class that was graded; empty if none was found.
        mapping: What the interface's names are in it: ``{"data": "value", "backward": "run"}``;
            names that are as expected are left out.
        skipped: What was left out to load it, one text each: ``"lines 40-52: training loop"``.
        notes: What else has to be told: packages that were stood in for, other classes in the file.
    """

    class_name: str = ""
    mapping: dict[str, str] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON; the class's name is ``class`` there."""
        return {
            "class": self.class_name,
            "mapping": dict(self.mapping),
            "skipped": list(self.skipped),
            "notes": list(self.notes),
        }

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> LoadedAs:
        """The inverse of ``to_dict``; raises ``ValueError`` for anything else."""
        if isinstance(found, Mapping):
            found = {"class_name" if key == "class" else key: x for key, x in found.items()}
        made: LoadedAs = _made(cls, found, {})
        return made


@dataclass(frozen=True)
class Record:
    """All that is known about one submission.

    Attributes:
        submission: Its path.
        verdict: ``"passed"``, ``"failed"``, or why it could not be graded: ``"not loaded"``,
            ``"timed out"``, ``"out of memory"``, ``"crashed"``.
        score: From 0 to 1, by the rubric.
        seconds: How long it took, wall time.
        loaded_as: How it was read.
        checks: The checks that count, in the order in which they are best read.
        advice: What works and could be better: ``passed`` is False where there is something to say.
        message: Why it could not be graded, in sentences; empty for ``passed`` and ``failed``.
        key: What the record depends on, as a hash: the submission's content and the options. What
            has the same key need not be graded again.

    >>> check = CheckRecord("chain rule", "chain rule", False, "b.grad is 3", got={"b.grad": 3.0})
    >>> record = Record("ada.py", "failed", 0.9, 1.5, LoadedAs("Scalar"), (check,))
    >>> Record.from_dict(record.to_dict()) == record
    True
    """

    submission: str
    verdict: Verdict
    score: float = 0.0
    seconds: float = 0.0
    loaded_as: LoadedAs = field(default_factory=LoadedAs)
    checks: tuple[CheckRecord, ...] = ()
    advice: tuple[CheckRecord, ...] = ()
    message: str = ""
    key: str = ""

    def __post_init__(self) -> None:
        if self.verdict not in VERDICTS:
            raise ValueError(
                f"verdict: expected one of {', '.join(VERDICTS)}; got {self.verdict!r}"
            )
        if not 0.0 <= self.score <= 1.0:
            raise ValueError(f"score: expected a number from 0 to 1, got {self.score!r}")

    @property
    def graded(self) -> bool:
        """Was there a class that could be judged?"""
        return self.verdict in ("passed", "failed")

    @property
    def failures(self) -> list[CheckRecord]:
        """The checks that failed."""
        return [check for check in self.checks if not check.passed]

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        return {
            "submission": self.submission,
            "verdict": self.verdict,
            "score": self.score,
            "seconds": self.seconds,
            "loaded_as": self.loaded_as.to_dict(),
            "checks": [check.to_dict() for check in self.checks],
            "advice": [check.to_dict() for check in self.advice],
            "message": self.message,
            "key": self.key,
        }

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Record:
        """The inverse of ``to_dict``; raises ``ValueError`` for anything else."""

        def checks(entries: Any) -> tuple[CheckRecord, ...]:
            if not isinstance(entries, list):
                raise ValueError(f"expected a list of checks, got {entries!r:.60}")
            return tuple(CheckRecord.from_dict(entry) for entry in entries)

        inner = {"loaded_as": LoadedAs.from_dict, "checks": checks, "advice": checks}
        made: Record = _made(cls, found, inner)
        return made

    def to_json(self) -> str:
        """As one line of JSON."""
        return json.dumps(self.to_dict(), allow_nan=False, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Record:
        """The inverse of ``to_json``; raises ``ValueError`` for anything else."""
        return cls.from_dict(json.loads(text))


_KINDS: dict[str, tuple[type, ...]] = {
    "str": (str,), "bool": (bool,), "float": (int, float), "int | None": (int, type(None)),
    "dict[str, str]": (dict,), "tuple[str, ...]": (list, tuple), "Verdict": (str,),
    "Shown": (int, float, str, dict, type(None)),
}  # fmt: skip


def _made(cls: type[Any], found: Any, inner: Mapping[str, Any]) -> Any:
    """A dataclass from JSON; unknown and missing keys and wrong kinds are errors."""
    if not isinstance(found, Mapping):
        raise ValueError(f"expected a {cls.__name__} as an object of JSON, got {found!r:.60}")
    known = {f.name: f for f in fields(cls)}
    unknown = [key for key in found if key not in known]
    if unknown:
        raise ValueError(f"a {cls.__name__} has no {unknown[0]!r}; it has {', '.join(known)}")
    values: dict[str, Any] = {}
    for key, value in found.items():
        if key in inner:
            values[key] = inner[key](value)
            continue
        kind = str(known[key].type)
        if not isinstance(value, _KINDS[kind]) or (isinstance(value, bool) and kind != "bool"):
            raise ValueError(f"{cls.__name__}.{key}: expected {kind}, got {value!r:.60}")
        texts = kind == "tuple[str, ...]"
        values[key] = tuple(str(x) for x in found[key]) if texts else value
    try:
        return cls(**values)
    except TypeError as error:
        raise ValueError(str(error)) from None


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(x) for key, x in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
