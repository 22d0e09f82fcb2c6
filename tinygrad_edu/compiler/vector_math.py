"""exp, log, tanh and their kin as LLVM functions over vectors.

A function without a vector version calls the C library once per lane: the same numbers as Python's
``math``.
"""

from __future__ import annotations

LIBM_NAMES = {"abs": "fabs"}


def function(name: str, arity: int, lanes: int, strict: bool, helpers: dict[str, str]) -> str:
    """Return the LLVM name of a function of the C library over ``lanes`` lanes, defining it."""
    libm = f"@{LIBM_NAMES.get(name, name)}"
    helpers[libm] = f"declare double {libm}({', '.join(['double'] * arity)}) memory(none)"
    if lanes == 1:
        return libm
    vector = f"@lanes.{name}.{lanes}"
    if vector not in helpers:
        helpers[vector] = _per_lane(vector, libm, arity, lanes)
    return vector


def _per_lane(vector: str, libm: str, arity: int, lanes: int) -> str:
    ty = f"<{lanes} x double>"
    names = [f"%a{i}" for i in range(arity)]
    loads = "".join(
        f"  {a}.p = getelementptr double, ptr {a}.m, i64 %i\n  {a}.x = load double, ptr {a}.p\n"
        for a in names
    )
    stores = "".join(f"  {a}.m = alloca {ty}\n  store {ty} {a}, ptr {a}.m\n" for a in names)
    arguments = ", ".join(f"double {a}.x" for a in names)
    return (
        f"define internal {ty} {vector}({', '.join(f'{ty} {a}' for a in names)}) noinline {{\n"
        f"entry:\n{stores}  br label %loop\nloop:\n"
        f"  %i = phi i64 [ 0, %entry ], [ %next, %loop ]\n{loads}"
        f"  %y = call double {libm}({arguments})\n"
        f"  %out = getelementptr double, ptr %a0.m, i64 %i\n  store double %y, ptr %out\n"
        f"  %next = add i64 %i, 1\n  %more = icmp ult i64 %next, {lanes}\n"
        f"  br i1 %more, label %loop, label %done\ndone:\n"
        f"  %r = load {ty}, ptr %a0.m\n  ret {ty} %r\n}}"
    )
