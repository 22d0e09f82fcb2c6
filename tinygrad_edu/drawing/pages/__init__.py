"""Pages that compute and play in a browser; Python and their assets together.

In order: ``javascript`` (the operation table in JavaScript), ``page`` (one HTML file that asks
nothing of the network), ``step_page`` (``step_through``), ``train_page``; ``*.html``, ``*.css`` and
``*.js`` beside them are their parts.
"""
