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
  let fraction = 0;
  for (let n = 100; n >= 1; n -= 1) fraction = n / 2 / (a + fraction);
  const rest = Math.exp(-a * a) / Math.sqrt(Math.PI) / (a + fraction);
  return Math.sign(x) * (1 - rest);
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
