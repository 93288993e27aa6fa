"""A permutation of bits, shown on single bits alone: the task of 2502.16763."""

import jax.numpy as jnp

from dynamics.components import component
from dynamics.schema import Range
from dynamics.theory import permutation as theory
from dynamics.types import Batch, Data, Task


@component()
def permutation(*, bits: Range(int, least=2, most=16) = 5, test: Range(int, least=1) = 65535) -> Task:
  """x: (n, bits) floats 0 and 1; y: (n, bits) the same bits one place further, the last one in front.

  The training set is the `bits` standard basis vectors. The test set is all inputs with two ones or more, 2^bits - 1 - bits
  of them, or `test` evenly chosen ones where there are more, in the order of `dynamics.theory.permutation.inputs`. Nothing is
  random. Source: 2502.16763, whose permutation is any fixed one: a network that treats its outputs alike has the same law.
  """
  batch = lambda x: Batch(jnp.asarray(x, jnp.float32), jnp.asarray(theory.permuted(x), jnp.float32))

  def draw(key):
    seen, unseen = theory.inputs(bits)
    stride = -(-len(unseen) // test)
    return Data(batch(seen), batch(unseen[::stride]))

  return Task(draw, outputs=bits)
