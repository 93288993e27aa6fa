"""The tangent kernel during training: how far it has turned, towards what, and what it would predict by itself."""

import math
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from dynamics import losses
from dynamics.components import component
from dynamics.linalg import ntk, projected_ntk, spectrum
from dynamics.linalg.traces import estimate
from dynamics.probes.evaluation import first, mean, score
from dynamics.schema import Range
from dynamics.trees import at_least_float32
from dynamics.types import Array, Probe, View

MOST = 1024  # outputs at all positions of an example, beyond which an exact kernel is refused


class Kernels(NamedTuple):
  """Of step 0 and of the last reading, (n, n) each, and the step of the latter."""

  start: Array
  last: Array
  step: Array


@component()
def kernel(
  *,
  examples: Range(int, least=2) = 64,
  top: Range(int, least=1) = 8,
  leaves: bool = True,
  keep: bool = False,
  projections: Range(int, least=0) = 0,
  positions: Literal['all', 'last'] = 'all',
) -> Probe:
  """The tangent kernel K, summed over outputs, of the first `examples` (n) training inputs; K0 is that of step 0.

  With `projections` (v) it is the mean over v vectors r of random signs, one for each output, of the kernel of the single output
  r . f: r^T Theta(x, x') r has the mean sum_k Theta_kk(x, x'). The r are the same at all readings and for all members, so that
  drift and alignments compare networks and not draws; trace_se alone tells how far K is from the exact kernel. Outputs
  (n, l, k) are summed over `positions` too, padded ones among them, and a target is then the labels of these positions.

  Language models: l k outputs an example are too many for the exact kernel, which is refused beyond 1,024. Take examples=16
  and projections=32, or positions='last' to read the last position alone.

  Reading:
    drift (): |K - K0| / |K0| in the Frobenius norm.
    alignment (): the cosine of K and K0.
    centred_alignment (): the cosine of K and K0 with features less their mean.
    moved (): 1 - the cosine with the kernel of the last reading.
    velocity (), per step: moved over the steps since the last reading; NaN at step 0.
    target_alignment (): the cosine of centred K with centred one-hot labels, or float targets.
    trace (), an output over a parameter, squared: the trace of K.
    trace_se (), an output over a parameter, squared: its standard error over `projections`, NaN of one; 0 of the exact kernel.
    eigenvalues (top,), an output over a parameter, squared: the largest, descending.
    rank (): exp of the entropy of the eigenvalues.
    stable_rank (): trace over the largest eigenvalue.
    condition (): largest over smallest eigenvalue, inf where the smallest is rounding.
    share_of/leaf (): each parameter array's share of the trace, with `leaves`.
    kernel (n, n), an output over a parameter, squared: K itself, with `keep`.
  Cost: n forward and n k backward passes of one example, with `projections` v for both, and n^2 products of their factors; two
    kernels of state.
  Oracle: numpy in float64 on dense Jacobians.
  Source: 1806.07572 (kernel), 2010.15110 (velocity, distance), 1203.0550 (centred and target alignment), 1812.07956 (regimes).
  """

  def tangent(view):
    """K, the standard error of its trace, and the leaves' shares of that."""
    x, apply = first(view.data.train, examples, least=2).x, _answer(view, positions)
    outputs = jax.eval_shape(apply, view.variables, x).shape[1:]
    if len(outputs) > 1 and math.prod(outputs) > MOST and not projections:
      raise ValueError(
        f'the exact kernel of {outputs} outputs an example takes {math.prod(outputs):,} backward passes of each; '
        "set projections, such as 32, which estimates it, or positions='last'"
      )
    if projections:
      same = jax.random.key(0, impl='threefry2x32')
      gram = projected_ntk(apply, view.variables, x, key=same, projections=projections, leaves=leaves)
    else:
      gram = ntk(apply, view.variables, x, leaves=leaves)
    whole = sum(list(gram.values())[1:], start=next(iter(gram.values()))) if leaves else gram
    if projections:
      error = estimate(jnp.trace(whole, axis1=1, axis2=2)).error
      whole, gram = jax.tree.map(lambda draws: jnp.mean(draws, axis=0), (whole, gram))
    else:
      error = 0 * jnp.trace(whole)  # NaN where the kernel is
    return whole, error, {name: jnp.trace(k) / jnp.trace(whole) for name, k in gram.items()} if leaves else {}

  def init(view):
    now, *_ = tangent(view)
    return Kernels(now, now, view.step)

  def measure(view, state, key):
    now, trace_se, shares = tangent(view)
    values, ranks = spectrum.eigenvalues(now, positive=True), spectrum.rank(now, positive=True)
    moved, steps = spectrum.distance(now, state.last), (view.step - state.step).astype(now.dtype)
    reading = {
      'drift': spectrum.drift(now, state.start),
      'alignment': spectrum.alignment(now, state.start),
      'centred_alignment': spectrum.alignment(now, state.start, centred=True),
      'moved': moved,
      'velocity': jnp.where(steps > 0, moved / steps, jnp.nan),
      'target_alignment': _target_alignment(view, now, examples, positions),
      'trace': jnp.trace(now),
      'trace_se': trace_se,
      'eigenvalues': values[:top],
      'rank': ranks.entropy,
      'stable_rank': ranks.stable,
      'condition': spectrum.condition(now, positive=True),
    }
    reading |= {'share_of': shares} if leaves else {}
    reading |= {'kernel': now} if keep else {}
    return reading, Kernels(state.start, now, view.step)

  return Probe(init, measure)


@component()
def kernel_regression(*, examples: Range(int, least=2) = 128, ridge: Range(float, least=0.0) = 1e-3) -> Probe:
  """Kernel regression with the tangent kernel of now ('current'), and with that of step 0 ('initial'), beside the network.

  The kernels are fitted to the first `examples` training examples, to one-hot labels (1 and -1 of a single output) or float
  targets, less their mean; `ridge` is added to the diagonal in units of the mean eigenvalue, and 0 interpolates. They are rivals
  of the network only where `examples` covers the training set, and by the loss only where it is the squared error, as they fit
  no logits. All three are read on the first `examples` test examples. NaN where a kernel is singular to its precision.

  Reading:
    network/loss, current/loss, initial/loss (), unit of the loss: the mean over these test examples.
    network/loss_se, current/loss_se, initial/loss_se (), unit of the loss: its standard error.
    network/accuracy, current/accuracy, initial/accuracy (): the share of them whose predicted class is right.
    network/accuracy_se, current/accuracy_se, initial/accuracy_se (): its standard error.
    agreement (): the share of them in which network and current kernel name the same class.
  Cost: the tangent kernel of all these examples, and one eigendecomposition; state for the predictions of step 0.
  Oracle: numpy in float64, ridge regression on dense Jacobians as features.
  Source: 1806.07572, section 5 (regression), 2010.15110 (with the kernel of now).
  """

  def regress(view):
    data, y = first(view.data.train, examples, least=2), _targets(view, examples)
    n = y.shape[0]
    x = jax.tree.map(lambda *splits: jnp.concatenate(splits), data.x, first(view.data.test, examples).x)
    k = ntk(view.problem.model.apply, view.variables, x)
    train, y = k[:n, :n], y.astype(k.dtype)
    middle = jnp.mean(y, axis=0, keepdims=True)
    # Under jit a singular kernel is NaN, and no error.
    fit = jax.jit(lambda train, cross, y, ridge: spectrum.regression(train, cross, y, ridge=ridge))
    return middle + fit(train, k[n:, :n], y - middle, jnp.asarray(ridge, k.dtype) * jnp.trace(train) / n)

  def measure(view, state, key):
    x, y = first(view.data.test, examples)
    outputs, current = view.problem.model.apply(view.variables, x), regress(view)

    def quality(outputs):
      scores = score(view.problem.loss, outputs, y)
      loss, accuracy = mean(scores.losses, scores.counts), mean(scores.hits, scores.counts)
      return {'loss': loss.mean, 'loss_se': loss.error, 'accuracy': accuracy.mean, 'accuracy_se': accuracy.error}

    same = (losses.predict(outputs) == losses.predict(current)).astype(jnp.float32)
    finite = jnp.all(jnp.isfinite(outputs)) & jnp.all(jnp.isfinite(current))
    reading = {'network': quality(outputs), 'current': quality(current), 'initial': quality(state)}
    return {**reading, 'agreement': jnp.where(finite, jnp.mean(same), jnp.nan)}, state

  return Probe(regress, measure)


def _answer(view: View, positions: str):
  """(variables, x) -> outputs, at all positions or at the last alone."""
  apply = view.problem.model.apply

  def last(variables, x):
    outputs = apply(variables, x)
    return outputs[:, -1] if outputs.ndim > 2 else outputs

  return last if positions == 'last' else apply


def _target_alignment(view: View, kernel: Array, examples: int, positions: str) -> Array:
  """The cosine of a kernel with that of the targets, both centred; of labels (n, l) one-hot vectors at all positions count."""
  y = first(view.data.train, examples).y
  if y.ndim != 2 or not jnp.issubdtype(y.dtype, jnp.integer):
    return spectrum.target_alignment(kernel, _targets(view, examples).astype(kernel.dtype), centred=True)
  y = y[:, -1:] if positions == 'last' else y
  same = jnp.sum((y[:, None] == y[None]) & (y >= 0)[:, None], axis=-1)
  return spectrum.alignment(kernel, same.astype(kernel.dtype), centred=True)


def _targets(view, examples: int) -> Array:
  """Of the first training examples, (n, k): floats as they are, labels as one-hot vectors, of one output as -1 and 1.

  Raises:
    ValueError: outputs that are not (n, k).
  """
  x, y = first(view.data.train, examples)
  shape = jax.eval_shape(view.problem.model.apply, view.variables, x).shape
  if len(shape) != 2:
    raise ValueError(f'regression on the tangent kernel needs outputs (n, k), but the model answers {shape}')
  if not jnp.issubdtype(y.dtype, jnp.integer):
    return at_least_float32(y)
  y = y.astype(jnp.int32)  # unsigned labels have no -1
  return (2 * y - 1).astype(jnp.float32)[:, None] if shape[1] == 1 else jax.nn.one_hot(y, shape[1], dtype=jnp.float32)
