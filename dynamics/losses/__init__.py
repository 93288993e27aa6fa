"""Losses of single examples: `name(**fields)` gives loss(outputs (n, k), targets) -> (n,)."""

from dynamics.components import makers
from dynamics.losses.examples import Dtype, at_least_float32, correct, each, mean, predict
from dynamics.losses.sequences import per_sequence
from dynamics.types import Loss

globals().update(makers(__name__, __path__))
__all__ = [*makers(__name__, __path__), 'Dtype', 'Loss', 'at_least_float32', 'correct', 'each', 'mean', 'per_sequence', 'predict']
