"""The path of the weights: how far they walked for what they moved, and how rough the loss is around them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from dynamics import trees
from dynamics.components import component
from dynamics.probes.evaluation import mean_loss
from dynamics.schema import Range
from dynamics.types import Array, Probe, Tree, stateless


class Walk(NamedTuple):
  """Of the updates u_s so far."""

  last: Tree  # u_{t-1}; zeros before the first step
  length: Array  # sum of |u_s|, since step 0
  square: Array  # sum of |u_s|^2, since step 0
  pairs: Array  # successive pairs of updates that are both not zero, since the last reading, as are the rest
  cosines: Array  # sum over them of the cosine
  products: Array  # sum of <u_s, u_{s-1}>
  squares: Array  # sum of |u_s|^2, of those with a predecessor


@component()
def path() -> Probe:
  """Whether training walks straight, at random or back and forth; u_s are its updates. NaN where there was no step or pair.

  Reading:
    length (), a parameter: the sum of |u_s| since step 0.
    straightness (): |w - w0| / length, 1 on a line.
    wander (): |w - w0| / sqrt(sum of |u_s|^2): 1 on average where updates are uncorrelated, sqrt(t) on a line of equal steps,
      below 1 where they turn back.
    cosine (): of successive updates, its mean over the steps since the last reading; 0 for uncorrelated ones.
    autocorrelation (): the sum of <u_s, u_{s-1}> over that of |u_s|^2 since the last reading.
  Cost: a norm and a product a step, inside the training loop; a copy of the parameters and six scalars of state.
  Oracle: numpy in float64 on the weights of every step.
  Source: 1705.08741 (the walk); the statistics are ours.
  """
  zero = jnp.float32(0)

  def init(view):
    return Walk(jax.tree.map(jnp.zeros_like, view.variables['params']), zero, zero, jnp.int32(0), zero, zero, zero)

  def update(state, info):
    now, before = trees.norm(info.updates), trees.norm(state.last)
    product = trees.dot(info.updates, state.last)
    pair = (now > 0) & (before > 0)
    cosine = jnp.where(pair, product / jnp.where(pair, now * before, 1), 0)
    f32 = lambda x: x.astype(jnp.float32)
    return Walk(
      info.updates,
      state.length + f32(now),
      state.square + f32(now**2),
      state.pairs + pair.astype(jnp.int32),
      state.cosines + f32(cosine),
      state.products + f32(product),
      state.squares + f32(jnp.where(before > 0, now**2, 0)),
    )

  def measure(view, state, key):
    away = trees.norm(trees.subtract(view.variables['params'], view.initial['params'])).astype(jnp.float32)
    ratio = lambda a, b: jnp.where(b > 0, a / b, jnp.float32(jnp.nan))
    reading = {
      'length': state.length,
      'straightness': ratio(away, state.length),
      'wander': ratio(away, jnp.sqrt(state.square)),
      'cosine': ratio(state.cosines, state.pairs.astype(jnp.float32)),
      'autocorrelation': ratio(state.products, state.squares),
    }
    return reading, state._replace(pairs=jnp.int32(0), cosines=zero, products=zero, squares=zero)

  return Probe(init, measure, update)


@component()
def potential(
  *,
  nearest: Range(float, above=0.0) = 0.1,
  farthest: Range(float, above=0.0) = 10.0,
  points: Range(int, least=2) = 7,
  directions: Range(int, least=2) = 16,
) -> Probe:
  """How the training loss differs from that of weights at a distance, in random directions: the exponent of a random potential.

  For a smooth loss the exponent is 2 where r is small.

  Reading:
    distance (r,), a parameter: `points` from `nearest` to `farthest`, even in the logarithm.
    square (r,), the loss squared: the mean of (L(w + r z) - L(w))^2 over `directions` z, uniform on the unit sphere of all
      parameters.
    square_se (r,), the loss squared: its standard error.
    exponent (): the least-squares slope of log square on log distance.
    exponent_se (): its jackknife error over directions.
  Cost: `points` x `directions` forward passes over the training set, one after the other; memory of one.
  Oracle: a quadratic loss, whose squares have a closed form; numpy in float64 on the same directions.
  Source: 1705.08741: if E |L(w1) - L(w2)|^2 ~ |w1 - w2|^alpha, then |w - w0| ~ (log t)^(2 / alpha).
  """

  def ray(key, params):
    leaves = [
      jax.random.normal(trees.named_key(key, name), w.shape, jnp.float32).astype(w.dtype)
      for name, w in trees.by_path(params).items()
    ]
    drawn = jax.tree.unflatten(jax.tree.structure(params), leaves)
    size = trees.norm(drawn)
    return jax.tree.map(lambda z: z / size.astype(z.dtype), drawn)

  def read(view, key):
    params, value = view.variables['params'], mean_loss(view, view.data.train)
    r = jnp.float32(nearest) * jnp.float32(farthest / nearest) ** jnp.linspace(0, 1, points, dtype=jnp.float32)
    level = lambda params: value(params).astype(jnp.float32)
    here = level(params)

    def along(i):
      z = ray(jax.random.fold_in(key, i), params)
      return jax.lax.map(lambda r: level(jax.tree.map(lambda w, v: w + r.astype(w.dtype) * v, params, z)) - here, r)

    squares = jnp.square(jax.lax.map(along, jnp.arange(directions, dtype=jnp.int32)))  # (directions, r)
    without = (jnp.sum(squares, axis=0, keepdims=True) - squares) / (directions - 1)
    slopes = _slope(jnp.log(r), jnp.log(without))
    average = jnp.mean(squares, axis=0)
    return {
      'distance': r,
      'square': average,
      'square_se': jnp.std(squares, axis=0, ddof=1) / directions**0.5,
      'exponent': _slope(jnp.log(r), jnp.log(average)),
      'exponent_se': jnp.sqrt((directions - 1) * jnp.mean(jnp.square(slopes - jnp.mean(slopes)))),
    }

  return stateless(read)


def _slope(x: Array, y: Array) -> Array:
  """Of the least-squares line of y (..., n) on x (n,)."""
  away = x - jnp.mean(x)
  return y @ away / (away @ away)
