"""Interventions: `name(**fields)` gives a `dynamics.types.Intervention`."""

from dynamics.components import makers

globals().update(makers(__name__, __path__))
__all__ = list(makers(__name__, __path__))
