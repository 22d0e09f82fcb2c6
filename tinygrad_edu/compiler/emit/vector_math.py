"""exp, log, tanh and their kin as LLVM functions over vectors.

In general a function calls the C library once per lane and gives the same numbers as Python's
``math``. The frequent ones have versions of their own that work on all lanes at once, three to six
times as fast, with an error below 3 units in the last place (tested): the argument is reduced
to a short interval around 0, and there the Taylor series is summed. Strict code does not use them.
Infinities, nan, zeros of both signs and subnormal numbers come out as the C library has them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from tinygrad_edu.compiler.emit.scalar_ir import Writer, kind, mask, suffix

_LOG2_E = 1.0 / math.log(2.0)
# ln 2 and pi/2 in parts, the first ones with so few bits that small multiples of them are exact
_hex = float.fromhex
_LN2 = (_hex("0x1.62e42feep-1"), _hex("0x1.a39ef35793c76p-33"))
_HALF_PI = (_hex("0x1.921fb544p0"), _hex("0x1.0b4611a6p-34"), _hex("0x1.3198a2e037073p-69"))
_ROUND = 1.5 * 2.0**52  # adding and subtracting it rounds to a whole number, left in the low bits


def function(name: str, arity: int, lanes: int, strict: bool, helpers: dict[str, str]) -> str:
    """Return the LLVM name of a function over ``lanes`` lanes; its definition joins ``helpers``."""
    libm = f"@{name}"
    helpers[libm] = f"declare double {libm}({', '.join(['double'] * arity)})"
    if lanes == 1:
        return libm
    vector = f"@lanes.{name}.{lanes}"
    if vector not in helpers:
        helpers[vector] = ""  # holds the place while the functions that it calls are defined
        own = None if strict else _OWN.get(name)
        helpers[vector] = (
            _per_lane(vector, libm, arity, lanes)
            if own is None
            else _own(vector, own, lanes, helpers)
        )
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


def _own(
    vector: str, body: Callable[[_Lanes, str], str], lanes: int, helpers: dict[str, str]
) -> str:
    w = _Lanes(lanes, helpers)
    result = body(w, "%x")
    text = "\n".join(w.lines)
    ty = kind(lanes)
    return f"define internal {ty} {vector}({ty} %x) noinline {{\n{text}\n  ret {ty} {result}\n}}"


class _Lanes(Writer):
    """Arithmetic on vectors of a fixed number of lanes."""

    def __init__(self, lanes: int, helpers: dict[str, str]) -> None:
        super().__init__(False, helpers)
        self.lanes = lanes
        self.ty, self.ints = kind(lanes), f"<{lanes} x i64>"

    def number(self, x: float) -> str:
        return self.literal(x, self.lanes)

    def whole(self, n: int) -> str:
        return f"<{', '.join([f'i64 {n}'] * self.lanes)}>"

    def do(self, instruction: str, a: str, b: str) -> str:
        """Write an instruction on floats, without contraction."""
        return self.let(f"{instruction} {self.ty} {a}, {b}")

    def on_bits(self, instruction: str, a: str, b: str) -> str:
        return self.let(f"{instruction} {self.ints} {a}, {b}")

    def bits(self, x: str) -> str:
        return self.let(f"bitcast {self.ty} {x} to {self.ints}")

    def from_bits(self, n: str) -> str:
        return self.let(f"bitcast {self.ints} {n} to {self.ty}")

    def fma(self, a: str, b: str, c: str) -> str:
        """Return a b + c, in one rounding where the machine can."""
        return self.multiply_add(a, b, c, self.lanes)

    def series(self, x: str, coefficients: Sequence[float]) -> str:
        """Return c_0 + c_1 x + c_2 x^2 + ..., in pairs, so that half the steps run side by side."""
        terms = [self.number(c) for c in coefficients]
        power = x
        while len(terms) > 1:
            pairs = [self.fma(b, power, a) for a, b in zip(terms[::2], terms[1::2])]
            terms = pairs + (terms[-1:] if len(terms) % 2 else [])
            power = self.do("fmul", power, power)
        return terms[0]

    def compare(self, condition: str, a: str, b: str) -> str:
        return self.let(f"fcmp {condition} {self.ty} {a}, {b}")

    def pick(self, condition: str, a: str, b: str) -> str:
        return self.select(condition, a, b, self.lanes)

    def intrinsic(self, name: str, *operands: str) -> str:
        full = f"@llvm.{name}.{suffix(self.lanes)}"
        self.helpers[full] = f"declare {self.ty} {full}({', '.join([self.ty] * len(operands))})"
        return self.let(f"call {self.ty} {full}({', '.join(f'{self.ty} {x}' for x in operands)})")

    def between(self, x: str, low: float, high: float) -> str:
        """Limit x to an interval; nan stays."""
        x = self.pick(self.compare("olt", x, self.number(low)), self.number(low), x)
        return self.pick(self.compare("ogt", x, self.number(high)), self.number(high), x)

    def reduce(self, x: str, inverse: float, parts: Sequence[float]) -> tuple[str, str]:
        """Return (n, r) with x = n / inverse + r and |r| small; n as bits, from the low ones up."""
        rounded = self.do("fadd", self.do("fmul", x, self.number(inverse)), self.number(_ROUND))
        n = self.do("fsub", rounded, self.number(_ROUND))
        for part in parts:
            x = self.fma(n, self.number(-part), x)
        return self.bits(rounded), x

    def power_of_two(self, n: str) -> str:
        """Return 2^n, for a whole number in the low bits and within the range of exponents."""
        return self.from_bits(
            self.on_bits("shl", self.on_bits("add", n, self.whole(1023)), self.whole(52))
        )

    def call(self, name: str, x: str) -> str:
        return self.let(
            f"call {self.ty} {function(name, 1, self.lanes, False, self.helpers)}({self.ty} {x})"
        )


def _exp(w: _Lanes, x: str) -> str:
    """e^x = 2^n e^r with |r| <= ln(2) / 2."""
    n, r = w.reduce(w.between(x, -746.0, 710.0), _LOG2_E, _LN2)
    tail = w.series(r, [1.0 / math.factorial(k) for k in range(2, 14)])
    y = w.do("fadd", w.fma(w.do("fmul", r, r), tail, r), w.number(1.0))
    # in two factors, for 2^n alone may be beyond the largest or below the smallest number
    n = w.on_bits("ashr", w.on_bits("shl", n, w.whole(32)), w.whole(32))
    half = w.on_bits("ashr", n, w.whole(1))
    y = w.do("fmul", y, w.power_of_two(half))
    return w.do("fmul", y, w.power_of_two(w.on_bits("sub", n, half)))


def _expm1_of(w: _Lanes, x: str) -> str:
    """e^x - 1 = 2^n (e^r - 1) + (2^n - 1), for x from 0 to 700."""
    n, r = w.reduce(x, _LOG2_E, _LN2)
    tail = w.series(r, [1.0 / math.factorial(k) for k in range(2, 14)])
    y = w.fma(w.do("fmul", r, r), tail, r)
    scale = w.power_of_two(n)
    return w.fma(scale, y, w.do("fsub", scale, w.number(1.0)))


def _tanh(w: _Lanes, x: str) -> str:
    """With t = e^(2|x|) - 1: t / (t + 2), and the sign of x."""
    size = w.intrinsic("fabs", x)
    size = w.pick(w.compare("ogt", size, w.number(22.0)), w.number(22.0), size)
    t = _expm1_of(w, w.do("fadd", size, size))
    y = w.do("fdiv", t, w.do("fadd", t, w.number(2.0)))
    return w.intrinsic("copysign", y, x)


def _log(w: _Lanes, x: str) -> str:
    """log x = n ln 2 + log m; with s = (m - 1) / (m + 1), log m = 2 (s + s^3/3 + s^5/5 + ...)."""
    tiny = w.compare("olt", x, w.number(2.0**-1022))
    scaled = w.pick(tiny, w.do("fmul", x, w.number(2.0**54)), x)
    # 1. The exponent, such that m is between sqrt(1/2) and sqrt(2).
    bits = w.on_bits("add", w.bits(scaled), w.whole(0x3FF0000000000000 - 0x3FE6A09E667F3BCD))
    n = w.on_bits("sub", w.on_bits("lshr", bits, w.whole(52)), w.whole(1023))
    bits = w.on_bits("and", bits, w.whole(0x000FFFFFFFFFFFFF))
    m = w.from_bits(w.on_bits("add", bits, w.whole(0x3FE6A09E667F3BCD)))
    n = w.let(f"sitofp {w.ints} {n} to {w.ty}")
    n = w.do("fsub", n, w.pick(tiny, w.number(54.0), w.number(0.0)))
    # 2. log m = f - (f^2/2 - s (f^2/2 + R)), where f is exact.
    f = w.do("fsub", m, w.number(1.0))
    s = w.do("fdiv", f, w.do("fadd", f, w.number(2.0)))
    z = w.do("fmul", s, s)
    rest = w.do("fmul", z, w.series(z, [2.0 / (2 * k + 3) for k in range(11)]))
    half = w.do("fmul", w.do("fmul", f, f), w.number(0.5))
    inner = w.fma(s, w.do("fadd", half, rest), w.do("fmul", n, w.number(_LN2[1])))
    y = w.do("fsub", f, w.do("fsub", half, inner))
    y = w.fma(n, w.number(_LN2[0]), y)
    # 3. The ends.
    y = w.pick(w.compare("oeq", x, w.number(math.inf)), x, y)
    y = w.pick(w.compare("oeq", x, w.number(0.0)), w.number(-math.inf), y)
    return w.pick(w.compare("oge", x, w.number(0.0)), y, w.number(math.nan))


def _log1p(w: _Lanes, x: str) -> str:
    """With u = 1 + x, rounded: log u + (x - (u - 1)) / u; the second term is what rounding lost."""
    u = w.do("fadd", x, w.number(1.0))
    lost = w.do("fsub", x, w.do("fsub", u, w.number(1.0)))
    y = w.do("fadd", w.call("log", u), w.do("fdiv", lost, u))
    ends = w.compare("oeq", x, w.number(math.inf))
    low = w.compare("oeq", u, w.number(0.0))
    zero = w.compare("oeq", x, w.number(0.0))
    y = w.pick(low, w.number(-math.inf), y)
    either = w.let(f"or {mask(w.lanes)} {ends}, {zero}")
    return w.pick(either, x, y)


def _sine(w: _Lanes, x: str, quarter: int) -> str:
    """x = n pi/2 + r with |r| <= pi/4; sine or cosine of r, with a sign, depending on n.

    For large |x| the reduction would lose bits: the C library, lane by lane.
    """
    n, r = w.reduce(x, 2.0 / math.pi, _HALF_PI)
    n = w.on_bits("add", n, w.whole(quarter))
    z = w.do("fmul", r, r)
    sines = w.series(z, [(-1.0) ** k / math.factorial(2 * k + 1) for k in range(1, 9)])
    sine = w.fma(w.do("fmul", r, z), sines, r)
    cosines = w.series(z, [(-1.0) ** k / math.factorial(2 * k) for k in range(2, 9)])
    half = w.do("fmul", z, w.number(0.5))
    cosine = w.do("fsub", w.number(1.0), half)
    lost = w.do("fsub", w.do("fsub", w.number(1.0), cosine), half)
    cosine = w.do("fadd", cosine, w.fma(w.do("fmul", z, z), cosines, lost))
    odd = w.let(f"icmp ne {w.ints} {w.on_bits('and', n, w.whole(1))}, {w.whole(0)}")
    y = w.pick(odd, cosine, sine)
    sign = w.on_bits("shl", w.on_bits("and", n, w.whole(2)), w.whole(62))
    y = w.from_bits(w.on_bits("xor", w.bits(y), sign))
    # the C library where an argument is large, or no number
    size = w.intrinsic("fabs", x)
    far = w.let(f"fcmp ugt {w.ty} {size}, {w.number(1e5)}")
    some = w.let(f"bitcast {mask(w.lanes)} {far} to i{w.lanes}")
    some = w.let(f"icmp ne i{w.lanes} {some}, 0")
    w.say(f"br i1 {some}, label %far, label %near")
    w.label("far")
    name = "cos" if quarter else "sin"
    w.helpers[f"@{name}"] = f"declare double @{name}(double)"
    slow = f"@lanes.slow.{name}.{w.lanes}"
    w.helpers.setdefault(slow, _per_lane(slow, f"@{name}", 1, w.lanes))
    exact = w.let(f"call {w.ty} {slow}({w.ty} {x})")
    w.say(f"ret {w.ty} {exact}")
    w.label("near")
    if not quarter:  # sin(-0.0) is -0.0
        y = w.pick(w.compare("oeq", x, w.number(0.0)), x, y)
    return y


_OWN: dict[str, Callable[[_Lanes, str], str]] = {
    "exp": _exp,
    "log": _log,
    "log1p": _log1p,
    "tanh": _tanh,
    "sin": lambda w, x: _sine(w, x, 0),
    "cos": lambda w, x: _sine(w, x, 1),
}


Writer.function = staticmethod(function)
