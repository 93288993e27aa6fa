"""Objectives: `name(**fields)` gives (model, loss, source) -> objective: (variables, batch, key) -> (scalar, Aux)."""

from dynamics.components import makers

globals().update(makers(__name__, __path__))
__all__ = list(makers(__name__, __path__))
