"""How each operation is written in torch, and helpers that the tests share.

A row per row of the table, ``tinygrad_edu/engine/ops.py``: a test fails where one is missing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from tinygrad_edu.engine import ops
from tinygrad_edu.engine.operation import Op

torch.set_num_threads(1)


def tensor(x: float, requires_grad: bool = True) -> torch.Tensor:
    return torch.tensor(float(x), dtype=torch.float64, requires_grad=requires_grad)


def _torch_dot(*operands: torch.Tensor) -> torch.Tensor:
    n = len(operands) // 2
    total = torch.stack([a * b for a, b in zip(operands[:n], operands[n : 2 * n])]).sum()
    return total + operands[-1] if len(operands) % 2 else total


# name -> the operation on torch scalars
TORCH: dict[str, Callable[..., torch.Tensor]] = {
    "less": lambda a, b: (a < b).double(),
    "less_equal": lambda a, b: (a <= b).double(),
    "equal": lambda a, b: (a == b).double(),
    "where": lambda c, a, b: torch.where(c.detach() != 0, a, b),
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": torch.div,
    "neg": torch.neg,
    "abs": torch.abs,
    "pow": torch.pow,
    "exp": torch.exp,
    "expm1": torch.expm1,
    "log": torch.log,
    "log1p": torch.log1p,
    "log2": torch.log2,
    "log10": torch.log10,
    "sqrt": torch.sqrt,
    "sin": torch.sin,
    "cos": torch.cos,
    "tan": torch.tan,
    "asin": torch.asin,
    "acos": torch.acos,
    "atan": torch.atan,
    "atan2": torch.atan2,
    "hypot": torch.hypot,
    "sinh": torch.sinh,
    "cosh": torch.cosh,
    "tanh": torch.tanh,
    "erf": torch.erf,
    "fmod": torch.fmod,
    "mod": torch.remainder,
    "degrees": torch.rad2deg,
    "radians": torch.deg2rad,
    "exp2": torch.exp2,
    "log1mexp": lambda a: torch.log(-torch.expm1(a)),
    "xlogy": torch.xlogy,
    "asinh": torch.asinh,
    "acosh": torch.acosh,
    "atanh": torch.atanh,
    "erfc": torch.erfc,
    "lgamma": torch.lgamma,
    "digamma": torch.digamma,
    "polygamma": lambda a, n: torch.polygamma(int(n), a),
    "floor": torch.floor,
    "ceil": torch.ceil,
    "round": torch.round,
    "detach": lambda a: a.detach(),
    "clip": torch.clamp,
    "norm": lambda *operands: torch.linalg.vector_norm(torch.stack(operands)),
    "sigmoid_slope": lambda a: torch.sigmoid(a) * torch.sigmoid(-a),
    "silu": torch.nn.functional.silu,
    "gelu": torch.nn.functional.gelu,
    "elu": torch.nn.functional.elu,
    "sigmoid": torch.sigmoid,
    "log_sigmoid": torch.nn.functional.logsigmoid,
    "softplus": lambda a: torch.nn.functional.softplus(a, threshold=1000.0),
    "relu": torch.relu,
    "step": lambda a: torch.where(a >= 0, 1.0, torch.where(a < 0, -1.0, a.detach())),
    "sign": torch.sign,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "sum": lambda *terms: torch.stack(terms).sum(),
    "dot": _torch_dot,
    "max": lambda *operands: torch.stack(operands).amax(),
    "logsumexp": lambda *operands: torch.logsumexp(torch.stack(operands), 0),
    "take": lambda index, *values: torch.stack(values)[int(index)],
    "power": lambda a, n: torch.pow(a, n),
    "exponential": lambda a, base: torch.pow(base, a),
    "leaky_relu": lambda a, slope: torch.nn.functional.leaky_relu(a, slope),
}

# parametrised operations to test, by their captured constant
PARAMETRISED: list[Op] = [
    *(ops.power(n) for n in (0.0, 1.0, 2.0, 3.0, -1.0, -2.0, 0.5, 2.5)),
    *(ops.exponential(b) for b in (2.0, 0.5, 10.0)),
    *(ops.leaky_relu_with(s) for s in (0.01, 0.2)),
    *(ops.elu_with(alpha) for alpha in (1.0, 0.3)),
    *(ops.polygamma_of(n) for n in (1.0, 2.0)),
]
ALL_OPS: list[Op] = [*ops.TABLE.values(), *PARAMETRISED]


def op_id(op: Op) -> str:
    return op.name if op.parameter is None else f"{op.name}({op.parameter:g})"


def torch_apply(op: Op, operands: Sequence[torch.Tensor]) -> torch.Tensor:
    function = TORCH[op.name]
    return function(*operands) if op.parameter is None else function(*operands, op.parameter)


def torch_error(op: Op) -> float:
    """How far torch itself may be off: its trigamma has 9 digits (``test_accuracy.py`` has 60)."""
    return 1e-8 if op.name in ("lgamma", "digamma", "polygamma") else 1e-12


def torch_value_and_grads(op: Op, operands: Sequence[float]) -> tuple[float, list[float]]:
    """The value and the gradient by each operand, by torch in float64."""
    tensors = [tensor(x) for x in operands]
    result = torch_apply(op, tensors)
    if result.requires_grad:
        result.backward()
    return result.item(), [0.0 if t.grad is None else t.grad.item() for t in tensors]


def sample_operands(op: Op, random: Any) -> list[float]:
    """Operands for ``op`` from the intervals of its row; four of them for an n-ary operation."""
    if op.name == "take":
        return [float(random.randrange(3)), *(random.uniform(-3.0, 3.0) for _ in range(3))]
    arity = op.arity or 5
    intervals = op.sample if len(op.sample) == arity else op.sample[:1] * arity
    return [random.uniform(low, high) for low, high in intervals]


def close(got: float, expected: float, rtol: float = 1e-12, atol: float = 1e-300) -> bool:
    """Equal to a relative tolerance; nan equals nan, and infinities equal themselves."""
    if math.isnan(expected) or math.isnan(got):
        return math.isnan(expected) and math.isnan(got)
    if math.isinf(expected) or math.isinf(got):
        return got == expected
    return abs(got - expected) <= atol + rtol * max(abs(got), abs(expected))
