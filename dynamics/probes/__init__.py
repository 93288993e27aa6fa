"""The instruments, one family a file. `name(**fields)` gives a `dynamics.types.Probe`."""

from dynamics.components import makers

globals().update(makers(__name__, __path__))
__all__ = list(makers(__name__, __path__))

USUAL = ('distance', 'norms', 'performance')  # on where a config names none; together they cost little more than a forward pass
