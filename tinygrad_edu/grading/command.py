"""The command ``python -m tinygrad_edu.grading`` and ``tinygrad-edu grade``: a class in one go."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from time import monotonic
from typing import Any

from tinygrad_edu._files import write_atomically
from tinygrad_edu.grading.batch import (
    Grader,
    Options,
    grade_all,
    read_records,
    usable_cores,
)
from tinygrad_edu.grading.formats import (
    class_text,
    csv_text,
    gradescope_text,
    headline,
    json_text,
    junit_text,
    record_text,
)
from tinygrad_edu.grading.record import Record
from tinygrad_edu.grading.rubric import Rubric
from tinygrad_edu.grading.submissions import find_submissions

PASSED, FAILED, USAGE, NOT_GRADED, STOPPED = 0, 1, 2, 3, 130
_SAVE_EVERY = 5.0  # seconds between writings of the --json file while grading goes on

EXIT_CODES = """\
exit code: 0 all passed, 1 some failed, 2 wrong usage, 3 some could not be graded, 130 stopped by
Ctrl-C (what is done is kept in the --json file; the same command goes on from there).

Each submission runs in a process of its own, but as you: it can read and write your files and use
the network. Grade strangers' code in a container."""


class Usage(ValueError):
    """The command was called with something wrong."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command to a parser."""
    add = parser.add_argument
    add(
        "paths",
        metavar="PATH",
        nargs="+",
        help="a .py or .ipynb file, or a folder: each file and sub-folder in it is a submission",
    )
    add("--jobs", metavar="N", type=_whole(1), help="so many at a time (default: one per core)")
    add(
        "--time",
        metavar="S",
        type=_seconds,
        default=20.0,
        help="the most seconds for one submission (20)",
    )
    add(
        "--memory",
        metavar="MB",
        type=_memory,
        default=1 << 30,
        help="the most memory for one: a number of MB, or such as 2G (1G)",
    )
    add("--seed", metavar="N", type=_whole(0), default=0, help="seed of the random graphs (0)")
    add("--rubric", metavar="FILE", help="weights and operations, .toml or .json")
    add(
        "--map",
        metavar="data=value,...",
        type=_mapping,
        default={},
        help="the names that a class has for data, grad and backward; found by trying if left out",
    )
    add(
        "--class",
        metavar="NAME",
        dest="class_name",
        help="the class to grade (default: Value, or the one with arithmetic and a backward)",
    )
    add(
        "--json",
        metavar="FILE",
        help="write the records; if it is there, what is unchanged is not graded again",
    )
    add("--csv", metavar="FILE", help="write a table for a spreadsheet")
    add("--junitxml", metavar="FILE", help="write a report as JUnit's XML")
    add(
        "--gradescope",
        metavar="FILE",
        help="write Gradescope's results.json, of one file or folder",
    )
    add("--html", metavar="FOLDER", help="write a page per submission and one about the class")
    add("-q", "--quiet", action="store_true", help="print no report and no progress")


def _whole(least: int) -> Callable[[str], int]:
    def whole(text: str) -> int:
        if not text.strip().lstrip("+-").isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"expected a whole number from {least}, got {text!r}")
        return int(text)

    return whole


def _seconds(text: str) -> float:
    with suppress(ValueError):
        if 0.1 <= float(text) <= 1e6:
            return float(text)
    raise argparse.ArgumentTypeError(f"expected seconds, from 0.1, got {text!r}")


def _memory(text: str) -> int:
    number, unit = text.strip().upper().removesuffix("B"), 1 << 20
    for letter, size in (("K", 1 << 10), ("M", 1 << 20), ("G", 1 << 30)):
        if number.endswith(letter):
            number, unit = number[:-1], size
    with suppress(ValueError):
        if 64 << 20 <= float(number) * unit <= 1 << 50:
            return int(float(number) * unit)
    raise argparse.ArgumentTypeError(f"expected MB, from 64, or such as 2G, got {text!r}")


NAMES = ("data", "grad", "backward")


def _mapping(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in text.split(","):
        ours, equals, theirs = (x.strip() for x in part.partition("="))
        if not equals or ours not in NAMES or not theirs.isidentifier() or ours in found:
            raise argparse.ArgumentTypeError(
                f"expected such as data=value,backward=run with names out of {', '.join(NAMES)}; "
                f"got {text!r}"
            )
        found[ours] = theirs
    return found


def run(arguments: Any, grader: Grader | None = None) -> int:
    """Grade what the parsed arguments name; returns the exit code.

    Raises:
        ValueError: If an argument is wrong.
        OSError: If something cannot be read or written.
    """
    if grader is None:
        from tinygrad_edu.grading.isolated import grade_file

        grader = grade_file
    rubric = Rubric() if arguments.rubric is None else Rubric.load(arguments.rubric)
    options = Options(arguments.seed, arguments.time, arguments.memory, arguments.map,
                      arguments.class_name, rubric)  # fmt: skip
    if arguments.class_name is not None and not arguments.class_name.isidentifier():
        raise Usage(f"--class: expected the name of a class, got {arguments.class_name!r}")
    whole = arguments.gradescope is not None  # a folder is what one student handed in
    submissions = find_submissions(arguments.paths, arguments.class_name, whole=whole)
    if arguments.gradescope and len(submissions) != 1:
        raise Usage(f"--gradescope is for one submission, got {len(submissions)}")
    json_path = Path(arguments.json) if arguments.json else None
    _check_places(arguments)
    known = {}
    if json_path is not None and json_path.exists():
        try:
            known = {(r.submission, r.key): r for r in read_records(json_path)}
        except ValueError as error:
            raise Usage(f"{error}; remove it, or name another") from None
    names = {str(s.path): s.name for s in submissions}
    records: dict[str, Record] = {}

    def ordered() -> list[Record]:
        found = records.copy()  # others are adding to it
        return [found[path] for path in names if path in found]

    saved = monotonic()
    jobs = arguments.jobs or usable_cores()
    graded = grade_all(submissions, options, grader, jobs=jobs, known=known, records=records)
    stopped = False
    try:
        with closing(graded), closing(_progress(graded, names, arguments.quiet)) as shown:
            for _record in shown:
                if json_path is not None and monotonic() - saved > _SAVE_EVERY:
                    write_atomically(json_path, json_text(ordered()))
                    saved = monotonic()
    except KeyboardInterrupt:
        stopped = True
    done = ordered()
    _write(arguments, done, names, rubric)
    if not arguments.quiet:
        if len(names) == 1 and done:
            print(record_text(done[0], done[0].submission))
        elif done:
            print(class_text(done, names))
    if stopped:
        again = "the same command goes on from here" if json_path else "with --json it could go on"
        print(f"stopped: {len(done)} of {len(names)} graded; {again}", file=sys.stderr)
        return STOPPED
    if not all(record.graded for record in done):
        return NOT_GRADED
    return PASSED if all(record.verdict == "passed" for record in done) else FAILED


def _check_places(arguments: Any) -> None:
    """Refuse at once what could not be written after an hour."""
    for option in ("json", "csv", "junitxml", "gradescope"):
        name = getattr(arguments, option)
        if name is None:
            continue
        path = Path(name)
        if path.is_dir():
            raise Usage(f"--{option}: {path} is a folder; expected a file to write")
        if not path.absolute().parent.is_dir():
            raise Usage(f"--{option}: there is no folder {path.parent}")
    if arguments.html is not None and Path(arguments.html).is_file():
        raise Usage(f"--html: {arguments.html} is a file; expected a folder to write")


def _write(arguments: Any, done: list[Record], names: dict[str, str], rubric: Rubric) -> None:
    if arguments.json:
        write_atomically(arguments.json, json_text(done))
    if arguments.csv:  # the mark at its start tells spreadsheets that it is UTF-8
        write_atomically(arguments.csv, "\ufeff" + csv_text(done, rubric, names))
    if arguments.junitxml:
        write_atomically(arguments.junitxml, junit_text(done, names))
    if arguments.gradescope and done:
        write_atomically(arguments.gradescope, gradescope_text(done[0], rubric))
    if arguments.html:
        from tinygrad_edu.grading.html_report import write_pages

        write_pages(Path(arguments.html), done, names, rubric)


def _progress(
    records: Iterator[Record], names: dict[str, str], quiet: bool
) -> Generator[Record, None, None]:
    """Pass records on and show how far it is: a bar where tqdm is installed, else lines."""
    if quiet or sys.stderr is None:
        yield from records
        return
    if sys.stderr.isatty():
        try:
            from tqdm import tqdm
        except ImportError:
            pass
        else:
            yield from tqdm(records, total=len(names), unit="submission", leave=False)
            return
    if len(names) == 1:
        yield from records
        return
    for i, record in enumerate(records, 1):
        line = headline(record, names.get(record.submission, record.submission))
        print(f"[{i}/{len(names)}] {line}", file=sys.stderr, flush=True)
        yield record


def main(arguments: Sequence[str] | None = None, grader: Grader | None = None) -> int:
    """Run the command line; returns the exit code, see ``EXIT_CODES``."""
    parser = argparse.ArgumentParser(
        prog="python -m tinygrad_edu.grading",
        description="Grade students' Value classes: one file, or a whole class.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    configure(parser)
    for stream in (sys.stdout, sys.stderr):  # letters that a terminal lacks are no error
        if getattr(stream, "errors", "") == "strict" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        return run(parser.parse_args(arguments), grader)
    except (ValueError, OSError, ImportError) as error:
        print(f"{parser.prog}: error: {' '.join(str(error).split())}", file=sys.stderr)
        return USAGE
