"""LLVM IR for one operation: on a number, or on a vector with one number per lane.

Everything here is text. Values are names (``%7``) or literals; a vector type ``<8 x double>`` holds
eight examples, or eight neighbours of a loop.
"""

from __future__ import annotations

import math
import struct
from typing import ClassVar, Protocol

COMPARISONS = {"less": "olt", "less_equal": "ole", "equal": "oeq"}
INTRINSICS = {"abs": "fabs", "sqrt": "sqrt", "floor": "floor", "ceil": "ceil"}
INTRINSICS["round"] = "rint"  # halves to even; C's round() takes them away from zero
ARITHMETIC = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}


def double(number: float) -> str:
    """Return a float as an LLVM literal, exact to the last bit."""
    return f"0x{struct.unpack('<Q', struct.pack('<d', number))[0]:016X}"


LONG = 3  # products in a sum from which on they need not be rounded one by one


class Functions(Protocol):
    """Names the LLVM function for an operation over lanes; its definition joins ``helpers``."""

    def __call__(
        self, name: str, arity: int, lanes: int, strict: bool, helpers: dict[str, str]
    ) -> str: ...


class Writer:
    """The body of one function under construction.

    Args:
        strict: No contraction of ``a * b + c`` into one rounding, no reassociation, libm only.
        helpers: Collects the helper functions that the body calls: name -> definition.
    """

    count: int

    # exp and its kin over lanes, which are written with this class: ``vector_math`` fills this
    function: ClassVar[Functions]

    def __init__(self, strict: bool, helpers: dict[str, str]) -> None:
        self.lines: list[str] = []
        self.strict = strict
        self.helpers = helpers
        self.count = 0
        self.masks: dict[str, str] = {}  # a 1.0/0.0 value -> the i1 it was made from

    def let(self, expression: str) -> str:
        """Write an instruction and return the name of its result."""
        self.count += 1
        self.lines.append(f"  %{self.count} = {expression}")
        return f"%{self.count}"

    def say(self, line: str) -> None:
        """Write an instruction without a result."""
        self.lines.append(f"  {line}")

    def label(self, name: str) -> None:
        """Start a basic block."""
        self.lines.append(f"{name}:")

    # --- memory ---

    def address(self, pointer: str, index: int | str) -> str:
        """Return the address of element ``index`` of an array of doubles."""
        if index == 0:
            return pointer
        return self.let(f"getelementptr double, ptr {pointer}, i64 {index}")

    def load(self, pointer: str, index: int | str, lanes: int = 1) -> str:
        """Load one double, or ``lanes`` neighbouring ones as a vector."""
        return self.let(f"load {kind(lanes)}, ptr {self.address(pointer, index)}, align 8")

    def store(self, value: str, pointer: str, index: int | str, lanes: int = 1) -> None:
        """Store what ``load`` loads."""
        self.say(f"store {kind(lanes)} {value}, ptr {self.address(pointer, index)}, align 8")

    def splat(self, scalar: str, lanes: int) -> str:
        """Return a vector with the same number in each lane."""
        if lanes == 1:
            return scalar
        if not scalar.startswith("%"):
            return f"splat (double {scalar})"
        ty = kind(lanes)
        first = self.let(f"insertelement {ty} poison, double {scalar}, i64 0")
        return self.let(f"shufflevector {ty} {first}, {ty} poison, <{lanes} x i32> zeroinitializer")

    def literal(self, number: float, lanes: int) -> str:
        """Return a constant, in each lane."""
        return self.splat(double(number), lanes)

    # --- operations ---

    def multiply_add(self, a: str, b: str, start: str, lanes: int, terms: int = LONG) -> str:
        """Return ``start + a * b``, in one rounding where that is allowed and fast.

        Args:
            a, b, start: The numbers.
            lanes: How many of each.
            terms: How many products the sum has that this is part of. In a short one a product
                keeps its own rounding: ``a*a - b*b`` is 0 for equal numbers, and ``s - a*b`` for
                equal products, as in Python, so that no square root of -1e-17 is taken.
        """
        ty = kind(lanes)
        if self.strict or terms < LONG:
            return self.let(f"fadd {ty} {start}, {self.let(f'fmul {ty} {a}, {b}')}")
        name = f"@llvm.fmuladd.{suffix(lanes)}"
        self.helpers[name] = f"declare {ty} {name}({ty}, {ty}, {ty})"
        return self.let(f"call {ty} {name}({ty} {a}, {ty} {b}, {ty} {start})")

    def across(self, vector: str, start: str, lanes: int) -> str:
        """Return ``start`` plus the sum over the lanes of a vector, in any order."""
        name = f"@llvm.vector.reduce.fadd.{suffix(lanes)}"
        self.helpers[name] = f"declare double {name}(double, {kind(lanes)})"
        return self.let(f"call reassoc double {name}(double {start}, {kind(lanes)} {vector})")

    def maximum(self, a: str, b: str, lanes: int) -> str:
        """Return the larger; ``a`` if they tie, nan if one is nan."""
        ty, bits = kind(lanes), mask(lanes)
        nan = self.let(f"fcmp uno {ty} {a}, {a}")
        larger = self.let(f"fcmp oge {ty} {a}, {b}")
        either = self.let(f"or {bits} {nan}, {larger}")
        return self.select(either, a, b, lanes)

    def select(self, condition: str, a: str, b: str, lanes: int) -> str:
        """Return ``a`` where the mask holds, else ``b``."""
        ty = kind(lanes)
        return self.let(f"select {mask(lanes)} {condition}, {ty} {a}, {ty} {b}")

    def truth(self, value: str, lanes: int) -> str:
        """Return the mask of a condition held as a number: anything but 0 is true."""
        if value not in self.masks:
            zero = self.literal(0.0, lanes)
            self.masks[value] = self.let(f"fcmp une {kind(lanes)} {value}, {zero}")
        return self.masks[value]

    def take(self, index: str, values: list[str], lanes: int) -> str:
        """Choose among values by an index held as a number; nan if it points at none of them."""
        chosen = self.literal(math.nan, lanes)
        for i, value in enumerate(values):
            here = self.let(f"fcmp oeq {kind(lanes)} {index}, {self.literal(float(i), lanes)}")
            chosen = self.select(here, value, chosen, lanes)
        return chosen

    def operation(self, name: str, operands: list[str], lanes: int) -> str:
        """Write one native operation with a fixed number of operands."""
        ty = kind(lanes)
        if name in ARITHMETIC:
            a, b = operands
            return self.let(f"{ARITHMETIC[name]} {ty} {a}, {b}")
        if name in COMPARISONS:
            a, b = operands
            holds = self.let(f"fcmp {COMPARISONS[name]} {ty} {a}, {b}")
            one, zero = self.literal(1.0, lanes), self.literal(0.0, lanes)
            result = self.select(holds, one, zero, lanes)
            self.masks[result] = holds
            return result
        if name == "where":
            return self.select(self.truth(operands[0], lanes), operands[1], operands[2], lanes)
        if name == "neg":
            return self.let(f"fneg {ty} {operands[0]}")
        if name == "copy":
            return operands[0]
        if name in INTRINSICS:
            function = f"@llvm.{INTRINSICS[name]}.{suffix(lanes)}"
            self.helpers[function] = f"declare {ty} {function}({ty})"
        else:
            function = self.function(name, len(operands), lanes, self.strict, self.helpers)
        arguments = ", ".join(f"{ty} {x}" for x in operands)
        return self.let(f"call {ty} {function}({arguments})")


def kind(lanes: int) -> str:
    """Return the type of a number in ``lanes`` lanes."""
    return "double" if lanes == 1 else f"<{lanes} x double>"


def mask(lanes: int) -> str:
    """Return the type of a truth value in ``lanes`` lanes."""
    return "i1" if lanes == 1 else f"<{lanes} x i1>"


def suffix(lanes: int) -> str:
    """Return the type as intrinsics spell it."""
    return "f64" if lanes == 1 else f"v{lanes}f64"
