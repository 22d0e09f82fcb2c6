"""Gradient checks: is the derivative that the engine computes the derivative of the function?

In order: ``finite_differences`` estimates a derivative from function values alone and bounds its
own error; ``gradient_check`` compares it with what the engine says, input by input.
"""

from tinygrad_edu.checking.gradient_check import (
    GradientError,
    GradientReport,
    GradientRow,
    check_gradients,
)

__all__ = ["GradientError", "GradientReport", "GradientRow", "check_gradients"]
