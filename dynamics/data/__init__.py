"""Tasks: key -> arrays on the device, one family a file. `name(**fields, **hyper values)` gives a `dynamics.types.Task`."""

from dynamics.components import makers

globals().update(makers(__name__, __path__))
__all__ = list(makers(__name__, __path__))
