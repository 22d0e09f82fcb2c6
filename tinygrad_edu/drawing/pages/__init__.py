"""Pages that compute and play in a browser; Python and their assets together.

In order: ``javascript`` (the operation table in JavaScript), ``page`` (one HTML file that asks
nothing of the network), ``course`` (a graph's two passes, moment by moment), ``stills``, ``paper``
and ``slides`` (each moment as a picture; PDF, GIF, MP4), ``step_page`` (``step_through``),
``worksheet``, ``train_page``; ``*.html``, ``*.css`` and ``*.js`` beside them are their parts.
"""
