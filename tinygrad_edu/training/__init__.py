"""Training: ``fit`` and ``evaluate``, the history, convergence criteria, step engines (layer 4)."""

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
