"""tinygrad_edu: a scalar autodiff engine to learn from, to draw with, and to run fast.

>>> from tinygrad_edu import Value
>>> x, y, z = Value(2.0, "x"), Value(3.0, "y"), Value(4.0, "z")
>>> f = ((x + y) + (x * y)) * z
>>> f.backward()
>>> f.data, x.grad, y.grad, z.grad
(44.0, 16.0, 12.0, 11.0)

``Value``, ``grad`` and the functions of ``tinygrad_edu.engine.functional`` (``exp``, ``relu``,
``softmax``, ...) are at hand here. What needs more than the standard library loads when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tinygrad_edu import _saved, functional
from tinygrad_edu._version import __version__ as __version__
from tinygrad_edu.engine import notebook, own
from tinygrad_edu.engine.functional import *  # noqa: F403
from tinygrad_edu.engine.gradient import grad as grad
from tinygrad_edu.engine.operation import GraphWarning as GraphWarning
from tinygrad_edu.engine.own import Operation as Operation
from tinygrad_edu.engine.own import operation as operation
from tinygrad_edu.engine.value import Value as Value

if TYPE_CHECKING:
    from tinygrad_edu.checking.gradient_check import check_gradients as check_gradients
    from tinygrad_edu.compiler import compile as compile
    from tinygrad_edu.drawing import draw as draw
    from tinygrad_edu.drawing import draw_dot as draw_dot
    from tinygrad_edu.drawing import draw_network as draw_network
    from tinygrad_edu.drawing import explain as explain
    from tinygrad_edu.drawing import step_through as step_through
    from tinygrad_edu.drawing.pages.train_page import train_page as train_page
    from tinygrad_edu.drawing.pages.worksheet import worksheet as worksheet
    from tinygrad_edu.formula.expression import parse as parse
    from tinygrad_edu.interop import from_torch as from_torch
    from tinygrad_edu.interop import minimize as minimize
    from tinygrad_edu.interop import to_onnx as to_onnx
    from tinygrad_edu.interop import to_torch as to_torch
    from tinygrad_edu.nn import MLP as MLP
    from tinygrad_edu.saving import load as load
    from tinygrad_edu.saving import load_model as load_model
    from tinygrad_edu.saving import save as save
    from tinygrad_edu.training import fit as fit

# name -> the module that holds it; imported when the name is first asked for
_LAZY = {
    "check_gradients": "tinygrad_edu.checking.gradient_check",
    "compile": "tinygrad_edu.compiler",
    "draw": "tinygrad_edu.drawing",
    "draw_dot": "tinygrad_edu.drawing",
    "draw_network": "tinygrad_edu.drawing",
    "explain": "tinygrad_edu.drawing",
    "fit": "tinygrad_edu.training",
    "from_torch": "tinygrad_edu.interop",
    "load": "tinygrad_edu.saving",
    "load_model": "tinygrad_edu.saving",
    "minimize": "tinygrad_edu.interop",
    "MLP": "tinygrad_edu.nn",
    "parse": "tinygrad_edu.formula.expression",
    "save": "tinygrad_edu.saving",
    "step_through": "tinygrad_edu.drawing",
    "to_onnx": "tinygrad_edu.interop",
    "to_torch": "tinygrad_edu.interop",
    "train_page": "tinygrad_edu.drawing",
    "worksheet": "tinygrad_edu.drawing",
}
_ROOMS = {
    "checking", "compiler", "data", "drawing", "engine", "expression", "formula", "grading",
    "interop", "nn", "optim", "saving", "training",
}  # fmt: skip

# what would hide a built-in is reachable as tinygrad_edu.sum, but not through import *
_BUILTIN = {"abs", "compile", "max", "min", "pow", "round", "sum"}
__all__ = sorted(
    {"GraphWarning", "Operation", "Value", "grad", "operation", *functional.__all__, *_LAZY}
    - _BUILTIN
)


def _picture(thing: Any) -> str | None:
    """Draw what a notebook shows: the graph of a Value, the network of a model."""
    from tinygrad_edu.drawing import draw, draw_network

    if isinstance(thing, Value):
        return draw(thing).svg
    try:
        return draw_network(thing).svg
    except TypeError:  # not a network of layers
        return None


notebook.show_with(_picture)
own.check_with(
    lambda function, point, **options: import_module(
        "tinygrad_edu.checking.gradient_check"
    ).check_gradients(function, point, **options)
)
_saved.saved_by(lambda: import_module("tinygrad_edu.saving"))


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    if name in _ROOMS:
        return import_module(f"tinygrad_edu.{name}")
    raise AttributeError(f"module 'tinygrad_edu' has no attribute {name!r}")


def __dir__() -> list[str]:
    hidden = {name for name in globals() if name.startswith("__")}
    return sorted({*__all__, *functional.__all__, *_LAZY, *_ROOMS, "functional", *hidden})
