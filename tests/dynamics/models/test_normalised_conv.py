"""Normalisation by running statistics, over batches and over groups of channels, against numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import inits, losses, models, network, parallel, train, trees
from dynamics.models.norm import EPSILON, RunningNorm
from dynamics.types import Batch, Data

rng = np.random.default_rng(3)
KEY, ETA = jax.random.key(0), 0.3
IMAGES = rng.normal(1, 2, (2, 3, 4, 5)).astype(np.float32)
NORMS = ('none', 'batch', 'group', 'batch_channel')


def running(x, kept, scale, shift):
  """(out, statistics) of one training step in numpy: the statistics first."""
  rows = x.reshape(-1, x.shape[-1])
  mean = (1 - ETA) * kept['mean'] + ETA * rows.mean(0)
  var = (1 - ETA) * kept['var'] + ETA * rows.var(0)
  return (x - mean) / np.sqrt(var + EPSILON) * scale + shift, {'mean': mean, 'var': var}


@pytest.mark.parametrize(('rows', 'dtype', 'limit'), [(1, 'float32', 1e-5), (4, 'float32', 1e-5), (4, 'bfloat16', 3e-2)])
def test_running_statistics_take_the_batch_in_first_and_have_no_gradient(rows, dtype, limit):
  """Two steps of batches of one row and of four, for two members; evaluation leaves the statistics as they are."""
  layer, xs = RunningNorm(ETA), rng.normal(1, 2, (2, 2, rows, 5))  # member, step, row, unit
  start = jax.tree.map(lambda v: v + 0.2, layer.init(KEY, jnp.ones((1, 5)), False))
  step = lambda variables, x: layer.apply(variables, x, True, mutable=['batch_stats'])

  @jax.jit
  @jax.vmap
  def two(first, second):
    out, after = step(start, first)
    last, end = step({**start, **after}, second)
    slope = jax.grad(lambda x: jnp.sum(step(start, x)[0].astype(jnp.float32)))(first)
    return out, last, end['batch_stats'], slope, layer.apply({**start, **end}, first, False)

  outs, lasts, ends, slopes, evaluated = two(*(jnp.asarray(xs[:, i], dtype) for i in range(2)))
  assert outs.dtype == jnp.dtype(dtype)
  for member in range(2):
    first, second = (np.asarray(jnp.asarray(xs[member, i], dtype), np.float64) for i in range(2))
    kept = {'mean': np.full(5, 0.2), 'var': np.full(5, 1.2)}
    out, kept = running(first, kept, 1.2, 0.2)
    slope = np.broadcast_to(1.2 / np.sqrt(kept['var'] + EPSILON), first.shape)
    last, kept = running(second, kept, 1.2, 0.2)
    close = lambda a, b: np.testing.assert_allclose(np.asarray(a[member], np.float64), b, rtol=limit, atol=limit)  # noqa: B023
    close(outs, out), close(lasts, last), close(slopes, slope)
    close(ends['mean'], kept['mean']), close(ends['var'], kept['var'])
    close(evaluated, (first - kept['mean']) / np.sqrt(kept['var'] + EPSILON) * 1.2 + 0.2)


@pytest.mark.parametrize('norm', NORMS)
def test_a_network_with_windows_of_one_is_the_formula_at_every_place(norm):
  module = models.normalised_conv(3, channels=(4, 6), strides=(1, 1), window=1, norm=norm, groups=2, rate=ETA)
  model = network.from_flax(module, IMAGES)
  variables = jax.tree.map(lambda v: v + 0.1 * rng.uniform(1, 2, v.shape).astype(np.float32), model.init(KEY, None))
  w = {path: np.asarray(v, np.float64) for path, v in trees.by_path(variables).items()}
  scaled = lambda h, path: h * w[f'params/{path}/scale'] + w[f'params/{path}/bias']

  def grouped(h, path):
    parts = h.reshape(*h.shape[:-1], 2, -1)
    away = parts - parts.mean((1, 2, 4), keepdims=True)
    return scaled((away / np.sqrt((away**2).mean((1, 2, 4), keepdims=True) + EPSILON)).reshape(h.shape), path)

  h, mutated = IMAGES.astype(np.float64), {}
  for name in ('input', 'hidden_1'):
    h, path = h @ w[f'params/{name}/kernel'][0, 0], f'{name}_norm'
    kept = {k: w.get(f'batch_stats/{path}/{k}') for k in ('mean', 'var')}
    if norm == 'none':
      h = h + w[f'params/{name}/bias']
    elif norm == 'group':
      h = grouped(h, path)
    elif norm == 'batch':
      mutated[path] = running(h, kept, 1, 0)[1]
      h = scaled((h - h.mean((0, 1, 2))) / np.sqrt(h.var((0, 1, 2)) + EPSILON), path)
    else:
      out, mutated[path] = running(h, kept, w[f'params/{path}/scale'], w[f'params/{path}/bias'])
      h = grouped(out, f'{path}_channels')
    h = np.maximum(h, 0)
  outputs, trace = jax.jit(lambda v, x: model.forward(v, x, train=True))(variables, IMAGES)
  np.testing.assert_allclose(
    outputs, h.mean((1, 2)) @ w['params/readout/kernel'] + w['params/readout/bias'], rtol=1e-4, atol=1e-4
  )
  assert sorted(trace.mutated.get('batch_stats', {})) == sorted(mutated)
  for path, kept in mutated.items():
    for name, value in kept.items():
      np.testing.assert_allclose(trace.mutated['batch_stats'][path][name], value, rtol=1e-4, atol=1e-5)
  roles = {leaf.name: leaf.role for leaf in jax.tree.leaves(model.leaves(), is_leaf=lambda node: hasattr(node, 'role'))}
  assert [roles[f'{name}/kernel'] for name in ('input', 'hidden_1', 'readout')] == ['input', 'hidden', 'output']
  assert {role for name, role in roles.items() if name.endswith('scale')} <= {'scale'}


@pytest.mark.slow
def test_a_batch_split_over_devices_gives_the_same_statistics(cases):
  data = Data(*(Batch(jnp.asarray(rng.normal(size=(8, 3, 3, 1)), jnp.float32), jnp.arange(8) % 3) for _ in range(2)))
  module = models.normalised_conv(3, channels=(4,), strides=(1,), norm='batch_channel', groups=2, rate=ETA)
  model = network.initialised(network.from_flax(module, data.train.x), inits.gaussian())
  study = cases.study_of(model, data, losses.cross_entropy(), 3, batch=4)
  grids = [parallel.mesh(1, columns, jax.devices()[:columns]) for columns in (1, 4)]
  a, b = (jax.device_get(train.run(study, (0, 1), {'lr': (0.05, 0.1)}, grid=grid).state.variables) for grid in grids)
  jax.tree.map(lambda u, v: np.testing.assert_allclose(u, v, rtol=2e-4, atol=2e-5), a, b)


def test_what_does_not_fit_is_an_error():
  with pytest.raises(ValueError, match=r'strides is \(1,\); it must have one for each of the 2 channels'):
    models.normalised_conv(3, channels=(4, 4), strides=(1,))
  with pytest.raises(ValueError, match=r'model\.groups is 3, which does not divide channels \(4, 6\)'):
    models.normalised_conv(3, channels=(4, 6), groups=3)
  with pytest.raises(ValueError, match=r'reads images, .* the inputs are \(2, 5\): take flat=False'):
    models.normalised_conv(3).init(KEY, jnp.ones((2, 5)))
