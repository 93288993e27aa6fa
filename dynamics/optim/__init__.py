"""Optimisers as optax chains in which every scalar may be traced, and this field's own transformations."""

from dynamics.optim.families import Family, adam, adamw, momentum, optimizer, sgd
from dynamics.optim.perpendicular import perpendicular

__all__ = ['Family', 'adam', 'adamw', 'momentum', 'optimizer', 'perpendicular', 'sgd']
