"""Nodes made by hand, and micrograd's names: programs written for other small engines move in.

Where a program makes nodes itself, it says what they came from in one of three ways::

    Value(data, (a, b), "+")                               micrograd; then assigns _backward
    Value(data, (a, b), (by_a, by_b))                      partial derivatives, already computed
    Value(data, operands=(a, b), local_gradients=(by_a, by_b))

``Handmade`` has the names that such programs read: ``_prev``, ``_op``, ``_backward``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from tinygrad_edu.engine.operation import Op, to_float


class Handmade:
    """micrograd's names for what a node remembers."""

    __slots__ = ()

    if TYPE_CHECKING:
        op: Op | None

        @property
        def operands(self) -> tuple[Any, ...]: ...

        step_back: Callable[[], None]

        def _take(self, op: Op) -> None: ...
        def _name(self) -> str: ...

    @property
    def _prev(self) -> tuple[Any, ...]:
        """The operands, in order (micrograd has a set, in which ``x * x`` loses one of them)."""
        return self.operands

    @property
    def _op(self) -> str:
        """The operation's symbol; empty for a leaf."""
        return "" if self.op is None else self.op.symbol

    @property
    def _backward(self) -> Callable[[], None]:
        """What this node does in a backward pass; one that is assigned is called in its place."""
        return self.step_back if self.op is None or self.op.step is None else self.op.step

    @_backward.setter
    def _backward(self, step: Callable[[], None]) -> None:
        if not callable(step):
            raise TypeError(f"_backward: expected a function of no arguments, got {step!r:.60}")
        if self.op is not None:
            self._take(self.op.with_step(step))
        elif getattr(step, "__name__", "") != "<lambda>":  # micrograd gives leaves an empty lambda
            raise AttributeError(
                f"{self._name()} is a leaf, which has no operands to pass a gradient to; "
                "make the node with Value(data, (a, b), '+') and assign its _backward"
            )


class Form:
    """The arguments of ``Value(data, ...)`` beyond a label, sorted out: operands, symbol, partials.

    Raises:
        TypeError: If they are none of the forms above.
        ValueError: If there is not one partial derivative for each operand.
    """

    label: Any
    symbol: Any

    NAMES: ClassVar[dict[str, str]] = {
        "_children": "operands", "children": "operands", "operands": "operands",
        "_op": "symbol", "local_grads": "partials", "local_gradients": "partials",
    }  # fmt: skip

    def __init__(self, label: Any, more: tuple[Any, ...], named: dict[str, Any]) -> None:
        self.label, self.symbol = "", ""
        self.operands: tuple[Any, ...] = ()
        self.partials: tuple[float, ...] | None = None
        found: dict[str, Any] = {}
        if isinstance(label, str):
            found["label"] = label
        elif isinstance(label, Iterable):
            found["operands"] = label
        else:
            raise TypeError(f"label: expected text, got {type(label).__name__} {label!r:.60}")
        if len(more) > 2:
            raise TypeError(f"Value takes at most 4 arguments, got {len(more) + 2}")
        for value in more[:1]:
            found["symbol" if isinstance(value, str) else "partials"] = value
        for value in more[1:]:
            found["label"] = value
        for name, value in named.items():
            if name not in self.NAMES:
                raise TypeError(
                    f"Value: unknown argument {name!r}; expected data, label, operands, "
                    "local_gradients, or micrograd's _children and _op"
                )
            found[self.NAMES[name]] = value
        for name in ("label", "symbol"):
            if not isinstance(found.get(name, ""), str):
                got = found[name]
                raise TypeError(f"{name}: expected text, got {type(got).__name__} {got!r:.60}")
        self.label, self.symbol = found.get("label", ""), found.get("symbol", "")
        self.operands = tuple(found.get("operands", ()))
        if found.get("partials") is not None and (self.operands or tuple(found["partials"])):
            self.partials = tuple(to_float(p, "local_gradients") for p in found["partials"])
            if len(self.partials) != len(self.operands):
                raise ValueError(
                    "local_gradients: expected one number for each operand, got "
                    f"{len(self.partials)} for {len(self.operands)} operands"
                )

    def operation(self, data: float) -> Op:
        """Return the operation of such a node: its partial derivatives are the numbers given."""
        partials = self.partials

        def rule(_y: Any, *_operands: Any) -> tuple[float, ...]:
            if partials is None:
                raise ValueError(
                    "this node was made by hand: assign its _backward (lambda: None if no gradient "
                    "passes), or give Value(data, operands=..., local_gradients=...)"
                )
            return partials

        count = len(self.operands)
        return Op(
            self.symbol or "made by hand",
            self.symbol or "f",
            count if count in (1, 2) else None,
            lambda *_operands: data,
            rule,
            "a node made by hand",
        )
