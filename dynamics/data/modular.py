"""Whole tables of a binary operation on a finite set, as in the grokking literature (2201.02177)."""

import itertools
from typing import Literal

import jax.numpy as jnp
import numpy as np

from dynamics.components import component
from dynamics.data.split import noisy, split
from dynamics.schema import Range, Traced
from dynamics.types import Batch, Data, Task

Operation = Literal['add', 'subtract', 'multiply', 'divide', 'quadratic', 's5']


@component()
def modular(
  *,
  p: Range(int, least=2, most=10_000) = 113,  # the table has p^2 rows
  operation: Operation = 'add',
  train_fraction: Range(float, above=0.0, below=1.0) = 0.4,
  label_noise: Traced(least=0.0, most=1.0) = 0.0,
) -> Task:
  """All pairs (a, b) and a o b, split at random.

  x: (n, 2) tokens (a, p + b), so that a and b have rows of their own in an embedding of 2p; y: (n,) in 0..p-1. Division
  leaves out b = 0. 'quadratic' is a^2 + ab + b^2. 's5' composes the 120 permutations of five things, whatever p says.

  Raises:
    ValueError: division modulo a number that is not prime, or a split without a test row or a training row.
  """
  x, y, size = table(operation, p)
  train = round(train_fraction * len(y))
  if not 0 < train < len(y):
    raise ValueError(f'train_fraction is {train_fraction}, which leaves {train} of {len(y)} pairs to train on')
  pairs = Batch(jnp.asarray(x), jnp.asarray(y))

  def draw(key):
    data = split(key, pairs, train)
    return Data(data.train._replace(y=noisy(key, data.train.y, size, label_noise)), data.test)

  return Task(draw, outputs=size, vocabulary=2 * size)


def table(operation: Operation, p: int) -> tuple[np.ndarray, np.ndarray, int]:
  """x (n, 2) and y (n,) int32 of the whole table, and the size of the set."""
  if operation == 's5':
    elements = list(itertools.permutations(range(5)))
    number = {element: i for i, element in enumerate(elements)}
    compose = [[number[tuple(g[i] for i in h)] for h in elements] for g in elements]
    result, p = np.array(compose), len(elements)
  else:
    a, b = np.meshgrid(np.arange(p), np.arange(p), indexing='ij')
    if operation == 'divide':
      if any(p % d == 0 for d in range(2, int(p**0.5) + 1)):
        raise ValueError(f'p is {p}, which is not prime: division modulo p needs a prime, such as 97 or 113')
      inverse = np.array([pow(int(v), p - 2, p) for v in range(p)])
      result = a * inverse[b] % p
    else:
      result = {'add': a + b, 'subtract': a - b, 'multiply': a * b, 'quadratic': a * a + a * b + b * b}[operation] % p
  a, b = np.meshgrid(np.arange(p), np.arange(p), indexing='ij')
  keep = (b > 0) if operation == 'divide' else np.ones_like(b, bool)
  x = np.stack([a[keep], p + b[keep]], axis=-1)
  return x.astype(np.int32), result[keep].astype(np.int32), p
