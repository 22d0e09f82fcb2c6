"""Grading as tests: one pytest test per check, for a whole class of students if need be.

pytest -p tinygrad_edu.grading.pytest_plugin --student-value a.py --student-value b.py:Scalar
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tinygrad_edu.grading.formats import check_text
from tinygrad_edu.grading.isolated import grade_file
from tinygrad_edu.grading.record import CheckRecord, Record


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of this plugin."""
    group = parser.getgroup("student", "grading a student's Value class")
    group.addoption(
        "--student-value", action="append", default=[], metavar="FILE[:CLASS]",
        help="grade this class (Value, or the one with arithmetic); may be given several times",
    )  # fmt: skip
    group.addoption("--student-seed", type=int, default=0, help="seed of the random graphs")
    group.addoption(
        "--student-time", type=float, default=20.0, help="the most seconds for one (20)"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Collect the students' files, and only these unless other files were named too."""
    students = _students(config)
    if not students:
        return
    missing = [str(path) for path in students if not path.is_file()]
    if missing:
        raise pytest.UsageError(f"--student-value: there is no file {missing[0]}")
    named = config.args if config.args_source is pytest.Config.ArgsSource.ARGS else []
    others = [arg for arg in named if Path(arg).resolve() not in students]
    config.args[:] = [*others, *map(str, students)]


def _students(config: pytest.Config) -> dict[Path, list[str | None]]:
    """File -> the classes to grade in it, each once; None for the one that is found."""
    found: dict[Path, list[str | None]] = {}
    for where in config.getoption("--student-value"):
        head, colon, name = where.rpartition(":")
        named = bool(colon) and name.isidentifier()
        classes = found.setdefault(Path(head if named else where).resolve(), [])
        wanted = name if named else None
        if wanted not in classes:
            classes.append(wanted)
    return found


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(
    file_path: Path, parent: pytest.Collector
) -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
    """Make a student's file a file of tests, and nothing else: no module that is imported."""
    others = yield
    classes = _students(parent.config).get(file_path.resolve())
    if classes is None:
        return others
    return [StudentFile.from_parent(parent, path=file_path, classes=classes)]


class StudentFile(pytest.File):
    """A student's file: grading it gives its tests."""

    def __init__(self, *, classes: list[str | None], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.classes = classes

    def collect(self) -> Iterator[pytest.Item]:
        """Grade each class that was asked for; one item per check."""
        option = self.config.getoption
        for wanted in self.classes:
            record = grade_file(
                self.path,
                class_name=wanted,
                seed=option("--student-seed"),
                time=option("--student-time"),
            )
            name = wanted or record.loaded_as.class_name
            start = f"{name}: " if len(self.classes) > 1 and name else ""
            if not record.graded:
                yield LoadingItem.from_parent(self, name=f"{start}loading", record=record)
            for kind, checks in (("", record.checks), ("advice: ", record.advice)):
                for check in checks:
                    yield CheckItem.from_parent(
                        self, name=f"{start}{kind}{check.name}", check=check, counts=not kind
                    )


class Failed(Exception):
    """A check failed; the text says how."""


class StudentItem(pytest.Item):
    """A test of a student's file, whose failure is a text."""

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show the message alone: the traceback would be of the grading, not of the student."""
        if isinstance(excinfo.value, Failed):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Where the test is, for pytest's headings."""
        return self.path, None, f"{self.path.parent.name}/{self.path.name}: {self.name}"


class CheckItem(StudentItem):
    """One check of the record."""

    def __init__(self, *, check: CheckRecord, counts: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.check = check
        self.counts = counts

    def runtest(self) -> None:
        """Show the result."""
        if not self.check.passed and self.counts:
            raise Failed(check_text(self.check))
        if not self.check.passed:
            self.add_report_section("call", "advice", check_text(self.check))


class LoadingItem(StudentItem):
    """A submission that could not be graded: it fails, and the others go on."""

    def __init__(self, *, record: Record, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.record = record

    def runtest(self) -> None:
        """Say why."""
        raise Failed(f"{self.record.verdict}: {self.record.message}")
