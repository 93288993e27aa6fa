"""The noise of minibatches: in the gradient, and in the largest eigenvalue of the Hessian."""

import jax
import jax.numpy as jnp

from dynamics import losses, trees
from dynamics.components import component
from dynamics.linalg import products
from dynamics.linalg.eigen import eigsh
from dynamics.linalg.traces import estimate
from dynamics.probes.evaluation import example_loss, first, mean_loss, network
from dynamics.schema import Range
from dynamics.types import Array, Key, Probe, stateless


@component()
def gradient_noise(*, examples: Range(int, least=3) = 256, chunk: Range(int, least=1) = 32, leaves: bool = False) -> Probe:
  """The covariance C of the gradients of single examples, and g, their mean, on the first `examples` (n) training examples.

  trace and gradient_square are unbiased for the distribution of which the examples are independent draws; their standard errors
  are jackknife ones. Fewer than 3 examples are refused.

  Language models: an example is a sequence, a cluster of dependent positions, and its gradient that of the sum over its labels,
  over the mean number of labels of a sequence. So noise_scale counts sequences. Take examples=16 or more, and chunk=4 where the
  logits of `chunk` sequences do not fit.

  Reading:
    noise_scale, noise_scale_of/leaf (), examples: tr(C) / |g|^2: from a batch of that many on, the gradient outweighs its noise;
      NaN where the estimate of |g|^2 is not positive. All names with _of are of each parameter array, with `leaves`.
    noise_scale_se (), examples: its standard error, by the delta method.
    trace, trace_of/leaf (), the loss over a parameter, squared: tr(C).
    trace_se (), the loss over a parameter, squared: its standard error.
    gradient_square, gradient_square_of/leaf (), the loss over a parameter, squared: |g|^2 less tr(C) / n.
    gradient_square_se (), the loss over a parameter, squared: its standard error.
    along (): the share g'Cg / (|g|^2 tr(C)) of the noise along the mean gradient, not corrected for n.
  Cost: the gradient of the examples, and that of each one; `chunk` vectors of the parameters' size while it runs. No state.
  Oracle: numpy in float64 on the dense gradients of all examples, with the jackknife done by leaving each one out.
  Source: 1812.06162 (the simple noise scale).
  """

  def init(view):
    first(view.data.train, examples, least=3)
    return ()

  def measure(view, state, key):
    params, batch = view.variables['params'], first(view.data.train, examples)
    loss = example_loss(view, batch)
    value = lambda p, x, y: losses.mean(loss(network(view)(p, x), y))
    n = batch.y.shape[0]
    with jax.default_matmul_precision('float32'):
      mean = trees.by_path(jax.grad(value)(params, batch.x, batch.y))
      mean = {path: trees.at_least_float32(g) for path, g in mean.items()}

      def deviation(example):
        """(|g_i - g|^2, <g_i - g, g>) of each array. Differences are taken first: squares of g_i would drown them."""
        x, y = jax.tree.map(lambda a: a[None], example)
        single = trees.by_path(jax.grad(value)(params, x, y))
        away = {path: trees.at_least_float32(g) - mean[path] for path, g in single.items()}
        return {path: (trees.dot(d, d), trees.dot(d, mean[path])) for path, d in away.items()}

      deviations = jax.lax.map(deviation, batch, batch_size=min(chunk, n))
    total = lambda i: sum(pair[i] for pair in deviations.values())
    reading = _noise(total(0), total(1), trees.dot(mean, mean))
    if leaves:
      parts = {path: _noise(d, c, trees.dot(mean[path], mean[path])) for path, (d, c) in deviations.items()}
      names = ('noise_scale', 'trace', 'gradient_square')
      reading |= {f'{name}_of': {path: part[name] for path, part in parts.items()} for name in names}
    return reading, state

  return Probe(init, measure)


@component()
def batch_curvature(
  *,
  examples: Range(int, least=1) = 1024,
  sizes: tuple[Range(int, least=1), ...] = (16, 64, 256),
  draws: Range(int, least=1) = 8,
  tolerance: Range(float, above=0.0) = 1e-3,
  limit: Range(int, least=1) = 300,
) -> Probe:
  """The largest eigenvalue of the Hessian of the loss on random minibatches, beside that on all of the examples.

  The batches are drawn anew, and with replacement, out of the first `examples` training examples. An eigenvalue has the unit of
  the loss over a parameter squared.

  Reading:
    largest (sizes,), an eigenvalue: the mean over `draws` batches of each size.
    largest_se (sizes,), an eigenvalue: its standard error; NaN for one draw.
    full (), an eigenvalue: that of all these examples.
    excess (sizes,), an eigenvalue: largest less full.
    size (sizes,), examples: those of a batch.
    residual (sizes,), an eigenvalue: the largest |H u - value u| of the draws, within which an eigenvalue lies.
    full_residual (), an eigenvalue: the residual of full.
  Cost: 30 to 100 Hessian-vector products for all examples and for each of `draws` x sizes batches, one batch after the other,
    at most about `limit` each; some 20 vectors of the parameters' size while it runs. No state.
  Oracle: numpy's eigenvalues of the dense Hessians of the same batches in float64.
  Source: 2006.09092 (the mean extreme eigenvalue against the size of the batch).
  """

  def read(view, key):
    params, data = view.variables['params'], first(view.data.train, examples)
    n = data.y.shape[0]

    def largest(batch, key):
      matvec = products.hessian(mean_loss(view, batch), params)
      pair = eigsh(matvec, params, 1, key, tolerance=tolerance, products=limit)
      return pair.values[0], pair.residuals[0]

    def of_size(size):
      draw = lambda key: largest(jax.tree.map(lambda x: x[minibatch(key, n, size)], data), trees.named_key(key, 'start'))
      return jax.lax.map(draw, batch_keys(key, size, draws))

    full, full_residual = largest(data, trees.named_key(key, 'full'))
    values, residuals = zip(*(of_size(size) for size in sizes), strict=True)
    estimates = [estimate(v) for v in values]
    mean = jnp.stack([e.mean for e in estimates])
    return {
      'largest': mean,
      'largest_se': jnp.stack([e.error for e in estimates]),
      'full': full,
      'excess': mean - full,
      'size': jnp.asarray(sizes, jnp.int32),
      'residual': jnp.stack([jnp.max(r) for r in residuals]),
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
  under = jnp.where(gradient > 0, gradient, jnp.nan)
  return {
    'noise_scale': trace / under,
    'noise_scale_se': error(by_trace - trace / under * by_gradient) / under,
    'trace': trace,
    'trace_se': error(by_trace),
    'gradient_square': gradient,
    'gradient_square_se': error(by_gradient),
    'along': jnp.sum(jnp.square(along)) / (square * jnp.sum(away)),
  }
