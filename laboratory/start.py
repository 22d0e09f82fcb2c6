"""Runs in the page's worker, after Python has started from its snapshot.

``layout`` and ``write`` are the worker's functions; ``run`` and ``player`` are what it calls.
"""

import json
import random

import js
from pyodide.ffi import JsException

import tinygrad_edu
from tinygrad_edu.drawing import use_layout_engine
from tinygrad_edu.drawing.figures.layout_engines import GaveUpError
from tinygrad_edu.drawing.pages.laboratory import Laboratory

random.seed()  # the snapshot has one state for all


def engine(dot, output_format):
    """Lay a graph out with the page's Graphviz; where that gives up, the package's own layout."""
    try:
        return js.layout(dot, output_format)
    except JsException as error:
        raise GaveUpError(f"Graphviz: {error}") from None


use_layout_engine(engine)
names = {name: getattr(tinygrad_edu, name) for name in [*tinygrad_edu.__all__, "nn", "optim"]}
laboratory = Laboratory(names, js.write)


def run(source):
    """Run a program; what is to be shown of it as JSON."""
    return json.dumps(laboratory.run(source))


def player():
    """The page of steps of what was run last."""
    return laboratory.player()
