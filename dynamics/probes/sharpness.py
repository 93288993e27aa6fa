"""The sharpest directions of the training loss, followed from reading to reading, and the edge of stability."""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from dynamics import trees
from dynamics.components import component
from dynamics.linalg import products
from dynamics.linalg.eigen import eigsh
from dynamics.probes.evaluation import first, hessian, mean_loss
from dynamics.schema import Range
from dynamics.types import Array, Probe, Tree


class Sharpest(NamedTuple):
  """Eigenvectors of the last reading, zero before the first, and the last update of the parameters."""

  vectors: Tree  # (top + 1, ...) the largest first, then the smallest
  scaled: Mapping[str, Tree]  # (1, ...) of the Hessian under the leaves' rates, and under the optimizer's preconditioner
  update: Tree


@component(revision=2)
def sharpness(
  *,
  examples: Range(int, least=1) = 256,
  top: Range(int, least=1) = 1,
  tolerance: Range(float, above=0.0) = 1e-3,
  limit: Range(int, least=1) = 300,
  leaves: bool = False,
  preconditioned: bool = True,
  microbatch: Range(int, least=0) = 0,
) -> Probe:
  """The extreme eigenvalues of the Hessian H of the loss on the first `examples` training examples, and where they point.

  An eigenvalue has the unit of the loss over a parameter squared. lr is the learning rate of the coming step, its schedule
  included, and D the diagonal of the factors on it that a parametrization gives to the leaves: the identity without one. Only
  `microbatch` examples at a time are in memory; 0 is all of them, which is faster.

  Language models: the loss is the mean over the labels of `examples` sequences. Take examples=16 and, where the logits of all
  their positions do not fit, microbatch=4.

  Reading:
    largest (top,), an eigenvalue: the largest ones, descending, each as often as it occurs.
    residual (top,), an eigenvalue: |H u - value u|, within which an eigenvalue lies.
    smallest (), an eigenvalue: the smallest.
    smallest_residual (), an eigenvalue: its residual.
    converged (): 1 if all these residuals are within the tolerance and, for top > 1, no copy of an eigenvalue is missing, but
      for a probability of 1e-3; else 0.
    lr_largest (): lr times the largest eigenvalue of D^(1/2) H D^(1/2), beyond 2 of which gradient descent is unstable on a
      quadratic; NaN without a learning rate.
    gradient_share (): the share of the gradient's square within the `top` eigenvectors.
    update_share (): the share of the last update's square within them; NaN before the first.
    overlap (): the mean squared cosine of their span with that of the last reading, 1 for the same; NaN at the first.
    products (): Hessian-vector products that these took.
    preconditioned (), an eigenvalue over P: the largest one of (D/P)^(1/2) H (D/P)^(1/2), P the diagonal that divides the
      gradient in the optimizer, for Adam sqrt(nu / (1 - beta2^t)) + eps; NaN at step 0. With `preconditioned`, where P exists.
    preconditioned_residual (), as preconditioned: its residual.
    lr_preconditioned (): lr times preconditioned.
    largest_of/leaf (), an eigenvalue: the largest one of each parameter array's diagonal block, with `leaves`.
  Cost: 30 to 100 Hessian-vector products at first, and fewer from the vectors of the last reading; with top > 1 some of them,
    3 to 20, look for copies. The state is these vectors and the last update: top + 2 vectors of the parameters' size, and one
    more each for D and P. At most about `limit` products each.
  Oracle: numpy's eigenpairs of the dense Hessian in float64.
  Source: 2103.00065 (sharpness and 2 / lr), 2207.14484 (preconditioned), 1812.04754 (the gradient in the top space).
  Raises ValueError at the start where the optimizer normalises its updates, or does not say whether, and does not show by what.
  """
  count = lambda tree: min(top, trees.size(tree) // 2) or 1

  def scales(view) -> dict[str, Tree]:
    """Diagonals by which H is divided, from both sides."""
    optimizer, rates, params = view.problem.optimizer, view.problem.model.rates, view.variables['params']
    over = {}
    if rates is not None:
      over['rates'] = jax.tree.map(lambda rate, w: 1 / jnp.asarray(rate, w.dtype), rates(optimizer.normalised), params)
    if preconditioned and optimizer.normalised is not False and optimizer.precondition is None:
      what = 'normalises its updates' if optimizer.normalised else 'may normalise its updates'
      raise ValueError(
        f'sharpness cannot read the preconditioner of this optimizer, which {what} and does not show by what; '
        'give its Optimizer a `precondition`, or normalised=False where it has none, or set preconditioned=False'
      )
    if preconditioned and optimizer.precondition is not None:
      diagonal = optimizer.precondition(view.opt_state)
      over['preconditioned'] = jax.tree.map(jnp.multiply, diagonal, over['rates']) if over else diagonal
    return over

  def init(view):
    params = view.variables['params']
    zeros = lambda n: jax.tree.map(lambda w: jnp.zeros((n, *w.shape), w.dtype), params)
    ends = min(count(params) + 1, trees.size(params))
    return Sharpest(zeros(ends), {name: zeros(1) for name in scales(view)}, jax.tree.map(jnp.zeros_like, params))

  def update(state, info):
    return state._replace(update=info.updates)

  def measure(view, state, key):
    params, k = view.variables['params'], count(view.variables['params'])
    batch = first(view.data.train, examples)
    matvec, gradient = hessian(view, batch, microbatch), jax.grad(mean_loss(view, batch, microbatch))(params)
    solve = lambda matvec, like, k, name, **options: eigsh(
      matvec, like, k, trees.named_key(key, name), tolerance=tolerance, products=limit, **options
    )
    # The state may hold an eigenvector less than the Hessian has by now: copies are looked for at every reading.
    pairs = solve(matvec, params, (k, 1), 'all', which='both', start=_finite(state.vectors), recheck=True)
    u, before = (jax.tree.map(lambda v: v[:k], vectors) for vectors in (pairs.vectors, state.vectors))
    cosines = sum(
      jnp.tensordot(a.reshape(k, -1), b.reshape(k, -1), ((1,), (1,)))
      for a, b in zip(jax.tree.leaves(u), jax.tree.leaves(before), strict=True)
    )
    scaled = {
      name: solve(products.precondition(matvec, scale), params, 1, name, start=_finite(state.scaled[name]))
      for name, scale in scales(view).items()
    }
    lr = jnp.float32(jnp.nan) if view.learning_rate is None else view.learning_rate
    lr = lr.astype(pairs.values.dtype)
    reading = {
      'largest': pairs.values[:k],
      'residual': pairs.residuals[:k],
      'smallest': pairs.values[k],
      'smallest_residual': pairs.residuals[k],
      'converged': pairs.converged.astype(jnp.int32),
      'lr_largest': lr * scaled.get('rates', pairs).values[0],
      'gradient_share': _share(gradient, u),
      'update_share': _share(state.update, u),
      'overlap': jnp.where(trees.dot(before, before) > 0, jnp.sum(jnp.square(cosines)) / k, jnp.nan),
      'products': pairs.products,
    }
    if 'preconditioned' in scaled:
      pair = scaled['preconditioned']
      reading |= {
        'preconditioned': pair.values[0],
        'preconditioned_residual': pair.residuals[0],
        'lr_preconditioned': lr * pair.values[0],
      }
    if leaves:
      blocks = {path: products.block(matvec, params, lambda other, path=path: other == path) for path in trees.by_path(params)}
      reading['largest_of'] = {path: solve(b.matvec, b.like, 1, path).values[0] for path, b in blocks.items()}
    return reading, Sharpest(pairs.vectors, {name: pair.vectors for name, pair in scaled.items()}, state.update)

  return Probe(init, measure, update)


def _finite(vectors: Tree) -> Tree:
  """Vectors to start from: those of a reading that was not finite are replaced by zeros."""
  good = jnp.isfinite(trees.dot(vectors, vectors))
  return jax.tree.map(lambda v: jnp.where(good, v, 0), vectors)


def _share(vector: Tree, basis: Tree) -> Array:
  """|B v|^2 / |v|^2 for orthonormal rows B; NaN for a zero v."""
  along = jax.vmap(lambda u: trees.dot(u, vector))(basis)
  return jnp.sum(jnp.square(along)) / trees.dot(vector, vector)
