"""Two networks up to the order of their hidden units: one network's units permuted so that it lies near the other."""

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
from dynamics.inits.leaves import describe, weights
from dynamics.trees import at_least_float32
from dynamics.types import Array, Tree, Variables

ROUNDING = 1e-6  # of the inner product of both networks: a rise of less is none
ROWS = 4  # inputs on which a permuted network is held against itself

Patterns = Sequence[Sequence[str]]  # for each layer, in their order: its leaves' paths, with the letters of fnmatch


class Layer(NamedTuple):
  """One step of a chain: a kernel (..., inputs, units), and vectors (units,) such as biases, scales and statistics."""

  kernel: str  # path
  shape: tuple[int, ...]
  patterns: tuple[str, ...]  # of the kernel and of its vectors, in all collections

  @property
  def units(self) -> int:
    return self.shape[-1]


def matched(
  apply: Callable[..., Array], one: Variables, two: Variables, x: Array, *, layers: Patterns | None = None, sweeps: int = 50
) -> Variables:
  """`two` with the hidden units of each layer permuted so that its parameters lie near those of `one`: the same function.

  The distance falls by one layer's order at a time, the best for the orders of its neighbours, until no layer changes. That ends
  in a local minimum, so it starts twice and keeps the nearer end: from the order as it is, and from the order which each layer
  takes by its incoming weights alone, one after the other. Hence the distance never grows, and two networks which differ by
  nothing but order are brought together exactly. Batch statistics, and the weights of step 0 in a `predictor`, go along.

  Layers are a chain in the order of `dynamics.inits.leaves.weights`: dense and convolutional ones, and a flattened image before a
  dense one. A vector belongs to the layer with the kernel beside it ('input/bias'), or to the one whose name has '_norm' after it
  ('input_norm/scale'). Whether that is the structure is tried out, by permuting random weights, before anything else.

  Args:
    apply: of a `Problem`, (variables, x) -> outputs.
    one, two: variables of the same shapes. They may be traced; the refusals come while tracing.
    x: (n, ...) inputs; only shape and dtype count.
    layers: the leaves of each layer from the first to the readout, where names do not tell:
      (('Dense_0/*', 'BatchNorm_0/*'), ('Dense_1/*',)).
    sweeps: over all layers, at most.

  Raises:
    ValueError: networks of different shapes; layers that are no chain, as in attention, recurrence or with skip connections;
      a leaf of no layer or of several.
  Source: 2209.04836, section 3.2 and algorithm 1 (the order of layers there is random; the second start is ours).
  """
  forms = [{name: (v.shape, v.dtype) for name, v in trees.by_path(tree).items()} for tree in (one, two)]
  if forms[0] != forms[1]:
    raise ValueError('matching needs two networks of the same shapes and dtypes')
  chain = _chain(two, layers)
  _try_out(apply, two, x, chain)
  return _permuted(two, chain, _orders(one['params'], two['params'], chain, sweeps))


def permuted(variables: Variables, orders: Sequence[Array], layers: Patterns | None = None) -> Variables:
  """The same network in another order: unit j of hidden layer i was unit orders[i][j]. `layers` as in `matched`."""
  return _permuted(variables, _chain(variables, layers), orders)


# ---- structure ----------------------------------------------------------------------------------------------------


def _chain(variables: Variables, patterns: Patterns | None) -> tuple[Layer, ...]:
  """The layers in their order, if the shapes of all leaves say that these are a chain."""
  kernels = [leaf for leaf in weights(describe(variables['params'])) if len(leaf.shape) > 1]
  patterns = [_beside(leaf.name) for leaf in kernels] if patterns is None else patterns
  chain = []
  for some in patterns:
    own = [leaf for leaf in kernels if any(fnmatch.fnmatchcase(leaf.name, p) for p in some)]
    if len(own) != 1:
      raise ValueError(f'each layer has one kernel, but {some} are {", ".join(leaf.name for leaf in own) or "none"}')
    chain.append(Layer(own[0].name, own[0].shape, tuple(some)))
  if len(chain) < 2:
    raise ValueError(f'a network of {len(chain)} layer(s) has no hidden units to match')
  for a, b in itertools.pairwise(chain):
    if b.shape[-2] % a.units:
      raise ValueError(
        f'matching needs a chain of layers, but {b.kernel} is {b.shape} after {a.kernel}, {a.shape}; another order than that of '
        'the names is given by layers='
      )
  for collection, tree in variables.items():
    for name, v in trees.by_path(tree).items():
      layer = chain[_place(chain, name)] if v.ndim else None
      if layer and v.shape not in ((layer.units,), layer.shape if name == layer.kernel else None):
        raise ValueError(f'{collection}/{name} is {v.shape}, which is no vector of the {layer.units} units of {layer.kernel}')
  return tuple(chain)


def _beside(kernel: str) -> tuple[str, ...]:
  """The leaves of a kernel's own module, and of the module which normalises its outputs."""
  module = kernel.rpartition('/')[0]
  return (f'{module}/*', f'{module}_norm/*') if module else (kernel,)


def _place(chain: tuple[Layer, ...], name: str) -> int:
  found = [i for i, layer in enumerate(chain) if any(fnmatch.fnmatchcase(name, p) for p in layer.patterns)]
  if len(found) != 1:
    raise ValueError(f'matching cannot tell the layer of {name}; give layers=, each with the patterns of its leaves')
  return found[0]


def _permuted(variables: Variables, chain: tuple[Layer, ...], orders: Sequence[Array]) -> Variables:
  return {collection: _ordered(tree, chain, orders) for collection, tree in variables.items()}


def _ordered(tree: Tree, chain: tuple[Layer, ...], orders: Sequence[Array]) -> Tree:
  """The leaves of one collection with units and inputs in these orders of the hidden layers."""

  def leaf(entries, v):
    if not v.ndim:
      return v
    i = _place(chain, trees.path(entries))
    v = v[..., orders[i]] if i < len(orders) else v
    return _by_input(v, chain[i - 1])[:, orders[i - 1]].reshape(v.shape) if i and v.ndim > 1 else v

  return jax.tree_util.tree_map_with_path(leaf, tree)


def _by_input(kernel: Array, before: Layer) -> Array:
  """(positions, units of the layer before, units): in a window, and in a flattened image, the channel comes last."""
  return kernel.reshape(-1, before.units, kernel.shape[-1])


def _try_out(apply, variables: Variables, x: Array, chain: tuple[Layer, ...]) -> None:
  """Raises where a random network does not stay the same under a random cycle of each layer's units in turn."""
  rng = np.random.default_rng(0)

  def draw(v):
    if not jnp.issubdtype(v.dtype, jnp.floating):
      return np.zeros(v.shape, v.dtype)
    if v.ndim < 2:  # positive, because it may be a variance
      return np.asarray(rng.uniform(0.5, 1.5, v.shape)).astype(v.dtype)
    return (rng.normal(size=v.shape) / math.prod(v.shape[:-1]) ** 0.5).astype(v.dtype)

  network = jax.tree.map(draw, variables)
  inputs = rng.normal(size=(ROWS, *x.shape[1:])) * jnp.issubdtype(x.dtype, jnp.floating)  # tokens: 0
  floats = [v.dtype for v in jax.tree.leaves(network) if jnp.issubdtype(v.dtype, jnp.floating)]

  def outputs(network):
    with jax.ensure_compile_time_eval(), jax.default_matmul_precision('float32'):
      out = jax.jit(apply)(network, inputs.astype(x.dtype))
    floats.append(out.dtype)
    return np.asarray(out, np.float64)

  before = outputs(network)
  for i, layer in enumerate(chain[:-1]):
    orders, places = [np.arange(other.units) for other in chain[:-1]], rng.permutation(layer.units)
    orders[i][places] = np.roll(places, 1)
    change = outputs(_permuted(network, chain, orders)) - before
    rounding = max(float(jnp.finfo(dtype).eps) for dtype in floats) ** 0.5
    if not np.abs(change).max() <= rounding * np.abs(before).max():  # NaN is refused too
      raise ValueError(
        f'matching needs a chain of layers, but another order of the units of {layer.kernel}, and of the inputs of '
        f'{chain[i + 1].kernel}, changes what the network gives: attention, recurrence and skip connections are no chains; '
        'another order than that of the names is given by layers='
      )


# ---- search -------------------------------------------------------------------------------------------------------


@functools.partial(jax.jit, static_argnames=('chain', 'sweeps'))
def _orders(one: Tree, two: Tree, chain: tuple[Layer, ...], sweeps: int) -> list[Array]:
  """One order (units,) for each hidden layer: the nearer of the ends of two descents."""

  def turned(orders, i, outgoing):
    """The orders with the best one for layer i, and whether it is another than before."""
    gains = _gains(one, _ordered(two, chain, orders), chain, i, outgoing)
    best = _assignment(gains)
    rise = jnp.sum(jnp.take_along_axis(gains, best[:, None], axis=1)) - jnp.trace(gains)
    better = rise > ROUNDING * jnp.sum(jnp.max(jnp.abs(gains), axis=1))
    return [*orders[:i], jnp.where(better, orders[i][best], orders[i]), *orders[i + 1 :]], better

  def descend(forward):
    """From the order as it is, or, where `forward`, with a first sweep that looks at incoming weights alone."""

    def sweep(carry):
      orders, _, count = carry
      outgoing, changed = ~(forward & (count == 0)), jnp.bool_(False)
      for i in range(len(orders)):
        orders, better = turned(orders, i, outgoing)
        changed |= better
      return orders, changed | ~outgoing, count + 1

    start = [jnp.arange(layer.units, dtype=jnp.int32) for layer in chain[:-1]]
    more = lambda carry: carry[1] & (carry[2] < sweeps)
    orders = jax.lax.while_loop(more, sweep, (start, jnp.bool_(True), jnp.int32(0)))[0]
    return orders, trees.dot(one, _ordered(two, chain, orders))

  with jax.default_matmul_precision('float32'):
    ends, near = jax.lax.map(descend, jnp.array([False, True]))
    return jax.tree.map(lambda v: v[jnp.argmax(near)], ends)


def _gains(one: Tree, two: Tree, chain: tuple[Layer, ...], i: int, outgoing: Array) -> Array:
  """(a, b): what unit b of `two` in the place of a adds to <one, two>, by incoming weights, and outgoing ones if these count."""
  one, two = trees.by_path(one), trees.by_path(two)
  columns, rows = lambda v: at_least_float32(v).reshape(-1, chain[i].units), lambda v: _by_input(at_least_float32(v), chain[i])
  gains = sum(columns(v).T @ columns(two[name]) for name, v in one.items() if v.ndim and _place(chain, name) == i)
  after = chain[i + 1].kernel
  return gains + outgoing.astype(gains.dtype) * jnp.einsum('pak,pbk->ab', rows(one[after]), rows(two[after]))


@jax.jit
def _assignment(gains: Array) -> Array:
  """(n,) the column of each row, none twice, with the largest sum."""
  scale = jnp.max(jnp.abs(gains))
  costs = jnp.where(jnp.isfinite(scale) & (scale > 0), -gains / scale, jnp.zeros_like(gains))  # with NaN optax may never end
  with jax.numpy_dtype_promotion('standard'):  # optax adds integers of its own dtype
    rows, columns = optax.assignment.hungarian_algorithm(costs)
  return jnp.zeros(len(gains), jnp.int32).at[rows].set(columns.astype(jnp.int32))
