"""The loss on lines and planes through the weights: in random directions, down the gradient, and between two networks."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from dynamics import trees
from dynamics.losses import Loss, correct, mean
from dynamics.matching import matched
from dynamics.schema import Range
from dynamics.types import Array, Batch, Key, Probe, Tree, Variables, stateless

ROUNDING = 1e-6  # of the largest loss on a line: a rise of less is none


def landscape(
  apply: Callable[..., Array],
  loss: Loss,
  *,
  examples: Range(int, least=1) = 256,
  points: Range(int, least=2) = 21,
  reach: Range(float, above=0.0) = 1.0,
  directions: Range(int, least=2) = 8,
  plane: bool = False,
) -> Probe:
  """The loss on the first `examples` training examples at weights w + r d: d down the gradient, and random directions.

  Reading: offset (r,), `points` from -reach to reach, in units of |w|, because every d is as long as w; gradient (r,), the loss
    along -g |w| / |g|, NaN where g is exactly zero; random (r,), the mean loss over `directions` random ones, each parameter
    array of which is as long as that of w, and random_se (r,), its standard error. With `plane` plane (r, r), the loss at
    w + r_i d_1 + r_j d_2 for the first two random directions: one draw, which has no error. In the loss's unit.
  Cost: one gradient and (directions + 1) x points forward passes over the examples, one after the other; points^2 more with
    `plane`. Memory of one pass and four vectors of the parameters' size; none between readings.
  Oracle: a quadratic loss, in closed form; numpy in float64 on the same directions.
  Source: 1712.09913 (filter normalisation and planes; here a whole parameter array counts as one filter).
  """

  def read(view, key):
    (x, y), params = _first(view, examples), view.variables['params']
    level = lambda params: mean(loss(apply({**view.variables, 'params': params}, x), y))
    far = jnp.linspace(-reach, reach, points, dtype=jnp.float32)
    along = lambda start, d: jax.lax.map(lambda r: level(_moved(start, r, d)), far)
    ray = lambda i: _ray(jax.random.fold_in(key, i), params)
    grads = jax.grad(level)(params)
    scale = trees.norm(params) / trees.norm(grads)
    down = jax.tree.map(lambda g: -g * scale.astype(g.dtype), grads)
    line = lambda i: along(params, jax.tree.map(lambda z, d: jnp.where(i < directions, z, d), ray(i), down))
    # The last line is that of the gradient, so all of them share one forward pass to compile.
    levels = jax.lax.map(line, jnp.arange(directions + 1, dtype=jnp.int32))  # (directions + 1, r)
    out = {
      'offset': far,
      'gradient': levels[-1],
      'random': jnp.mean(levels[:-1], axis=0),
      'random_se': jnp.std(levels[:-1], axis=0, ddof=1) / directions**0.5,
    }
    if plane:
      both = jax.lax.map(ray, jnp.arange(2, dtype=jnp.int32))
      one, two = (jax.tree.map(lambda z, i=i: z[i], both) for i in range(2))
      out['plane'] = jax.lax.map(lambda r: along(_moved(params, r, one), two), far)
    return out

  return stateless(read)


def interpolation(
  apply: Callable[..., Array],
  loss: Loss,
  *,
  examples: Range(int, least=1) = 256,
  points: Range(int, least=2) = 21,
) -> Probe:
  """The straight line from the network of step 0 to that of now, on the first `examples` training examples.

  Reading: share (r,), `points` from 0, step 0, to 1, now; loss (r,), in the loss's unit, and accuracy (r,), a share of 1;
    barrier (), the largest loss above the straight line between the losses of both ends, at least 0; rise (), the largest rise
    of the loss from a point to a later one, at least 0, in the loss's unit; falls (), 1 where the loss falls all the way or
    stays, up to rounding, and else 0, NaN where a loss is. Batch statistics are interpolated like the weights, so the ends are
    the two networks; between them they are not those that the weights would gather.
  Cost: `points` forward passes over the examples, one after the other; memory of one pass.
  Oracle: a quadratic loss, in closed form; numpy in float64.
  Source: 1412.6544 (the line), 2104.11044 (monotonic linear interpolation), 1912.05671 (barriers).
  """

  def read(view, key):
    levels, accuracy = _line(apply, loss, view.anchor, view.variables, _first(view, examples), points)
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
  one: Variables,
  two: Variables,
  batch: Batch,
  points: int = 21,
  *,
  match: bool = False,
) -> Array:
  """The loss barrier between two networks, 0 where they are linearly connected: a scalar, at least 0, in the loss's unit.

  The largest loss on `points` of the line between them above the straight line between their own losses. Collections beside the
  parameters are interpolated too. With `match` the hidden units of `two` are first permuted to lie near those of `one`, by
  `dynamics.matching.matched`, which says which networks it refuses. Source: 1912.05671, which takes the mean of both ends for the
  straight line; 2209.04836 (matching).
  """
  two = matched(apply, one, two, batch.x) if match else two
  return _barrier(_line(apply, loss, one, two, batch, points)[0])


def _line(apply, loss, one: Variables, two: Variables, batch: Batch, points: int) -> tuple[Array, Array]:
  """(loss, accuracy), each (points,), from one to two. What is not a float, such as a counter, is that of two."""

  def between(a, b, r):
    if not jnp.issubdtype(b.dtype, jnp.floating):
      return b
    return jnp.where(r < 1, a + r.astype(a.dtype) * (b - a), b)  # a + (b - a) need not be b

  def at(r):
    outputs = apply(jax.tree.map(lambda a, b: between(a, b, r), one, two), batch.x)
    return mean(loss(outputs, batch.y)), jnp.mean(correct(outputs, batch.y).astype(jnp.float32))

  return jax.lax.map(at, _shares(points))


def _shares(points: int) -> Array:
  return jnp.linspace(0, 1, points, dtype=jnp.float32)


def _barrier(levels: Array) -> Array:
  chord = levels[0] + _shares(levels.shape[0]).astype(levels.dtype) * (levels[-1] - levels[0])
  return jnp.max(levels - chord)  # exactly 0 at the first point, so never below


def _first(view, examples: int) -> Batch:
  return jax.tree.map(lambda x: x[:examples], view.data.train)


def _moved(params: Tree, r: Array, direction: Tree) -> Tree:
  return jax.tree.map(lambda w, d: w + r.astype(w.dtype) * d, params, direction)


def _ray(key: Key, params: Tree) -> Tree:
  """A random direction, uniform on a sphere for each parameter array, there as long as the array."""

  def leaf(name, w):
    z = jax.random.normal(trees.named_key(key, name), w.shape, jnp.float32)
    return z.astype(w.dtype) * (trees.norm(w) / trees.norm(z).astype(trees.at_least_float32(w).dtype)).astype(w.dtype)

  return jax.tree.unflatten(jax.tree.structure(params), [leaf(name, w) for name, w in trees.by_path(params).items()])
