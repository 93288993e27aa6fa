"""What is trained in place of the network itself: a multiple of it, its change since the start, its tangent model."""

from collections.abc import Callable

import jax

from dynamics import trees
from dynamics.components import component
from dynamics.schema import Traced
from dynamics.types import Model


@component()
def scaled(*, alpha: Traced(above=0.0) = 1.0):
  """alpha f(w): the outputs are multiplied. Source: 1812.07956 (lazy training)."""

  def forward(model, variables, x, **mode):
    outputs, trace = model.forward(variables, x, **mode)
    return outputs * jax.numpy.asarray(alpha, outputs.dtype), trace

  return _of_outputs('scaled', forward)


@component()
def centred():
  """f(w) - f(w0): the outputs start at zero. Both terms see the collections (batch statistics) of now.

  Source: 1812.07956.
  """

  def forward(model, variables, x, **mode):
    outputs, trace = model.forward(variables, x, **mode)
    start, _ = model.forward({**variables, 'params': variables['initial']}, x, **mode)
    return outputs - start, trace

  return _of_outputs('centred', forward)


@component()
def linearised():
  """f(w0) + J(w0) (w - w0): the tangent model at the start. Its features are those of the network at w0.

  Source: 1902.06720.
  """

  def forward(model, variables, x, **mode):
    start = variables['initial']
    at = lambda params: model.forward({**variables, 'params': params}, x, **mode)
    outputs, change, trace = jax.jvp(at, (start,), (trees.subtract(variables['params'], start),), has_aux=True)
    return outputs + change, trace

  return _of_outputs('linearised', forward)


def _of_outputs(name: str, forward: Callable) -> Callable[[Model], Model]:
  """The transform that puts forward(model, variables, x, **mode) in the place of the model's own.

  Raises:
    ValueError: in the transform: a model to which it has been applied already.
  """

  def transform(model):
    if name in model.transforms:
      raise ValueError(f'transforms has {name} twice, which says nothing more than once: leave one out')
    changed = lambda variables, x, **mode: forward(model, variables, x, **mode)
    return model._replace(forward=changed, transforms=(*model.transforms, name))

  return transform
