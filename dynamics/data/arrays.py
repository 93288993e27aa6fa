"""Arrays that are there already, in memory or in a file of numpy, as a task."""

import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dynamics.components import component
from dynamics.data.host import rows
from dynamics.data.split import split
from dynamics.schema import Range
from dynamics.types import Batch, Data, Task, Tree


@component(files=lambda *, file, **fields: [pathlib.Path(file).expanduser()])
def arrays(
  *,
  file: str,
  x: str = 'x',
  y: str = 'y',
  x_test: str = '',
  y_test: str = '',
  test: Range(float, above=0.0, below=1.0) = 0.2,
  fetched: Range(int, least=0) = 0,
  resident: Range(int, least=1) = 1000,
) -> Task:
  """x: (n, ...) floats or tokens and y: (n,) labels, (n, l) labels or (n, k) floats, out of an npz file.

  Args:
    file: of `numpy.savez`.
    x, y: names of its arrays.
    x_test, y_test: names of its test examples; without them a share of the rows is set aside.
    test: that share, of rows at random.
    fetched: examples that come from the host at every step, for data larger than the device; 0 keeps all on the device.
    resident: with `fetched`, the training examples that lie on the device, for probes.

  Raises:
    FileNotFoundError: no such file.
    ValueError: a file without these arrays, or arrays that are no examples.
  """
  path = pathlib.Path(file).expanduser()
  with np.load(path, allow_pickle=False) as stored:
    wanted = [name for name in (x, y, x_test, y_test) if name]
    missing = [name for name in wanted if name not in stored]
    if missing or bool(x_test) != bool(y_test):
      lacks = f'lacks {missing[0]}' if missing else 'gives x_test and y_test together or not at all'
      raise ValueError(f'{path} {lacks}; it holds {", ".join(stored)}')
    parts = [stored[name] for name in wanted]
  given = _data(*parts)
  if x_test:
    draw = lambda key: _placed(given)
  else:
    draw = lambda key: split(key, _placed(given.train), training_rows(len(given.train.y), test))
  task = of_data(given)._replace(draw=draw)
  return _from_host(task, given, bool(x_test), test, fetched, resident) if fetched else task


def training_rows(n: int, test: float) -> int:
  """How many of n rows are left for training.

  Raises:
    ValueError: none, or none for the test.
  """
  train = n - round(test * n)
  if not 0 < train < n:
    raise ValueError(f'{n} rows with a test share of {test:g} leave {train} for training and {n - train} for the test')
  return train


def _from_host(task: Task, given: Data, has_test: bool, test: float, size: int, resident: int) -> Task:
  """The task with its training rows on the host. Which rows are those of the test is the same for every seed."""
  order = np.random.default_rng(0).permutation(len(given.train.y))
  n = len(order) if has_test else training_rows(len(order), test)
  if size > n:
    raise ValueError(f'{size} examples are to be fetched at every step, and there are {n}')
  take = lambda chosen: jax.tree.map(lambda leaf: leaf[chosen], given.train)
  shown = Data(take(order[: min(resident, n)]), given.test if has_test else take(order[n:]))
  return task._replace(draw=lambda key: _placed(shown), batch=rows(lambda places: take(order[places]), n, size))


def from_arrays(x: Tree, y: Any, x_test: Tree = None, y_test: Any = None) -> Task:
  """A task of given training and test examples; without test examples the training ones serve as both.

  Args:
    x, x_test: floats or integer tokens, (n, ...), or trees of them; float64 becomes float32.
    y, y_test: (n,) or (n, l) integer labels, or (n, k) float targets.

  Raises:
    ValueError: no examples, rows of different numbers, labels below 0, or values that are no finite numbers.
  """
  return of_data(_data(x, y, x_test, y_test))


def of_data(data: Data) -> Task:
  """The task of data that are drawn already: k is the number of classes, or of the columns of float targets."""
  labels = [np.asarray(batch.y) for batch in (data.train, data.test)]
  classes = np.issubdtype(labels[0].dtype, np.integer)
  outputs = 1 + max(int(y.max()) for y in labels) if classes else labels[0].shape[-1]
  tokens = [np.asarray(leaf) for batch in (data.train, data.test) for leaf in jax.tree.leaves(batch.x)]
  integers = [leaf for leaf in tokens if np.issubdtype(leaf.dtype, np.integer)]
  return Task(lambda key: _placed(data), outputs, 1 + max(int(leaf.max()) for leaf in integers) if integers else None)


def _data(x: Tree, y: Any, x_test: Tree = None, y_test: Any = None) -> Data:
  train = _batch('training', x, y)
  return Data(train, train if x_test is None else _batch('test', x_test, y_test))


def _placed(tree: Tree) -> Tree:
  return jax.tree.map(jnp.asarray, tree)


def _batch(which: str, x: Tree, y: Any) -> Batch:
  batch = Batch(jax.tree.map(_plain, x), _plain(y))
  rows = {leaf.shape[0] if leaf.ndim else None for leaf in jax.tree.leaves(batch)}
  shapes = ', '.join(str(leaf.shape) for leaf in jax.tree.leaves(batch.x))
  if len(rows) > 1 or None in rows:
    raise ValueError(f'the {which} inputs are {shapes} and the targets {batch.y.shape}: their first axes must be equal')
  if 0 in rows:
    raise ValueError(f'there are no {which} examples: the inputs are {shapes}')
  if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(batch)):
    raise ValueError(f'the {which} data hold values that are no finite numbers')
  if np.issubdtype(batch.y.dtype, np.integer) and batch.y.ndim == 1 and batch.y.min() < 0:
    raise ValueError(f'the {which} labels go down to {batch.y.min()}; the first class is 0')
  if np.issubdtype(batch.y.dtype, np.floating) and batch.y.ndim == 1:
    raise ValueError(f'the {which} targets are floats {batch.y.shape}: give ({len(batch.y)}, 1), or labels of whole numbers')
  return batch


def _plain(values: Any) -> np.ndarray:
  """float32 or int32."""
  values = np.asarray(values)
  if np.issubdtype(values.dtype, np.floating):
    return values.astype(np.float32)
  if np.issubdtype(values.dtype, np.integer) or values.dtype == bool:
    return values.astype(np.int32)
  raise ValueError(f'data are numbers, but these are {values.dtype}')
