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

// The page writes one kind of minus everywhere; number() keeps the one of computers.
const minus = (text) => text.replaceAll("-", "−");

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
let right = evaluate(original);   // the true numbers
let now = right;                  // those shown: with a common mistake, if one is chosen
const start = right;              // those of the original inputs
let wrong = { bad: new Set(), text: "" };
let version = 0;   // how often the numbers have changed
let current = 0;
const answered = new Set();   // frames whose number has been predicted, or shown on request
const asks = (t) => byId("predict").checked && !answered.has(t)
  && ["forward", "backward"].includes(frames[t]?.pass);

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
  const text = x === null ? "?" : minus(number(x));
  if (element.textContent === text) return;
  element.textContent = text;
  element.dataset.size ??= element.getAttribute("font-size");
  element.setAttribute("font-size", element.dataset.size * Math.min(1, graph.room / text.length));
}

function show(t) {
  current = t;
  const frame = frames[current];
  const asked = asks(current);
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
    const hidden = asked && frame.node === i;
    const key = `${version} ${computed} ${finished} ${building && frame.count} ${hidden}`;
    if (parts[i].key === key) return;
    parts[i].key = key;
    setNumber(parts[i].value, hidden && frame.pass === "forward" ? null : now.values[i]);
    setClass(parts[i].value, computed ? "" : "missing");
    const soFar = building && !finished ? (now.terms[i] ?? []).slice(0, frame.count) : null;
    const gradient = soFar && !wrong.text ? add(soFar.map((x) => x.share)) : now.gradients[i];
    setNumber(parts[i].gradient, hidden && frame.pass === "backward" ? null : gradient);
    setClass(parts[i].gradient, !finished && !building ? "missing" : wrong.bad.has(i) ? "wrong" : "");
    setText(parts[i].tip, describe(i, computed && !hidden, finished && !hidden));
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
  showTags(frame, asked);
  // 3. Words.
  const all = frame.pass === "forward" ? forwardSides(frame.node)
    : frame.pass === "backward" ? backwardSides(frame.node, frame.count) : [];
  const sides = asked ? [all[0], all[1] && all.length > 2 ? all[1] : "", "?"] : all;
  setText(byId("phase"), caption(frame));
  setText(byId("mistake-text"), minus(wrong.text));
  showQuestion(frame, asked);
  writeEquation(byId("line"), sides, frame.pass);
  byId("scrub").setAttribute("aria-valuetext", `${current} of ${frames.length - 1}: ${caption(frame)}`);
  setText(byId("announcement"), minus(`${caption(frame)} ${equation(sides)}`));
  showDerivation(frame);
  reveal(frame);
  writeAddress(current, inputs, original);
}

function describe(i, computed, finished) {
  const value = computed ? `, value ${number(now.values[i])}` : "";
  const gradient = finished ? `, gradient ${number(now.gradients[i])}` : "";
  return `${nodes[i].name}${value}${gradient}`;
}

function caption({ pass, node, count }) {
  if (pass === "start") return "The inputs have their values. The forward pass computes the rest.";
  if (pass === "end") {
    return now.problem ? `Not finished: ${now.problem}.`
      : wrong.text ? "Done, with the mistake: compare the gradients."
        : "Done: every node has its value and its gradient.";
  }
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
    span.textContent = minus((k ? "= " : "") + side.replaceAll(" * ", " · "));
    return k ? [" ", span] : [span];
  }));
}

// On the edges that carry gradients: the local derivative, and the product that arrives.
const tags = svg.appendChild(document.createElementNS(svg.namespaceURI, "g"));
const [TAG_SIZE, TAG_HEIGHT] = [11.5, 31];
const area = { x: 0, y: 0, width: graph.width, height: graph.height };
let obstacles = null;

// The tags of a frame, without their places: the last four terms that have arrived.
function tagsOf({ pass, node, count }) {
  if (pass !== "backward" || node === last || !now.terms[node]) return [];
  const shown = [];
  for (let k = Math.max(0, count - 4); k < count; k += 1) {
    const { child, position, local } = graph.terms[node][k];
    const term = now.terms[node][k];
    const product = child === last ? number(term.local)
      : `${number(term.upstream)} · ${bracketed(number(term.local))} = ${number(term.share)}`;
    const what = local.length > 16 ? "local derivative" : local;
    const path = edges.get(`${node}-${child}-${position}`).edge.querySelector("path");
    shown.push({ path, lines: [`${what} = ${number(term.local)}`, product] });
  }
  return shown;
}

function showTags(frame, asked) {
  tags.replaceChildren();
  const shown = asked ? [] : tagsOf(frame);
  if (!shown.length) return;
  obstacles ??= obstaclesOf(svg, graph.room);
  const drawn = shown.map(({ path, lines }) => ({ anchors: anchorsOn(path), ...drawTag(lines) }));
  layOutTags(drawn, obstacles, area).places.forEach(({ box, anchor }, k) => {
    const { tag, line } = drawn[k];
    tag.setAttribute("transform", `translate(${box.x + box.width / 2},${box.y + 15})`);
    const outside = anchor.x < box.x || anchor.x > box.x + box.width
      || anchor.y < box.y || anchor.y > box.y + box.height;
    if (!outside) return;
    for (const [name, value] of Object.entries({ x1: anchor.x, y1: anchor.y,
      x2: Math.max(box.x, Math.min(anchor.x, box.x + box.width)),
      y2: Math.max(box.y, Math.min(anchor.y, box.y + box.height)) })) {
      line.setAttribute(name, value);
    }
  });
}

function drawTag([first, second]) {
  const line = tags.appendChild(svgElement("line", { class: "to-edge" }));
  const tag = tags.appendChild(svgElement("g", { class: "tag" }));
  const box = tag.appendChild(svgElement("rect", { rx: 4 }));
  const texts = [[first, -3, "local"], [second, 11, "share"]].map(([text, y, name]) => {
    const written = svgElement("text", { x: 0, y, "font-size": TAG_SIZE, class: name });
    written.textContent = minus(text);
    return tag.appendChild(written);
  });
  const width = Math.max(...texts.map((text) => text.getComputedTextLength())) + 10;
  for (const [name, value] of Object.entries({ x: -width / 2, y: -15, width, height: TAG_HEIGHT })) {
    box.setAttribute(name, value);
  }
  return { tag, line, width, height: TAG_HEIGHT };
}

// Make room below the figure for tags that will find none inside.
function makeRoom() {
  if (nodes.length > 150) return;   // large figures have gaps enough, and this takes time
  obstacles ??= obstaclesOf(svg, graph.room);
  let most = 0;
  for (const frame of frames) {
    const drawn = tagsOf(frame).map(({ path, lines }) => ({ anchors: anchorsOn(path), ...drawTag(lines) }));
    if (drawn.length) most = Math.max(most, layOutTags(drawn, obstacles, area).below);
    tags.replaceChildren();
  }
  if (!most) return;
  area.height += most + 4;
  svg.setAttribute("viewBox", `0 0 ${graph.width} ${area.height}`);
  svg.setAttribute("height", area.height);
  byId("figure").style.setProperty("--natural-height", `${area.height}px`);
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
    const reached = here ? !asks(current) : frameOf[pass][node] <= current;
    setClass(button, here && reached ? "current" : reached ? "" : "unreached");
    if (row.reached !== reached) {
      row.reached = reached;
      button.parentElement.setAttribute("aria-hidden", String(!reached));
    }
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
  if (node === undefined) return;
  const newest = [...tags.querySelectorAll(".tag")].at(-1);
  if (newest) scrollInside(byId("figure"), newest);
  scrollInside(byId("figure"), parts[node].group.querySelector(".shape"));
}

// --- predict ---

function showQuestion(frame, asked) {
  byId("question").hidden = !asked;
  if (!asked) return;
  const { name, gradient } = nodes[frame.node];
  const term = frame.pass === "backward" && graph.terms[frame.node].length > 1
    ? ` after term ${frame.count} of ${graph.terms[frame.node].length}` : "";
  setText(byId("asked"), `${frame.pass === "forward" ? name : gradient}${term} = `);
  if (byId("answer").dataset.frame !== String(current)) {
    byId("answer").dataset.frame = current;
    byId("answer").value = "";
    byId("verdict").textContent = "";
  }
}

function check() {
  const text = byId("answer").value.trim().replace("−", "-").replace(",", ".");
  const answer = text === "" ? NaN : Number(text);
  if (Number.isNaN(answer)) {
    byId("verdict").textContent = "Type a number, such as 4 or -0.25.";
    return;
  }
  const problem = verdictOn(frames[current], answer);
  byId("verdict").textContent = problem || "Right.";
  if (!problem) reveal_answer();
}

function reveal_answer() {
  answered.add(current);
  version += 1;
  const text = byId("verdict").textContent;
  show(current);
  byId("announcement").textContent = `${text} ${byId("line").textContent}`;
}

// --- 5. controls ---

const player = makePlayer(frames.length - 1, show);
const view = makeView(byId("figure"), svg);
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
  right = evaluate(inputs);
  const kind = byId("mistake").value;
  const broken = kind !== "none" && !right.problem;
  now = broken ? mistaken(kind, right) : right;
  wrong = broken ? whatWentWrong(kind, right, now) : { bad: new Set(), text: "" };
  version += 1;
  obstacles = null;
  byId("problem").textContent = minus(now.problem);
  byId("what-if").textContent = minus(whatIf(original, start, inputs));
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
  const slider = label.appendChild(document.createElement("input"));
  const reach = Math.max(1, Math.abs(original[i])) || 1;
  const finite = Number.isFinite(original[i]);
  Object.assign(slider, { type: "range", min: finite ? original[i] - reach : -1,
    max: finite ? original[i] + reach : 1, step: reach / 100, disabled: !finite });
  slider.value = original[i];
  slider.setAttribute("aria-label", `${node.name}, drag`);
  slider.oninput = () => {
    field.value = Number(Number(slider.value).toPrecision(6));
    field.oninput();
  };
  field.oninput = () => {
    if (document.activeElement !== slider) slider.value = field.value;
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
    if (field.type === "range") continue;
    field.value = field.nextElementSibling.value = original[field.dataset.node];
    field.setAttribute("aria-invalid", "false");
  }
  recompute();
};

// Predicting, mistakes, junctions.
byId("predict").onchange = () => {
  answered.clear();
  version += 1;
  show(current);
  if (asks(current)) byId("answer").focus();
};
byId("question").onsubmit = (event) => {
  event.preventDefault();
  check();
};
byId("tell").onclick = () => {
  byId("verdict").textContent = "";
  reveal_answer();
};
byId("mistake").onchange = () => {
  recompute();
  if (byId("mistake").value !== "none") go(frames.length - 1);
};
const junctions = frames.map((frame, t) => t).filter((t) => frames[t].pass === "backward"
  && frames[t].count === 1 && graph.terms[frames[t].node].length > 1);
byId("junction").hidden = junctions.length === 0;
byId("junction").onclick = () => go(junctions.find((t) => t > current) ?? junctions[0]);

// On paper: the finished computation.
let before = 0;
addEventListener("beforeprint", () => { before = current; go(frames.length - 1); });
addEventListener("afterprint", () => go(before));

makeRoom();
byId("problem").textContent = minus(now.problem);
const address = readAddress();
for (const field of byId("inputs").querySelectorAll("input[type=number]")) {
  const wanted = address.get(`in:${nodes[field.dataset.node].name}`);
  if (Number.isFinite(wanted)) {
    field.value = wanted;
    field.oninput();
  }
}
player.show(address.get("step") || 0);
view.update();
