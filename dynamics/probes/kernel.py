"""The tangent kernel during training: how far it has turned, towards what, and what it would predict by itself."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from dynamics.linalg import ntk, spectrum
from dynamics.losses import Loss, correct, mean, predict
from dynamics.probes.performance import standard_error
from dynamics.schema import Range
from dynamics.trees import at_least_float32
from dynamics.types import Array, Probe


class Kernels(NamedTuple):
  """Of step 0 and of the last reading, (n, n) each, and the step of the latter."""

  start: Array
  last: Array
  step: Array


def kernel(
  apply: Callable[..., Array],
  loss: Loss,
  *,
  examples: Range(int, least=2) = 64,
  top: Range(int, least=1) = 8,
  leaves: bool = True,
  keep: bool = False,
) -> Probe:
  """The tangent kernel, summed over outputs, of the first `examples` (n) training inputs.

  Reading: drift, |K - K0| / |K0| in the Frobenius norm (); alignment and centred_alignment, the cosine of K and K0, as they
    are and with features less their mean (); moved, 1 - the cosine with the kernel of the last reading (), and velocity, the
    same per step, NaN at step 0 (); target_alignment, of centred K with centred one-hot labels, or float targets (); trace
    () and eigenvalues, the `top` largest, descending (top,), in units of an output squared over a parameter squared; rank,
    exp of the entropy of the eigenvalues, and stable_rank, trace over the largest (); condition, largest over smallest
    eigenvalue, inf where the smallest is rounding (). With `leaves` each parameter array's share of the trace under
    share_of/. With `keep` K itself under kernel (n, n).
  Cost: n forward and n k backward passes of one example, and n^2 products of their factors; two kernels of memory.
  Oracle: numpy in float64 on dense Jacobians.
  Source: 1806.07572 (kernel), 2010.15110 (velocity, distance), 1203.0550 (centred and target alignment), 1812.07956 (regimes).
  """

  def tangent(view):
    found = ntk(apply, view.variables, view.data.train.x[:examples], leaves=leaves)
    whole = sum(list(found.values())[1:], start=next(iter(found.values()))) if leaves else found
    return whole, {name: jnp.trace(k) / jnp.trace(whole) for name, k in found.items()} if leaves else {}

  def init(view):
    now, _ = tangent(view)
    return Kernels(now, now, view.step)

  def measure(view, memory, key):
    now, shares = tangent(view)
    values, ranks = spectrum.eigenvalues(now, positive=True), spectrum.rank(now, positive=True)
    moved, steps = spectrum.distance(now, memory.last), (view.step - memory.step).astype(now.dtype)
    out = {
      'drift': spectrum.drift(now, memory.start),
      'alignment': spectrum.alignment(now, memory.start),
      'centred_alignment': spectrum.alignment(now, memory.start, centred=True),
      'moved': moved,
      'velocity': jnp.where(steps > 0, moved / steps, jnp.nan),
      'target_alignment': spectrum.target_alignment(now, _targets(apply, view, examples).astype(now.dtype), centred=True),
      'trace': jnp.trace(now),
      'eigenvalues': values[:top],
      'rank': ranks.entropy,
      'stable_rank': ranks.stable,
      'condition': spectrum.condition(now, positive=True),
    }
    out |= {'share_of': shares} if leaves else {}
    out |= {'kernel': now} if keep else {}
    return out, Kernels(memory.start, now, view.step)

  return Probe(init, measure)


def kernel_regression(
  apply: Callable[..., Array],
  loss: Loss,
  *,
  examples: Range(int, least=2) = 128,
  ridge: Range(float, least=0.0) = 1e-3,
) -> Probe:
  """Kernel regression with the tangent kernel of now, and with that of step 0, beside the network itself.

  Reading: network/, current/ and initial/, each loss (), in the loss's unit, and accuracy (), a share of 1, on the first
    `examples` test examples, with their standard errors loss_se and accuracy_se; agreement, the share of these in which
    network and current kernel name the same class (). The kernels are fitted to the first `examples` training examples, to
    one-hot labels (1 and -1 of a single output) or float targets, less their mean; `ridge` is added to the diagonal in units
    of the mean eigenvalue, and 0 interpolates. They are rivals of the network only where `examples` covers the training set,
    and by the loss only where it is the squared error, as they fit no logits. NaN where a kernel is singular to its precision.
  Cost: the tangent kernel of all these examples, and one eigendecomposition; memory for the predictions of step 0.
  Oracle: numpy in float64, ridge regression on dense Jacobians as features.
  Source: 1806.07572, section 5 (regression), 2010.15110 (with the kernel of now).
  """

  def regress(view):
    y = _targets(apply, view, examples)
    n = y.shape[0]
    x = jnp.concatenate([view.data.train.x[:n], view.data.test.x[:examples]])
    k = ntk(apply, view.variables, x)
    train, y = k[:n, :n], y.astype(k.dtype)
    middle = jnp.mean(y, axis=0, keepdims=True)
    # Under jit a singular kernel is NaN, and no error.
    fit = jax.jit(lambda train, cross, y, ridge: spectrum.regression(train, cross, y, ridge=ridge))
    return middle + fit(train, k[n:, :n], y - middle, jnp.asarray(ridge, k.dtype) * jnp.trace(train) / n)

  def score(outputs, targets):
    losses, hits = loss(outputs, targets), correct(outputs, targets).astype(jnp.float32)
    spread = {'loss_se': standard_error(losses), 'accuracy_se': standard_error(hits)}
    return {'loss': mean(losses), 'accuracy': jnp.mean(hits), **spread}

  def measure(view, memory, key):
    x, y = view.data.test.x[:examples], view.data.test.y[:examples]
    network, current = apply(view.variables, x), regress(view)
    same = (predict(network) == predict(current)).astype(jnp.float32)
    finite = jnp.all(jnp.isfinite(network)) & jnp.all(jnp.isfinite(current))
    out = {name: score(outputs, y) for name, outputs in (('network', network), ('current', current), ('initial', memory))}
    return {**out, 'agreement': jnp.where(finite, jnp.mean(same), jnp.nan)}, memory

  return Probe(regress, measure)


def _targets(apply, view, examples) -> Array:
  """Of the first training examples, (n, k): floats as they are, labels as one-hot vectors, of one output as -1 and 1."""
  x, y = view.data.train.x[:examples], view.data.train.y[:examples]
  if not jnp.issubdtype(y.dtype, jnp.integer):
    return at_least_float32(y)
  k = jax.eval_shape(apply, view.variables, x).shape[-1]
  return (2 * y - 1).astype(jnp.float32)[:, None] if k == 1 else jax.nn.one_hot(y, k, dtype=jnp.float32)
