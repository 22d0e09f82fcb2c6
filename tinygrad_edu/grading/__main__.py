"""``python -m tinygrad_edu.grading student.py``: grade a file from the terminal."""

from __future__ import annotations

import argparse
import faulthandler
import sys
from collections.abc import Sequence

from tinygrad_edu.grading import grade, load_class
from tinygrad_edu.grading.loading import Unloadable


def main(arguments: Sequence[str] | None = None) -> int:
    """Grade one file; returns 0 if all passed, 1 if not, 2 if the class could not be loaded."""
    parser = argparse.ArgumentParser(
        prog="python -m tinygrad_edu.grading",
        description="Grade a Value class with the interface of micrograd.",
    )
    parser.add_argument("student", help="the file, or file:ClassName (Value if left out)")
    parser.add_argument("--torch", action="store_true", help="take the right answers from torch")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random graphs (0)")
    parser.add_argument("--examples", type=int, default=200, help="number of random graphs (200)")
    parser.add_argument(
        "--skip", action="append", default=[], metavar="CHECK", help="leave a check out, by name"
    )
    parser.add_argument("--strict", action="store_true", help="count advice as failures")
    parser.add_argument("--markdown", action="store_true", help="print Markdown instead of text")
    parser.add_argument(
        "--timeout", type=float, default=300.0, help="give up after so many seconds (300)"
    )
    options = parser.parse_args(arguments)
    # Endless Python is stopped line by line; this is for endless loops inside C code.
    if sys.__stderr__ is not None:
        faulthandler.dump_traceback_later(options.timeout, exit=True, file=sys.__stderr__)
    try:
        student = load_class(options.student)
        report = grade(
            student,
            against="torch" if options.torch else "tinygrad_edu",
            seed=options.seed,
            examples=options.examples,
            skip=options.skip,
            strict=options.strict,
        )
    except (Unloadable, ValueError, ImportError) as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        faulthandler.cancel_dump_traceback_later()
    print(report.markdown() if options.markdown else report)
    return 0 if report.passed else 1


if __name__ == "__main__":
    sys.exit(main())
