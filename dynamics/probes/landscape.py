"""The loss on lines and planes through the weights: in random directions, down the gradient, and between two networks."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from dynamics import trees
from dynamics.components import component
from dynamics.matching import matched
from dynamics.network import HELD
from dynamics.probes.evaluation import first, mean, mean_loss, score
from dynamics.schema import Range
from dynamics.types import Array, Batch, Key, Loss, Probe, Tree, Variables, stateless

ROUNDING = 1e-6  # of the largest loss on a line: a rise of less is none


@component()
def landscape(
  *,
  examples: Range(int, least=1) = 256,
  points: Range(int, least=2) = 21,
  reach: Range(float, above=0.0) = 1.0,
  directions: Range(int, least=2) = 8,
  plane: bool = False,
) -> Probe:
  """The loss on the first `examples` training examples at weights w + r d: d down the gradient, and random directions.

  Reading:
    offset (r,), the length of w: `points` from -reach to reach, because every d is as long as w.
    gradient (r,), unit of the loss: the loss along -g |w| / |g|; NaN where g is exactly zero.
    random (r,), unit of the loss: the mean over `directions` random ones, each parameter array of which is as long as that of w.
    random_se (r,), unit of the loss: the standard error of random, over directions.
    plane (r, r), unit of the loss: the loss at w + r_i d_1 + r_j d_2 for the first two random directions, with `plane`: one draw,
      which has no error.
  Cost: one gradient and (directions + 1) x points forward passes over the examples, one after the other; points^2 more with
    `plane`. Memory of one pass and four vectors of the parameters' size; no state.
  Oracle: a quadratic loss, in closed form; numpy in float64 on the same directions.
  Source: 1712.09913 (filter normalisation and planes; here a whole parameter array counts as one filter).
  """

  def read(view, key):
    params, level = view.variables['params'], mean_loss(view, first(view.data.train, examples))
    offset = jnp.linspace(-reach, reach, points, dtype=jnp.float32)
    along = lambda start, d: jax.lax.map(lambda r: level(_moved(start, r, d)), offset)
    ray = lambda i: _ray(jax.random.fold_in(key, i), params)
    grads = jax.grad(level)(params)
    scale = trees.norm(params) / trees.norm(grads)
    down = jax.tree.map(lambda g: -g * scale.astype(g.dtype), grads)
    line = lambda i: along(params, jax.tree.map(lambda z, d: jnp.where(i < directions, z, d), ray(i), down))
    # The last line is that of the gradient, so all of them share one forward pass to compile.
    levels = jax.lax.map(line, jnp.arange(directions + 1, dtype=jnp.int32))  # (directions + 1, r)
    reading = {
      'offset': offset,
      'gradient': levels[-1],
      'random': jnp.mean(levels[:-1], axis=0),
      'random_se': jnp.std(levels[:-1], axis=0, ddof=1) / directions**0.5,
    }
    if plane:
      rays = jax.lax.map(ray, jnp.arange(2, dtype=jnp.int32))
      across, up = (jax.tree.map(lambda z, i=i: z[i], rays) for i in range(2))
      reading['plane'] = jax.lax.map(lambda r: along(_moved(params, r, across), up), offset)
    return reading

  return stateless(read)


@component()
def interpolation(*, examples: Range(int, least=1) = 256, points: Range(int, least=2) = 21) -> Probe:
  """The straight line from the network of step 0 to that of now, on the first `examples` training examples.

  Batch statistics are interpolated like the weights, so the ends are the two networks; between them they are not those that the
  weights would gather.

  Reading:
    share (r,): `points` from 0, step 0, to 1, now.
    loss (r,), unit of the loss: the loss there.
    accuracy (r,): the share of right predictions there.
    barrier (), unit of the loss: the largest loss above the straight line between the losses of both ends, at least 0.
    rise (), unit of the loss: the largest rise of the loss from a point to a later one, at least 0.
    falls (): 1 where the loss falls all the way or stays, up to rounding, and else 0; NaN where a loss is.
  Cost: `points` forward passes over the examples, one after the other; memory of one pass.
  Oracle: a quadratic loss, in closed form; numpy in float64.
  Source: 1412.6544 (the line), 2104.11044 (monotonic linear interpolation), 1912.05671 (barriers).
  """

  def read(view, key):
    batch = first(view.data.train, examples)
    levels, accuracy = _line(view.problem.model.apply, view.problem.loss, view.initial, view.variables, batch, points)
    rise = jnp.max(levels - jax.lax.cummin(levels))
    flat = rise <= ROUNDING * jnp.max(jnp.abs(levels))
    return {
      'share': _shares(points),
      'loss': levels,
      'accuracy': accuracy,
      'barrier': _barrier(levels),
      'rise': rise,
      'falls': jnp.where(jnp.all(jnp.isfinite(levels)), flat.astype(jnp.float32), jnp.nan),
    }

  return stateless(read)


def barrier(
  apply: Callable[..., Array],
  loss: Loss,
  start: Variables,
  end: Variables,
  batch: Batch,
  points: int = 21,
  *,
  match: bool = False,
) -> Array:
  """The loss barrier between two networks, 0 where they are linearly connected: a scalar, at least 0, in the loss's unit.

  The largest loss on `points` of the line between them above the straight line between their own losses. The parameters, and the
  collections that training changes, are interpolated. 'initial' and 'frozen' are those of `end`: where a transform reads them,
  the first point is the network `start` only if both networks share them. With `match` the hidden units of `end` are first
  permuted to lie near those of `start`, by `dynamics.matching.matched`, which says which networks it refuses.
  Source: 1912.05671, which takes the mean of both ends for the straight line; 2209.04836 (matching).
  """
  end = matched(apply, start, end, batch.x) if match else end
  return _barrier(_line(apply, loss, start, end, batch, points)[0])


def _line(apply, loss: Loss, start: Variables, end: Variables, batch: Batch, points: int) -> tuple[Array, Array]:
  """(loss, accuracy), each (points,). What is not a float, such as a counter, and what is held, is that of `end`."""
  held = {name: value for name, value in end.items() if name in HELD}
  start, end = ({name: value for name, value in variables.items() if name not in HELD} for variables in (start, end))

  def between(a, b, r):
    if not jnp.issubdtype(b.dtype, jnp.floating):
      return b
    return jnp.where(r < 1, a + r.astype(a.dtype) * (b - a), b)  # a + (b - a) need not be b

  def at(r):
    variables = {**held, **jax.tree.map(lambda a, b: between(a, b, r), start, end)}
    scores = score(loss, apply(variables, batch.x), batch.y)
    return mean(scores.losses, scores.counts).mean, mean(scores.hits, scores.counts).mean

  return jax.lax.map(at, _shares(points))


def _shares(points: int) -> Array:
  return jnp.linspace(0, 1, points, dtype=jnp.float32)


def _barrier(levels: Array) -> Array:
  chord = levels[0] + _shares(levels.shape[0]).astype(levels.dtype) * (levels[-1] - levels[0])
  return jnp.max(levels - chord)  # exactly 0 at the first point, so never below


def _moved(params: Tree, r: Array, direction: Tree) -> Tree:
  return jax.tree.map(lambda w, d: w + r.astype(w.dtype) * d, params, direction)


def _ray(key: Key, params: Tree) -> Tree:
  """A random direction, uniform on a sphere for each parameter array, there as long as the array."""

  def leaf(name, w):
    z = jax.random.normal(trees.named_key(key, name), w.shape, jnp.float32)
    return z.astype(w.dtype) * (trees.norm(w) / trees.norm(z).astype(trees.at_least_float32(w).dtype)).astype(w.dtype)

  return jax.tree.unflatten(jax.tree.structure(params), [leaf(name, w) for name, w in trees.by_path(params).items()])
