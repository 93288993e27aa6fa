"""Random subspaces: the projection against its dense matrix, and training in it against training by hand."""

import typing

import chex
import flax.linen as nn
import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from dynamics import inits, losses, models, network, objectives, optim, probes, stages, train, transforms
from dynamics.linalg import ntk
from dynamics.transforms.subspace import Kind, projection, transform
from dynamics.types import Batch, Data

KEY = jax.random.key(0, impl='threefry2x32')
rng = np.random.default_rng(2)


@pytest.mark.parametrize('n', [1, 2, 16, 32, 512])
def test_the_transform_is_the_product_with_the_hadamard_matrix(n):
  x = rng.normal(size=n).astype(np.float32)
  dense = scipy.linalg.hadamard(n) @ x.astype(np.float64)
  np.testing.assert_allclose(jax.jit(transform)(jnp.asarray(x)), dense, rtol=1e-4, atol=1e-4)


def dense_of(made, stored, most):
  return np.asarray(jax.jit(jax.vmap(lambda theta: made.times(stored, theta)))(jnp.eye(most, dtype=jnp.float32))).T


@pytest.mark.parametrize(('size', 'most'), [(1000, 40), (512, 512), (70, 70), (1, 1)])
def test_the_structured_projection_is_part_of_an_orthogonal_matrix_with_columns_of_norm_one(size, most):
  """Against the product of dense matrices in float64."""
  made = projection(size, most, 'hadamard')
  stored = made.draw(KEY)
  p = dense_of(made, stored, most)
  n = len(stored['inner'])
  assert size <= n < 2 * max(size, 2)
  h = scipy.linalg.hadamard(n) / n**0.5
  whole = h @ np.diag(np.asarray(stored['inner'], np.float64)) @ h
  np.testing.assert_allclose(whole @ whole.T, np.eye(n), atol=1e-9)
  cut = np.asarray(stored['outer'], np.float64)[:, None] * whole[:size, :most]
  np.testing.assert_allclose(p, cut / np.linalg.norm(cut, axis=0), atol=2e-6)
  np.testing.assert_allclose(np.linalg.norm(p, axis=0), 1, rtol=1e-5)
  gram = p.T @ p
  # Columns of a random matrix have inner products of size 1 / sqrt(size), those of an orthogonal one none.
  off = np.linalg.norm(gram - np.diag(np.diag(gram))) / most
  assert off <= (1e-4 if size == n else 1.5 / size**0.5)


def test_dense_columns_are_random_and_of_norm_one():
  made = projection(300, 5, 'dense')
  one, two = (dense_of(made, made.draw(key), 5) for key in jax.random.split(KEY))
  np.testing.assert_allclose(np.linalg.norm(one, axis=0), 1, rtol=1e-5)
  assert np.abs(one.T @ two).max() < 0.3


@pytest.mark.parametrize(('size', 'most'), [(1000, 40), (1024, 300), (7, 7), (1, 1)])
def test_the_sparse_projection_is_its_dense_matrix(size, most):
  """Written out in float64: one sign in each stretch of rows. Products and gradients, under vmap over keys."""
  made = projection(size, most, 'sparse')
  keys = jax.random.split(KEY, 3)
  stored = jax.vmap(made.draw)(keys)
  thetas, pull = rng.normal(size=(3, most)).astype(np.float32), rng.normal(size=size).astype(np.float32)
  both = lambda held, theta: (made.times(held, theta), jax.grad(lambda t: made.times(held, t) @ pull)(theta))
  products, gradients = jax.jit(jax.vmap(both))(stored, thetas)
  count = stored['rows'].shape[2]
  assert (count - 1) ** 2 < size <= count**2
  for i in range(3):
    one = made.draw(keys[i])
    chex.assert_trees_all_equal(one, jax.tree.map(lambda v, i=i: v[i], stored))
    p = np.zeros((size, most))
    np.add.at(p, (np.asarray(one['rows']), np.arange(most)[:, None]), np.asarray(one['signs'], np.float64) / count**0.5)
    np.testing.assert_allclose(np.linalg.norm(p, axis=0), 1, rtol=1e-12)
    np.testing.assert_array_equal(np.count_nonzero(p, axis=0), count)
    np.testing.assert_allclose(products[i], p @ thetas[i], atol=1e-5)
    np.testing.assert_allclose(gradients[i], p.T @ pull, atol=1e-5)
    np.testing.assert_allclose(products[i], jax.jit(made.times)(one, thetas[i]), atol=1e-6)


def test_sparse_columns_are_near_orthogonal_and_reach_all_rows_alike():
  """Inner products have mean 0 and standard deviation 1 / sqrt(size), as those of dense columns; the largest of M pairs has
  about sqrt(2 log M / size). Rows hold Poisson numbers of entries, most / sqrt(size) in the mean."""
  size, most = 4900, 300
  made = projection(size, most, 'sparse')
  stored = jax.jit(made.draw)(KEY)
  p = dense_of(made, stored, most)
  inner = (p.T @ p)[np.triu_indices(most, 1)]
  np.testing.assert_allclose(np.std(inner) * size**0.5, 1, atol=0.03)  # 44,850 pairs
  assert abs(np.mean(inner)) * size**0.5 < 0.02
  assert np.abs(inner).max() < 1.5 * (2 * np.log(len(inner)) / size) ** 0.5
  held = np.count_nonzero(p, axis=1)
  np.testing.assert_allclose(held.mean(), most / size**0.5, rtol=1e-6)
  np.testing.assert_allclose(held.var(), held.mean(), rtol=0.15)
  assert sum(v.nbytes for v in jax.tree.leaves(stored)) == 5 * most * 70


# ---- models -------------------------------------------------------------------------------------------------------

X, Y = jnp.asarray(rng.normal(size=(9, 4)), jnp.float32), jnp.asarray(rng.integers(0, 3, 9), jnp.int32)
DATA = Data(Batch(X, Y), Batch(X, Y))
LOSS = losses.cross_entropy()


def model_of(*chosen, module=None, init=None):
  model = network.from_flax(module or models.mlp(3, widths=(6,)), X)
  model = network.initialised(model, init or inits.gaussian())
  for change in chosen:
    model = change(model)
  return model


def within(most, kind='hadamard', dimension=None):
  return transforms.subspace(most=most, kind=kind, dimension=float(most) if dimension is None else dimension)


def start_of(model, key=KEY):
  init = jax.jit(model.init)(key, DATA)
  return network.begun({n: v for n, v in init.items() if n != 'frozen'}, init['frozen'])


@pytest.mark.parametrize('kind', typing.get_args(Kind))
def test_gradient_descent_on_the_coordinates_is_projected_gradient_descent_by_hand(cases, kind):
  """w <- w - lr P P^T grad in float64 with P written out, where only the first `dimension` columns count."""
  base = model_of()
  model = lambda hyper: within(12, kind, hyper['dimension'])(base)
  study = cases.study_of(model, DATA, LOSS, 5, {'distance': probes.distance()}, (0, 5))
  done = train.run(study, (0, 0), {'lr': 0.5, 'dimension': (7.0, 12.0)})
  state, held = (jax.tree.map(lambda x: x[0], tree) for tree in (done.state.variables, done.frozen.drawn['subspace']))
  origin, unflatten = jax.flatten_util.ravel_pytree(held['origin'])
  value = lambda w: objectives.supervised()(base, LOSS, None)({'params': unflatten(w)}, DATA.train, KEY)[0]
  gradient = jax.jit(jax.grad(value))
  p = dense_of(projection(origin.size, 12, kind), held['projection'], 12)[:, :7].astype(np.float64)
  w = np.asarray(origin, np.float64)
  for _ in range(5):
    w = w - 0.5 * p @ (p.T @ np.asarray(gradient(jnp.asarray(w, jnp.float32)), np.float64))
  expected = base.apply({'params': unflatten(jnp.asarray(w, jnp.float32))}, X)
  now = {**state, 'frozen': {'subspace': held}}
  np.testing.assert_allclose(within(12, kind, 7.0)(base).apply(now, X), expected, rtol=1e-4, atol=1e-5)
  assert np.abs(w - np.asarray(origin)).max() > 0.01
  coordinates = np.asarray(state['params']['coordinates'])
  np.testing.assert_array_equal(coordinates != 0, np.arange(12) < 7)
  np.testing.assert_allclose(done.arrays['distance']['distance'][0, -1], np.linalg.norm(coordinates), rtol=1e-5)


@pytest.mark.parametrize('kind', typing.get_args(Kind))
def test_training_starts_at_the_model_s_own_start(kind):
  base = model_of()
  start, plain = start_of(within(12, kind)(base)), jax.jit(base.init)(KEY, DATA)
  chex.assert_trees_all_equal(start['frozen']['subspace']['origin'], plain['params'])
  np.testing.assert_array_equal(start['params']['coordinates'], np.zeros(12))


def test_the_origin_and_the_projection_are_held_once_and_not_in_the_state(cases):
  """A state is the bytes of theta and of the optimizer's moments of it, however large the network."""
  model, members = within(12, 'dense')(model_of()), train.join((0, 1), {'lr': 0.1})
  study = cases.study_of(model, DATA, LOSS, 1, optimizer=lambda hyper: optim.momentum(lr=hyper['lr']))
  state, frozen = jax.eval_shape(jax.vmap(stages.start(study), (0, None)), members, DATA)
  size = lambda tree: sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
  assert size(state) == 2 * (12 + 12) * 4
  assert set(state.variables) == set(frozen.initial) == {'params'}
  weights = 4 * 6 + 6 + 6 * 3 + 3
  assert size(frozen) == 2 * (12 + weights + weights * 12) * 4


def test_a_kernel_in_a_subspace_is_that_of_its_coordinates():
  """J P P^T J^T from dense Jacobians of the network itself."""
  base = model_of(transforms.ntk())
  model = within(8, 'dense', 5.0)(base)
  variables = start_of(model)
  held = variables['frozen']['subspace']
  flat, unflatten = jax.flatten_util.ravel_pytree(held['origin'])
  jacobian = jax.jit(jax.jacobian(lambda w: base.apply({'params': unflatten(w)}, X)))(flat).reshape(27, -1)
  features = (np.asarray(jacobian) @ np.asarray(held['projection']['matrix'])[:, :5]).reshape(9, 3, 5)
  np.testing.assert_allclose(ntk(model.apply, variables, X), np.einsum('akp,bkp->ab', features, features), rtol=1e-3, atol=1e-4)


def test_a_start_that_looks_at_the_data_is_the_origin():
  linear = model_of(module=models.linear(3, widths=(4,)), init=inits.aligned())
  start, expected = start_of(within(5)(linear)), jax.jit(linear.init)(KEY, DATA)
  chex.assert_trees_all_equal(start['frozen']['subspace']['origin'], expected['params'])
  other = DATA._replace(train=Batch(X[::-1] + 1, Y))
  moved = jax.jit(linear.init)(KEY, other)['params']['input']['kernel']
  assert not np.allclose(moved, expected['params']['input']['kernel'])


def test_more_columns_than_parameters_are_refused():
  with pytest.raises(ValueError, match=r'subspace: most is 100, but the network has only 51 parameters'):
    within(100)(model_of()).init(KEY, DATA)


def test_more_coordinates_than_columns_are_refused():
  with pytest.raises(ValueError, match=r'hyper.dimension is 9, but a subspace has transforms.subspace.most, 5, coordinates'):
    within(5, dimension=9.0)


def test_a_tangent_model_in_a_subspace_is_linear_in_the_coordinates():
  """f(w0) + J P theta, from a dense Jacobian, beside statistics that training carries along."""

  class Normed(nn.Module):
    @nn.compact
    def __call__(self, x, train):
      x = nn.BatchNorm(use_running_average=not train, dtype=jnp.float32)(x)
      return nn.Dense(3)(nn.tanh(nn.Dense(5)(x)))

  plain = model_of(module=Normed())
  model = within(6, 'dense')(transforms.linearised()(plain))
  variables = start_of(model)
  theta = jnp.asarray(rng.normal(size=6), jnp.float32)
  moved, held = {**variables, 'params': {'coordinates': theta}}, variables['frozen']['subspace']
  flat, unflatten = jax.flatten_util.ravel_pytree(held['origin'])
  f = lambda w: plain.apply({'params': unflatten(w), 'batch_stats': variables['batch_stats']}, X)
  change = jax.jit(jax.jacobian(f))(flat) @ (held['projection']['matrix'] @ theta)
  np.testing.assert_allclose(model.apply(moved, X), f(flat) + change, rtol=1e-4, atol=1e-5)
  assert list(model.forward(moved, X, train=True)[1].mutated) == ['batch_stats']
