"""Sizes of coordinates against numpy in float64, on forward passes written out layer by layer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import models, network, probes, transforms
from dynamics.types import Batch

rng = np.random.default_rng(4)
X = rng.normal(size=(7, 3))


def dense(layer, x):
  return x @ layer['kernel'] + layer['bias']


def mlp(w, x):
  """Features by name and outputs of a tanh network with two hidden layers."""
  first = np.tanh(dense(w['input'], x))
  second = np.tanh(dense(w['hidden_1'], first))
  return {'after_input': first, 'after_hidden_1': second}, dense(w['readout'], second)


def residual(w, x):
  """Of pre-activation tanh blocks of one layer, two of them."""
  h = dense(w['input'], x)
  features = {'after_input': h}
  for i in range(2):
    h = h + dense(w[f'block_{i}']['layer_0'], np.tanh(h))
    features[f'after_block_{i}'] = h
  return features, dense(w['readout'], np.tanh(h))


def linear(w, x):
  return {}, dense(w['readout'], x)


CASES = {
  'mlp': (models.mlp(2, widths=(5, 4), activation='tanh'), mlp),
  'residual': (models.residual(2, depth=2, width=4, activation='tanh'), residual),
  'linear': (models.mlp(2, widths=()), linear),
}


@pytest.fixture
def trained():
  """The model, params of step 0 and other ones, in float64; biases are not 0."""

  def make(name):
    model = network.from_flax(CASES[name][0], X)
    shapes, draw = jax.eval_shape(model.init, jax.random.key(0), None)['params'], np.random.default_rng(8)
    return model, *(jax.tree.map(lambda leaf: draw.normal(size=leaf.shape), shapes) for _ in range(2))

  return make


@pytest.mark.parametrize(
  ('name', 'dtype'), [('mlp', 'float64'), ('mlp', 'float16'), ('residual', 'float64'), ('linear', 'float64')]
)
def test_coordinates_against_a_forward_pass_by_hand(probing, trained, wide, name, dtype):
  model, w0, w = trained(name)
  cast = lambda tree: jax.tree.map(lambda a: jnp.asarray(a, dtype), tree)
  view = probing.view(model, cast(w), Batch(cast(X), jnp.zeros(7)), initial=cast(w0))
  (out,) = probing.read(probes.coordinates(examples=6), view)
  (features, outputs), (features0, outputs0) = (CASES[name][1](tree, X[:6]) for tree in (w, w0))
  close = lambda a, h: np.testing.assert_allclose(a, np.sqrt(np.mean(h**2)), rtol=1e-9 if dtype == 'float64' else 5e-3)
  close(out['output'], outputs)
  close(out['output_change'], outputs - outputs0)
  assert out.keys() == {'output', 'output_change'} | (
    {'feature', 'feature_change', 'feature_of', 'feature_change_of'} if features else set()
  )
  for layer, h in features.items():
    close(out['feature_of'][layer], h)
    close(out['feature_change_of'][layer], h - features0[layer])
  if features:
    last = list(features)[-1]
    assert (out['feature'], out['feature_change']) == (out['feature_of'][last], out['feature_change_of'][last])


def test_half_precision_neither_overflows_nor_loses_small_terms(probing):
  """300^2 is no float16, and the mean of 4,096 squares would stop growing."""
  show = lambda variables, x: (x @ variables['params']['w'], {'h': x})
  x = jnp.full((64, 64), 300, jnp.float16)
  (out,) = probing.read(
    probes.coordinates(layers=False), probing.view(show, {'w': jnp.zeros((64, 1), jnp.float16)}, Batch(x, x[:, 0]))
  )
  assert out == {'output': 0, 'output_change': 0, 'feature': 300, 'feature_change': 0}


def test_the_change_is_that_of_the_network_with_its_transforms(probing, trained, wide):
  """The readout's multiplier of mup is part of the outputs; the centred network starts at 0."""
  model, w0, w = trained('mlp')
  seen = transforms.centred()(transforms.mup(base=2)(model))
  arrays = lambda tree: jax.tree.map(jnp.asarray, tree)
  (out,) = probing.read(
    probes.coordinates(), probing.view(seen, arrays(w), Batch(jnp.asarray(X), jnp.zeros(7)), initial=arrays(w0))
  )
  half = lambda tree: mlp({**tree, 'readout': {'kernel': tree['readout']['kernel'] / 2, 'bias': tree['readout']['bias']}}, X)[1]
  np.testing.assert_allclose(out['output_change'], np.sqrt(np.mean((half(w) - half(w0)) ** 2)), rtol=1e-9)
  np.testing.assert_allclose(out['output'], out['output_change'], rtol=1e-9)
