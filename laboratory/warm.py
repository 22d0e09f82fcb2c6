"""What is in Python's memory when lab.html starts: the package, and all that a run imports."""

import gc
import sys

sys.path.append("/lib/laboratory.zip")

import json  # noqa: F401
import random  # noqa: F401

import tinygrad_edu
from tinygrad_edu import interop, nn, optim, saving, training  # noqa: F401
from tinygrad_edu.drawing import use_layout_engine
from tinygrad_edu.drawing.pages.laboratory import Laboratory

PROGRAMS = [
    "x, y, z = Value(2.0), Value(3.0), Value(4.0)\nf = ((x + y) + (x * y)) * z\nf.backward()",
    "model = nn.MLP(2, [3, 1], seed=0)\nout = model([1.0, 2.0])\nout.backward()\nprint(out)",
    "x = Value(-1.0)\ny = log(x)",
    "x = = 2",
    "x = 2; f = x * x",
]

use_layout_engine("plain")  # the page's own is not here yet
names = {name: getattr(tinygrad_edu, name) for name in [*tinygrad_edu.__all__, "nn", "optim"]}
laboratory = Laboratory(names)
for program in PROGRAMS:
    laboratory.run(program)
    laboratory.player()
use_layout_engine(None)
del laboratory, program, names
gc.collect()
# Freed memory still holds what was there; zeros take no room in the file.
sizes = {1 << 16: 24, 1 << 12: 200, 1 << 9: 500}
blocks = [bytearray(size) for size, count in sizes.items() for _ in range(count)]
del blocks
