"""Joins a flax module, a task, a loss and an init to a Problem."""

import inspect
from collections.abc import Callable, Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp

from dynamics import losses
from dynamics.data.sampling import sampler
from dynamics.inits import Init, Rule, describe, over, standard
from dynamics.types import Array, Aux, Batch, Data, Key, Problem

Sampler = Callable[[Key, Data, Array], Batch]


def supervised(
  module: nn.Module,
  x: jax.ShapeDtypeStruct,
  loss: losses.Loss,
  *,
  init: Init | None = None,
  rule: Rule = standard,
  roles: Mapping[str, str] | None = None,
  batch: Sampler | None = None,
) -> Problem:
  """The problem of fitting `module` to labelled examples.

  Args:
    module: any flax module called as module(x), or as module(x, train=...) where it behaves differently in training.
      Collections beside 'params' (batch statistics) are carried and updated by training steps only.
    x: the shape and dtype of a batch of inputs, (n, ...).
    loss: from `dynamics.losses`, or any (outputs, targets) -> (n,).
    init: draws all parameters; None keeps the module's own initialisers.
    rule: the parametrisation; its a multiplies the parameters that the module sees. Give the optimiser the same one.
    roles: for `dynamics.inits.describe`, where names do not tell the layers' places.
    batch: from `dynamics.data.sampling.sampler`; None is the full batch.

  Where the hyper values hold `alpha`, the outputs are multiplied by it.
  """
  has_train = 'train' in inspect.signature(type(module).__call__).parameters
  mode = lambda train: {'train': train} if has_train else {}

  def seen(params):
    leaves = describe(params, roles)
    return over(lambda leaf, w: w * jnp.asarray(rule(leaf, False).a, w.dtype), leaves, params)

  def initialise(key, hyper):
    variables = dict(module.init(key, jnp.zeros(x.shape, x.dtype), **mode(False)))
    if init is not None:
      variables['params'] = init(key, describe(variables['params'], roles), hyper)
    if 'alpha' in hyper:
      variables['multipliers'] = {'alpha': hyper['alpha']}
    return variables

  def forward(variables, inputs, train):
    own = {name: value for name, value in variables.items() if name != 'multipliers'}
    own['params'] = seen(own['params'])
    mutable = [name for name in own if name != 'params'] if train else []
    outputs, state = module.apply(own, inputs, **mode(train), mutable=mutable)
    if 'multipliers' in variables:
      outputs = outputs * variables['multipliers']['alpha'].astype(outputs.dtype)
    return outputs, state

  def apply(variables, inputs, *, train=False):
    return forward(variables, inputs, train)[0]

  def training_loss(variables, examples, hyper):
    outputs, state = forward(variables, examples.x, train=True)
    each = loss(outputs, examples.y)
    return losses.mean(each), Aux(outputs, each, state)

  return Problem(initialise, apply, training_loss, batch or sampler())
