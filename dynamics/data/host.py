"""Examples that stay with the host and come to the device step by step: data larger than a device's memory."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from dynamics.data.sampling import row_numbers
from dynamics.types import Array, Batch, Data, Key


def streamed(read: Callable[[int, int], Any], size: int) -> Callable[[Key, Data, Array], Batch]:
  """`Task.batch` of a function of the host: read(seed, t) -> (x, y) of step t, with `size` examples.

  It must give the same examples whenever it is asked for the same step, so that a run resumes to the bit; the seed differs
  between members. With a grain data set: `streamed(lambda seed, t: dataset.seed(seed)[t], size)`.

  Raises:
    ValueError: while a run trains: examples of other shapes or dtypes than those of the training set.
  """

  def batch(key, data, t):
    seed = jax.random.key_data(key)[1]
    return fetch(lambda seed, t: read(int(seed), int(t)), _like(data.train, size), seed, t)

  return batch


def rows(take: Callable[[np.ndarray], Any], n: int, size: int) -> Callable[[Key, Data, Array], Batch]:
  """`Task.batch` of a table of n rows on the host: take(places (size,)) -> (x, y), all rows in a fresh order each epoch."""

  def batch(key, data, t):
    return fetch(take, _like(data.train, size), row_numbers(key, t, n, size))

  return batch


def fetch(read: Callable[..., Any], like: Batch, *arguments: Array) -> Batch:
  """read(*arguments), numpy arrays on the host, as a batch of the shapes and dtypes of `like`."""

  def checked(*values):
    leaves, structure = jax.tree.flatten(Batch(*read(*(np.asarray(value) for value in values))))
    wanted = jax.tree.leaves(like)
    shapes = [np.shape(leaf) for leaf in leaves]
    if structure != jax.tree.structure(like) or shapes != [leaf.shape for leaf in wanted]:
      raise ValueError(f'the host gives examples of shapes {shapes}, but they must be {[leaf.shape for leaf in wanted]}')
    return jax.tree.unflatten(structure, [np.asarray(a, leaf.dtype) for a, leaf in zip(leaves, wanted, strict=True)])

  return jax.pure_callback(checked, like, *arguments, vmap_method='sequential')


def _like(train: Batch, size: int) -> Batch:
  return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((size, *leaf.shape[1:]), leaf.dtype), train)
