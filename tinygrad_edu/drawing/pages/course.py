"""The forward and the backward pass of one graph as a row of moments, with the words for each.

``step_through`` plays them in a page (there ``pages/step.js`` makes the same moments, for other
inputs as well), ``slides`` draws each of them, ``worksheet`` asks for their numbers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, NamedTuple

from tinygrad_edu.drawing.figures.graph import drawn_nodes, graph_diagram
from tinygrad_edu.drawing.figures.layout import Layout, place
from tinygrad_edu.drawing.words.chain_rule import ChainRule
from tinygrad_edu.drawing.words.explanation import Writer, is_number_node, one_line
from tinygrad_edu.drawing.words.notation import TextFormula
from tinygrad_edu.engine.value import Constant, Value

ROOM = 8  # characters that a number has room for in the figure, whatever it is changed to
_COLUMN_GAP, _ROW_GAP = 1.3, 0.5  # inches in the figure: products are written on its links


class Moment(NamedTuple):
    """What has just happened: a value was computed, or a term of a gradient arrived.

    Attributes:
        part: The pass it belongs to, or the start or the end.
        node: The node it happened to; -1 at the start and at the end.
        arrived: How many terms of the node's gradient have arrived by now.
    """

    part: Literal["start", "forward", "backward", "end"]
    node: int = -1
    arrived: int = 0


class Course:
    """A graph, computed anew, and its two passes.

    Args:
        output: The last node; nothing in its graph is changed.
        who: Who asks, for errors.
        depth: How deep to go; what lies deeper is cut off.
        max_nodes: The most nodes.
        title: The heading; by default the formula, if it is short, or the name of the output.

    Attributes:
        rule: The chain rule over the copy of the graph.
        copies: The copy of each node.
        moments: All moments, in order.

    Raises:
        TypeError: If ``output`` is not a Value.
        ValueError: If there are more than ``max_nodes`` nodes.

    >>> x = Value(3.0, "x")
    >>> course = Course(x * x, "page")
    >>> print(*(course.line(moment) for moment in course.moments if moment.part == "backward"))
    df/df = 1 df/dx = d(x · x)/dx[1] + d(x · x)/dx[2] = 3 + ... df/dx = ... = 3 + 3 = 6
    """

    def __init__(
        self,
        output: Value,
        who: str,
        *,
        depth: int | None = None,
        max_nodes: int = 500,
        title: str = "",
    ) -> None:
        if not isinstance(output, Value):
            raise TypeError(f"{who}: expected a Value, got {type(output).__name__} {output!r:.60}")
        self.copies = copies_of(output, depth, max_nodes)
        self.output = self.copies[output]
        self.rule = ChainRule(self.output)
        for node, name in zip(self.rule.nodes, self.rule.names):
            if not is_number_node(node):
                node.label = name
        self.output.backward()  # for the figure; this graph is our own
        self.writer = Writer(self.rule, TextFormula)
        self.title = title or self.writer.title() or self.output.label
        self.layout = self._layout(max_nodes)
        self.moments = [Moment("start")]
        nodes = self.rule.nodes
        self.moments += [Moment("forward", i) for i, node in enumerate(nodes) if node.op]
        for i in self.rule.backward:
            count = len(self.rule.terms[i])
            self.moments += [Moment("backward", i, k) for k in range(1, count)]
            self.moments.append(Moment("backward", i, count))
        self.moments.append(Moment("end"))

    def _layout(self, max_nodes: int) -> Layout:
        """Lay the figure out with room for other numbers; it is drawn with those it has."""
        diagram = graph_diagram(self.output, gradients=True, title=self.title, max_nodes=max_nodes)
        wide = "8" * ROOM
        nodes = tuple(
            node if node.above is None else replace(node, above=max(node.above, wide, key=len))
            for node in diagram.nodes
        )
        layout = place(replace(diagram, nodes=nodes, column_gap=_COLUMN_GAP, row_gap=_ROW_GAP))
        widened = layout.diagram
        return replace(layout, diagram=replace(widened, nodes=diagram.nodes))

    def sides(self, moment: Moment) -> list[str]:
        """The sides of the equation of a moment; none at the start and at the end."""
        if moment.part == "forward":
            return self.writer.forward(moment.node)
        if moment.part == "backward":
            return self.writer.backward(moment.node, moment.arrived)
        return []

    def line(self, moment: Moment) -> str:
        """The equation of a moment, as pages write it."""
        return on_paper(one_line(self.sides(moment)))

    def caption(self, moment: Moment) -> str:
        """What happens at a moment, in a sentence."""
        part, i, count = moment
        if part == "start":
            return "The inputs have their values. The forward pass computes the rest."
        if part == "end":
            return "Done: every node has its value and its gradient."
        rule, writer = self.rule, self.writer
        name = writer.name(i).text
        if part == "forward":
            operands = dict.fromkeys(rule.nodes[i].operands)
            names = [writer.name(rule.index[x]).text for x in operands]
            listed = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
            if len(names) > 3:
                listed = f"its {len(names)} operands"
            return on_paper(f"Forward pass: {name} is computed from {listed}.")
        if i == len(rule.nodes) - 1:
            gradient = writer.gradient_name(i)
            return f"Backward pass: it starts at the output, whose gradient {gradient} is 1."
        terms = rule.terms[i]
        term = terms[count - 1]
        source, local = writer.name(term.child).text, writer.local_name(i, term)
        if len(terms) == 1:
            return f"Backward pass: {source} passes its gradient back to {name}, times {local}."
        return (
            f"Backward pass: paths join at {name}. Term {count} of {len(terms)} comes from "
            f"{source}, times {local}."
        )


def on_paper(text: str) -> str:
    """Return text with the signs of print: a raised dot for products, a true minus.

    >>> on_paper("f = -2 * x")
    'f = −2 · x'
    """
    return text.replace(" * ", " · ").replace("-", "−")


def copies_of(output: Value, depth: int | None, max_nodes: int) -> dict[Value, Value]:
    """Copy the graph down to ``depth``, node by node; what lies deeper is cut off.

    Raises:
        ValueError: If the copy would have more than ``max_nodes`` nodes.
    """
    nodes, cut = drawn_nodes(output, depth)
    if len(nodes) > max_nodes:
        fitting = _deepest(output, max_nodes)
        raise ValueError(
            f"the graph has {len(nodes):,} nodes, more than max_nodes={max_nodes:,}, too many "
            f"to step through one by one: pass depth={fitting} for a page of the last operations "
            "alone, make a page of an interior node, or raise max_nodes"
        )
    copies: dict[Value, Value] = {}
    for node in nodes:
        if node.op is None or node in cut:
            kind = Constant if isinstance(node, Constant) else Value
            copies[node] = kind(node.data, node.label)
        else:
            copies[node] = Value.record(node.op, tuple(copies[x] for x in node.operands))
            copies[node].label = node.label
    return copies


def _deepest(output: Value, max_nodes: int) -> int:
    """The largest depth at which the graph has at most ``max_nodes`` nodes."""
    seen = {output}
    frontier, depth = [output], 0
    while frontier:
        operands = (x for node in frontier for x in node.operands if x not in seen)
        frontier = list(dict.fromkeys(operands))
        seen.update(frontier)
        if len(seen) > max_nodes:
            break
        depth += 1
    return depth
