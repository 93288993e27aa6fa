"""Closed-form solutions of gradient flow and gradient descent on the squared loss with a constant tangent kernel Theta.

The loss is that of `losses.mean_squared_error`, (1/n) sum_i (1/2) |f(x_i) - y_i|^2. Hence df/dt = -(1/n) Theta (f - y), and
the error along an eigenvector of Theta decays at the rate eigenvalue / n. Time is steps times learning rate.

A kernel is (n, n), the same for every output, as the infinite-width kernels of `dynamics.theory.kernels`, or (n, n, k, k), as
the tangent kernel of a finite network. Theta of a linear model f = J w is J J^T.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from dynamics.theory.kernels import Kernels, precise
from dynamics.types import Array


class Solution(NamedTuple):
  """Outputs as functions of time t, a scalar or (t,), which may be infinite. (t,) puts an axis t in front of each result."""

  train: Callable[[Array, Array, Array], Array]  # (t, f0 (n, k), y (n, k)) -> (n, k)
  # (t, f0, y, cross, g0) -> (m, k): outputs at m other inputs, which start at g0 (m, k). cross is the kernel of these inputs
  # with the training set, (m, n) or (m, n, k, k). The parameters of a linear model are a case: g0 = w0 and cross = J^T, (p, n).
  test: Callable[[Array, Array, Array, Array, Array], Array]
  # (t, cross) -> A such that test = g0 - A (f0 - y): (m, n), or (m k, n k) for kernels (n, n, k, k).
  smoother: Callable[[Array, Array], Array]


class GaussianProcess(NamedTuple):
  """The distribution of an ensemble's outputs at m inputs; the k outputs are independent and share one covariance."""

  mean: Array  # (m, k), or (t, m, k)
  covariance: Array  # (m, m), or (t, m, m)


def gradient_flow(kernel: Array) -> Solution:
  """Gradient flow: f_t = y + exp(-Theta t / n) (f_0 - y) on the training set, and the outputs at other inputs.

  Eigenvalues of rounding size (eps times their number times the largest) count as 0, and the error along their eigenvectors
  does not change. At t = infinity the solution is kernel regression, with the pseudo-inverse if Theta is singular.

  Raises:
    ValueError: a kernel that is neither (n, n) nor (n, n, k, k).

  Source: 1806.07572, section 5; 1902.06720, eq. 8 to 11.
  """
  n = kernel.shape[0]
  return _solve(kernel, lambda values, t: jnp.expm1(-values / n * t))


def gradient_descent(kernel: Array, lr: Array) -> Solution:
  """Full-batch gradient descent, exactly: f_t = y + (I - lr Theta / n)^t (f_0 - y), where t is an integer number of steps.

  It converges for lr < 2 n / (largest eigenvalue) and diverges for larger lr.

  Raises:
    ValueError: a kernel that is neither (n, n) nor (n, n, k, k).
  """
  n = kernel.shape[0]

  def change(values, steps):
    factor = 1 - lr * values / n
    accurate = jnp.expm1(steps * jnp.log1p(-jnp.minimum(lr * values / n, 0.5)))  # keeps the digits of small eigenvalues
    return jnp.where(factor > 0.5, accurate, factor**steps - 1)

  return _solve(kernel, change)


def ensemble(
  kernels: Callable[..., Kernels],
  x: Array,
  y: Array,
  *,
  solve: Callable[[Array], Solution] = gradient_flow,
) -> Callable[[Array, Array], GaussianProcess]:
  """(t, x_test (m, ...)) -> the distribution of the outputs of infinitely wide networks, trained for time t from random starts.

  Args:
    kernels: those of the architecture, from `dynamics.theory.kernels.dense`.
    x, y: the training set, (n, ...) and (n, k) floats.
    solve: `gradient_flow`, or a partial of `gradient_descent` with its learning rate, for which t is in steps.

  Raises:
    ValueError: a y that is not floats with a row for each x, as labels are not.

  Source: 1902.06720, eq. 14 to 16; at t = infinity the mean is y^T Theta(x, x)^-1 Theta(x, x_test).
  """
  if y.shape[:1] != x.shape[:1] or not jnp.issubdtype(y.dtype, jnp.floating):
    raise ValueError(f'x is {x.shape}, but y is {y.dtype}{y.shape}; it must be floats ({x.shape[0]}, k), of labels one-hot')
  train = kernels(x)
  smoother = solve(train.ntk).smoother

  @precise
  def outputs(t, x_test):
    cross, prior = kernels(x_test, x), kernels(x_test).nngp
    a = smoother(t, cross.ntk)
    mixed, transpose = a @ cross.nngp.T, lambda b: jnp.swapaxes(b, -1, -2)
    change = a @ train.nngp @ transpose(a) - mixed - transpose(mixed)
    return GaussianProcess(a @ y, jnp.broadcast_to(prior, change.shape) + change)

  return outputs


def linear_regression(x: Array) -> Callable[[Array, Array, Array], Array]:
  """(t, w0 (d, k), y (n, k)) -> w_t (d, k), the weights of f = x w under gradient flow; t is a scalar or (t,).

  The error along an eigenvector of x^T x / n, (d, d), decays at the rate of its eigenvalue. The component of the weights that
  is orthogonal to the data does not change. For n < d, `gradient_flow(x x^T).test` with cross = x^T is cheaper.
  """
  n = x.shape[0]
  rates, vectors = _eigendecomposition(jnp.matmul(x.T, x, precision='float32') / n)

  @precise
  def weights(t, w0, y):
    outputs = x @ w0
    _same(outputs, y)
    gradient = vectors.T @ (x.T @ (outputs - y)) / n
    response = _modes(rates, t, lambda rates, t: jnp.expm1(-rates * t))[1]
    change = jnp.einsum('dp,...p,pk->...dk', vectors, response, gradient)
    return jnp.broadcast_to(w0, change.shape) + change

  return weights


# ---- the solution in the eigenbasis -----------------------------------------------------------------------------


def _solve(kernel: Array, relative_change: Callable[[Array, Array], Array]) -> Solution:
  """The solution in which an eigenvector's error is multiplied by 1 + relative_change(eigenvalue, t)."""
  _check(kernel)
  values, vectors = _eigendecomposition(_matrix(kernel))

  def residuals(f0, y):
    _same(f0, y)
    return jnp.ravel(f0 - y)[:, None] if kernel.ndim == 4 else f0 - y

  def add(start, change):
    change = change.reshape((*change.shape[:-2], *start.shape))
    return jnp.broadcast_to(start, change.shape) + change

  @precise
  def train(t, f0, y):
    change, _ = _modes(values, t, relative_change)
    return add(f0, jnp.einsum('np,...p,pk->...nk', vectors, change, vectors.T @ residuals(f0, y)))

  @precise
  def smoother(t, cross):
    _, response = _modes(values, t, relative_change)
    return -jnp.einsum('mp,...p,np->...mn', _matrix(cross) @ vectors, response, vectors)

  @precise
  def test(t, f0, y, cross, g0):
    return add(g0, -smoother(t, cross) @ residuals(f0, y))

  return Solution(train, test, smoother)


def _modes(values: Array, t: Array, relative_change: Callable[[Array, Array], Array]) -> tuple[Array, Array]:
  """(change, change / eigenvalue), (..., p) each: the relative change of each eigenvector's error until t.

  Both are 0 for an eigenvalue of 0, at t = infinity too.
  """
  t = jnp.asarray(t, values.dtype)[..., None]
  shape = (*t.shape[:-1], len(values))
  positive = jnp.broadcast_to(values > 0, shape)
  safe = jnp.broadcast_to(jnp.where(values > 0, values, 1), shape)
  change = jnp.where(positive, relative_change(safe, jnp.broadcast_to(t, shape)), 0)
  return change, change / safe


def _same(outputs: Array, y: Array) -> None:
  if outputs.shape != y.shape:
    raise ValueError(f'the outputs at step 0 have shape {outputs.shape} and the targets {y.shape}; they must be the same')


def _check(kernel: Array) -> None:
  if kernel.ndim not in (2, 4) or kernel.shape[0] != kernel.shape[1] or kernel.shape[2:3] != kernel.shape[3:]:
    raise ValueError(f'a kernel of the training set has shape (n, n) or (n, n, k, k), not {kernel.shape}')


def _matrix(kernel: Array) -> Array:
  """(m, n, k, k) -> (m k, n k); (m, n) is returned unchanged."""
  if kernel.ndim == 2:
    return kernel
  m, n, k, _ = kernel.shape
  return jnp.swapaxes(kernel, 1, 2).reshape((m * k, n * k))


def _eigendecomposition(matrix: Array) -> tuple[Array, Array]:
  """Eigenvalues (p,), ascending, those of rounding size set to 0, and eigenvectors (n, p)."""
  values, vectors = jnp.linalg.eigh(matrix)
  rounding = jnp.finfo(matrix.dtype).eps * len(values) * values[-1]
  return jnp.where(values > rounding, values, 0), vectors
