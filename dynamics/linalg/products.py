"""Products of curvature matrices with vectors on the parameter tree; no matrix is formed.

Every maker returns `matvec(v) -> tree`, linear in v. The linearisation is made once, when the maker is called, and shared by
all products, under `vmap` and `lax.map` over vectors too. Matrices of a batch are means over its examples. With `chunk` a
batch is read that many examples at a time, so that memory is constant in the data: then each product linearises anew, one
more forward and backward pass. With `axis`, inside of `jax.shard_map`, the mean goes over the shards of that mesh axis too,
which must be of equal size; `spread` does this for any maker.

Products keep the dtype of the parameters, and are made at full float32 precision on every device; give float64 parameters
for float64.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from dynamics import losses, trees
from dynamics.linalg.lanczos import Matvec
from dynamics.types import Array, Batch, Tree

Apply = Callable[[Tree, Array], Array]  # (params, x) -> outputs (n, ..., k)
Likelihood = Literal['cross_entropy', 'mean_squared_error']

# ---- one linearisation ------------------------------------------------------------------------------------------


def hessian(loss: Callable[[Tree], Array], params: Tree) -> Matvec:
  """v -> H v, H the second derivative of a scalar loss at params. Two passes back and forth a product.

  Raises:
    ValueError: parameters that are not floating, a loss that is no floating scalar.
  """
  _check(loss, params)
  with jax.default_matmul_precision('float32'):
    return jax.linearize(jax.grad(loss), params)[1]


def loss_hessian(
  apply: Apply, loss: losses.Loss, params: Tree, batch: Batch, *, chunk: int | None = None, axis: str | None = None
) -> Matvec:
  """v -> H v of the mean over a batch of loss(apply(params, x), y) -> (n,): `hessian` over microbatches and shards.

  Raises:
    ValueError: as of `hessian`, an empty batch, a loss that is not one number an example.
  """
  one = lambda params, batch: hessian(lambda p: losses.mean(_each(apply, loss, batch)(p)), params)
  return _mean(one, apply, loss, params, batch, chunk, axis)


def ggn(
  apply: Apply, loss: losses.Loss, params: Tree, batch: Batch, *, chunk: int | None = None, axis: str | None = None
) -> Matvec:
  """v -> (1/n) sum_i J_i^T L_i J_i v: the generalised Gauss-Newton matrix of the mean of loss(apply(params, x), y) -> (n,).

  J_i (k, p) is the Jacobian of example i's outputs and L_i (k, k) the loss's second derivative in them, neither of which is
  formed. Source: Schraudolph 2002; 1412.1193.

  Raises:
    ValueError: as of `loss_hessian`.
  """

  def one(params, batch):
    forward, back, outputs = _linear(apply, params, batch.x)
    inner = jax.linearize(jax.grad(lambda z: losses.mean(loss(z, batch.y))), outputs)[1]
    return lambda v: back(inner(forward(v)))

  return _mean(one, apply, loss, params, batch, chunk, axis)


def fisher(
  apply: Apply,
  params: Tree,
  batch: Batch,
  *,
  likelihood: Likelihood = 'cross_entropy',
  chunk: int | None = None,
  axis: str | None = None,
) -> Matvec:
  """v -> F v: the Fisher information, E of the outer product of log-likelihood gradients over the model's own labels.

  'cross_entropy' reads outputs as logits, for which L = diag(s) - s s^T with s their softmax; 'mean_squared_error' as means
  of unit normals, for which L = 1. The expectation is exact, and equals the `ggn` of these losses. y is not read. For
  gradients at the given labels, the empirical Fisher, see `second_moment`. Source: 1412.1193.

  Raises:
    ValueError: parameters that are not floating, an empty batch, an unknown likelihood.
  """
  if likelihood not in ('cross_entropy', 'mean_squared_error'):
    raise ValueError(f"likelihood is {likelihood!r}; it must be 'cross_entropy' or 'mean_squared_error'")

  def one(params, batch):
    forward, back, outputs = _linear(apply, params, batch.x)
    share = jax.nn.softmax(outputs, axis=-1)

    def inner(u):
      if likelihood == 'cross_entropy':
        u = share * (u - jnp.sum(share * u, axis=-1, keepdims=True))
      return u / batch.x.shape[0]

    return lambda v: back(inner(forward(v)))

  return _mean(one, apply, None, params, batch, chunk, axis)


def second_moment(
  apply: Apply, loss: losses.Loss, params: Tree, batch: Batch, *, chunk: int | None = None, axis: str | None = None
) -> Matvec:
  """v -> (1/n) sum_i g_i g_i^T v, g_i the gradient of example i's loss: where the loss is -log p(y | x), the empirical Fisher.

  No gradient of an example is formed: it is J^T J / n of the map from parameters to the n losses.

  Raises:
    ValueError: as of `loss_hessian`.
  """

  def one(params, batch):
    values, forward = jax.linearize(lambda p: trees.at_least_float32(_each(apply, loss, batch)(p)), params)
    back = jax.linear_transpose(forward, params)
    return lambda v: back(forward(v) / values.shape[0])[0]

  return _mean(one, apply, loss, params, batch, chunk, axis)


def noise(
  apply: Apply, loss: losses.Loss, params: Tree, batch: Batch, *, chunk: int | None = None, axis: str | None = None
) -> Matvec:
  """v -> C v, the covariance of gradients of single examples: `second_moment` less the outer product of their mean.

  The gradient of a minibatch of b examples, drawn with replacement, has the covariance C / b.

  Raises:
    ValueError: as of `loss_hessian`.
  """
  whole = second_moment(apply, loss, params, batch, chunk=chunk, axis=axis)
  slope = lambda params, batch: lambda _: jax.grad(lambda p: losses.mean(_each(apply, loss, batch)(p)))(params)
  with jax.default_matmul_precision('float32'):
    gradient = _mean(slope, apply, loss, params, batch, chunk, axis)(params)

  def matvec(v):
    along = trees.dot(gradient, v)
    return jax.tree.map(lambda a, g: a - along.astype(g.dtype) * g, whole(v), gradient)

  return matvec


# ---- other operators out of these -------------------------------------------------------------------------------


def spread(mesh: Mesh, axis: str, maker: Callable[..., Matvec], *functions, **choices) -> Callable[[Tree, Batch], Matvec]:
  """A maker with its batch split over an axis of a mesh: (params, batch) -> matvec, to be called under `jit`.

  `maker(*functions, params, batch, axis=..., **choices)` is one of those above: spread(mesh, 'data', ggn, apply, loss). Each
  product is one program with one sum over devices.

  Raises:
    ValueError: examples that the axis does not divide.
  """

  def make(params, batch):
    n = batch.x.shape[0]
    if n % mesh.shape[axis]:
      raise ValueError(f'{n} examples cannot be split evenly over the {mesh.shape[axis]} devices of {axis!r}')
    own = lambda params, batch, v: maker(*functions, params, batch, axis=axis, **choices)(v)
    split = jax.shard_map(own, mesh=mesh, in_specs=(P(), P(axis), P()), out_specs=P(), check_vma=False)
    return lambda v: split(params, batch, v)

  return make


def restrict(matvec: Matvec, keep: Callable[[str], bool]) -> Matvec:
  """The diagonal block of the leaves whose path `keep` accepts, 'input/kernel'; all other entries, in and out, are zero."""

  def mask(tree):
    return jax.tree_util.tree_map_with_path(lambda at, x: x if keep(trees.path(at)) else jnp.zeros_like(x), tree)

  return lambda v: mask(matvec(mask(v)))


class Block(NamedTuple):
  """A diagonal block as an operator of its own, on {path: leaf}."""

  matvec: Matvec
  like: dict[str, Array]


def block(matvec: Matvec, params: Tree, keep: Callable[[str], bool]) -> Block:
  """As `restrict`, but on the chosen leaves alone: the form in which a block has a spectrum without the others' zeros.

  Raises:
    ValueError: no leaf is kept.
  """
  named, structure = trees.by_path(params), jax.tree.structure(params)
  like = {path: leaf for path, leaf in named.items() if keep(path)}
  if not like:
    raise ValueError(f'no leaf is kept; there are {", ".join(named)}')

  def inner(v):
    full = [v[path] if path in like else jnp.zeros_like(leaf) for path, leaf in named.items()]
    return {path: x for path, x in trees.by_path(matvec(jax.tree.unflatten(structure, full))).items() if path in like}

  return Block(inner, like)


def precondition(matvec: Matvec, scale: Tree) -> Matvec:
  """v -> P^(-1/2) A P^(-1/2) v for the diagonal P = `scale`, positive, a tree like v: as symmetric as A is.

  Its eigenvalues are those of P^(-1) A.
  """
  over = lambda v: jax.tree.map(lambda x, p: x / jnp.sqrt(p).astype(x.dtype), v, scale)
  return lambda v: over(matvec(over(v)))


def adam_scale(state, *, beta2: Array | float = 0.999, eps: Array | float = 1e-8) -> Tree:
  """Adam's preconditioner sqrt(nu / (1 - beta2^t)) + eps, of an optax ScaleByAdamState; an update is lr m / scale.

  NaN at t = 0, where there is no second moment yet. Source: 1412.6980; 2207.14484 (sharpness under it).
  """
  count = state.count.astype(jnp.float32)
  rest = 1 - jnp.asarray(beta2, jnp.float32) ** count
  seen = jnp.where(count > 0, rest, jnp.nan)
  return jax.tree.map(lambda nu: jnp.sqrt(nu / seen.astype(nu.dtype)) + jnp.asarray(eps, nu.dtype), state.nu)


# ---- parts ------------------------------------------------------------------------------------------------------


def _each(apply, loss, batch):
  return lambda params: loss(apply(params, batch.x), batch.y)


def _linear(apply, params, x):
  """(J, J^T, outputs) of a model on a batch."""
  outputs, forward = jax.linearize(lambda p: trees.at_least_float32(apply(p, x)), params)
  back = jax.linear_transpose(forward, params)
  return forward, lambda u: back(u)[0], outputs


def _mean(one, apply, loss, params, batch, chunk, axis):
  """The mean over microbatches and shards of one(params, batch), a matvec."""
  n = _check_batch(apply, loss, params, batch)
  with jax.default_matmul_precision('float32'):
    if chunk is None or chunk >= n:
      whole = one(params, batch)
    elif chunk < 1:
      raise ValueError(f'chunk is {chunk}; it must be a number of examples, 1 or more, or None')
    else:
      whole = _scanned(one, params, batch, n, chunk)
  return whole if axis is None else lambda v: jax.lax.pmean(whole(v), axis)


def _scanned(one, params, batch, n, chunk):
  even = n // chunk * chunk
  parts = jax.tree.map(lambda x: x[:even].reshape(n // chunk, chunk, *x.shape[1:]), batch)
  rest = jax.tree.map(lambda x: x[even:], batch)

  def scaled(piece, v, size):
    with jax.default_matmul_precision('float32'):
      return jax.tree.map(lambda x: x * jnp.asarray(size / n, x.dtype), one(params, piece)(v))

  def whole(v):
    add = lambda total, piece: (jax.tree.map(jnp.add, total, scaled(piece, v, chunk)), None)
    total = jax.lax.scan(add, jax.tree.map(jnp.zeros_like, v), parts)[0]
    return total if even == n else jax.tree.map(jnp.add, total, scaled(rest, v, n - even))

  return whole


def _check(loss, params):
  for path, leaf in trees.by_path(params).items():
    if not jnp.issubdtype(leaf.dtype, jnp.floating):
      raise ValueError(f'parameter {path} is {leaf.dtype}, in which there is no derivative; it must be floating')
  out = jax.eval_shape(loss, params)
  if not isinstance(out, jax.ShapeDtypeStruct) or out.shape != ():
    raise ValueError(f'the loss returns {getattr(out, "shape", type(out).__name__)}; it must return a scalar')
  if not jnp.issubdtype(out.dtype, jnp.floating):
    raise ValueError(f'the loss returns {out.dtype}, in which there is no derivative; it must be floating')


def _check_batch(apply, loss, params, batch) -> int:
  n = batch.x.shape[0] if batch.x.ndim else 0
  if not n:
    raise ValueError(f'the batch holds no examples; the shape of its x is {batch.x.shape}')
  if loss is None:
    _check(lambda p: jnp.float32(0), params)
    return n
  out = jax.eval_shape(lambda p: _each(apply, loss, batch)(p), params)
  if not isinstance(out, jax.ShapeDtypeStruct) or out.shape != (n,):
    raise ValueError(
      f'the loss of {n} examples has shape {getattr(out, "shape", type(out).__name__)}; it must be one number an example'
    )
  _check(lambda p: jnp.sum(_each(apply, loss, batch)(p)), params)
  return n
