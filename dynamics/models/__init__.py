"""Flax modules, one family a file. `name(**choices, outputs=k, vocabulary=v)` gives the module."""

from dynamics.models.conv import conv, patchwise
from dynamics.models.factorisation import factorisation
from dynamics.models.mlp import linear, mlp, normalised_mlp
from dynamics.models.rnn import rnn
from dynamics.models.transformer import transformer

__all__ = ['conv', 'factorisation', 'linear', 'mlp', 'normalised_mlp', 'patchwise', 'rnn', 'transformer']
