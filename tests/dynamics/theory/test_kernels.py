"""Kernels of wide networks against quadrature by scipy and against wide networks."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, special

from dynamics import inits, models, network, transforms, trees
from dynamics.theory import kernels

rng = np.random.default_rng(0)
CLOSED = {
  'relu': (kernels.relu, lambda x: np.maximum(x, 0), lambda x: float(x > 0)),
  'erf': (kernels.erf, special.erf, lambda x: 2 / np.pi**0.5 * np.exp(-(x**2))),
  'identity': (kernels.identity, lambda x: x, lambda x: 1.0),
}
JAX = {'relu': jax.nn.relu, 'erf': jax.lax.erf, 'identity': lambda x: x}


def average(f, g, q1, q2, c):
  """E[f(u) g(v)] by scipy, split where a kink may be."""
  density = lambda b, a: np.exp(-(a * a + b * b) / 2) / (2 * np.pi)
  v = lambda a, b: q2**0.5 * (c * a + (1 - c * c) ** 0.5 * b)
  total = 0.0
  for low, high in ((-9, 0), (0, 9)):
    edge = lambda a: np.clip(-c * a / (1 - c * c) ** 0.5, -9, 9)
    for bottom, top in ((lambda a: -9.0, edge), (edge, lambda a: 9.0)):
      total += integrate.dblquad(lambda b, a: f(q1**0.5 * a) * g(v(a, b)) * density(b, a), low, high, bottom, top)[0]
  return total


@pytest.mark.parametrize('name', CLOSED)
def test_closed_forms_against_scipy_on_a_few_pairs(wide, name):
  dual, f, df = CLOSED[name]
  dual = jax.jit(dual)
  for q1, q2, c in ((1.0, 1.0, 0.5), (0.4, 2.0, -0.7)):
    second, slope = dual(q1, q2, c)
    np.testing.assert_allclose(second, average(f, f, q1, q2, c), rtol=1e-6)
    np.testing.assert_allclose(slope, average(df, df, q1, q2, c), rtol=1e-6)


@pytest.mark.parametrize(
  ('name', 'nodes', 'errors'), [('erf', 64, (1e-9, 1e-8)), ('identity', 64, (1e-9, 1e-9)), ('relu', 256, (1e-4, 1e-2))]
)
def test_quadrature_against_closed_forms_at_every_correlation(wide, name, nodes, errors):
  c = np.linspace(-1, 1, 21)
  both = jax.jit(lambda *q: (kernels.quadrature(JAX[name], nodes=nodes)(*q), CLOSED[name][0](*q)))
  for q1, q2 in ((0.3, 0.9), (2.0, 2.0)):
    for got, expected, error in zip(*both(np.full_like(c, q1), np.full_like(c, q2), c), errors, strict=True):
      np.testing.assert_allclose(got, expected, atol=error)


# ---- wide networks ----------------------------------------------------------------------------------------------


def finite(activation, x, *, bias, widths, scale, bias_std, seeds, outputs):
  """Outputs (s, n, k) and tangent kernels (s, n, n) of networks in the NTK parametrization, by a dense Jacobian."""
  module = models.mlp(widths=widths, activation=activation, bias=bias, outputs=outputs)
  model = transforms.ntk()(network.initialised(network.from_flax(module, x), inits.gaussian(init_scale=scale)))

  @jax.jit
  def one(key):
    params = model.init(key, None)['params']
    for name in params if bias else ():
      noise = jax.random.normal(trees.named_key(key, f'bias of {name}'), params[name]['bias'].shape)
      params[name]['bias'] = bias_std * noise
    f = lambda p: model.apply({'params': p}, x)
    rows = [j.reshape((len(x) * outputs, -1)) for j in jax.tree.leaves(jax.jacrev(f)(params))]
    full = sum(j @ j.T for j in rows).reshape((len(x), outputs, len(x), outputs))
    return f(params), jnp.trace(full, axis1=1, axis2=3) / outputs

  return [np.stack(a) for a in zip(*jax.device_get([one(jax.random.key(seed)) for seed in range(seeds)]), strict=True)]


@pytest.mark.parametrize(
  ('activation', 'dual', 'bias', 'layers', 'scale', 'bias_std', 'outputs'),
  [
    ('relu', kernels.relu, True, 1, 1.0, 0.0, 2),
    ('relu', kernels.relu, False, 2, 1.3, 0.0, 1),
    ('erf', kernels.erf, True, 2, 1.5, 0.5, 1),
    ('tanh', kernels.quadrature(jnp.tanh), True, 2, 1.0, 0.0, 1),
  ],
)
def test_wide_networks_under_the_rule_ntk_have_these_kernels(activation, dual, bias, layers, scale, bias_std, outputs):
  """The mean over seeds, within five standard errors and the correction of order 1/width."""
  x, width = rng.normal(size=(3, 4)).astype(np.float32), 768
  widths = (width,) * layers
  f, ntk = finite(activation, x, bias=bias, widths=widths, scale=scale, bias_std=bias_std, seeds=30, outputs=outputs)
  limit = jax.jit(kernels.dense(dual, hidden=layers, weight_std=scale, bias=float(bias), bias_std=bias_std))(x)
  error, size = ntk.std(0, ddof=1) / len(ntk) ** 0.5, float(np.diag(limit.ntk).max())
  assert error.max() < 0.02 * size
  np.testing.assert_array_less(abs(ntk.mean(0) - limit.ntk), 5 * error + 2 / width * size)
  products = np.einsum('sik,sjk->sijk', f, f)
  spread = products.std((0, 3), ddof=1) / (len(f) * outputs) ** 0.5
  np.testing.assert_array_less(abs(products.mean((0, 3)) - limit.nngp), 5 * spread)


def test_the_order_of_inputs_and_the_symmetry_of_the_kernels():
  x, z = (rng.normal(size=(n, 3)).astype(np.float32) for n in (4, 2))
  for dual in (kernels.relu, kernels.quadrature(jnp.tanh)):
    kernel = jax.jit(kernels.dense(dual, bias_std=0.3))
    whole, part = jax.device_get((kernel(np.concatenate([x, z])), kernel(x, z)))
    for all_, some in zip(whole, part, strict=True):
      np.testing.assert_allclose(all_, all_.T, rtol=1e-5)
      np.testing.assert_allclose(all_[:4, 4:], some, rtol=1e-5)


def test_a_linear_network_has_the_kernels_of_a_product_of_matrices():
  x = rng.normal(size=(5, 3)).astype(np.float32)
  gram = x @ x.T / 3
  for hidden in (0, 1, 3):
    out = jax.jit(kernels.dense(kernels.identity, hidden=hidden, bias=0.0, weight_std=2.0))(x)
    np.testing.assert_allclose(out.nngp, 4.0 ** (hidden + 1) * gram, rtol=2e-5, atol=1e-3)
    np.testing.assert_allclose(out.ntk, (hidden + 1) * 4.0**hidden * gram, rtol=2e-5, atol=1e-3)


def test_an_input_of_zeros_and_a_pair_of_equal_inputs_give_numbers():
  x = np.asarray([[0.0, 0.0], [1.0, 2.0], [1.0, 2.0]], np.float32)
  for bias in (0.0, 1.0):
    out = jax.device_get(jax.jit(kernels.dense(kernels.relu, hidden=2, bias=bias))(x))
    chex.assert_tree_all_finite(out.ntk)
    np.testing.assert_allclose(out.ntk[0], bias, atol=1e-6)  # only the last bias moves the output at 0
    np.testing.assert_allclose(out.ntk[1, 2], out.ntk[1, 1], rtol=1e-3)


def test_fewer_than_no_layers_are_an_error():
  with pytest.raises(ValueError, match='0 hidden layers or more, not -1'):
    kernels.dense(kernels.relu, hidden=-1)
