"""Graphs of labelled nodes: what they are as graphs, how many edges lie within classes, whose labels are seen."""

import chex
import jax
import numpy as np
import pytest

from dynamics import data

KEY = jax.random.key(0, impl='threefry2x32')


def drawn(key=KEY, **fields):
  return jax.device_get(jax.jit(data.graphs(**fields).draw)(key))


@pytest.mark.parametrize(('kind', 'degree'), [('blocks', 8), ('blocks', 2), ('attachment', 8)])
def test_graphs_are_symmetric_without_loops_and_have_the_degrees_classes_and_features_asked_for(kind, degree):
  fields = dict(kind=kind, number=3, nodes=200, classes=4, degree=degree, homophily=0.75, inputs=50, signal=0.8, train=30)
  both = drawn(**fields)
  (x, seen), (same, asked) = both.train, both.test
  chex.assert_trees_all_equal(x, same)
  assert (x['nodes'].shape, x['adjacency'].shape, seen.shape) == ((3, 200, 50), (3, 200, 200), (3, 200))
  labels = np.maximum(seen, asked)
  assert ((seen == -1) != (asked == -1)).all()
  assert ((seen >= 0).sum(axis=1) == 30).all()
  assert all(np.bincount(row).tolist() == [50] * 4 for row in labels)
  a = x['adjacency']
  assert set(np.unique(a)) == {0, 1}
  np.testing.assert_array_equal(a, a.transpose(0, 2, 1))
  assert not np.einsum('nvv->nv', a).any()
  degrees = a.sum(axis=-1)
  assert degrees.min() >= 1
  lonely = 200 * np.exp(-degree) if kind == 'blocks' else 0  # joined to the next one
  np.testing.assert_allclose(degrees.mean(), degree + 2 * lonely / 200, rtol=0.12)
  within = (a * (labels[:, :, None] == labels[:, None])).sum() / a.sum()
  assert abs(within - 0.75) < (0.1 if degree == 2 else 0.06)
  if kind == 'attachment':  # Poisson's law has a largest degree of about 20 of 600 nodes
    assert degrees.max() > 25
  rates = np.array([x['nodes'][labels == c].mean(axis=0) for c in range(4)])
  np.testing.assert_allclose(np.where(rates > 0.25, rates, 0.5 - rates), 0.45, atol=0.13)
  chex.assert_trees_all_equal(both, drawn(**fields))
  assert (drawn(jax.random.key(1), **fields).train.x['adjacency'] != a).any()


@pytest.mark.parametrize(
  ('fields', 'sentence'),
  [
    (dict(nodes=20, train=20), 'train is 20 of 20 nodes: take 19 at most'),
    (dict(nodes=20, degree=8, train=4), r'ask for 6.4 neighbours in a class of 5 nodes'),
  ],
)
def test_graphs_that_cannot_be_are_refused(fields, sentence):
  with pytest.raises(ValueError, match=sentence):
    data.graphs(**fields)
