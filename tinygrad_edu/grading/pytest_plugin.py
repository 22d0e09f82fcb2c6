"""Grading as tests: one pytest test per check, for a whole class of students if need be.

pytest -p tinygrad_edu.grading.pytest_plugin --student-value a.py --student-value b.py:Scalar
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tinygrad_edu.grading import Result, grade, load_class
from tinygrad_edu.grading.loading import Unloadable


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of this plugin."""
    group = parser.getgroup("student", "grading a student's Value class")
    group.addoption(
        "--student-value", action="append", default=[], metavar="FILE[:CLASS]",
        help="grade this class (Value if no class is named); may be given several times",
    )  # fmt: skip
    group.addoption(
        "--student-torch", action="store_true", help="take the right answers from torch"
    )
    group.addoption("--student-seed", type=int, default=0, help="seed of the random graphs")


def pytest_configure(config: pytest.Config) -> None:
    """Collect the students' files, and only these unless other files were named too."""
    students = config.getoption("--student-value")
    if not students:
        return
    named = config.args if config.args_source is pytest.Config.ArgsSource.ARGS else []
    config.args[:] = [*named, *(str(path) for path in _paths(students))]


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Make a student's file a file of tests."""
    for where, path in zip(
        parent.config.getoption("--student-value"),
        _paths(parent.config.getoption("--student-value")),
    ):
        if path == file_path:
            return StudentFile.from_parent(parent, path=file_path, where=where)
    return None


def _paths(students: list[str]) -> list[Path]:
    paths = []
    for where in students:
        head, colon, name = where.rpartition(":")
        paths.append(Path(head if colon and name.isidentifier() else where).resolve())
    return paths


class StudentFile(pytest.File):
    """A student's file: grading it gives its tests."""

    def __init__(self, *, where: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.where = where

    def collect(self) -> Iterator[pytest.Item]:
        """Grade the class; one item per check."""
        option = self.config.getoption
        try:
            report = grade(
                load_class(self.where),
                against="torch" if option("--student-torch") else "tinygrad_edu",
                seed=option("--student-seed"),
            )
        except Unloadable as error:
            raise self.CollectError(str(error)) from error
        for result in report.results:
            yield CheckItem.from_parent(self, name=result.name, result=result)


class Failed(Exception):
    """A check failed; the result says how."""


class CheckItem(pytest.Item):
    """One check of the report."""

    def __init__(self, *, result: Result, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.result = result

    def runtest(self) -> None:
        """Show the result."""
        text = "\n".join([self.result.message, "", *self.result.example]).strip()
        if self.result.status == "failed":
            raise Failed(text)
        if self.result.status == "waiting":
            pytest.skip("not run before the failures are mended")
        if self.result.status == "advice":
            self.add_report_section("call", "advice", text)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show the message alone: the traceback would be of the grading, not of the student."""
        if isinstance(excinfo.value, Failed):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Where the test is, for pytest's headings."""
        return self.path, None, f"{self.path.name}: {self.name}"
