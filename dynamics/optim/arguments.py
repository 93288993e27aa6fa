"""What a training step hands to an optimizer beside the gradient: optax's extra arguments."""

import inspect
from collections.abc import Callable, Mapping

import jax

from dynamics.linalg import products
from dynamics.types import Array, Tree


def accepted(update: Callable) -> Callable[[Mapping], Mapping]:
  """Selects, of what a step offers, the arguments that an optimizer takes."""
  parameters = inspect.signature(update).parameters.values()
  if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters):
    return lambda offered: offered
  names = {p.name for p in parameters}
  return lambda offered: {name: value for name, value in offered.items() if name in names}


def offered(loss: Callable, value: Array, grads: Tree, mean: Callable) -> dict:
  """What an optimizer may ask for beside the gradient, under optax's names. Nothing is traced until it is called.

  Args:
    loss: params -> (value, aux), of this device's part of the batch.
    value, grads: of the whole batch.
    mean: over the devices that share the batch.

  Returns:
    'value', 'grad'; the functions of params 'value_fn' and 'obj_fn', both the loss, and 'grad_fn'; 'hessian',
    params -> (v -> H v). All are of the whole batch.
  """

  def hessian(params):
    share = products.hessian(lambda p: loss(p)[0], params)
    return lambda v: mean(share(v))

  # optax's line searches hand value_fn all that they do not take themselves, and refuse what it does not name.
  def value_fn(params, *, grad_fn=None, hessian=None, obj_fn=None):
    return mean(loss(params)[0])

  return {
    'value': value,
    'grad': grads,
    'value_fn': value_fn,
    'obj_fn': value_fn,
    'grad_fn': lambda params, *_: mean(jax.grad(lambda p: loss(p)[0])(params)),
    'hessian': hessian,
  }
