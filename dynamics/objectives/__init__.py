"""Objectives: `name(**fields)` gives (model, loss, source) -> objective, and an objective is (variables, batch, key) -> (scalar, Aux)."""

from dynamics.components import makers

globals().update(makers(__name__, __path__))
__all__ = list(makers(__name__, __path__))
