"""Formulas as text: the public path of ``tinygrad_edu.formula``.

>>> from tinygrad_edu.expression import parse
>>> parse("x * y").names
('x', 'y')
"""

from tinygrad_edu.formula import Expression, FormulaError, Graph, parse

__all__ = ["Expression", "FormulaError", "Graph", "parse"]
