"""Flax modules, one family a file. `name(outputs, vocabulary, **fields)` gives the module."""

from dynamics.components import makers

globals().update(makers(__name__, __path__))
__all__ = list(makers(__name__, __path__))
