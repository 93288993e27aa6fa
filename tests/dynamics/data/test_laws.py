"""What every task obeys, whatever it is about: shapes, dtypes, and data that are a function of the key."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import data

KEY = jax.random.key(0, impl='threefry2x32')
N = dict(train=12, test=7)
TASKS = [  # task, shape of one x, classes (0 for numbers), rows
  (data.constraints(parameters=7, number=3), (7,), 0, dict(train=3, test=3)),
  (data.context_integration(fixation=1, stimulus=3, delay=1, response=2, **N), (7, 7), 2, N),
  (data.hierarchy(branches=2, levels=2), (4,), 0, dict(train=4, test=4)),
  (data.images(train=12, test=7), (64,), 10, N),
  (data.images(train=12, test=7, flat=False, labels='parity'), (8, 8, 1), 2, N),
  (data.linear_map(singular=(2.0, 1.0), inputs=5, outputs=3), (5,), 0, dict(train=5, test=5)),
  (data.match_to_sample(kinds=3, fixation=1, sample=2, delay=0, comparison=3, response=1, **N), (7, 4), 2, N),
  (data.matrix_sensing(rows=3, columns=3, train=12), (3, 3), 0, dict(train=12, test=9)),
  (data.matrix_sensing(rows=3, columns=4, symmetric=False, operator='entries'), (3, 4), 0, dict(train=12, test=12)),
  (data.modular(p=5), (2,), 5, dict(train=10, test=15)),
  (data.parity(bits=2, noise_bits=3, **N), (5,), 2, N),
  (data.patches(inputs=4, **N), (3, 4), 0, N),
  (data.perceptron(inputs=4, chi=1, **N), (4,), 2, N),
  (data.perceptron(inputs=1, **N), (1,), 2, N),
  (data.permutation(bits=3), (3,), 0, dict(train=3, test=4)),
  (data.scans(train=12, test=7), (8, 8), 10, N),
  (data.scans(train=12, test=7, order='pixels', labels='halves'), (64, 1), 2, N),
  (data.shuffled(train=12, test=7, flat=False), (8, 8, 1), 10, N),
  (data.sphere(inputs=3, **N), (3,), 0, N),
  (data.sphere(target='noise', angles=(0.0, 1.0), test=7), (2,), 0, dict(train=2, test=7)),
  (data.teacher(inputs=4, outputs=2, **N), (4,), 0, N),
  (data.two_alternative(fixation=1, stimulus=3, delay=2, response=1, **N), (7, 3), 2, N),
]
CONSTANT = {'constraints', 'hierarchy', 'permutation'}


def name_of(task):
  return task.draw.__qualname__.split('.')[0].strip('_')


def test_the_table_has_every_task():
  assert len({task.draw.__module__ for task, *_ in TASKS}) == 14
  assert len(data.__all__) == 17, 'a new task needs a row above'


@pytest.mark.parametrize(('task', 'shape', 'classes', 'rows'), TASKS, ids=lambda v: name_of(v) if hasattr(v, 'draw') else '')
def test_every_task(task, shape, classes, rows):
  draw, quiet = jax.jit(task.draw), {'label_noise': jnp.float32(0)}  # one program for all four draws
  drawn, again, other = draw(KEY, quiet), draw(KEY, quiet), draw(jax.random.key(1), quiet)
  for part in ('train', 'test'):
    x, y = getattr(drawn, part)
    assert x.shape == (rows[part], *shape)
    assert x.dtype == (jnp.int32 if task.vocabulary else jnp.float32)
    if classes:
      assert (y.shape, y.dtype) == ((rows[part],), jnp.int32)
      assert set(np.unique(y)) <= set(range(classes))
      assert task.outputs in (classes, 1)
    else:
      assert (y.shape, y.dtype) == ((rows[part], task.outputs), jnp.float32)
  jax.tree.map(np.testing.assert_array_equal, drawn, again)
  changed = [not np.array_equal(a, b) for a, b in zip(jax.tree.leaves(drawn), jax.tree.leaves(other), strict=True)]
  assert any(changed) != (name_of(task) in CONSTANT)
  if classes:  # noise falls on training labels alone
    loud = draw(KEY, {'label_noise': jnp.float32(1)})
    np.testing.assert_array_equal(loud.test.y, drawn.test.y)
    np.testing.assert_array_equal(loud.train.x, drawn.train.x)
    assert set(np.unique(loud.train.y)) <= set(range(classes))
    assert (loud.train.y != drawn.train.y).any()
