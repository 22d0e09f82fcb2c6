"""The grammar of formulas: from text to checked steps, without evaluating anything as Python.

The text passes three gates, each of them linear in its length:

1. ``scan`` reads tokens. Only numbers, names, ``+ - * / **``, comparisons, brackets, ``,``, ``=``
   and ``;`` exist, and it knows which may follow which. It also measures how deep they nest.
2. ``ast.parse`` settles precedence. It recurses, and on some versions of Python it overflows the
   C stack: it sees only what gate 1 found right and shallow.
3. ``Compiler`` turns the syntax tree into steps for a small stack machine: operations of the table,
   with the number and kind of their operands checked. ``expression.py`` runs the steps.
"""

from __future__ import annotations

import difflib
import keyword
import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from tinygrad_edu.engine import functional, ops

if TYPE_CHECKING:
    import ast

MAX_LENGTH = 100_000  # characters of text
MAX_BRACKETS = 90  # brackets within brackets; Python's own parser stops at 200, or earlier
MAX_HEIGHT = 1000  # operations in one statement, those on one path through its syntax tree
MAX_DIGITS = 1000  # characters of one number
MAX_OPERANDS = 1_000_000  # of all operations together: p = [x, ...]; sum(p) + sum(p) + ...


class FormulaError(ValueError):
    """A formula that cannot be read, or values that do not fit it; the message is one line.

    Attributes:
        text: The formula.
        position: Index into the text where the trouble is; ``line`` and ``column`` count from 1.

    >>> from tinygrad_edu.formula.expression import parse
    >>> try:
    ...     parse("x + sine(y)")
    ... except FormulaError as error:
    ...     print(error); print(error.pointer())
    column 5, at 'sine(y)': unknown function 'sine'; did you mean sin, sinh or sign?
    x + sine(y)
        ^
    """

    def __init__(self, problem: str, text: str, position: int) -> None:
        before = text[:position].replace("\r\n", "\n").replace("\r", "\n")
        self.text = text
        self.position = position
        self.line: int = before.count("\n") + 1
        self.column: int = len(before) - (before.rfind("\n") + 1) + 1
        rest = re.match(r"[^\r\n]*", text[position : position + 21])
        excerpt = rest[0] if rest else ""
        excerpt = excerpt[:20] + "..." if len(excerpt) > 20 else excerpt
        where = f"line {self.line}, " if re.search(r"[\r\n]", text.strip()) else ""
        where += f"column {self.column}" + (f", at {excerpt!a}" if excerpt else ", at the end")
        super().__init__(f"{where}: {problem}")

    def __reduce__(self) -> tuple[Any, ...]:
        return (_restore_error, (self.args, self.__dict__))

    def pointer(self) -> str:
        """Return the line of the formula in question with a caret below the place."""
        line = self.text.replace("\r\n", "\n").replace("\r", "\n").split("\n")[self.line - 1]
        start = max(0, self.column - 60)  # of a very long line, the part around the place
        return f"{line[start : start + 100]}\n{' ' * (self.column - 1 - start)}^"


def _restore_error(arguments: tuple[Any, ...], attributes: dict[str, Any]) -> FormulaError:
    error = FormulaError("", "", 0)
    error.args = arguments
    error.__dict__.update(attributes)
    return error


# --- gate 1: tokens, their order, and depth -------------------------------------------------------

_TOKEN = re.compile(
    r"""(?P<space>[ \t]+|\#[^\r\n]*) | (?P<newline>[\r\n])
      | (?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<operator>\*\*|==|!=|<=|>=|[-+*/<>]) | (?P<open>[(\[]) | (?P<close>[)\]])
      | (?P<mark>[,;=])""",
    re.VERBOSE,
)
_HINTS = {
    "^": "write x ** 2 for a power",
    ".": "nothing has attributes here; call functions as exp(x)",
    '"': "there is no text in formulas",
    "'": "there is no text in formulas",
    ":": "there are no slices, lambdas or := in formulas",
    "%": "there is no remainder operation",
    "!": "write != to compare",
    "&": "write where(condition, a, b) to choose",
    "|": "write where(condition, a, b) to choose; abs(x) is the absolute value",
    "{": "use ( ) to group and [ ] for lists",
    "\N{MINUS SIGN}": "write - for minus",
    "\N{EN DASH}": "write - for minus",
    "\N{MULTIPLICATION SIGN}": "write * for times",
    "\N{MIDDLE DOT}": "write * for times",
    "\N{DOT OPERATOR}": "write * for times",
    "\N{DIVISION SIGN}": "write / for division",
}


class Statement(NamedTuple):
    name: str | None  # the g of "g = x + y"
    name_at: int
    start: int  # text[start:end] is the expression
    end: int


class _Frame:
    """What ``scan`` knows about one open bracket; the bottom frame is the statement itself."""

    __slots__ = ("at", "bracket", "commas", "done", "inner", "operators")

    def __init__(self, bracket: str, commas: bool, at: int) -> None:
        self.bracket = bracket
        self.commas = commas  # may it hold several values?
        self.at = at
        self.operators = 0  # in the value being read
        self.inner = 0  # the height of the tallest bracket in it
        self.done = 0  # the height of the tallest value before the last comma

    def height(self) -> int:
        """Bound the height of the syntax tree: every node of it takes an operator or a bracket."""
        return max(self.done, self.operators + self.inner)


def scan(text: str) -> list[Statement]:
    """Split ``text`` into statements; raise FormulaError for what is not a formula."""
    if len(text) > MAX_LENGTH:
        problem = f"more than {MAX_LENGTH} characters of formula"
        raise FormulaError(problem, text, 0)
    statements: list[Statement] = []
    frames = [_Frame("", False, 0)]
    name: str | None = None  # the name assigned to, once its = has been read
    name_at = start = end = position = 0
    count = 0  # tokens of the expression so far
    expecting = True  # an operand must come next; otherwise an operator
    previous = token = ""
    while position <= len(text):
        at = position
        match = _TOKEN.match(text, at)
        if match is None and at < len(text):
            raise FormulaError(_unknown_character(text[at]), text, at)
        kind = str(match.lastgroup) if match else "newline"  # the end of the text ends a line
        before, token = token, match[0] if match else ""
        position = match.end() if match else at + 1
        frame = frames[-1]
        if kind == "space" or (kind == "newline" and frame.bracket and token):
            token = before
            continue
        if kind == "newline" or token == ";":
            if frame.bracket:
                raise FormulaError(f"{frame.bracket!r} is never closed", text, frame.at)
            if expecting and (count or name is not None):
                raise FormulaError(f"expected a value after {before!r}", text, at)
            if frame.height() > MAX_HEIGHT:
                problem = (
                    f"more than {MAX_HEIGHT} operations in one statement; use sum() or dot(), or "
                    "name the parts, as in g = x + y; f = g * z"
                )
                raise FormulaError(problem, text, start)
            if count:
                statements.append(Statement(name, name_at, start, end))
            frames, name, count, expecting = [_Frame("", False, at)], None, 0, True
            continue
        if token == "=":
            if name is not None or count != 1 or previous != "name":
                raise FormulaError("only a name can be assigned; == compares", text, at)
            name, name_at = text[start:end], start
            count, expecting = 0, True
            continue
        start = at if count == 0 else start
        if kind in ("number", "name"):
            _check_word(kind, token, text, at)
            if not expecting:
                hint = "; write * for a product" if previous in ("number", "close") else ""
                raise FormulaError(f"expected an operator{hint}", text, at)
            expecting = False
        elif kind == "operator":
            if expecting and token not in "+-":
                raise FormulaError(f"expected a number or a name before {token!r}", text, at)
            frame.operators += 1
            expecting = True
        elif kind == "open":
            if not expecting and token == "[":
                raise FormulaError("there are no subscripts; use take(list, index)", text, at)
            if not expecting and previous != "name":
                raise FormulaError("expected an operator; write * for a product", text, at)
            if len(frames) > MAX_BRACKETS:
                problem = (
                    f"brackets nest more than {MAX_BRACKETS} deep; name the parts, "
                    "as in g = x + y; f = g * z"
                )
                raise FormulaError(problem, text, at)
            frames.append(_Frame(token, token == "[" or not expecting, at))
            expecting = True
        elif kind == "close":
            if frame.bracket + token not in ("()", "[]"):
                raise FormulaError(f"{token!r} closes nothing that is open", text, at)
            if expecting:
                raise FormulaError(f"expected a value before {token!r}", text, at)
            frames.pop()
            frames[-1].inner = max(frames[-1].inner, frame.height() + 1)
        else:  # a comma
            if not frame.commas:
                raise FormulaError("a comma belongs into a call or a list", text, at)
            if expecting:
                raise FormulaError("expected a value before ','", text, at)
            frame.done = frame.height()
            frame.operators = frame.inner = 0
            expecting = True
        previous, end, count = kind, position, count + 1
    if not statements:
        raise FormulaError("the formula is empty", text, len(text))
    return statements


def _check_word(kind: str, token: str, text: str, at: int) -> None:
    if kind == "number":
        if len(token) > MAX_DIGITS:
            raise FormulaError(f"a number of more than {MAX_DIGITS} characters", text, at)
        if math.isinf(float(token)):
            raise FormulaError("the number is too large for a float", text, at)
        if token.isdigit() and token != "0" and token.startswith("0"):
            raise FormulaError("a whole number may not start with 0", text, at)
    elif keyword.iskeyword(token) or token == "__debug__":
        hint = "; use where(condition, a, b)" if token in ("if", "else", "and", "or", "not") else ""
        raise FormulaError(f"{token!r} is a reserved word{hint}", text, at)


def _unknown_character(character: str) -> str:
    hint = _HINTS.get(character, "")
    if not hint and character.isalnum() and not character.isascii():
        hint = "names are made of the letters a-z and A-Z, digits and _"
    return f"{character!a} does not belong into a formula" + (f"; {hint}" if hint else "")


# --- gate 3: from the syntax tree to steps --------------------------------------------------------


class _Function(NamedTuple):
    """A function of formulas: ``shape`` spells its parameters, n for a number, l for a list.

    A ``?`` follows an optional last parameter; ``*`` means one list, or any number of numbers.
    """

    call: Callable[..., Any]
    shape: str


def _functions() -> dict[str, _Function]:
    found = {
        name: _Function(getattr(functional, name), "n" * op.arity)
        for name, op in ops.TABLE.items()
        if op.arity is not None
    }
    for name in ("sum", "mean", "max", "norm", "logsumexp", "softmax", "log_softmax"):
        found[name] = _Function(getattr(functional, name), "*")
    found["dot"] = _Function(functional.dot, "lln?")
    found["take"] = _Function(functional.take, "ln")
    found["leaky_relu"] = _Function(functional.leaky_relu, "nn?")
    found["elu"] = _Function(functional.elu, "nn?")
    found["polygamma"] = _Function(functional.polygamma, "nn")
    found["greater"] = _Function(functional.greater, "nn")
    found["greater_equal"] = _Function(functional.greater_equal, "nn")
    return found


def _not_equal(a: Any, b: Any) -> Any:
    return 1.0 - ops.equal(a, b)


FUNCTIONS = _functions()
CONSTANTS = {"pi": math.pi}
_OPERATORS: dict[str, Callable[..., Any]] = {
    "Add": ops.add,
    "Sub": ops.sub,
    "Mult": ops.mul,
    "Div": ops.div,
    "Pow": functional.pow,
    "USub": ops.neg,
    "Lt": ops.less,
    "LtE": ops.less_equal,
    "Gt": functional.greater,
    "GtE": functional.greater_equal,
    "Eq": ops.equal,
    "NotEq": _not_equal,
}
_KINDS = {"n": "a number", "l": "a list"}


class Step(NamedTuple):
    """Push a number or the value of a name, or replace the top ``arity`` values by one."""

    kind: str  # "number", "name", "list", "call", or "spread": a call on a list of its operands
    payload: Any  # the float, the name, the function
    arity: int = 0


class Compiler:
    """Translates statements one by one; knows the names so far and what they hold."""

    operands: int

    def __init__(self, text: str) -> None:
        self.text = text
        # one line of ASCII without comments, so that the columns of ast are indices into the text
        blank = re.sub(r"#[^\r\n]*", lambda comment: " " * len(comment[0]), text)
        self.source: str = re.sub(r"[\r\n]", " ", blank)
        self.free: dict[str, int] = {}  # name -> where it is first used
        self.assigned: dict[str, int | None] = {}  # name -> length of its list, None for a number
        self.defaults: dict[str, float] = {}
        self.operands = 0

    def statement(self, statement: Statement) -> tuple[tuple[Step, ...], int | None]:
        """Translate one statement; also return the length of its value if that is a list."""
        import ast

        name, at = statement.name, statement.name_at
        if name is not None:
            if name in CONSTANTS:
                raise FormulaError(f"{name} is a constant", self.text, at)
            if name in self.assigned or name in self.defaults:
                raise FormulaError(f"{name} is assigned a second time", self.text, at)
            if name in self.free:
                raise FormulaError(f"{name} was used before it is assigned", self.text, at)
        try:
            tree = ast.parse(self.source[statement.start : statement.end], mode="eval").body
        except (RecursionError, MemoryError):
            problem = "too deep to be read from here; name the parts, as in g = x + y; f = g * z"
            raise FormulaError(problem, self.text, statement.start) from None
        except SyntaxError as error:  # none is known to pass gate 1
            place = statement.start + (error.offset or 1) - 1
            raise FormulaError(str(error.msg), self.text, place) from None
        steps, size = self._steps(tree, statement.start)
        if name is not None:
            if name in self.free:
                raise FormulaError(
                    f"{name} is used in its own definition", self.text, self.free[name]
                )
            if len(steps) == 1 and steps[0].kind == "number":
                self.defaults[name] = steps[0].payload
            else:
                self.assigned[name] = size
        return steps, size

    def _steps(self, tree: ast.expr, offset: int) -> tuple[tuple[Step, ...], int | None]:
        """Flatten the tree, operands first, with a stack of its own in place of recursion."""
        steps: list[Step] = []
        sizes: list[int | None] = []  # what the stack machine will hold: list lengths, or None
        todo: list[tuple[ast.expr, bool]] = [(tree, False)]
        while todo:
            node, operands_done = todo.pop()
            at = offset + node.col_offset
            operands = [] if operands_done else _operands(node)
            if operands:
                todo.append((node, True))
                todo.extend((operand, False) for operand in reversed(operands))
                continue
            self._emit(node, at, steps, sizes)
        return tuple(steps), sizes[0]

    def _emit(self, node: ast.expr, at: int, steps: list[Step], sizes: list[int | None]) -> None:
        """Append the step for ``node``, whose operands have been emitted."""
        import ast

        if isinstance(node, ast.Constant):
            steps.append(Step("number", float(node.value)))  # type: ignore[arg-type]
            sizes.append(None)
        elif isinstance(node, ast.Name):
            if node.id in CONSTANTS:
                steps.append(Step("number", CONSTANTS[node.id]))
            else:
                if node.id not in self.assigned and node.id not in self.defaults:
                    self.free.setdefault(node.id, at)
                steps.append(Step("name", node.id))
            sizes.append(self.assigned.get(node.id))
        elif isinstance(node, ast.List):
            count = len(node.elts)
            self._check_operands("a list", "n" * count, count, at, sizes)
            steps.append(Step("list", None, count))
            sizes.append(count)
        elif isinstance(node, ast.Call):
            self._call(node, at, steps, sizes)
        else:
            symbol = type(getattr(node, "op", None) or node.ops[0]).__name__  # type: ignore[attr-defined]
            count = len(_operands(node))
            if count > 2:
                raise FormulaError("compare two values at a time", self.text, at)
            self._check_operands("an operator", "n" * count, count, at, sizes)
            sizes.append(None)
            if symbol == "USub" and steps[-1].kind == "number":
                steps[-1] = Step("number", -steps[-1].payload)  # -2 is a number, not an operation
            elif symbol != "UAdd":
                steps.append(Step("call", _OPERATORS[symbol], count))

    def _call(self, node: ast.Call, at: int, steps: list[Step], sizes: list[int | None]) -> None:
        name, count = node.func.id, len(node.args)  # type: ignore[attr-defined]
        function = FUNCTIONS.get(name)
        if function is None:
            raise FormulaError(_unknown_function(name), self.text, at)
        given = sizes[-count:]
        if function.shape == "*":
            length = given[0] if count == 1 else None
            if length is None:
                self._check_operands(name, "n" * count, count, at, sizes)
                steps.append(Step("spread", function.call, count))
            else:
                sizes.pop()
                steps.append(Step("call", function.call, count))
            self._count(length or count, at)
            sizes.append((length or count) if name in ("softmax", "log_softmax") else None)
            return
        if name == "leaky_relu" and count == 2 and steps[-1].kind != "number":
            raise FormulaError("leaky_relu: the slope must be a number", self.text, at)
        self._check_operands(name, function.shape, count, at, sizes)
        if name == "dot" and given[0] != given[1]:
            problem = f"dot needs two lists of one length, got lengths {given[0]} and {given[1]}"
            raise FormulaError(problem, self.text, at)
        self._count(sum(size or 1 for size in given), at)
        steps.append(Step("call", function.call, count))
        sizes.append(None)

    def _check_operands(
        self, name: str, shape: str, count: int, at: int, sizes: list[int | None]
    ) -> None:
        """Check the top ``count`` operands against ``shape`` and take them off."""
        most = shape.replace("?", "")
        if not len(most) - shape.count("?") <= count <= len(most):
            wanted = ", ".join(_KINDS[kind] for kind in most)
            optional = " (the last may be left out)" if "?" in shape else ""
            raise FormulaError(
                f"{name} takes {len(most)} operand(s) ({wanted}){optional}, got {count}",
                self.text,
                at,
            )
        for index, (kind, size) in enumerate(zip(most, sizes[-count:])):
            if (kind == "l") != (size is not None):
                got = _KINDS["n" if size is None else "l"]
                raise FormulaError(
                    f"{name}: operand {index + 1} must be {_KINDS[kind]}, got {got}", self.text, at
                )
        del sizes[-count:]

    def _count(self, operands: int, at: int) -> None:
        self.operands += operands
        if self.operands > MAX_OPERANDS:
            raise FormulaError(f"more than {MAX_OPERANDS} operands in all", self.text, at)


def _operands(node: ast.expr) -> list[ast.expr]:
    import ast

    if isinstance(node, ast.BinOp):
        return [node.left, node.right]
    if isinstance(node, ast.UnaryOp):
        return [node.operand]
    if isinstance(node, ast.Compare):
        return [node.left, *node.comparators]
    if isinstance(node, ast.Call):
        return node.args
    return node.elts if isinstance(node, ast.List) else []


def _unknown_function(name: str) -> str:
    close = difflib.get_close_matches(name.lower()[:40], FUNCTIONS, n=3, cutoff=0.6)
    if close:
        several = ", ".join(close[:-1]) + " or " if close[1:] else ""
        return f"unknown function {name[:40]!r}; did you mean {several}{close[-1]}?"
    return f"unknown function {name[:40]!r}; there are {', '.join(sorted(FUNCTIONS))}"
