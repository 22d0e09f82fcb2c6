# Written by tools/signatures.py from the table of operations; change that, not this.
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

from tinygrad_edu import checking as checking
from tinygrad_edu import compiler as compiler
from tinygrad_edu import data as data
from tinygrad_edu import drawing as drawing
from tinygrad_edu import engine as engine
from tinygrad_edu import expression as expression
from tinygrad_edu import formula as formula
from tinygrad_edu import functional as functional
from tinygrad_edu import grading as grading
from tinygrad_edu import interop as interop
from tinygrad_edu import nn as nn
from tinygrad_edu import optim as optim
from tinygrad_edu import saving as saving
from tinygrad_edu import training as training
from tinygrad_edu._version import __version__ as __version__
from tinygrad_edu.checking.gradient_check import check_gradients as check_gradients
from tinygrad_edu.compiler import compile as compile
from tinygrad_edu.drawing import draw as draw
from tinygrad_edu.drawing import draw_dot as draw_dot
from tinygrad_edu.drawing import draw_network as draw_network
from tinygrad_edu.drawing import explain as explain
from tinygrad_edu.drawing import step_through as step_through
from tinygrad_edu.drawing.pages.train_page import train_page as train_page
from tinygrad_edu.drawing.pages.worksheet import worksheet as worksheet
from tinygrad_edu.engine.functional import abs as abs
from tinygrad_edu.engine.functional import acos as acos
from tinygrad_edu.engine.functional import acosh as acosh
from tinygrad_edu.engine.functional import add as add
from tinygrad_edu.engine.functional import asin as asin
from tinygrad_edu.engine.functional import asinh as asinh
from tinygrad_edu.engine.functional import atan as atan
from tinygrad_edu.engine.functional import atan2 as atan2
from tinygrad_edu.engine.functional import atanh as atanh
from tinygrad_edu.engine.functional import ceil as ceil
from tinygrad_edu.engine.functional import clip as clip
from tinygrad_edu.engine.functional import cos as cos
from tinygrad_edu.engine.functional import cosh as cosh
from tinygrad_edu.engine.functional import degrees as degrees
from tinygrad_edu.engine.functional import detach as detach
from tinygrad_edu.engine.functional import digamma as digamma
from tinygrad_edu.engine.functional import div as div
from tinygrad_edu.engine.functional import dot as dot
from tinygrad_edu.engine.functional import elu as elu
from tinygrad_edu.engine.functional import equal as equal
from tinygrad_edu.engine.functional import erf as erf
from tinygrad_edu.engine.functional import erfc as erfc
from tinygrad_edu.engine.functional import exp as exp
from tinygrad_edu.engine.functional import exp2 as exp2
from tinygrad_edu.engine.functional import expm1 as expm1
from tinygrad_edu.engine.functional import floor as floor
from tinygrad_edu.engine.functional import fmod as fmod
from tinygrad_edu.engine.functional import gelu as gelu
from tinygrad_edu.engine.functional import greater as greater
from tinygrad_edu.engine.functional import greater_equal as greater_equal
from tinygrad_edu.engine.functional import hypot as hypot
from tinygrad_edu.engine.functional import leaky_relu as leaky_relu
from tinygrad_edu.engine.functional import less as less
from tinygrad_edu.engine.functional import less_equal as less_equal
from tinygrad_edu.engine.functional import lgamma as lgamma
from tinygrad_edu.engine.functional import log as log
from tinygrad_edu.engine.functional import log1mexp as log1mexp
from tinygrad_edu.engine.functional import log1p as log1p
from tinygrad_edu.engine.functional import log2 as log2
from tinygrad_edu.engine.functional import log10 as log10
from tinygrad_edu.engine.functional import log_sigmoid as log_sigmoid
from tinygrad_edu.engine.functional import log_softmax as log_softmax
from tinygrad_edu.engine.functional import logsumexp as logsumexp
from tinygrad_edu.engine.functional import max as max
from tinygrad_edu.engine.functional import maximum as maximum
from tinygrad_edu.engine.functional import mean as mean
from tinygrad_edu.engine.functional import min as min
from tinygrad_edu.engine.functional import minimum as minimum
from tinygrad_edu.engine.functional import mod as mod
from tinygrad_edu.engine.functional import mul as mul
from tinygrad_edu.engine.functional import neg as neg
from tinygrad_edu.engine.functional import norm as norm
from tinygrad_edu.engine.functional import polygamma as polygamma
from tinygrad_edu.engine.functional import pow as pow
from tinygrad_edu.engine.functional import radians as radians
from tinygrad_edu.engine.functional import relu as relu
from tinygrad_edu.engine.functional import round as round
from tinygrad_edu.engine.functional import scan as scan
from tinygrad_edu.engine.functional import sigmoid as sigmoid
from tinygrad_edu.engine.functional import sigmoid_slope as sigmoid_slope
from tinygrad_edu.engine.functional import sign as sign
from tinygrad_edu.engine.functional import silu as silu
from tinygrad_edu.engine.functional import sin as sin
from tinygrad_edu.engine.functional import sinh as sinh
from tinygrad_edu.engine.functional import softmax as softmax
from tinygrad_edu.engine.functional import softplus as softplus
from tinygrad_edu.engine.functional import sqrt as sqrt
from tinygrad_edu.engine.functional import step as step
from tinygrad_edu.engine.functional import sub as sub
from tinygrad_edu.engine.functional import sum as sum
from tinygrad_edu.engine.functional import take as take
from tinygrad_edu.engine.functional import tan as tan
from tinygrad_edu.engine.functional import tanh as tanh
from tinygrad_edu.engine.functional import where as where
from tinygrad_edu.engine.functional import xlogy as xlogy
from tinygrad_edu.engine.gradient import grad as grad
from tinygrad_edu.engine.operation import GraphWarning as GraphWarning
from tinygrad_edu.engine.own import Operation as Operation
from tinygrad_edu.engine.own import operation as operation
from tinygrad_edu.engine.value import Value as Value
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

__all__ = [
    "GraphWarning",
    "MLP",
    "Operation",
    "Value",
    "acos",
    "acosh",
    "add",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "ceil",
    "check_gradients",
    "clip",
    "cos",
    "cosh",
    "degrees",
    "detach",
    "digamma",
    "div",
    "dot",
    "draw",
    "draw_dot",
    "draw_network",
    "elu",
    "equal",
    "erf",
    "erfc",
    "exp",
    "exp2",
    "explain",
    "expm1",
    "fit",
    "floor",
    "fmod",
    "from_torch",
    "gelu",
    "grad",
    "greater",
    "greater_equal",
    "hypot",
    "leaky_relu",
    "less",
    "less_equal",
    "lgamma",
    "load",
    "load_model",
    "log",
    "log10",
    "log1mexp",
    "log1p",
    "log2",
    "log_sigmoid",
    "log_softmax",
    "logsumexp",
    "maximum",
    "mean",
    "minimize",
    "minimum",
    "mod",
    "mul",
    "neg",
    "norm",
    "operation",
    "parse",
    "polygamma",
    "radians",
    "relu",
    "save",
    "scan",
    "sigmoid",
    "sigmoid_slope",
    "sign",
    "silu",
    "sin",
    "sinh",
    "softmax",
    "softplus",
    "sqrt",
    "step",
    "step_through",
    "sub",
    "take",
    "tan",
    "tanh",
    "to_onnx",
    "to_torch",
    "train_page",
    "where",
    "worksheet",
    "xlogy",
]
