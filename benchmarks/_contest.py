"""A small harness to time several ways of computing one thing, fairly.

How a contest runs:

1. Every contestant is prepared (imported, built, compiled); the time of that is kept apart.
2. Their results, values and gradients alike, must agree to a stated tolerance: for a training step
   twice in a row, so that the update is checked too. If they do not, nothing is timed.
3. They take turns in one process. A turn is a number of calls in a row that lasts about 50 ms (or
   the least number of calls that the contest asks for), and the order rotates from round to round,
   so that a noisy moment hits everybody. The number reported is the median over the rounds of the
   time per call, next to the quartiles.

The interpreter keeps its default settings. Python's garbage collector is on, and runs once more
between turns, so that nobody pays for the garbage of the one before; where collecting is part of
the price of an engine, a turn must be several calls long, or most of the bill goes unseen. What the
imported libraries and the preparations left is frozen (``gc.freeze``): each contestant's collector
has only its own objects to walk, as in a process without the others.
Libraries compute with one thread unless the contestant's name says otherwise.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TURN_SECONDS = 0.05
SLOW_SECONDS = 0.5  # a call longer than this is measured in the first three rounds only
DISTRIBUTIONS = ("numpy", "llvmlite", "micrograd", "torch", "jax", "casadi")

# module -> how to get it
INSTALL = {
    "micrograd": "the dependency group test",
    "torch": "the dependency group test",
    "numpy": "the extra [fast]",
    "llvmlite": "the extra [fast]",
    "sklearn": "the extra [demos]",
    "jax": "pip install jax",
    "casadi": "pip install casadi",
}


class Disagreement(AssertionError):
    """Two contestants computed different things."""


@dataclass
class Contestant:
    """One way of doing the work.

    Attributes:
        name: As shown in the table.
        prepare: Imports, builds and compiles; returns a function of no arguments that does the work
            once and returns its result.
        needs: Modules that must be installed; if one is not, the contestant is skipped.
        threads: How many threads torch may use.
        group: Only results of the same group are compared.
        share: The part of the work it does, if less than all of it (because it is slow); its times
            are divided by it.
        reference: For such a contestant: what computes the results to compare with.
        note: Shown in the last column; why it was skipped, if it was.
        prepare_seconds: How long ``prepare`` and the first call took, imports apart.
        seconds: Time per call in each round.
    """

    name: str
    prepare: Callable[[], Callable[[], Any]]
    needs: tuple[str, ...] = ()
    threads: int = 1
    group: str = ""
    share: float = 1.0
    reference: Callable[[], Callable[[], Any]] | None = None
    note: str = ""
    prepare_seconds: float = 0.0
    run: Callable[[], Any] | None = None
    seconds: list[float] = field(default_factory=list)
    calls: int = 1

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        if len(self.seconds) < 2:
            return self.median, self.median
        low, _, high = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return low, high

    def set_threads(self) -> None:
        torch = sys.modules.get("torch")
        if torch is not None and torch.get_num_threads() != self.threads:
            torch.set_num_threads(self.threads)


class Contest:
    """Several contestants at one piece of work; the first to be entered is the reference.

    Args:
        title: The work, in one line.
        tolerance: How far results may lie apart, relative to the larger of the two compared
            numbers, plus the same fraction of the largest number in the result.
        checked_calls: How many calls in a row are compared (2 for a step that updates parameters).
        least_calls: How many calls a turn has at least.
    """

    def __init__(
        self,
        title: str,
        *,
        tolerance: float = 1e-9,
        checked_calls: int = 1,
        least_calls: int = 1,
    ) -> None:
        self.title = title
        self.tolerance = tolerance
        self.checked_calls = checked_calls
        self.least_calls = least_calls
        self.clock = time.perf_counter
        self.contestants: list[Contestant] = []
        self.skipped: list[tuple[str, str]] = []

    def enter(
        self,
        name: str,
        prepare: Callable[[], Callable[[], Any]],
        *,
        needs: Sequence[str] = (),
        threads: int = 1,
        group: str = "",
        share: float = 1.0,
        reference: Callable[[], Callable[[], Any]] | None = None,
    ) -> None:
        """Add a contestant; see ``Contestant`` for the arguments."""
        note = f"did {share:.3g} of the work; times scaled" if share != 1.0 else ""
        self.contestants.append(
            Contestant(name, prepare, tuple(needs), threads, group, share, reference, note)
        )

    def run(self, rounds: int = 9, processor_time: bool = False) -> Contest:
        """Prepare, check and measure all contestants.

        With ``processor_time``, count the time this process computed instead of the time that
        passed, for machines that are busy with other things; several threads then make no sense,
        and contestants with more than one are skipped.

        Raises:
            Disagreement: If two results differ by more than the tolerance.
        """
        if processor_time:
            self.clock = time.process_time
            for contestant in [c for c in self.contestants if c.threads > 1]:
                self.contestants.remove(contestant)
                self.skipped.append((contestant.name, "several threads, in processor time"))
        self._prepare()
        gc.collect()
        gc.freeze()
        try:
            self._measure(rounds)
        finally:
            gc.unfreeze()
        return self

    def _measure(self, rounds: int) -> None:
        for contestant in self.contestants:
            self._warm_up(contestant)
        for round_ in range(rounds):
            order = self.contestants[round_ % len(self.contestants) :]
            order += self.contestants[: round_ % len(self.contestants)]
            for contestant in order:
                if round_ >= 3 and contestant.seconds[0] * contestant.share > SLOW_SECONDS:
                    continue
                contestant.set_threads()
                gc.collect()
                contestant.seconds.append(self._turn(contestant))

    def _prepare(self) -> None:
        ready: list[Contestant] = []
        references: dict[str, tuple[str, list[list[float]]]] = {}
        for contestant in self.contestants:
            missing = [name for name in contestant.needs if not _installed(name)]
            if missing:
                how = ", ".join(f"{name} is not installed: {INSTALL[name]}" for name in missing)
                self.skipped.append((contestant.name, how))
                continue
            contestant.set_threads()
            gc.collect()
            started = time.perf_counter()
            try:
                contestant.run = contestant.prepare()
                results = [flatten(contestant.run())]
            except RecursionError:
                self.skipped.append((contestant.name, "RecursionError: maximum depth exceeded"))
                continue
            contestant.prepare_seconds = time.perf_counter() - started
            results += [flatten(contestant.run()) for _ in range(self.checked_calls - 1)]
            if contestant.reference is None:
                own = (contestant.name, results)
                name, expected = references.setdefault(contestant.group, own)
            else:
                name, expected = "its reference", [flatten(contestant.reference()())]
            for e, got in zip(expected, results):
                where = f"{self.title}: {contestant.name} against {name}"
                check_equal(e, got, self.tolerance, where)
            ready.append(contestant)
        self.contestants = ready

    def _warm_up(self, contestant: Contestant) -> None:
        contestant.set_threads()
        once = self._turn(contestant) * contestant.share
        while once * contestant.calls < TURN_SECONDS / 2:  # also warms caches and branch predictors
            contestant.calls = max(contestant.calls * 2, int(TURN_SECONDS / 2 / once))
            once = self._turn(contestant) * contestant.share
        contestant.calls = max(self.least_calls, round(TURN_SECONDS / once))

    def _turn(self, contestant: Contestant) -> float:
        run, calls, clock = contestant.run, contestant.calls, self.clock
        assert run is not None
        started = clock()
        for _ in range(calls):
            run()
        return (clock() - started) / calls / contestant.share

    # --- results ---

    def __getitem__(self, name: str) -> Contestant:
        return next(c for c in self.contestants if c.name == name)

    def __contains__(self, name: object) -> bool:
        return any(c.name == name for c in self.contestants)

    def ratio(self, slow: str, fast: str) -> float | None:
        """How many times faster ``fast`` is than ``slow``; ``None`` if either was skipped."""
        if slow in self and fast in self:
            return self[slow].median / self[fast].median
        return None

    def table(self) -> str:
        """Return the results as a Markdown table, headed by the title."""
        first = self.contestants[0].median
        rows = [["contestant", "median", "quartiles", "relative", "first call", "rounds", "note"]]
        for c in self.contestants:
            low, high = c.quartiles
            rows.append(
                [
                    c.name, duration(c.median), f"{duration(low)} .. {duration(high)}",
                    f"{c.median / first:.3g}", duration(c.prepare_seconds),
                    f"{len(c.seconds)} x {c.calls}", c.note,
                ]
            )  # fmt: skip
        rows += [[name, "-", "", "", "", "", why] for name, why in self.skipped]
        clock = "wall time" if self.clock is time.perf_counter else "processor time"
        footer = f"({clock}; results agree to {self.tolerance:g}; relative to the first row)"
        return f"### {self.title}\n\n{markdown(rows)}\n\n{footer}\n"

    def record(self) -> dict[str, Any]:
        """Return the results as plain data, for ``--json``."""
        return {
            "title": self.title,
            "tolerance": self.tolerance,
            "contestants": {
                c.name: {
                    "median_seconds": c.median,
                    "seconds": c.seconds,
                    "calls_per_turn": c.calls,
                    "first_call_seconds": c.prepare_seconds,
                    "threads": c.threads,
                }
                for c in self.contestants
            },
            "skipped": dict(self.skipped),
        }


def _installed(module: str) -> bool:
    try:
        importlib.import_module(module)  # imported here so that no contestant's time includes it
    except ImportError:
        return False
    return True


# --- comparing results ----------------------------------------------------------------------------


def flatten(result: Any) -> list[float]:
    """List the numbers in a result, in order: floats, nested sequences, dicts, arrays, nodes.

    >>> flatten((1, [2.0, {"a": 3.0}]))
    [1.0, 2.0, 3.0]
    """
    return list(_numbers(result))


def _numbers(result: Any) -> Iterator[float]:
    if isinstance(result, (float, int)):
        yield float(result)
    elif isinstance(result, dict):
        for part in result.values():
            yield from _numbers(part)
    elif isinstance(result, (list, tuple)):
        for part in result:
            yield from _numbers(part)
    elif hasattr(result, "tolist"):  # arrays and tensors
        yield from _numbers(result.tolist())
    else:
        yield float(result.data)  # a node of either engine


def check_equal(expected: list[float], got: list[float], tolerance: float, where: str) -> None:
    """Raise ``Disagreement``, saying where, unless the numbers agree to the tolerance."""
    if len(expected) != len(got):
        raise Disagreement(f"{where}: expected {len(expected)} numbers, got {len(got)}")
    floor = tolerance * max((abs(number) for number in expected), default=0.0)
    for i, (a, b) in enumerate(zip(expected, got)):
        if not abs(a - b) <= tolerance * max(abs(a), abs(b)) + floor:
            raise Disagreement(f"{where}: number {i} of {len(got)} should be {a!r}, is {b!r}")


# --- fresh processes and memory -------------------------------------------------------------------


def in_fresh_process(target: str, *arguments: Any, **environment: str) -> Any:
    """Call ``"package.module:function"`` in a new interpreter; return what it returns.

    Arguments and result must survive JSON; ``environment`` is added to the variables.
    """
    command = [sys.executable, "-m", "benchmarks._contest", target, json.dumps(arguments)]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, stdout=subprocess.PIPE, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def peak_memory(target: str, *arguments: Any) -> dict[str, float]:
    """Measure, each time in a fresh process, how much memory a piece of work needs at its peak.

    Args:
        target: ``"package.module:function"``. The function builds what the work needs and returns a
            function of no arguments that does it.
        arguments: Passed to the function; must survive JSON.

    Returns:
        Bytes beyond what was there before the work: ``"python"``, the peak of Python's own
        allocations (``tracemalloc``), and ``"resident"``, of the process (Linux only, else nan).
    """
    return {
        kind: in_fresh_process("benchmarks._contest:measure_memory", kind, target, *arguments)
        for kind in ("python", "resident")
    }


def measure_memory(kind: str, target: str, *arguments: Any) -> float:
    work = find(target)(*arguments)
    gc.collect()
    if kind == "resident":
        before = resident_peak(reset=True)
        work()
        return resident_peak() - before
    import tracemalloc

    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    work()
    return float(tracemalloc.get_traced_memory()[1] - before)


def find(target: str) -> Any:
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


def resident_peak(reset: bool = False) -> float:
    """Return the largest resident size of this process so far, in bytes; nan where unknown.

    With ``reset``, forget the past first. (Not ``getrusage``: Linux hands a child process the peak
    of its parent.)
    """
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(1024.0 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return float("nan")


# --- printing -------------------------------------------------------------------------------------


def duration(seconds: float) -> str:
    """Write a time with three significant digits.

    >>> duration(0.0000123), duration(0.0456), duration(7.891)
    ('12.3 us', '45.6 ms', '7.89 s')
    """
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= 0.9995 * scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def size(number_of_bytes: float) -> str:
    """Write a size in memory.

    >>> size(1536.0), size(3.2e6)
    ('1.5 KB', '3.2 MB')
    """
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if number_of_bytes >= scale:
            return f"{number_of_bytes / scale:.1f} {unit}"
    return f"{number_of_bytes:.0f} B"


def markdown(rows: list[list[str]]) -> str:
    """Lay out a table; the first row is its head."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(row, widths)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return "\n".join(lines)


def hardware() -> str:
    """One line on the machine and the versions of everything that is measured."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(x.partition(":")[2].strip() for x in lines if x.startswith("model name"))
    except (OSError, StopIteration):
        pass
    versions = [
        f"{name} {metadata.version(name)}"
        for name in DISTRIBUTIONS
        if any(metadata.distributions(name=name))
    ]
    load = f", load average {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return (
        f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, {', '.join(versions)}; "
        f"{time.strftime('%Y-%m-%d %H:%M')}{load}"
    )


def one_thread() -> None:
    """Tell the libraries that listen to the environment to use one thread; call before import."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    os.environ.setdefault(
        "XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    )
    os.environ.setdefault("JAX_PLATFORMS", "cpu")


def write_json(path: Path, data: Any) -> None:
    """Write ``data`` to ``path``, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".json")
    try:
        with os.fdopen(handle, "w") as file:
            json.dump(data, file, indent=1)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


if __name__ == "__main__":
    print(json.dumps(find(sys.argv[1])(*json.loads(sys.argv[2]))))
