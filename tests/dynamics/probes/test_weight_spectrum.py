"""Singular values of weights and of their change against numpy."""

import operator

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import probes

rng = np.random.default_rng(8)
SHAPES = {'dense': (4, 6), 'filter': (3, 2, 5), 'bias': (5,)}


def expected(matrix):
  s = np.linalg.svd(matrix.reshape(-1, matrix.shape[-1]), compute_uv=False)
  share = s[s > 1e-12 * s[0]] / s.sum()
  smallest = s[-1] if s[-1] > 1e-12 * s[0] else 0
  with np.errstate(divide='ignore'):
    return {'singular': s, 'effective_rank': np.exp(-np.sum(share * np.log(share))), 'log_condition': np.log(s[0] / smallest)}


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_weights_and_their_change_against_numpy_under_vmap(probing, wide, dtype):
  """Of two members: of the first the dense layer's change has rank 1, so that its condition is infinite."""
  draw = lambda: {name: rng.normal(size=shape) for name, shape in SHAPES.items()}
  start, now = [draw(), draw()], [draw(), draw()]
  now[0]['dense'] = start[0]['dense'] + 0.1 * np.outer(rng.normal(size=4), rng.normal(size=6))
  probe = probes.weight_spectrum()

  def measure(params, initial):
    return probe.measure(probing.view(lambda v, x: x, params, initial=initial), (), None)[0]

  stack = lambda members: jax.tree.map(lambda *w: jnp.asarray(np.stack(w), dtype), *members)
  readings = jax.device_get(jax.jit(jax.vmap(measure))(stack(now), stack(start)))
  rtol = 1e-9 if dtype == 'float64' else 1e-4
  for i in (0, 1):
    reading = jax.tree.map(operator.itemgetter(i), readings)
    for leaf in ('dense', 'filter'):
      for prefix, matrix in {'': now[i][leaf], 'change_': now[i][leaf] - start[i][leaf]}.items():
        for name, value in expected(matrix).items():
          what = f'{prefix}{name}_of'
          np.testing.assert_allclose(reading[what][leaf], value, rtol=rtol, atol=rtol / 10, err_msg=f'{leaf} {what}')
  assert [np.isinf(c) for c in readings['change_log_condition_of']['dense']] == [True, False]


def test_no_change_has_no_rank_and_vectors_are_refused(probing):
  seen = probing.view(lambda v, x: x, {'w': jnp.eye(3)})
  (out,) = probing.read(probes.weight_spectrum(), seen)
  assert out['effective_rank_of']['w'] == pytest.approx(3)
  assert out['log_condition_of']['w'] == 0
  assert not out['change_singular_of']['w'].any()
  assert np.isnan([out['change_effective_rank_of']['w'], out['change_log_condition_of']['w']]).all()
  with pytest.raises(ValueError, match=r'needs a parameter array with two or more axes, but they are theta \(3,\)'):
    probes.weight_spectrum().init(probing.view(lambda v, x: x, {'theta': jnp.zeros(3)}))
