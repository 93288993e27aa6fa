"""Learning-rate schedules: `name(steps, **fields)` gives step -> factor on the learning rate."""

from dynamics.components import makers

globals().update(makers(__name__, __path__))
__all__ = list(makers(__name__, __path__))
