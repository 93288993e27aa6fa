"""Widths of interval bounds against a loop over layers in numpy, and their growth against the law of random relu networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import inits, models, network, probes
from dynamics.theory.interval_growth import gaussian_growth
from dynamics.types import Batch

KEY = jax.random.key(0, impl='threefry2x32')


def examples(n, d):
  x = np.random.default_rng(2).normal(size=(n, d))
  return Batch(jnp.asarray(x, jnp.float32), jnp.zeros(n, jnp.int32))


def loop(params, x, radius):
  """The mean width in every layer of a relu network, from sums over |w|."""
  low, high, widths = x - radius, x + radius, {}
  for name in ('input', *(f'hidden_{i}' for i in range(1, len(params) - 1)), 'readout'):
    w, b = (np.asarray(params[name][part], float) for part in ('kernel', 'bias'))
    low, high = (np.minimum(low[..., None] * w, high[..., None] * w).sum(1) + b,
                 np.maximum(low[..., None] * w, high[..., None] * w).sum(1) + b)  # fmt: skip
    low, high = (low, high) if name == 'readout' else (np.maximum(low, 0), np.maximum(high, 0))
    widths[f'after_{name}'] = (high - low).mean()
  return widths


def test_widths_in_the_order_of_twelve_layers(probing):
  batch = examples(5, 4)
  model = network.from_flax(models.mlp(2, widths=(6,) * 12), batch.x)
  params = jax.tree.map(lambda w: w + 0.1, model.init(KEY, None)['params'])
  (out,) = probing.read(probes.interval_bounds(examples=3, radius=0.2), probing.view(model, params, batch))
  widths = loop(params, np.asarray(batch.x[:3], float), 0.2)
  np.testing.assert_allclose(out['width'], widths.pop('after_readout'), rtol=1e-4)
  assert out['width_of'] == pytest.approx(widths, rel=1e-4)
  assert out['growth'] == pytest.approx((widths['after_hidden_11'] / widths['after_input']) ** (1 / 11), rel=1e-4)


def test_relu_networks_widen_as_the_law_says(probing):
  """The mean of |w| over 150 x 150 entries has a relative error of 0.5%, and relu keeps half to within 1 / sqrt(150)."""
  n, batch = 150, examples(8, 150)
  plain = network.from_flax(models.mlp(2, widths=(n,) * 3, bias=False), batch.x)
  for init, deviation in ((inits.ibp(), (2 * np.pi) ** 0.5 / n), (inits.gaussian(init_scale=2**0.5), (2 / n) ** 0.5)):
    model = network.initialised(plain, init)
    view = probing.view(model, model.init(KEY, None)['params'], batch)
    (out,) = probing.read(probes.interval_bounds(examples=8, radius=0.5), view)
    assert out['growth'] == pytest.approx(gaussian_growth(n, deviation), rel=0.15)
  assert gaussian_growth(n, (2 * np.pi) ** 0.5 / n) == pytest.approx(1)


@pytest.mark.parametrize(('make', 'words'), [
  (lambda: models.residual(2, width=4, norm='layer'), 'do not pass through'),
  (lambda: models.mlp(2, widths=(4,), activation='gelu'), 'mul of two values'),
])  # fmt: skip
def test_networks_that_cannot_be_passed_are_refused(probing, make, words):
  batch = examples(2, 3)
  model = network.from_flax(make(), batch.x)
  with pytest.raises(ValueError, match=f'interval_bounds needs another network.*{words}'):
    probes.interval_bounds().init(probing.view(model, model.init(KEY, None)['params'], batch))
