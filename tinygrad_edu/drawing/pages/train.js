// Shows a recorded training: at each recorded epoch what the model answers in the plane, its weights,
// and where the loss was. Nothing is trained here: the parameters of every step are the recorded ones,
// and predict(p, x), written by the model itself, computes its answer to the point x from them.

const data = JSON.parse(byId("data").textContent);
// data.epochs[t], data.parameters[t]: the recorded steps; data.weights: [id of a line, parameter];
// data.points: [x, y, class]; data.domain: [left, right, below, above]; data.classes: names;
// data.rule: "argmax", or the threshold of a single output; data.loss, data.held_out: by epoch
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const [left, right, below, above] = data.domain;
const canvas = byId("regions");
const SIZE = canvas.width;

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

const points = data.points.map(([x, y, k]) => byId("points").appendChild(
  marker(k, 400 * (x - left) / (right - left), 400 * (above - y) / (above - below), 4.5)));
data.classes.forEach((name, k) => {
  const span = byId("classes").appendChild(document.createElement("span"));
  element("svg", { viewBox: "0 0 12 12" }, span).appendChild(marker(k, 6, 6, 4.5));
  span.append(` ${name}`);
});
byId("classes").appendChild(document.createElement("span")).textContent = "with a rim: answered wrongly";

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
const known = [...data.loss, ...data.held_out].filter(Number.isFinite);
const low = Math.min(...known), high = Math.max(...known);
const atEpoch = (epoch) => course.left + (course.right - course.left) * epoch / epochs;
const atLoss = (loss) => course.bottom
  - (course.bottom - course.top) * (high > low ? (loss - low) / (high - low) : 0.5);

function drawCourse() {
  const svg = byId("course");
  const axes = `M${course.left},${course.top}V${course.bottom}H${course.right}`;
  element("path", { class: "axis", d: axes }, svg);
  for (const [series, name] of [[data.loss, "loss"], [data.held_out, "held-out"]]) {
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
  if (data.held_out.length) label(course.right, course.top + 4, "loss; dashed: on held-out data", "end");
}

drawCourse();
const here = element("path", { class: "here" }, byId("course"));
const spot = element("circle", { r: 4 }, byId("course"));

// --- one step ---

function draw(t) {
  const parameters = data.parameters[t];
  const epoch = data.epochs[t];
  drawRegions(parameters);
  drawWeights(parameters);
  let count = 0;
  data.points.forEach(([x, y, k], i) => {
    const correct = answer(parameters, [x, y])[0] === k;
    count += correct;
    points[i].classList.toggle("wrong", !correct);
  });
  const loss = data.loss[Math.max(0, epoch - 1)];
  here.setAttribute("d", `M${atEpoch(epoch)},${course.top}V${course.bottom}`);
  spot.setAttribute("cx", atEpoch(epoch));
  spot.setAttribute("cy", Number.isFinite(loss) ? atLoss(loss) : course.bottom);
  spot.style.visibility = epoch && Number.isFinite(loss) ? "visible" : "hidden";
  byId("status").textContent = `${epoch ? `After epoch ${epoch}` : "Before training"}: `
    + `${count} of ${points.length} points answered rightly`
    + (epoch && Number.isFinite(loss) ? `; loss in epoch ${epoch}: ${Number(loss.toPrecision(4))}` : "");
}

const player = makePlayer(data.epochs.length - 1, draw);
const scheme = matchMedia("(prefers-color-scheme: dark)");
scheme.addEventListener("change", () => player.again());
player.show(0);
