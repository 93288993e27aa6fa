"""What a kernel says: its spectrum, its likeness to another kernel and to targets, and its predictions.

Every function takes a kernel as `dynamics.linalg.ntk` gives it: (n1, n2), or (n1, n2, k, k) for all pairs of outputs, which
stands for the (n1 k, n2 k) matrix over examples and outputs. They work in the kernel's own dtype, under `jit` and `vmap` too.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from dynamics.linalg import dense
from dynamics.types import Array


class Rank(NamedTuple):
  """Two effective ranks of a positive kernel, each between 1 and n; no units."""

  entropy: Array  # exp of the entropy of the eigenvalues' shares
  stable: Array  # trace over largest eigenvalue


def matrix(kernel: Array) -> Array:
  """(n1, n2, k, k) -> (n1 k, n2 k), rows by example and then by output; a matrix stays as it is.

  Raises:
    ValueError: neither two nor four axes, or outputs that do not match.
  """
  if kernel.ndim == 2:
    return kernel
  if kernel.ndim != 4 or kernel.shape[2] != kernel.shape[3]:
    raise ValueError(f'a kernel is (n1, n2) or (n1, n2, k, k), but this has shape {kernel.shape}')
  n1, n2, k, _ = kernel.shape
  return jnp.transpose(kernel, (0, 2, 1, 3)).reshape(n1 * k, n2 * k)


def eigenvalues(kernel: Array, *, positive: bool = False) -> Array:
  """All eigenvalues, descending; (n,) or (n k,), in the kernel's units. Of the symmetric part.

  With `positive`, which a tangent kernel of examples with themselves is, those that are rounding may have either sign.
  """
  return dense.eigenvalues(_square(kernel), positive=positive)[::-1]


def condition(kernel: Array, *, positive: bool = False) -> Array:
  """Largest over smallest eigenvalue; infinite where the smallest is zero to the kernel's precision."""
  values = eigenvalues(kernel, positive=positive)
  rounding = values[0] * values.shape[0] * jnp.finfo(values.dtype).eps
  return jnp.where(values[-1] <= rounding, jnp.inf, values[0] / values[-1])


def rank(kernel: Array, *, positive: bool = False) -> Rank:
  """Effective ranks. Eigenvalues that rounding made negative count as zero. Source: Roy and Vetterli 2007 (entropy)."""
  values = jnp.maximum(eigenvalues(kernel, positive=positive), 0)
  share = values / jnp.sum(values)
  entropy = -jnp.sum(share * jnp.log(jnp.where(share == 0, 1, share)))
  return Rank(jnp.exp(entropy), jnp.sum(values) / values[0])


def alignment(one: Array, two: Array, *, centred: bool = False) -> Array:
  """The cosine of two kernels under the Frobenius product, in [-1, 1], and in [0, 1] for positive ones.

  With `centred` features have their mean over examples taken off first: the linear CKA. Source: 1203.0550 (centred
  alignment), 1905.00414 (CKA).

  Raises:
    ValueError: kernels of different shapes.
  """
  a, b = (matrix(_centre(k) if centred else k) for k in _pair(one, two))
  return jnp.sum(a * b) / (jnp.linalg.norm(a) * jnp.linalg.norm(b))


def distance(one: Array, two: Array, *, centred: bool = False) -> Array:
  """1 - alignment: zero where one kernel is a multiple of the other. Source: 2010.15110 (kernel distance)."""
  a, b = (matrix(_centre(k) if centred else k) for k in _pair(one, two))
  # As half of the squared chord, whose rounding is relative to the distance itself and not to 1.
  return jnp.sum((a / jnp.linalg.norm(a) - b / jnp.linalg.norm(b)) ** 2) / 2


def drift(kernel: Array, start: Array) -> Array:
  """|K - K0| / |K0| in the Frobenius norm: unlike `distance` it also sees a change of scale."""
  now, before = (matrix(k) for k in _pair(kernel, start))
  return jnp.linalg.norm(now - before) / jnp.linalg.norm(before)


def target_alignment(kernel: Array, targets: Array, *, centred: bool = False) -> Array:
  """The alignment with the kernel Y Y^T of targets: tr(Y^T K Y) / (|K| |Y Y^T|).

  Args:
    kernel: (n, n), for which Y is (n, k) or (n,); or (n, n, k, k), for which Y (n, k) is one vector over examples and outputs.
    targets: (n,) or (n, k) floats.
    centred: see `alignment`.
  """
  k = _square(_centre(kernel) if centred else kernel)
  y = _columns(kernel, targets - jnp.mean(targets, axis=0, keepdims=True) if centred else targets)
  return jnp.sum(y * (k @ y)) / (jnp.linalg.norm(k) * jnp.linalg.norm(y.T @ y))


def energy(kernel: Array, targets: Array) -> Array:
  """The share of |Y|^2 within the span of the top 1, 2, ... eigenvectors: cumulative, (n,) or (n k,), the last is 1.

  For `kernel` and `targets` see `target_alignment`. Source: 1901.08584, theorem 4.1 (projections on eigenvectors).
  """
  _, vectors = dense.eigh(_square(kernel))
  y = _columns(kernel, targets)
  return jnp.cumsum(jnp.sum((vectors.T @ y) ** 2, axis=1)[::-1]) / jnp.sum(y**2)


def regression(train: Array, test_train: Array, targets: Array, *, ridge: float = 0.0) -> Array:
  """Predictions K_test,train (K + ridge I)^-1 y of kernel regression; (n2, ...) as targets (n1, ...) are.

  Without ridge this is where gradient flow on the squared error takes a model with this constant kernel that starts from
  zero outputs. Source: 1806.07572, section 5.

  Args:
    train: (n1, n1) or (n1, n1, k, k).
    test_train: (n2, n1) or (n2, n1, k, k).
    targets: (n1,) or (n1, k) floats; with a kernel for all pairs of outputs, (n1, k).
    ridge: added to the diagonal, in the kernel's units.

  Raises:
    ValueError: shapes that do not match; a kernel that is singular to its precision. Under `jit` and `vmap` no sentence can
      be said, and a singular kernel gives NaN.
  """
  k, cross, y = _square(train), matrix(test_train), _columns(train, targets)
  if cross.shape[1] != k.shape[0] or test_train.ndim != train.ndim:
    raise ValueError(f'the train kernel has shape {train.shape} and the test-train kernel {test_train.shape}; columns must match')
  values, vectors = dense.eigh(k)
  values = values + jnp.asarray(ridge, k.dtype)
  least, floor = values[0], values[-1] * k.shape[0] * jnp.finfo(k.dtype).eps
  regular = least > floor
  if not isinstance(regular, jax.core.Tracer) and not bool(regular):
    raise ValueError(
      f'the kernel of {k.shape[0]} rows is singular to its precision: its smallest eigenvalue with ridge is {float(least):.3g}, '
      f'and {float(floor):.3g} is rounding; raise ridge, or drop repeated examples'
    )
  out = cross @ (vectors @ ((vectors.T @ y) / jnp.where(regular, values, jnp.nan)[:, None]))
  return out.reshape(test_train.shape[0], *targets.shape[1:])


def _square(kernel):
  k = matrix(kernel)
  if k.shape[0] != k.shape[1] or not k.size:
    raise ValueError(f'a kernel of examples with themselves is wanted, but this has shape {kernel.shape}')
  return (k + k.T) / 2


def _pair(one, two):
  if one.shape != two.shape:
    raise ValueError(f'the kernels have shapes {one.shape} and {two.shape}; they must be the same')
  return one, two


def _centre(kernel):
  """Features less their mean over examples, for each output."""
  rows = kernel - jnp.mean(kernel, axis=0, keepdims=True)
  return rows - jnp.mean(rows, axis=1, keepdims=True)


def _columns(kernel, targets):
  """Targets as columns beside the kernel's matrix."""
  shape = kernel.shape[:1] if kernel.ndim == 2 else (kernel.shape[0], kernel.shape[2])
  if targets.shape[: len(shape)] != shape or targets.ndim > 2:
    raise ValueError(f'targets have shape {targets.shape}, which does not go with a kernel of shape {kernel.shape}')
  return targets.reshape(kernel.shape[0], -1) if kernel.ndim == 2 else targets.reshape(-1, 1)
