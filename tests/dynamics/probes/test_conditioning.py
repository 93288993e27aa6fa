"""Condition numbers against numpy in float64, of one matrix and of several in an array."""

import numpy as np
import pytest

from dynamics import probes
from dynamics.leaves import Leaf


@pytest.mark.parametrize('kind', ['random', 'rows of many lengths', 'singular', 'a row of zeros'])
def test_condition_numbers_of_matrices_and_of_the_same_with_rows_of_length_one(probing, wide, kind):
  rng = np.random.default_rng(0)
  w = {'a': rng.normal(size=(5, 3)), 'b': rng.normal(size=4), 'c': rng.normal(size=(2, 4, 3))}
  if kind == 'rows of many lengths':
    w = {name: v * np.geomspace(1, 100, v.shape[-1]) for name, v in w.items()}
  w['a'][:, 0] = {'singular': 2 * w['a'][:, 1], 'a row of zeros': 0}.get(kind, w['a'][:, 0])
  leaf = lambda name, inputs, outputs: Leaf(name, w[name].shape, np.float64, 4, 3, 'hidden', inputs, outputs)
  described = {'a': leaf('a', (0,), (1,)), 'b': leaf('b', (), (0,))._replace(role='bias'), 'c': leaf('c', (1,), (2,))}
  view = probing.view(probing.model(lambda v, x: x)._replace(leaves=lambda: described), w)
  (out,) = probing.read(probes.conditioning(), view)
  assert {name: set(values) for name, values in out.items()} == {'condition_of': {'a', 'c'}, 'equilibrated_of': {'a', 'c'}}
  for name, rows in (('a', [w['a'].T]), ('c', [v.T for v in w['c']])):
    for reading, scaled in (('condition_of', False), ('equilibrated_of', True)):
      lengths = [np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-30) if scaled else 1 for v in rows]
      expected = max(np.linalg.cond(v / d) for v, d in zip(rows, lengths, strict=True))
      np.testing.assert_allclose(out[reading][name], expected if expected < 1e12 else np.inf, rtol=1e-9)
