// Ways to learn with the page: say the next number yourself, ask what if, watch the common mistakes.

// --- predict: which mistake was it? ---

const near = (a, b) => Number.isFinite(a) && Number.isFinite(b)
  && Math.abs(a - b) <= 2e-3 * Math.max(Math.abs(a), Math.abs(b)) + 1e-12;

// What to say to an answer for the number that `frame` brings; "" if it is right.
function verdictOn(frame, answer) {
  const { pass, node, count } = frame;
  if (pass === "forward") {
    const right = now.values[node];
    if (near(answer, right) || Object.is(answer, right)) return "";
    const numbers = nodes[node].operands.map((x) => now.values[x]);
    if (near(answer, -right)) return "The sign: the size is right, the minus is not.";
    if (numbers.length === 2) {
      const [a, b] = numbers;
      for (const [what, other] of [["sum", a + b], ["product", a * b], ["difference", a - b],
        ["quotient", a / b], ["difference the other way round", b - a],
        ["quotient the other way round", b / a]]) {
        if (near(answer, other)) return `That is the ${what} of the operands; look at the operation.`;
      }
    }
    if (numbers.some((x) => near(answer, x))) {
      return "That is an operand; now apply the operation to it.";
    }
    return `Not yet: ${nodes[node].name} = ${nodes[node].letters}.`;
  }
  const right = now.gradients[node];
  const terms = now.terms[node] ?? [];
  const total = count === graph.terms[node].length ? right
    : add(terms.slice(0, count).map((term) => term.share));
  if (near(answer, total)) return "";
  if (node === last) return "The output's own gradient is 1: it changes as much as it changes.";
  const term = terms[count - 1], written = graph.terms[node][count - 1];
  if (count > 1 && near(answer, term.share)) {
    return "That is the new term alone. At a junction gradients add: += it to what is there.";
  }
  if (near(answer, -total)) return "The sign: the size is right, the minus is not.";
  if (near(answer, term.upstream)) {
    return `That is the gradient that arrives; multiply it by the local derivative ${written.local}.`;
  }
  if (near(answer, term.local)) {
    return "That is the local derivative; multiply it by the gradient that arrives.";
  }
  const { operation, operands } = nodes[written.child];
  const before = count > 1 ? add(terms.slice(0, count - 1).map((x) => x.share)) : 0;
  const rule = OPERATIONS[operation];
  const others = attemptAll(() => rule.gradients(now.values[written.child],
    ...operands.map((x) => now.values[x])));
  if (others.some((x, k) => k !== written.position
    && (near(answer, before + term.upstream * x) || near(answer, x)))) {
    return `That takes the local derivative by another operand; it is ${written.local} here.`;
  }
  const moved = operands.map((x, k) => (k === written.position ? now.values[written.child]
    : now.values[x]));
  const late = attemptAll(() => rule.gradients(rule.forward(...moved), ...moved));
  if (late.length && near(answer, before + term.upstream * late[written.position])) {
    return "That uses the new value: the local derivative is taken at the operands, before the "
      + "operation.";
  }
  if (near(answer, before + term.upstream + term.local)) {
    return "The chain rule multiplies along a path; it adds only where paths join.";
  }
  return `Not yet: the gradient that arrives, times ${written.local}`
    + `${count > 1 ? ", added to what is there" : ""}.`;
}

function attemptAll(compute) {
  try {
    return compute();
  } catch (error) {
    if (!(error instanceof MathError)) throw error;
    return [];
  }
}

// --- the common mistakes ---

// Gradients as a backward pass with this mistake leaves them. Values are not touched.
function mistaken(kind, right) {
  const gradients = [], terms = right.terms.map((some) => some && some.map((term) => ({ ...term })));
  if (kind === "overwrite") {   // = in place of +=: of several terms, the one that comes last stays
    for (const i of graph.backward) {
      (terms[i] ?? []).forEach((term, k) => {
        term.upstream = gradients[graph.terms[i][k].child];
        term.share = term.upstream * term.local;
      });
      gradients[i] = i === last ? 1 : terms[i].at(-1)?.share;
    }
  } else {   // breadth first: a node hands on what it has when it is met, and that is not all
    const order = [last], met = new Set(order);
    gradients[last] = 1;
    for (let k = 0; k < order.length; k += 1) {
      const child = order[k];
      nodes[child].operands.forEach((x, position) => {
        const at = (graph.terms[x] ?? []).findIndex(
          (term) => term.child === child && term.position === position);
        if (at < 0 || !terms[x]) return;
        const term = terms[x][at];
        term.upstream = gradients[child];
        term.share = term.upstream * term.local;
        gradients[x] = (gradients[x] ?? 0) + term.share;
        if (!met.has(x)) {
          met.add(x);
          order.push(x);
        }
      });
    }
  }
  return { ...right, gradients, terms };
}

const MISTAKES = {
  overwrite: "With = in place of +=, what an operation passes on replaces what another one passed "
    + "on before: at a junction only the last term stays.",
  order: "In the order in which nodes are met from the output, a node hands on its gradient before "
    + "all of it has arrived: what comes later does not reach its operands.",
};

// Which gradients differ, as a sentence.
function whatWentWrong(kind, right, wrong) {
  const bad = graph.backward.filter((i) => !near(right.gradients[i], wrong.gradients[i])
    && !Object.is(right.gradients[i], wrong.gradients[i]));
  const shown = bad.slice(0, 6).map((i) =>
    `${nodes[i].gradient} is ${number(wrong.gradients[i])}, should be ${number(right.gradients[i])}`);
  const more = bad.length > 6 ? `; and ${bad.length - 6} more` : "";
  return { bad: new Set(bad), text: bad.length ? `${MISTAKES[kind]} Here: ${shown.join("; ")}${more}.`
    : `${MISTAKES[kind]} In this graph it goes unnoticed: no paths join where it matters.` };
}

// --- what if ---

// How f has changed with its inputs, beside what the gradients foretold.
function whatIf(original, at, inputs) {
  const moved = nodes.map((node, i) => i).filter((i) => !nodes[i].operation
    && !Object.is(inputs[i], original[i]));
  if (!moved.length) return "";
  const [before, after] = [at.values[last], now.values[last]];
  if (after === undefined) return "";
  const steps = moved.map((i) => (at.gradients[i] ?? 0) * (inputs[i] - original[i]));
  const sum = steps.reduce((total, x) => total + x, 0);
  const written = moved.slice(0, 3).map((i) =>
    `${bracketed(number(at.gradients[i] ?? 0))} · ${bracketed(number(inputs[i] - original[i]))}`);
  const more = moved.length > 3 ? " + ..." : "";
  return `${nodes[last].name}: ${number(before)} → ${number(after)}, a change of `
    + `${number(after - before)}. Gradient times change: ${written.join(" + ")}${more} = ${number(sum)}.`;
}

// --- the address: #step=12&x=2.5 shows one moment to everybody ---

function readAddress() {
  const found = new Map();
  for (const part of location.hash.slice(1).split("&")) {
    const [name, value] = part.split("=");
    if (value === undefined) continue;
    try {
      found.set(decodeURIComponent(name), Number(decodeURIComponent(value)));
    } catch {
      continue;   // not written by this page
    }
  }
  return found;
}

function writeAddress(step, inputs, original) {
  const parts = [`step=${step}`];
  nodes.forEach((node, i) => {
    if (!node.operation && !node.constant && !Object.is(inputs[i], original[i])) {
      parts.push(`${encodeURIComponent(`in:${node.name}`)}=${encodeURIComponent(inputs[i])}`);
    }
  });
  try {
    history.replaceState(null, "", `#${parts.join("&")}`);
  } catch {
    // a page inside a notebook has no address of its own
  }
}
