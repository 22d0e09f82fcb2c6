"""Training: ``fit`` and ``evaluate``, as in the notes' Algorithms 1 to 3.

In order: ``problem`` (what is trained on what, checked first), ``loop`` (``fit``) with
``bookkeeping``, ``eager``, ``native`` with ``objective``, ``sharded`` with ``workers`` and
``gradients`` (engines that take the steps), ``criteria`` (when to stop), ``history`` (what
happened).
"""

from tinygrad_edu.training.criteria import GradientNorm, LossChange, Patience
from tinygrad_edu.training.eager import EagerEngine, Measured, StepEngine, step_error
from tinygrad_edu.training.history import History
from tinygrad_edu.training.loop import evaluate, fit
from tinygrad_edu.training.problem import Problem
from tinygrad_edu.training.workers import Sharding

__all__ = [
    "EagerEngine",
    "GradientNorm",
    "History",
    "LossChange",
    "Measured",
    "Patience",
    "Problem",
    "Sharding",
    "StepEngine",
    "evaluate",
    "fit",
    "step_error",
]
