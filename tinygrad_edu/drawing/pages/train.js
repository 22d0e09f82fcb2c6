// Shows a training: at each recorded epoch what the model answers in the plane, its weights, and where
// the loss was. The parameters are the recorded ones, or those of a run in the page (live.js);
// predict(p, x), written by the model itself, computes its answer to the point x from them, and
// neurons(p, x) what all its neurons put out.

const data = JSON.parse(byId("data").textContent);
// data.epochs[t], data.parameters[t]: the recorded steps; data.weights: [id of a line, parameter];
// data.points: [x, y, class]; data.domain: [left, right, below, above]; data.classes: names;
// data.rule: "argmax", or the threshold of a single output; data.loss, data.held_out: by epoch
// data.neurons: [id of a circle, place among the outputs of neurons()]
// data.steps[class]: the page that steps through the loss of a point, in parts; data.no_steps: why none
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const [left, right, below, above] = data.domain;
const canvas = byId("regions");
const SIZE = canvas.width;
const recorded = { parameters: data.parameters, loss: data.loss, live: false };
let run = recorded;      // the run that is shown
let yours = null;        // the run of this page, once there is one
let current = 0;
let pinned = null, pointed = null;   // the neurons chosen and pointed at: [id, place]

// --- what the model answers ---

// The class at a point, and how sure the model is of it, from 0 at the border to 1.
function answer(parameters, x) {
  const outputs = predict(parameters, x);
  if (data.rule !== "argmax") {
    const lead = outputs[0] - data.rule;
    return [lead > 0 || (lead === 0 && data.tie) ? 1 : 0, Math.abs(lead)];
  }
  let best = 0, second = -Infinity;
  for (let k = 1; k < outputs.length; k += 1) {
    if (outputs[k] > outputs[best]) { second = outputs[best]; best = k; }
    else if (outputs[k] > second) second = outputs[k];
  }
  return [best, outputs[best] - second];
}

const pointAt = (i, j) =>
  [left + (right - left) * ((i + 0.5) / SIZE), above - (above - below) * ((j + 0.5) / SIZE)];

function rgb(name) {
  return [1, 3, 5].map((at) => parseInt(colour(name).slice(at, at + 2), 16));
}

function drawRegions(parameters) {
  const context = canvas.getContext("2d");
  const image = context.createImageData(SIZE, SIZE);
  const neuron = pointed ?? pinned;
  if (neuron) return drawHeat(parameters, neuron, context, image);
  const tints = data.classes.map((_, k) => rgb(`--class-${k % 6}`));
  const paper = rgb("--paper"), ink = rgb("--ink");
  const found = new Int16Array(SIZE * SIZE), lead = new Float64Array(SIZE * SIZE);
  for (let j = 0; j < SIZE; j += 1) {
    for (let i = 0; i < SIZE; i += 1) {
      [found[j * SIZE + i], lead[j * SIZE + i]] = answer(parameters, pointAt(i, j));
    }
  }
  for (let k = 0; k < found.length; k += 1) {
    const border = (k % SIZE < SIZE - 1 && found[k] !== found[k + 1])
      || (k + SIZE < found.length && found[k] !== found[k + SIZE]);
    const share = border ? 0.85 : 0.18 + 0.3 * Math.tanh(lead[k]);
    const tint = border ? ink : tints[found[k]];
    for (let c = 0; c < 3; c += 1) image.data[4 * k + c] = share * tint[c] + (1 - share) * paper[c];
    image.data[4 * k + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

// What one neuron puts out: blue above zero, orange below, the stronger the larger.
function drawHeat(parameters, [, place], context, image) {
  const outputs = new Float64Array(SIZE * SIZE);
  let low = Infinity, high = -Infinity;
  for (let j = 0; j < SIZE; j += 1) {
    for (let i = 0; i < SIZE; i += 1) {
      const output = neurons(parameters, pointAt(i, j))[place];
      outputs[j * SIZE + i] = output;
      low = Math.min(low, output);
      high = Math.max(high, output);
    }
  }
  const largest = Math.max(Math.abs(low), Math.abs(high)) || 1;
  const above = rgb("--positive"), under = rgb("--negative"), paper = rgb("--paper");
  for (let k = 0; k < outputs.length; k += 1) {
    const share = 0.92 * Math.min(1, Math.abs(outputs[k]) / largest);
    const tint = outputs[k] < 0 ? under : above;
    for (let c = 0; c < 3; c += 1) image.data[4 * k + c] = share * tint[c] + (1 - share) * paper[c];
    image.data[4 * k + 3] = 255;
  }
  context.putImageData(image, 0, 0);
  byId("heat-low").textContent = `${short(-largest)} `;
  byId("heat-high").textContent = ` ${short(largest)}; here ${short(low)} to ${short(high)}`;
}

const short = (x) => String(Number(x.toPrecision(3))).replaceAll("-", "−");

// --- the axes ---

// Round numbers between two others, about five of them.
function ticks(low, high) {
  const rough = (high - low) / 5, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((x) => x * power >= rough);
  const found = [];
  for (let k = Math.ceil(low / step); k * step <= high; k += 1) {
    found.push(Number((k * step).toPrecision(10)));
  }
  return found;
}

function drawAxes() {
  const svg = byId("points");
  const write = (x, y, text, anchor) => {
    const label = element("text", { x, y, "text-anchor": anchor, class: "tick" }, svg);
    label.textContent = text;
    return label;
  };
  for (const x of ticks(left, right)) {
    const at = 400 * (x - left) / (right - left);
    element("path", { class: "axis", d: `M${at},400v5` }, svg);
    if (at > 12 && at < 375) write(at, 418, short(x), "middle");
  }
  for (const y of ticks(below, above)) {
    const at = 400 * (above - y) / (above - below);
    element("path", { class: "axis", d: `M0,${at}h-5` }, svg);
    if (at > 25 && at < 392) write(-8, at + 4, short(y), "end");
  }
  for (const [x, y, k, anchor] of [[399, 418, "1", "end"], [-8, 12, "2", "end"]]) {
    const name = write(x, y, "x", anchor);
    name.setAttribute("class", "axis-name");
    element("tspan", { dy: 3, "font-size": 9 }, name).textContent = k;
  }
}

// --- the points, a shape for each class ---

function element(name, attributes, parent) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return parent ? parent.appendChild(made) : made;
}

function marker(k, x, y, size) {
  const shapes = [
    `M${x - size},${y}a${size},${size} 0 1,0 ${2 * size},0a${size},${size} 0 1,0 ${-2 * size},0Z`,
    `M${x - size},${y - size}h${2 * size}v${2 * size}h${-2 * size}Z`,
    `M${x},${y - 1.2 * size}L${x + 1.15 * size},${y + size}H${x - 1.15 * size}Z`,
    `M${x},${y - 1.3 * size}L${x + 1.3 * size},${y}L${x},${y + 1.3 * size}L${x - 1.3 * size},${y}Z`,
  ];
  return element("path", { d: shapes[k % 4], class: "point", style: `fill: var(--class-${k % 6})` });
}

drawAxes();
const points = data.points.map(([x, y, k]) => byId("points").appendChild(
  marker(k, 400 * (x - left) / (right - left), 400 * (above - y) / (above - below), 4.5)));
data.classes.forEach((name, k) => {
  const span = byId("classes").appendChild(document.createElement("span"));
  element("svg", { viewBox: "0 0 12 12" }, span).appendChild(marker(k, 6, 6, 4.5));
  span.append(` ${name}`);
});
byId("classes").appendChild(document.createElement("span")).textContent = "with a rim: answered wrongly";
points.forEach((point, i) => {
  const [x, y, k] = data.points[i];
  element("title", {}, point).textContent =
    `point ${i + 1}: (${short(x)}, ${short(y)}), ${data.classes[k]}`;
  if (data.steps.length) {
    point.classList.add("opens");
    point.onclick = () => openSteps(i);
  }
});

// --- the network ---

const lines = data.weights.map(([id, parameter]) => ({ line: byId(id), parameter }));

function drawWeights(parameters) {
  for (const { line, parameter } of lines) {
    const weight = parameters[parameter];
    line.style.stroke = `var(--${weight < 0 ? "negative" : "positive"})`;
    line.style.strokeDasharray = weight < 0 ? data.dashes : "none";
    const share = Math.abs(weight) / data.largest;
    line.style.strokeWidth = data.thinnest + (data.widest - data.thinnest) * share;
  }
}

// --- the course of the loss ---

const course = { left: 48, right: 628, top: 12, bottom: 160 };
const epochs = Math.max(data.loss.length, data.epochs.at(-1), 1);
// A run of yours that goes wrong may be drawn up to twice as high as the recorded one, no higher.
const known = [...data.loss, ...data.held_out].filter(Number.isFinite);
let low = Math.min(...known), high = Math.max(...known);
const [lowest, highest] = [low - (high - low), high + (high - low)];
const atEpoch = (epoch) => course.left + (course.right - course.left) * epoch / epochs;
const atLoss = (loss) => course.bottom - (course.bottom - course.top)
  * (high > low ? (Math.max(low, Math.min(high, loss)) - low) / (high - low) : 0.5);

function drawCourse() {
  const svg = byId("course");
  svg.replaceChildren();
  const own = (yours?.loss ?? []).filter(Number.isFinite);
  low = Math.min(...known, ...own.map((x) => Math.max(x, lowest)));
  high = Math.max(...known, ...own.map((x) => Math.min(x, highest)));
  const axes = `M${course.left},${course.top}V${course.bottom}H${course.right}`;
  element("path", { class: "axis", d: axes }, svg);
  for (const [series, name] of [[data.loss, "loss"], [data.held_out, "held-out"],
    [yours?.loss ?? [], "yours"]]) {
    const path = series.map((loss, k) => (Number.isFinite(loss)
      ? `${k && Number.isFinite(series[k - 1]) ? "L" : "M"}${atEpoch(k + 1)},${atLoss(loss)}` : "")).join("");
    if (path) element("path", { class: name, d: path }, svg);
  }
  const label = (x, y, text, anchor) => {
    element("text", { x, y, "text-anchor": anchor }, svg).textContent = text;
  };
  label(course.left - 6, course.top + 4, high.toPrecision(3), "end");
  label(course.left - 6, course.bottom + 4, low.toPrecision(3), "end");
  label(course.left, course.bottom + 18, "0", "middle");
  label(course.right, course.bottom + 18, `${epochs} epochs`, "end");
  const legend = ["loss", data.held_out.length && "dashed: on held-out data",
    yours && "thick: yours"].filter(Boolean);
  if (legend.length > 1) label(course.right, course.top + 4, legend.join("; "), "end");
  here = element("path", { class: "here" }, svg);
  spot = element("circle", { r: 4 }, svg);
}

let here, spot;
drawCourse();

// --- one step ---

function draw(t) {
  current = t;
  const reached = Math.min(t, run.parameters.length - 1);   // a run of yours may have stopped
  const parameters = run.parameters[reached];
  const epoch = data.epochs[reached];
  drawRegions(parameters);
  drawWeights(parameters);
  let count = 0;
  data.points.forEach(([x, y, k], i) => {
    const correct = answer(parameters, [x, y])[0] === k;
    count += correct;
    points[i].classList.toggle("wrong", !correct);
  });
  const loss = run.loss[Math.max(0, epoch - 1)];
  here.setAttribute("d", `M${atEpoch(epoch)},${course.top}V${course.bottom}`);
  spot.setAttribute("cx", atEpoch(epoch));
  spot.setAttribute("cy", Number.isFinite(loss) ? atLoss(loss) : course.bottom);
  spot.style.visibility = epoch && Number.isFinite(loss) ? "visible" : "hidden";
  byId("status").textContent = (run.live ? `Your run, learning rate ${run.rate}: ` : "")
    + `${epoch ? `${run.live ? "after" : "After"} epoch ${epoch}` : `${run.live ? "before" : "Before"} training`}: `
    + `${count} of ${points.length} points answered rightly`
    + (epoch && Number.isFinite(loss) ? `; loss in epoch ${epoch}: ${Number(loss.toPrecision(4))}` : "");
}

const player = makePlayer(data.epochs.length - 1, draw);

// --- a neuron's own map ---

function showNeuron() {
  const neuron = pointed ?? pinned;
  const name = neuron && (byId(neuron[0]).dataset.name);
  byId("plane-title").textContent = neuron ? `What ${name} computes` : "What it answers";
  byId("heat").hidden = !neuron;
  byId("unpin").hidden = !pinned;
  byId("classes").hidden = Boolean(neuron);
  for (const [id] of data.neurons) {
    byId(id).classList.toggle("chosen", neuron?.[0] === id);
    byId(id).setAttribute("aria-pressed", String(pinned?.[0] === id));
  }
  drawRegions(run.parameters[Math.min(current, run.parameters.length - 1)]);
}

for (const neuron of data.neurons) {
  const circle = byId(neuron[0]);
  const [column, j] = neuron[0].split("-").slice(1).map(Number);
  const what = column === 0 ? "input" : column === lastColumn() ? "output" : `hidden layer ${column}, neuron`;
  circle.dataset.name = `${what} ${j + 1}`;
  for (const [name, value] of Object.entries({ tabindex: 0, role: "button", "aria-pressed": "false",
    "aria-label": `${circle.dataset.name}: what it computes` })) circle.setAttribute(name, value);
  const point = (at) => () => {
    if (pointed === at) return;
    pointed = at;
    showNeuron();
  };
  circle.onmouseenter = circle.onfocus = point(neuron);
  circle.onmouseleave = circle.onblur = point(null);
  circle.onclick = () => {
    pinned = pinned?.[0] === neuron[0] ? null : neuron;
    pointed = pinned;
    showNeuron();
  };
  circle.onkeydown = (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    event.stopPropagation();
    circle.onclick();
  };
}

function lastColumn() {
  return Math.max(...data.neurons.map(([id]) => Number(id.split("-")[1])));
}

function unpin() {
  pinned = pointed = null;
  showNeuron();
}
byId("unpin").onclick = unpin;
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && (pinned || pointed)) unpin();
});

// --- a point's own steps ---

function openSteps(i) {
  const [x, y, k] = data.points[i];
  const steps = data.steps[k];
  const parameters = run.parameters[Math.min(current, run.parameters.length - 1)];
  const nodes = steps.data.nodes.map((node) => ({ ...node }));
  for (const [node, kind, place] of steps.inputs) {
    nodes[node].value = kind === "p" ? parameters[place] : [x, y][place];
  }
  const written = JSON.stringify({ ...steps.data, nodes }).replaceAll("<", "\\u003c");
  byId("steps").querySelector("iframe")?.remove();
  const frame = document.createElement("iframe");
  frame.title = `Point ${i + 1}, step by step`;
  frame.srcdoc = steps.page[0] + written + steps.page[1];
  byId("steps").appendChild(frame);
  byId("steps").showModal();
}

byId("choose").hidden = !data.steps.length;
byId("choose").title = data.no_steps;
byId("point").max = data.points.length;
byId("choose").onsubmit = (event) => {
  event.preventDefault();
  const i = Number(byId("point").value) - 1;
  const valid = Number.isInteger(i) && i >= 0 && i < data.points.length;
  byId("problem").textContent = valid ? "" : `There are points 1 to ${data.points.length}.`;
  if (valid) openSteps(i);
};

// --- training again ---

byId("live").hidden = !data.steps.length;
byId("rate").value = data.rate;
let training = 0;   // counts, so that a run that was stopped knows it

function chooseRun(name) {
  run = name === "live" && yours ? yours : recorded;
  byId("run").value = run.live ? "live" : "recorded";
  player.again();
}
byId("run").onchange = () => chooseRun(byId("run").value);

const pause = () => new Promise((resolve) => { setTimeout(resolve, 0); });

async function train(rate, size) {
  training += 1;
  const mine = training;
  const parameters = [...data.parameters[0]];
  yours = { parameters: [[...parameters]], loss: [], live: true, rate };
  const state = { seed: 1 };
  byId("run").querySelector("[value=live]").disabled = false;
  byId("start").textContent = "Stop";
  chooseRun("live");
  player.go(0);
  let drawn = performance.now();
  try {
    for (let t = 1; t < data.epochs.length; t += 1) {
      for (let epoch = data.epochs[t - 1]; epoch < data.epochs[t]; epoch += 1) {
        yours.loss.push(epochOf(data, parameters, rate, size, state));
        if (performance.now() - drawn > 40) {   // the page stays alive
          await pause();
          drawn = performance.now();
        }
        if (mine !== training) return;
      }
      yours.parameters.push([...parameters]);
      drawCourse();
      player.go(t);
      await pause();
      if (mine !== training) return;
    }
  } catch (error) {
    if (!(error instanceof MathError)) throw error;
    byId("problem").textContent = `Your run stopped in epoch ${yours.loss.length + 1}: `
      + `${error.message === "overflow" ? "the numbers are too large for a float"
        : "a value or derivative does not exist"}. Try a smaller learning rate.`;
  }
  byId("start").textContent = "Start again here";
  drawCourse();
  player.again();
}

byId("live").onsubmit = (event) => {
  event.preventDefault();
  byId("problem").textContent = "";
  if (byId("start").textContent === "Stop") {
    training += 1;
    byId("start").textContent = "Start again here";
    return;
  }
  const rate = Number(byId("rate").value);
  if (!(rate > 0) || !Number.isFinite(rate)) {
    byId("problem").textContent = "Learning rate: expected a positive number, such as 0.1.";
    return;
  }
  train(rate, Number(byId("batch").value));
};

// On paper: the trained net, in light colours.
let before = 0;
addEventListener("beforeprint", () => {
  before = current;
  document.documentElement.classList.add("on-paper");
  player.go(data.epochs.length - 1);
});
addEventListener("afterprint", () => {
  document.documentElement.classList.remove("on-paper");
  player.go(before);
});

const scheme = matchMedia("(prefers-color-scheme: dark)");
scheme.addEventListener("change", () => player.again());
player.show(0);
