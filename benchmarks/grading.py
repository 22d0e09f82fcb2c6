"""Grading a class: 200 submissions, copies of those in ``tests/grading/corpus``, in one command.

python -m benchmarks.grading [--copies 200]

Some of them never end, ask for all memory or crash; the wall time counts them too.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from time import perf_counter

CORPUS = Path(__file__).parents[1] / "tests" / "grading" / "corpus"


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description="Time the grading of a class.")
    parser.add_argument("--copies", type=int, default=200, help="number of submissions (200)")
    copies = parser.parse_args().copies
    entries = sorted(p for p in CORPUS.iterdir() if p.suffix in (".py", ".ipynb") or p.is_dir())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "submissions"
        for i in range(copies):
            entry, place = entries[i % len(entries)], folder / f"student{i:03}"
            if entry.is_dir():
                shutil.copytree(entry, place)
            else:
                place.mkdir(parents=True)
                shutil.copy(entry, place)
        out = Path(name) / "grades.json"
        start = perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "tinygrad_edu.grading", str(folder), "-q",
             "--json", str(out), "--html", str(Path(name) / "report")],
            cwd=CORPUS.parents[2],
        )  # fmt: skip
        seconds = perf_counter() - start
        records = json.loads(out.read_text(encoding="utf-8"))
        pages = len(list((Path(name) / "report").iterdir()))
    times = sorted(record["seconds"] for record in records)
    print(f"{len(records)} submissions on {os.cpu_count()} cores, exit code {done.returncode}\n")
    print("| | |\n|---|---|")
    print(f"| in all, with {pages} pages | {seconds:.0f} s |")
    print(f"| one, median | {times[len(times) // 2]:.2f} s |")
    print(f"| one, longest | {times[-1]:.1f} s |")
    for verdict, count in Counter(record["verdict"] for record in records).most_common():
        print(f"| {verdict} | {count} |")


if __name__ == "__main__":
    main()
