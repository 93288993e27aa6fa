"""Gaussians with a variance of their own, and random features of a band: closed forms, and what they do to a deep network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import inits, models, network, trees
from dynamics.activations import ACTIVATIONS
from dynamics.inits.bandlimited import in_ball
from dynamics.inits.variances import recommended_gain

KEY = jax.random.key(0, impl='threefry2x32')
GAINS = {  # 1 / sqrt(phi'(0)^2 (1 + phi(0)^2)); for relu 2 / n
  'relu': 2**0.5,
  'tanh': 1.0,
  'sigmoid': (16 / 1.25) ** 0.5,
  'gelu': 2.0,
  'silu': 2.0,
  'softplus': (4 / (1 + np.log(2) ** 2)) ** 0.5,
  'erf': np.pi**0.5 / 2,
  'abs': 1.0,
  'identity': 1.0,
  'sine': 1.0,
}
SELU = 1.0507009873554805, 1.7580993408473766  # the slopes on both sides; the left one is read at -1e-4
GAINS['selu'] = ((SELU[0] ** 2 + SELU[1] ** 2 * np.exp(-2e-4)) / 2) ** -0.5


@pytest.mark.parametrize('name', [name for name in ACTIVATIONS if name != 'gaussian'])
def test_the_recommended_gain_is_that_of_the_slope_at_zero(name):
  np.testing.assert_allclose(recommended_gain(ACTIVATIONS[name]), GAINS[name], rtol=1e-5)


def test_a_flat_activation_has_no_gain():
  with pytest.raises(ValueError, match='the activation is flat at 0, so no variance of the weights carries'):
    recommended_gain(jnp.square)
  with pytest.raises(ValueError, match='the activation is flat at 0'):
    jax.jit(lambda scale: inits.recommended(activation='gaussian', init_scale=scale) and scale)(1.0)


def test_a_deep_relu_network_keeps_its_signal_at_the_recommended_variance_and_loses_half_a_layer_at_one():
  """1704.08863: E|h_l|^2 in [0.3, 3] of the first after 12 layers, and within a factor 3 of 2^-11 at 1 / n."""
  x = jax.random.normal(KEY, (8, 128))
  plain = network.from_flax(models.mlp(2, widths=(128,) * 12, bias=False), x)

  @jax.jit
  def ratios():
    def ratio(init):
      features = plain.forward(network.initialised(plain, init).init(KEY, None), x)[1].features
      sizes = [jnp.mean(jnp.square(h)) for h in features.values()]
      return sizes[11] / sizes[0]

    return ratio(inits.recommended(activation='relu')), ratio(inits.gaussian())

  kept, lost = ratios()
  assert 0.3 < kept < 3
  assert 2.0**-11 / 3 < lost < 3 * 2.0**-11


def test_interval_bounds_keep_their_width_under_their_own_init_and_explode_under_the_usual_one():
  """2103.17268: through |W| and relu, the mean width after 6 layers of 200 is that of the first."""
  leaves = network.from_flax(models.mlp(200, widths=(200,) * 6, bias=False), jnp.zeros((1, 200))).leaves()

  def growth(init):
    params = trees.by_path(init(KEY, leaves, None))
    low, high, widths = -0.1 * np.ones(200), 0.1 * np.ones(200), []
    for w in (np.asarray(w, np.float64) for name, w in params.items() if name != 'readout/kernel'):
      centre, radius = (low + high) / 2 @ w, (high - low) / 2 @ np.abs(w)
      low, high = np.maximum(centre - radius, 0), np.maximum(centre + radius, 0)
      widths.append((high - low).mean())
    return widths[-1] / widths[0]

  assert 0.5 < growth(inits.ibp()) < 2
  assert growth(inits.recommended(activation='relu')) > 100


@pytest.mark.parametrize('d', [1, 2, 9])
def test_a_band_is_a_ball_filled_evenly(d):
  """E|w|^2 = d / (d + 2), the share within radius r is r^d, and the directions have covariance 1 / (d + 2)."""
  w = np.asarray(in_ball(KEY, 1, d, 20000)[0], np.float64)
  r = np.linalg.norm(w, axis=0)
  assert r.max() <= 1 + 1e-6
  error = lambda mean, square: 5 * ((square - mean**2) / r.size) ** 0.5
  assert abs((r**2).mean() - d / (d + 2)) < error(d / (d + 2), d / (d + 4))
  assert abs((r < 0.8).mean() - 0.8**d) < error(0.8**d, 0.8**d)
  np.testing.assert_allclose(w @ w.T / r.size, np.eye(d) / (d + 2), atol=0.02)


def test_the_band_is_that_of_hidden_units_and_their_shifts():
  leaves = network.from_flax(models.mlp(2, widths=(50, 40)), jnp.zeros((1, 3))).leaves()
  draw = lambda band: inits.bandlimited(band=band, bias_band=2.0)(KEY, leaves, None)
  params = jax.vmap(draw)(jnp.asarray([1.0, 5.0]))
  for layer in ('input', 'hidden_1'):
    norms = np.linalg.norm(params[layer]['kernel'], axis=1)
    assert (norms <= np.array([[1], [5]]) * (1 + 1e-5)).all()
    np.testing.assert_allclose(norms[1], 5 * norms[0], rtol=1e-5)
    assert 1.5 < np.abs(params[layer]['bias']).max() <= 2
  assert (params['readout']['bias'] == 0).all()
  w = np.asarray(params['readout']['kernel'][0]) * 40**0.5
  assert abs((w**2).mean() - 1) < 5 * (2 / w.size) ** 0.5


def test_a_delta_orthogonal_network_keeps_norms_and_a_centred_one_maps_pixels():
  import flax.linen as nn

  class Pixels(nn.Module):
    @nn.compact
    def __call__(self, x):
      for _ in range(3):
        x = nn.Conv(8, (3, 3), use_bias=False)(x)
      return x

  x = jax.random.normal(KEY, (2, 5, 5, 8))
  plain = network.from_flax(Pixels(), x)
  for init, exact in ((inits.delta_orthogonal(), True), (inits.centre_tap(), False)):
    model = network.initialised(plain, init)
    variables = model.init(KEY, None)
    out = model.apply(variables, x)
    ratio = np.linalg.norm(out, axis=-1) / np.linalg.norm(x, axis=-1)
    assert np.allclose(ratio, 1, atol=1e-4) == exact
    np.testing.assert_allclose(model.apply(variables, x[:, ::-1]), out[:, ::-1], rtol=1e-5, atol=1e-5)
    assert (np.asarray(variables['params']['Conv_0']['kernel']) != 0).sum() == 64
