"""The road on for those who outgrow scalars: torch, ONNX, scipy's optimisers.

The models of the notes (section 'Multi-layer Feedforward Neural Networks' and before) are made of
sums ``w . x + b``, activation functions and feature maps; both libraries have these for whole
matrices. What is exported computes the same numbers in float64, and has the same gradients.
"""

from __future__ import annotations

from tinygrad_edu.interop.onnx_graph import to_onnx
from tinygrad_edu.interop.pytorch import from_torch, to_torch
from tinygrad_edu.interop.scipy_minimize import minimize

__all__ = ["from_torch", "minimize", "to_onnx", "to_torch"]
