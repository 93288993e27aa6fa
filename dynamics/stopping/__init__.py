"""Stopping rules: `name(**fields)` gives a function of the training loss of a batch that says whether a member stands still."""

from dynamics.components import makers

globals().update(makers(__name__, __path__))
__all__ = list(makers(__name__, __path__))
