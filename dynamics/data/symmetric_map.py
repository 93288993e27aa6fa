"""A symmetric linear map of given eigenvalues, which may be negative, on whitened Gaussian inputs."""

import jax
import jax.numpy as jnp

from dynamics import trees
from dynamics.components import component
from dynamics.linalg import dense
from dynamics.random import random_orthonormal
from dynamics.schema import Range
from dynamics.types import Batch, Data, Task


@component()
def symmetric_map(*, eigenvalues: tuple[Range(float), ...] = (-1.0,) * 8, train: Range(int, least=1) = 64) -> Task:
  """y = x Q diag(eigenvalues) Q^T with a random orthogonal Q. x and y: (train, d) floats for d eigenvalues.

  Gaussian inputs are whitened, so that the mean of x^T x over all of them is the identity: full batches then keep a network of
  square linear layers that starts as the identity symmetric, and minibatches do not. Training and test examples are the same.

  Raises:
    ValueError: no eigenvalue, or fewer examples than eigenvalues.
  Source: 1802.06093 (targets with negative eigenvalues, which gradient descent from the identity does not reach).
  """
  d = len(eigenvalues)
  if not 0 < d <= train:
    raise ValueError(f'eigenvalues has {d} values; it must have 1 to {train}, the number of examples')

  def draw(key):
    q = random_orthonormal(trees.named_key(key, 'directions'), d, d)
    left, _, right = dense.svd(jax.random.normal(trees.named_key(key, 'inputs'), (train, d), jnp.float32))
    x = train**0.5 * left @ right
    examples = Batch(x, x @ (q * jnp.asarray(eigenvalues, jnp.float32)[None]) @ q.T)
    return Data(examples, examples)

  return Task(draw, outputs=d)
