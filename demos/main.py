"""The demo that `make demo` runs: the notes' two figures, then a network that reads handwriting.

All demos: python demos/all.py
"""

from __future__ import annotations

import time
from importlib import import_module
from importlib.util import find_spec

from _shared import run


def main(rows: int = 0, epochs: int = 0, eager: bool = False, folder: str | None = None) -> None:
    """Draw the notes' figures, then train on two moons and on handwritten digits.

    Trains in native code on all digits, or (--eager) node by node on some of them.
    """
    started = time.perf_counter()
    backpropagation = import_module("08_backpropagation")
    backpropagation.figure_1(folder)
    backpropagation.figure_2(folder)
    compiled = not eager and find_spec("llvmlite") is not None
    how = "in native code" if compiled else "node by node"
    print(f"The same backward pass trains networks; here {how}.\n", flush=True)
    classification = import_module("09_classification")
    classification.two_moons(epochs or 60, compiled, folder)
    print()
    data = classification.load(rows or (0 if compiled else 500), 0 if compiled else 100)
    score = classification.digits(data, epochs or (20 if compiled else 6), compiled, folder)
    print(f"\nIt learned to read {score:.1%} of 360 handwritten digits that it had never seen,")
    print(f"from {len(data.X)} examples. All of this took {time.perf_counter() - started:.0f} s.")


if __name__ == "__main__":
    run(main)
