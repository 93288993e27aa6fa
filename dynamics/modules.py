"""Models of other makes: flax nnx and equinox modules, and pairs of plain functions."""

import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import nnx

from dynamics import trees
from dynamics.leaves import describe
from dynamics.network import HELD, from_flax
from dynamics.types import Array, Key, Model, Trace, Tree

Stated = Mapping[str, Any] | None  # path pattern -> role, or (fan_in, fan_out); see `dynamics.leaves.describe`


def as_model(network: Any, x: Tree, roles: Stated = None, fans: Stated = None) -> Model:
  """What a user may have for a network, as a Model.

  Args:
    network: a flax module, of linen or nnx; an equinox module; a pair of functions, see `from_functions`; a Model; or a
      function x -> Model.
    x: a batch of inputs, arrays or their shapes and dtypes, (n, ...).
    roles, fans: where the model does not show them; see `dynamics.leaves.describe`.

  Raises:
    TypeError: anything else.
  """
  equinox = sys.modules.get('equinox')  # a module of it cannot exist where it was not imported
  if isinstance(network, Model):
    return network
  if isinstance(network, nn.Module):
    return from_flax(network, x, roles, fans)
  if isinstance(network, nnx.Module):
    return from_nnx(lambda rngs: network, x, roles, fans)
  if equinox and isinstance(network, equinox.Module):
    return from_equinox(lambda key: network, x, roles, fans)
  if isinstance(network, tuple) and len(network) == 2 and all(map(callable, network)):
    return from_functions(*network, x, roles, fans)
  if inspect.isfunction(network):
    return as_model(network(x), x, roles, fans)
  raise TypeError(
    f'a model is a flax or equinox module, a pair of functions (init, apply) or a Model, but this is {_kind(network)}'
  )


def from_functions(init: Callable, apply: Callable, x: Tree, roles: Stated = None, fans: Stated = None) -> Model:
  """A pair of functions: init(key) -> params, a tree of float arrays, and apply(params, x) -> outputs (n, k)."""

  def forward(variables, inputs, *, key=None, train=False):
    return apply(variables['params'], inputs), Trace({}, {})

  return _described(lambda key, data: {'params': init(key)}, forward, x, roles, fans)


def from_nnx(make: Callable[[nnx.Rngs], nnx.Module], x: Tree, roles: Stated = None, fans: Stated = None) -> Model:
  """A module of flax nnx: what it holds as nnx.Param is trained; its other variables change in training steps only.

  Evaluation is `module.eval()`. The key of a training step seeds all of its streams of random numbers. What it sows as
  nnx.Intermediate are its features.

  Args:
    make: rngs -> the module, called anew for every member: `lambda rngs: Net(3, rngs=rngs)`. One that returns a module that
      is there already gives all members its weights.
    x, roles, fans: as in `as_model`.
  """
  first = make(nnx.Rngs(0))
  parts = lambda module: nnx.split(module, nnx.Param, nnx.RngState, ...)
  modes = {train: nnx.graphdef(first.train() or first if train else first.eval() or first) for train in (False, True)}
  _, params_like, streams_like, rest_like = parts(first)

  def init(key, data):
    _, params, _, rest = parts(make(nnx.Rngs(key)))
    return {'params': _nested(params), **({'state': _nested(rest)} if jax.tree.leaves(rest) else {})}

  def forward(variables, inputs, *, key=None, train=False):
    params, rest = _like(params_like, variables['params']), _like(rest_like, variables.get('state', {}))
    streams = _seeded(streams_like, trees.named_key(jax.random.key(0), 'unused') if key is None else key)
    module = nnx.merge(modes[train], params, streams, rest, copy=True)
    outputs, sown = nnx.capture(module, nnx.Intermediate)(inputs)
    features = {path: values for path, values in trees.by_path(nnx.to_pure_dict(sown)).items()}
    mutated = {'state': _nested(parts(module)[3])} if train and 'state' in variables else {}
    return outputs, Trace(mutated, {path.rpartition('/')[0]: value for path, value in features.items()})

  return _described(init, forward, x, roles, fans)


def from_equinox(make: Callable[[Key], Any], x: Tree, roles: Stated = None, fans: Stated = None) -> Model:
  """An equinox module of single examples, vmapped over n: its float arrays are trained, all else is held as it is.

  Where it takes a `key`, every example of a training step gets one; evaluation is `equinox.nn.inference_mode`.

  Args:
    make: key -> the module, called anew for every member: `lambda key: Net(3, key=key)`. One that returns a module that is
      there already gives all members its weights.
    x, roles, fans: as in `as_model`.

  Raises:
    TypeError: a module that takes and returns a state, which this does not carry.
  """
  import equinox

  params_like, held = equinox.partition(make(jax.random.key(0)), equinox.is_inexact_array)
  takes = inspect.signature(type(equinox.combine(params_like, held)).__call__).parameters
  if 'state' in takes:
    raise TypeError('an equinox module that takes a state is not carried: take a norm without running statistics')

  def init(key, data):
    return {'params': _nested(equinox.filter(make(key), equinox.is_inexact_array))}

  def forward(variables, inputs, *, key=None, train=False):
    module = equinox.combine(_like(params_like, variables['params']), held)
    if not train:
      module = equinox.nn.inference_mode(module)
    if not (train and 'key' in takes and key is not None):
      return jax.vmap(module)(inputs), Trace({}, {})
    keys = jax.random.split(key, jax.tree.leaves(inputs)[0].shape[0])
    return jax.vmap(lambda row, key: module(row, key=key))(inputs, keys), Trace({}, {})

  return _described(init, forward, x, roles, fans)


def _described(init: Callable, forward: Callable, x: Tree, roles: Stated, fans: Stated) -> Model:
  """A Model whose leaves are read from the jaxpr of its forward pass, at the first call that asks for them."""
  example = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((1, *leaf.shape[1:]), leaf.dtype), x)
  without = lambda variables: {name: value for name, value in variables.items() if name not in HELD}

  @functools.cache
  def leaves():
    variables = jax.eval_shape(lambda: init(jax.random.key(0, impl='threefry2x32'), None))
    return describe(lambda variables, x: forward(variables, x)[0], variables, example, roles, fans)

  def of_module(variables, inputs, *, key=None, train=False):
    return forward(without(variables), inputs, key=key, train=train)

  return Model(init, of_module, leaves)


def _nested(tree: Tree) -> dict:
  """The leaves as nested dicts with words for keys, as every model of this library has them."""
  out: dict = {}
  for path, leaf in trees.by_path(_plain(tree)).items():
    *above, last = path.split('/')
    functools.reduce(lambda level, name: level.setdefault(name, {}), above, out)[last] = leaf
  return out


def _like(like: Tree, nested: Tree) -> Tree:
  """Leaves from `_nested` in the structure that they came from."""
  leaves, paths = trees.by_path(nested), trees.by_path(_plain(like))
  return jax.tree.unflatten(jax.tree.structure(like), [leaves[path] for path in paths])


def _plain(tree: Tree) -> Tree:
  return nnx.to_pure_dict(tree) if isinstance(tree, nnx.State) else tree


def _seeded(streams: Tree, key: Key) -> Tree:
  """The streams of random numbers of an nnx module, begun anew from a key."""
  leaves, structure = jax.tree.flatten(streams)

  def begun(i: int, leaf: Array) -> Array:
    is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.random.fold_in(key, i) if is_key else jnp.zeros(leaf.shape, leaf.dtype)

  return jax.tree.unflatten(structure, [begun(i, leaf) for i, leaf in enumerate(leaves)])


def _kind(value: Any) -> str:
  return (
    f'the class {value.__name__}, not a module made from it' if isinstance(value, type) else f'of type {type(value).__name__}'
  )
