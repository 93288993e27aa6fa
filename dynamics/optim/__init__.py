"""Optimizers, one family a file, and the chain that a run puts around one of them.

`name(**fields, **hyper values)` gives a `dynamics.types.Optimizer`. Every scalar may be traced.
"""

from dynamics.components import makers
from dynamics.optim.chain import chain, from_optax
from dynamics.optim.edge import edge
from dynamics.optim.perpendicular import perpendicular

globals().update(makers(__name__, __path__))
__all__ = [*makers(__name__, __path__), 'chain', 'edge', 'from_optax', 'perpendicular']
