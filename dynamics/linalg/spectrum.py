"""Statistics of a kernel matrix: its spectrum, its alignment with another kernel and with targets, and kernel regression.

Every function takes a kernel as `dynamics.linalg.ntk` returns it: (n1, n2), or (n1, n2, k, k) for all pairs of outputs, which
is read as the (n1 k, n2 k) matrix over examples and outputs. All compute in the dtype of the kernel, and run under `jit` and
`vmap`. A positive kernel is a positive semi-definite one.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from dynamics.linalg import dense
from dynamics.types import Array


class Rank(NamedTuple):
  """Two effective ranks of a positive kernel, each between 1 and n."""

  entropy: Array  # () exp of the entropy of the eigenvalues, normalised to sum to 1
  stable: Array  # () trace over largest eigenvalue


def matrix(kernel: Array) -> Array:
  """(n1, n2, k, k) -> (n1 k, n2 k), rows by example and then by output; (n1, n2) is returned unchanged.

  Raises:
    ValueError: neither two nor four axes; last two axes of different length.
  """
  if kernel.ndim == 2:
    return kernel
  if kernel.ndim != 4 or kernel.shape[2] != kernel.shape[3]:
    raise ValueError(f'a kernel is (n1, n2) or (n1, n2, k, k), but this has shape {kernel.shape}')
  n1, n2, k, _ = kernel.shape
  return jnp.transpose(kernel, (0, 2, 1, 3)).reshape(n1 * k, n2 * k)


def eigenvalues(kernel: Array, *, positive: bool = False) -> Array:
  """All eigenvalues of the symmetric part, descending: (n,) or (n k,), in units of the kernel.

  `positive` promises a positive kernel, such as a tangent kernel of examples with themselves, and is twice as fast on a CPU.
  Eigenvalues of rounding size then have no reliable sign.
  """
  return dense.eigenvalues(_square(kernel), positive=positive)[::-1]


def condition(kernel: Array, *, positive: bool = False) -> Array:
  """The condition number, largest over smallest eigenvalue: a scalar, infinite if the smallest is at most rounding."""
  values = eigenvalues(kernel, positive=positive)
  return ratio(values, rounding(values[0], values.shape[0]))


def rank(kernel: Array, *, positive: bool = False) -> Rank:
  """Effective ranks of a positive kernel. Negative eigenvalues count as zero. Source: Roy and Vetterli 2007 (entropy)."""
  values = jnp.maximum(eigenvalues(kernel, positive=positive), 0)
  return Rank(entropy_rank(values), jnp.sum(values) / values[0])


def entropy_rank(values: Array) -> Array:
  """exp of the entropy of values (n,) >= 0 over their sum: a scalar between 1 and n, NaN where all are 0.

  Source: Roy and Vetterli 2007.
  """
  p = values / jnp.sum(values)
  return jnp.exp(-jnp.sum(p * jnp.log(jnp.where(p == 0, 1, p))))


def rounding(largest: Array, size: int) -> Array:
  """The size of eigenvalues or singular values that are rounding alone, in a matrix whose longer side is `size`."""
  return largest * size * jnp.finfo(largest.dtype).eps


def ratio(values: Array, zero: Array) -> Array:
  """The largest over the smallest of descending values (n,): a scalar, infinite if the smallest is at most `zero`."""
  return jnp.where(values[-1] <= zero, jnp.inf, values[0] / values[-1])


def alignment(kernel: Array, reference: Array, *, centred: bool = False) -> Array:
  """The cosine of two kernels under the Frobenius product: a scalar in [-1, 1], in [0, 1] for positive kernels.

  `centred` first subtracts the mean over examples from the features of each kernel: the linear CKA. Source: 1203.0550
  (centred alignment); 1905.00414 (CKA).

  Raises:
    ValueError: kernels of different shapes.
  """
  a, b = (matrix(_centre(k) if centred else k) for k in _same_shape(kernel, reference))
  return jnp.sum(a * b) / (jnp.linalg.norm(a) * jnp.linalg.norm(b))


def distance(kernel: Array, reference: Array, *, centred: bool = False) -> Array:
  """1 - alignment: a scalar, zero if one kernel is a positive multiple of the other. Source: 2010.15110 (kernel distance)."""
  a, b = (matrix(_centre(k) if centred else k) for k in _same_shape(kernel, reference))
  # Half the squared distance of the normalised kernels: its rounding error is relative to the distance and not to 1.
  return jnp.sum((a / jnp.linalg.norm(a) - b / jnp.linalg.norm(b)) ** 2) / 2


def drift(kernel: Array, start: Array) -> Array:
  """|K - K0| / |K0| in the Frobenius norm, a scalar. Unlike `distance` it is sensitive to a change of scale."""
  k, k0 = (matrix(k) for k in _same_shape(kernel, start))
  return jnp.linalg.norm(k - k0) / jnp.linalg.norm(k0)


def target_alignment(kernel: Array, targets: Array, *, centred: bool = False) -> Array:
  """The alignment of a kernel with the kernel Y Y^T of targets Y: tr(Y^T K Y) / (|K| |Y Y^T|), a scalar.

  Args:
    kernel: (n, n), or (n, n, k, k).
    targets: Y, (n,) or (n, k) floats; with a kernel (n, n, k, k), (n, k), read as one vector over examples and outputs.
    centred: see `alignment`; it also subtracts from the targets their mean over examples.

  Raises:
    ValueError: a kernel that is not square; targets that do not match it or that are no floats, as labels are.
  """
  k, targets = _square(_centre(kernel) if centred else kernel), _floats(targets)
  y = _columns(kernel, targets - jnp.mean(targets, axis=0, keepdims=True) if centred else targets)
  return jnp.sum(y * (k @ y)) / (jnp.linalg.norm(k) * jnp.linalg.norm(y.T @ y))


def energy(kernel: Array, targets: Array) -> Array:
  """The fraction of |Y|^2 in the span of the top 1, 2, ... eigenvectors: (n,) or (n k,), increasing to 1.

  `kernel` and `targets`, and errors, as in `target_alignment`. Source: 1901.08584, theorem 4.1 (projections on eigenvectors).
  """
  _, vectors = dense.eigh(_square(kernel))
  y = _columns(kernel, _floats(targets))
  return jnp.cumsum(jnp.sum((vectors.T @ y) ** 2, axis=1)[::-1]) / jnp.sum(y**2)


def regression(train: Array, test_train: Array, targets: Array, *, ridge: float = 0.0) -> Array:
  """The predictions K_test,train (K + ridge I)^-1 y of kernel regression: (n2,) or (n2, k), like the targets.

  With ridge 0 this is the limit of gradient flow on the squared error, for a model with this constant kernel and initial
  outputs of zero. Source: 1806.07572, section 5.

  Args:
    train: K, the kernel of the training set, (n1, n1) or (n1, n1, k, k).
    test_train: (n2, n1) or (n2, n1, k, k).
    targets: y, (n1,) or (n1, k) floats; with a kernel (n1, n1, k, k), (n1, k).
    ridge: added to the diagonal, in units of the kernel.

  Raises:
    ValueError: shapes that do not match; targets that are no floats; a kernel that is singular up to rounding. Under `jit`
      and `vmap`, which cannot raise, a singular kernel gives NaN.
  """
  k, cross, y = _square(train), matrix(test_train), _columns(train, _floats(targets))
  if cross.shape[1] != k.shape[0] or test_train.ndim != train.ndim:
    raise ValueError(f'the train kernel has shape {train.shape} and the test-train kernel {test_train.shape}; columns must match')
  values, vectors = dense.eigh(k)
  values = values + jnp.asarray(ridge, k.dtype)
  smallest, rounding = values[0], values[-1] * k.shape[0] * jnp.finfo(k.dtype).eps
  regular = smallest > rounding
  if not isinstance(regular, jax.core.Tracer) and not bool(regular):
    raise ValueError(
      f'the kernel of {k.shape[0]} rows is singular to its precision: its smallest eigenvalue with ridge is '
      f'{float(smallest):.3g}, and {float(rounding):.3g} is rounding; raise ridge, or drop repeated examples'
    )
  predictions = cross @ (vectors @ ((vectors.T @ y) / jnp.where(regular, values, jnp.nan)[:, None]))
  return predictions.reshape(test_train.shape[0], *targets.shape[1:])


def _square(kernel):
  """The symmetric part of a kernel of examples with themselves, as a matrix."""
  k = matrix(kernel)
  if k.shape[0] != k.shape[1] or not k.size:
    raise ValueError(f'a kernel of examples with themselves is wanted, but this has shape {kernel.shape}')
  return (k + k.T) / 2


def _same_shape(a, b):
  if a.shape != b.shape:
    raise ValueError(f'the kernels have shapes {a.shape} and {b.shape}; they must be the same')
  return a, b


def _centre(kernel):
  """The kernel of features minus their mean over examples, for each output."""
  rows = kernel - jnp.mean(kernel, axis=0, keepdims=True)
  return rows - jnp.mean(rows, axis=1, keepdims=True)


def _floats(targets):
  if not jnp.issubdtype(targets.dtype, jnp.floating):
    raise ValueError(f'targets are {targets.dtype}{targets.shape}, but must be floats: of labels y take jax.nn.one_hot(y, k)')
  return targets


def _columns(kernel, targets):
  """Targets as columns that match the rows of the kernel's matrix: (n, k), or (n k, 1) for a kernel (n, n, k, k)."""
  shape = kernel.shape[:1] if kernel.ndim == 2 else (kernel.shape[0], kernel.shape[2])
  if targets.shape[: len(shape)] != shape or targets.ndim > 2:
    raise ValueError(f'targets have shape {targets.shape}, which does not go with a kernel of shape {kernel.shape}')
  return targets.reshape(kernel.shape[0], -1) if kernel.ndim == 2 else targets.reshape(-1, 1)
