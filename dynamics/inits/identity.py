"""Deterministic inits of zeros and ones: identities, with zeros, copies or a Hadamard matrix where a layer is not square.

Rows are a layer's inputs and columns its outputs; a row of an embedding is a token, so that partial identities leave tokens
beyond the width at 0. Convolutions are so at the centre of their window, and 0 elsewhere. Biases are 0 and scales 1.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from dynamics.components import component
from dynamics.inits import distributions
from dynamics.inits.branches import last_of_branches
from dynamics.inits.independent import Init, Scale
from dynamics.leaves import from_matrices, map_leaves, matrix_shape
from dynamics.schema import Traced
from dynamics.types import Array, Tree


@component()
def identity(*, init_scale: Scale = 1.0) -> Init:
  """Ones on the diagonal of every weight, times init_scale: a layer that widens pads with zeros, and one that narrows cuts off.

  In a network that starts so, no hidden layer ever differs from the identity by a rank above the number of inputs.
  Source: 2110.12661 (partial identity, to which it compares).
  """
  return lambda key, leaves, data: placed(eye, leaves, init_scale)


@component()
def hadamard(*, init_scale: Scale = 1.0) -> Init:
  """ZerO: partial identities, and where a layer widens, the corner of a Hadamard matrix. Nothing is drawn.

  The corner is that of H_m, 2^m x 2^m with 2^m the first power that the outputs do not exceed, divided by 2^(m/2), which makes
  its rows orthonormal where there are 2^m outputs. (The paper prints 2^((m-1)/2); this is the factor of its published code.)
  Residual branches end in zeros, where there are any: see `zero_branches`.

  Of n inputs the columns of that corner repeat after the first power of two from n on, so that a wider layer holds copies. Behind
  it no square layer of an MLP differs from the identity by a rank above that power plus the number of outputs.

  Source: 2110.12661 (algorithms 1 and 2).
  """

  def init(key, leaves, data, *, model):
    return placed(expansion, leaves, init_scale, last_of_branches(model, data, leaves), 0.0)

  return init


@component()
def padded_identity(*, branch_scale: Traced(least=0.0) = 1e-6, init_scale: Scale = 1.0) -> Init:
  """IDInit: entry (i, j) is 1 where i = j modulo the smaller side, so that a layer that widens repeats its inputs.

  Copies of a unit learn alike where the layers after them read them alike, and come apart where these do not.

  Args:
    branch_scale: epsilon, in place of the 1 in the last weights of residual branches, so that these begin near 0.
    init_scale: tau, in place of the 1 in all others.

  Source: 2503.04626 (IDI and IDIZ). In convolutions the paper lays its pattern over window and channels together; here it
  is that of the channels, at the centre of the window.
  """

  def init(key, leaves, data, *, model):
    return placed(copies, leaves, init_scale, last_of_branches(model, data, leaves), branch_scale)

  return init


def eye(rows: int, columns: int) -> Array:
  """Ones on the diagonal, in float32 in 64-bit mode too."""
  return jnp.eye(rows, columns, dtype=jnp.float32)


def expansion(rows: int, columns: int) -> Array:
  """The partial identity, or, where there are more columns than rows, the corner of a scaled Hadamard matrix."""
  if columns <= rows:
    return eye(rows, columns)
  common = jnp.arange(rows, dtype=jnp.int32)[:, None] & jnp.arange(columns, dtype=jnp.int32)[None]
  signs = 1 - 2 * (jax.lax.population_count(common) % 2)
  power = (columns - 1).bit_length()
  return signs.astype(jnp.float32) * jnp.float32(2 ** (-power / 2))


def copies(rows: int, columns: int) -> Array:
  """1 where the numbers of row and column agree modulo the smaller side."""
  least = min(rows, columns)
  return (jnp.arange(rows)[:, None] % least == jnp.arange(columns)[None] % least).astype(jnp.float32)


def placed(matrix: Callable[[int, int], Array], leaves: Tree, scale, ends: frozenset[str] = frozenset(), end_scale=0.0) -> Tree:
  """Params whose weights are matrix(inputs, outputs) times `scale`, or `end_scale` for those named in `ends`.

  Raises:
    ValueError: a weight one axis of which holds both inputs and outputs.
  """

  def fill(leaf):
    end = leaf.name in ends
    if leaf.role in ('bias', 'scale'):
      value = 0 if leaf.role == 'bias' else end_scale if end else 1
      return jnp.full(leaf.shape, value, leaf.dtype)
    size = jnp.asarray(end_scale if end else scale, jnp.float32)

    def at(centre):
      _, rows, columns = matrix_shape(centre)
      every = jnp.broadcast_to(size * matrix(rows, columns), matrix_shape(centre))
      return from_matrices(centre, every).astype(leaf.dtype)

    return distributions.at_centre(leaf, at)

  return map_leaves(fill, leaves)
