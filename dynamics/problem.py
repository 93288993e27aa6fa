"""Joins a flax module, a task, a loss and an init to a Problem."""

import functools
import inspect
from collections.abc import Callable, Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict

from dynamics import losses, trees
from dynamics.data.sampling import sampler
from dynamics.inits import Init, Rule, describe, over, standard
from dynamics.types import Array, Aux, Batch, Data, Key, Problem

OURS = ('multipliers', 'origin', 'clock')  # collections that the module does not see

Sampler = Callable[[Key, Data, Array], Batch]


def supervised(
  module: nn.Module,
  x: jax.ShapeDtypeStruct,
  loss: losses.Loss,
  *,
  init: Init | None = None,
  init_from: Callable[[Data], Init] | None = None,
  rule: Rule = standard,
  roles: Mapping[str, str] | None = None,
  batch: Sampler | None = None,
  centred: bool = False,
  linearised: bool = False,
) -> Problem:
  """The problem of fitting `module` to labelled examples.

  Args:
    module: any flax module called as module(x), or as module(x, train=...) where it behaves differently in training.
      Collections beside 'params' (batch statistics) are carried and updated by training steps only.
    x: the shape and dtype of a batch of inputs, (n, ...).
    loss: from `dynamics.losses`, or any (outputs, targets) -> (n,).
    init: draws all parameters; None keeps the module's own initialisers.
    init_from: an init that looks at the data first, such as `dynamics.inits.aligned`; training then starts from it.
    rule: the parametrisation; its a multiplies the parameters that the module sees. Give the optimiser the same one.
    roles: for `dynamics.inits.describe`, where names do not tell the layers' places.
    batch: from `dynamics.data.sampling.sampler`; None is the full batch.
    centred: f(w) - f(w0) in place of f(w), so that the outputs start at zero.
    linearised: f(w0) + J(w0) (w - w0) in place of f(w): the tangent model at the start. Both may be asked for.

  Where the hyper values hold `alpha`, the outputs are multiplied by it, last of all. Where they hold `stop_loss`, a member
  stands still from the first step whose batch has at most that loss; `variables['clock']` then holds the level, and the step
  at which it stopped, -1 before.

  `apply(variables, x, features=True)` gives (outputs, {name: activations (n, ..., h)}): all that the module sows as
  'intermediates', in the order of its layers, as the models here do: 'after_input', 'after_hidden_1', ...
  """
  has_train = 'train' in inspect.signature(type(module).__call__).parameters
  mode = lambda train: {'train': train} if has_train else {}

  def seen(params):
    leaves = describe(params, roles)
    return over(lambda leaf, w: w * jnp.asarray(rule(leaf, False).a, w.dtype), leaves, params)

  def initialise(key, hyper, init=init):
    variables = dict(module.init(key, jnp.zeros(x.shape, x.dtype), **mode(False)))
    if init is not None:
      variables['params'] = init(key, describe(variables['params'], roles), hyper)
    if centred or linearised:
      variables['origin'] = variables['params']
    if 'alpha' in hyper:
      variables['multipliers'] = {'alpha': hyper['alpha']}
    if 'stop_loss' in hyper:
      variables['clock'] = {'level': hyper['stop_loss'], 'stopped': jnp.int32(-1)}
    return variables

  def forward(variables, inputs, train, also=()):
    own = {name: value for name, value in variables.items() if name not in OURS}
    mutable = [*([name for name in own if name != 'params'] if train else []), *also]

    def network(params):
      return module.apply({**own, 'params': seen(params)}, inputs, **mode(train), mutable=mutable)

    if linearised:
      start, params = variables['origin'], variables['params']
      first, change, state = jax.jvp(network, (start,), (trees.subtract(params, start),), has_aux=True)
      outputs = change if centred else first + change
    else:
      outputs, state = network(variables['params'])
      outputs = outputs - network(variables['origin'])[0] if centred else outputs
    if 'multipliers' in variables:
      outputs = outputs * variables['multipliers']['alpha'].astype(outputs.dtype)
    return outputs, state

  def apply(variables, inputs, *, train=False, features=False):
    if not features:
      return forward(variables, inputs, train)[0]
    outputs, state = forward(variables, inputs, train, ('intermediates',))
    sown = flatten_dict(state.get('intermediates', {}), sep='/')  # in the order of the layers
    return outputs, {name: h for name, (h,) in sown.items()}

  def training_loss(variables, examples, hyper):
    outputs, state = forward(variables, examples.x, train=True)
    each = loss(outputs, examples.y)
    return losses.mean(each), Aux(outputs, each, state)

  look = init_from and (lambda data: functools.partial(initialise, init=init_from(data)))
  return Problem(initialise, apply, training_loss, batch or sampler(), look)
