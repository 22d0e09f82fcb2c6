"""One submission, graded in a process of its own: whatever it does, there is a ``Record`` of it.

The judge stays here; the process that runs the student's code (``child.py``) only makes graphs and
reads numbers when asked, so neither its exit code nor what it prints says anything, and a grader
that it patches is not this one. It has limits on time, memory and what it writes, no input, its
own folder as working directory and import path, and it and what it starts are ended afterwards.

Not isolated are the files and the network of the account that grades: for that, grade in a
container (``docker run --network none``, the submissions mounted read-only).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import select
import signal
import subprocess
import sys
import tempfile
import time as clock
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tinygrad_edu.grading.bench import Reply
from tinygrad_edu.grading.programs import FORMS
from tinygrad_edu.grading.record import LoadedAs, Record, Verdict
from tinygrad_edu.grading.recording import record_checks
from tinygrad_edu.grading.rubric import Rubric
from tinygrad_edu.grading.running import Runner, local_bench
from tinygrad_edu.grading.session import Session

EXAMPLES = 100  # random graphs
_ENVIRONMENT = {
    "MPLBACKEND": "Agg", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1", "NUMEXPR_NUM_THREADS": "1", "PYTHONHASHSEED": "0",
}  # fmt: skip


class Lost(Exception):
    """The process is gone; carries the verdict and what is to be said."""

    def __init__(self, verdict: Verdict, message: str) -> None:
        super().__init__(message)
        self.verdict: Verdict = verdict
        self.message = message


class Child:
    """The process of a submission, as a bench: ``ask`` sends a request and waits for the reply."""

    def __init__(self, path: Path, deadline: float, limit: float, options: dict[str, Any]) -> None:
        self.deadline, self.limit, self.options = deadline, limit, options
        self.file = path.name
        self.token = secrets.token_hex(16)
        self.asked = "the file"
        self.buffer = b""
        self.crash = tempfile.TemporaryFile()  # noqa: SIM115  (closed in `end`)
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-B", str(Path(__file__).with_name("child.py"))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.crash,
            start_new_session=True, cwd=path.parent,
            env={**{k: v for k, v in os.environ.items() if not k.startswith("PYTHON")},
                 **_ENVIRONMENT},
        )  # fmt: skip

    def start(self) -> Reply:
        """Load the submission; returns what was found."""
        return self._exchange({**self.options, "token": self.token})

    def ask(self, request: Mapping[str, Any]) -> Reply:
        """Have the process do something; raises ``Lost`` if it is gone, or out of memory."""
        self.asked = _words(request)
        reply = self._exchange(request)
        self._look_for_memory(reply.get("error"))
        return reply

    def _look_for_memory(self, error: Reply | None) -> None:
        if error is not None and "MemoryError" in error["bases"]:
            raise Lost("out of memory", self._memory(error["line"]))

    def _memory(self, line: int | None) -> str:
        where = f" in line {line}" if line else ""
        size = self.options["memory"] / 1e9
        return f"{self.asked} needs more than {size:g} GB of memory{where}."

    def _exchange(self, request: Mapping[str, Any]) -> Reply:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()
        except OSError:
            raise self._gone() from None
        line = self._line()
        head = self.token.encode()
        if not line.startswith(head):
            raise Lost(
                "crashed",
                f"While {self.asked} ran, something was written into the channel to the grader.",
            )
        try:
            reply = json.loads(line[len(head) :])
        except ValueError:
            reply = None
        if not isinstance(reply, dict):
            raise Lost("crashed", f"While {self.asked} ran, the channel to the grader was damaged.")
        return reply

    def _line(self) -> bytes:
        assert self.process.stdout is not None
        descriptor = self.process.stdout.fileno()
        while b"\n" not in self.buffer:
            left = self.deadline - clock.monotonic()
            if left <= 0.0 or len(self.buffer) > 1 << 26:
                raise self._late()
            if os.name == "posix":
                poll = select.poll()
                poll.register(descriptor, select.POLLIN | select.POLLHUP)
                if not poll.poll(min(left, 0.5) * 1000):
                    if self.process.poll() is not None:  # gone, and a child of it holds the pipe
                        raise self._gone()
                    continue
            part = os.read(descriptor, 1 << 16)
            if not part:
                raise self._gone()
            self.buffer += part
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line

    def _late(self) -> Lost:
        return Lost(
            "timed out",
            f"{self.asked[:1].upper()}{self.asked[1:]} did not come to an end "
            f"within {self.limit:g} s.",
        )

    def _gone(self) -> Lost:
        """Why the process is not there any more."""
        try:
            code = self.process.wait(timeout=2.0)
        except subprocess.TimeoutExpired:
            return Lost("crashed", f"While {self.asked} ran, the channel to the grader was closed.")
        self.crash.seek(0)
        trace = self.crash.read(1 << 16).decode(errors="replace")
        if code in (-getattr(signal, "SIGXCPU", 24), -getattr(signal, "SIGKILL", 9)):
            if code == -getattr(signal, "SIGKILL", 9) and clock.monotonic() < self.deadline - 1.0:
                used = "the process was killed, as happens when memory runs out"
                return Lost("out of memory", f"While {self.asked} ran, {used}.")
            return self._late()
        if "MemoryError" in trace or "bad_alloc" in trace or "annot allocate memory" in trace:
            return Lost("out of memory", self._memory(None))
        if code < 0:
            try:
                name = signal.Signals(-code).name
            except ValueError:
                name = str(-code)
            line = next(
                (m[1] for m in re.finditer(r'File "(?:[^"]*)", line (\d+)', trace)
                 if self.file in m[0]), None,
            )  # fmt: skip
            where = f", in line {line}" if line else ""
            deep = (
                " This is what a recursion too deep for the machine's stack looks like."
                if name == "SIGSEGV"
                else ""
            )
            return Lost(
                "crashed", f"While {self.asked} ran, Python itself crashed ({name}){where}.{deep}"
            )
        return Lost(
            "crashed",
            f"While {self.asked} ran, the process ended by itself (exit code {code}), as by "
            "`os._exit()`.",
        )

    def end(self) -> None:
        """End the process and all that it started."""
        if os.name == "posix":
            with contextlib.suppress(OSError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout, self.crash):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self.process.wait()


def _words(request: Mapping[str, Any]) -> str:
    what = request["do"]
    if what in ("run", "nodes") and request["steps"]:
        forms = [FORMS[s[0]].code for s in request["steps"][-1:]]
        name = forms[0].format("a", "b")
        return f"`{name}`" + (" and its backward pass" if what == "run" else "")
    return {"backward": "`backward()`", "nodes": "`Value(2.0)`", "sum": "`sum([a, b, c])`"}.get(
        what, "a check"
    )


def grade_file(
    path: str | Path,
    *,
    seed: int = 0,
    time: float = 20.0,
    memory: float = 1e9,
    mapping: Mapping[str, str] | None = None,
    class_name: str | None = None,
    rubric: Rubric | None = None,
) -> Record:
    """Grade one submission in a process of its own.

    Args:
        path: A ``.py`` file or a notebook.
        seed: Of the random graphs; the same seed gives the same report.
        time: The most seconds of wall time.
        memory: The most bytes.
        mapping: The names that the class has for ``data``, ``grad`` and ``backward``; those left
            out are found by trying.
        class_name: The class to grade; None for ``Value``, or the one that looks like it.
        rubric: What counts; None for the usual one.

    Returns:
        The record; never raises for anything that a submission does.
    """
    started = clock.monotonic()
    file = Path(path).absolute()
    rubric = Rubric() if rubric is None else rubric
    options = {
        "path": str(file),
        "time": time,
        "memory": memory,
        "mapping": dict(mapping or {}),
        "class_name": class_name,
        "loading": min(3.0, 0.15 * time),
        "forms": [form for form, entry in FORMS.items() if entry.needs],
    }

    def record(verdict: Verdict, **more: Any) -> Record:
        return Record(str(path), verdict, seconds=round(clock.monotonic() - started, 3), **more)

    if not file.is_file():
        return record("not loaded", message=f"there is no file {path}")
    loaded = LoadedAs()
    try:
        child, reply = _load(file, started, time, options)
        try:
            if "about" not in reply:
                loaded = _loaded_as(reply)
                return record("not loaded", message=_why(reply, file.name), loaded_as=loaded)
            loaded = _loaded_as(reply)
            runner = Runner(child, about=reply["about"])
            session = Session(runner, "tinygrad_edu", seed, EXAMPLES, timed=True)
            checks, advice = record_checks(session, rubric, file)
        finally:
            child.end()
    except Lost as lost:
        return record(lost.verdict, message=lost.message, loaded_as=loaded)
    failed = any(not check.passed for check in checks)
    return record(
        "failed" if failed else "passed",
        score=rubric.score(checks),
        loaded_as=loaded,
        checks=checks,
        advice=advice,
    )


def _load(file: Path, started: float, limit: float, options: dict[str, Any]) -> tuple[Child, Reply]:
    """Load the whole file, or where that fails, what can be kept of it."""
    whole = file.suffix.lower() != ".ipynb"
    first: Reply | None = None
    reason = ""
    if whole:
        child = Child(file, started + 0.5 * limit, 0.5 * limit, {**options, "whole": True})
        try:
            reply = child.start()
            if "error" not in reply:
                child.deadline, child.limit = started + limit, limit
                return child, reply
            first = reply["error"]
            reason = _why(reply, file.name)
        except Lost as lost:
            reason = lost.message
            child.end()
            kept = _salvaged(file, started, limit, options, reason)
            if kept is None:
                raise
            return kept
        except BaseException:
            child.end()
            raise
        child.end()
    kept = _salvaged(file, started, limit, options, reason)
    assert kept is not None or not whole or first is not None
    if kept is None:
        assert first is not None
        if "MemoryError" in first["bases"]:
            raise Lost("out of memory", reason)
        raise Lost("not loaded", reason)
    return kept


def _salvaged(
    file: Path, started: float, limit: float, options: dict[str, Any], reason: str
) -> tuple[Child, Reply] | None:
    """Load what can be kept; None where there was a reason before, and this finds no class."""
    child = Child(file, started + limit, limit, {**options, "whole": False})
    try:
        reply = child.start()
        if "about" in reply:
            if reason:
                reply["notes"].insert(0, f"the whole file does not run: {reason}")
            return child, reply
        if not reason or ("why" in reply and "not the student's own" in reply["why"]):
            return child, reply
    except Lost:
        child.end()
        if reason:
            return None
        raise
    except BaseException:
        child.end()
        raise
    child.end()
    return None


def _loaded_as(reply: Reply) -> LoadedAs:
    about = reply.get("about") or {}
    return LoadedAs(
        about.get("name", ""),
        dict(reply.get("mapping", {})),
        tuple(reply["skipped"]),
        tuple(reply["notes"]),
    )


def _why(reply: Reply, name: str) -> str:
    if "error" in reply:
        error = reply["error"]
        return Runner.of(local_bench(object)).explain(error, error.get("where", name))
    text = str(reply["why"])
    causes = [e for e in reply["errors"] if "class" in e] or reply["errors"]
    if causes and "not the student's own" not in text:
        text += ". " + Runner.of(local_bench(object)).explain(causes[0], name)
    return f"{name}: {text}"
