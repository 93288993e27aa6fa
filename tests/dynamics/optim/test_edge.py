"""The rate from the batch's Hessian: against spectra that are known, and inside of training."""

import functools

import chex
import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import losses, models, network, objectives, optim, parallel, train, trees
from dynamics.data.sampling import sampler
from dynamics.study import Study
from dynamics.types import Batch, Data, Problem, Task

rng = np.random.default_rng(3)
VALUES = np.array([5.0, 3.0, 2.0, 1.0, 0.5, 0.5])
Q = np.linalg.qr(rng.normal(size=(6, 6)))[0]
START = {'a': rng.normal(size=(2, 2)), 'b': rng.normal(size=2)}


def curved(values):
  """A of w -> w^T A w / 2, with these eigenvalues."""
  return jnp.asarray((Q * values) @ Q.T)


def gradient(matrix, params):
  flat, unravel = jax.flatten_util.ravel_pytree(params)
  return unravel(matrix @ flat)


@functools.partial(jax.jit, static_argnums=0)
def updated(optimizer, matrix, updates, state, params):
  """(updates, state) after one call of the optimizer on that bowl."""
  return optimizer.update(updates, state, params, hessian=lambda params: lambda v: gradient(matrix, v))


def rate(optimizer, matrix, updates, state):
  """(the update over the gradient, the new state)."""
  out, state = updated(optimizer, matrix, updates, state, START)
  ratios = np.concatenate([np.ravel(o / u) for o, u in zip(jax.tree.leaves(out), jax.tree.leaves(updates), strict=True)])
  np.testing.assert_allclose(ratios, ratios[0], rtol=1e-12)
  return float(ratios[0]), state


EVERY_STEP = optim.edge(every=1)  # as one object, it compiles once for all tests


def test_on_a_quadratic_the_rate_is_2_over_the_largest_eigenvalue_and_descent_converges(wide):
  """Six eigenvalues, of which two are the same: five products are all it takes. Past the edge it diverges."""
  matrix, make = curved(VALUES), lambda lr: optim.on_the_fly(lanczos=5, every=1, lr=lr)

  @jax.jit
  def walk(lr):
    optimizer = make(lr)

    def step(_, carry):
      params, state = carry
      hessian = lambda params: lambda v: gradient(matrix, v)
      updates, state = optimizer.update(gradient(matrix, params), state, params, hessian=hessian)
      return jax.tree.map(jnp.add, params, updates), state

    first = jax.tree.map(jnp.asarray, START)
    return trees.norm(jax.lax.fori_loop(0, 60, step, (first, optimizer.init(first)))[0])

  optimizer = make(jnp.float64(0.5))
  np.testing.assert_allclose(rate(optimizer, matrix, gradient(matrix, START), optimizer.init(START))[0], -1 / 5, rtol=1e-12)
  slowest = (1 - 0.5 / 5) ** 60  # of the smallest eigenvalue
  start = trees.norm(START)
  assert 0.1 * slowest * start < walk(0.5) < slowest * start
  assert walk(1.1) > start * 100


def test_weight_decay_is_part_of_the_curvature(wide):
  optimizer = optim.on_the_fly(lr=jnp.float64(1), weight_decay=jnp.float64(0.7))
  matrix = curved(VALUES)
  g = gradient(matrix, START)
  updates, _ = updated(optimizer, matrix, g, optimizer.init(START), START)
  penalised = jax.tree.map(lambda g, w: -2 / 5.7 * (g + 0.7 * w), g, START)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10), updates, penalised)


def test_the_eigenvalue_rises_at_once_falls_slowly_and_is_looked_for_at_its_times(wide):
  optimizer = optim.edge(every=2, lanczos=6, hold=0.9)
  state, seen = optimizer.init(START), []
  for scale in (1, 9, 0.1, 9, 3, 3):  # the curvature of odd steps is not computed
    matrix = curved(scale * VALUES)
    step_size, state = rate(optimizer, matrix, gradient(matrix, START), state)
    seen.append(2 / step_size)
  np.testing.assert_allclose(seen, [5, 5, 4.5, 4.5, 15, 15], rtol=1e-10)


@pytest.mark.parametrize('factor', [0, -1, np.nan], ids=['zero', 'negative', 'nan'])
def test_where_there_is_no_positive_curvature_the_rate_stays(wide, factor):
  positive, none = curved(VALUES), curved(factor * VALUES)
  state, g = EVERY_STEP.init(START), gradient(positive, START)
  first, state = rate(EVERY_STEP, none, g, state)
  assert (first, float(state.largest)) == (0, 0)  # nothing is known yet, and nothing moves
  known, state = rate(EVERY_STEP, positive, g, state)
  after, state = rate(EVERY_STEP, none, g, state)
  np.testing.assert_allclose([known, after], 2 / 5, rtol=1e-12)
  lost, state = updated(EVERY_STEP, positive, jax.tree.map(lambda x: x * jnp.nan, g), state, START)
  assert np.isnan(lost['b']).all()  # a diverged run must show
  assert np.isfinite(state.largest)


def test_it_says_what_it_needs():
  ones = {'w': jnp.ones(3)}
  optimizer = optim.edge()
  with pytest.raises(ValueError, match='`hessian`'):
    optimizer.update(ones, optimizer.init(ones), ones)
  with pytest.raises(TypeError, match="'evry'"):
    optim.on_the_fly(lr=1.0, evry=3)


# ---- in training ------------------------------------------------------------------------------------------------

X, Y = rng.normal(size=(16, 4)).astype(np.float32), rng.integers(0, 3, 16).astype(np.int32)
DATA = Data(Batch(jnp.asarray(X), jnp.asarray(Y)), Batch(jnp.asarray(X), jnp.asarray(Y)))
MODEL = network.from_flax(models.mlp(3, None, widths=(6,), activation='tanh'), X[:1])
LOSS, BATCH, LANCZOS = losses.cross_entropy(), sampler(size=8), 20
OBJECTIVE = objectives.supervised()(MODEL, LOSS, None)


def problem(hyper, source):
  optimizer = optim.on_the_fly(every=3, lanczos=LANCZOS, lr=hyper['lr'])
  return Problem(Task(lambda key: DATA, 3), MODEL, LOSS, OBJECTIVE, optimizer, BATCH)


@functools.cache
def programs(layout, shards):
  return train.compile_programs(Study(problem, 7), parallel.mesh(1, shards, jax.devices()[:shards]), layout=layout)


def after(steps, layout='map', shards=1, resume=None):
  """(state, frozen) of two members."""
  compiled, members = programs(layout, shards), train.join((0, 1), {'lr': (0.5, 0.4)})
  draws = compiled.data(members)
  first, state, frozen = (0, *compiled.start(members, draws)) if resume is None else resume
  state, frozen = (parallel.place(tree, compiled.grid, split=True) for tree in (state, frozen))
  return jax.device_get((compiled.advance(state, frozen, members, draws, first, steps), frozen))


def edge_of(state):
  return next(s for s in jax.tree.leaves(state.opt_state, is_leaf=lambda s: hasattr(s, 'largest')) if hasattr(s, 'largest'))


def test_the_eigenvalue_is_that_of_the_dense_hessian_of_the_batch():
  """20 products on 51 parameters: within a thousandth."""
  state, frozen = after(1)
  first = lambda i: jax.flatten_util.ravel_pytree(jax.tree.map(lambda x: x[i], frozen.initial['params']))
  unravel = first(0)[1]

  @jax.jit
  def dense(w, key):
    batch = BATCH(key, DATA, jnp.int32(0))
    return jax.hessian(lambda w: OBJECTIVE({'params': unravel(w)}, batch, key)[0])(w)

  hessians = [dense(first(i)[0], trees.named_key(train.seed_key(seed), 'batch')) for i, seed in enumerate((0, 1))]
  expected = [np.linalg.eigvalsh(np.asarray(hessian, np.float64))[-1] for hessian in hessians]
  np.testing.assert_allclose(edge_of(state).largest, expected, rtol=1e-3)


def test_layouts_and_devices_agree_and_a_run_goes_on_to_the_bit():
  """A batch that is split over two devices has the Hessian of the whole."""
  whole, _ = after(7)
  np.testing.assert_array_equal(edge_of(whole).count, [7, 7])
  for other, _ in (after(7, 'vmap'), after(7, shards=2)):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-5), whole, other)
  chex.assert_trees_all_equal(whole, after(7, resume=(4, *after(4)))[0])
