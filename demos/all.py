"""Run all demos, one after the other.

    python demos/all.py                      node by node, the digits in part: under two minutes
    python demos/all.py --compiled           the same in native code
    python demos/all.py --compiled --full    all of the data and more epochs

Figures go to demos/figures.
"""

from __future__ import annotations

import inspect
import time
from importlib import import_module
from typing import Any

from _shared import run

DEMOS = (
    "01_gradient_descent",
    "02_least_squares",
    "03_logistic_regression",
    "04_softmax_regression",
    "05_nonlinear_separators",
    "06_perceptrons",
    "07_universal_approximation",
    "08_backpropagation",
    "09_classification",
)


def main(full: bool = False, compiled: bool = False, folder: str | None = None) -> None:
    """Run the demo of every section of the notes."""
    options: dict[str, Any] = {"full": full, "compiled": compiled, "folder": folder}
    started = time.perf_counter()
    for name in DEMOS:
        print(f"\n=== {name[3:].replace('_', ' ')} (demos/{name}.py)\n", flush=True)
        before = time.perf_counter()
        demo = import_module(name).main
        known = inspect.signature(demo).parameters
        demo(**{option: value for option, value in options.items() if option in known})
        print(f"\n{time.perf_counter() - before:.1f} s")
    print(f"\nall demos: {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    run(main)
