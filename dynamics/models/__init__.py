"""Flax modules, one family a file. `name(**choices, outputs=k, vocabulary=v)` gives the module."""

from dynamics.models.conv import conv, patchwise
from dynamics.models.mlp import linear, mlp
from dynamics.models.rnn import rnn
from dynamics.models.transformer import transformer

__all__ = ['conv', 'linear', 'mlp', 'patchwise', 'rnn', 'transformer']
