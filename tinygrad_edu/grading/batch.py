"""Grading many submissions: several at a time, each in a process of its own, and going on later."""

from __future__ import annotations

import hashlib
import json
import os
import queue
import threading
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from tinygrad_edu._version import __version__
from tinygrad_edu.grading.record import Record
from tinygrad_edu.grading.rubric import Rubric
from tinygrad_edu.grading.submissions import Submission


@dataclass(frozen=True)
class Options:
    """What the result depends on, beside the submission.

    Attributes:
        seed: Of the random graphs.
        time: The most seconds of wall time for one submission.
        memory: The most bytes for one.
        mapping: The names a class has for what the interface calls ``data``, ``grad``,
            ``backward``; those left out are found by trying.
        class_name: The class to grade; None for the one that looks like it.
        rubric: What counts.
    """

    seed: int = 0
    time: float = 20.0
    memory: int = 1 << 30
    mapping: Mapping[str, str] = field(default_factory=dict)
    class_name: str | None = None
    rubric: Rubric = field(default_factory=Rubric)

    def key(self, submission: Submission) -> str:
        """A hash of the submission's content, the options and the version of the grader."""
        everything = {
            "content": submission.content(),
            "version": __version__,
            "seed": self.seed,
            "time": self.time,
            "memory": self.memory,
            "mapping": dict(sorted(self.mapping.items())),
            "class": self.class_name,
            "rubric": self.rubric.to_dict(),
        }
        text = json.dumps(everything, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]


class Grader(Protocol):
    """What grades one file in a process of its own: ``grading.isolated.grade_file``."""

    def __call__(
        self,
        path: Path,
        *,
        seed: int,
        time: float,
        memory: int,
        mapping: Mapping[str, str],
        class_name: str | None,
        rubric: Rubric,
    ) -> Record: ...


def usable_cores() -> int:
    """The number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def grade_all(
    submissions: Sequence[Submission],
    options: Options,
    grader: Grader,
    *,
    jobs: int = 1,
    known: Mapping[tuple[str, str], Record] | None = None,
    records: dict[str, Record] | None = None,
) -> Generator[Record, None, None]:
    """Grade submissions and yield their records as they are ready, in no order.

    Args:
        submissions: What to grade.
        options: How.
        grader: What grades one file.
        jobs: How many at a time.
        known: Records from before, by path and key; these are not graded again.
        records: Where each record is put by its path, as soon as there is one: complete even when
            an interrupt comes before it is yielded.

    A submission whose grading fails in the grader itself gets a record that says so. Closing the
    iterator (or Ctrl-C) stops it: what is being graded is not waited for.
    """
    waiting: queue.SimpleQueue[tuple[Submission, str]] = queue.SimpleQueue()
    finished: queue.SimpleQueue[Record] = queue.SimpleQueue()
    count, stop = 0, threading.Event()
    kept = {} if records is None else records
    for submission in submissions:
        key = options.key(submission)
        found = (known or {}).get((str(submission.path), key))
        if found is not None:
            kept[found.submission] = found
            yield found
        else:
            waiting.put((submission, key))
            count += 1

    def work() -> None:
        while not stop.is_set():
            try:
                submission, key = waiting.get_nowait()
            except queue.Empty:
                return
            record = replace(_graded(submission, options, grader), key=key)
            if not stop.is_set():  # after an interrupt its process may have been stopped, too
                kept[record.submission] = record
                finished.put(record)

    # daemons: after Ctrl-C nobody waits for the submission that has twenty seconds to go
    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(max(1, jobs), count))]
    for thread in threads:
        thread.start()
    try:
        while count:
            try:
                record = finished.get(timeout=0.2)  # a wait without end could not be interrupted
            except queue.Empty:
                continue
            count -= 1
            yield record
    finally:
        stop.set()


def _graded(submission: Submission, options: Options, grader: Grader) -> Record:
    name = str(submission.path)
    if not submission.is_file:
        message = "There is no .py or .ipynb file in this folder."
        return Record(name, "not loaded", message=message)
    try:
        record = grader(
            submission.path,
            seed=options.seed,
            time=options.time,
            memory=options.memory,
            mapping=options.mapping,
            class_name=options.class_name,
            rubric=options.rubric,
        )
    except Exception as error:  # one submission must not stop the others
        text = f"{type(error).__name__}: {error}"
        message = f"The grader itself failed here, which is no fault of the submission ({text})."
        return Record(name, "crashed", message=message)
    return replace(record, submission=name)


def read_records(path: Path) -> list[Record]:
    """The records in a ``--json`` file.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is something else; the message names the file.
    """
    try:
        found: Any = json.loads(path.read_bytes())
        if not isinstance(found, list):
            raise ValueError("expected a list of records")
        return [Record.from_dict(entry) for entry in found]
    except ValueError as error:
        raise ValueError(f"{path} holds no records of this grader: {error}") from None
