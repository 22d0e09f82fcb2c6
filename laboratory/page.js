"use strict";
// The page: editor, lessons, and what a worker's Python makes of the program. Here:
//   1. parts: Python, Graphviz and the package, out of the page
//   2. Python: start, run, stop
//   3. what is shown
//   4. the editor
//   5. lessons and the address
//   6. controls

const byId = (id) => document.getElementById(id);
const lessons = JSON.parse(byId("lessons").textContent);
const texts = JSON.parse(byId("texts").textContent);   // scripts and programs for the worker

function element(name, options = {}, ...children) {
  const made = Object.assign(document.createElement(name), options);
  made.append(...children);
  return made;
}

// --- 1. parts ---

function bytesOf(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let k = 0; k < letters.length; k += 1) bytes[k] = letters.charCodeAt(k);
  return bytes;
}

async function part(name) {
  const holder = byId(`part-${name}`);
  const stream = new Blob([bytesOf(holder.textContent.trim())]).stream();
  holder.remove();
  return new Response(stream.pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

async function readParts() {
  const decoder = new TextDecoder();
  const names = ["wasm", "snapshot", "stdlib", "archive", "asm", "pyodide", "graphviz"];
  const [wasm, snapshot, stdlib, archive, ...scripts] = await Promise.all(names.map(part));
  const [asm, pyodide, graphviz] = scripts.map((script) => decoder.decode(script));
  return { wasm: await WebAssembly.compile(wasm), snapshot, stdlib, archive, asm, pyodide, graphviz,
    program: texts.start, info: texts.info };
}

// --- 2. Python ---

let parts;        // a promise of them
let worker;
let state = "starting";   // starting, ready, running, broken
let waiting = null;       // a program to run when Python is there
let current = 0;          // the number of the run whose answers are wanted

function say(text) {
  byId("status").textContent = text;
}

function become(next) {
  state = next;
  document.body.dataset.state = next;
  byId("stop").disabled = next !== "running";
  byId("run").disabled = next === "broken";
}

async function startPython() {
  become("starting");
  try {
    parts ??= readParts();
    const script = new Blob([texts.worker], { type: "text/javascript" });
    const address = URL.createObjectURL(script);
    const started = new Worker(address);
    worker = started;
    started.onmessage = ({ data }) => worker === started && hear(data);
    started.onerror = (event) => worker === started && fail(event.message || "Python did not start");
    const sent = await parts;
    if (worker === started) started.postMessage({ kind: "start", parts: sent });
  } catch (error) {
    fail(error.message);
  }
}

function fail(message) {
  worker?.terminate();
  worker = null;
  become("broken");
  say(`Python cannot run in this browser: ${message}`);
}

function run() {
  const source = byId("program").value;
  writeAddress(source);
  if (state === "running") stop(false);
  if (state !== "ready") {
    waiting = source;
    say("Starting Python …");
    return;
  }
  current += 1;
  become("running");
  say("Running …");
  byId("printed").textContent = "";
  clearProblems();
  worker.postMessage({ kind: "run", id: current, source });
}

function stop(tell = true) {
  worker?.terminate();
  worker = null;
  waiting = null;
  current += 1;
  if (tell) {
    showProblem({ line: null, kind: "Stopped", message: "the program was stopped. Python starts again." });
  }
  markStale(true);
  startPython();
}

function hear(data) {
  if (data.kind === "ready") {
    become("ready");
    say("Python is ready.");
    if (waiting !== null) {
      waiting = null;
      run();
    }
  } else if (data.kind === "printed") {
    const box = byId("printed");
    box.append(data.text);
    box.scrollTop = box.scrollHeight;
  } else if (data.id !== undefined && data.id !== current) {
    return;   // of a run that was given up
  } else if (data.kind === "ran") {
    showResult(data.result);
    say(`${data.result.error ? "Ended with an error" : "Done"} in ${data.seconds.toFixed(2)} s.`);
    document.body.dataset.seconds = data.seconds;
    become("ready");   // the page of steps follows; the next program need not wait for it
  } else if (data.kind === "player") {
    showPlayer(data.html);
  } else if (data.kind === "done") {
    document.body.dataset.secondsWithSteps = data.seconds;
  } else if (data.kind === "failed") {
    if (state === "starting") {
      fail(data.message);
      return;
    }
    showProblem({ line: null, kind: "Python stopped", message: `${data.message}\nIt starts again.` });
    stop(false);
  }
}

// --- 3. what is shown ---

function clearProblems() {
  byId("problem").replaceChildren();
  byId("notes").replaceChildren();
  byId("program").removeAttribute("aria-invalid");
  marks.wrong = null;
  marks.noted = [];
  paint();
}

function showProblem({ line, kind, message }) {
  const text = message ? `${kind}: ${message}` : kind;
  const box = byId("problem");
  box.replaceChildren();
  if (line) {
    const go = element("button", { textContent: `Line ${line}`, title: "Go to this line" });
    go.onclick = () => goTo(line);
    box.append(go);
    byId("program").setAttribute("aria-invalid", "true");
    marks.wrong = line;
    paint();
  }
  box.append(text);
}

function markStale(on) {
  for (const name of ["pictures", "derivation", "player"]) byId(name).classList.toggle("stale", on);
}

function showResult(result) {
  for (const note of result.notes) {
    const where = note.line ? `Line ${note.line}: ` : "";
    byId("notes").append(element("li", { textContent: where + note.message }));
    if (note.line) marks.noted.push(note.line);
  }
  paint();
  if (result.error) {
    showProblem(result.error);
    markStale(true);
    return;
  }
  markStale(false);
  byId("pictures").replaceChildren(...result.pictures.map(picture));
  for (const drawn of document.querySelectorAll(".drawn")) fit(drawn);
  byId("derivation").replaceChildren(...result.derivation.map(({ heading, lines }) => {
    const kind = heading.split(" ")[0].toLowerCase();
    return element("div", {}, element("h3", { textContent: heading, className: kind }),
      element("ul", {}, ...lines.map((line) => element("li", { textContent: typeset(line) }))));
  }));
  byId("empty").hidden = result.pictures.length > 0;
  if (!result.steps) showPlayer("");
}

const typeset = (line) => line.replaceAll(" * ", " · ").replaceAll("-", "−");

// A wide figure is not made smaller than can be read: it scrolls.
function fit(drawn) {
  const svg = drawn.querySelector("svg");
  if (!svg) return;
  const natural = parseFloat(svg.getAttribute("width"));
  drawn.classList.toggle("wide", natural > 1.6 * drawn.clientWidth);
  svg.style.minWidth = "";
  if (natural < 0.7 * drawn.clientWidth) {
    svg.style.width = `${Math.min(1.5 * natural, drawn.clientWidth)}pt`;
  }
}

function picture({ kind, content, title, note }, k) {
  const made = element("figure", { className: "picture" });
  const caption = element("figcaption", {}, element("span", { textContent: note || title }));
  if (kind === "figure") {
    const drawn = element("div", { className: "drawn", tabIndex: 0 });
    drawn.setAttribute("role", "region");
    drawn.setAttribute("aria-label", title ? `Figure of ${title}` : `Figure ${k + 1}`);
    drawn.append(...new DOMParser().parseFromString(content, "text/html").body.childNodes);
    const name = (title || "figure").replace(/[^\w-]+/g, "_");
    const svg = element("button", { textContent: "SVG", title: "Download this figure as SVG" });
    svg.onclick = () => download(new Blob([content], { type: "image/svg+xml" }), `${name}.svg`);
    const png = element("button", { textContent: "PNG", title: "Download this figure as PNG" });
    png.onclick = async () => download(await asPng(content), `${name}.png`);
    caption.append(svg, png);
    made.append(drawn, caption);
  } else if (kind === "page") {
    const frame = element("iframe", { title: title || "A page", srcdoc: content });
    frame.setAttribute("sandbox", "allow-scripts");
    const save = element("button", { textContent: "HTML", title: "Download this page" });
    save.onclick = () => download(new Blob([content], { type: "text/html" }), "page.html");
    caption.append(save);
    made.append(frame, caption);
  } else {
    made.append(element("pre", { textContent: content, tabIndex: 0 }));
  }
  return made;
}

async function asPng(svg) {
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
  await image.decode();
  const scale = 3;   // pixels per point: sharp on slides
  const canvas = element("canvas", { width: scale * image.width, height: scale * image.height });
  const pen = canvas.getContext("2d");
  pen.fillStyle = "#ffffff";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => { canvas.toBlob(resolve, "image/png"); });
}

function download(blob, name) {
  const address = URL.createObjectURL(blob);
  element("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

let steps = "";   // the page of steps; loaded when its tab is seen

function showPlayer(html) {
  steps = html;
  byId("no-steps").hidden = Boolean(html);
  byId("player").hidden = !html;
  loadPlayer();
}

function loadPlayer() {
  const frame = byId("player");
  if (byId("panel-steps").hidden || frame.srcdoc === steps) return;
  frame.srcdoc = steps;
}

// --- 4. the editor ---

const marks = { wrong: null, noted: [] };
const WORDS = new Set(("and as assert async await break class continue def del elif else except False "
  + "finally for from global if import in is lambda None nonlocal not or pass raise return True try "
  + "while with yield").split(" "));
const TOKEN = new RegExp([
  /(#[^\n]*)/, /([rbfuRBFU]{0,2}(?:"""[\s\S]*?(?:"""|$)|'''[\s\S]*?(?:'''|$)|"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?))/,
  /(\b\d[\w.]*(?:[eE][+-]?\d+)?)/, /([^\W\d]\w*)/,
].map((pattern) => pattern.source).join("|"), "gu");

// The program as pieces of text and their kinds.
function pieces(source) {
  const found = [];
  let end = 0;
  for (const match of source.matchAll(TOKEN)) {
    const [text, comment, string, digits, name] = match;
    const kind = comment ? "comment" : string ? "string" : digits ? "number"
      : WORDS.has(name) ? "word" : null;
    if (!kind) continue;
    found.push(["", source.slice(end, match.index)], [kind, text]);
    end = match.index + text.length;
  }
  found.push(["", source.slice(end)]);
  return found;
}

function paint() {
  const source = byId("program").value;
  const lines = [[]];
  for (const [kind, text] of source.length < 50_000 ? pieces(source) : [["", source]]) {
    text.split("\n").forEach((piece, k) => {
      if (k) lines.push([]);
      if (piece) lines[lines.length - 1].push(element("span", { className: kind, textContent: piece }));
    });
  }
  const mark = (k) => (marks.wrong === k ? " wrong" : "");
  byId("paint").replaceChildren(...lines.map((line, k) =>
    element("span", { className: `line${mark(k + 1)}` }, ...line)));
  byId("gutter").replaceChildren(...lines.flatMap((line, k) => [
    element("span", { textContent: marks.wrong === k + 1 ? `✗ ${k + 1}` : k + 1,
      className: marks.wrong === k + 1 ? "wrong" : marks.noted.includes(k + 1) ? "noted" : "" }), "\n"]));
  follow();
}

function follow() {
  const { scrollTop, scrollLeft } = byId("program");
  byId("paint").scrollTop = scrollTop;
  byId("paint").scrollLeft = scrollLeft;
  byId("gutter").scrollTop = scrollTop;
}

function goTo(line) {
  const field = byId("program");
  const lines = field.value.split("\n");
  const start = lines.slice(0, line - 1).reduce((sum, text) => sum + text.length + 1, 0);
  field.focus();
  field.setSelectionRange(start, start + (lines[line - 1] ?? "").length);
  field.scrollTop = (line - 4) * parseFloat(getComputedStyle(field).lineHeight);
}

function setProgram(source) {
  byId("program").value = source;
  byId("program").scrollTop = 0;
  clearProblems();
}

let leaving = false;   // after Esc, Tab moves on as everywhere else

// Through the browser's own editing, so that undo works.
function type(text) {
  if (!document.execCommand("insertText", false, text)) {
    const field = byId("program");
    field.setRangeText(text, field.selectionStart, field.selectionEnd, "end");
    field.dispatchEvent(new Event("input"));
  }
}

function indent(field, out) {
  const { value, selectionStart, selectionEnd } = field;
  if (!out && selectionStart === selectionEnd) {
    const column = selectionStart - (value.lastIndexOf("\n", selectionStart - 1) + 1);
    type(" ".repeat(4 - (column % 4)));
    return;
  }
  const start = value.lastIndexOf("\n", selectionStart - 1) + 1;
  const lines = value.slice(start, selectionEnd).split("\n");
  const moved = lines.map((line) => (out ? line.replace(/^ {1,4}/, "") : line && `    ${line}`)).join("\n");
  if (moved === lines.join("\n")) return;
  field.setSelectionRange(start, selectionEnd);
  if (moved) type(moved);
  else document.execCommand("delete");
  field.setSelectionRange(start, start + moved.length);
}

function keyInEditor(event) {
  const field = event.target;
  if (event.key === "Escape") {
    leaving = true;
    return;
  }
  if (event.key === "Tab" && !leaving && !event.ctrlKey && !event.altKey && !event.metaKey) {
    event.preventDefault();
    indent(field, event.shiftKey);
  } else if (event.key === "Enter" && !event.ctrlKey && !event.metaKey && !event.shiftKey
      && !event.isComposing) {
    event.preventDefault();
    const line = field.value.slice(0, field.selectionStart).split("\n").pop();
    type(`\n${/^ */.exec(line)[0]}${/:\s*(#.*)?$/.test(line) ? "    " : ""}`);
  }
  if (event.key !== "Shift") leaving = false;
}

// --- 5. lessons and the address ---

let lesson = 0;

// Text with `code` in it.
function rich(text) {
  return text.split("`").map((piece, k) => (k % 2 ? element("code", { textContent: piece }) : piece));
}

function choose(k, source = lessons[k].code) {
  lesson = k;
  byId("lesson").value = k;
  const { title, text, tasks } = lessons[k];
  byId("lesson-title").textContent = title;
  byId("lesson-text").replaceChildren(...text.map((paragraph) => element("p", {}, ...rich(paragraph))));
  byId("tasks").replaceChildren(...tasks.map((task) => element("li", {}, ...rich(task))));
  byId("previous").disabled = k === 0;
  byId("next-lesson").disabled = k === lessons.length - 1;
  setProgram(source);
  changed();
}

function changed() {
  byId("back").hidden = byId("program").value === lessons[lesson].code;
}

const base64url = (bytes) => btoa(Array.from(bytes, (x) => String.fromCharCode(x)).join(""))
  .replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

async function through(bytes, stream) {
  return new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(stream)).arrayBuffer());
}

let address = "";   // what we wrote there last

async function writeAddress(source) {
  let text = `#lesson=${lesson + 1}`;
  if (source !== lessons[lesson].code) {
    const packed = await through(new TextEncoder().encode(source), new CompressionStream("deflate-raw"));
    text += `&program=${base64url(packed)}`;
  }
  if (byId("program").value !== source || text === location.hash) return;
  address = text;
  try {
    history.replaceState(null, "", text);
  } catch {
    location.hash = text;
  }
}

async function readAddress() {
  const found = new URLSearchParams(location.hash.slice(1));
  const k = Math.min(Math.max(Math.trunc(Number(found.get("lesson"))) || 1, 1), lessons.length) - 1;
  if (!found.get("program")) return [k, lessons[k].code];
  try {
    const packed = bytesOf(found.get("program").replaceAll("-", "+").replaceAll("_", "/")
      .padEnd(4 * Math.ceil(found.get("program").length / 4), "="));
    return [k, new TextDecoder().decode(await through(packed, new DecompressionStream("deflate-raw")))];
  } catch {
    return [k, lessons[k].code];   // an address that was cut
  }
}

// --- 6. controls ---

function select(name) {
  for (const tab of ["figure", "steps"]) {
    const chosen = tab === name;
    byId(`tab-${tab}`).setAttribute("aria-selected", chosen);
    byId(`tab-${tab}`).tabIndex = chosen ? 0 : -1;
    byId(`panel-${tab}`).hidden = !chosen;
  }
  loadPlayer();
}

byId("lesson").append(...lessons.map(({ title }, k) =>
  element("option", { value: k, textContent: `${k + 1}. ${title}` })));
byId("lesson").onchange = () => { choose(Number(byId("lesson").value)); run(); };
byId("previous").onclick = () => { choose(lesson - 1); run(); };
byId("next-lesson").onclick = () => { choose(lesson + 1); run(); };
byId("back").onclick = () => { choose(lesson); run(); };
byId("run").onclick = run;
byId("stop").onclick = () => stop();
byId("about-button").onclick = () => byId("about").showModal();
byId("program").oninput = () => { clearProblems(); changed(); };
byId("program").onscroll = follow;
byId("program").onkeydown = keyInEditor;
byId("program").onblur = () => { leaving = false; };
for (const name of ["figure", "steps"]) {
  const tab = byId(`tab-${name}`);
  const other = name === "figure" ? "steps" : "figure";
  tab.onclick = () => select(name);
  tab.onkeydown = (event) => {
    if (!["ArrowLeft", "ArrowRight", "Home", "End"].includes(event.key)) return;
    event.preventDefault();
    const next = event.key === "Home" ? "figure" : event.key === "End" ? "steps" : other;
    select(next);
    byId(`tab-${next}`).focus();
  };
}
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey || (event.shiftKey
      && event.target.id === "program"))) {
    event.preventDefault();
    run();
  }
});
addEventListener("hashchange", async () => {
  if (location.hash === address) return;
  choose(...await readAddress());
  run();
});
addEventListener("resize", () => document.querySelectorAll(".drawn").forEach(fit));

readAddress().then(([k, source]) => {
  choose(k, source);
  run();
  startPython();
});
