"""The command line: ``tinygrad-edu draw|grad|explain|step|check|export FORMULA x=2 y=3``.

Each subcommand is one row of ``COMMANDS``: a line of help, a function that declares its arguments,
and a function that runs it. Errors are one line on stderr and exit code 2. What a command needs is
imported when it runs, so that ``--help`` is quick.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from math import isinf
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from tinygrad_edu.engine.value import Value
    from tinygrad_edu.formula.expression import Expression

PROGRAM = "tinygrad-edu"


class Command(NamedTuple):
    """A subcommand; ``run`` returns the exit code and raises built-in errors."""

    summary: str
    example: str
    configure: Callable[[ArgumentParser], None]
    run: Callable[[Namespace], int]


class UsageError(ValueError):
    """The arguments do not make sense."""


# --- what the commands share ----------------------------------------------------------------------


def add_formula(parser: ArgumentParser) -> None:
    """Declare the arguments every command takes: the formula and the values of its inputs."""
    parser.add_argument(
        "formula",
        metavar="FORMULA",
        help='such as "(x + y) * z" or "g = x + y; f = g * z"; - reads it from standard input',
    )
    parser.add_argument(
        "values",
        metavar="NAME=NUMBER",
        nargs="*",
        default=[],
        help="a value for each input of the formula",
    )


def read_formula(arguments: Namespace) -> tuple[Expression, dict[str, float]]:
    """Parse the formula and the values; check that they fit each other.

    Raises:
        FormulaError: If the formula is wrong, or a value is missing or one too many.
        UsageError: If a value is not written NAME=NUMBER.
    """
    from tinygrad_edu.formula.expression import parse
    from tinygrad_edu.formula.grammar import MAX_LENGTH

    text = arguments.formula
    if text == "-":
        if sys.stdin is None:
            raise OSError("standard input is closed, there is no formula to read from it")
        text = sys.stdin.read(MAX_LENGTH + 1)
    expression = parse(text[1:] if text.startswith(" -") else text)  # see _parse_arguments
    values: dict[str, float] = {}
    for argument in arguments.values:
        name, equals, number = argument.partition("=")
        name = name.strip()
        if not equals or not name:
            raise UsageError(f"expected NAME=NUMBER, got {argument[:60]!a}")
        if name in values:
            raise UsageError(f"two values for {name[:60]!a}")
        try:
            values[name] = float(number)
        except ValueError:
            raise UsageError(f"{name[:60]}: expected a number, got {number[:60]!a}") from None
        if isinf(values[name]) and any(map(str.isdigit, number)):  # as in formulas; inf is inf
            raise UsageError(f"{name[:60]}: {number[:60]} is too large for a float")
    expression.check(values)
    return expression, values


def wanted_nodes(arguments: Namespace, nodes: Mapping[str, Any]) -> list[str]:
    """Return the names that ``--wrt`` lists.

    Raises:
        UsageError: If one of them names no node.
    """
    wanted = [name.strip() for name in arguments.wrt.split(",")]
    for name in wanted:
        if isinstance(nodes.get(name), list) or name not in nodes:
            known = ", ".join(name for name, node in nodes.items() if not isinstance(node, list))
            raise UsageError(f"--wrt: no {name[:60]!a} in the formula; it has {known[:200]}")
    return wanted


def node_names(order: Sequence[Value]) -> list[str]:
    """Name every node: by its label, a constant by its number, the others v1, v2, ..."""
    from tinygrad_edu.engine.value import Constant

    taken = {node.label for node in order}
    names, count = [], 0
    for node in order:
        name = node.label
        if not name and isinstance(node, Constant):
            name = number(node.data)
        while not name:
            count += 1
            name = f"v{count}" if f"v{count}" not in taken else ""
        names.append(name)
    return names


def number(x: float) -> str:
    """Write a number for a table."""
    return f"{x:.10g}"


def forward_table(output: Value) -> str:
    """List every node in forward order: name, operation, value, gradient (after ``backward()``).

    >>> from tinygrad_edu import Value
    >>> x = Value(3.0, "x")
    >>> f = x * x + 1
    >>> f.backward()
    >>> print(forward_table(f))
    name  operation  value  gradient
    x     input          3         6
    v1    x * x          9         1
    1     constant       1         1
    v2    v1 + 1        10         1
    """
    from tinygrad_edu.engine.value import topological_order

    order = topological_order(output)
    names = node_names(order)
    name_of = dict(zip(order, names))
    rows = [("name", "operation", "value", "gradient")]
    for node, name in zip(order, names):
        operation = _operation(node, [name_of[x] for x in node.operands])
        rows.append((name, operation, number(node.data), number(node.grad)))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}  {d:>{widths[3]}}"
        for a, b, c, d in rows
    )


def _operation(node: Value, operands: list[str]) -> str:
    from tinygrad_edu.engine.value import Constant

    op = node.op
    if op is None:
        return "constant" if isinstance(node, Constant) else "input"
    infix = {"add": "+", "sub": "-", "mul": "*", "div": "/", "pow": "**",
             "less": "<", "less_equal": "<=", "equal": "=="}  # fmt: skip
    if op.name in infix:
        return f" {infix[op.name]} ".join(operands)
    if op.name == "neg":
        return f"-{operands[0]}"
    if op.name == "power":
        return f"{operands[0]} ** {number(op.parameter or 0.0)}"
    if op.name == "exponential":
        return f"{number(op.parameter or 0.0)} ** {operands[0]}"
    if op.parameter is not None:
        operands = [*operands, number(op.parameter)]
    if len(operands) > 8:
        operands = [*operands[:4], f"... {len(operands)} operands"]
    return f"{op.name}({', '.join(operands)})"


# --- draw -----------------------------------------------------------------------------------------


def _configure_draw(parser: ArgumentParser) -> None:
    add_formula(parser)
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="write the figure to FILE: .svg, .png, .pdf or .dot"
    )
    parser.add_argument(
        "--dot", action="store_true", help="print the figure as DOT text instead of the table"
    )


def _draw(arguments: Namespace) -> int:
    expression, values = read_formula(arguments)
    output = expression.build(values).output
    output.backward()
    table = "" if arguments.dot else forward_table(output)
    if arguments.output is not None or arguments.dot:
        from tinygrad_edu.drawing import draw

        figure = draw(output)
        if arguments.dot:
            table = figure.dot.rstrip("\n")
            if sys.stdout is not None:  # Graphviz reads &#8706; where a terminal has no such letter
                encoding = sys.stdout.encoding or "utf-8"
                table = table.encode(encoding, "xmlcharrefreplace").decode(encoding)
        if arguments.output is not None:
            figure.save(arguments.output)
    print(table)
    return 0


# --- grad -----------------------------------------------------------------------------------------


def _configure_grad(parser: ArgumentParser) -> None:
    add_formula(parser)
    parser.add_argument(
        "--wrt", metavar="NAMES", help="with respect to these: x,y (default: every input)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def _grad(arguments: Namespace) -> int:
    from tinygrad_edu.engine.gradient import grad

    expression, values = read_formula(arguments)
    output, nodes = expression.build(values)
    wanted = list(expression.names) if arguments.wrt is None else wanted_nodes(arguments, nodes)
    gradients = dict(zip(wanted, grad(output, [nodes[name] for name in wanted])))
    name = expression.output_name
    if arguments.json:
        import json

        result = {
            "formula": expression.text,
            "inputs": {name: nodes[name].data for name in expression.names},
            "output": name,
            "value": output.data,
            "gradients": gradients,
        }
        print(json.dumps(_json(result), allow_nan=False))
    else:
        lines = [f"{name} = {number(output.data)}"]
        lines += [f"d{name}/d{wrt} = {number(x)}" for wrt, x in gradients.items()]
        print("\n".join(lines))
    return 0


def _json(value: Any) -> Any:
    """JSON has no nan and no infinity: write them as text."""
    if isinstance(value, dict):
        return {key: _json(x) for key, x in value.items()}
    if isinstance(value, float) and not abs(value) < float("inf"):
        return str(value)
    return value


# --- explain and step ----------------------------------------------------------------------------


def _configure_explain(parser: ArgumentParser) -> None:
    add_formula(parser)
    parser.add_argument("--wrt", metavar="NAMES", help="only the paths to these: x,y")
    parser.add_argument("--markdown", action="store_true", help="print Markdown with LaTeX")
    parser.add_argument(
        "--limit", metavar="N", type=int, default=40, help="write out at most N nodes (default: 40)"
    )


def _explain(arguments: Namespace) -> int:
    from tinygrad_edu.drawing import explain

    expression, values = read_formula(arguments)
    output, nodes = expression.build(values)
    wrt = None
    if arguments.wrt is not None:
        wrt = [nodes[name] for name in wanted_nodes(arguments, nodes)]
    explanation = explain(output, wrt, limit=arguments.limit)
    print(explanation.markdown if arguments.markdown else explanation.text)
    return 0


def _configure_step(parser: ArgumentParser) -> None:
    add_formula(parser)
    parser.add_argument(
        "-o", "--output", metavar="FILE", default="step.html",
        help="write the page to FILE (default: step.html); .pdf: slides; .gif, .mp4: a film",
    )  # fmt: skip
    parser.add_argument(
        "--depth", metavar="N", type=int, help="show only the last N operations deep"
    )


def _step(arguments: Namespace) -> int:
    from tinygrad_edu.drawing import step_through

    expression, values = read_formula(arguments)
    page = step_through(expression.build(values).output, depth=arguments.depth)
    page.save(arguments.output)
    browser = arguments.output.lower().endswith((".html", ".htm"))
    print(f"wrote {arguments.output}{': open it in a browser' if browser else ''}")
    return 0


# --- check ----------------------------------------------------------------------------------------


def _configure_check(parser: ArgumentParser) -> None:
    add_formula(parser)
    parser.add_argument(
        "--order", type=int, choices=(1, 2), default=1, help="2: second derivatives too"
    )
    parser.add_argument(
        "--rtol",
        type=float,
        default=1e-6,
        metavar="R",
        help="relative error allowed (default 1e-6)",
    )
    parser.add_argument(
        "--atol", type=float, default=0.0, metavar="A", help="absolute error allowed (default 0)"
    )


def _check(arguments: Namespace) -> int:
    from tinygrad_edu.checking.gradient_check import check_gradients

    expression, values = read_formula(arguments)
    report = check_gradients(
        expression.evaluate,
        {**expression.defaults, **values},
        order=arguments.order,
        rtol=arguments.rtol,
        atol=arguments.atol,
        raises=False,
    )
    print(report)
    return 0 if report.ok else 1


# --- grade ----------------------------------------------------------------------------------------


def _configure_grade(parser: ArgumentParser) -> None:
    from tinygrad_edu.grading.command import configure

    configure(parser)


def _grade(arguments: Namespace) -> int:
    from tinygrad_edu.grading.command import run

    return run(arguments)


# --- export ---------------------------------------------------------------------------------------


def _configure_export(parser: ArgumentParser) -> None:
    parser.add_argument("formula", metavar="FORMULA", help="as for the other commands")
    parser.add_argument(
        "values", metavar="NAME", nargs="*", default=[],
        help="the inputs, in the order that the C functions take them (default: of first use)",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--output", required=True, metavar="FILE",
        help=".o, .obj, .ll (LLVM IR), or .so, .dylib, .dll, linked by the system's C compiler",
    )  # fmt: skip
    parser.add_argument(
        "--what", default="value,value_and_grad", metavar="W,...",
        help="of value, value_and_grad, jacobian, hessian (default value,value_and_grad)",
    )  # fmt: skip
    parser.add_argument(
        "--name", metavar="F", help="the functions' name in C (default: the output's)"
    )
    parser.add_argument(
        "--target", metavar="TRIPLE", help="another machine, such as aarch64-linux-gnu"
    )
    parser.add_argument("--cpu", help="a processor of it; 'generic' for all of its kind")


def _export(arguments: Namespace) -> int:
    from inspect import Parameter, Signature

    from tinygrad_edu.compiler import compile
    from tinygrad_edu.formula import parse

    expression = parse(
        arguments.formula[1:] if arguments.formula[:2] == " -" else arguments.formula
    )
    names = arguments.values or list(expression.names)
    if sorted(names) != sorted(expression.names):
        raise UsageError(
            f"expected the inputs {', '.join(expression.names)}, got {', '.join(names)[:200]}"
        )

    def function(*numbers: Any) -> Any:
        return expression.evaluate(**dict(zip(names, numbers)))

    parameters = [Parameter(name, Parameter.POSITIONAL_ONLY) for name in names]
    function.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    made = compile(function).export(
        arguments.output,
        *[0.0 for _ in names],
        what=[question.strip() for question in arguments.what.split(",")],
        name=arguments.name or expression.output_name,
        target=arguments.target,
        cpu=arguments.cpu,
    )
    print(f"wrote {made.path} and {made.header}: {', '.join(made.functions)} for {made.triple}")
    return 0


def _configure_cache(parser: ArgumentParser) -> None:
    parser.add_argument("--clear", action="store_true", help="remove all objects")


def _cache(arguments: Namespace) -> int:
    from tinygrad_edu.compiler.emit import object_cache

    folder = object_cache.cache_folder()
    if folder is None:
        print("there is no cache of compiled code: no home, or TINYGRAD_EDU_CACHE=0")
        return 0
    if arguments.clear:
        print(f"removed {object_cache.evict(0):,} objects from {folder}")
        return 0
    sizes = [size for _, size, _ in object_cache.contents()]
    print(
        f"{folder}: {len(sizes):,} objects of compiled code, {sum(sizes) / 2**20:.1f} of at most "
        f"{object_cache.limit() / 2**20:.0f} MiB (TINYGRAD_EDU_CACHE_SIZE, in bytes)"
    )
    return 0


# --- the program ----------------------------------------------------------------------------------

COMMANDS: dict[str, Command] = {
    "draw": Command(
        "draw the computational graph and print its table",
        'draw "((x+y)+(x*y))*z" x=2 y=3 z=4 -o figure2.svg',
        _configure_draw,
        _draw,
    ),
    "grad": Command(
        "print the gradients",
        'grad "g = x + y; f = g * z" x=2 y=3 z=4 --wrt x,g --json',
        _configure_grad,
        _grad,
    ),
    "explain": Command(
        "write out the chain rule, step by step",
        'explain "((x+y)+(x*y))*z" x=2 y=3 z=4 --wrt x',
        _configure_explain,
        _explain,
    ),
    "step": Command(
        "make a page that plays the forward and the backward pass",
        'step "((x+y)+(x*y))*z" x=2 y=3 z=4 -o page.html',
        _configure_step,
        _step,
    ),
    "check": Command(
        "check the gradients against finite differences; exit code 1 if one is wrong",
        'check "log(sigmoid(w*x + b))" w=0.5 x=2 b=-1 --order 2',
        _configure_check,
        _check,
    ),
    "grade": Command(
        "grade students' Value classes; exit code 1 if one failed, 3 if one could not be graded",
        "grade submissions --json grades.json --html report",
        _configure_grade,
        _grade,
    ),
    "export": Command(
        "write native code of the formula and its gradient, and a C header",
        'export "tanh(w*x + b)" w x b -o neuron.o --name neuron',
        _configure_export,
        _export,
    ),
    "cache": Command(
        "show the size of the cache of compiled code, or clear it",
        "cache --clear",
        _configure_cache,
        _cache,
    ),
}


def build_parser() -> ArgumentParser:
    """Return the parser of the whole command line."""
    import argparse

    class Parser(argparse.ArgumentParser):
        def error(self, message: str) -> NoReturn:  # argparse would print its usage first
            raise UsageError(message)

    examples = "\n".join(f"  {PROGRAM} {command.example}" for command in COMMANDS.values())
    parser = Parser(
        prog=PROGRAM,
        description="Computational graphs and gradients of formulas.",
        epilog=f"examples:\n{examples}\n\n{PROGRAM} COMMAND --help tells more about a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(metavar="COMMAND", dest="command")
    for name, command in COMMANDS.items():
        subparser = commands.add_parser(
            name,
            help=command.summary,
            description=command.summary[0].upper() + command.summary[1:] + ".",
            epilog=f"example:\n  {PROGRAM} {command.example}\n\n{_FORMULAS}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        command.configure(subparser)
    return parser


_FORMULAS = """\
formulas:
  Numbers, pi, names, + - * / **, comparisons (1 for true, 0 for false), lists in [ ] and functions:
  exp log sqrt sin tanh sigmoid relu maximum(a, b) where(c, a, b) sum(a, b, c) dot([a, b], [c, d])
  take(softmax(a, b), 0) and more. Steps are separated by ; and named with =, and x = 2 gives an
  input a value. A formula may start with a minus; only -o*x is to be written as "- o*x"."""


def _parse_arguments(argv: Sequence[str]) -> Namespace:
    # A formula such as -x*y is no option; argparse takes what holds a space for a formula.
    words = [
        f" {x}" if x[:1] == "-" and x[1:2] not in ("", "-", "o") and x != "-h" else x for x in argv
    ]
    arguments, rest = build_parser().parse_known_args(words)
    # Values after an option: argparse hands back what comes after the first run of them.
    for word in rest:
        if word.startswith("-") or not hasattr(arguments, "values"):
            raise UsageError(f"unknown option or argument {word[:60]!a}")
        arguments.values.append(word)
    return arguments


# wrong formulas and arguments, values outside a domain, missing extras, files not written
_EXPECTED = (
    ArithmeticError,
    ImportError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        argv: The arguments; those of the process by default.

    Returns:
        0; 1 if ``check`` found a wrong gradient; 2 after an error; 130 after Ctrl-C.

    >>> main(["grad", "(x + y) * z", "x=2", "y=3", "z=4"])
    f = 20
    df/dx = 4
    df/dy = 4
    df/dz = 5
    0
    """
    if argv is None:
        _occupy_standard_files()
    with _any_letter(sys.stdout), _any_letter(sys.stderr):
        return _main(sys.argv[1:] if argv is None else argv)


def _main(argv: Sequence[str]) -> int:
    try:
        code = _run(argv)
        if sys.stdout is None:
            raise OSError("standard output is closed")
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # the reader, such as head, has gone
        _abandon_stdout()
        return 141
    except KeyboardInterrupt:
        return 130
    except (MemoryError, RecursionError) as error:
        message = f"the formula is too large ({type(error).__name__})"
    except _EXPECTED as error:
        message = " ".join(str(error).split()) or type(error).__name__
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:  # a full disk
        _abandon_stdout()
    with suppress(OSError):  # nobody can be told; the exit code is the same
        print(f"{PROGRAM}: error: {message}", file=sys.stderr, flush=True)
    return 2


def _run(argv: Sequence[str]) -> int:
    try:
        arguments = _parse_arguments(argv)
    except SystemExit:  # argparse has printed the help
        return 0
    if arguments.version:
        from tinygrad_edu import __version__

        print(f"{PROGRAM} {__version__}")
        return 0
    if arguments.command is None:
        raise UsageError(f"expected a command: {', '.join(COMMANDS)} (see {PROGRAM} --help)")
    return COMMANDS[arguments.command].run(arguments)


def _abandon_stdout() -> None:
    """Let what cannot be written vanish, or the interpreter would try again when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def _any_letter(stream: Any) -> Iterator[None]:
    """Let a stream write letters that its encoding lacks as escapes; an error would lose it all."""
    before = getattr(stream, "errors", None)
    if before != "strict" or not hasattr(stream, "reconfigure"):
        yield
        return
    stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        with suppress(ValueError, OSError):  # closed, or full
            stream.reconfigure(errors=before)


def _occupy_standard_files() -> None:
    """Give closed standard files something harmless, or the next file opened takes their number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # noqa: PERF203
            with suppress(OSError):
                os.open(os.devnull, os.O_RDWR)
