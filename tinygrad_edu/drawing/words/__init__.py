"""The chain rule in words.

In order: ``chain_rule`` (who hands what to whom in the backward pass, as data), ``notation`` (how
formulas, names and numbers are written), ``explanation`` (``explain``: one line per derivative).
"""
