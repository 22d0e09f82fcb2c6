"""From a graph to a figure.

In order: ``graph`` and ``network`` (Values and models become a picture's parts), ``diagram`` (plain
data, and its DOT text), ``references`` (lines cut in large figures), ``layout_engines``, ``layout``
(Graphviz's answer, or that of ``layered``, our own, as coordinates; with ``geometry`` and
``arrivals``), ``svg`` (with ``text`` and ``elements``), ``figure``, ``png`` and ``pdf`` (a figure
shows and saves itself).
"""
