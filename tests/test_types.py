"""What type checkers and editors see: right programs pass, planted mistakes are found.

Each test needs a tool of its own and is skipped where that is not installed.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import venv
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

import pytest

import tinygrad_edu
from tinygrad_edu import nn
from tinygrad_edu.engine import functional, ops
from tinygrad_edu.engine.operation import Op
from tinygrad_edu.nn import initialization

ROOT = Path(tinygrad_edu.__file__).parent.parent
sys.path.insert(0, str(ROOT / "tools"))

# One statement a line; what follows a mistake is marked with its number.
PROGRAM = """\
from __future__ import annotations

from tinygrad_edu import MLP, Value, compile, dot, exp, fit, grad, maximum, sigmoid, softmax, where
from tinygrad_edu import sum as total
from tinygrad_edu.nn import LogisticRegression, cross_entropy
from tinygrad_edu.optim import Adam
from tinygrad_edu.training import History
from tinygrad_edu import Vlaue  # mistake 1

x, y = Value(2.0, "x"), Value(3.0, "y")


def energy(a: Value, b: Value) -> Value:
    return exp(-a * b) + 2 * a / b - a**2 + 2**b + abs(a) - (+b)


def half(number: float) -> float:
    return number / 2 if number.is_integer() else number


f: Value = energy(x, y) + total([x, y, 1.0]) + dot([x, y], [1.0, 2.0])
f.backward()
slope: float = grad(f, x)
slopes: list[float] = grad(f, [x, y])
curvature: float = grad(grad(f, x, create_graph=True), x)
one: float = half(exp(0.5)) + maximum(1.0, 2.0) + sigmoid(0.0) + total([1.0, 2.0])
chosen: Value = where(x > y, x, 0.0) + maximum(x, 0.0) + x.relu().tanh() + x.leaky_relu(0.1)
shares: list[Value] = softmax([x, y])
numbers: list[float] = softmax([1.0, 2.0])
fast = compile(energy)
result: float = fast(1.0, 2.0) + fast.value_and_grad(1.0, 2.0)[0]
model = MLP(2, [3, 1], "tanh")
answer = model([1.0, 2.0])
answer.backward()
for parameter in model.parameters():
    parameter.data -= 0.01 * parameter.grad
history: History = fit(model, [[1.0, 2.0]], [1], loss=cross_entropy, optimizer=Adam(0.1), epochs=2)
last: float = history.loss[-1]
x.data -= 0.1 * x.grad
logistic = LogisticRegression(2, initialization="zeros")

x.expp()  # mistake 2
exp(x, x, x)  # mistake 3
x + "no"  # mistake 4
MLP(2, [3, 1], activation="tanhh")  # mistake 5
exp("one")  # mistake 6
half(x)  # mistake 7
f.backwards()  # mistake 8
(x * y).grads  # mistake 9
fast(1.0, 2.0).data  # mistake 10
history.losses  # mistake 11
maximum(x)  # mistake 12
total(x)  # mistake 13
MLP(2, [3, 1], initialisation="zeros")  # mistake 14
fit(model, [[1.0]], [1], loss=cross_entropy, epoch=2)  # mistake 15
x < "no"  # mistake 16
grad(x * y, x).data  # mistake 17
"""
MISTAKES = {i for i, line in enumerate(PROGRAM.splitlines(), 1) if "# mistake" in line}
# pyright, under the name of the fork that brings its own node along, or the original
PYRIGHT = shutil.which("basedpyright", path=os.path.dirname(sys.executable)) or shutil.which(
    "pyright", path=os.path.dirname(sys.executable)
)
needs_pyright = pytest.mark.skipif(PYRIGHT is None, reason="basedpyright is not installed")
needs_mypy = pytest.mark.skipif(find_spec("mypy") is None, reason="mypy is not installed")
needs_jedi = pytest.mark.skipif(find_spec("jedi") is None, reason="jedi is not installed")


def run(*command: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, encoding="utf-8", timeout=280, **options
    )


@pytest.mark.skipif(shutil.which("ruff") is None and find_spec("ruff") is None, reason="no ruff")
def test_the_stubs_are_current() -> None:
    done = run(sys.executable, str(ROOT / "tools" / "signatures.py"), "--check", cwd=ROOT)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}: run python tools/signatures.py"


def test_the_program_is_sixty_lines_and_runs_without_its_mistakes() -> None:
    assert len(MISTAKES) == 17
    assert 55 <= len(PROGRAM.splitlines()) <= 70
    right = "\n".join(line for line in PROGRAM.splitlines() if "# mistake" not in line)
    namespace: dict[str, Any] = {}
    exec(right, namespace)
    assert len(namespace["history"]) == 2
    for mistake in sorted(MISTAKES):  # each of them is one at run time, too
        line = PROGRAM.splitlines()[mistake - 1]
        try:
            exec(line, dict(namespace))
        except (TypeError, AttributeError, ImportError, ValueError):
            continue
        pytest.fail(f"nothing is wrong with {line}")


@needs_mypy
def test_mypy_finds_all_mistakes_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    done = run(
        sys.executable, "-m", "mypy", "--strict", "--config-file", os.devnull, "--no-error-summary",
        "--cache-dir", str(ROOT / ".mypy_cache" / "programs"), "--follow-imports", "silent",
        "program.py", cwd=tmp_path, env={**os.environ, "MYPYPATH": str(ROOT)},
    )  # fmt: skip
    found = re.findall(r"^program\.py:(\d+): error: (.*)", done.stdout, flags=re.MULTILINE)
    assert {int(line) for line, _ in found} == MISTAKES, done.stdout + done.stderr


@needs_pyright
def test_pyright_finds_all_mistakes_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    settings = {
        "typeCheckingMode": "strict",
        "extraPaths": [str(ROOT)],
        "reportUnusedExpression": False,
        "reportUnusedImport": False,
    }
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    done = run(str(PYRIGHT), "--outputjson", "--pythonpath", sys.executable, cwd=tmp_path)
    found = {
        d["range"]["start"]["line"] + 1: d["message"]
        for d in json.loads(done.stdout)["generalDiagnostics"]
        if d["severity"] == "error"
    }
    assert found.keys() == MISTAKES, found


@pytest.mark.slow
@needs_pyright
def test_the_public_types_are_complete(tmp_path: Path) -> None:
    # verifytypes looks at an installed package
    venv.create(tmp_path / "env", with_pip=False, symlinks=os.name != "nt")
    binaries = tmp_path / "env" / ("Scripts" if os.name == "nt" else "bin")
    site = run(
        str(binaries / "python"), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"
    )
    shutil.copytree(ROOT / "tinygrad_edu", Path(site.stdout.strip()) / "tinygrad_edu")
    environment = {**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}"}
    done = run(
        str(PYRIGHT), "--verifytypes", "tinygrad_edu", "--ignoreexternal", "--outputjson",
        cwd=tmp_path, env=environment,
    )  # fmt: skip
    report = json.loads(done.stdout)["typeCompleteness"]
    assert report["exportedSymbolCounts"]["withKnownType"] > 1500
    assert report["completenessScore"] >= 0.98, report["completenessScore"]


NAMES = {
    "import tinygrad_edu\ntinygrad_edu.": {"Value", "exp", "nn", "draw", "fit", "compile"},
    "from tinygrad_edu import Value\ny = Value(1.0) + 1\ny.": {"backward", "grad", "data", "relu"},
    "from tinygrad_edu import Value, exp\nexp(Value(1.0) * 2).": {"backward", "tanh", "operands"},
    "from tinygrad_edu import Value\n(2 - Value(1.0).exp()).": {"backward", "sigmoid", "label"},
    "from tinygrad_edu import MLP\nm = MLP(2, [1])\nm.": {"parameters", "zero_grad", "layers"},
    "from tinygrad_edu import MLP\nMLP(2, [1])([1.0, 2.0]).": {"backward", "data"},
    "import tinygrad_edu.nn as nn\nnn.": {"MLP", "cross_entropy", "L2"},
}


@needs_jedi
@pytest.mark.parametrize(
    "code", [code for code in NAMES if "(2 -" not in code and "])(" not in code]
)
def test_jedi_completes(code: str) -> None:
    import jedi  # which knows nothing of reflected operators and of unions written with |

    project = jedi.Project(ROOT, load_unsafe_extensions=False)
    last = code.splitlines()[-1]
    found = jedi.Script(code, project=project).complete(code.count("\n") + 1, len(last))
    assert NAMES[code] <= {name.name for name in found}


@needs_jedi
def test_jedi_shows_signature_and_documentation() -> None:
    import jedi

    code = "from tinygrad_edu import exp\nexp("
    script = jedi.Script(code, project=jedi.Project(ROOT))
    signatures = script.get_signatures(2, 4)
    assert {len(s.params) for s in signatures} == {1}
    assert inspect.getdoc(ops.exp) in signatures[0].docstring()


@pytest.mark.slow
@needs_pyright
def test_the_language_server_completes(tmp_path: Path) -> None:
    server = Path(str(PYRIGHT)).with_name(Path(str(PYRIGHT)).stem + "-langserver")
    (tmp_path / "pyrightconfig.json").write_text(json.dumps({"extraPaths": [str(ROOT)]}))
    process = subprocess.Popen(
        [str(server), "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def send(**message: Any) -> None:
        assert process.stdin is not None
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        process.stdin.flush()

    def receive(number: int) -> Any:
        assert process.stdout is not None
        while True:
            length = 0
            while (line := process.stdout.readline().strip()) or not length:
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            message = json.loads(process.stdout.read(length))
            if message.get("method") == "workspace/configuration":
                send(id=message["id"], result=[{} for _ in message["params"]["items"]])
            elif "method" in message and "id" in message:
                send(id=message["id"], result=None)
            elif message.get("id") == number:
                return message["result"]

    try:
        folder = tmp_path.as_uri()
        folders = [{"uri": folder, "name": "program"}]
        abilities = {"workspace": {"configuration": True, "workspaceFolders": True}}
        send(id=0, method="initialize", params={"processId": os.getpid(), "rootUri": folder,
             "capabilities": abilities, "workspaceFolders": folders})  # fmt: skip
        receive(0)
        send(method="initialized", params={})
        for number, (code, wanted) in enumerate(NAMES.items(), start=1):
            uri = f"{folder}/program{number}.py"
            send(method="textDocument/didOpen", params={"textDocument": {
                 "uri": uri, "languageId": "python", "version": 1, "text": code}})  # fmt: skip
            place = {"line": code.count("\n"), "character": len(code.splitlines()[-1])}
            send(id=number, method="textDocument/completion",
                 params={"textDocument": {"uri": uri}, "position": place})  # fmt: skip
            assert wanted <= {item["label"] for item in receive(number)["items"]}, code
    finally:
        process.kill()
        process.communicate()


def test_literals_are_the_names_there_are() -> None:
    assert set(get_args(initialization.ActivationName)) == set(initialization.ACTIVATIONS)
    for name in get_args(initialization.InitializationName):
        nn.Neuron(2, initialization=name)
    with pytest.raises(ValueError, match="expected") as error:
        nn.Neuron(2, initialization="no")  # type: ignore[arg-type]
    for name in get_args(initialization.InitializationName):
        assert name in str(error.value)
    parameters = set(inspect.signature(nn.Neuron).parameters)
    assert set(initialization.NeuronOptions.__annotations__) <= parameters


def test_dir_shows_what_is_public() -> None:
    shown = {name for name in dir(tinygrad_edu) if not name.startswith("__")}
    assert set(tinygrad_edu.__all__) <= shown
    assert {"nn", "optim", "training", "drawing", "functional", "sum", "compile"} <= shown
    assert not {name for name in shown if name.startswith("_")}
    assert not shown & {"Any", "TYPE_CHECKING", "annotations", "import_module", "notebook"}
    for name in shown:
        assert getattr(tinygrad_edu, name) is not None


@pytest.mark.parametrize("name", sorted(functional.__all__))
def test_a_function_has_its_own_signature_and_documentation(name: str) -> None:
    function = getattr(functional, name)
    doc = inspect.getdoc(function)
    assert doc
    assert doc != inspect.getdoc(Op)
    names = list(inspect.signature(function).parameters)
    if isinstance(function, Op):
        assert len(names) == function.arity
        assert doc == function.doc
    with pytest.raises(TypeError):
        inspect.signature(function).bind(*range(9))
    assert list(inspect.signature(Op).parameters)[:3] == ["name", "symbol", "arity"]
