"""Hidden features: what they share with those of step 0, how many directions and units they use, how classes lie in them."""

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp

from dynamics.components import component
from dynamics.linalg import dense, spectrum
from dynamics.losses import predict
from dynamics.probes.evaluation import first, with_features
from dynamics.schema import Range
from dynamics.trees import at_least_float32
from dynamics.types import Array, Probe, Reading


@component(needs=('hidden_layers',))
def representation(
  *, examples: Range(int, least=2) = 64, layers: bool = True, positions: Literal['joined', 'apart', 'last'] = 'joined'
) -> Probe:
  """Hidden features H of the first `examples` (n) training inputs, beside those of step 0.

  H is (n, h). Where examples have positions, it is (n, l h) if these are 'joined', and the covariance is that of (n l, h). Where
  they are 'apart', each counts as an example, (n l, h); 'last' is the last one alone, (n, h). Readings are of the last hidden
  layer and, with `layers`, of every layer. NaN of features that are zero or, but for alignment, all alike.

  Language models: take positions='apart', or n sequences are all that alignment and cka see. examples=16 sequences do.

  Reading:
    alignment, alignment_of/layer (): Tr(R R0) / |R| |R0| with R = H H^T.
    cka, cka_of/layer (): the same of features less their mean over examples.
    rank, rank_of/layer (): exp of the entropy of the covariance's eigenvalues, between 1 and h.
    participation, participation_of/layer (): (their sum)^2 over the sum of their squares, between 1 and h.
  Cost: two forward passes on n examples, and an eigendecomposition of size min(n l, h) a layer; no state.
  Oracle: numpy in float64 on the singular values of the features.
  Source: 2310.08513 (alignment), 1905.00414 (CKA), Roy and Vetterli 2007 (rank).
  """

  def compare(h, start):
    if positions == 'last':
      h, start = (x.reshape(x.shape[0], -1, x.shape[-1])[:, -1] for x in (h, start))
    flat = lambda x: x.reshape(x.shape[0], -1)
    gram = lambda x: flat(x) @ flat(x).T
    apart = lambda x: x.reshape(-1, x.shape[-1])
    centred = lambda x: x - jnp.mean(x, axis=0, keepdims=True)
    rows = centred(apart(h))
    covariance = rows @ rows.T if rows.shape[0] < rows.shape[1] else rows.T @ rows
    joined = positions != 'apart'
    return {
      'alignment': spectrum.alignment(gram(h), gram(start)) if joined else _cosine(apart(h), apart(start)),
      'cka': spectrum.alignment(gram(h), gram(start), centred=True) if joined else _cosine(rows, centred(apart(start))),
      'rank': spectrum.rank(covariance, positive=True).entropy,
      'participation': jnp.trace(covariance) ** 2 / jnp.sum(covariance**2),
    }

  return _of_features(examples, _each_layer(compare, layers), least=2)


@component(needs=('hidden_layers',))
def activity(*, examples: Range(int, least=1) = 64, layers: bool = True) -> Probe:
  """Which hidden units are on, on the first `examples` training inputs, and whether these were on at step 0.

  Readings are of the last hidden layer and, with `layers`, of every layer. Each position counts as an example of its own. NaN
  where a feature is.

  Reading:
    dead, dead_of/layer (): the share of units that are zero for all examples, as relu's may be.
    active, active_of/layer (): the share of (example, unit) pairs above zero.
    changed, changed_of/layer (): the share of pairs that are above zero now or were at step 0, but not both.
  Cost: two forward passes on `examples` examples; no state.
  Oracle: numpy, unit by unit.
  Source: 1812.07956, section 3 (stability of activations).
  """

  def compare(h, start):
    share = lambda flags: jnp.where(jnp.any(jnp.isnan(h)), jnp.nan, jnp.mean(flags.astype(jnp.float32)))
    dead = jnp.all(h == 0, axis=tuple(range(h.ndim - 1)))
    return {'dead': share(dead), 'active': share(h > 0), 'changed': share((h > 0) != (start > 0))}

  return _of_features(examples, _each_layer(compare, layers))


@component(needs=('hidden_layers', 'labels'))
def neural_collapse(*, examples: Range(int, least=2) = 512) -> Probe:
  """How classes lie in the last hidden layer, on the first `examples` training examples; of positions the last.

  All but nearest tend to 0 in collapse. Classes without an example are left out; with fewer than two all readings are NaN. The
  classifier is the last parameter array of shape (h, C).

  Reading:
    within (): NC1, tr(S_w S_b^+) / C with the covariances within and between C classes.
    equinorm (): NC2, standard deviation over mean of the lengths of class means, less the mean of these.
    equiangular (): NC2, the standard deviation of their pairs' cosines.
    simplex (): NC2, the mean distance of these from -1 / (C - 1).
    duality (): NC3, the distance of the classifier from the class means, each divided by its norm, between 0 and 2; NaN where no
      parameter array is a classifier.
    nearest (): NC4, the share of examples whose predicted class is that of the nearest class mean.
  Cost: one forward pass on the examples, and an eigendecomposition of size C; no state.
  Oracle: numpy in float64 with pinv, class by class.
  Source: 2008.08186, section 1.1 and figures 2 to 7. Targets that are no labels (n,) are refused.
  """

  def read(outputs, features, _, y, view):
    if y.ndim != 1 or not jnp.issubdtype(y.dtype, jnp.integer):
      raise ValueError(f'neural_collapse needs labels ({y.shape[0]},), one an example, but the targets are {y.dtype}{y.shape}')
    h = list(features.values())[-1]
    h = h.reshape(h.shape[0], -1, h.shape[-1])[:, -1]
    member = jax.nn.one_hot(y, max(outputs.shape[-1], 2), dtype=h.dtype)
    size = jnp.sum(member, axis=0)
    present = size > 0
    classes = jnp.sum(present.astype(h.dtype))
    centres = member.T @ h / jnp.maximum(size, 1)[:, None]
    means = jnp.where(present[:, None], centres - jnp.sum(centres, axis=0, keepdims=True) / classes, 0)
    reading = {
      'within': _within(h - member @ centres, means),
      **_simplex(means, present, classes),
      'duality': _duality(view.variables['params'], means),
      'nearest': _nearest(h, jnp.where(present[:, None], centres, jnp.inf), predict(outputs)),
    }
    return {name: jnp.where(classes > 1, value, jnp.nan) for name, value in reading.items()}

  return _of_features(examples, read, least=2, initial=False)


def _cosine(a: Array, b: Array) -> Array:
  """Tr(A A^T B B^T) / |A A^T| |B B^T| of (n, h) features, by way of (h, h): n may be large."""
  norm = jnp.linalg.norm
  return jnp.sum(jnp.square(a.T @ b)) / (norm(a.T @ a) * norm(b.T @ b))


# ---- geometry of classes ----------------------------------------------------------------------------------------


def _within(residuals: Array, means: Array) -> Array:
  """tr(S_w S_b^+) / C from residuals (n, h) and means (C, h), by way of the (C, C) Gram matrix of means."""
  values, vectors = dense.eigh(means @ means.T)
  rounding = values[-1] * max(means.shape) * jnp.finfo(means.dtype).eps
  zero = values <= rounding
  along = residuals @ (means.T @ vectors) / jnp.where(zero, 1, values)[None]
  return jnp.mean(jnp.sum(jnp.where(zero[None], 0, along**2), axis=1))


def _simplex(means: Array, present: Array, classes: Array) -> Reading:
  lengths = jnp.linalg.norm(means, axis=1)
  pairs = present[:, None] & present[None] & ~jnp.eye(means.shape[0], dtype=bool)
  cosines = means @ means.T / (lengths[:, None] * lengths[None])
  mean = lambda x, mask: jnp.sum(jnp.where(mask, x, 0)) / jnp.sum(mask.astype(x.dtype))
  std = lambda x, mask: jnp.sqrt(mean((x - mean(x, mask)) ** 2, mask))
  return {
    'equinorm': std(lengths, present) / mean(lengths, present),
    'equiangular': std(cosines, pairs),
    'simplex': mean(jnp.abs(cosines + 1 / (classes - 1)), pairs),
  }


def _duality(params, means: Array) -> Array:
  classifiers = [at_least_float32(leaf) for leaf in jax.tree.leaves(params) if leaf.shape == means.shape[::-1]]
  if not classifiers:
    return jnp.asarray(jnp.nan, means.dtype)
  w = classifiers[-1]
  return jnp.linalg.norm(w.T / jnp.linalg.norm(w) - means / jnp.linalg.norm(means))


def _nearest(h: Array, centres: Array, classes: Array) -> Array:
  apart = jnp.sum((h[:, None] - centres[None]) ** 2, axis=-1)
  same = (predict(-apart) == classes).astype(jnp.float32)
  return jnp.where(jnp.any(jnp.isnan(apart)), jnp.nan, jnp.mean(same))


# ---- features ---------------------------------------------------------------------------------------------------


def _of_features(examples: int, read: Callable[..., Reading], least: int = 1, initial: bool = True) -> Probe:
  """`read` of outputs, of features now and, with `initial`, at step 0, of targets and of the view.

  A model that shows no features, and targets that `read` refuses, are refused at the start.
  """

  def measure(view, state, key):
    batch = first(view.data.train, examples, least)
    outputs, features = with_features(view, view.variables, batch.x)
    start = with_features(view, view.initial, batch.x)[1] if initial else {}
    return read(outputs, features, start, batch.y, view), state

  def init(view):
    jax.eval_shape(lambda: measure(view, (), None)[0])
    return ()

  return Probe(init, measure)


def _each_layer(compare: Callable[[Array, Array], dict[str, Array]], layers: bool) -> Callable[..., Reading]:
  """Readings of the last layer under their names, and of all layers under name_of/layer."""

  def read(outputs, features, start, y, view):
    names = list(features) if layers else list(features)[-1:]
    each = {name: compare(features[name], start[name]) for name in names}
    reading = dict(each[names[-1]])
    if layers:
      reading |= {f'{name}_of': {layer: values[name] for layer, values in each.items()} for name in tuple(reading)}
    return reading

  return read
