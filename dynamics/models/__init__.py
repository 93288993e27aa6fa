"""Flax modules, one family a file. `name(**choices, outputs=k, vocabulary=v)` gives the module."""

from dynamics.models.factorisation import factorisation
from dynamics.models.mlp import linear, mlp, normalised_mlp
from dynamics.models.rnn import rnn
from dynamics.models.transformer import transformer

__all__ = ['factorisation', 'linear', 'mlp', 'normalised_mlp', 'rnn', 'transformer']
