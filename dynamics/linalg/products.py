"""Products of curvature matrices with vectors on the parameter tree; no matrix is formed.

Every maker returns `matvec(v) -> tree`, linear in v. The model is linearised once, when the maker is called; all products
share that, also under `vmap` and `lax.map` over vectors. Matrices of a batch are means over its examples.

`chunk` reads a batch that many examples at a time, so that memory does not grow with the batch. Each product then linearises
again, which costs one more forward and backward pass. `axis` names a mesh axis inside `jax.shard_map`: the mean is then also
over the shards of that axis, which must have equal sizes; `sharded` does this for any maker.

Products have the dtype of the parameters and are computed at full float32 precision on every device. Float64 parameters give
float64.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from dynamics import contracts, losses, trees
from dynamics.linalg.lanczos import Matvec
from dynamics.types import Array, Batch, Tree

Apply = Callable[[Tree, Array], Array]  # (params, x) -> outputs (n, ..., k)
Likelihood = Literal['cross_entropy', 'mean_squared_error']

# ---- one linearisation ------------------------------------------------------------------------------------------


def hessian(loss: Callable[[Tree], Array], params: Tree) -> Matvec:
  """v -> H v, where H is the Hessian of a scalar loss at params. A product costs about two gradients.

  Raises:
    ValueError: parameters that are not floating; a loss that is not a floating scalar.
  """
  _check(loss, params)
  with jax.default_matmul_precision('float32'):
    return jax.linearize(jax.grad(loss), params)[1]


def loss_hessian(
  apply: Apply, loss: losses.Loss, params: Tree, batch: Batch, *, chunk: int | None = None, axis: str | None = None
) -> Matvec:
  """v -> H v, where H is the Hessian of the mean of loss(apply(params, x), y) -> (n,) over microbatches and shards.

  Raises:
    ValueError: as for `hessian`; an empty batch; a loss that is not one number per example.
  """
  maker = lambda params, batch: hessian(lambda p: losses.mean(_per_example(apply, loss, batch)(p)), params)
  return _mean(maker, apply, loss, params, batch, chunk, axis)


def ggn(
  apply: Apply, loss: losses.Loss, params: Tree, batch: Batch, *, chunk: int | None = None, axis: str | None = None
) -> Matvec:
  """v -> (1/n) sum_i J_i^T L_i J_i v: the generalised Gauss-Newton matrix of the mean of loss(apply(params, x), y) -> (n,).

  J_i (k, p) is the Jacobian of the outputs of example i, and L_i (k, k) is the Hessian of the loss with respect to these
  outputs. Neither is formed. Source: Schraudolph 2002; 1412.1193.

  Raises:
    ValueError: as for `loss_hessian`.
  """

  def maker(params, batch):
    forward, back, outputs = _linearised(apply, params, batch.x)
    output_hessian = jax.linearize(jax.grad(lambda z: losses.mean(loss(z, batch.y))), outputs)[1]
    return lambda v: back(output_hessian(forward(v)))

  return _mean(maker, apply, loss, params, batch, chunk, axis)


def fisher(
  apply: Apply,
  params: Tree,
  batch: Batch,
  *,
  likelihood: Likelihood = 'cross_entropy',
  chunk: int | None = None,
  axis: str | None = None,
) -> Matvec:
  """v -> F v, the Fisher information: E[g g^T], where g is the gradient of the log likelihood of a label that the model draws.

  'cross_entropy' takes outputs as logits, so that L = diag(s) - s s^T with s = softmax(outputs); 'mean_squared_error' takes
  them as means of unit normals, so that L = 1. The expectation over labels is exact, and equals the `ggn` of these losses.
  y is not used. `second_moment` is the empirical Fisher, which takes the given labels. Source: 1412.1193.

  Raises:
    ValueError: parameters that are not floating; an empty batch; an unknown likelihood.
  """
  if likelihood not in ('cross_entropy', 'mean_squared_error'):
    raise ValueError(f"likelihood is {likelihood!r}; it must be 'cross_entropy' or 'mean_squared_error'")

  def maker(params, batch):
    forward, back, outputs = _linearised(apply, params, batch.x)
    product = _softmax_hessian(outputs) if likelihood == 'cross_entropy' else lambda u: u
    return lambda v: back(product(forward(v)) / outputs.shape[0])

  return _mean(maker, apply, None, params, batch, chunk, axis)


def softmax_ggn(apply: Apply, params: Tree, batch: Batch, *, chunk: int | None = None, axis: str | None = None) -> Matvec:
  """v -> (1/N) sum_i J_i^T (diag(s_i) - s_i s_i^T) J_i v over the N labels: the `ggn` of the mean cross-entropy.

  s_i (k,) is the softmax of the logits of label i, and J_i (k, p) their Jacobian. The matrix in the middle is the Hessian of the
  cross-entropy by the logits in closed form, applied as a product; that of `ggn` is a derivative of the loss. Outputs are
  (n, k) with labels (n,), or (n, l, k) with labels (n, l). Negative labels are padding and count for nothing; else only their
  number matters. Source: Schraudolph 2002, section 5; 1412.1193.

  Raises:
    ValueError: parameters that are not floating; an empty batch; labels that are not whole numbers, one for each row of logits.
  """
  shape = jax.eval_shape(apply, params, batch.x).shape
  if batch.y.shape != shape[:-1] or not jnp.issubdtype(batch.y.dtype, jnp.integer):
    raise ValueError(f'logits {shape} need labels {shape[:-1]} of whole numbers, but these are {batch.y.dtype}{batch.y.shape}')
  labels = jnp.sum(batch.y >= 0) / batch.y.shape[0]  # of an example, the mean
  labels = labels if axis is None else jax.lax.pmean(labels, axis)

  def maker(params, batch):
    forward, back, outputs = _linearised(apply, params, batch.x)
    product = _softmax_hessian(outputs)
    weights = (batch.y >= 0).astype(outputs.dtype)[..., None] / (labels.astype(outputs.dtype) * batch.y.shape[0])
    return lambda v: back(weights * product(forward(v)))

  return _mean(maker, apply, None, params, batch, chunk, axis)


def second_moment(
  apply: Apply, loss: losses.Loss, params: Tree, batch: Batch, *, chunk: int | None = None, axis: str | None = None
) -> Matvec:
  """v -> (1/n) sum_i g_i g_i^T v, where g_i is the gradient of the loss of example i.

  For a loss -log p(y | x) this is the empirical Fisher. It is computed as J^T J / n, where J is the Jacobian of the n losses,
  so that no gradient of a single example is formed.

  Raises:
    ValueError: as for `loss_hessian`.
  """

  def maker(params, batch):
    values, forward = jax.linearize(lambda p: trees.at_least_float32(_per_example(apply, loss, batch)(p)), params)
    back = jax.linear_transpose(forward, params)
    return lambda v: back(forward(v) / values.shape[0])[0]

  return _mean(maker, apply, loss, params, batch, chunk, axis)


def noise(
  apply: Apply, loss: losses.Loss, params: Tree, batch: Batch, *, chunk: int | None = None, axis: str | None = None
) -> Matvec:
  """v -> C v, where C is the covariance of per-example gradients: `second_moment` minus the outer product of their mean.

  The gradient of a minibatch of b examples, drawn with replacement, has covariance C / b.

  Raises:
    ValueError: as for `loss_hessian`.
  """
  second = second_moment(apply, loss, params, batch, chunk=chunk, axis=axis)
  maker = lambda params, batch: lambda _: jax.grad(lambda p: losses.mean(_per_example(apply, loss, batch)(p)))(params)
  with jax.default_matmul_precision('float32'):
    gradient = _mean(maker, apply, loss, params, batch, chunk, axis)(params)

  def matvec(v):
    projection = trees.dot(gradient, v)
    return jax.tree.map(lambda s, g: s - projection.astype(g.dtype) * g, second(v), gradient)

  return matvec


# ---- transformations of operators -------------------------------------------------------------------------------


def sharded(mesh: Mesh, axis: str, maker: Callable[..., Matvec], *functions, **choices) -> Callable[[Tree, Batch], Matvec]:
  """(params, batch) -> matvec of a maker above, with the batch split over an axis of a mesh; to be called under `jit`.

  `sharded(mesh, 'data', ggn, apply, loss)` calls `ggn(apply, loss, params, batch, axis='data', **choices)` on each device.
  Each product is one program with one mean over devices.

  Raises:
    ValueError: a number of examples that is not divisible by the size of the axis.
  """

  def make(params, batch):
    n = contracts.examples(batch.x, 'x')
    if n % mesh.shape[axis]:
      raise ValueError(f'{n} examples cannot be split evenly over the {mesh.shape[axis]} devices of {axis!r}')
    shard = lambda params, batch, v: maker(*functions, params, batch, axis=axis, **choices)(v)
    product = jax.shard_map(shard, mesh=mesh, in_specs=(P(), P(axis), P()), out_specs=P(), check_vma=False)
    return lambda v: product(params, batch, v)

  return make


def restrict(matvec: Matvec, keep: Callable[[str], bool]) -> Matvec:
  """v -> M A M v, where M sets the leaves to zero whose path, such as 'input/kernel', `keep` rejects."""

  def mask(tree):
    return jax.tree_util.tree_map_with_path(lambda entries, x: x if keep(trees.path(entries)) else jnp.zeros_like(x), tree)

  return lambda v: mask(matvec(mask(v)))


class Block(NamedTuple):
  """A diagonal block of an operator, as an operator on {path: leaf}."""

  matvec: Matvec
  like: dict[str, Array]  # the leaves of params on which the block acts


def block(matvec: Matvec, params: Tree, keep: Callable[[str], bool]) -> Block:
  """The diagonal block of the leaves that `keep` accepts, on these leaves alone.

  Unlike that of `restrict`, its spectrum has no zeros from the other leaves.

  Raises:
    ValueError: `keep` accepts no leaf.
  """
  named, structure = trees.by_path(params), jax.tree.structure(params)
  like = {path: leaf for path, leaf in named.items() if keep(path)}
  if not like:
    raise ValueError(f'no leaf is kept; there are {", ".join(named)}')

  def product(v):
    full = [v[path] if path in like else jnp.zeros_like(leaf) for path, leaf in named.items()]
    return {path: x for path, x in trees.by_path(matvec(jax.tree.unflatten(structure, full))).items() if path in like}

  return Block(product, like)


def precondition(matvec: Matvec, scale: Tree) -> Matvec:
  """v -> P^(-1/2) A P^(-1/2) v for a positive diagonal P = `scale`, a tree like v.

  It is symmetric if A is, and has the eigenvalues of P^(-1) A.
  """
  divide = lambda v: jax.tree.map(lambda x, p: x / jnp.sqrt(p).astype(x.dtype), v, scale)
  return lambda v: divide(matvec(divide(v)))


def adam_scale(state, *, beta2: Array | float = 0.999, eps: Array | float = 1e-8) -> Tree:
  """Adam's preconditioner sqrt(nu / (1 - beta2^t)) + eps from an optax ScaleByAdamState; an update is lr m / scale.

  NaN at t = 0, before the first second moment. Source: 1412.6980; 2207.14484 (sharpness preconditioned by it).
  """
  count = state.count.astype(jnp.float32)
  decay_sum = 1 - jnp.asarray(beta2, jnp.float32) ** count
  correction = jnp.where(count > 0, decay_sum, jnp.nan)
  return jax.tree.map(lambda nu: jnp.sqrt(nu / correction.astype(nu.dtype)) + jnp.asarray(eps, nu.dtype), state.nu)


# ---- parts ------------------------------------------------------------------------------------------------------


def _per_example(apply, loss, batch):
  """params -> losses (n,)."""
  return lambda params: loss(apply(params, batch.x), batch.y)


def _linearised(apply, params, x):
  """(v -> J v, u -> J^T u, outputs) of a model on a batch."""
  outputs, forward = jax.linearize(lambda p: trees.at_least_float32(apply(p, x)), params)
  back = jax.linear_transpose(forward, params)
  return forward, lambda u: back(u)[0], outputs


def _softmax_hessian(outputs):
  """u -> (diag(s) - s s^T) u for each row of logits (..., k)."""
  s = jax.nn.softmax(outputs, axis=-1)
  return lambda u: s * (u - jnp.sum(s * u, axis=-1, keepdims=True))


def _mean(maker, apply, loss, params, batch, chunk, axis):
  """The mean of the operators maker(params, batch) -> matvec over microbatches and shards."""
  n = _check_batch(apply, loss, params, batch)
  with jax.default_matmul_precision('float32'):
    if chunk is None or chunk >= n:
      matvec = maker(params, batch)
    elif chunk < 1:
      raise ValueError(f'chunk is {chunk}; it must be a number of examples, 1 or more, or None')
    else:
      matvec = _accumulated(maker, params, batch, n, chunk)
  return matvec if axis is None else lambda v: jax.lax.pmean(matvec(v), axis)


def _accumulated(maker, params, batch, n, chunk):
  """The mean over microbatches of `chunk` examples, and a smaller last one if chunk does not divide n."""
  even = n // chunk * chunk
  microbatches = jax.tree.map(lambda x: x[:even].reshape(n // chunk, chunk, *x.shape[1:]), batch)
  remainder = jax.tree.map(lambda x: x[even:], batch)

  def share(microbatch, v, size):
    with jax.default_matmul_precision('float32'):
      return jax.tree.map(lambda x: x * jnp.asarray(size / n, x.dtype), maker(params, microbatch)(v))

  def matvec(v):
    add = lambda total, microbatch: (jax.tree.map(jnp.add, total, share(microbatch, v, chunk)), None)
    total = jax.lax.scan(add, jax.tree.map(jnp.zeros_like, v), microbatches)[0]
    return total if even == n else jax.tree.map(jnp.add, total, share(remainder, v, n - even))

  return matvec


def _check(loss, params):
  contracts.parameters(params)
  out = jax.eval_shape(loss, params)
  if not isinstance(out, jax.ShapeDtypeStruct) or out.shape != ():
    raise ValueError(f'the loss returns {getattr(out, "shape", type(out).__name__)}; it must return a scalar')
  if not jnp.issubdtype(out.dtype, jnp.floating):
    raise ValueError(f'the loss returns {out.dtype}, in which there is no derivative; it must be floating')


def _check_batch(apply, loss, params, batch) -> int:
  """n of a batch, after checking parameters, examples, outputs and losses; y counts where there is a loss."""
  n = contracts.examples(batch.x, 'x')
  if not n:
    raise ValueError(f'the batch holds no examples; its x is {contracts.described(batch.x)}')
  contracts.parameters(params)
  out = contracts.outputs(jax.eval_shape(apply, params, batch.x), 'the model')
  if out.ndim < 2 or out.shape[0] != n or not jnp.issubdtype(out.dtype, jnp.floating):
    raise ValueError(f'the model answers {out.dtype}{out.shape} for {n} examples; it must give floats ({n}, ..., k)')
  if loss is not None:
    each = losses.each if out.ndim == 2 else lambda loss, outputs, targets: contracts.losses(loss(outputs, targets), n)
    jax.eval_shape(lambda outputs: each(loss, outputs, batch.y), out)
  return n
