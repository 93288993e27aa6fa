"""Factorisations of dense matrices that may stand side by side in one program.

On a CPU, jax gives the matrices of a batch to the threads of a pool and waits for them on a thread of that pool. A program in
which as many batches may be factorised at a time as there are threads (the layers of a deep network, drawn orthogonal for all
members at once) can so wait for ever. Here a batch that `vmap` makes is worked off matrix by matrix on a CPU, without waiting.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from dynamics.types import Array


class Singular(NamedTuple):
  """x = u diag(s) vt, s descending, in the shorter form: (m, r), (r,), (r, n) with r = min(m, n)."""

  u: Array
  s: Array
  vt: Array


def _in_turn(factorise: Callable, on_cpu: Callable | None = None) -> Callable:
  alone = jax.custom_batching.sequential_vmap(on_cpu or factorise)
  found = jax.custom_jvp(lambda x: jax.lax.platform_dependent(x, cpu=alone, default=factorise))
  found.defjvp(lambda x, tangents: jax.jvp(factorise, x, tangents))  # derivatives are jax's own
  return found


_qr = _in_turn(lambda x: tuple(jnp.linalg.qr(x)))
_svd = _in_turn(lambda x: tuple(jnp.linalg.svd(x, full_matrices=False)))
_svdvals = _in_turn(lambda x: jnp.linalg.svd(x, compute_uv=False))
_eigh = _in_turn(lambda x: tuple(jnp.linalg.eigh(x)))
_eigvalsh = _in_turn(lambda x: jnp.linalg.eigvalsh(x))
# jax's eigvalsh computes the vectors too, and its svd does not: half the time.
_positive = _in_turn(lambda x: jnp.linalg.eigvalsh(x), lambda x: jnp.linalg.svd(x, compute_uv=False)[::-1])


def qr(x: Array) -> tuple[Array, Array]:
  """(q, r) of one matrix (m, n), in the shorter form."""
  return _qr(x)


def svd(x: Array) -> Singular:
  """The singular value decomposition of one matrix (m, n)."""
  return Singular(*_svd(x))


def singular_values(x: Array) -> Array:
  """(min(m, n),) of one matrix (m, n), descending."""
  return _svdvals(x)


def eigh(x: Array) -> tuple[Array, Array]:
  """(values (n,), ascending, and vectors (n, n), in columns) of one symmetric matrix (n, n)."""
  return _eigh(x)


def eigenvalues(x: Array, *, positive: bool = False) -> Array:
  """(n,) of one symmetric matrix (n, n), ascending.

  With `positive` of one that has no negative ones but by rounding, whose signs are then lost: twice as fast on a CPU.
  """
  return _positive(x) if positive else _eigvalsh(x)
