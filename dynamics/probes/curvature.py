"""The curvature of the training loss: its spectrum, estimated and dense."""

import jax
import jax.numpy as jnp

from dynamics import trees
from dynamics.components import component
from dynamics.linalg import dense, products, quadrature
from dynamics.linalg.lanczos import flat
from dynamics.probes.evaluation import first, hessian, mean_loss
from dynamics.schema import Range
from dynamics.types import Array, Probe, stateless

HEAVY = 1e-3  # of one eigenvalue's mean weight: a node of less is rounding


@component(revision=2)
def hessian_spectrum(
  *,
  examples: Range(int, least=1) = 256,
  steps: Range(int, least=2) = 64,
  vectors: Range(int, least=2) = 4,
  points: Range(int, least=2) = 64,
  width: Range(float, above=0.0) = 0.01,
  leaves: bool = False,
  keep: bool = False,
  microbatch: Range(int, least=0) = 0,
) -> Probe:
  """The eigenvalues of the Hessian of the loss on the first `examples` training examples, seen from random vectors.

  An eigenvalue has the unit of the loss over a parameter squared. Only `microbatch` examples at a time are in memory; 0 is all of
  them, which is faster.

  Language models: the loss is the mean over the labels of `examples` sequences, and k the vocabulary. Take examples=16, steps=32
  and vectors=2, for 64 products, and where the logits of all positions do not fit, microbatch=4.

  Reading:
    trace (), an eigenvalue: the sum of all p eigenvalues.
    trace_se (), an eigenvalue: its standard error over `vectors`.
    moments (4,), an eigenvalue to the powers 1 to 4: the means of these powers over all p eigenvalues.
    moments_se (4,), as moments: their standard errors over `vectors`.
    largest, smallest (), an eigenvalue: the extreme nodes, which lie inside of the spectrum; NaN where none weighs anything.
    outliers (): the number of nodes above the widest relative gap among the 2 k + 1 largest, a mean over vectors: of distinct
      eigenvalues, as one vector shows each of them once.
    outliers_se (): its standard error over `vectors`.
    copies (): how many more eigenvalues are above that gap, as their weights show in all vectors but the first: unbiased; near 0
      where all are distinct and the steps resolve them.
    copies_se (): its standard error over these vectors; NaN for two `vectors`.
    outliers_per_class (): outliers over k, the number of outputs.
    gap (): the ratio of the nodes beside that gap, near 1 where there are no outliers.
    bulk (), an eigenvalue: the geometric mean of the nodes beside that gap, the edge of the bulk.
    grid (points,), an eigenvalue: where the density is read.
    density (points,), over an eigenvalue: of eigenvalues smoothed by a normal of `width` times their range; its integral is 1.
    rank (): the fewest steps that the vectors took before their space was exhausted.
    trace_of/leaf, largest_of/leaf (), an eigenvalue: of each parameter array's diagonal block, with `leaves`.
    trace_se_of/leaf (), an eigenvalue: the standard error of trace_of.
    nodes (vectors, steps), an eigenvalue: of the quadrature, with `keep`.
    weights (vectors, steps): of the nodes, with `keep`.
  Cost: steps x vectors Hessian-vector products, each about four gradients of the examples, and steps + 2 k + 2 vectors of the
    parameters' size while it runs; as much again for each array with `leaves`. No state.
  Oracle: numpy's eigenvalues of the dense Hessian in float64.
  Source: 1901.10159 (the method), 1611.07476 (outliers and classes).
  """

  def summary(nodes):
    heavy = nodes.weights * nodes.size > HEAVY
    return quadrature.trace(nodes), heavy, jnp.max(jnp.where(heavy, nodes.nodes, -jnp.inf))

  def lanczos(matvec, like, key, leading=0):
    taken = min(steps, trees.size(like))
    return quadrature.slq(matvec, like, key, steps=taken, vectors=vectors, leading=min(leading, taken))

  def read(view, key):
    batch, params = first(view.data.train, examples), view.variables['params']
    matvec = hessian(view, batch, microbatch)
    k = jax.eval_shape(view.problem.model.apply, view.variables, batch.x).shape[-1]
    nodes = lanczos(matvec, params, trees.named_key(key, 'all'), leading=2 * k + 1)
    trace, heavy, largest = summary(nodes)
    smallest = jnp.min(jnp.where(heavy, nodes.nodes, jnp.inf))
    sigma = jnp.asarray(width, largest.dtype) * jnp.where(largest > smallest, largest - smallest, 1)
    grid = jnp.linspace(smallest - 3 * sigma, largest + 3 * sigma, points, dtype=largest.dtype)
    moments = quadrature.moments(nodes, (1, 2, 3, 4))
    outliers, gap, bulk = jax.vmap(lambda nodes, heavy: _gap(nodes, heavy, k))(nodes.nodes, heavy)
    outliers, copies = quadrature.estimate(outliers), quadrature.estimate(_copies(nodes, heavy, bulk)[1:])
    reading = {
      'trace': trace.mean,
      'trace_se': trace.error,
      'moments': moments.mean,
      'moments_se': moments.error,
      'largest': largest,
      'smallest': smallest,
      'outliers': outliers.mean,
      'outliers_se': outliers.error,
      'copies': copies.mean,
      'copies_se': copies.error,
      'outliers_per_class': outliers.mean / k,
      'gap': jnp.mean(gap),
      'bulk': jnp.mean(bulk),
      'grid': grid,
      'density': quadrature.density(nodes, grid, sigma).mean,
      'rank': jnp.min(nodes.rank),
    }
    if leaves:
      blocks = {path: block(matvec, params, path, key) for path in trees.by_path(params)}
      names = ('trace', 'trace_se', 'largest')
      reading |= {f'{name}_of': {path: values[name] for path, values in blocks.items()} for name in names}
    return reading | ({'nodes': nodes.nodes, 'weights': nodes.weights} if keep else {})

  def block(matvec, params, path, key):
    leaf = products.block(matvec, params, lambda other: other == path)
    trace, _, largest = summary(lanczos(leaf.matvec, leaf.like, trees.named_key(key, path)))
    return {'trace': trace.mean, 'trace_se': trace.error, 'largest': largest}

  return stateless(read)


@component()
def dense_spectrum(
  *, examples: Range(int, least=1) = 256, most: Range(int, least=1) = 5000, chunk: Range(int, least=1) = 64
) -> Probe:
  """All eigenvalues of the Hessian of the loss on the first `examples` training examples, of a network small enough for that.

  More than `most` parameters are refused.

  Reading:
    eigenvalues (p,), unit of the loss over a parameter squared: ascending: the truth, up to rounding, that hessian_spectrum and
      sharpness estimate.
  Cost: p Hessian-vector products, `chunk` at a time, a matrix of (p, p) and its eigenvalues. No state.
  Oracle: numpy's eigenvalues of the dense Hessian in float64.
  Source: none.
  """

  def init(view):
    p = trees.size(view.variables['params'])
    if p > most:
      raise ValueError(f'dense_spectrum forms the whole Hessian of up to {most} parameters; there are {p}')
    return ()

  def measure(view, state, key):
    params, p = view.variables['params'], trees.size(view.variables['params'])
    matvec, shape = products.hessian(mean_loss(view, first(view.data.train, examples)), params), flat(params)
    column = lambda v: shape.ravel(matvec(shape.unravel(v)))
    matrix = jax.lax.map(column, jnp.eye(p, dtype=shape.dtype), batch_size=min(chunk, p))
    return {'eigenvalues': dense.eigenvalues((matrix + matrix.T) / 2)}, state

  return Probe(init, measure)


def _gap(nodes: Array, heavy: Array, k: int) -> tuple[Array, Array, Array]:
  """(nodes above it, its ratio, its geometric middle) of the widest gap among the 2 k + 1 largest nodes of one vector."""
  rows = jnp.concatenate([jnp.where(heavy & (nodes > 0), nodes, 0), jnp.zeros((1,), nodes.dtype)])
  largest = jnp.sort(rows)[::-1][: 2 * k + 1]
  floor = largest[0] * jnp.finfo(nodes.dtype).eps
  below = jnp.maximum(largest[1:], floor)
  ratios = jnp.where(largest[:-1] > floor, largest[:-1] / jnp.where(below > 0, below, 1), 0)
  i = jnp.argmax(ratios)
  curved = largest[0] > 0
  count = jnp.where(curved, i + 1, 0).astype(nodes.dtype)
  return count, jnp.where(curved, ratios[i], 1), jnp.sqrt(largest[i] * below[i])


def _copies(nodes: quadrature.Quadrature, heavy: Array, bulk: Array) -> Array:
  """(vectors,) what the nodes above `bulk` (vectors,) weigh beyond the Ritz vectors of the first: 1 for each copy, on average.

  The weight of a node is a squared cosine with all of an eigenspace, of which the first vector shows one direction.
  """
  leading = nodes.shared.shape[1]
  above = heavy & (nodes.nodes > bulk[:, None])
  real = nodes.weights[:1, -leading:] * nodes.size > HEAVY**2  # its Ritz vector is good even where it weighs little
  shown = real & (nodes.nodes[:1, -leading:] > bulk[:, None])
  total = lambda x, where: jnp.sum(jnp.where(where, x, 0), axis=1)
  return nodes.size * (total(nodes.weights, above) - total(nodes.shared, shown))
