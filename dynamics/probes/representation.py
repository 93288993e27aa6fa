"""Hidden features: what they share with those of step 0, how many directions and units they use, how classes lie in them."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from dynamics.linalg import dense, spectrum
from dynamics.losses import Loss, predict
from dynamics.schema import Range
from dynamics.trees import at_least_float32
from dynamics.types import Array, Probe, Reading, View


def representation(apply: Callable[..., Array], loss: Loss, *, examples: Range(int, least=2) = 64, layers: bool = True) -> Probe:
  """Hidden features of the first `examples` (n) training inputs, beside those of step 0.

  Reading: of the last hidden layer, alignment, Tr(R R0) / |R| |R0| with R = H H^T (); cka, the same of features less their
    mean over examples (); rank, exp of the entropy of the covariance's eigenvalues (), and participation, (their sum)^2 over
    the sum of their squares (), both between 1 and h; with `layers` the same of every layer under alignment_of/, cka_of/,
    rank_of/ and participation_of/. No units. H is (n, h), and (n, l h) where examples have positions; the covariance is that
    of (n l, h). NaN of features that are zero or, but for alignment, all alike.
  Cost: two forward passes on n examples, and an eigendecomposition of size min(n l, h) a layer; no memory.
  Oracle: numpy in float64 on the singular values of the features.
  Source: 2310.08513 (alignment), 1905.00414 (CKA), Roy and Vetterli 2007 (rank).
  """

  def compare(h, start):
    flat = lambda x: x.reshape(x.shape[0], -1)
    gram = lambda x: flat(x) @ flat(x).T
    rows = h.reshape(-1, h.shape[-1])
    rows = rows - jnp.mean(rows, axis=0, keepdims=True)
    covariance = rows @ rows.T if rows.shape[0] < rows.shape[1] else rows.T @ rows
    return {
      'alignment': spectrum.alignment(gram(h), gram(start)),
      'cka': spectrum.alignment(gram(h), gram(start), centred=True),
      'rank': spectrum.rank(covariance, positive=True).entropy,
      'participation': jnp.trace(covariance) ** 2 / jnp.sum(covariance**2),
    }

  return _of_features(apply, examples, _each_layer(compare, layers))


def activity(apply: Callable[..., Array], loss: Loss, *, examples: Range(int, least=1) = 64, layers: bool = True) -> Probe:
  """Which hidden units are on, on the first `examples` training inputs, and whether these were on at step 0.

  Reading: of the last hidden layer, dead, the share of units that are zero for all examples, as relu's may be (); active, the
    share of (example, unit) pairs above zero (); changed, the share of pairs that are above zero now or were at step 0, but
    not both (); with `layers` the same of every layer under dead_of/, active_of/ and changed_of/. Each position counts as an
    example of its own. NaN where a feature is.
  Cost: two forward passes on `examples` examples; no memory.
  Oracle: numpy, unit by unit.
  Source: 1812.07956, section 3 (stability of activations).
  """

  def compare(h, start):
    share = lambda flags: jnp.where(jnp.any(jnp.isnan(h)), jnp.nan, jnp.mean(flags.astype(jnp.float32)))
    dead = jnp.all(h == 0, axis=tuple(range(h.ndim - 1)))
    return {'dead': share(dead), 'active': share(h > 0), 'changed': share((h > 0) != (start > 0))}

  return _of_features(apply, examples, _each_layer(compare, layers))


def neural_collapse(apply: Callable[..., Array], loss: Loss, *, examples: Range(int, least=2) = 512) -> Probe:
  """How classes lie in the last hidden layer, on the first `examples` training examples; of positions the last.

  Reading: within (NC1), tr(S_w S_b^+) / C with the covariances within and between C classes (); equinorm (NC2), standard
    deviation over mean of the lengths of class means, less the mean of these (); equiangular (NC2), the standard deviation of
    their pairs' cosines (); simplex (NC2), the mean distance of these from -1 / (C - 1) (); duality (NC3), the distance of
    the classifier from the class means, each divided by its norm (), between 0 and 2; nearest (NC4), the share of examples
    whose predicted class is that of the nearest class mean (). No units; all but nearest tend to 0 in collapse. Classes
    without an example are left out. The classifier is the last parameter array of shape (h, C); duality is NaN without one.
    All are NaN for float targets, which have no classes, and for fewer than two classes.
  Cost: one forward pass on the examples, and an eigendecomposition of size C; no memory.
  Oracle: numpy in float64 with pinv, class by class.
  Source: 2008.08186, section 1.1 and figures 2 to 7.
  """

  def read(outputs, features, _, view):
    y = view.data.train.y[: outputs.shape[0]]
    if not jnp.issubdtype(y.dtype, jnp.integer):
      return dict.fromkeys(('within', 'equinorm', 'equiangular', 'simplex', 'duality', 'nearest'), jnp.float32(jnp.nan))
    h = list(features.values())[-1]
    h = h.reshape(h.shape[0], -1, h.shape[-1])[:, -1]
    mine = jax.nn.one_hot(y, max(outputs.shape[-1], 2), dtype=h.dtype)
    size = jnp.sum(mine, axis=0)
    there = size > 0
    many = jnp.sum(there.astype(h.dtype))
    centres = mine.T @ h / jnp.maximum(size, 1)[:, None]
    means = jnp.where(there[:, None], centres - jnp.sum(centres, axis=0, keepdims=True) / many, 0)
    out = {
      'within': _within(h - mine @ centres, means),
      **_simplex(means, there, many),
      'duality': _duality(view.variables['params'], means),
      'nearest': _nearest(h, jnp.where(there[:, None], centres, jnp.inf), predict(outputs)),
    }
    return {name: jnp.where(many > 1, value, jnp.nan) for name, value in out.items()}

  return _of_features(apply, examples, read, anchored=False)


# ---- geometry of classes ----------------------------------------------------------------------------------------


def _within(residuals: Array, means: Array) -> Array:
  """tr(S_w S_b^+) / C from residuals (n, h) and means (C, h), by way of the (C, C) Gram matrix of means."""
  values, vectors = dense.eigh(means @ means.T)
  rounding = values[-1] * max(means.shape) * jnp.finfo(means.dtype).eps
  zero = values <= rounding
  along = residuals @ (means.T @ vectors) / jnp.where(zero, 1, values)[None]
  return jnp.mean(jnp.sum(jnp.where(zero[None], 0, along**2), axis=1))


def _simplex(means: Array, there: Array, many: Array) -> Reading:
  lengths = jnp.linalg.norm(means, axis=1)
  pairs = there[:, None] & there[None] & ~jnp.eye(means.shape[0], dtype=bool)
  cosines = means @ means.T / (lengths[:, None] * lengths[None])
  mean = lambda x, some: jnp.sum(jnp.where(some, x, 0)) / jnp.sum(some.astype(x.dtype))
  std = lambda x, some: jnp.sqrt(mean((x - mean(x, some)) ** 2, some))
  return {
    'equinorm': std(lengths, there) / mean(lengths, there),
    'equiangular': std(cosines, pairs),
    'simplex': mean(jnp.abs(cosines + 1 / (many - 1)), pairs),
  }


def _duality(params, means: Array) -> Array:
  found = [at_least_float32(leaf) for leaf in jax.tree.leaves(params) if leaf.shape == means.shape[::-1]]
  if not found:
    return jnp.asarray(jnp.nan, means.dtype)
  return jnp.linalg.norm(found[-1].T / jnp.linalg.norm(found[-1]) - means / jnp.linalg.norm(means))


def _nearest(h: Array, centres: Array, classes: Array) -> Array:
  apart = jnp.sum((h[:, None] - centres[None]) ** 2, axis=-1)
  same = (predict(-apart) == classes).astype(jnp.float32)
  return jnp.where(jnp.any(jnp.isnan(apart)), jnp.nan, jnp.mean(same))


# ---- features ---------------------------------------------------------------------------------------------------


def _of_features(apply: Callable[..., Array], examples: int, read: Callable[..., Reading], anchored: bool = True) -> Probe:
  """`read` of outputs, of features now and at step 0, and of the view. A model without features is refused at once."""

  def shown(variables, view: View):
    outputs, features = apply(variables, view.data.train.x[:examples], features=True)
    return outputs, {name: at_least_float32(h) for name, h in features.items()}

  def init(view):
    if not jax.eval_shape(lambda view: shown(view.variables, view), view)[1]:
      raise ValueError(
        "the model shows no hidden features, which this probe reads; give it a hidden layer, or self.sow('intermediates', ...)"
      )
    return ()

  def measure(view, memory, key):
    outputs, features = shown(view.variables, view)
    return read(outputs, features, shown(view.anchor, view)[1] if anchored else {}, view), memory

  return Probe(init, measure)


def _each_layer(compare: Callable[[Array, Array], dict[str, Array]], layers: bool) -> Callable[..., Reading]:
  """Readings of the last layer under their names, and of all layers under name_of/layer."""

  def read(outputs, features, start, view):
    names = list(features) if layers else list(features)[-1:]
    each = {name: compare(features[name], start[name]) for name in names}
    out = dict(each[names[-1]])
    if layers:
      out |= {f'{reading}_of': {name: values[reading] for name, values in each.items()} for reading in tuple(out)}
    return out

  return read
