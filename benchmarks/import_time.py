"""How long ``import tinygrad_edu`` takes: ``python -m benchmarks.import_time [--quick]``.

A fresh interpreter for each measurement, with ``-X importtime``. The target: 50 ms without extras.
The number for the package counts every module of the standard library that it is first to import
(``typing`` is most of it), but not what an interpreter imports to start.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
from collections import defaultdict

from benchmarks._contest import ROOT

TARGET_MS = 50.0
_LINE = re.compile(r"^import time:\s*(\d+) \|\s*(\d+) \| *(\S+)$")


def measure() -> dict[str, tuple[float, float]]:
    """Import once in a fresh interpreter: module -> milliseconds of its own, and in all."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import tinygrad_edu"],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    matches = (_LINE.match(line) for line in done.stderr.splitlines())
    return {m[3]: (int(m[1]) / 1000.0, int(m[2]) / 1000.0) for m in matches if m}


def main() -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="5 measurements instead of 31")
    rounds = 5 if parser.parse_args().quick else 31
    own: defaultdict[str, list[float]] = defaultdict(list)
    total = []
    measure()  # compiles to bytecode and warms the disk's cache
    for _ in range(rounds):
        found = measure()
        total.append(found["tinygrad_edu"][1])
        for name, (milliseconds, _) in found.items():
            own[name].append(milliseconds)
    low, median, high = statistics.quantiles(total, n=4)
    print(f"import tinygrad_edu, Python {sys.version.split()[0]}, {rounds} fresh interpreters")
    print(f"median {median:.1f} ms, quartiles {low:.1f} to {high:.1f}, least {min(total):.1f} ms")
    print(f"target: under {TARGET_MS:g} ms, {'met' if median < TARGET_MS else 'missed'}\n")
    ours = {n: statistics.median(t) for n, t in own.items() if n.startswith("tinygrad_edu")}
    print(f"of that, in its own {len(ours)} modules: {sum(ours.values()):.1f} ms")
    for name in sorted(ours, key=ours.__getitem__, reverse=True):
        print(f"  {name:28} {ours[name]:6.2f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
