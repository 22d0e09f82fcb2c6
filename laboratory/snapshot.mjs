// node snapshot.mjs PYODIDE PACKAGE.zip warm.py SNAPSHOT
// Starts Python once, when lab.html is made, imports the package there and writes Python's memory to
// a file. The page starts from that memory: without it the first run would wait for the imports.
import { readFile, writeFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";

const [folder, archive, program, target] = process.argv.slice(2);
try {
  const { loadPyodide } = await import(pathToFileURL(`${folder}/pyodide.mjs`).href);
  const python = await loadPyodide({ _makeSnapshot: true });
  python.FS.writeFile("/lib/laboratory.zip", new Uint8Array(await readFile(archive)));
  python.runPython(await readFile(program, "utf8"));
  await writeFile(target, python.makeMemorySnapshot());
} catch (error) {
  console.error(String(error.message).slice(0, 4000));   // the stack would show a megabyte of script
  process.exit(1);
}
