"""Weight matching: permutes the hidden units of a network so that its parameters are close to those of another."""

import fnmatch
import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dynamics import trees
from dynamics.leaves import describe, weights
from dynamics.trees import at_least_float32
from dynamics.types import Array, Tree, Variables

ROUNDING = 1e-6  # a gain below this fraction of sum_a max_b |gains[a, b]| counts as none
ROWS = 4  # inputs on which the outputs of a permuted network are compared

Patterns = Sequence[Sequence[str]]  # for each layer, from first to last: fnmatch patterns of the paths of its leaves


class Layer(NamedTuple):
  """A layer of a chain: a kernel (..., inputs, units), and vectors (units,) such as biases, scales and statistics."""

  kernel: str  # its path
  shape: tuple[int, ...]  # of the kernel
  patterns: tuple[str, ...]  # of the paths of the kernel and its vectors, in all collections

  @property
  def units(self) -> int:
    return self.shape[-1]


def matched(
  apply: Callable[..., Array],
  reference: Variables,
  variables: Variables,
  x: Array,
  *,
  layers: Patterns | None = None,
  sweeps: int = 50,
) -> Variables:
  """`variables` with the units of each hidden layer permuted to minimise the distance to the parameters of `reference`.

  The permuted network computes the same function. Coordinate descent: each step takes the optimal order of one layer, given the
  orders of its neighbours, until no layer changes. This ends in a local minimum, so there are two descents, and the closer end
  is returned: one starts from the current order, the other with a first sweep that only considers incoming weights. Hence the
  distance never increases, and two networks that differ only in the order of units become equal. Batch statistics are permuted
  too, and so are the weights of step 0 of a `centred` or `linearised` model.

  Layers form a chain in the order of the forward pass: dense layers, convolutions, and a dense layer after a flattened image. A
  vector belongs to the layer of the kernel in the same module ('input/bias'), or of the module whose name it has before '_norm'
  ('input_norm/scale'). This structure is first tested by permuting random weights.

  Args:
    apply: (variables, x) -> outputs, of a `Model`.
    reference, variables: of the same shapes and dtypes. They may be traced; errors are raised while tracing.
    x: (n, ...) inputs, of which only shape and dtype matter.
    layers: patterns of the leaves of each layer from the first to the readout, for names that do not show them:
      (('Dense_0/*', 'BatchNorm_0/*'), ('Dense_1/*',)).
    sweeps: the largest number of sweeps over all layers.

  Raises:
    ValueError: networks of different shapes; layers that do not form a chain, as with attention, recurrence or skip
      connections; a leaf that belongs to no layer or to several.

  Source: 2209.04836, section 3.2 and algorithm 1 (there the order of layers is random; the second descent is ours).
  """
  reference_shapes, shapes = (
    {name: (v.shape, v.dtype) for name, v in trees.by_path(tree).items()} for tree in (reference, variables)
  )
  if reference_shapes != shapes:
    raise ValueError('matching needs two networks of the same shapes and dtypes')
  chain = _chain(apply, variables, x, layers)
  _check_invariance(apply, variables, x, chain)
  return _permuted(variables, chain, _orders(reference['params'], variables['params'], chain, sweeps))


def permuted(
  apply: Callable[..., Array], variables: Variables, x: Array, orders: Sequence[Array], layers: Patterns | None = None
) -> Variables:
  """The same network with unit j of hidden layer i taken from unit orders[i][j]; other arguments and errors as in `matched`."""
  return _permuted(variables, _chain(apply, variables, x, layers), orders)


# ---- structure ----------------------------------------------------------------------------------------------------


def _chain(apply, variables: Variables, x: Array, patterns: Patterns | None) -> tuple[Layer, ...]:
  """The layers from first to last, after checking that the shapes of all leaves agree with a chain."""
  kernels = [leaf for leaf in weights(describe(apply, variables, x)) if len(leaf.shape) > 1]
  patterns = [_default_patterns(leaf.name) for leaf in kernels] if patterns is None else patterns
  chain = []
  for layer_patterns in patterns:
    matches = [leaf for leaf in kernels if any(fnmatch.fnmatchcase(leaf.name, p) for p in layer_patterns)]
    if len(matches) != 1:
      names = ', '.join(leaf.name for leaf in matches) or 'none'
      raise ValueError(f'each layer has one kernel, but {layer_patterns} are {names}')
    chain.append(Layer(matches[0].name, matches[0].shape, tuple(layer_patterns)))
  if len(chain) < 2:
    raise ValueError(f'a network of {len(chain)} layer(s) has no hidden units to match')
  for a, b in itertools.pairwise(chain):
    if b.shape[-2] % a.units:
      raise ValueError(
        f'matching needs a chain of layers, but {b.kernel} is {b.shape} after {a.kernel}, {a.shape}; another order is given by '
        'layers='
      )
  for collection, tree in variables.items():
    for name, v in trees.by_path(tree).items():
      layer = chain[_layer_index(chain, name)] if v.ndim else None
      if layer and v.shape not in ((layer.units,), layer.shape if name == layer.kernel else None):
        raise ValueError(f'{collection}/{name} is {v.shape}, which is no vector of the {layer.units} units of {layer.kernel}')
  return tuple(chain)


def _default_patterns(kernel: str) -> tuple[str, ...]:
  """Patterns of the leaves in the module of a kernel, and in the module that normalises its outputs."""
  module = kernel.rpartition('/')[0]
  return (f'{module}/*', f'{module}_norm/*') if module else (kernel,)


def _layer_index(chain: tuple[Layer, ...], name: str) -> int:
  """The position in the chain of the layer to which a leaf belongs."""
  matches = [i for i, layer in enumerate(chain) if any(fnmatch.fnmatchcase(name, p) for p in layer.patterns)]
  if len(matches) != 1:
    raise ValueError(f'matching cannot tell the layer of {name}; give layers=, each with the patterns of its leaves')
  return matches[0]


def _permuted(variables: Variables, chain: tuple[Layer, ...], orders: Sequence[Array]) -> Variables:
  return {collection: _permuted_tree(tree, chain, orders) for collection, tree in variables.items()}


def _permuted_tree(tree: Tree, chain: tuple[Layer, ...], orders: Sequence[Array]) -> Tree:
  """The leaves of one collection, with units and inputs in the given orders of the hidden layers."""

  def permute(entries, v):
    if not v.ndim:
      return v
    i = _layer_index(chain, trees.path(entries))
    v = v[..., orders[i]] if i < len(orders) else v
    return _by_input(v, chain[i - 1])[:, orders[i - 1]].reshape(v.shape) if i and v.ndim > 1 else v

  return jax.tree_util.tree_map_with_path(permute, tree)


def _by_input(kernel: Array, previous: Layer) -> Array:
  """The kernel as (positions, units of the previous layer, units): in a window and in a flattened image channels are last."""
  return kernel.reshape(-1, previous.units, kernel.shape[-1])


def _check_invariance(apply, variables: Variables, x: Array, chain: tuple[Layer, ...]) -> None:
  """Raises if the outputs of a random network change under a random cycle of the units of any one hidden layer."""
  rng = np.random.default_rng(0)

  def draw(v):
    if not jnp.issubdtype(v.dtype, jnp.floating):
      return np.zeros(v.shape, v.dtype)
    if v.ndim < 2:  # positive, because v may be a variance
      return np.asarray(rng.uniform(0.5, 1.5, v.shape)).astype(v.dtype)
    return (rng.normal(size=v.shape) / math.prod(v.shape[:-1]) ** 0.5).astype(v.dtype)

  network = jax.tree.map(draw, variables)
  inputs = rng.normal(size=(ROWS, *x.shape[1:])) * jnp.issubdtype(x.dtype, jnp.floating)  # tokens are all 0
  dtypes = [v.dtype for v in jax.tree.leaves(network) if jnp.issubdtype(v.dtype, jnp.floating)]

  def outputs(network):
    with jax.ensure_compile_time_eval(), jax.default_matmul_precision('float32'):
      out = jax.jit(apply)(network, inputs.astype(x.dtype))
    dtypes.append(out.dtype)
    return np.asarray(out, np.float64)

  expected = outputs(network)
  for i, layer in enumerate(chain[:-1]):
    orders, cycle = [np.arange(hidden.units) for hidden in chain[:-1]], rng.permutation(layer.units)
    orders[i][cycle] = np.roll(cycle, 1)
    change = outputs(_permuted(network, chain, orders)) - expected
    rounding = max(float(jnp.finfo(dtype).eps) for dtype in dtypes) ** 0.5
    if not np.abs(change).max() <= rounding * np.abs(expected).max():  # also if it is NaN
      raise ValueError(
        f'matching needs a chain of layers, but another order of the units of {layer.kernel}, and of the inputs of '
        f'{chain[i + 1].kernel}, changes what the network gives: attention, recurrence and skip connections are no chains; '
        'another order is given by layers='
      )


# ---- search -------------------------------------------------------------------------------------------------------


@functools.partial(jax.jit, static_argnames=('chain', 'sweeps'))
def _orders(reference: Tree, params: Tree, chain: tuple[Layer, ...], sweeps: int) -> list[Array]:
  """An order (units,) for each hidden layer: the result of the better of two descents."""

  def improve(orders, i, outgoing):
    """The orders with the optimal one for layer i, and whether it differs from before."""
    gains = _gains(reference, _permuted_tree(params, chain, orders), chain, i, outgoing)
    best = _assignment(gains)
    gain = jnp.sum(jnp.take_along_axis(gains, best[:, None], axis=1)) - jnp.trace(gains)
    better = gain > ROUNDING * jnp.sum(jnp.max(jnp.abs(gains), axis=1))
    return [*orders[:i], jnp.where(better, orders[i][best], orders[i]), *orders[i + 1 :]], better

  def descend(incoming_first):
    """From the current order; with `incoming_first` the first sweep considers only incoming weights."""

    def sweep(carry):
      orders, _, count = carry
      outgoing, changed = ~(incoming_first & (count == 0)), jnp.bool_(False)
      for i in range(len(orders)):
        orders, better = improve(orders, i, outgoing)
        changed |= better
      return orders, changed | ~outgoing, count + 1

    start = [jnp.arange(layer.units, dtype=jnp.int32) for layer in chain[:-1]]
    unfinished = lambda carry: carry[1] & (carry[2] < sweeps)
    orders = jax.lax.while_loop(unfinished, sweep, (start, jnp.bool_(True), jnp.int32(0)))[0]
    return orders, trees.dot(reference, _permuted_tree(params, chain, orders))

  with jax.default_matmul_precision('float32'):
    candidates, inner_products = jax.lax.map(descend, jnp.array([False, True]))
    return jax.tree.map(lambda v: v[jnp.argmax(inner_products)], candidates)


def _gains(reference: Tree, params: Tree, chain: tuple[Layer, ...], i: int, outgoing: Array) -> Array:
  """gains[a, b], (units, units): the contribution to <reference, params> of unit b of layer i of `params` in position a.

  It counts incoming weights and vectors, and with `outgoing` also outgoing weights.
  """
  reference, params = trees.by_path(reference), trees.by_path(params)
  columns, rows = lambda v: at_least_float32(v).reshape(-1, chain[i].units), lambda v: _by_input(at_least_float32(v), chain[i])
  names = [name for name, v in reference.items() if v.ndim and _layer_index(chain, name) == i]
  gains = sum(columns(reference[name]).T @ columns(params[name]) for name in names)
  following = chain[i + 1].kernel
  return gains + outgoing.astype(gains.dtype) * jnp.einsum('pak,pbk->ab', rows(reference[following]), rows(params[following]))


@jax.jit
def _assignment(gains: Array) -> Array:
  """The assignment of distinct columns to the rows of gains (n, n) with the largest sum: (n,)."""
  scale = jnp.max(jnp.abs(gains))
  costs = jnp.where(jnp.isfinite(scale) & (scale > 0), -gains / scale, jnp.zeros_like(gains))  # optax may not terminate for NaN
  with jax.numpy_dtype_promotion('standard'):  # optax mixes integer dtypes
    rows, columns = optax.assignment.hungarian_algorithm(costs)
  return jnp.zeros(len(gains), jnp.int32).at[rows].set(columns.astype(jnp.int32))
