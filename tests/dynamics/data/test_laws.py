"""What every task obeys, whatever it is about: shapes, dtypes, and data that are a function of the key."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import data
from dynamics.schema import hyper_values

KEY = jax.random.key(0, impl='threefry2x32')
N = dict(train=12, test=7)
TASKS = [  # maker, fields, shape of one x, classes (0 for numbers), rows
  (data.constraints, dict(parameters=7, number=3), (7,), 0, dict(train=3, test=3)),
  (data.context_integration, dict(fixation=1, stimulus=3, delay=1, response=2, **N), (7, 7), 2, N),
  (data.hierarchy, dict(branches=2, levels=2), (4,), 0, dict(train=4, test=4)),
  (data.images, dict(train=12, test=7), (64,), 10, N),
  (data.images, dict(train=12, test=7, flat=False, labels='parity'), (8, 8, 1), 2, N),
  (data.linear_map, dict(singular=(2.0, 1.0), inputs=5, outputs=3), (5,), 0, dict(train=5, test=5)),
  (data.match_to_sample, dict(kinds=3, fixation=1, sample=2, delay=0, comparison=3, response=1, **N), (7, 4), 2, N),
  (data.matrix_sensing, dict(rows=3, columns=3, train=12), (3, 3), 0, dict(train=12, test=9)),
  (data.matrix_sensing, dict(rows=3, columns=4, symmetric=False, operator='entries'), (3, 4), 0, dict(train=12, test=12)),
  (data.modular, dict(p=5), (2,), 5, dict(train=10, test=15)),
  (data.parity, dict(bits=2, noise_bits=3, **N), (5,), 2, N),
  (data.patches, dict(inputs=4, **N), (3, 4), 0, N),
  (data.perceptron, dict(inputs=4, chi=1, **N), (4,), 2, N),
  (data.perceptron, dict(inputs=1, **N), (1,), 2, N),
  (data.permutation, dict(bits=3), (3,), 0, dict(train=3, test=4)),
  (data.picture, dict(side=5), (2,), 0, dict(train=13, test=12)),
  (data.scans, dict(train=12, test=7), (8, 8), 10, N),
  (data.scans, dict(train=12, test=7, order='pixels', labels='halves'), (64, 1), 2, N),
  (data.shuffled, dict(train=12, test=7, flat=False), (8, 8, 1), 10, N),
  (data.sphere, dict(inputs=3, **N), (3,), 0, N),
  (data.sphere, dict(target='noise', angles=(0.0, 1.0), test=7), (2,), 0, dict(train=2, test=7)),
  (data.symmetric_map, dict(eigenvalues=(-1.0, 1.0, 2.0), train=6), (3,), 0, dict(train=6, test=6)),
  (data.text, dict(length=5, **N), (5,), 256, N),
  (data.teacher, dict(inputs=4, outputs=2, **N), (4,), 0, N),
  (data.two_alternative, dict(fixation=1, stimulus=3, delay=2, response=1, **N), (7, 3), 2, N),
  (data.wave, dict(inputs=3, frequency=4.0, **N), (3,), 0, N),
]
OF_POSITIONS = {data.text}
CONSTANT = {'constraints', 'hierarchy', 'permutation'}


def test_the_table_has_every_task():
  files = {'arrays', 'table', 'graphs'}  # tests/dynamics/data/test_files.py, test_graphs.py
  assert {maker.__name__ for maker, *_ in TASKS} == set(data.__all__) - files, 'a new task needs a row above'


@pytest.mark.parametrize(('maker', 'fields', 'shape', 'classes', 'rows'), TASKS, ids=lambda v: getattr(v, '__name__', ''))
def test_every_task(maker, fields, shape, classes, rows):
  noise = 'label_noise' in hyper_values(maker)
  make = lambda share: maker(**fields, **({'label_noise': share} if noise else {}))
  draw = jax.jit(lambda key, share: make(share).draw(key))  # one program for all four draws
  task, quiet = make(0.0), jnp.float32(0)
  drawn, again, other = draw(KEY, quiet), draw(KEY, quiet), draw(jax.random.key(1), quiet)
  for part in ('train', 'test'):
    x, y = getattr(drawn, part)
    assert x.shape == (rows[part], *shape)
    assert x.dtype == (jnp.int32 if task.vocabulary else jnp.float32)
    if classes:
      labels = (rows[part], *shape) if maker in OF_POSITIONS else (rows[part],)
      assert (y.shape, y.dtype) == (labels, jnp.int32)
      assert set(np.unique(y)) <= set(range(classes))
      assert task.outputs in (classes, 1)
    else:
      assert (y.shape, y.dtype) == ((rows[part], task.outputs), jnp.float32)
  assert drawn.source is None
  chex.assert_trees_all_equal(drawn, again)
  changed = [not np.array_equal(a, b) for a, b in zip(jax.tree.leaves(drawn), jax.tree.leaves(other), strict=True)]
  assert any(changed) != (maker.__name__ in CONSTANT)
  assert noise or not classes or fields.get('target') == 'label' or maker in OF_POSITIONS
  if noise and classes:  # noise falls on training labels alone
    loud = draw(KEY, jnp.float32(1))
    np.testing.assert_array_equal(loud.test.y, drawn.test.y)
    np.testing.assert_array_equal(loud.train.x, drawn.train.x)
    assert set(np.unique(loud.train.y)) <= set(range(classes))
    assert (loud.train.y != drawn.train.y).any()
