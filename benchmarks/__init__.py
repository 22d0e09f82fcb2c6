"""Measurements of the engine and the compiler against their peers; never run by the tests.

``python -m benchmarks`` runs them all; ``python -m benchmarks.engine`` and
``python -m benchmarks.compiled`` run one. Each prints Markdown tables with the hardware they were
made on, and refuses to time contestants that do not compute the same thing.
"""
