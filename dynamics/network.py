"""Any flax module as a Model, and a Model with its initial weights drawn by an init."""

import functools
import inspect
from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict

from dynamics import contracts, trees
from dynamics.leaves import describe
from dynamics.types import Model, Trace, Tree

HELD = ('initial', 'frozen')  # collections that belong to transforms and that the module does not see


def from_flax(
  module: nn.Module,
  x: Tree,
  roles: Mapping[str, str] | None = None,
  fans: Mapping[str, tuple[int, int]] | None = None,
) -> Model:
  """A flax module, called as module(x), or as module(x, train=...) where it behaves differently in training.

  Collections beside 'params' (batch statistics) are carried, and updated by training steps only. The key of a training step
  serves every stream of random numbers that the module asks for ('dropout', ...). All that the module sows as
  'intermediates' are its features.

  Args:
    module: with its own initialisers; `initialised` draws from another distribution.
    x: a batch of inputs, arrays or their shapes and dtypes, (n, ...).
    roles, fans: path pattern -> role and (fan_in, fan_out) of a parameter, where the model does not show them; see
      `dynamics.leaves.describe`.

  Raises:
    TypeError: another thing than a linen module.
    ValueError: inputs that are no arrays of floats or whole numbers (n, ...); while it is traced, outputs that are no array.
  """
  contracts.examples(x, 'x')
  if not isinstance(module, nn.Module):
    what = f'the class {module.__name__}' if isinstance(module, type) else f'of type {type(module).__name__}'
    raise TypeError(f'from_flax takes a module of flax linen, but this is {what}: dynamics.modules.as_model takes other makes')
  has_train = 'train' in inspect.signature(type(module).__call__).parameters
  mode = lambda train: {'train': train} if has_train else {}
  example = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((1, *leaf.shape[1:]), jax.dtypes.canonicalize_dtype(leaf.dtype)), x)

  def init(key, data):
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), example)
    variables = module.init({'params': key, **_streams(trees.named_key(key, 'streams'))}, zeros, **mode(False))
    return {name: value for name, value in variables.items() if name != 'intermediates'}

  def forward(variables, inputs, *, key=None, train=False):
    collections = {name: value for name, value in variables.items() if name not in HELD}
    streams = _streams(key) if train and key is not None else None
    changing = [name for name in collections if name != 'params'] if train else []
    outputs, state = module.apply(
      collections,
      inputs,
      **mode(train),
      mutable=[*changing, 'intermediates'],
      rngs=streams,
    )
    contracts.outputs(outputs, type(module).__name__)
    sown = flatten_dict(state.pop('intermediates', {}), sep='/')  # in the order of the layers
    return outputs, Trace(state, {name: values[-1] for name, values in sown.items()})

  @functools.cache
  def leaves():
    variables = jax.eval_shape(lambda: init(jax.random.key(0, impl='threefry2x32'), None))
    return describe(lambda variables, x: forward(variables, x)[0], variables, example, roles, fans)

  return Model(init, forward, leaves)


STREAMS = ('dropout', 'noise', 'sample', 'default')


def _streams(key) -> dict:
  """A key for each stream of random numbers that flax layers commonly ask for."""
  return {name: trees.named_key(key, name) for name in STREAMS}


def initialised(model: Model, init) -> Model:
  """`model` with all parameters drawn by `init`; None keeps its own initialisers.

  Args:
    model: whose leaves, roles and fans the init reads.
    init: (key, leaves, data) -> params, or (key, leaves, data, *, model) -> params where it looks at the forward pass too.
  """
  if init is None:
    return model
  looks = {'model': model} if 'model' in inspect.signature(init).parameters else {}

  def draw(key, data):
    return {**model.init(key, data), 'params': init(key, model.leaves(), data, **looks)}

  return model._replace(init=draw)


def begun(variables, drawn: Mapping[str, Tree] | None = None):
  """Variables as a model sees them at step 0: with 'initial' and 'frozen' beside what `Model.init` gave."""
  return {'frozen': drawn or {}, **variables, 'initial': variables['params']}
