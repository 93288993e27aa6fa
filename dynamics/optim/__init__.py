"""Optimisers as optax chains in which every scalar may be traced, and this field's own transformations."""

from dynamics.optim.edge import edge
from dynamics.optim.families import Family, adam, adamw, momentum, on_the_fly, optimizer, rebalanced, sgd, subgradient
from dynamics.optim.perpendicular import perpendicular
from dynamics.optim.rebalanced import rebalance

__all__ = ['Family', 'adam', 'adamw', 'edge', 'momentum', 'on_the_fly', 'optimizer', 'perpendicular', 'rebalance',
           'rebalanced', 'sgd', 'subgradient']  # fmt: skip
