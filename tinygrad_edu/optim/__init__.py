"""Optimizers, learning-rate schedules and gradient clipping (layer 3).

>>> from tinygrad_edu.optim import Adam, Cosine
>>> Adam(Cosine(0.1, steps=100)).learning_rate
0.1
"""

from tinygrad_edu.optim.clipping import clip_gradient_norm, clip_gradient_value, gradient_norm
from tinygrad_edu.optim.descent import Path, follow_gradient
from tinygrad_edu.optim.optimizer import Optimizer
from tinygrad_edu.optim.optimizers import (
    SGD,
    AdaGrad,
    Adam,
    AdamW,
    GradientAscent,
    GradientDescent,
    Momentum,
    Nesterov,
    RMSProp,
)
from tinygrad_edu.optim.schedules import (
    Constant,
    Cosine,
    ExponentialDecay,
    InverseTime,
    Linear,
    Schedule,
    StepDecay,
)

__all__ = [
    "AdaGrad",
    "Adam",
    "AdamW",
    "Constant",
    "Cosine",
    "ExponentialDecay",
    "GradientAscent",
    "GradientDescent",
    "InverseTime",
    "Linear",
    "Momentum",
    "Nesterov",
    "Optimizer",
    "Path",
    "RMSProp",
    "SGD",
    "Schedule",
    "StepDecay",
    "clip_gradient_norm",
    "clip_gradient_value",
    "follow_gradient",
    "gradient_norm",
]
