"""Factorisations of dense matrices that are safe under `vmap` on a CPU.

On a CPU a batched LAPACK call blocks one thread of the pool that it needs. With as many concurrent calls as threads (such as
orthogonal draws for the layers of a deep network, for all members at once), XLA deadlocks, so under `vmap` these wrappers
factorise one matrix at a time.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from dynamics.types import Array


class Singular(NamedTuple):
  """The thin decomposition x = u diag(s) vt of x (m, n): (m, r), (r,) descending, (r, n), where r = min(m, n)."""

  u: Array
  s: Array
  vt: Array


def _sequential_on_cpu(factorise: Callable, on_cpu: Callable | None = None) -> Callable:
  """`factorise`, computed for one matrix at a time under `vmap` on a CPU, by `on_cpu` if given, with the derivative of jax."""
  sequential = jax.custom_batching.sequential_vmap(on_cpu or factorise)
  function = jax.custom_jvp(lambda x: jax.lax.platform_dependent(x, cpu=sequential, default=factorise))
  function.defjvp(lambda x, tangents: jax.jvp(factorise, x, tangents))
  return function


_qr = _sequential_on_cpu(lambda x: tuple(jnp.linalg.qr(x)))
_svd = _sequential_on_cpu(lambda x: tuple(jnp.linalg.svd(x, full_matrices=False)))
_svdvals = _sequential_on_cpu(lambda x: jnp.linalg.svd(x, compute_uv=False))
_eigh = _sequential_on_cpu(lambda x: tuple(jnp.linalg.eigh(x)))
_eigvalsh = _sequential_on_cpu(lambda x: jnp.linalg.eigvalsh(x))
# On a CPU jax's eigvalsh computes eigenvectors too, and its svd does not compute singular vectors: half the time.
_eigvalsh_positive = _sequential_on_cpu(lambda x: jnp.linalg.eigvalsh(x), lambda x: jnp.linalg.svd(x, compute_uv=False)[::-1])


def qr(x: Array) -> tuple[Array, Array]:
  """The thin QR decomposition of one matrix (m, n): q (m, r) and r (r, n), where r = min(m, n)."""
  return _qr(x)


def svd(x: Array) -> Singular:
  """The thin singular value decomposition of one matrix (m, n)."""
  return Singular(*_svd(x))


def singular_values(x: Array) -> Array:
  """The singular values of one matrix (m, n), descending: (min(m, n),)."""
  return _svdvals(x)


def eigh(x: Array) -> tuple[Array, Array]:
  """Eigenvalues (n,), ascending, and eigenvectors (n, n), as columns, of one symmetric matrix (n, n)."""
  return _eigh(x)


def eigenvalues(x: Array, *, positive: bool = False) -> Array:
  """The eigenvalues of one symmetric matrix (n, n), ascending: (n,).

  `positive` promises that the matrix is positive semi-definite up to rounding. On a CPU singular values are then returned,
  in half the time, so that eigenvalues which rounding made negative lose their sign.
  """
  return _eigvalsh_positive(x) if positive else _eigvalsh(x)
