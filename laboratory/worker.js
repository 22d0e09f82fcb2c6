// One worker is one Python. The page ends the worker to stop a program, and starts another.
// In:  {kind: "start", parts}, {kind: "run", id, source}
// Out: "ready", "printed" (while a program runs), "ran" (its pictures), "player" (its steps), "failed"

let run, player, viz, instance;
let printed = "", sent = 0;

self.write = (text) => {
  printed += text;
  if (performance.now() - sent > 50) flush();
};

function flush() {
  if (printed) postMessage({ kind: "printed", text: printed });
  printed = "";
  sent = performance.now();
}

self.layout = (dot, format) => {
  if (!viz) throw new Error("starts again after a graph that was too much for it");
  let answer;
  try {
    answer = viz.render(dot, { format, engine: "dot" });
  } catch (error) {   // out of stack or memory: this Graphviz cannot be used any more
    viz = null;
    instance().then((fresh) => { viz = fresh; });
    throw error;
  }
  if (answer.status !== "success") throw new Error(answer.errors.map((x) => x.message).join("; "));
  return answer.output;
};

const load = (text) => import(URL.createObjectURL(new Blob([text], { type: "text/javascript" })));

async function start({ wasm, snapshot, stdlib, archive, asm, pyodide, graphviz, program, info }) {
  // Pyodide fetches its parts; here they are at hand, and nothing else can be had.
  self.fetch = async (url) => {
    if (String(url).endsWith("python_stdlib.zip")) return new Response(stdlib);
    if (String(url).endsWith("pyodide.asm.wasm")) return new Response();
    throw new TypeError(`the laboratory asks nothing of the network: ${url}`);
  };
  // It wants a module worker, for import(). A page opened as a file can only start a classic one, which
  // has import() as well; this is how Pyodide tells the two apart.
  self.importScripts = () => { throw new TypeError("scripts are imported as modules here"); };
  WebAssembly.instantiateStreaming = async (response, imports) => {
    const made = await WebAssembly.instantiate(wasm, imports);
    const memory = made.exports.memory ?? imports.env.memory;   // it must hold the snapshot
    const missing = Math.ceil((snapshot.byteLength - memory.buffer.byteLength) / 65536);
    if (missing > 0) memory.grow(missing);
    return { module: wasm, instance: made };
  };
  const [{ default: createPyodideModule }, { loadPyodide }, graphs] =
    await Promise.all([load(asm), load(pyodide), load(graphviz)]);
  instance = graphs.instance;
  const [python, first] = await Promise.all([
    loadPyodide({
      createPyodideModule,
      _loadSnapshot: snapshot,
      indexURL: "lab://python/",
      lockFileContents: { info, packages: {} },
      stdin: () => null,
    }),
    instance(),
  ]);
  viz = first;
  python.FS.writeFile("/lib/laboratory.zip", new Uint8Array(archive));
  python.runPython(program);
  run = python.globals.get("run");
  player = python.globals.get("player");
}

onmessage = async ({ data }) => {
  try {
    if (data.kind === "start") {
      await start(data.parts);
      postMessage({ kind: "ready" });
      return;
    }
    const begun = performance.now();
    const result = JSON.parse(run(data.source));
    flush();
    postMessage({ kind: "ran", id: data.id, result, seconds: (performance.now() - begun) / 1000 });
    if (result.steps) postMessage({ kind: "player", id: data.id, html: player() });
    postMessage({ kind: "done", id: data.id, seconds: (performance.now() - begun) / 1000 });
  } catch (error) {
    flush();
    postMessage({ kind: "failed", id: data.id, message: String(error.message ?? error).slice(-600) });
  }
};
