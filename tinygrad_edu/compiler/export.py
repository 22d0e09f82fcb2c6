"""Compiled functions as object files and C headers, to take along without Python.

A file holds one C function for each question (value, gradient, ...). They work on memory of the
caller alone: no allocation, no global state, so they may be called from several threads, each with
a workspace of its own. What they need from outside is the C library's mathematics (``-lm``), and
``memcpy`` and ``memset``, which compilers take for granted everywhere.
"""

from __future__ import annotations

import inspect
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinygrad_edu._files import write_atomically
from tinygrad_edu.compiler.code import Loop
from tinygrad_edu.compiler.emit import machine_code as native
from tinygrad_edu.compiler.emit import rows_ir
from tinygrad_edu.compiler.emit.scalar_ir import double
from tinygrad_edu.compiler.kernel import Kernel, Modules
from tinygrad_edu.compiler.loops.storage import Request
from tinygrad_edu.compiler.trace.arguments import Shape
from tinygrad_edu.compiler.variant import Variant

ONE = ("value", "value_and_grad", "jacobian", "hessian")  # one evaluation
ROWS = ("map", "map_value_and_grad", "batch")  # one evaluation per row
SHARED_LIBRARIES = (".so", ".dylib", ".dll")
SUFFIXES = (".o", ".obj", ".ll", *SHARED_LIBRARIES)
_OWN_NAMES = re.compile(r"@(segment\d+|shared_part|rows_in|rows_out|rows)\b")


@dataclass(frozen=True)
class Exported:
    """What ``Compiled.export`` wrote.

    Attributes:
        path: The object file, shared library or LLVM IR.
        header: The C header beside it.
        functions: The names of the C functions.
        triple: The machine it is for.
    """

    path: str
    header: str
    functions: tuple[str, ...]
    triple: str


class _Text(Modules):
    """All of a kernel as one LLVM module, as text."""

    def flush(self) -> None:
        pass

    def _add_modules(self, loop: Loop) -> None:
        helpers: dict[str, str] = {}
        texts = []
        for own, text in loop.modules:
            helpers.update(own)
            texts.append(re.sub(r"^define void ", "define internal void ", text, flags=re.M))
        for name, text in helpers.items():
            if not text.startswith(f"declare void @{loop.name}"):
                self.helpers.setdefault(name, text)
        self.helpers[f"@{loop.name}"] = "\n".join(texts)

    def whole(self) -> tuple[dict[str, str], str]:
        """Return helper functions by name, which kernels may share, and the rest."""
        if "@rows_out" in self.helpers:
            self.text.append(rows_ir.frame(self.lanes, self.widths, self.helpers))
        return {name: text for name, text in self.helpers.items() if text}, "\n".join(self.text)


class _Portable(Kernel):
    """A kernel that is not loaded: its code, and the sizes of what it works on."""

    def __init__(self, request: Request, lanes: int, width: int) -> None:
        self._width = width
        super().__init__(request, lanes)

    def _new_modules(self, widths: list[int]) -> Modules:
        return _Text(self.lanes, widths)

    def _load(self, modules: Modules) -> None:
        assert isinstance(modules, _Text)
        self.helpers, self.text = modules.whole()

    def vector_lanes(self) -> int:
        return self._width

    def workspace(self) -> tuple[int, int, int, int]:
        """Return the sizes, in doubles, of the shared numbers, the tile, the sums, the scratch."""
        shared = max(self._layout.shared_size, 1)
        return (-(-shared // 8) * 8, *[-(-size // 8) * 8 + 8 for size in self._sizes])  # type: ignore[return-value]

    def function(self, name: str) -> str:
        """Return the C function ``name`` around this kernel, and all it needs, as LLVM IR."""
        own = _OWN_NAMES.sub(rf"@{name}.\1", self.text)
        own = re.sub(r"^define void ", "define internal void ", own, flags=re.MULTILINE)
        tables = ", ".join(f"i32 {x}" for x in self._tables.tolist())
        places = ", ".join(f"i64 {place}" for place, _ in self._constants)
        numbers = ", ".join(f"double {double(x)}" for _, x in self._constants)
        count, inputs = len(self._constants), self._layout.shared_inputs
        lines = [
            own,
            f"@{name}.tables = internal constant [{len(self._tables)} x i32] [{tables}], align 64",
        ]
        body = [
            "  call void @llvm.memcpy.p0.p0.i64(ptr %work, ptr %inputs, "
            f"i64 {8 * inputs}, i1 false)"
        ]
        base = self._layout.shared_sums
        if base >= 0:  # sums over rows that no part of the program adds to are read as 0
            body += [
                f"  %shared.sums = getelementptr double, ptr %work, i64 {base}",
                "  call void @llvm.memset.p0.i64(ptr %shared.sums, i8 0, "
                f"i64 {8 * self._sums}, i1 false)",
            ]
        if count:
            lines += [
                f"@{name}.places = internal constant [{count} x i64] [{places}]",
                f"@{name}.numbers = internal constant [{count} x double] [{numbers}]",
            ]
            body += [
                "  br label %constants",
                "constants:",
                "  %i = phi i64 [ 0, %entry ], [ %i.next, %constants ]",
                f"  %p = getelementptr i64, ptr @{name}.places, i64 %i",
                "  %place = load i64, ptr %p",
                f"  %n = getelementptr double, ptr @{name}.numbers, i64 %i",
                "  %number = load double, ptr %n",
                "  %to = getelementptr double, ptr %work, i64 %place",
                "  store double %number, ptr %to",
                "  %i.next = add i64 %i, 1",
                f"  %more = icmp ult i64 %i.next, {count}",
                "  br i1 %more, label %constants, label %run",
                "run:",
            ]
        if self._shared_part:
            nothing = f"i64 0, ptr @{name}.tables, ptr null, ptr null, ptr null"
            body.append(f"  call void @{name}.shared_part(ptr %work, ptr null, {nothing})")
        if self._rows:
            parameters = self._run_rows(name, body)
        else:
            parameters = ["ptr %inputs", "ptr %outputs", "ptr %work"]
            body += [
                f"  %first = getelementptr double, ptr %work, i64 {inputs}",
                "  call void @llvm.memcpy.p0.p0.i64(ptr %outputs, ptr %first, "
                f"i64 {8 * self._each}, i1 false)",
            ]
        lines += [
            f"define void @{name}({', '.join(parameters)}) {{",
            "entry:",
            *body,
            "  ret void",
            "}",
        ]
        return "\n".join(lines)

    def _run_rows(self, name: str, body: list[str]) -> list[str]:
        shared, tile, sums, _ = self.workspace()
        count = len(self._widths)
        totals = "ptr %totals" if self._sums else "ptr null"
        body.append(f"  %matrices = alloca [{max(count, 1)} x ptr]")
        for i in range(count):
            body += [
                f"  %m{i} = getelementptr ptr, ptr %matrices, i64 {i}",
                f"  store ptr %rows{i}, ptr %m{i}",
            ]
        for what, start in (
            ("tile", shared),
            ("sums", shared + tile),
            ("scratch", shared + tile + sums),
        ):
            body.append(f"  %{what} = getelementptr double, ptr %work, i64 {start}")
        if self._sums:
            body.append(
                "  call void @llvm.memset.p0.i64(ptr %totals, i8 0, "
                f"i64 {8 * self._sums}, i1 false)"
            )
        body += [
            "  %none = icmp eq i64 %count, 0",
            "  br i1 %none, label %end, label %some",
            "some:",
            f"  call void @{name}.rows(ptr %work, ptr %tile, ptr @{name}.tables, ptr %sums, "
            f"{totals}, ptr %scratch, ptr %matrices, i64 0, i64 %count, ptr %outputs)",
            "  br label %end",
            "end:",
        ]
        matrices = [f"ptr %rows{i}" for i in range(count)]
        sums_too = [totals] if self._sums else []
        return ["ptr %inputs", *matrices, "i64 %count", "ptr %outputs", *sums_too, "ptr %work"]


def export(
    function: Callable[..., Any],
    path: str | os.PathLike[str],
    shapes: Callable[[str], tuple[tuple[Shape, ...], tuple[int, ...]]],
    what: str | Sequence[str],
    wanted: tuple[Any, ...],
    *,
    strict: bool,
    name: str,
    target: str | None,
    cpu: str | None,
) -> Exported:
    """Write the files; see ``Compiled.export``. ``shapes`` gives shapes and row positions."""
    path = os.fspath(path)
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"{path!r}: compiled code is exported as one of {', '.join(SUFFIXES)}")
    if not re.fullmatch(r"[A-Za-z_]\w*", name, flags=re.ASCII):
        raise ValueError(f"name: expected a name as C has them, got {name!r}; pass name=")
    questions = (what,) if isinstance(what, str) else tuple(what)
    for question in questions:
        if question not in ONE + ROWS:
            raise ValueError(f"what: expected some of {', '.join(ONE + ROWS)}, got {question!r}")
    if len({question in ROWS for question in questions}) > 1:
        raise ValueError(
            f"what: expected questions about one evaluation ({', '.join(ONE)}) or about rows "
            f"({', '.join(ROWS)}), got both; export two files"
        )
    if not questions or len(set(questions)) < len(questions):
        raise ValueError(f"what: expected each question once, got {questions!r}")
    linker = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if suffix in SHARED_LIBRARIES:
        if target is not None:
            raise ValueError(f"{path!r}: a shared library is linked for this machine; leave target")
        if linker is None:
            raise RuntimeError(
                f"{path!r}: no C compiler (cc, gcc, clang) on the PATH to link a shared library "
                "with; export a .o file and link it where there is one"
            )
    machine, triple, width = target_machine(target, cpu)
    parts, helpers, declared = [], {}, []
    for question in questions:
        taken, rows = shapes(question)
        lanes = max(width, 2) if rows else 1
        kernels: list[_Portable] = []

        def make(request: Request, lanes: int, kernels: list[_Portable] = kernels) -> Kernel:
            kernels.append(_Portable(request, lanes, width))
            return kernels[0]

        variant = Variant(function, question, taken, wanted, rows, lanes, strict, make, exact=True)
        c_name = name if question == "value" else f"{name}_{question}"
        parts.append(kernels[0].function(c_name))
        helpers.update(kernels[0].helpers)
        declared.append((c_name, question, variant, kernels[0]))
    ir = "\n".join(
        [
            f'target datalayout = "{machine.target_data}"',
            f'target triple = "{triple}"',
            *{**helpers, **_INTRINSICS}.values(),
            *parts,
            "",
        ]
    )
    header = str(Path(path).with_suffix(".h"))
    binding = native.llvm()
    with native._LOCK:
        module = binding.parse_assembly(ir, binding.create_context())
        module.verify()
        code = b"" if suffix == ".ll" else machine.emit_object(module)
    if suffix == ".ll":
        write_atomically(path, ir)
    elif suffix in SHARED_LIBRARIES:
        assert linker is not None
        _link(linker, code, path)
    else:
        write_atomically(path, code)
    write_atomically(header, _header(Path(path).name, name, declared, function, triple))
    return Exported(path, header, tuple(c_name for c_name, *_ in declared), triple)


_INTRINSICS = {
    "@llvm.memcpy.p0.p0.i64": "declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)",
    "@llvm.memset": "declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)",
}


def target_machine(target: str | None, cpu: str | None) -> tuple[Any, str, int]:
    """Return LLVM's target machine, its triple, and how many doubles its vectors hold.

    Raises:
        ValueError: For a triple that LLVM does not know.
    """
    binding = native.llvm()
    abi = ""
    if target is None:
        triple = binding.get_process_triple()
        own, features = native.machine()
        if cpu is not None and cpu != "native":
            own, features = cpu, ""
        width = native.native_lanes() if own == native.machine()[0] and features else 2
    else:
        binding.initialize_all_targets()
        binding.initialize_all_asmprinters()
        triple, own, features, width = target, cpu or "", "", 2
        if triple.startswith("wasm32"):
            width = 1
        if triple.startswith("riscv64") and cpu is None:  # what Linux distributions build for
            features, abi = "+m,+a,+f,+d,+c", "lp64d"
    try:
        chosen = binding.Target.from_triple(triple)
    except RuntimeError as error:
        raise ValueError(
            f"target: LLVM knows no {triple!r}; such as x86_64-unknown-linux-gnu, "
            "aarch64-unknown-linux-gnu, thumbv7em-none-eabihf, riscv64-unknown-linux-gnu, "
            "wasm32-unknown-unknown"
        ) from error
    machine = chosen.create_target_machine(
        cpu=own, features=features, opt=2, reloc="pic", codemodel="default", abiname=abi
    )
    return machine, triple, width


def _link(linker: str, code: bytes, path: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder) / "code.o", Path(folder) / "library"
        source.write_bytes(code)
        command = [linker, "-shared", "-o", str(made), str(source), "-lm"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)} failed: {done.stderr.strip()[:500]}")
        write_atomically(path, made.read_bytes())


# --- the header ---


def _header(
    file: str,
    name: str,
    declared: list[tuple[str, str, Variant, _Portable]],
    function: Callable[..., Any],
    triple: str,
) -> str:
    guard = f"{name.upper()}_H"
    try:
        names = [p.name for p in inspect.signature(function).parameters.values()]
    except (TypeError, ValueError):
        names = []
    lines = [
        f"/* {file}: {name}, compiled by tinygrad_edu for {triple}.",
        " *",
        " * All numbers are doubles. The functions allocate nothing, keep nothing between calls:",
        " * several threads may call them at once, each with a workspace of its own, of as many",
        " * doubles as the macro says, aligned as doubles are (64 bytes are faster). What is in it",
        " * before and after a call does not matter. The arrays must not overlap. Link with -lm.",
        " */",
        f"#ifndef {guard}",
        f"#define {guard}",
        "",
        "#include <stdint.h>",
        "",
        "#ifdef __cplusplus",
        'extern "C" {',
        "#endif",
        "",
    ]
    for c_name, question, variant, kernel in declared:
        lines += _declaration(c_name, question, variant, kernel, names)
    return "\n".join([*lines, "#ifdef __cplusplus", "}", "#endif", "", "#endif", ""])


def _declaration(
    c_name: str, question: str, variant: Variant, kernel: _Portable, names: list[str]
) -> list[str]:
    names = [names[i] if i < len(names) else f"argument{i}" for i in range(len(variant.shapes))]
    rows = variant.row_positions
    macro = c_name.upper()
    comments, start = [], 0
    for i, shape in enumerate(variant.shapes):
        if i not in rows:
            comments.append(f"inputs{_span(start, shape.size)}: {names[i]}, {_words(shape)}")
            start += shape.size
    for value in variant.captured:
        label = f" {value.label!r}" if value.label else ""
        comments.append(
            f"inputs[{start}]: the captured Value{label} ({value.data!r} when exported)"
        )
        start += 1
    for i in rows:
        size = variant.shapes[i].size
        comments.append(f"{names[i]}: rows of {size}, one after the other")
    comments += _results(question, variant, names)
    sizes = [f"#define {macro}_INPUTS {start}"]
    each = kernel._each
    sizes.append(f"#define {macro}_OUTPUTS {each}" + (" /* per row */" if rows else ""))
    if kernel._sums:
        sizes.append(f"#define {macro}_SUMS {kernel._sums}")
    work = sum(kernel.workspace()) if rows else kernel.workspace()[0]
    sizes.append(f"#define {macro}_WORKSPACE {work}")
    parameters = ["const double *inputs"]
    if rows:
        parameters += [f"const double *{names[i]}" for i in rows]
        parameters.append("uint64_t rows")
    parameters += ["double *outputs", *(["double *sums"] if kernel._sums else [])]
    parameters.append("double *workspace")
    return [
        "/* " + "\n * ".join(comments),
        " */",
        *sizes,
        f"void {c_name}({', '.join(parameters)});",
        "",
    ]


def _results(question: str, variant: Variant, names: list[str]) -> list[str]:
    outputs, rows = variant.outputs, variant.row_positions
    of = ", ".join(
        names[w] if isinstance(w, int) else f"the captured Value {w.label!r}"
        for w in variant.wanted
    )
    slopes = sum(shape.size for shape in variant.slopes)
    per_row = " of each row" if rows else ""
    if question in ("value", "map"):
        found = [f"outputs{_span(0, outputs.size)}: the result{per_row}, {_words(outputs)}"]
    elif question in ("value_and_grad", "map_value_and_grad"):
        found = [
            f"outputs[0]: the value{per_row}",
            f"outputs{_span(1, slopes)}: its gradient by {of}",
        ]
    elif question == "batch":
        found = [
            f"outputs{_span(0, outputs.size)}: the result{per_row}, {_words(outputs)}",
            f"sums{_span(0, slopes)}: the gradient by {of}, summed over the rows",
            f"sums[{slopes}]: the loss, summed over the rows",
        ]
    else:
        side = outputs.size if question == "jacobian" else slopes
        found = [f"outputs: the {question} by {of}, {side} x {slopes}, row by row"]
    return found


def _span(start: int, size: int) -> str:
    return f"[{start}]" if size == 1 else f"[{start}..{start + size - 1}]" if size else "[none]"


def _words(shape: Shape) -> str:
    if shape.kind == "number":
        return "a number"
    if shape.kind == "array":
        return f"an array of {' x '.join(map(str, shape.detail))}, row by row"
    if shape.kind == "dict":
        return f"by key, in this order: {', '.join(map(str, shape.detail))}"[:200]
    return f"a {shape.kind} of {shape.size} numbers"
