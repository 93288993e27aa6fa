"""The noise of minibatches: in the gradient, and in the largest eigenvalue of the Hessian."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from dynamics import losses, trees
from dynamics.linalg import products
from dynamics.linalg.eigen import eigsh
from dynamics.linalg.traces import estimate
from dynamics.losses import Loss
from dynamics.schema import Range
from dynamics.types import Array, Key, Probe, stateless


def gradient_noise(
  apply: Callable[..., Array],
  loss: Loss,
  *,
  examples: Range(int, least=3) = 256,
  chunk: Range(int, least=1) = 32,
  leaves: bool = False,
) -> Probe:
  """The covariance C of the gradients of single examples, and g, their mean, on the first `examples` training examples.

  Reading: noise_scale (), tr(C) / |g|^2, in examples: from a batch of that many on, the gradient outweighs its noise; NaN where
    the estimate of |g|^2 is not positive. trace (), tr(C), and gradient_square (), |g|^2 less tr(C) / n: both unbiased for
    the distribution of which the n examples are independent draws, in the loss's unit over a parameter, squared. Each has
    its jackknife standard error, noise_scale_se (by the delta method), trace_se and gradient_square_se. along (), the share
    g'Cg / (|g|^2 tr(C)) of the noise along the mean gradient, not corrected for n. With `leaves` noise_scale_of/, trace_of/
    and gradient_square_of/ of each parameter array. NaN of fewer than 3 examples.
  Cost: the gradient of the examples, and that of each one; `chunk` vectors of the parameters' size while it runs. No memory.
  Oracle: numpy in float64 on the dense gradients of all examples, with the jackknife done by leaving each one out.
  Source: 1812.06162 (the simple noise scale).
  """

  def read(view, key):
    params, batch = view.variables['params'], jax.tree.map(lambda x: x[:examples], view.data.train)
    outputs = lambda p, x: apply({**view.variables, 'params': p}, x)
    value = lambda p, x, y: losses.mean(loss(outputs(p, x), y))
    n = batch.x.shape[0]
    with jax.default_matmul_precision('float32'):
      mean = trees.by_path(jax.grad(value)(params, batch.x, batch.y))
      mean = {path: trees.at_least_float32(g) for path, g in mean.items()}

      def one(example):
        """(|g_i - g|^2, <g_i - g, g>) of each array. Differences are taken first: squares of g_i would drown them."""
        own = trees.by_path(jax.grad(value)(params, example.x[None], example.y[None]))
        away = {path: trees.at_least_float32(g) - mean[path] for path, g in own.items()}
        return {path: (trees.dot(d, d), trees.dot(d, mean[path])) for path, d in away.items()}

      each = jax.lax.map(one, batch, batch_size=min(chunk, n))
    whole = _noise(sum(d for d, _ in each.values()), sum(c for _, c in each.values()), trees.dot(mean, mean))
    if leaves:
      parts = {path: _noise(d, c, trees.dot(mean[path], mean[path])) for path, (d, c) in each.items()}
      whole |= {
        f'{name}_of': {path: part[name] for path, part in parts.items()} for name in ('noise_scale', 'trace', 'gradient_square')
      }
    return whole

  return stateless(read)


def batch_curvature(
  apply: Callable[..., Array],
  loss: Loss,
  *,
  examples: Range(int, least=1) = 1024,
  sizes: tuple[Range(int, least=1), ...] = (16, 64, 256),
  draws: Range(int, least=1) = 8,
  tolerance: Range(float, above=0.0) = 1e-3,
  limit: Range(int, least=1) = 300,
) -> Probe:
  """The largest eigenvalue of the Hessian of the loss on random minibatches, beside that on all of the examples.

  Reading: largest (sizes,), the mean over `draws` batches of each size, and largest_se, its standard error, NaN for one draw;
    full (), that of the first `examples` training examples, out of which the batches are drawn anew and with replacement;
    excess (sizes,), largest less full; size (sizes,), the examples of a batch; residual (sizes,), the largest |H u - value u|
    of the draws, within which an eigenvalue lies, and full_residual (). Eigenvalues have the unit of the loss over a
    parameter squared.
  Cost: 30 to 100 Hessian-vector products for all examples and for each of `draws` x sizes batches, one batch after the other,
    at most about `limit` each; some 20 vectors of the parameters' size while it runs. No memory.
  Oracle: numpy's eigenvalues of the dense Hessians of the same batches in float64.
  Source: 2006.09092 (the mean extreme eigenvalue against the size of the batch).
  """

  def read(view, key):
    params, data = view.variables['params'], jax.tree.map(lambda x: x[:examples], view.data.train)
    whole = lambda p, x: apply({**view.variables, 'params': p}, x)

    def largest(batch, key):
      matvec = products.loss_hessian(whole, loss, params, batch)
      found = eigsh(matvec, params, 1, key, tolerance=tolerance, products=limit)
      return found.values[0], found.residuals[0]

    def several(size):
      one = lambda key: largest(jax.tree.map(lambda x: x[minibatch(key, n, size)], data), trees.named_key(key, 'start'))
      return jax.lax.map(one, batch_keys(key, size, draws))

    n = data.x.shape[0]
    full, full_residual = largest(data, trees.named_key(key, 'full'))
    found = [several(size) for size in sizes]
    means = [estimate(values) for values, _ in found]
    mean = jnp.stack([some.mean for some in means])
    return {
      'largest': mean,
      'largest_se': jnp.stack([some.error for some in means]),
      'full': full,
      'excess': mean - full,
      'size': jnp.asarray(sizes, jnp.int32),
      'residual': jnp.stack([jnp.max(residuals) for _, residuals in found]),
      'full_residual': full_residual,
    }

  return stateless(read)


def batch_keys(key: Key, size: int, draws: int) -> Key:
  """(draws,) keys of the minibatches of one size: the same, whatever other sizes there are."""
  return jax.random.split(trees.named_key(key, f'batches of {size}'), draws)


def minibatch(key: Key, n: int, size: int) -> Array:
  """(size,) rows out of n, each drawn anew, so that a batch may be of any size and its Hessian has the variance 1 / size."""
  return jax.random.randint(trees.named_key(key, 'rows'), (size,), 0, n, dtype=jnp.int32)


def _noise(away: Array, along: Array, square: Array) -> dict[str, Array]:
  """The readings from |g_i - g|^2 (n,), <g_i - g, g> (n,) and |g|^2 ()."""
  n = away.shape[0]
  trace = jnp.sum(away) / (n - 1)
  gradient = square - trace / n
  # What both would be without example i: the mean of the others is g - (g_i - g) / (n - 1).
  trace_without = (jnp.sum(away) - away * (n / (n - 1))) / (n - 2)
  moved = (away / (n - 1) - 2 * along) / (n - 1)  # of |g|^2, as a change, which is small
  gradient_without = moved - trace_without / (n - 1)
  centred = lambda x: x - jnp.mean(x)
  error = lambda x: jnp.sqrt((n - 1) / n * jnp.sum(jnp.square(x)))
  by_trace, by_gradient = centred(trace_without), centred(gradient_without)
  some = gradient > 0
  under = jnp.where(some, gradient, jnp.nan)
  return {
    'noise_scale': trace / under,
    'noise_scale_se': error(by_trace - trace / under * by_gradient) / under,
    'trace': trace,
    'trace_se': error(by_trace),
    'gradient_square': gradient,
    'gradient_square_se': error(by_gradient),
    'along': jnp.sum(jnp.square(along)) / (square * jnp.sum(away)),
  }
