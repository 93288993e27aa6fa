"""What a network does on examples: its outputs, losses and accuracies, in evaluation mode."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from dynamics import losses
from dynamics.linalg import products
from dynamics.linalg.lanczos import Matvec
from dynamics.linalg.traces import Estimate
from dynamics.trees import at_least_float32
from dynamics.types import Array, Batch, Loss, Tree, Variables, View


def first(batch: Batch, n: int, least: int = 1) -> Batch:
  """The first n examples, or all where there are fewer.

  Raises:
    ValueError: fewer than `least` examples.
  """
  rows = min(n, batch.y.shape[0])
  if rows < least:
    raise ValueError(f'a probe that needs {least} examples or more cannot read {rows}')
  return jax.tree.map(lambda x: x[:n], batch)


def array(x: Tree) -> Array:
  """Inputs that must be one array (n, ...).

  Raises:
    ValueError: a tree of arrays.
  """
  if not jax.tree_util.treedef_is_leaf(jax.tree.structure(x)):
    raise ValueError(f'this probe needs inputs in one array, but they are a tree of {len(jax.tree.leaves(x))} arrays')
  return x


def network(view: View) -> Callable[[Tree, Tree], Array]:
  """(params, x) -> outputs, with the other collections of now."""
  return lambda params, x: view.problem.model.apply({**view.variables, 'params': params}, x)


def with_features(view: View, variables: Variables, x: Tree) -> tuple[Array, dict[str, Array]]:
  """Outputs and hidden features, at least in float32, by name, in the order of the layers.

  Raises:
    ValueError: a model that shows none.
  """
  outputs, trace = view.problem.model.forward(variables, x)
  if not trace.features:
    raise ValueError(
      "the model shows no hidden features, which this probe reads; give it a hidden layer, or self.sow('intermediates', ...)"
    )
  return outputs, {name: at_least_float32(h) for name, h in trace.features.items()}


def mean_loss(view: View, batch: Batch, microbatch: int = 0) -> Callable[[Tree], Array]:
  """params -> the mean loss of a batch, over examples or, for outputs (n, l, k), over the tokens that have a label.

  With `microbatch` that many examples at a time, also where it is differentiated once.
  """

  def value(params):
    scores = score(view.problem.loss, network(view)(params, batch.x), batch.y)
    return mean(scores.losses, scores.counts).mean

  def of_parts(params):
    loss = example_loss(view, batch)
    single = lambda x, y: loss(network(view)(params, x), y)[0]
    each = jax.checkpoint(lambda example: single(*jax.tree.map(lambda a: a[None], example)))
    return losses.mean(jax.lax.map(each, batch, batch_size=microbatch))

  return of_parts if microbatch else value


def example_loss(view: View, batch: Batch) -> Loss:
  """(outputs, targets) -> (n,), of a batch or a part of it; over all of the batch their mean is `mean_loss`."""
  if batch.y.ndim == 2 and jnp.issubdtype(batch.y.dtype, jnp.integer):
    return losses.per_sequence(view.problem.loss, batch.y)
  return lambda outputs, targets: losses.each(view.problem.loss, outputs, targets)


def hessian(view: View, batch: Batch, microbatch: int = 0) -> Matvec:
  """v -> H v of `mean_loss`, linearised once; or with `microbatch` that many examples at a time, linearised at each product."""
  params = view.variables['params']
  if not microbatch:
    return products.hessian(mean_loss(view, batch), params)
  batch = batch._replace(x=array(batch.x))
  return products.loss_hessian(network(view), example_loss(view, batch), params, batch, chunk=microbatch)


class Scores(NamedTuple):
  """Of each example: sums over its predictions, of which it has one, or one a token. All (n,)."""

  losses: Array  # float32 at least
  hits: Array  # float32
  counts: Array  # float32, the number of predictions


def score(loss: Loss, outputs: Array, targets: Array) -> Scores:
  """Losses and right answers: outputs (n, k), or (n, l, k) with labels (n, l), of which negative ones are padding.

  Raises:
    ValueError: outputs and targets of other shapes.
  """
  if outputs.ndim != 3:
    values, hits = losses.each(loss, outputs, targets), losses.correct(outputs, targets).astype(jnp.float32)
    return Scores(losses.at_least_float32(values), hits, jnp.ones_like(hits))
  if targets.shape != outputs.shape[:2] or not jnp.issubdtype(targets.dtype, jnp.integer):
    raise ValueError(
      f'outputs {outputs.shape} need labels {outputs.shape[:2]}, but the targets are {targets.dtype}{targets.shape}'
    )
  real = targets >= 0
  tokens, labels = outputs.reshape((-1, outputs.shape[-1])), jnp.where(real, targets, 0).reshape(-1)
  values = losses.at_least_float32(losses.each(loss, tokens, labels)).reshape(real.shape)
  hits = losses.correct(tokens, labels).reshape(real.shape) & real
  total = lambda x: jnp.sum(x.astype(jnp.float32), axis=1)
  return Scores(jnp.sum(jnp.where(real, values, 0), axis=1), total(hits), total(real))


def mean(sums: Array, counts: Array) -> Estimate:
  """sum of sums (n,) over sum of counts (n,), and its standard error, with examples as independent clusters.

  The error is that of a ratio of means by the delta method; where all counts are 1 it is that of a plain mean. NaN for a single
  example, which says nothing of the spread. Source: Cochran 1977, section 2.11.
  """
  n, counts = sums.shape[0], counts.astype(sums.dtype)
  total = jnp.sum(counts)
  ratio = jnp.sum(sums) / total
  spread = jnp.sum(jnp.square(sums - ratio * counts))
  return Estimate(ratio, jnp.sqrt(spread * (n / (n - 1))) / total if n > 1 else jnp.full_like(ratio, jnp.nan))
