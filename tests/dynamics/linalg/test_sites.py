"""Layers found in models of many kinds, against the dense Jacobian of each leaf contracted by numpy in float64."""

import functools
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import models, network, transforms, trees
from dynamics.linalg import blocks, layers, ntk, sites

# ---- models -----------------------------------------------------------------------------------------------------


class Convolutions(nn.Module):
  """Strides, dilation, padding, batch statistics, group normalisation and pooling; grouped filters are not understood."""

  @nn.compact
  def __call__(self, x):
    x = nn.Conv(4, (3, 3), strides=(2, 1), name='strided')(x)
    x = nn.relu(nn.BatchNorm(use_running_average=True, name='batch')(x))
    x = nn.GroupNorm(2, name='group')(nn.Conv(4, (2, 3), kernel_dilation=(2, 1), padding='VALID', name='dilated')(x))
    x = nn.max_pool(nn.Conv(4, (3, 3), feature_group_count=2, name='grouped')(x), (1, 2), (1, 2))
    return nn.Dense(2, name='readout')(x.reshape(x.shape[0], -1))


class Recurrent(nn.Module):
  @nn.compact
  def __call__(self, x):
    return nn.Dense(2, name='readout')(nn.RNN(nn.SimpleCell(3), name='cell')(x)[:, -1])


class Tied(nn.Module):
  """One matrix embeds tokens and reads them out; another is used twice in the same way."""

  @nn.compact
  def __call__(self, x):
    embed, twice = nn.Embed(5, 3, name='tied'), nn.Dense(3, name='twice')
    h = twice(nn.tanh(twice(embed(x))))
    return embed.attend(jnp.mean(h, axis=1))


def plain(variables, x, train=False):
  """Scalars times parameters, a product of two parameters, a parameter under a custom rule, one that is not used."""
  w = variables['params']
  h = jnp.tanh(jnp.einsum('hd,nld->nlh', w['a'] * variables['scales']['s'] / jnp.float32(3), x))
  h = h @ jax.nn.relu(-w['b'].T.reshape(2, 2, 4).reshape(4, 4)) + w['shift'][None, None]
  return jax.jit(lambda u, h: h @ u)(w['u'], h * jnp.exp(w['gain'])) @ (w['v'] @ w['v'])


class Case(NamedTuple):
  apply: object
  variables: dict
  x: jax.Array


def floats(*shape):
  return jnp.asarray(np.random.default_rng(5).normal(size=shape), jnp.float32)


def tokens(n, l, below):
  return jnp.asarray(np.random.default_rng(6).integers(0, below, (n, l)), jnp.int32)


@functools.cache
def case(name: str) -> Case:
  if name == 'plain':
    shapes = {'a': (4, 3), 'b': (4, 4), 'u': (4, 2), 'v': (2, 2), 'gain': (), 'shift': (4,), 'unused': (2, 3)}
    params = {key: floats(*shape) for key, shape in shapes.items()}
    return Case(plain, {'params': params, 'scales': {'s': jnp.float32(1.7)}}, floats(5, 2, 3))
  module, x, changes = {
    'mlp': (models.mlp(widths=(6, 5), outputs=3), floats(5, 4), (transforms.ntk(), transforms.scaled(alpha=1.3))),
    'no bias': (models.mlp(widths=(6,), bias=False, vocabulary=4, outputs=3), tokens(5, 2, 4), (transforms.ntk(),)),
    'transformer': (
      models.transformer(width=4, heads=2, expansion=2, vocabulary=5, outputs=3, norm='pre'), tokens(4, 3, 5),
      (transforms.mup(),),
    ),
    'convolutions': (Convolutions(), floats(4, 5, 4, 2), (transforms.ntk(),)),
    'conv': (models.conv(channels=(3, 2), outputs=2), floats(4, 4, 4, 2), (transforms.ntk(),)),
    'recurrent': (Recurrent(), floats(4, 3, 2), ()),
    'tied': (Tied(), tokens(4, 3, 5), ()),
  }[name]  # fmt: skip
  model = network.from_flax(module, x)
  for transform in changes:
    model = transform(model)
  variables = network.begun(jax.jit(lambda key: model.init(key, None))(jax.random.key(3)))
  # Parameters that start at zero or one hide mistakes.
  rng = np.random.default_rng(4)
  noise = lambda w: np.asarray(w) + np.float32(0.3) * rng.normal(size=w.shape).astype(np.float32)
  return Case(model.apply, variables | {'params': jax.tree.map(noise, variables['params'])}, x)


NAMES = ('mlp', 'no bias', 'transformer', 'convolutions', 'conv', 'recurrent', 'tied', 'plain')
UNDERSTOOD = {  # leaves whose gradients need never be formed
  'mlp': {f'{layer}/{leaf}' for layer in ('input', 'hidden_1', 'readout') for leaf in ('kernel', 'bias')},
  'no bias': {'input/kernel', 'readout/kernel'},
  'transformer': {f'hidden_0_attention/{name}/kernel' for name in ('query', 'key', 'value', 'merge')}
  | {'hidden_0_up/kernel', 'hidden_0_down/kernel', 'readout/kernel', 'input/embedding', 'position_embedding'},
  'convolutions': {'strided/kernel', 'dilated/kernel', 'readout/kernel', 'readout/bias'},
  'conv': {'input/kernel', 'hidden_1/kernel', 'readout/kernel', 'readout/bias'},
  'recurrent': {'readout/kernel', 'readout/bias'},
  'tied': {'twice/kernel'},
  'plain': {'a', 'u', 'unused'},
}  # fmt: skip


@functools.cache
def dense(name: str) -> dict[str, np.ndarray]:
  """The kernel of each leaf, (n, n, k, k) in float64, from the whole Jacobian."""
  apply, variables, x = case(name)
  f = lambda params: apply({**variables, 'params': params}, x).reshape(x.shape[0], -1)
  with jax.default_matmul_precision('float32'):
    jacobian = trees.by_path(jax.jit(jax.jacobian(f))(variables['params']))
  flat = {path: np.asarray(j, np.float64).reshape(*j.shape[:2], -1) for path, j in jacobian.items()}
  return {path: np.einsum('nkp,mlp->nmkl', j, j) for path, j in flat.items()}


def expected(name, trace=True):
  whole = sum(dense(name).values())
  return np.trace(whole, axis1=2, axis2=3) if trace else whole


def close(kernel, true, tolerance=3e-6):
  """To `tolerance` of the largest entry."""
  np.testing.assert_allclose(kernel, true, rtol=0, atol=tolerance * np.abs(true).max())


# ---- laws -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('name', NAMES)
def test_layers_equal_the_dense_jacobian_leaf_by_leaf(name):
  apply, variables, x = case(name)
  kernel = ntk(apply, variables, x, x[:3], trace=False, method='layers', leaves=True)
  scale = np.abs(expected(name, trace=False)).max()
  assert set(kernel) == set(dense(name))
  for path, true in dense(name).items():
    np.testing.assert_allclose(kernel[path], true[:, :3], rtol=0, atol=3e-6 * scale, err_msg=path)


@pytest.mark.parametrize('name', ['mlp', 'no bias', 'convolutions', 'tied', 'plain'])
def test_blocks_of_the_symmetric_trace(name):
  apply, variables, x = case(name)
  kernel = np.asarray(ntk(apply, variables, x, method='layers', chunk=3))
  close(kernel, expected(name))
  close(kernel, kernel.T, 1e-6)
  assert np.linalg.eigvalsh(kernel.astype(np.float64))[0] > -1e-5 * np.abs(kernel).max()


@pytest.mark.parametrize('name', NAMES)
def test_layers_are_found_and_anything_else_is_left_to_the_gradient(name):
  apply, variables, x = case(name)
  known = sites.structure(apply, variables, x)
  alike = {leaf: len({site.layout for site in known.sites if site.leaf == leaf}) <= 1 for leaf in range(len(known.names))}
  assert {path for i, path in enumerate(known.names) if i not in known.opaque and alike[i]} == UNDERSTOOD[name]


@pytest.mark.parametrize('form', ['grams', 'product', 'gradient'])
@pytest.mark.parametrize('trace', [True, False])
@pytest.mark.parametrize('name', ['no bias', 'tied'])
def test_each_form_of_a_leaf_gives_the_same_kernel(name, trace, form):
  apply, variables, x = case(name)
  known = sites.structure(apply, variables, x)
  plan_ = layers.plan(known, 4, 4, trace=trace)
  own = {leaf: {site.indexed for site in known.sites if site.leaf == leaf} for leaf in range(len(known.names))}
  free = [known.names[i] in UNDERSTOOD[name] and not (form == 'product' and True in own[i]) for i in range(len(known.names))]
  plan_ = plan_._replace(forms=tuple(form if f else w for f, w in zip(free, plan_.forms, strict=True)))
  with jax.default_matmul_precision('float32'):
    close(jax.jit(lambda v, x: blocks.blocks(plan_, v, x, None, None, False, 10**9))(variables, x), expected(name, trace))


@pytest.mark.parametrize('name', ['mlp', 'conv', 'recurrent', 'plain'])
def test_one_half_of_a_full_kernel_in_blocks(name, monkeypatch):
  apply, variables, x = case(name)
  monkeypatch.setattr(blocks, 'COPY_OPERATIONS', 0)
  monkeypatch.setattr(blocks, 'FULL_SPEED_ROWS', 1)
  plan_ = layers.plan(sites.structure(apply, variables, x), len(x), len(x), trace=False)
  assert blocks.blocks_per_side(plan_, len(x)) >= 3
  with jax.default_matmul_precision('float32'):
    kernel = jax.jit(lambda v, x: blocks.blocks(plan_, v, x, None, None, False, 10**9))(variables, x)
  close(kernel, expected(name, trace=False))


def test_a_bias_shares_the_cotangents_of_its_layer_alone():
  def apply(variables, x):
    w = variables['params']
    z = x @ w['a']
    return jax.jit(lambda h: (h + w['d']) @ w['b'] + w['e'])(jnp.tanh(z + w['c'][None]) + z @ w['u'])

  shapes = {'a': (4, 3), 'b': (3, 2), 'c': (3,), 'd': (1, 3), 'e': (1, 2), 'u': (3, 3)}
  variables, x = {'params': {key: floats(*shape) for key, shape in shapes.items()}}, floats(5, 4)
  known = sites.structure(apply, variables, x)
  forms = dict(zip(known.names, layers.plan(known, 5, 5, trace=False).forms, strict=True))
  assert forms['b'] == forms['e'] == 'readout'
  assert 'bias' not in (forms['c'], forms['d'])  # z is read twice, and d is added to a sum
  jacobian = jax.jit(jax.jacobian(lambda p: apply({'params': p}, x)))(variables['params'])
  for key, kernel in ntk(apply, variables, x, trace=False, method='layers', leaves=True).items():
    j = np.asarray(jacobian[key], np.float64).reshape(5, 2, -1)
    close(kernel, np.einsum('nkp,mlp->nmkl', j, j))
