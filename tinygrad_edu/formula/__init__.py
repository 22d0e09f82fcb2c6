"""Formulas as text: ``parse("(x + y) * z")`` becomes a computational graph.

In order: ``grammar`` turns text into checked steps, without evaluating anything as Python;
``expression`` turns the steps into a function of its variables and into a graph.
"""

from tinygrad_edu.formula.expression import Expression, FormulaError, Graph, parse

__all__ = ["Expression", "FormulaError", "Graph", "parse"]
