"""Models as ONNX graphs in float64, for the runtimes and viewers that read them.

Operations for which onnxruntime has no float64 kernel (softplus, leaky ReLU) are written with those
for which it has; the numbers are the same to the last digits.

Needs onnx, from the extra ``[onnx]``; it is imported when ``to_onnx`` is first called.
"""

from __future__ import annotations

import os
from typing import Any

from tinygrad_edu._files import write_atomically
from tinygrad_edu._version import __version__
from tinygrad_edu.interop.parts import Parts, steps_of, take_apart

OPSET = 13  # of 2020: old enough for the runtimes about, new enough for what is used here
IR_VERSION = 8


def to_onnx(model: Any, path: str | os.PathLike[str]) -> None:
    """Write a model to an ONNX file.

    The graph takes ``x``, float64 of shape [n, nin], and returns ``y``, float64 of shape [n, nout]:
    what ``model(x)`` returns for each row, which for ``LogisticRegression`` and
    ``SoftmaxRegression`` are probabilities.

    Args:
        model: An ``MLP``, a layer, a neuron, or one of the notes' models, with the activations
            identity, leaky_relu, relu, sigmoid, softplus, step or tanh; features may be
            ``Polynomial``.
        path: The file, written whole or not at all.

    Raises:
        TypeError: If it is another kind of model.
        ValueError: If it has other activations or features.
        OSError: If the file cannot be written; an old one is as it was.
        ImportError: If onnx is not installed.

    >>> import tempfile
    >>> from tinygrad_edu.nn import MLP
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     to_onnx(MLP(2, [16, 16, 1]), folder + "/moons.onnx")
    """
    parts = take_apart(model)
    graph = _Graph(*_libraries())
    graph.build(parts)
    write_atomically(path, graph.model(parts, repr(model)))


class _Graph:
    """Collects the nodes and constants of a graph; each node's name is that of its result."""

    def __init__(self, onnx: Any, numpy: Any) -> None:
        self.onnx, self.numpy = onnx, numpy
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}

    def build(self, parts: Parts) -> None:
        last = "x"
        if parts.degree > 1:
            last = self.features(parts)
        for i, layer in enumerate(parts.layers):
            inputs = [last, self.constant(f"layer{i}.weight", layer.weights)]
            if layer.biases is not None:
                inputs.append(self.constant(f"layer{i}.bias", layer.biases))
            last = self.node("Gemm", inputs, f"layer{i}", transB=1)
            last = self.activation(layer.activation, last, f"layer{i}")
        if parts.softmax:
            last = self.node("Softmax", [last], "probabilities", axis=-1)
        self.node("Identity", [last], "y")

    def features(self, parts: Parts) -> str:
        products = ["x"]
        for degree, positions in enumerate(steps_of(parts.nin, parts.degree), start=2):
            chosen = []
            for source, which, name in zip((products[-1], "x"), positions, ("before", "factor")):
                name = f"degree{degree}.{name}"
                index = self.constant(f"{name}.positions", which, "int64")
                chosen.append(self.node("Gather", [source, index], name, axis=1))
            products.append(self.node("Mul", chosen, f"degree{degree}"))
        return self.node("Concat", products, "features", axis=1)

    def activation(self, key: tuple[Any, ...], x: str, at: str) -> str:
        name, *parameters = key
        if name in ("relu", "sigmoid", "tanh"):
            return self.node(name.capitalize(), [x], f"{at}.{name}")
        if name == "leaky_relu":
            slope = self.constant(f"{at}.slope", parameters[0] if parameters else 0.01)
            positive = self.node("Less", [self.constant(f"{at}.zero", 0.0), x], f"{at}.positive")
            scaled = self.node("Mul", [slope, x], f"{at}.scaled")
            return self.node("Where", [positive, x, scaled], f"{at}.leaky_relu")
        if name == "step":
            negative = self.node("Less", [x, self.constant(f"{at}.zero", 0.0)], f"{at}.negative")
            ends = [self.constant(f"{at}.{v}", float(v)) for v in (-1, 1)]
            return self.node("Where", [negative, *ends], f"{at}.step")
        if name == "softplus":
            return self.softplus(x, at, *parameters)
        return x

    def softplus(self, x: str, at: str, beta: float = 1.0, threshold: float | None = None) -> str:
        """Write max(b x, 0) / b + log1p(exp(-|b x|)) / b; with a threshold, torch's cut as well."""
        scale, one = self.constant(f"{at}.beta", beta), self.constant(f"{at}.one", 1.0)
        scaled = x if threshold is None else self.node("Mul", [scale, x], f"{at}.scaled")
        size = self.node("Neg", [self.node("Abs", [scaled], f"{at}.abs")], f"{at}.minus_abs")
        e = self.node("Exp", [size], f"{at}.exp")
        # log1p(e) as e log(u) / (u - 1) with u = 1 + e, which is exact where e is lost in the sum
        # (Kahan; see Goldberg, 1991, theorem 4).
        u = self.node("Add", [one, e], f"{at}.u")
        lost = self.node("Equal", [u, one], f"{at}.lost")
        kept = self.node("Sub", [u, one], f"{at}.kept")
        ratio = self.node("Div", [self.node("Log", [u], f"{at}.log"), kept], f"{at}.ratio")
        log1p = self.node(
            "Where", [lost, e, self.node("Mul", [e, ratio], f"{at}.product")], f"{at}.log1p"
        )
        smooth = self.node("Add", [self.node("Relu", [scaled], f"{at}.relu"), log1p], f"{at}.sum")
        if threshold is None:
            return smooth
        limit = self.constant(f"{at}.threshold", threshold)
        above = self.node("Greater", [scaled, limit], f"{at}.above")
        below = self.node("Div", [smooth, scale], f"{at}.smooth")
        return self.node("Where", [above, x, below], f"{at}.softplus")

    def node(self, kind: str, inputs: list[str], name: str, **attributes: Any) -> str:
        self.nodes.append(self.onnx.helper.make_node(kind, inputs, [name], name, **attributes))
        return name

    def constant(self, name: str, values: Any, dtype: str = "float64") -> str:
        self.constants[name] = self.numpy.array(values, dtype=dtype)
        return name

    def model(self, parts: Parts, description: str) -> bytes:
        """Return the checked model as the bytes of a file."""
        helper, double = self.onnx.helper, self.onnx.TensorProto.DOUBLE
        used = {name for node in self.nodes for name in node.input}
        graph = helper.make_graph(
            self.nodes,
            "tinygrad_edu",
            [helper.make_tensor_value_info("x", double, ["n", parts.nin])],
            [helper.make_tensor_value_info("y", double, ["n", len(parts.layers[-1].weights)])],
            initializer=[
                self.onnx.numpy_helper.from_array(array, name)
                for name, array in self.constants.items()
                if name in used
            ],
        )
        model = helper.make_model(
            graph,
            producer_name="tinygrad_edu",
            producer_version=__version__,
            doc_string=description,
            ir_version=IR_VERSION,
            opset_imports=[helper.make_opsetid("", OPSET)],
        )
        self.onnx.checker.check_model(model, full_check=True)
        content: bytes = model.SerializeToString(deterministic=True)
        return content


def _libraries() -> tuple[Any, Any]:
    try:
        import numpy
        import onnx
    except ImportError as error:
        raise ImportError('to_onnx needs onnx: pip install "tinygrad_edu[onnx]"') from error
    return onnx, numpy
