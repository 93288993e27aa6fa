"""The curvature of the training loss: its spectrum, and its sharpest directions followed from reading to reading."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from dynamics import losses, trees
from dynamics.components import component
from dynamics.linalg import dense, products, quadrature
from dynamics.linalg.eigen import eigsh
from dynamics.linalg.lanczos import flat
from dynamics.losses import Loss
from dynamics.schema import Range
from dynamics.types import Array, Batch, Probe, Tree, stateless

HEAVY = 1e-3  # of one eigenvalue's mean weight: a node of less is rounding


class Sharpest(NamedTuple):
  """Eigenvectors of the last reading, zero before the first, and the last update of the parameters."""

  vectors: Tree  # (top + 1, ...) the largest first, then the smallest
  scaled: Tree  # (1, ...) under Adam's second moment; () for other optimisers
  update: Tree


@component()
def hessian_spectrum(
  apply: Callable[..., Array],
  loss: Loss,
  *,
  examples: Range(int, least=1) = 256,
  steps: Range(int, least=2) = 64,
  vectors: Range(int, least=2) = 4,
  points: Range(int, least=2) = 64,
  width: Range(float, above=0.0) = 0.01,
  leaves: bool = False,
  keep: bool = False,
) -> Probe:
  """The eigenvalues of the Hessian of the loss on the first `examples` training examples, seen from random vectors.

  Reading: trace () and trace_se, its standard error over `vectors`; moments (4,), the mean over all p eigenvalues of their
    powers 1 to 4, and moments_se; largest and smallest (), the extreme nodes, which lie inside of the spectrum, NaN where
    none weighs anything; outliers (), the number of nodes above the widest relative gap among the 2 k + 1 largest, a mean over
    vectors, with outliers_se; outliers_per_class (), outliers over k; gap (), the ratio of the nodes beside that gap, near 1
    where there are no outliers, and bulk (), their geometric mean, the edge of the bulk; grid and
    density (points,), of eigenvalues smoothed by a normal of `width` times their range, its integral 1; rank (), the
    fewest steps that the vectors took before their space was exhausted. With `leaves` trace_of/, trace_se_of/ and
    largest_of/ of each parameter array's diagonal block. With `keep` nodes and weights (vectors, steps). Eigenvalues have the
    unit of the loss over a parameter squared.
  Cost: steps x vectors Hessian-vector products, each about four gradients of the examples, and steps + 1 vectors of the
    parameters' size while it runs; as much again for each array with `leaves`. No memory.
  Oracle: numpy's eigenvalues of the dense Hessian in float64.
  Source: 1901.10159 (the method), 1611.07476 (outliers and classes).
  """

  def summary(found):
    trace = quadrature.trace(found)
    heavy = found.weights * found.size > HEAVY
    return trace, heavy, jnp.max(jnp.where(heavy, found.nodes, -jnp.inf))

  def read(view, key):
    batch, params = _batch(view, examples), view.variables['params']
    matvec = _hessian(apply, loss, view.variables, batch)
    depth = min(steps, trees.size(params))
    found = quadrature.slq(matvec, params, trees.named_key(key, 'all'), steps=depth, vectors=vectors)
    trace, heavy, most = summary(found)
    least = jnp.min(jnp.where(heavy, found.nodes, jnp.inf))
    sigma = jnp.asarray(width, most.dtype) * jnp.where(most > least, most - least, 1)
    grid = jnp.linspace(least - 3 * sigma, most + 3 * sigma, points, dtype=most.dtype)
    moments = quadrature.moments(found, (1, 2, 3, 4))
    k = jax.eval_shape(apply, view.variables, batch.x).shape[-1]
    outliers, gap, bulk = jax.vmap(lambda nodes, heavy: _gap(nodes, heavy, k))(found.nodes, heavy)
    outliers = quadrature.estimate(outliers)
    out = {
      'trace': trace.mean,
      'trace_se': trace.error,
      'moments': moments.mean,
      'moments_se': moments.error,
      'largest': most,
      'smallest': least,
      'outliers': outliers.mean,
      'outliers_se': outliers.error,
      'outliers_per_class': outliers.mean / k,
      'gap': jnp.mean(gap),
      'bulk': jnp.mean(bulk),
      'grid': grid,
      'density': quadrature.density(found, grid, sigma).mean,
      'rank': jnp.min(found.rank),
    }
    if leaves:
      each = {path: leaf(matvec, params, path, key) for path in trees.by_path(params)}
      out |= {f'{name}_of': {path: some[name] for path, some in each.items()} for name in ('trace', 'trace_se', 'largest')}
    return out | ({'nodes': found.nodes, 'weights': found.weights} if keep else {})

  def leaf(matvec, params, path, key):
    some = products.block(matvec, params, lambda other: other == path)
    depth = min(steps, trees.size(some.like))
    found = quadrature.slq(some.matvec, some.like, trees.named_key(key, path), steps=depth, vectors=vectors)
    trace, _, most = summary(found)
    return {'trace': trace.mean, 'trace_se': trace.error, 'largest': most}

  return stateless(read)


@component()
def dense_spectrum(
  apply: Callable[..., Array],
  loss: Loss,
  *,
  examples: Range(int, least=1) = 256,
  most: Range(int, least=1) = 5000,
  chunk: Range(int, least=1) = 64,
) -> Probe:
  """All eigenvalues of the Hessian of the loss on the first `examples` training examples, of a network small enough for that.

  Reading: eigenvalues (p,), ascending, in the unit of the loss over a parameter squared: the truth, up to rounding, that
    hessian_spectrum and sharpness estimate. More than `most` parameters are refused.
  Cost: p Hessian-vector products, `chunk` at a time, a matrix of (p, p) and its eigenvalues. No memory.
  Oracle: numpy's eigenvalues of the dense Hessian in float64.
  Source: none.
  """

  def read(view, key):
    params, p = view.variables['params'], trees.size(view.variables['params'])
    if p > most:
      raise ValueError(f'dense_spectrum forms the whole Hessian of up to {most} parameters; there are {p}')
    matvec, shape = _hessian(apply, loss, view.variables, _batch(view, examples)), flat(params)
    column = lambda v: shape.ravel(matvec(shape.unravel(v)))
    matrix = jax.lax.map(column, jnp.eye(p, dtype=shape.dtype), batch_size=min(chunk, p))
    return {'eigenvalues': dense.eigenvalues((matrix + matrix.T) / 2)}

  return stateless(read)


@component()
def sharpness(
  apply: Callable[..., Array],
  loss: Loss,
  *,
  examples: Range(int, least=1) = 256,
  top: Range(int, least=1) = 1,
  tolerance: Range(float, above=0.0) = 1e-3,
  limit: Range(int, least=1) = 300,
  leaves: bool = False,
) -> Probe:
  """The extreme eigenvalues of the Hessian of the loss on the first `examples` training examples, and where they point.

  Reading: largest (top,), descending, and residual (top,), |H u - value u|, within which an eigenvalue lies; smallest () and
    smallest_residual; lr_largest (), the largest times the learning rate, beyond 2 of which gradient descent is unstable on
    a quadratic; gradient_share and update_share (), the shares of the gradient's and the last update's square within the
    `top` eigenvectors; overlap (), the mean squared cosine of their span with that of the last reading, 1 for the same, NaN
    at the first; products (), Hessian-vector products that it took. With Adam's second moment in the optimiser,
    preconditioned (), the largest eigenvalue of P^(-1/2) H P^(-1/2), P = sqrt(nu / (1 - beta2^t)) + eps, with
    preconditioned_residual, and lr_preconditioned; NaN at step 0. With `leaves` the largest eigenvalue of each parameter
    array's diagonal block under largest_of/. Eigenvalues have the unit of the loss over a parameter squared.
  Cost: 30 to 100 Hessian-vector products at first, and fewer from the vectors of the last reading, which are the memory with
    the last update: top + 2 vectors of the parameters' size, one more with Adam. At most about `limit` products.
  Oracle: numpy's eigenpairs of the dense Hessian in float64.
  Source: 2103.00065 (sharpness and 2 / lr), 2207.14484 (preconditioned), 1812.04754 (the gradient in the top space).
  """
  fewer = lambda tree: min(top, trees.size(tree) // 2) or 1

  def init(view):
    params = view.variables['params']
    several = lambda n: jax.tree.map(lambda w: jnp.zeros((n, *w.shape), w.dtype), params)
    both = min(fewer(params) + 1, trees.size(params))
    return Sharpest(several(both), several(1) if _adam(view.opt_state) else (), jax.tree.map(jnp.zeros_like, params))

  def update(memory, signal):
    return memory._replace(update=signal.updates)

  def measure(view, memory, key):
    batch, params = _batch(view, examples), view.variables['params']
    value = lambda p: losses.mean(loss(apply({**view.variables, 'params': p}, batch.x), batch.y))
    matvec, gradient, k = products.hessian(value, params), jax.grad(value)(params), fewer(params)
    solve = lambda matvec, like, k, name, **more: eigsh(
      matvec, like, k, trees.named_key(key, name), tolerance=tolerance, products=limit, **more
    )
    lr = view.hyper['lr'] if 'lr' in view.hyper else jnp.float32(jnp.nan)
    # One more at the bottom for each at the top is more than is read, but both ends come out of the same products.
    found = solve(matvec, params, k, 'all', which='both', start=_finite(memory.vectors))
    most, u = found.values[:k], jax.tree.map(lambda v: v[:k], found.vectors)
    before = jax.tree.map(lambda v: v[:k], memory.vectors)
    cosines = sum(
      jnp.tensordot(a.reshape(k, -1), b.reshape(k, -1), ((1,), (1,)))
      for a, b in zip(jax.tree.leaves(u), jax.tree.leaves(before), strict=True)
    )
    out = {
      'largest': most,
      'residual': found.residuals[:k],
      'smallest': found.values[k],
      'smallest_residual': found.residuals[k],
      'lr_largest': lr.astype(most.dtype) * most[0],
      'gradient_share': _share(gradient, u),
      'update_share': _share(memory.update, u),
      'overlap': jnp.where(trees.dot(before, before) > 0, jnp.sum(jnp.square(cosines)) / k, jnp.nan),
      'products': found.products,
    }
    scaled, state = memory.scaled, _adam(view.opt_state)
    if state:
      options = {name: view.hyper[name] for name in ('beta2', 'eps') if name in view.hyper}
      under = products.precondition(matvec, products.adam_scale(state[0], **options))
      pair = solve(under, params, 1, 'scaled', start=_finite(memory.scaled))
      scaled = pair.vectors
      out |= {
        'preconditioned': pair.values[0],
        'preconditioned_residual': pair.residuals[0],
        'lr_preconditioned': lr.astype(most.dtype) * pair.values[0],
      }
    if leaves:
      pieces = {path: products.block(matvec, params, lambda other, path=path: other == path) for path in trees.by_path(params)}
      out['largest_of'] = {path: solve(one.matvec, one.like, 1, path).values[0] for path, one in pieces.items()}
    return out, Sharpest(jax.tree.map(lambda v: v[: k + 1], found.vectors), scaled, memory.update)

  return Probe(init, measure, update)


def _batch(view, examples) -> Batch:
  return jax.tree.map(lambda x: x[:examples], view.data.train)


def _hessian(apply, loss, variables, batch):
  whole = lambda params, x: apply({**variables, 'params': params}, x)
  return products.loss_hessian(whole, loss, variables['params'], batch)


def _gap(nodes: Array, heavy: Array, k: int) -> tuple[Array, Array, Array]:
  """(nodes above it, its ratio, its geometric middle) of the widest gap among the 2 k + 1 largest nodes of one vector."""
  rows = jnp.concatenate([jnp.where(heavy & (nodes > 0), nodes, 0), jnp.zeros((1,), nodes.dtype)])
  largest = jnp.sort(rows)[::-1][: 2 * k + 1]
  floor = largest[0] * jnp.finfo(nodes.dtype).eps
  below = jnp.maximum(largest[1:], floor)
  ratios = jnp.where(largest[:-1] > floor, largest[:-1] / jnp.where(below > 0, below, 1), 0)
  i = jnp.argmax(ratios)
  some = largest[0] > 0
  count = jnp.where(some, i + 1, 0).astype(nodes.dtype)
  return count, jnp.where(some, ratios[i], 1), jnp.sqrt(largest[i] * below[i])


def _adam(opt_state) -> list:
  """Adam's states within an optimiser's: one, or none."""
  kind = optax.ScaleByAdamState
  return [s for s in jax.tree.leaves(opt_state, is_leaf=lambda s: isinstance(s, kind)) if isinstance(s, kind)]


def _finite(vectors: Tree) -> Tree:
  """Vectors to start from: those of a reading that was not finite count as none."""
  good = jnp.isfinite(trees.dot(vectors, vectors))
  return jax.tree.map(lambda v: jnp.where(good, v, 0), vectors)


def _share(vector: Tree, basis: Tree) -> Array:
  """|B v|^2 / |v|^2 for orthonormal rows B; NaN for a zero v."""
  along = jax.vmap(lambda u: trees.dot(u, vector))(basis)
  return jnp.sum(jnp.square(along)) / trees.dot(vector, vector)
