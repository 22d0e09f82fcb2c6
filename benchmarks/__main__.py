"""Run every benchmark, each in a process of its own: ``python -m benchmarks [--quick]``."""

from __future__ import annotations

import subprocess
import sys

from benchmarks._contest import ROOT

MODULES = (
    "engine",
    "compiled",
    "recurrences",
    "two_moons_nn",
    "digits_epoch",
    "import_time",
    "sklearn_accuracy",
    "scaling",
)


def main(arguments: list[str]) -> int:
    if arguments not in ([], ["--quick"]):
        print("usage: python -m benchmarks [--quick]", file=sys.stderr)
        return 2
    status = 0
    for name in MODULES:
        command = [sys.executable, "-m", f"benchmarks.{name}", *arguments]
        status = max(status, subprocess.run(command, cwd=ROOT).returncode)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
