// The elementary operations of the table, as Python computes them: same numbers, same errors.
// What is not here (relu, sigmoid, ...) is composed of these by the table's own formulas.

class MathError extends Error {}            // .message is "domain", "zero" or "overflow"

function fail(reason) {
  throw new MathError(reason);
}

// A result that is infinite although no operand was has overflowed.
function finite(result, ...operands) {
  return Number.isFinite(result) || !operands.every(Number.isFinite) ? result : fail("overflow");
}

const less = (a, b) => Number(a < b);
const less_equal = (a, b) => Number(a <= b);
const equal = (a, b) => Number(a === b);
const where = (condition, a, b) => (condition !== 0 ? a : b);   // nan counts as true

const div = (a, b) => (b === 0 ? fail("zero") : a / b);
const abs = Math.abs;

function pow(a, b) {
  if (a < 0 && Number.isFinite(b) && !Number.isInteger(b)) fail("domain");
  if (a === 0 && b < 0 && b !== -Infinity) fail("zero");
  if (a === 1 || (a === -1 && !Number.isFinite(b) && b === b)) return 1;   // JavaScript says nan
  return finite(a ** b, a, b);
}

const exp = (a) => finite(Math.exp(a), a);
const expm1 = (a) => finite(Math.expm1(a), a);
const log = (a) => (a <= 0 ? fail("domain") : Math.log(a));
const log1p = (a) => (a <= -1 ? fail("domain") : Math.log1p(a));
const log2 = (a) => (a <= 0 ? fail("domain") : Math.log2(a));
const log10 = (a) => (a <= 0 ? fail("domain") : Math.log10(a));
const sqrt = (a) => (a < 0 ? fail("domain") : Math.sqrt(a));
const sin = Math.sin;
const cos = Math.cos;
const tan = Math.tan;
const asin = (a) => (Math.abs(a) > 1 ? fail("domain") : Math.asin(a));
const acos = (a) => (Math.abs(a) > 1 ? fail("domain") : Math.acos(a));
const atan = Math.atan;
const atan2 = Math.atan2;
const hypot = Math.hypot;
const sinh = (a) => finite(Math.sinh(a), a);
const cosh = (a) => finite(Math.cosh(a), a);
const tanh = Math.tanh;

const asinh = Math.asinh;
const acosh = (a) => (a < 1 ? fail("domain") : Math.acosh(a));
const atanh = (a) => (Math.abs(a) >= 1 ? fail("domain") : Math.atanh(a));
const fmod = (a, b) => (b === 0 ? fail("zero") : a % b);
const floor = Math.floor;
const ceil = Math.ceil;

// Halves go to the even number. A multiple of 2^52 has no room for halves.
function round(a) {
  if (!(Math.abs(a) < 2 ** 52)) return a;
  const below = Math.floor(a), rest = a - below;
  if (rest !== 0.5) return rest < 0.5 ? below : below + 1;
  return below % 2 === 0 ? below : below + 1;
}

// The error function. Up to 1.5 by the series e^-x^2 (x + 2 x^3/3 + 4 x^5/15 + ...), whose terms are
// all of one sign; beyond by the continued fraction of 1 - erf, which is small there.
function erf(x) {
  const a = Math.abs(x);
  if (!(a < 6)) return a === a ? Math.sign(x) : NaN;
  if (a < 1.5) {
    let term = x, sum = x;
    for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n += 1) {
      term *= (2 * x * x) / (2 * n + 1);
      sum += term;
    }
    return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
  }
  return Math.sign(x) * (1 - erfcTail(a));
}

// 1 - erf for a >= 1.5: e^-a^2 with a in two parts, of which the square of the first is exact.
function erfcTail(a) {
  let fraction = 0;
  for (let n = 100; n >= 1; n -= 1) fraction = n / 2 / (a + fraction);
  const head = Math.round(a * 2 ** 19) / 2 ** 19;
  const power = Math.exp(-head * head) * Math.exp((head - a) * (head + a));
  return power / Math.sqrt(Math.PI) / (a + fraction);
}

function erfc(x) {
  if (x < 1.5 || x !== x) return x < 0.4 || x !== x ? 1 - erf(x) : erfcMiddle(x);
  return x < 28 ? erfcTail(x) : 0;
}

// Between, Taylor's series around the middle of a short interval: all derivatives of erfc are
// e^-x^2 times polynomials, by a recurrence. It starts from numbers of the continued fraction.
function erfcMiddle(x) {
  const centre = 1.5;
  const steps = Math.max(1, Math.ceil((centre - x) / 0.25));
  const h = (x - centre) / steps;
  let value = erfcTail(centre), at = centre;
  for (let step = 0; step < steps; step += 1) {
    let previous = 0, current = (-2 / Math.sqrt(Math.PI)) * Math.exp(-at * at), power = h;
    let total = current * h;
    for (let n = 2; n <= 30; n += 1) {   // c_n = f^(n)(at) / (n - 1)!
      const next = (-2 * at * current - 2 * previous) / (n - 1);
      [previous, current] = [current, next];
      power *= h;
      total += (next * power) / n;
    }
    value += total;
    at += h;
  }
  return value;
}

// zeta(k) - 1 for k = 2, 3, ...: the first terms of the sum, the rest by Euler and Maclaurin.
const ZETA_REST = Array.from({length: 32}, (_, i) => {
  const k = i + 2, n = 50;
  let total = n ** -k * (n / (k - 1) + 0.5 + (k / (12 * n)) * (1 - ((k + 1) * (k + 2)) /
    (60 * n * n) * (1 - ((k + 3) * (k + 4)) / (42 * n * n))));
  for (let m = n - 1; m >= 2; m -= 1) total += m ** -k;
  return total;
});

// log |gamma(x)|: around 1 and 2, where it is 0, by its series around 2, whose coefficients are
// zeta(k) - 1; from 10 on by Stirling's series; between by the recurrence; below by reflection.
function lgamma(x) {
  if (x !== x) return x;
  if (!Number.isFinite(x)) return Infinity;
  if (x <= 0 && Number.isInteger(x)) fail("domain");
  if (x < 0.5) {
    const turn = x - Math.round(x);
    return Math.log(Math.PI / Math.abs(Math.sin(Math.PI * turn))) - lgamma(1 - x);
  }
  if (x < 2.5) {
    const t = x < 1.5 ? x - 1 : x - 2;
    let total = 0;
    for (let k = 33; k >= 2; k -= 1) total = (ZETA_REST[k - 2] / k - total) * t;
    total = (total + (1 - 0.5772156649015329)) * t;
    return x < 1.5 ? total - Math.log1p(t) : total;
  }
  let product = 1, z = x;
  while (z < 10) {
    product *= z;
    z += 1;
  }
  const r = 1 / z, q = r * r;
  const series = r * (1 / 12 - q * (1 / 360 - q * (1 / 1260 - q * (1 / 1680 - q * (1 / 1188 -
    q * (691 / 360360 - q / 156))))));
  const result = (z - 0.5) * Math.log(z) - z + 0.5 * Math.log(2 * Math.PI) + series;
  return finite(result - Math.log(product), x);
}

// Operations on any number of operands.
const sum = (...terms) => terms.reduce((total, term) => total + term, 0);

function dot(...operands) {
  const n = Math.floor(operands.length / 2);
  let total = operands.length % 2 ? operands[2 * n] : 0;
  for (let i = 0; i < n; i += 1) total += operands[i] * operands[n + i];
  return total;
}

function max(...operands) {
  let largest = operands[0];
  for (const a of operands) {
    if (a !== a) return a;
    if (a > largest) largest = a;
  }
  return largest;
}

function logsumexp(...operands) {
  const top = max(...operands);
  if (!Number.isFinite(top)) return top;
  return top + Math.log(operands.reduce((total, a) => total + Math.exp(a - top), 0));
}

const take = (index, ...values) =>
  Number.isInteger(index) && index >= 0 && index < values.length ? values[index] : fail("domain");

// A function that has no value outside its domain, from a formula that gives NaN there.
function inDomain(formula) {
  return (...operands) => {
    const result = formula(...operands);
    if (Number.isNaN(result) && !operands.some(Number.isNaN)) throw new MathError("domain");
    return result;
  };
}
