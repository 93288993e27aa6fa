"""Transforms: `name(**fields)` gives Model -> Model. A run applies them in the order in which its config lists them."""

from dynamics.components import makers

globals().update(makers(__name__, __path__))
__all__ = list(makers(__name__, __path__))
