"""The corpus of programs on three engines: ours, torch in double precision, and micrograd."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from micrograd.engine import Value as MicrogradValue
from programs import PLAIN, PROGRAMS

from tinygrad_edu import functional
from tinygrad_edu.engine import Value


class Ours:
    """``tinygrad_edu`` in micrograd's words: ``Value``, ``.data``, ``.grad``."""

    leaf = Value
    relu = staticmethod(lambda x: x.relu())

    def __getattr__(self, name: str) -> Any:
        return getattr(functional, name)

    def number(self, x: Any) -> float:
        return float(x.data) if hasattr(x, "data") else x

    def slope(self, x: Any) -> float:
        return float(x.grad)

    def zero(self, parameters: list[Any]) -> None:
        for p in parameters:
            p.grad = 0.0

    def descend(self, parameters: list[Any], rate: float) -> None:
        for p in parameters:
            p.data -= rate * p.grad


class Micrograd(Ours):
    leaf = MicrogradValue


class Torch(Ours):
    relu = staticmethod(torch.relu)

    def leaf(self, x: float) -> Any:  # type: ignore[override]
        return torch.tensor(x, dtype=torch.float64, requires_grad=True)

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    def number(self, x: Any) -> float:
        return x.item() if isinstance(x, torch.Tensor) else x

    def slope(self, x: Any) -> float:
        return x.grad.item()

    def zero(self, parameters: list[Any]) -> None:
        for p in parameters:
            p.grad = None

    def descend(self, parameters: list[Any], rate: float) -> None:
        with torch.no_grad():
            for p in parameters:
                p -= rate * p.grad


def run(name: str, engine: Any) -> tuple[list[float], list[float], list[float]]:
    """Losses, final parameters, and their last gradients."""
    losses, parameters = PROGRAMS[name](engine, random.Random(name))
    numbers = [engine.number(x) for x in losses]
    return numbers, [engine.number(p) for p in parameters], [engine.slope(p) for p in parameters]


def test_there_are_enough_programs_of_both_kinds() -> None:
    assert len(PROGRAMS) >= 30
    assert len(PLAIN) >= 10


@pytest.mark.parametrize("name", PROGRAMS)
def test_equal_to_torch(name: str) -> None:
    for ours, theirs in zip(run(name, Ours()), run(name, Torch())):
        assert ours == pytest.approx(theirs, rel=1e-10, abs=1e-13), name


@pytest.mark.parametrize("name", sorted(PLAIN))
def test_equal_to_micrograd(name: str) -> None:
    # micrograd divides by multiplying with a power of -1: the last digits may differ
    for ours, theirs in zip(run(name, Ours()), run(name, Micrograd())):
        assert ours == pytest.approx(theirs, rel=1e-12, abs=1e-13), name
