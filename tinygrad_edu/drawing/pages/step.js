// Plays the forward and the backward pass of one graph, and computes it again when an input changes.
// Before this come the player, the arithmetic, and OPERATIONS, made from the operation table. Here:
//   1. evaluate: all numbers of the graph, from its inputs
//   2. lines: the derivation, as explain() writes it
//   3. frames: what is shown at which step
//   4. show: one frame on the page
//   5. controls

const graph = JSON.parse(byId("data").textContent);
// graph.nodes[i]: name, gradient ("df/dx"), operation (a key of OPERATIONS, or null), operands, pieces
//   (the operation as text with gaps for numbers), letters (the same with names), constant; value
// graph.terms[i]: the terms of the gradient of node i: child, position, letters, local ("dg/dx")
// graph.backward: the nodes of the backward pass, in its order
const nodes = graph.nodes;
const last = nodes.length - 1;
const original = nodes.map((node) => Number(node.value));

// --- 1. evaluate ---

// Values, gradients and terms, undefined where they cannot be computed; and the first reason why.
function evaluate(inputs) {
  const values = [], gradients = [], locals = [], terms = [];
  let problem = "";
  const attempt = (operation, operands, prefix, compute) => {
    try {
      return compute();
    } catch (error) {
      if (!(error instanceof MathError)) throw error;
      const reason = { zero: "division by zero", overflow: "the result is too large for a float",
        domain: operation.requires }[error.message];
      const shown = operands.map((x) => `${nodes[x].name} = ${number(values[x])}`).join(", ");
      problem ||= `${prefix}${operation.name}(${shown}): ${reason}`;
      return undefined;
    }
  };
  nodes.forEach((node, i) => {
    if (!node.operation) {
      values[i] = inputs[i];
      return;
    }
    const operation = OPERATIONS[node.operation];
    const operands = node.operands.map((x) => values[x]);
    values[i] = operands.includes(undefined) ? undefined
      : attempt(operation, node.operands, "", () => operation.forward(...operands));
  });
  if (values[last] === undefined) return { values, gradients, terms, problem };
  for (const i of graph.backward) {
    terms[i] = graph.terms[i].map(({ child, position }) => {
      const upstream = gradients[child];
      const local = locals[child] && locals[child][position];
      return { upstream, local, share: upstream === undefined ? undefined : upstream * local };
    });
    gradients[i] = i === last ? 1 : add(terms[i].map((term) => term.share));
    const { operation: key, operands } = nodes[i];
    if (key) {
      const numbers = operands.map((x) => values[x]);
      locals[i] = attempt(OPERATIONS[key], operands, "gradient of ",
        () => OPERATIONS[key].gradients(values[i], ...numbers));
      if (!locals[i]) gradients[i] = undefined;   // nothing can be passed back from here
    }
  }
  return { values, gradients, terms, problem };
}

function add(shares) {
  return shares.some((x) => x === undefined || Number.isNaN(x)) && shares.includes(undefined)
    ? undefined : shares.reduce((total, x) => total + x, 0);
}

// --- 2. lines ---

// Four significant digits, more for the whole part of large numbers: 4, 0.6667, 12345.68, 1.5e-7.
function number(x) {
  if (x === undefined) return "?";
  if (!Number.isFinite(x)) return Number.isNaN(x) ? "nan" : x > 0 ? "inf" : "-inf";
  const [mantissa, exponent] = x.toExponential(Math.abs(x) < 1e4 ? 3 : 6).split("e");
  return Number(exponent) < -4 || Number(exponent) >= 7
    ? `${Number(mantissa)}e${Number(exponent)}`
    : String(Number(`${mantissa}e${exponent}`) + 0);
}

const bracketed = (text) => (text.startsWith("-") ? `(${text})` : text);

// Leave out the middle of a long sum.
function shorten(items) {
  return items.length <= graph.most_terms ? items
    : [...items.slice(0, graph.most_terms - 1), "...", items[items.length - 1]];
}

const joined = (terms) => shorten(terms).join(" + ").replaceAll("+ -", "- ");

function forwardSides(i) {
  const { name, operation, letters, pieces, operands } = nodes[i];
  const result = number(now.values[i]);
  if (!operation) return [name, result];
  const filled = pieces.map((piece) => {
    if (typeof piece === "string") return piece;
    const [position, brackets] = piece;
    const text = number(now.values[operands[position]]);
    return brackets ? bracketed(text) : text;
  });
  return [name, letters, filled.join(""), result];
}

// The sides of a gradient's line after its first `count` terms have arrived.
function backwardSides(i, count) {
  const written = graph.terms[i];
  const numbers = now.terms[i] ?? [];
  const left = nodes[i].gradient;
  const total = number(now.gradients[i]);
  if (i === last) return [left, total];
  if (written.length === 1 && written[0].child === last) {
    return [left, written[0].letters, written[0].rule, total];
  }
  const products = [], shares = [];
  for (let k = 0; k < count; k += 1) {
    const { upstream, local, share } = numbers[k] ?? {};
    const sign = k === 0 ? (text) => text : bracketed;
    products.push(written[k].child === last ? sign(number(local))
      : `${sign(number(upstream))} * ${bracketed(number(local))}`);
    shares.push(number(share));
  }
  const more = count < written.length ? " + ..." : "";
  const sides = [left, shorten(written.map((term) => term.letters)).join(" + "),
    shorten(products).join(" + ") + more];
  if (more) return sides;
  return [...sides, written.length > 1 ? joined(shares) : "", total];
}

// Drop the sides that say nothing new.
function distinct(sides) {
  return sides.filter((side, k) => side && side !== sides.slice(0, k).filter(Boolean).at(-1));
}

const equation = (sides) => distinct(sides).join(" = ");

// --- 3. frames ---

// A frame is { pass, node, count }: after `count` terms of the gradient of `node` have arrived.
const frames = [{ pass: "start" }];
const frameOf = { forward: [], backward: [] };   // node -> the frame in which its line is complete
nodes.forEach((node, i) => {
  if (!node.operation) frameOf.forward[i] = 0;
  else frameOf.forward[i] = frames.push({ pass: "forward", node: i }) - 1;
});
for (const i of graph.backward) {
  for (let count = 1; count < graph.terms[i].length; count += 1) {
    frames.push({ pass: "backward", node: i, count });
  }
  frameOf.backward[i] = frames.push({ pass: "backward", node: i, count: graph.terms[i].length }) - 1;
}
frames.push({ pass: "end" });

// --- 4. show ---

const svg = byId("figure").querySelector("svg");
const parts = nodes.map((_, i) => ({
  group: byId(`node-${i}`), tip: byId(`node-${i}`).querySelector("title"),
  value: byId(`value-${i}`), gradient: byId(`gradient-${i}`),
}));
const edges = new Map([...svg.querySelectorAll(".edge")].map((edge) =>
  [edge.id.replace("edge-", ""), { edge, head: Number(edge.dataset.head) }]));
let now = evaluate(original);
let version = 0;   // how often the inputs have changed
let current = 0;

// Touch the page only where something changed: large graphs stay smooth.
const stateOf = new WeakMap();   // element -> the class names that setClass gave it

function setText(element, text) {
  if (element && element.textContent !== text) element.textContent = text;
}

function setClass(element, names) {
  const before = stateOf.get(element) ?? "";
  if (!element || before === names) return;
  if (before) element.classList.remove(before);
  if (names) element.classList.add(names);
  stateOf.set(element, names);
}

function setNumber(element, x) {
  if (!element) return;
  const text = number(x).replace("-", "−");
  if (element.textContent === text) return;
  element.textContent = text;
  element.dataset.size ??= element.getAttribute("font-size");
  element.setAttribute("font-size", element.dataset.size * Math.min(1, graph.room / text.length));
}

function show(t) {
  current = t;
  const frame = frames[current];
  byId("figure").className = `figure ${frame.pass}-pass`;
  // 1. Numbers and looks of the nodes.
  const arrived = frame.pass === "backward" ? graph.terms[frame.node].slice(0, frame.count) : [];
  const sources = new Set(frame.pass === "forward" ? nodes[frame.node].operands
    : arrived.map((term) => term.child));
  nodes.forEach((node, i) => {
    const computed = frameOf.forward[i] <= current;
    const finished = frameOf.backward[i] <= current;
    const building = frame.pass === "backward" && frame.node === i;
    const state = frame.node === i ? "active" : !computed ? "waiting" : sources.has(i) ? "source" : "";
    setClass(parts[i].group, state);
    const key = `${version} ${computed} ${finished} ${building && frame.count}`;
    if (parts[i].key === key) return;
    parts[i].key = key;
    setNumber(parts[i].value, now.values[i]);
    setClass(parts[i].value, computed ? "" : "missing");
    const soFar = building && !finished ? (now.terms[i] ?? []).slice(0, frame.count) : null;
    setNumber(parts[i].gradient, soFar ? add(soFar.map((x) => x.share)) : now.gradients[i]);
    setClass(parts[i].gradient, finished || building ? "" : "missing");
    setText(parts[i].tip, describe(i, computed, finished));
  });
  // 2. Edges: those that carry something in this frame.
  const carrying = new Map();
  if (frame.pass === "forward") {
    nodes[frame.node].operands.forEach((x, position) =>
      carrying.set(`${x}-${frame.node}-${position}`, "active"));
  }
  arrived.forEach(({ child, position }, k) =>
    carrying.set(`${frame.node}-${child}-${position}`, k === frame.count - 1 ? "active" : "done"));
  edges.forEach(({ edge, head }, key) =>
    setClass(edge, carrying.get(key) ?? (frameOf.forward[head] <= current ? "" : "waiting")));
  showTags(frame);
  // 3. Words.
  const sides = frame.pass === "forward" ? forwardSides(frame.node)
    : frame.pass === "backward" ? backwardSides(frame.node, frame.count) : [];
  setText(byId("phase"), caption(frame));
  writeEquation(byId("line"), sides, frame.pass);
  byId("scrub").setAttribute("aria-valuetext", `${current} of ${frames.length - 1}: ${caption(frame)}`);
  setText(byId("announcement"), `${caption(frame)} ${equation(sides)}`);
  showDerivation(frame);
  reveal(frame);
}

function describe(i, computed, finished) {
  const value = computed ? `, value ${number(now.values[i])}` : "";
  const gradient = finished ? `, gradient ${number(now.gradients[i])}` : "";
  return `${nodes[i].name}${value}${gradient}`;
}

function caption({ pass, node, count }) {
  if (pass === "start") return "The inputs have their values. The forward pass computes the rest.";
  if (pass === "end") return "Done: every node has its value and its gradient.";
  const { name, gradient, operands } = nodes[node];
  if (pass === "forward") {
    const from = [...new Set(operands)].map((x) => nodes[x].name);
    const listed = from.length > 3 ? `its ${from.length} operands`
      : [from.slice(0, -1).join(", "), from.at(-1)].filter(Boolean).join(" and ");
    return `Forward pass: ${name} is computed from ${listed}.`;
  }
  if (node === last) return `Backward pass: it starts at the output, whose gradient ${gradient} is 1.`;
  const terms = graph.terms[node];
  const { child, local } = terms[count - 1];
  const from = nodes[child].name;
  return terms.length === 1
    ? `Backward pass: ${from} passes its gradient back to ${name}, times ${local}.`
    : `Backward pass: paths join at ${name}. `
      + `Term ${count} of ${terms.length} comes from ${from}, times ${local}.`;
}

function writeEquation(element, sides, pass) {
  const kept = distinct(sides);
  const complete = kept.length > 1 && !kept.at(-1).endsWith("...");
  element.classList.toggle("forward-line", pass === "forward");
  element.classList.toggle("backward-line", pass === "backward");
  element.replaceChildren(...kept.flatMap((side, k) => {
    const span = document.createElement("span");
    span.className = k === kept.length - 1 && complete ? "side result" : "side";
    span.textContent = (k ? "= " : "") + side.replaceAll(" * ", " · ");
    return k ? [" ", span] : [span];
  }));
}

// On the edges that carry gradients: the local derivative, and the product that arrives.
const tags = svg.appendChild(document.createElementNS(svg.namespaceURI, "g"));

function showTags({ pass, node, count }) {
  tags.replaceChildren();
  if (pass !== "backward" || node === last) return;
  if (!now.terms[node]) return;
  for (let k = Math.max(0, count - 4); k < count; k += 1) {
    const { child, position, local } = graph.terms[node][k];
    const term = now.terms[node][k];
    const path = edges.get(`${node}-${child}-${position}`).edge.querySelector("path");
    const twice = nodes[child].operands.filter((x) => x === node).length > 1;
    const share = twice ? (position % 2 ? 0.8 : 0.2) : 0.5;   // two lines to one circle lie close
    const at = path.getPointAtLength(share * path.getTotalLength());
    const product = child === last ? number(term.local)
      : `${number(term.upstream)} · ${bracketed(number(term.local))} = ${number(term.share)}`;
    const what = local.length > 16 ? "local derivative" : local;
    drawTag(at.x, at.y, `${what} = ${number(term.local)}`, product);
  }
}

function drawTag(x, y, first, second) {
  const tag = tags.appendChild(svgElement("g", { class: "tag" }));
  const box = tag.appendChild(svgElement("rect", { rx: 4 }));
  const texts = [[first, y - 3, "local"], [second, y + 11, "share"]].map(([text, baseline, name]) => {
    const line = svgElement("text", { x, y: baseline, "font-size": 11.5, class: name });
    line.textContent = text.replaceAll("-", "−");
    return tag.appendChild(line);
  });
  const width = Math.max(...texts.map((text) => text.getComputedTextLength())) + 8;
  for (const [name, value] of Object.entries({ x: x - width / 2, y: y - 15, width, height: 31 })) {
    box.setAttribute(name, value);
  }
}

function svgElement(name, attributes) {
  const element = document.createElementNS(svg.namespaceURI, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

const rows = [...byId("derivation").querySelectorAll("button")].map((button) => ({
  button, pass: button.dataset.pass, node: Number(button.dataset.node),
}));

function showDerivation(frame) {
  for (const row of rows) {
    const { button, pass, node } = row;
    const here = frame.pass === pass && frame.node === node;
    const key = `${version} ${here && frame.count}`;
    if (row.key !== key) {
      row.key = key;
      writeEquation(button, pass === "forward" ? forwardSides(node)
        : backwardSides(node, here ? frame.count : graph.terms[node].length), pass);
      if (here) button.setAttribute("aria-current", "step");
      else button.removeAttribute("aria-current");
    }
    setClass(button, here ? "current" : frameOf[pass][node] <= current ? "" : "unreached");
    if (here) scrollInside(byId("derivation"), button);
  }
}

// Scroll boxes, never the page, and only as far as needed.
function scrollInside(box, element) {
  const outer = box.getBoundingClientRect(), inner = element.getBoundingClientRect();
  const margin = Math.min(60, outer.height / 5);
  if (inner.top < outer.top + margin) box.scrollTop -= outer.top + margin - inner.top;
  else if (inner.bottom > outer.bottom - margin) box.scrollTop += inner.bottom - outer.bottom + margin;
  if (inner.left < outer.left + margin) box.scrollLeft -= outer.left + margin - inner.left;
  else if (inner.right > outer.right - margin) box.scrollLeft += inner.right - outer.right + margin;
}

function reveal({ node }) {
  if (node !== undefined) scrollInside(byId("figure"), parts[node].group);
}

// --- 5. controls ---

const player = makePlayer(frames.length - 1, show);
const { go } = player;
rows.forEach(({ button, pass, node }) => { button.onclick = () => go(frameOf[pass][node]); });
parts.forEach(({ group }, i) => {
  group.onclick = () => {
    const backward = current >= frameOf.backward[last];
    go((backward ? frameOf.backward[i] : frameOf.forward[i]) ?? current);
  };
});

// The inputs, and what happens when one changes.
const inputs = [...original];

function recompute() {
  now = evaluate(inputs);
  version += 1;
  byId("problem").textContent = now.problem;
  byId("reset").hidden = inputs.every((x, i) => Object.is(x, original[i]));
  show(current);
}

nodes.forEach((node, i) => {
  if (node.operation || node.constant) return;
  const label = document.createElement("label");
  const name = label.appendChild(document.createElement("span"));
  name.className = "label";
  name.textContent = name.title = node.name;
  const field = label.appendChild(document.createElement("input"));
  Object.assign(field, { type: "number", step: "any", value: original[i] });
  field.dataset.node = i;
  field.oninput = () => {
    const valid = field.value.trim() !== "" && Number.isFinite(Number(field.value));
    field.setAttribute("aria-invalid", String(!valid));
    if (!valid) {
      byId("problem").textContent = `${node.name}: expected a number`;
      return;
    }
    inputs[i] = Number(field.value);
    recompute();
  };
  byId("inputs").appendChild(label);
});
byId("inputs-section").hidden = byId("inputs").children.length === 0;
byId("reset").onclick = () => {
  inputs.splice(0, inputs.length, ...original);
  for (const field of byId("inputs").querySelectorAll("input")) {
    field.value = original[field.dataset.node];
    field.setAttribute("aria-invalid", "false");
  }
  recompute();
};

// On paper: the finished computation.
let before = 0;
addEventListener("beforeprint", () => { before = current; go(frames.length - 1); });
addEventListener("afterprint", () => go(before));

byId("problem").textContent = now.problem;
player.show(0);
